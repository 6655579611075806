"""Target statistics by the Triton kernels."""
