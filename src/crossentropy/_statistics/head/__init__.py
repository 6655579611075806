"""Target statistics of a linear head, by blocks of rows and tiles of classes: never all the logits at once."""
