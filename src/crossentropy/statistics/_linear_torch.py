"""The statistics of logits that are never held: of ``Σ x Mᵀ + b``, made a block of rows at a time.

Forward, a buffer takes the logits of some hundred rows, their statistics are formed, and it takes the next. Backward
they are made again, a tile of classes at a time, and become their own gradient where they lie. The products run over
the same blocks and tiles forward and backward, the last block filled up with zeros, and sums go in the order of the
tiles; both are constants, so that where products are our own, bits depend on nobody's memory.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import Function

from crossentropy.statistics import _torch as rowwise
from crossentropy.statistics._head_torch import Head, HeadGradients
from crossentropy.statistics._memory_torch import is_compiled
from crossentropy.statistics._products_torch import apart, brought, product, rows_apart
from crossentropy.statistics._torch import LEARNABLE, Settings, Tensors
from crossentropy.statistics._unlikely_torch import add_targets, tops, unlikely
from crossentropy.statistics.blocks import slices, up
from crossentropy.statistics.problem import Cotangents, Planes
from crossentropy.statistics.problem import of_rows as rows_of_planes

TILE = 2048  # classes in a tile, twice as many in half precision
BLOCK = 512  # rows in a product, at most
BUFFER = 1 << 25  # entries of a block's logits, at most
GROUP = 2048  # rows whose tiles are in memory at once, backward
ON_DEVICE = 4  # times as many of each on a GPU, whose products are the faster for it
LOGIT_BIAS = Tensors._fields.index("logit_bias")


def linear_kernel(device: str) -> Any:
    """The module of a device's own forward pass; None if it has none."""
    if device != "cuda":
        return None
    from crossentropy.statistics import _linear_triton

    return _linear_triton


def rows_in_a_block(head: Head) -> int:
    """A power of two, from 16 to BLOCK, by the device and the numbers of rows and classes alone."""
    height, buffer = BLOCK * _scale(head), BUFFER * _scale(head)
    while height > 16 and (height * head.classes > buffer or height >= 2 * head.rows):
        height //= 2
    return height


def tiles_of(head: Head) -> list[slice]:
    """The classes, a tile at a time."""
    return slices(head.classes, TILE * _scale(head) * 4 // min(head.dtype.itemsize, 4))


def _scale(head: Head) -> int:
    return 1 if head.factors[0].device.type == "cpu" else ON_DEVICE


def blocks_of_logits(head: Head, height: int) -> Iterator[tuple[slice, Tensor]]:
    """Rows, and their logits in a buffer that the next ones use again."""
    buffer = head.room(height, head.classes)
    for rows in slices(head.rows, height):
        write_tiles(head, rows, buffer)
        yield rows, buffer[: rows.stop - rows.start]


def write_tiles(head: Head, rows: slice, out: Tensor) -> None:
    """Write the logits of `rows` and of every class."""
    for classes in tiles_of(head):
        head.write(rows, classes, out[:, classes])


def statistics(settings: Settings, head: Head, tensors: Tensors, skip_below: float = 0.0) -> Planes:
    """Target statistics of the rows of `head`; ``tensors.logits`` is not looked at.

    With `skip_below`, which needs the log-partition and one label a row, the gradient leaves out what
    `_unlikely_torch` says, unless it is compiled.
    """
    if is_compiled():
        from crossentropy.statistics import _linear_torch_op

        return _linear_torch_op.statistics(settings, head, tensors)
    learning = (*head.factors, head.bias, *tensors[1:LEARNABLE])
    if torch.is_grad_enabled() and any(isinstance(x, Tensor) and x.requires_grad for x in learning):
        outputs = _LinearStatistics.apply(
            settings, skip_below, len(head.factors), *head.factors, head.bias, *tensors[1:]
        )
        return rowwise.named(outputs, settings, tensors)
    return forward(settings, head, tensors)


def forward(settings: Settings, head: Head, tensors: Tensors, largest: list[Tensor] | None = None) -> Planes:
    """The planes, a block of rows after the other; `largest` gets the `tops` of every block's tiles.

    On CUDA there is a kernel that makes what is asked for most with no logits at all.
    """
    kernel = linear_kernel(head.factors[0].device.type) if largest is None else None
    if kernel is not None and kernel.serves(settings, head, tensors):
        planes: Planes = kernel.forward(settings, head, tensors)
        return planes
    found, tiles = [], tiles_of(head)
    for rows, z in blocks_of_logits(head, rows_in_a_block(head)):
        block = of_rows(tensors, rows)
        found.append(rowwise.forward(settings, block._replace(logits=z)))
        if largest is not None and len(z):
            largest.append(tops(settings, block, z, tiles))
    joined: dict[str, Any] = {
        name: torch.cat([getattr(planes, name) for planes in found])
        for name in rowwise.plane_names(settings, tensors)
    }
    return Planes(**joined)


def of_rows(tensors: Tensors, rows: slice) -> Tensors:
    """What belongs to some rows."""

    def cut(x: Any) -> Any:
        return None if x is None else x[rows]

    temperature = tensors.temperature
    return tensors._replace(
        dense=cut(tensors.dense),
        mask=cut(tensors.mask),
        indices=cut(tensors.indices),
        temperature=cut(temperature) if temperature is not None and temperature.ndim else temperature,
    )


def of_classes(settings: Settings, tensors: Tensors, classes: slice) -> tuple[Settings, Tensors]:
    """What belongs to some classes: labels count from their first, and the prior's sum stays that of all.

    A label that is not among them is out of range, and the kernel then finds no target in its row.
    """

    def cut(x: Any) -> Any:
        return None if x is None else x[..., classes]

    first, ignored, margin = classes.start, settings.ignore_index, tensors.margin
    return settings._replace(ignore_index=None if ignored is None else ignored - first), tensors._replace(
        dense=cut(tensors.dense),
        mask=cut(tensors.mask),
        indices=None if tensors.indices is None else tensors.indices.to(torch.int64) - first,
        logit_bias=cut(tensors.logit_bias),
        margin=cut(margin) if margin is not None and margin.ndim else margin,
        class_weight=cut(tensors.class_weight),
        prior=cut(tensors.prior),
    )


def with_total(settings: Settings, tensors: Tensors, V: int) -> tuple[Settings, Tensors]:
    """The same with the prior spelt out and its sum known, so that a part of it can stand alone."""
    if not settings.has_prior or settings.prior_total is not None:
        return settings, tensors
    like: Tensor = next(x for x in tensors if x is not None)
    r = like.new_full((V,), 1 / V, dtype=torch.float64) if tensors.prior is None else tensors.prior
    total = r.double().sum()
    return settings._replace(
        prior_total=float(total) if total.device.type == "cpu" else total
    ), tensors._replace(prior=r)


class Gradients(NamedTuple):
    """By the factors, the bias, and ``tensors[1:LEARNABLE]``; None where not asked for."""

    factors: list[Tensor | None]
    bias: Tensor | None
    others: list[Tensor | None]


def backward(
    settings: Settings,
    head: Head,
    tensors: Tensors,
    planes: Planes,
    upstream: Cotangents,
    needs: Sequence[bool],
    needs_others: Sequence[bool],
    skipped: Sequence[Sequence[bool]] | None = None,
    logits: Tensor | None = None,
) -> Gradients:
    """Gradients from the planes of `forward`; the `logits` are made once more, unless they have been kept.

    `needs` is for the head's factors and its bias, `needs_others` for ``tensors[1:LEARNABLE]``; `skipped` says of every
    block and tile whether only the labels there have a gradient.
    """
    N, V = head.rows, head.classes
    height = rows_in_a_block(head)
    # What the classes of a row share, as its temperature, has its gradient formed over all of them at once.
    whole = any(needs_others)
    tiles = slices(V, V) if whole else tiles_of(head)
    group = height if whole or skipped else max(height, GROUP * _scale(head))
    settings, tensors = with_total(settings, tensors, V)
    sums = HeadGradients(head, needs, height)
    weights = [
        torch.empty_like(M) if need else None for (_, M), need in zip(head.pairs, needs[1:-1:2], strict=True)
    ]
    others: list[Sequence[Tensor | None]] = []
    memory = head.factors[0].new_empty(min(group, up(N, height)) * apart(tiles[0].stop))
    for t, classes in enumerate(tiles):
        sums.begin(classes)
        width = classes.stop - classes.start
        local, tile = of_classes(settings, tensors, classes)
        for rows in slices(N, group):
            part, saved, g = of_rows(tile, rows), rows_of_planes(planes, rows), rows_of_planes(upstream, rows)
            if skipped and skipped[rows.start // height][t]:
                add_targets(local, sums, rows.start, part, saved, g, width)
                continue
            n = rows.stop - rows.start
            blocks = [slice(i, i + height) for i in range(0, n, height)]
            z = rows_apart(memory, up(n, height), width)
            for block in blocks:
                at = slice(rows.start + block.start, min(rows.start + block.stop, rows.stop))
                if logits is None:
                    head.write(at, classes, z[block])
                else:
                    z[block][: at.stop - at.start] = logits[at, classes]
            dz, *rest = rowwise.backward(
                local,
                part._replace(logits=z[:n]),
                saved,
                g,
                (True, *needs_others),
                into=None if needs_others[LOGIT_BIAS - 1] else z[:n],
            )
            others.append(rest)
            if dz is not None:
                sums.add(rows, brought(dz, z[:n]), None if settings.several else part.indices)
        for into, found in zip(weights, sums.weights(), strict=True):
            if into is not None and found is not None:
                into[classes] = found
    factors = [d for pair in zip(sums.hidden(), weights, strict=True) for d in pair]
    names, parts = Tensors._fields[1:LEARNABLE], list(zip(*others, strict=True)) or [()] * (LEARNABLE - 1)
    return Gradients(
        factors, sums.bias(), [_over_rows(*x) for x in zip(names, parts, tensors[1:LEARNABLE], strict=True)]
    )


def _over_rows(name: str, parts: Sequence[Tensor | None], like: Tensor | None) -> Tensor | None:
    """Gradients of blocks of rows as one: side by side where every row has its own, else their sum."""
    found = [part for part in parts if part is not None]
    if like is None or not found:
        return None
    if name == "dense" or (name == "temperature" and like.ndim):
        return torch.cat(found)
    return torch.stack(found).sum(0, dtype=torch.float64).to(like.dtype)


class _LinearStatistics(Function):
    """``statistics`` with its gradients; those of a second order are the reference formulas' on all the logits."""

    @staticmethod
    def forward(
        ctx: Any, settings: Settings, skip_below: float, count: int, *inputs: Any
    ) -> tuple[Tensor, ...]:
        head, tensors = taken_apart(count, inputs)
        largest: list[Tensor] | None = [] if skip_below else None
        planes = forward(settings, head, tensors, largest)
        ctx.skipped = largest and unlikely(largest, planes.log_partition, skip_below)
        ctx.count = count
        return rowwise.keep(ctx, settings, tensors, planes, inputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        settings, count, saved = ctx.settings, ctx.count, ctx.saved_tensors
        size = count + len(Tensors._fields)  # the factors, the bias, and the tensors but for the logits
        head, tensors = taken_apart(count, saved[:size])
        names = rowwise.plane_names(settings, tensors)
        asked = ctx.needs_input_grad[3 : 3 + size]
        needs, needs_others = asked[: count + 1], asked[count + 1 : count + LEARNABLE]
        if rowwise.takes_formulas(tensors, grads):
            found = _differentiable_gradients(settings, head, tensors, names, grads, needs)
        else:
            planes = rowwise.named(saved[size:], settings, tensors)
            upstream = rowwise.cotangents(names, grads)
            found = backward(settings, head, tensors, planes, upstream, needs, needs_others, ctx.skipped)
        rest = (None,) * (len(Tensors._fields) - LEARNABLE)
        return (None, None, None, *found.factors, found.bias, *found.others, *rest)


def taken_apart(count: int, inputs: Sequence[Any]) -> tuple[Head, Tensors]:
    """The head and the tensors, without logits, from what a Function was given."""
    return Head(tuple(inputs[:count]), inputs[count]), Tensors(None, *inputs[count + 1 :])  # type: ignore[arg-type]


def _differentiable_gradients(
    settings: Settings,
    head: Head,
    tensors: Tensors,
    names: Sequence[str],
    grads: Sequence[Tensor | None],
    needs: Sequence[bool],
) -> Gradients:
    with torch.enable_grad():
        z = head.whole()
    dz, *others = rowwise.reference_gradients(settings, tensors._replace(logits=z), names, grads)
    factors: list[Tensor | None] = []
    for i, (x, M) in enumerate(head.pairs):
        of_x, of_M = needs[2 * i : 2 * i + 2]
        factors += [
            product(dz, M) if of_x and dz is not None else None,
            product(dz.T, x) if of_M and dz is not None else None,
        ]
    return Gradients(factors, dz.sum(0) if needs[-1] and dz is not None else None, others)
