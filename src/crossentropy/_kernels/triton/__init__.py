"""Row kernels for CUDA tensors, written in Triton: arrays in, arrays out, no autodiff.

`row_statistics` reads the logits once and writes the statistics of `crossentropy._statistics.problem`, `row_pullback`
reads them once and writes their gradient. Nothing imports this package until a tensor on a CUDA device arrives.

An argument of None is a compile-time constant, and its kernel is compiled without the code for it: what is not
requested costs nothing.
"""

try:
    import triton  # noqa: F401
except ImportError as error:
    raise ImportError(
        "logits on a CUDA device need Triton, which is not installed; PyTorch's CUDA builds for Linux bring it "
        "along, otherwise `pip install triton`; or move the logits to the CPU"
    ) from error
