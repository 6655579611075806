"""Indices, labels and transform of a block of rows and classes: how logits are found in memory and become ``u``."""

import triton
import triton.language as tl

from crossentropy._kernels.triton.arithmetic import tanh_and_slope


@triton.jit
def rows_of_program(inner, ROWS: tl.constexpr):
    """Return the rows of a program: their common outer index, their inner indices, and their flat indices."""
    blocks = tl.cdiv(inner, ROWS)
    program = tl.program_id(0).to(tl.int64)
    outer = program // blocks
    within = (program % blocks) * ROWS + tl.arange(0, ROWS)
    return outer, within, outer * inner + within


@triton.jit
def scale_of_rows(row, present, scale, scales, scale_step):
    """Return ``1/temperature`` of each row in float64; `scale_step` is 0 for one temperature, 1 for one per row."""
    if scales is None:
        return tl.full(row.shape, scale, tl.float64)
    else:
        return tl.load(scales + row * scale_step, mask=present, other=1.0)


@triton.jit
def labels_of_rows(indices, row, present, k, ignore_index, classes, KPAD: tl.constexpr):
    """Load labels, (rows, KPAD), −1 if out of range; mask first occurrences, ignored rows, others out of range."""
    slot = tl.arange(0, KPAD)[None, :]
    here = present[:, None] & (slot < k)
    labels = tl.load(indices + row[:, None] * k + slot, mask=here, other=-1)
    ignored = row != row
    if ignore_index is not None:
        ignored = tl.max((here & (labels == ignore_index)).to(tl.int32), axis=1) > 0
    known = (labels >= 0) & (labels < classes)
    bad = (tl.max((here & ~known).to(tl.int32), axis=1) > 0) & ~ignored
    labels = tl.where(known, labels, -1).to(tl.int32)
    first = here & known
    if KPAD > 1:
        for j in range(k):
            label = column(labels, j, KPAD)
            first = first & ~((slot > j) & (labels == label[:, None]))
    return labels, first, ignored, bad


@triton.jit
def column(x, j, KPAD: tl.constexpr):
    """Select the j-th column of a block of shape (rows, KPAD)."""
    return tl.sum(tl.where(tl.arange(0, KPAD)[None, :] == j, x, 0), axis=1)


@triton.jit
def on_labels(cls, labels, k, KPAD: tl.constexpr):
    """Mask the entries of a block of classes that are labels of their rows."""
    on = cls[None, :] == column(labels, 0, KPAD)[:, None]
    if KPAD > 1:
        for j in range(1, k):
            on = on | (cls[None, :] == column(labels, j, KPAD)[:, None])
    return on


@triton.jit
def bias_of(bias, cls, valid):
    """Load the bias of some classes; None if there is no bias."""
    if bias is None:
        return None
    else:
        return tl.load(bias + cls, mask=valid, other=0.0)


@triton.jit
def transformed(z, inside, scale, softcap, bias, CAPPED: tl.constexpr):
    """Compute ``softcap(z)``, or with a bias ``scale·softcap(z) + bias``, and the derivative of the softcap.

    Entries outside the rows were loaded as −∞ and remain −∞.
    """
    slope = z
    if CAPPED:
        cap = tl.full((1, 1), softcap, tl.float64).to(z.dtype)
        tanh, slope = tanh_and_slope(z / cap)
        z = cap * tanh
    if bias is not None:
        z = tl.fma(scale.to(z.dtype)[:, None] + tl.zeros_like(z), z, bias + tl.zeros_like(z))
    if CAPPED or bias is not None:
        z = tl.where(inside, z, float("-inf"))
    return z, slope


@triton.jit
def margins_of(cls, inside, scale, margin, margins, margin_step, SCALED: tl.constexpr):
    """Load the margins of some classes in float64, times the scale if ``u`` includes it already."""
    if margins is None:
        values = tl.full((1, 1), margin, tl.float64)
    else:
        values = tl.load(margins + cls * margin_step, mask=inside, other=0.0)
    if SCALED:
        values = values * scale[:, None]
    return values
