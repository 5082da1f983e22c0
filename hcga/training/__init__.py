"""Training of PRNet on images and part masks (IV-A)."""
