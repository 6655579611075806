"""Softmax losses of `hidden @ weight.T`, computed in blocks, so that the logits never exist as a whole."""
