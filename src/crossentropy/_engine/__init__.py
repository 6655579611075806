"""The engine of the losses: a checked problem in, a loss and its gradient out.

There is a folder for each family of problems, with a file for each role: `problem` holds the checked arguments,
`formula` or `terms` the mathematics, `autograd` PyTorch's autograd Function, `cpu` and `cuda` the calls of kernels.
"""
