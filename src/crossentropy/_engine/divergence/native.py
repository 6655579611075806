"""Divergences of rows of logits by the native kernel, in one sweep with their derivatives, for NumPy and PyTorch."""

from collections.abc import Sequence

from crossentropy._backends import Array
from crossentropy._engine.divergence.formulas import Divergence
from crossentropy._kernels import _native
from crossentropy._rows import rows_shape
from crossentropy._statistics import Transform
from crossentropy._statistics.cpu.kernel import Layout, lay_out
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
    values = memory.empty(rows_shape(tuple(logits[0].shape), axis), "float64")
    alive = None if live is None else memory.contiguous(live, "bool")
    _native.divergence_rows(
        *_problem(memory, divergence, kept, transform, alive),
        memory.address(values),
        [_view(memory, s, axis) for s in slopes] if any(wanted) else [],
        memory.threads(),
    )
    return values, slopes


def derivatives_along(
    memory: type[Memory],
    divergence: Divergence,
    logits: Sequence[Array],
    axis: int,
    transform: Transform,
    live: Array | None,
    upstream: Array,
    directions: Sequence[Array | None],
) -> list[Array | None]:
    """Compute the second derivatives by logits along directions, times a float64 `upstream` of every row.

    They are by those of the logits that have a direction, in their dtype; the others are constant. The divergence is
    not the forward one, whose second derivative is that of cross-entropy.
    """
    kept = [lay_out(memory, z, axis) for z in logits]
    along = [None if v is None else lay_out(memory, v, axis) for v in directions]
    outs = [None if v is None else memory.empty_like(x.array) for x, v in zip(kept, along, strict=True)]
    alive = None if live is None else memory.contiguous(live, "bool")
    each = memory.contiguous(upstream, "float64")
    _native.divergence_rows_along(
        *_problem(memory, divergence, kept, transform, alive),
        memory.address(each),
        [_absent() if v is None else v.view(memory) for v in along],
        [_view(memory, x, axis) for x in outs],
        memory.threads(),
    )
    return outs


def _problem(
    memory: type[Memory],
    divergence: Divergence,
    kept: Sequence[Layout],
    transform: Transform,
    alive: Array | None,
) -> tuple[int, list[_native.View], _native.Shape, float, int]:
    """What the kernel is given first: the kind, the logits, their shape and scale, and which rows count."""
    return (
        KINDS.index(divergence.kind),
        [x.view(memory) for x in kept],
        _native.Shape(kept[0].outer, kept[0].classes, kept[0].inner),
        1.0 / float(transform.temperature),
        0 if alive is None else memory.address(alive),
    )


def _view(memory: type[Memory], x: Array | None, axis: int) -> _native.View:
    return _absent() if x is None else lay_out(memory, x, axis).view(memory)


def _absent() -> _native.View:
    return _native.View(0, 0, 0, 0, 0)
