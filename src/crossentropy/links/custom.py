"""A link made of the user's own functions."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

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
    """A link made of functions, which are checked against each other.

    Parameters
    ----------
    loss : function of an array
        ``φ`` as a function of the log-odds against the target, ``D``: ``p = σ(−D)`` and ``1 − p = σ(D)``. Write it with
        ``log p = log_sigmoid(−D)`` and ``log(1 − p) = log_sigmoid(D)`` to keep the digits of confident targets.
    gain : function of an array
        ``−dφ/d log p`` at ``D``: 1 for cross-entropy. NumPy's gradients and those of PyTorch's fast path come from it,
        so it has to be right.
    curvature : function of an array, optional
        ``d²φ/dD²`` at ``D``, which Newton's steps need: the objectives of `crossentropy.boosting` take them.

    Raises
    ------
    ValueError
        If the finite difference of `loss` is not ``gain(D) · σ(D)``, or that of ``gain(D) · σ(D)`` not
        `curvature`, at several ``D`` in both tails, or a function does not return an array of the shape it was given.

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
    curvature: Callable[[Array], Array] | None = None

    def __post_init__(self) -> None:
        for name, function in self._functions().items():
            if not callable(function):
                raise TypeError(f"{name} is {function!r}; pass a function of the log-odds, an array")
        bits, *columns = _compared(self._functions())
        for place, *pairs in zip(*columns, strict=True):
            for (difference, expected), message in zip(pairs, MESSAGES, strict=False):
                largest = max(abs(difference), abs(expected))
                if not abs(difference - expected) <= RELATIVE[bits] * largest + ABSOLUTE[bits]:
                    raise ValueError(
                        f"at D = {place:g} "
                        + message.format(difference=f"{difference:.7g}", expected=f"{expected:.7g}")
                    )

    def _functions(self) -> dict[str, Callable[[Array], Array]]:
        """Return the functions that were given, by name."""
        given = {"loss": self.loss, "gain": self.gain}
        return given if self.curvature is None else given | {"curvature": self.curvature}


#: What is wrong if the finite difference of `loss` is not the slope, or that of the slope is not `curvature`.
MESSAGES = (
    "the derivative of loss is {difference} by a finite difference, but gain(D)·σ(D) is {expected}; "
    "gain is −dφ/d log p, which is (dφ/dD)/σ(D)",
    "the derivative of gain(D)·σ(D) is {difference} by a finite difference, but curvature(D) is {expected}; "
    "curvature is d²φ/dD²",
)


def _compared(functions: dict[str, Callable[[Array], Array]]) -> tuple[Any, ...]:
    """Return the dtype's bits, the log-odds, and pairs there: the finite differences of a function and its derivative.

    The functions are the loss with ``gain · σ`` for a derivative, and this with the curvature, if that is given.
    """
    refusal: TypeError | AttributeError | None = None
    for D in _arrays():
        try:
            values = {name: function(D) for name, function in functions.items()}
        except (
            TypeError,
            AttributeError,
        ) as error:  # raised by functions written for another library's arrays
            refusal = refusal or error
            continue
        for name, value in values.items():
            if getattr(value, "shape", None) != D.shape:
                actual = f"shape {tuple(value.shape)}" if hasattr(value, "shape") else repr(value)
                raise ValueError(
                    f"{name} of log-odds of shape {tuple(D.shape)} is {actual}; return an array of the same shape"
                )
        bits = 64 if str(values["loss"].dtype).endswith("float64") else 32
        h = STEPS[bits]

        def slope(D: Array) -> Array:
            return functions["gain"](D) * namespace(D).exp(log_sigmoid(D))

        def differences(function: Callable[[Array], Array], D: Array = D, h: float = h) -> list[float]:
            return _floats((function(D + h) - function(D - h)) / (2 * h))

        pairs = [zip(differences(functions["loss"]), _floats(slope(D)), strict=True)]
        if "curvature" in functions:
            pairs.append(zip(differences(slope), _floats(values["curvature"]), strict=True))
        return bits, _floats(D), *pairs
    names = " or ".join(functions)
    raise TypeError(f"{names} cannot be called with an array of log-odds: {refusal}") from refusal


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
