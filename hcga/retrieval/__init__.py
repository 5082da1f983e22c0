"""Retrieval: compare embeddings, rank a gallery for each query, score the ranking, re-rank."""
