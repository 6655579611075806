"""Compiled kernels: arrays in, arrays out, no autodiff and no knowledge of frameworks.

`_native` holds the C++ kernels for the CPU. They take addresses; `crossentropy._statistics.cpu.kernel` lays out arrays
for them and keeps these alive.
"""

try:
    from crossentropy._kernels import _native
except ImportError as error:  # pragma: no cover - a broken install
    raise ImportError(
        "the compiled part of crossentropy is missing; install the package with `pip install .` "
        "from its source, where Python's headers and a C++ compiler are needed"
    ) from error

__all__ = ["_native"]
