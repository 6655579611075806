"""Compiled kernels: arrays in, arrays out, no autodiff and no knowledge of frameworks.

`_native` holds the C++ kernels for the CPU. They take addresses; `crossentropy._statistics.cpu.kernel` lays out arrays
for them and keeps these alive. Where no build of them loads (a platform without a wheel, Python in a browser),
`COMPILED` is False, `_native` is `_kernels.absent`, and the formulas compute every loss.
"""

import warnings

from crossentropy._kernels import absent

try:
    import crossentropy._kernels._native as _native

    COMPILED = True
except ImportError as error:
    _native = absent  # type: ignore[misc]

    COMPILED = False
    warnings.warn(
        f"the compiled part of crossentropy does not load ({error}). Losses and quantities are computed by their "
        "formulas: the values are right, more time and memory are needed. crossentropy.evaluation and what stands on "
        "it (doctor.examine, sklearn, training, the command line) and crossentropy.boosting need the compiled part. "
        f"{absent.ADVICE}",
        RuntimeWarning,
        stacklevel=2,
    )

__all__ = ["COMPILED", "_native"]
