"""Data sets: readers of what is on disk, and synthetic people."""
