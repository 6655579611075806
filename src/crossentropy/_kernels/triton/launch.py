"""How rows and classes are shared out to the programs of a kernel, and how it is started."""

from typing import Any, NamedTuple

import torch
import triton

from crossentropy._kernels.triton.layout import on_device_of

MOST_BYTES = 32768  # of a block: 128 in the registers of each thread of eight warps
FEW_ENTRIES = 512  # short rows share a program until they have so many, for a row has float64 work of its own
ROWS_ABREAST = 128  # where neighbors in memory are rows, so many are read side by side
CLASSES_ABREAST = 32  # and of so many classes at a time, which one thread adds up


class Blocks(NamedTuple):
    """Rows and classes that a program takes at a time, and the warps that share them."""

    rows: int
    classes: int
    warps: int


def blocks(rows: int, classes: int, class_stride: int, row_stride: int, entry_bytes: int) -> Blocks:
    """The blocks for so many rows side by side, powers of two; `entry_bytes` are what is worked on for each class.

    Along contiguous classes a block is as much of one row as fits, or several short rows. Where the rows are what is
    contiguous (a class axis before others), a block is wide in rows and shallow in classes.
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
    """Start `kernel` for ``outer · inner`` rows on the device and the current stream of `on`."""
    programs = outer * -(-inner // block.rows)
    if programs == 0:
        return
    with on_device_of(on):
        kernel[(programs,)](
            **arguments,
            ROWS=block.rows,
            BLOCK=block.classes,
            num_warps=block.warps,
            enable_fp_fusion=False,  # so that both kernels find the same u, bit for bit
        )
