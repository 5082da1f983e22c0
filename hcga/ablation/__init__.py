"""Ablations: the rows of a table as DVC experiments over several seeds, and what came of them."""
