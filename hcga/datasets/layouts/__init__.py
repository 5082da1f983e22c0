"""One module a way in which data sets lie on disk."""
