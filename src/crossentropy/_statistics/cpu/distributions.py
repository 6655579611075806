"""Entropies and divergences of distributions by the native kernel: one sweep with their sums, for NumPy and PyTorch."""

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from crossentropy._backends import Array, is_numpy, is_torch, namespace
from crossentropy._kernels import _native
from crossentropy._statistics.cpu.memory import Memory, NumpyMemory, is_for_kernels

__all__ = ["QUANTITIES", "DistributionSums", "distribution_sums", "kernel_memory"]

#: As native/distributions/row_sums.hpp numbers them: Σ −p ln p, Σ −p ln q, Σ p ln(p/q) − p + q, and the last one to the
#: mean of both, added for both.
QUANTITIES = ("entropy", "cross_entropy", "divergence", "jensen_shannon")


class DistributionSums(NamedTuple):
    """The sums over the classes, float64 in the shape of the rows, and what has been seen of the entries.

    Attributes
    ----------
    values : array
    valid : bool
        Whether all entries are finite and at least 0.
    finite : bool
        Whether all values are finite.
    p_miss, q_miss : float
        How far the sum of a row of ``p``, and of ``q``, is from one at most, if all entries are valid.
    """

    values: Array
    valid: bool
    finite: bool
    p_miss: float
    q_miss: float


def kernel_memory(arrays: Sequence[Array]) -> type[Memory] | None:
    """Return the memory of arrays that the kernel can take; None if there are others, or a gradient is needed."""
    if all(is_numpy(x) and is_for_kernels(x) for x in arrays):
        return NumpyMemory
    if not all(map(is_torch, arrays)):
        return None
    import torch

    from crossentropy._statistics.cpu.memory_torch import CODES, TorchMemory, are_readable

    served = are_readable(*arrays) and all(x.dtype in CODES for x in arrays)
    learns = torch.is_grad_enabled() and any(x.requires_grad for x in arrays)
    return TorchMemory if served and not learns else None


def distribution_sums(
    memory: type[Memory],
    quantity: str,
    arrays: Sequence[Array],
    axes: tuple[int, ...],
    factors: Array | None = None,
) -> DistributionSums:
    """Sum a quantity of one or two distributions over the classes.

    Parameters
    ----------
    memory : Memory
        That of the arrays.
    quantity : str
        One of `QUANTITIES`.
    arrays : sequence of arrays
        ``p``, or ``p`` and ``q``, of shapes that broadcast.
    axes : tuple of int
        The axes of the classes, negative.
    factors : float64 array, optional
        Of a divergence with one axis of classes: what ``q`` is multiplied by in each row. ``q`` then has the shape of
        ``p`` without the axis of the rows, the last but one.
    """
    p, q = arrays[0], arrays[-1]
    if factors is None:
        if p.dtype != q.dtype or p.shape != q.shape:
            xp = namespace(p, q)
            dtype = xp.result_type(p, q)
            p, q = (xp.astype(x, dtype, copy=False) for x in xp.broadcast_arrays(p, q))
        p, q = _classes_last(p, axes), _classes_last(q, axes)
    rows, classes = tuple(p.shape[:-1]), int(p.shape[-1])
    period = int(p.shape[-2]) if factors is not None else 1
    kept = [memory.contiguous(p), memory.contiguous(q)]
    values = memory.empty(rows, "float64")
    seen = _native.distribution_sums(
        QUANTITIES.index(quantity),
        memory.address(kept[0]),
        memory.address(kept[1]),
        memory.codes[p.dtype],
        prod(rows),
        classes,
        0 if factors is None else memory.address(factors),
        period,
        memory.address(values),
        memory.threads(),
    )
    return DistributionSums(values, *seen)


def _classes_last(x: Array, axes: tuple[int, ...]) -> Array:
    """Bring the axes of the classes to the end, as one."""
    if axes == (-1,):
        return x
    xp = namespace(x)
    others = [k for k in range(-x.ndim, 0) if k not in axes]
    moved = xp.permute_dims(x, tuple(k + x.ndim for k in (*others, *axes)))
    return xp.reshape(moved, (*(x.shape[k] for k in others), prod(x.shape[k] for k in axes)))
