"""Scores of language models from log-probabilities of tokens."""
