"""Divergences of rows of logits by the native kernel, in one sweep with their derivatives, for NumPy and PyTorch."""

from collections.abc import Sequence

from crossentropy._backends import Array
from crossentropy._engine.divergence.formulas import Divergence
from crossentropy._kernels import _native
from crossentropy._rows import rows_shape
from crossentropy._statistics import Transform
from crossentropy._statistics.cpu.kernel import lay_out
from crossentropy._statistics.cpu.memory import Memory

#: As native/classes/divergence.hpp numbers them.
KINDS = ("forward", "reverse", "jensen-shannon")


def divergence_rows(
    memory: type[Memory],
    divergence: Divergence,
    logits: Sequence[Array],
    axis: int,
    transform: Transform,
    live: Array | None,
    wanted: Sequence[bool],
) -> tuple[Array, list[Array | None]]:
    """Compute the divergence of every row and its derivatives by those of the logits that are wanted.

    The divergences are float64 in the shape of the rows; a derivative has the shape and the dtype of its logits, but
    of half precision it is in float32, for it is still to be multiplied.
    """
    kept = [lay_out(memory, z, axis) for z in logits]
    slopes = [
        memory.empty_like(x.array, "float32" if memory.codes[x.array.dtype] > 1 else None) if want else None
        for x, want in zip(kept, wanted, strict=True)
    ]
    absent = _native.View(0, 0, 0, 0, 0)
    views = [absent if s is None else lay_out(memory, s, axis).view(memory) for s in slopes]
    values = memory.empty(rows_shape(tuple(logits[0].shape), axis), "float64")
    alive = None if live is None else memory.contiguous(live, "bool")
    _native.divergence_rows(
        KINDS.index(divergence.kind),
        [x.view(memory) for x in kept],
        _native.Shape(kept[0].outer, kept[0].classes, kept[0].inner),
        1.0 / float(transform.temperature),
        0 if alive is None else memory.address(alive),
        memory.address(values),
        views if any(wanted) else [],
        memory.threads(),
    )
    return values, slopes
