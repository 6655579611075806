"""Scores of predictions that are probabilities already."""
