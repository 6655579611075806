"""What is inside `compare`: rows with their losses, pairs, tests, the Murphy diagram."""
