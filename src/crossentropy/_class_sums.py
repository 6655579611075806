"""Quantities of distributions, added up over the classes: by the native kernel where it serves, else by formulas."""

import math
from collections.abc import Callable
from typing import Any

from crossentropy._arguments.distributions import check_shapes, check_values
from crossentropy._arguments.unit_sums import rounding_tolerance
from crossentropy._backends import Array, namespace, total
from crossentropy._backends.dtypes import sum_tolerance
from crossentropy._entropy_terms import SCALE, cross_entropy_terms, divergence, entropy_terms, unit
from crossentropy._statistics.cpu.distributions import distribution_sums, kernel_memory
from crossentropy._statistics.cpu.memory import Memory

__all__ = ["ClassSum", "divergence_from_marginals"]


class ClassSum:
    """A quantity of checked distributions, summed over the classes: in nats and not rounded, and the dtype to round to.

    On the CPU one native sweep adds it up and checks the entries; elsewhere, and where a gradient is needed, formulas.
    `is_finite` tells whether all sums are known to be finite.
    """

    def __init__(
        self, quantity: str, axis: int | tuple[int, ...], normalize: bool, keepdims: bool, **arguments: Any
    ) -> None:
        xp, named, axes = check_shapes(axis, **arguments)
        arrays = list(named.values())
        memory = kernel_memory(arrays)
        found = None
        if memory is not None and not normalize:
            found = distribution_sums(memory, quantity, arrays, axes)
            misses = (found.p_miss, found.q_miss)
            if not (found.valid and all(map(_is_rounding, arrays, misses, [axes] * 2))):
                found = None
        if found is None:
            arrays = check_values(named, axes, normalize)
            if memory is not None:
                found = distribution_sums(memory, quantity, arrays, axes)
        self.is_finite = found is not None and found.finite
        self.dtype = xp.result_type(*arrays, xp.float32)
        if found is None:
            self.nats = total(FORMULAS[quantity](*arrays), axes, keepdims=keepdims)
            self.nats = self.nats / SCALE if quantity in SCALED else self.nats
        else:
            self.nats = found.values
            if keepdims:
                for k in sorted(k + max(x.ndim for x in arrays) for k in axes):
                    self.nats = xp.expand_dims(self.nats, axis=k)

    def in_units(self, base: float | None, times: float = 1.0) -> Array:
        """Return the sum in units of ``log base`` (None for nats), divided by `times` and rounded once."""
        return namespace(self.nats).astype(self.nats / (times * unit(base)), self.dtype)


def divergence_from_marginals(
    memory: type[Memory], P: Array, axes: tuple[int, ...], *, checks: bool
) -> Array | None:
    """Sum ``KL(P ‖ a bᵀ)`` over two axes by the native kernel, in nats; ``a`` and ``b`` are the sums over each.

    None if `checks` are asked for and ``P`` does not pass them as it is.
    """
    xp = namespace(P)
    P = P if axes == (-2, -1) else xp.moveaxis(P, axes, (-2, -1))
    a, b = total(P, -1), xp.astype(total(P, -2), P.dtype, copy=False)
    whole = xp.sum(a, axis=-1, keepdims=True)
    if checks and not bool(xp.all(abs(whole - 1) <= sum_tolerance(P))):
        return None
    found = distribution_sums(memory, "divergence", (P, b), (-1,), factors=memory.contiguous(a / whole))
    return total(found.values, -1) if found.valid or not checks else None


def _is_rounding(x: Array, miss: float, axes: tuple[int, ...]) -> bool:
    """Tell whether sums that miss one by so much are one, as precisely as the numbers of the distributions are."""
    return miss <= sum_tolerance(x) or miss <= rounding_tolerance(x, math.prod(x.shape[k] for k in axes))


def _divergence(p: Array, q: Array) -> Array:
    """Compute the terms of `kl_divergence`, multiplied by `SCALE`."""
    p, q = SCALE * p, SCALE * q
    return divergence(p, q, difference=p - q)


def _jensen_shannon(p: Array, q: Array) -> Array:
    """Compute the terms of twice `js_divergence`, multiplied by `SCALE`."""
    p, q = SCALE * p, SCALE * q
    middle, half_way = (p + q) / 2, (p - q) / 2
    return divergence(p, middle, difference=half_way) + divergence(q, middle, difference=-half_way)


FORMULAS: dict[str, Callable[..., Array]] = {
    "entropy": entropy_terms,
    "cross_entropy": cross_entropy_terms,
    "divergence": _divergence,
    "jensen_shannon": _jensen_shannon,
}
SCALED = ("divergence", "jensen_shannon")
