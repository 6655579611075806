"""What a catalogue case is: one way of calling one public loss, and the truth about it.

A case holds NumPy arrays. `inputs` are passed by position and differentiated; `given` by keyword, arrays among
them turned into the framework's own; `parameters` by keyword and differentiated too. Its `truth` takes all of
them by the same names, in NumPy, and returns the loss of every row before weights (or one number where
a loss has no rows).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

ROWS, CLASSES = 5, 4
LABELS = np.array([2, 0, 3, 1, 0])
SOFT = np.random.default_rng(3).dirichlet(np.ones(CLASSES), size=ROWS)


def logits(seed: int = 0, shape: tuple[int, ...] = (ROWS, CLASSES), scale: float = 2.0) -> np.ndarray:
    """Numbers without ties, in float32 already, so that both precisions see the same ones."""
    rng = np.random.default_rng([7, seed])
    return np.asarray(scale * rng.normal(size=shape)).astype(np.float32).astype(np.float64)


@dataclass(frozen=True)
class Case:
    """One way of calling one public loss.

    Parameters
    ----------
    loss : str
        Its name in `crossentropy.losses`.
    inputs : arrays by name
        Floating arrays, passed by position in this order.
    truth : function
        ``truth(**inputs, **parameters, **given)``: float64 losses of the rows, unweighted, or one number.
    given, parameters : by name
        Everything else; `parameters` are differentiated.
    variant : str
        Tells the cases of one loss apart.
    rows : bool
        Whether it has a loss for every row, and so `reduction` and `sample_weight`.
    mean : function, optional
        Mean of the rows' losses ``(losses, weights)``, weights included, where it is not Σωℓ/Σω.
    options : bool
        Whether it passes on the options of `softmax_cross_entropy`: `class_weight`, `ignore_index`, …
    shift_invariant : bool
        Whether adding a number to a row of the first input changes nothing.
    extreme : str
        How its inputs can be driven to their ends: "softmax", "sigmoid", "cosine", or "" for not at all.
    link : str
        The link that this case is of, if it is there for the link's sake.
    make : function, optional
        ``make(losses)``: what is called, of the module `crossentropy.losses`, if not the name itself.
    hold : bool
        Whether the truth takes ``held``, the first input as it is where it is not differentiated.
    reach : float
        How far its logits are driven: less where the loss itself is more than a float32 holds.
    independent_rows : bool
        Whether a row's loss looks at that row alone: then a row of weight 0 may hold NaN.
    libraries : names
        The array libraries it is for.
    twice : bool
        Whether PyTorch's second derivative is tested: not of a loss that is straight, or moves what is held.
    step : float
        Of the differences that its truth is differentiated by.
    digits, digits32 : float
        Relative error allowed against the truth in float64 and in float32.
    """

    loss: str
    inputs: Mapping[str, np.ndarray]
    truth: Callable[..., Any]
    given: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, np.ndarray] = field(default_factory=dict)
    variant: str = ""
    rows: bool = True
    mean: Callable[[np.ndarray, np.ndarray], float] | None = None
    options: bool = False
    shift_invariant: bool = False
    extreme: str = ""
    reach: float = 1e4
    link: str = ""
    make: Callable[[Any], Callable[..., Any]] | None = None
    hold: bool = False
    independent_rows: bool = True
    libraries: tuple[str, ...] = ("numpy", "torch", "jax", "array_api_strict")
    twice: bool = True
    step: float = 1e-3
    digits: float = 1e-12
    digits32: float = 1e-5

    @property
    def name(self) -> str:
        return f"{self.loss}-{self.variant}" if self.variant else self.loss

    def function(self, losses: Any) -> Callable[..., Any]:
        """What is called; an AttributeError names a loss that the package does not have."""
        own = getattr(losses, self.loss)
        return own if self.make is None else self.make(losses)

    @property
    def differentiable(self) -> dict[str, np.ndarray]:
        return {**self.inputs, **self.parameters}

    def losses(self, changed: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
        """The truth, at these inputs or with some of them changed."""
        values = {**self.inputs, **self.parameters, **self.given, **(changed or {})}
        with np.errstate(all="ignore"):
            return np.asarray(self.truth(**values), dtype=np.float64)

    def slopes(
        self, name: str, cotangent: Any = 1.0, changed: Mapping[str, np.ndarray] | None = None
    ) -> np.ndarray:
        """Σ cotangent · truth differentiated by one input, by central differences of fourth order."""
        changed = dict(changed or {})
        if self.hold:
            first = next(iter(self.inputs))
            changed["held"] = changed.get(first, self.inputs[first])
        at = np.asarray({**self.differentiable, **changed}[name], dtype=np.float64)
        slope = np.zeros_like(at)
        for index in np.ndindex(at.shape):
            h = self.step * max(1.0, abs(at[index]) * 1e-3)

            def value(step: float, index: tuple[int, ...] = index) -> np.ndarray:
                moved = at.copy()
                moved[index] += step
                return self.losses({**changed, name: moved})

            near, far = value(h) - value(-h), value(2 * h) - value(-2 * h)
            slope[index] = np.sum(cotangent * (8 * near - far)) / (12 * h)
        return slope


@dataclass(frozen=True)
class Helper:
    """A public function that is no loss: how it is called, and what it must return, in NumPy.

    `arrays` are passed by position, `options` by keyword; the truth takes both.
    """

    function: str
    arrays: tuple[Any, ...]
    truth: Callable[..., Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    variant: str = ""
    libraries: tuple[str, ...] = ("numpy", "torch", "jax", "array_api_strict")
    digits: float = 1e-12

    @property
    def name(self) -> str:
        return f"{self.function}-{self.variant}" if self.variant else self.function


@dataclass(frozen=True)
class LinkCase:
    """A link and its φ as a function of a probability and its complement, in mpmath.

    `phi(p, q, log_p, log_q)` with q = 1 − p: every one with all its digits. `ends` is φ at p = 1 and p = 0.
    """

    link: str
    arguments: Mapping[str, Any]
    phi: Callable[..., Any]
    ends: tuple[float, float]

    @property
    def name(self) -> str:
        inside = ",".join(f"{k}={v}" for k, v in self.arguments.items())
        return f"{self.link}({inside})"
