"""What stands in place of the compiled kernels where no build of them loads: it computes nothing, and says why."""

from typing import Any, NoReturn

ADVICE = (
    "To have it, install a wheel for this platform, or `pip install .` in the source, which needs a C++17 compiler "
    "and Python's headers"
)

LIMBS = 0  # of an exact sum, whose width only the compiled part knows


class Transform:
    """A transform that no kernel will read."""


class Prior:
    """A prior that no kernel will read."""


def has_wide_vectors() -> bool:
    """Tell that no product is the package's own."""
    return False


def acquire_memory(nbytes: int) -> bytearray:
    """Allocate memory, of which none is kept for reuse."""
    return bytearray(nbytes)


def xla_handlers() -> dict[str, Any]:
    """Return the handlers for XLA: there are none."""
    return {}


def __getattr__(name: str) -> NoReturn:
    if name.startswith("__"):
        raise AttributeError(name)
    raise ImportError(f"this needs the compiled part of crossentropy, which does not load here. {ADVICE}")
