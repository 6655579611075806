"""Losses by name, such as ``focal(gamma=2)``: which a classifier can be trained with, and what an expression means."""
