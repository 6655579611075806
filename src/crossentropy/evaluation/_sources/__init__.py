"""Sources of rows: files, standard input, and objects with an Arrow stream, read piece by piece."""
