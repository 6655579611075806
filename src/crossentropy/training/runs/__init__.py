"""What a finished run of ``crossentropy train`` leaves: a model that can be used again, its history and predictions.

`model` is the fitted model and its state, `load` reads it from a folder without executing anything, `history` is its
notices and measures, `predictions` a table of probabilities, `files` writes all of these, and `apply` predicts the
rows of another table.
"""
