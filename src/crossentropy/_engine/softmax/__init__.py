"""Losses over the softmax of a row of logits: from target statistics to a loss and its gradient."""
