"""Target statistics of a linear head, by tiles of the classes: the logits are never held as a whole."""
