"""What a data set of another size would take, before one begins."""
