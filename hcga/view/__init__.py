"""A page on this machine over the stores of the workspace and of other revisions."""
