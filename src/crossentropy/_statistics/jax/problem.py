"""What is static in a row problem of JAX arrays, and the problem by the formulas of all libraries."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from crossentropy._backends import Array
from crossentropy._rows import rows_shape
from crossentropy._statistics import formulas
from crossentropy._statistics.problem import (
    DIFFERENTIABLE,
    NONE_REQUESTED,
    Prior,
    Requested,
    RowStatistics,
    Target,
    Transform,
    statistic_names,
)

FORMS = ("label", "labels", "mask", "dense")
PRIORS = ("none", "uniform", "given")


@dataclass(frozen=True)
class RowProblem:
    """The statics of a problem; its arrays are the logits, the target, the prior if that is "given", and the bias.

    Attributes
    ----------
    axis : int
        The class axis from the end, so negative: batches come in front of what is there.
    form : {"label", "labels", "mask", "dense"}
        What the target is; "labels" are several a row.
    ignore_index : int or None
    prior : {"none", "uniform", "given"}
    requested : Requested
    dtype : str
        Of the statistics.
    temperature : float
        The divisor of the logits.
    has_bias : bool
        Whether a number for each class is added to them then.
    few : bool
        Whether there are so few classes, and nothing asked for but the log-odds of labels, that their gradient is
        computed with them. It takes the place of the statistics that only the pullback needs.
    with_gradient : bool
        Whether it is, as the last of the statistics.
    moving : tuple of int
        Which arrays have tangents: 0, the logits, or 1, a dense target, or both. Of tangents and pullbacks alone.
    cotangents : tuple of str
        The statistics whose cotangents are not known to be 0. Of pullbacks alone.
    """

    axis: int
    form: str
    ignore_index: int | None
    prior: str
    requested: Requested = NONE_REQUESTED
    dtype: str = "float32"
    temperature: float = 1.0
    has_bias: bool = False
    few: bool = False
    with_gradient: bool = False
    moving: tuple[int, ...] = ()
    cotangents: tuple[str, ...] = ()

    @property
    def arrays(self) -> int:
        """How many arrays make the problem."""
        return 2 + (self.prior == "given") + self.has_bias

    @property
    def vectors(self) -> range:
        """The places of the vectors of classes, which a batch shares."""
        return range(2, self.arrays)

    @property
    def known(self) -> int:
        """How many arguments of the linear primitives come before those that they are linear in."""
        return self.arrays + len(self.names)

    def parts(self, arguments: Sequence[Any]) -> tuple[tuple[Any, ...], ...]:
        """Split the arguments of a primitive: the arrays of the problem, its statistics, and what follows."""
        first, second = self.arrays, self.known
        return tuple(arguments[:first]), tuple(arguments[first:second]), tuple(arguments[second:])

    def shapes(self, logits: Any, target: Any) -> list[tuple[int, ...]]:
        """The shapes of the statistics under `names`."""
        rows = rows_shape(logits.shape, len(logits.shape) + self.axis)
        each = (*rows, target.shape[-1]) if self.form == "labels" else rows
        shapes = {"log_odds": each, "gradient": tuple(logits.shape)}
        return [shapes.get(name, rows) for name in self.names]

    def dtypes(self, logits: Any) -> list[str]:
        """The dtypes of the statistics under `names`; a gradient has that in which the kernels compute."""
        wide = "float64" if logits.dtype.name == "float64" else "float32"
        return [wide if name == "gradient" else self.dtype for name in self.names]

    @property
    def names(self) -> tuple[str, ...]:
        """The statistics, with those that only the kernels' pullback needs, in the order of `RowStatistics`."""
        if self.few:
            return ("log_odds", "gradient") if self.with_gradient else ("log_odds",)
        target = self.target(0)
        present = {"log_odds"} if target.several else set[str]()
        present |= set(statistic_names(target, self.prior != "none", self.requested))
        return tuple(name for name in RowStatistics.__slots__ if name in present)

    @property
    def differentiable(self) -> tuple[str, ...]:
        """The statistics that have derivatives by the arrays that move."""
        names = (*DIFFERENTIABLE, "dense_total") if 1 in self.moving else DIFFERENTIABLE
        return tuple(name for name in self.names if name in names)

    def target(self, array: Any) -> Target:
        """The target that an array stands for."""
        if self.form == "mask":
            return Target(mask=array)
        if self.form == "dense":
            return Target(dense=array)
        return Target(indices=array, several=self.form == "labels", ignore_index=self.ignore_index)

    def statistics(self, *arrays: Array, idle: Array | None = None) -> RowStatistics:
        """The statistics of its arrays by the formulas, without those that only kernels need."""
        logits, target, *vectors = arrays
        bias = vectors.pop() if self.has_bias else None
        prior = None if self.prior == "none" else Prior(*vectors)
        return formulas.statistics(
            logits,
            logits.ndim + self.axis,
            self.target(target),
            Transform(self.temperature, logit_bias=bias),
            prior,
            self.requested,
            idle=idle,
        )

    def tangents(self, arrays: tuple[Array, ...], dots: tuple[Array, ...]) -> tuple[Array, ...]:
        """The tangents of its differentiable statistics, by the formulas."""

        def found(*moved: Array) -> tuple[Array, ...]:
            stats = self.statistics(*self.replaced(arrays, moved))
            return tuple(getattr(stats, name) for name in self.differentiable)

        return jax.jvp(found, self.moved(arrays), dots)[1]

    def pulled_back(self, arrays: tuple[Array, ...], cotangents: tuple[Array, ...]) -> tuple[Array, ...]:
        """The gradients by the arrays that move, by the formulas."""
        # A row without a gradient may be one that makes no sense, and 0 · NaN is NaN.
        flat = [
            jnp.all(x == 0, axis=-1) if self.form == "labels" and name == "log_odds" else x == 0
            for name, x in zip(self.cotangents, cotangents, strict=True)
        ]
        idle = flat[0]
        for other in flat[1:]:
            idle = idle & other

        def found(*moved: Array) -> tuple[Array, ...]:
            stats = self.statistics(*self.replaced(arrays, moved), idle=idle)
            return tuple(getattr(stats, name) for name in self.cotangents)

        _, pull = jax.vjp(found, *self.moved(arrays))
        return pull(cotangents)

    def moved(self, arrays: tuple[Array, ...]) -> tuple[Array, ...]:
        """Those of the arrays that move."""
        return tuple(arrays[i] for i in self.moving)

    def replaced(self, arrays: tuple[Array, ...], moved: tuple[Array, ...]) -> list[Array]:
        """The arrays, with others in place of those that move."""
        result = list(arrays)
        for i, x in zip(self.moving, moved, strict=True):
            result[i] = x
        return result
