"""Target statistics by the native kernels, and the memory that they read and write."""
