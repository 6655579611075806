"""Softmax losses of `hidden @ weight.T`, computed by blocks of rows, never with all the logits at once."""
