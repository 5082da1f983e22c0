"""Co-parsing (III-B): part masks of one identity's images from their features alone."""
