"""Tiles of classes and blocks of rows of a linear head: their sizes, and the part of a row problem within one."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from crossentropy._statistics.blocks import slices
from crossentropy._statistics.head.head import Head
from crossentropy._statistics.torch.problem import StaticArgs, TensorArgs, count_labels_from, map_rows

TILE = 2048  # classes in a tile; twice as many in half precision
BLOCK = 512  # most rows in a product
BUFFER = 1 << 25  # most entries of a block's logits
GROUP = 2048  # rows of a tile that are in memory at once, backward
ON_DEVICE = 4  # factor on each of these on a GPU, whose products are faster when larger


def rows_in_a_block(head: Head) -> int:
    """Choose the rows in a block, a power of two from 16 to BLOCK, from shape and type of device alone."""
    height, buffer = BLOCK * _scale(head), BUFFER * _scale(head)
    while height > 16 and (height * head.classes > buffer or height >= 2 * head.rows):
        height //= 2
    return height


def rows_in_a_group(head: Head) -> int:
    """Return the number of rows of a tile that are in memory at once, backward."""
    return GROUP * _scale(head)


def tiles_of(head: Head) -> list[slice]:
    """Split the classes into tiles."""
    return slices(head.classes, TILE * _scale(head) * 4 // min(head.dtype.itemsize, 4))


def _scale(head: Head) -> int:
    """Return the factor on all sizes for the head's device."""
    return 1 if head.factors[0].device.type == "cpu" else ON_DEVICE


def blocks_of_logits(head: Head, height: int) -> Iterator[tuple[slice, Tensor]]:
    """Yield blocks of rows and their logits, (rows, V), in one buffer that every block overwrites."""
    buffer = head.room(height, head.classes)
    for rows in slices(head.rows, height):
        write_tiles(head, rows, buffer)
        yield rows, buffer[: rows.stop - rows.start]


def write_tiles(head: Head, rows: slice, out: Tensor) -> None:
    """Write the logits of `rows` for all classes to `out`, tile by tile."""
    for classes in tiles_of(head):
        head.write(rows, classes, out[:, classes])


def of_rows(tensors: TensorArgs, rows: slice) -> TensorArgs:
    """Select the tensors' entries for some rows."""
    return map_rows(tensors, lambda x: x[rows])


def of_classes(settings: StaticArgs, tensors: TensorArgs, classes: slice) -> tuple[StaticArgs, TensorArgs]:
    """Restrict a problem to some classes: labels count from the first of them, the prior's sum remains over all."""

    def cut(x: Any) -> Any:
        return None if x is None else x[..., classes]

    settings, tensors = count_labels_from(classes.start, settings, tensors)
    margin = tensors.margin
    return settings, tensors._replace(
        dense=cut(tensors.dense),
        mask=cut(tensors.mask),
        logit_bias=cut(tensors.logit_bias),
        margin=cut(margin) if margin is not None and margin.ndim else margin,
        class_weight=cut(tensors.class_weight),
        prior=cut(tensors.prior),
    )


def with_total(settings: StaticArgs, tensors: TensorArgs, V: int) -> tuple[StaticArgs, TensorArgs]:
    """Write out the prior of V classes and its sum, so that the problem can be restricted to some classes."""
    if not settings.has_prior or settings.prior_total is not None:
        return settings, tensors
    like: Tensor = next(x for x in tensors if x is not None)
    r = like.new_full((V,), 1 / V, dtype=torch.float64) if tensors.prior is None else tensors.prior
    total = r.double().sum()
    return settings._replace(
        prior_total=float(total) if total.device.type == "cpu" else total
    ), tensors._replace(prior=r)
