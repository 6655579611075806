"""A link made of the user's own functions."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from crossentropy._backends import Array, namespace
from crossentropy._statistics.log_sigmoid import log_sigmoid

__all__ = ["Custom"]


# Log-odds at which the functions are compared, in both tails.
PLACES = (-11.3, -5.2, -1.7, -0.4, 0.3, 1.9, 4.6, 10.7)
# Step of the finite difference and its tolerances, by the bits of the dtype that the functions return.
STEPS = {64: 2.0**-13, 32: 2.0**-5}
RELATIVE, ABSOLUTE = {64: 1e-4, 32: 1e-2}, {64: 1e-8, 32: 1e-4}


@dataclass(frozen=True)
class Custom:
    """A link made of two functions, which are checked against each other.

    Parameters
    ----------
    loss : function of an array
        ``φ`` as a function of the log-odds against the target, ``D``: ``p = σ(−D)`` and ``1 − p = σ(D)``. Write it with
        ``log p = log_sigmoid(−D)`` and ``log(1 − p) = log_sigmoid(D)`` to keep the digits of confident targets.
    gain : function of an array
        ``−dφ/d log p`` at ``D``: 1 for cross-entropy. NumPy's gradients and those of PyTorch's fast path come from it,
        so it has to be right.

    Raises
    ------
    ValueError
        If the finite difference of `loss` is not ``gain(D) · σ(D)``, at several ``D`` in both tails, or a function does
        not return an array of the shape it was given.

    Notes
    -----
    The functions are called with arrays of the library that the logits are from, in float64 where there is one.

    Examples
    --------
    >>> import numpy as np
    >>> squared = Custom(
    ...     loss=lambda D: 1 / (1 + np.exp(-D)) ** 2,  # (1 − p)²
    ...     gain=lambda D: 2 / (1 + np.exp(-D)) / (1 + np.exp(D)),  # 2 (1 − p) p
    ... )
    >>> float(squared.loss(np.asarray(0.0)))
    0.25
    >>> Custom(loss=lambda D: np.log1p(np.exp(D)), gain=lambda D: 2 + 0 * D)
    Traceback (most recent call last):
        ...
    ValueError: at D = -11.3 the derivative of loss is 1.237277e-05 by a finite difference, but gain(D)·σ(D) is \
2.474554e-05; gain is −dφ/d log p, which is (dφ/dD)/σ(D)
    """

    loss: Callable[[Array], Array]
    gain: Callable[[Array], Array]

    def __post_init__(self) -> None:
        for name in ("loss", "gain"):
            if not callable(getattr(self, name)):
                raise TypeError(
                    f"{name} is {getattr(self, name)!r}; pass a function of the log-odds, an array"
                )
        bits, *columns = _compared(self.loss, self.gain)
        for place, difference, expected in zip(*columns, strict=True):
            largest = max(abs(difference), abs(expected))
            if not abs(difference - expected) <= RELATIVE[bits] * largest + ABSOLUTE[bits]:
                raise ValueError(
                    f"at D = {place:g} the derivative of loss is {difference:.7g} by a finite difference, "
                    f"but gain(D)·σ(D) is {expected:.7g}; gain is −dφ/d log p, which is (dφ/dD)/σ(D)"
                )


def _compared(
    loss: Callable[[Array], Array], gain: Callable[[Array], Array]
) -> tuple[int, list[float], list[float], list[float]]:
    """Return the dtype's bits, the log-odds, the finite differences of `loss` there, and ``gain · σ``."""
    refusal: TypeError | AttributeError | None = None
    for D in _arrays():
        xp = namespace(D)
        try:
            losses, gains = loss(D), gain(D)
        except (
            TypeError,
            AttributeError,
        ) as error:  # raised by functions written for another library's arrays
            refusal = refusal or error
            continue
        for name, value in (("loss", losses), ("gain", gains)):
            if getattr(value, "shape", None) != D.shape:
                actual = f"shape {tuple(value.shape)}" if hasattr(value, "shape") else repr(value)
                raise ValueError(
                    f"{name} of log-odds of shape {tuple(D.shape)} is {actual}; return an array of the same shape"
                )
        bits = 64 if str(losses.dtype).endswith("float64") else 32
        h = STEPS[bits]
        difference = (loss(D + h) - loss(D - h)) / (2 * h)
        return bits, _floats(D), _floats(difference), _floats(gains * xp.exp(log_sigmoid(D)))
    raise TypeError(f"loss or gain cannot be called with an array of log-odds: {refusal}") from refusal


def _arrays() -> Iterator[Array]:
    """Yield the places as a NumPy array, then as arrays of the other libraries that are imported."""
    import numpy

    yield numpy.asarray(PLACES)
    if "torch" in sys.modules:
        yield sys.modules["torch"].tensor(PLACES, dtype=sys.modules["torch"].float64)
    if "jax" in sys.modules:
        yield sys.modules["jax"].numpy.asarray(PLACES)


def _floats(x: Array) -> list[float]:
    """Convert an array to Python numbers."""
    return [float(v) for v in x]
