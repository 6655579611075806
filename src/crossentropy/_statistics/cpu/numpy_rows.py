"""The statistics of NumPy arrays by the native kernels, and their vector-Jacobian product."""

from dataclasses import replace

from crossentropy._backends import Array, is_taped, loss_dtype
from crossentropy._backends.tape import Taped, plain, several
from crossentropy._rows import rows_shape
from crossentropy._statistics import formulas
from crossentropy._statistics.cpu.kernel import RowKernel
from crossentropy._statistics.cpu.memory import NumpyMemory, is_for_kernels
from crossentropy._statistics.label_errors import bad_label_error
from crossentropy._statistics.problem import (
    DIFFERENTIABLE,
    Cotangents,
    Prior,
    Requested,
    RowStatistics,
    Target,
    Transform,
    clip_to_dtype,
)


def statistics(
    logits: Array,
    axis: int,
    target: Target,
    transform: Transform,
    prior: Prior | None,
    requested: Requested,
    validate: bool,
    idle: Array | None,
) -> RowStatistics:
    """Compute the target statistics of every row along `axis`; those of taped logits are on the tape."""
    # Long double: the kernels compute in float64 at most. Or there are no kernels.
    if not is_for_kernels(plain(logits)):
        return formulas.statistics(
            logits, axis, target, transform, prior, requested, validate=validate, idle=idle
        )
    if is_taped(logits):
        return _taped_statistics(logits, axis, target, transform, prior, requested, validate)
    kernel = RowKernel(NumpyMemory, logits, axis, target, transform, prior)
    stats = kernel.statistics(target, rows_shape(logits.shape, axis), requested)
    if stats.bad_row >= 0 and validate:
        raise bad_label_error(target, stats.bad_row, logits.shape[axis])
    return stats


def _taped_statistics(
    logits: Taped,
    axis: int,
    target: Target,
    transform: Transform,
    prior: Prior | None,
    requested: Requested,
    validate: bool,
) -> RowStatistics:
    """Compute the statistics of taped logits; the tape records one pullback of the kernel for all of them."""
    problem, rows = (plain(logits), axis, target, transform, prior), rows_shape(logits.shape, axis)
    stats = statistics(*problem, requested, validate, None)
    names = [name for name in DIFFERENTIABLE if getattr(stats, name) is not None]

    def pull(upstream: list[Array]) -> Array:
        slopes = [clip_to_dtype(g, loss_dtype(plain(logits))) for g in upstream]
        upstream_of = Cotangents(**dict(zip(names, slopes, strict=True)))
        return RowKernel(NumpyMemory, *problem).pullback(stats, upstream_of, rows).logits

    taped = several([getattr(stats, name) for name in names], logits, pull)
    return replace(stats, **dict(zip(names, taped, strict=True)))
