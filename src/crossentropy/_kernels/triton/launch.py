"""Block sizes in rows and classes for the row kernels, and their launch."""

from typing import Any, NamedTuple

import torch
import triton

from crossentropy._kernels.triton.layout import on_device_of

MOST_BYTES = 32768  # most bytes in a block: 128 in the registers of each thread of eight warps
FEW_ENTRIES = 512  # most entries of short rows that share a program: every row adds work in float64
ROWS_ABREAST = 128  # rows in a block where neighbors in memory are rows
CLASSES_ABREAST = 32  # and classes in such a block, which one thread adds up


class Blocks(NamedTuple):
    """Numbers of rows and classes that a program takes at a time, and of its warps."""

    rows: int
    classes: int
    warps: int


def blocks(rows: int, classes: int, class_stride: int, row_stride: int, entry_bytes: int) -> Blocks:
    """Choose the block sizes, powers of two; `entry_bytes` is the size of what a program holds for each class.

    With contiguous classes a block is as much of one row as fits, or several short rows. With contiguous rows (the
    class axis before other axes), it has many rows and few classes.
    """
    width, height = triton.next_power_of_2(max(classes, 1)), triton.next_power_of_2(max(rows, 1))
    if row_stride == 1 and class_stride != 1:
        across, depth = min(height, ROWS_ABREAST), min(width, CLASSES_ABREAST)
        return Blocks(across, depth, max(1, across // 32))
    depth = min(width, MOST_BYTES // entry_bytes)
    across = min(height, max(1, FEW_ENTRIES // depth))
    return Blocks(across, depth, 8 if depth > 2048 else 4)


def launch(
    kernel: Any, outer: int, inner: int, block: Blocks, arguments: dict[str, Any], on: torch.Tensor
) -> None:
    """Launch `kernel` for ``outer · inner`` rows on the device and current stream of `on`."""
    programs = outer * -(-inner // block.rows)
    if programs == 0:
        return
    with on_device_of(on):
        kernel[(programs,)](
            **arguments,
            ROWS=block.rows,
            BLOCK=block.classes,
            num_warps=block.warps,
            enable_fp_fusion=False,  # so that forward and backward kernel compute the same u, bit for bit
        )
