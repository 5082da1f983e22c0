"""PRNet (III-C): its encoder, its heads, its files, and what it computes of images."""
