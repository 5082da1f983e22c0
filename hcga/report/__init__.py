"""One page about a run: figures, curves, masks, retrieval, times."""
