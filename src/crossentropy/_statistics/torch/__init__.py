"""Target statistics of PyTorch tensors: which kernel serves them, and how they are differentiated."""
