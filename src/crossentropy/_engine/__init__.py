"""The engine of the losses: a checked problem in, a loss and its gradient out.

A folder for each family of problems, and in it a file for each role: `problem` holds what was checked, `formula` or
`terms` the mathematics, `autograd` the function that PyTorch differentiates, `cpu` and `cuda` the callers of kernels.
"""
