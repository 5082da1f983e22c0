"""Part masks as label images: their classes, how good they are, how they are drawn, repaired and exchanged."""
