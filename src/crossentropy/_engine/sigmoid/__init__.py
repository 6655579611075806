"""Losses over the sigmoid of each logit: binary and multi-label classification."""
