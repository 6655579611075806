"""The statistics of NumPy arrays by the native kernels, and their vector-Jacobian product."""

from dataclasses import replace

from crossentropy._backends import Array, is_taped
from crossentropy._backends.tape import Taped, plain, several
from crossentropy._rows import rows_shape
from crossentropy._statistics import formulas
from crossentropy._statistics.cpu.kernel import RowKernel
from crossentropy._statistics.cpu.memory import NumpyMemory, is_for_kernels
from crossentropy._statistics.label_errors import bad_label_error
from crossentropy._statistics.problem import (
    DIFFERENTIABLE,
    Cotangents,
    Planes,
    Prior,
    Target,
    Transform,
    Wanted,
    within_range,
)


def statistics(
    logits: Array,
    axis: int,
    target: Target,
    transform: Transform,
    prior: Prior | None,
    wanted: Wanted,
    validate: bool,
    idle: Array | None,
) -> Planes:
    """Compute the target statistics of every row along `axis`; those of taped logits are on the tape."""
    if is_taped(logits):
        return _taped_statistics(logits, axis, target, transform, prior, wanted, validate)
    if not is_for_kernels(logits):  # long double: the kernels compute in float64 at most
        return formulas.statistics(
            logits, axis, target, transform, prior, wanted, validate=validate, idle=idle
        )
    kernel = RowKernel(NumpyMemory, logits, axis, target, transform, prior)
    planes = kernel.statistics(target, rows_shape(logits.shape, axis), wanted)
    if planes.bad_row >= 0 and validate:
        raise bad_label_error(
            target.indices, planes.bad_row, logits.shape[axis], target.ignore_index, several=target.several
        )
    return planes


def _taped_statistics(
    logits: Taped,
    axis: int,
    target: Target,
    transform: Transform,
    prior: Prior | None,
    wanted: Wanted,
    validate: bool,
) -> Planes:
    """Compute the statistics of taped logits; the tape records one pullback of the kernel for all of them."""
    problem = (plain(logits), axis, target, transform, prior)
    planes = statistics(*problem, wanted, validate, None)
    names = [name for name in DIFFERENTIABLE if getattr(planes, name) is not None]

    def pull(upstream: list[Array]) -> Array:
        slopes = [within_range(g, plain(logits)) for g in upstream]
        return pullback(*problem, planes, Cotangents(**dict(zip(names, slopes, strict=True))))

    taped = several([getattr(planes, name) for name in names], logits, pull)
    return replace(planes, **dict(zip(names, taped, strict=True)))


def pullback(
    logits: Array,
    axis: int,
    target: Target,
    transform: Transform,
    prior: Prior | None,
    planes: Planes,
    upstream: Cotangents,
) -> Array:
    """Compute the gradient with respect to the logits, in their shape and dtype, from the cotangents `upstream`."""
    kernel = RowKernel(NumpyMemory, logits, axis, target, transform, prior)
    return kernel.pullback(planes, upstream, rows_shape(logits.shape, axis)).logits
