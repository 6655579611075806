"""Losses with a formula of their own for each row, their weights and their reduction."""
