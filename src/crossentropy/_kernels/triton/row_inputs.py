"""How a block of rows and classes is found in memory, and how logits become ``u``."""

import triton
import triton.language as tl

from crossentropy._kernels.triton.arithmetic import tanh_and_slope


@triton.jit
def rows_of_program(inner, ROWS: tl.constexpr):
    """The rows of a program: the outer index they share, their inner indices, and their numbers."""
    blocks = tl.cdiv(inner, ROWS)
    program = tl.program_id(0).to(tl.int64)
    outer = program // blocks
    within = (program % blocks) * ROWS + tl.arange(0, ROWS)
    return outer, within, outer * inner + within


@triton.jit
def scale_of_rows(row, present, scale, scales, scale_step):
    """``1/temperature`` of each row, in float64; a step of 0 is one for all."""
    if scales is None:
        return tl.full(row.shape, scale, tl.float64)
    else:
        return tl.load(scales + row * scale_step, mask=present, other=1.0)


@triton.jit
def labels_of_rows(indices, row, present, k, ignore_index, classes, KPAD: tl.constexpr):
    """Labels, a column for each, −1 outside the classes; which come first of their value; ignored and bad rows."""
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
    """The j-th column of what has a column for each label."""
    return tl.sum(tl.where(tl.arange(0, KPAD)[None, :] == j, x, 0), axis=1)


@triton.jit
def on_labels(cls, labels, k, KPAD: tl.constexpr):
    """Where a block of classes holds a label of its row."""
    on = cls[None, :] == column(labels, 0, KPAD)[:, None]
    if KPAD > 1:
        for j in range(1, k):
            on = on | (cls[None, :] == column(labels, j, KPAD)[:, None])
    return on


@triton.jit
def bias_of(bias, cls, valid):
    """The bias of some classes; None where there is none."""
    if bias is None:
        return None
    else:
        return tl.load(bias + cls, mask=valid, other=0.0)


@triton.jit
def transformed(z, inside, scale, softcap, bias, CAPPED: tl.constexpr):
    """``softcap(z)``, or with a bias ``scale·softcap(z) + bias``, and the slope of the softcap.

    What is not inside a row is read as −∞ and stays it.
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
    """What the margin takes off the logits of some classes, in float64; times the scale if ``u`` has it already."""
    if margins is None:
        found = tl.full((1, 1), margin, tl.float64)
    else:
        found = tl.load(margins + cls * margin_step, mask=inside, other=0.0)
    if SCALED:
        found = found * scale[:, None]
    return found
