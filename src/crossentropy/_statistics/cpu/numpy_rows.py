"""The statistics of NumPy arrays, and their pullback."""

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
    """Target statistics of every row along `axis`; of taped logits they are taped."""
    if is_taped(logits):
        return _taped_statistics(logits, axis, target, transform, prior, wanted, validate)
    if not is_for_kernels(logits):  # long double: wider than the kernels
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
    """What has a gradient of them has it by one pullback of the kernel."""
    given = (plain(logits), axis, target, transform, prior)
    planes = statistics(*given, wanted, validate, None)
    names = [name for name in DIFFERENTIABLE if getattr(planes, name) is not None]

    def pull(upstream: list[Array]) -> Array:
        slopes = [within_range(g, plain(logits)) for g in upstream]
        return pullback(*given, planes, Cotangents(**dict(zip(names, slopes, strict=True))))

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
    """The gradient by the logits, in their dtype, of what has the gradients `upstream` by the planes."""
    kernel = RowKernel(NumpyMemory, logits, axis, target, transform, prior)
    return kernel.pullback(planes, upstream, rows_shape(logits.shape, axis)).logits
