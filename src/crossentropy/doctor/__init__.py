"""What is wrong with the way a loss is called."""
