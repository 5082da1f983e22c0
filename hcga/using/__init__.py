"""Using a trained model outside the pipeline: its file and card, embeddings of one's own crops, search, comparison."""
