"""Target statistics of JAX arrays: primitives with derivatives of every order, and the kernels that serve them."""
