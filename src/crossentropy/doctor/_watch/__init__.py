"""Calls of losses in a running training loop, and what they show."""
