"""One loss, step by step."""
