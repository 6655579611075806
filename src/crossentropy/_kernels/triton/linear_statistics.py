"""The forward kernels of a linear head: target statistics of logits that are never stored, one label a row.

A program computes the logits of a block of rows and a share of the classes, a tile of classes at a time, and sums each
tile as the row kernel sums a block of classes. A logit is rounded to the head's dtype, and again after the bias is
added, so that both kernels see the same logits up to the order of the product's sum. A second kernel joins the shares
of a row. The number of shares depends on the problem's shape alone, and so do the bits.
"""

import triton
import triton.language as tl

from crossentropy._kernels.triton.arithmetic import finite_or_zero, log1p_nonnegative, softplus
from crossentropy._kernels.triton.log_sums import add_depths, add_terms, merged
from crossentropy._kernels.triton.products import add_product, as_stored
from crossentropy._kernels.triton.row_inputs import (
    bias_of,
    column,
    labels_of_rows,
    margins_of,
    scale_of_rows,
    transformed,
)


@triton.jit
def label_of_rows(
    indices,
    row,
    present,
    ignore_index,
    classes,
    scale,
    margin,
    margins,
    margin_step,
    MARGIN: tl.constexpr,
    SCALED: tl.constexpr,
):
    """Load the label and margin of each row, and mask the rows to be read and those with a label out of range."""
    labels, known, ignored, bad = labels_of_rows(indices, row, present, 1, ignore_index, classes, 1)
    live = present & ~ignored & ~bad
    label_margin = tl.zeros(labels.shape, tl.float64)
    if MARGIN:
        label_margin += margins_of(labels, known, scale, margin, margins, margin_step, SCALED)
    return column(labels, 0, 1), column(label_margin, 0, 1), live, bad


@triton.jit
def logits_of_tile(
    hidden_rows,
    weight_rows,
    head_bias,
    cls,
    live,
    valid,
    width,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    CLASSES: tl.constexpr,
    DEPTH: tl.constexpr,
):
    """Compute ``x Mᵀ + b`` for a block of rows and a tile of classes, rounded as if the logits were stored."""
    dtype: tl.constexpr = weight_rows.dtype.element_ty
    z = tl.zeros((ROWS, CLASSES), WIDE)
    for first in range(0, width, DEPTH):
        at = first + tl.arange(0, DEPTH)
        here = at < width
        x = tl.load(hidden_rows[:, None] + at[None, :], mask=live[:, None] & here[None, :], other=0.0)
        w = tl.load(weight_rows[None, :] + at[:, None], mask=valid[None, :] & here[:, None], other=0.0)
        z = add_product(z, x, w)
    z = as_stored(z, dtype)
    if head_bias is not None:
        z = as_stored(z + tl.load(head_bias + cls, mask=valid, other=0.0).to(WIDE)[None, :], dtype)
    return z


@triton.jit
def share_of_program(rows, shares, ROWS: tl.constexpr, GROUP: tl.constexpr):
    """Choose the block of rows and the share of the classes of a program.

    Programs that run at the same time cover few blocks of rows and few shares, which stay in the cache.
    """
    program, blocks = tl.program_id(0), tl.cdiv(rows, ROWS)
    first = program // (GROUP * shares) * GROUP
    height = tl.minimum(blocks - first, GROUP)
    within = program % (GROUP * shares)
    return first + within % height, within // height


@triton.jit
def linear_statistics(
    hidden,
    hidden_stride,
    weight,
    weight_stride,
    head_bias,
    rows,
    classes,
    width,
    indices,
    ignore_index,
    # the transform
    scale: tl.float64,
    scales,
    scale_step,
    softcap: tl.float64,
    bias,
    margin: tl.float64,
    margins,
    margin_step,
    prior,
    # partial statistics, (shares, rows); None for those not needed
    top_parts,
    rest_parts,
    own_parts,
    moment_parts,
    depth_parts,
    mass_parts,
    best_parts,
    place_parts,
    shares,
    share_classes,
    CAPPED: tl.constexpr,
    MARGIN: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    CLASSES: tl.constexpr,
    DEPTH: tl.constexpr,
    GROUP: tl.constexpr,
):
    """Store the partial statistics of a block of ROWS rows over one share of the classes."""
    block, share = share_of_program(rows, shares, ROWS, GROUP)
    row = block.to(tl.int64) * ROWS + tl.arange(0, ROWS)
    present = row < rows
    temperature = scale_of_rows(row, present, scale, scales, scale_step)
    scaled = temperature  # the scale still to be applied to differences of u
    if bias is not None:
        scaled = tl.full((ROWS,), 1.0, tl.float64)
    label, label_margin, live, _ = label_of_rows(
        indices,
        row,
        present,
        ignore_index,
        classes,
        temperature,
        margin,
        margins,
        margin_step,
        MARGIN,
        bias is not None,
    )
    hidden_rows = hidden + row * hidden_stride

    top, zero = tl.full((ROWS,), float("-inf"), tl.float64), tl.zeros((ROWS,), tl.float64)
    rest, moment = zero, zero
    depth, mass, base = zero, zero, zero
    label_logit = tl.zeros((ROWS,), WIDE)
    best, place = tl.full((ROWS,), float("-inf"), WIDE), tl.zeros((ROWS,), tl.int64)

    # Ignored and invalid rows are not read; if the program has no others, the loop does not run.
    start = share * share_classes
    end = tl.minimum(start + share_classes, classes)
    end = tl.where(tl.max(live.to(tl.int32), axis=0) > 0, end, start)
    for first in range(start, end, CLASSES):
        cls = first + tl.arange(0, CLASSES)
        valid = cls < classes
        inside = live[:, None] & valid[None, :]
        weight_rows = weight + cls.to(tl.int64) * weight_stride
        z = logits_of_tile(
            hidden_rows, weight_rows, head_bias, cls, live, valid, width, WIDE, ROWS, CLASSES, DEPTH
        )
        z = tl.where(inside, z, float("-inf"))
        bias_values = bias_of(bias, cls[None, :], valid[None, :])
        u = transformed(z, inside, temperature, softcap, bias_values, CAPPED)[0]

        on = cls[None, :] == label[:, None]
        label_logit += tl.sum(tl.where(on, u, 0.0), axis=1)
        if best_parts is not None:
            contested = u
            if MARGIN:
                contested = tl.where(on, (u.to(tl.float64) - label_margin[:, None]).to(WIDE), u)
            contested = tl.where(contested == contested, contested, float("-inf"))
            highest, at = tl.max(contested, axis=1, return_indices=True)
            place = tl.where(highest > best, first + at.to(tl.int64), place)
            best = tl.where(highest > best, highest, best)
        off_target = tl.where(on, float("-inf"), u)
        top, rest, moment = add_terms(off_target, scaled, top, rest, moment, moment_parts is not None)
        if depth_parts is not None:
            weights = inside.to(WIDE)
            if prior is not None:
                weights = tl.where(inside, tl.load(prior + cls, mask=valid, other=0.0)[None, :], 0.0)
            weights = tl.where(on, 0.0, weights)  # the label's is added by the second kernel
            depth, mass, base = add_depths(off_target, weights, top, depth, mass, base)

    at = share.to(tl.int64) * rows + row
    tl.store(top_parts + at, top, mask=present)
    tl.store(rest_parts + at, rest, mask=present)
    tl.store(own_parts + at, label_logit, mask=present)
    if moment_parts is not None:
        tl.store(moment_parts + at, moment, mask=present)
    if depth_parts is not None:
        tl.store(depth_parts + at, depth, mask=present)
        tl.store(mass_parts + at, mass, mask=present)
    if best_parts is not None:
        tl.store(best_parts + at, best, mask=present)
        tl.store(place_parts + at, place, mask=present)


@triton.jit
def join_shares(
    rows,
    classes,
    indices,
    ignore_index,
    scale: tl.float64,
    scales,
    scale_step,
    bias,
    margin: tl.float64,
    margins,
    margin_step,
    prior,
    # partial statistics, (shares, rows)
    top_parts,
    rest_parts,
    own_parts,
    moment_parts,
    depth_parts,
    mass_parts,
    best_parts,
    place_parts,
    shares,
    # the statistics; None for those not requested
    log_odds_plane,
    top_plane,
    rest_plane,
    log_partition_plane,
    L_above_top_plane,
    prior_term_plane,
    entropy_plane,
    argmax_plane,
    MARGIN: tl.constexpr,
    ROWS: tl.constexpr,
    SHARES: tl.constexpr,
):
    """Join the partial statistics of ROWS rows per program, and store the statistics in float64."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    present = row < rows
    temperature = scale_of_rows(row, present, scale, scales, scale_step)
    scaled = temperature
    if bias is not None:
        scaled = tl.full((ROWS,), 1.0, tl.float64)
    label, label_margin, live, bad = label_of_rows(
        indices,
        row,
        present,
        ignore_index,
        classes,
        temperature,
        margin,
        margins,
        margin_step,
        MARGIN,
        bias is not None,
    )
    share = tl.arange(0, SHARES)[None, :]
    at = share.to(tl.int64) * rows + row[:, None]
    here = live[:, None] & (share < shares)

    # The highest of all tops is kept out of the rest; all other sums are expressed relative to it.
    tops = tl.load(top_parts + at, mask=here, other=float("-inf"))
    rests = tl.load(rest_parts + at, mask=here, other=0.0)
    top, highest = tl.max(tops, axis=1, return_indices=True)
    base = finite_or_zero(top)
    reaches = (finite_or_zero(tops) - base[:, None]) * scaled[:, None]
    weights = tl.where(tops == float("-inf"), 0.0, tl.exp(reaches))
    kept_out = share == highest[:, None]
    rest = tl.sum(tl.where(kept_out, rests, weights * (1.0 + rests)), axis=1)
    rest = tl.where(top == float("inf"), float("nan"), rest)
    moment = tl.zeros_like(rest)
    if moment_parts is not None:
        moments = tl.load(moment_parts + at, mask=here, other=0.0)
        moment = tl.sum(weights * (moments + reaches * (1.0 + rests)), axis=1)

    # From here on everything is relative to the base, after the scale.
    reach = (top - base) * scaled
    label_logit = tl.sum(tl.load(own_parts + at, mask=here, other=0.0), axis=1)
    label_logit = tl.where(
        label_logit == float("inf"), float("nan"), ((label_logit - base) - label_margin) * scaled
    )
    D = (reach + log1p_nonnegative(rest)) - label_logit
    nan_if_bad = tl.where(bad, float("nan"), 0.0).to(tl.float64)  # statistics of ignored and invalid rows
    filled = tl.where(live, D, tl.where(bad, float("nan"), float("-inf")))
    tl.store(log_odds_plane + row, filled, mask=present)
    tl.store(top_plane + row, tl.where(live, top, nan_if_bad), mask=present)
    tl.store(rest_plane + row, tl.where(live, tl.where(D == D, rest, D), nan_if_bad), mask=present)
    if L_above_top_plane is not None:
        none = tl.zeros_like(label_logit)
        all_top, all_rest, all_moment = merged(reach, rest, moment, label_logit, none, none)
        log_rest = log1p_nonnegative(all_rest)
        partition = all_top + log_rest
        L_above_top = tl.where(all_top == float("-inf"), float("nan"), partition)
        tl.store(L_above_top_plane + row, tl.where(live, L_above_top, nan_if_bad), mask=present)
        if log_partition_plane is not None:
            tl.store(
                log_partition_plane + row,
                tl.where(live, base * scaled + L_above_top, nan_if_bad),
                mask=present,
            )
        if prior_term_plane is not None:
            weight = live.to(tl.float64)
            if prior is not None:
                weight = tl.load(prior + label, mask=live, other=0.0).to(tl.float64)
            prior_term = tl.where(weight == 0.0, 0.0, weight * softplus(D))
            depths = tl.load(depth_parts + at, mask=here, other=0.0)
            masses = tl.load(mass_parts + at, mask=here, other=0.0)
            ways = tl.where(masses == 0.0, 0.0, masses * (partition[:, None] - reaches))
            prior_term += tl.sum(depths * scaled[:, None] + ways, axis=1)
            if prior is None:
                prior_term /= classes
            tl.store(prior_term_plane + row, tl.where(live, prior_term, nan_if_bad), mask=present)
        if entropy_plane is not None:
            H = tl.where(L_above_top == L_above_top, log_rest - all_moment / (1.0 + all_rest), L_above_top)
            tl.store(entropy_plane + row, tl.where(live, H, nan_if_bad), mask=present)
    if argmax_plane is not None:
        bests = tl.load(best_parts + at, mask=here, other=float("-inf"))
        foremost = tl.max(bests, axis=1, return_indices=True)[1]
        places = tl.load(place_parts + at, mask=here, other=0)
        argmax = tl.sum(tl.where(share == foremost[:, None], places, 0), axis=1)
        tl.store(argmax_plane + row, tl.where(live, argmax, -1), mask=present)
