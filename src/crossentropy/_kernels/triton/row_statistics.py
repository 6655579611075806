"""The forward row kernel: one read of the logits, target statistics out."""

import triton
import triton.language as tl

from crossentropy._kernels.triton.arithmetic import finite_or_zero, log1p_nonnegative, softplus
from crossentropy._kernels.triton.log_sums import add_depths, add_terms, depth_below_partition, merged
from crossentropy._kernels.triton.row_inputs import (
    bias_of,
    column,
    labels_of_rows,
    margins_of,
    on_labels,
    rows_of_program,
    scale_of_rows,
    transformed,
)


@triton.jit
def row_statistics(
    logits,
    outer_stride,
    class_stride,
    inner_stride,
    classes,
    inner,
    # the target: indices, a mask or dense masses
    indices,
    k,
    ignore_index,
    mask,
    dense,
    masses_outer_stride,
    masses_class_stride,
    masses_inner_stride,
    class_weight,
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
    # the statistics; None for those not requested
    log_odds_plane,
    top_plane,
    rest_plane,
    set_top_plane,
    set_rest_plane,
    log_partition_plane,
    lift_plane,
    prior_term_plane,
    dense_term_plane,
    dense_total_plane,
    entropy_plane,
    argmax_plane,
    rank_plane,
    FOREIGN: tl.constexpr,
    CAPPED: tl.constexpr,
    MARGIN: tl.constexpr,
    KPAD: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Store the statistics of ROWS rows per program, in float64, reading BLOCK classes at a time."""
    outer, within, row = rows_of_program(inner, ROWS)
    present = within < inner
    start_of_row = outer * outer_stride + within * inner_stride
    start_of_masses = outer * masses_outer_stride + within * masses_inner_stride
    temperature = scale_of_rows(row, present, scale, scales, scale_step)
    # the scale still to be applied to differences of u; with a bias, `transformed` has applied it
    scaled = temperature
    if bias is not None:
        scaled = tl.full((ROWS,), 1.0, tl.float64)
    nothing = tl.full((ROWS,), float("-inf"), tl.float64)
    zero = tl.zeros((ROWS,), tl.float64)

    ignored, bad = row != row, row != row
    if indices is not None:
        labels, first, ignored, outside = labels_of_rows(
            indices, row, present, k, ignore_index, classes, KPAD
        )
        if not FOREIGN:
            bad = outside
    live = present & ~ignored & ~bad
    if indices is not None:
        known = live[:, None] & (labels >= 0)
        label_pointers = logits + start_of_row[:, None] + labels.to(tl.int64) * class_stride
        label_logits = tl.load(label_pointers, mask=known, other=float("-inf")).to(WIDE)
        label_bias = bias_of(bias, labels, known)
        label_logits = transformed(label_logits, known, temperature, softcap, label_bias, CAPPED)[0]
        label_margins = tl.zeros_like(label_logits).to(tl.float64)
        if MARGIN:
            label_margins += margins_of(
                labels, known, temperature, margin, margins, margin_step, bias is not None
            )
        if rank_plane is not None:
            compared = column(
                tl.where(known, (label_logits.to(tl.float64) - label_margins).to(WIDE), 0.0), 0, KPAD
            )
            label_column = column(labels, 0, KPAD)

    top, rest, moment = nothing, zero, zero
    set_top, set_rest, set_moment = nothing, zero, zero
    prior_depth, prior_mass, prior_base = zero, zero, zero
    set_depth, set_mass, set_base = zero, zero, zero
    dense_depth, dense_mass, dense_base = zero, zero, zero
    best = tl.full((ROWS,), float("-inf"), WIDE)
    best_class, above = tl.zeros((ROWS,), tl.int64), tl.zeros((ROWS,), tl.int64)

    # Ignored and invalid rows are not read; if the program has no others, the loop does not run.
    for start in range(0, tl.max(live.to(tl.int32), axis=0) * classes, BLOCK):
        cls = start + tl.arange(0, BLOCK)
        valid = cls < classes
        inside = live[:, None] & valid[None, :]
        at = cls.to(tl.int64)[None, :]
        z = tl.load(logits + start_of_row[:, None] + at * class_stride, mask=inside, other=float("-inf")).to(
            WIDE
        )
        bias_values = bias_of(bias, cls[None, :], valid[None, :])
        u = transformed(z, inside, temperature, softcap, bias_values, CAPPED)[0]

        on = inside
        if indices is not None:
            on = on_labels(cls, labels, k, KPAD)
        if mask is not None:
            members = mask + start_of_masses[:, None] + at * masses_class_stride
            on = tl.load(members, mask=inside, other=0) != 0
        contested = u
        if MARGIN and (mask is not None or argmax_plane is not None or rank_plane is not None):
            margin_values = margins_of(
                cls[None, :], valid[None, :], temperature, margin, margins, margin_step, bias is not None
            )
            contested = tl.where(on, (u.to(tl.float64) - margin_values).to(WIDE), u)
        if argmax_plane is not None:
            highest, place = tl.max(
                tl.where(contested == contested, contested, float("-inf")), axis=1, return_indices=True
            )
            best_class = tl.where(highest > best, start + place.to(tl.int64), best_class)
            best = tl.where(highest > best, highest, best)
        if rank_plane is not None:
            before = cls[None, :] < label_column[:, None]
            ahead = (contested > compared[:, None]) | ((contested == compared[:, None]) & before)
            above += tl.sum((ahead & inside).to(tl.int32), axis=1).to(tl.int64)

        off_target = u
        if indices is not None:
            off_target = tl.where(on, float("-inf"), u)
        if mask is not None:
            off_target = tl.where(on, float("-inf"), contested)
            on_target = tl.where(on, contested, float("-inf"))
            set_top, set_rest, set_moment = add_terms(
                on_target, scaled, set_top, set_rest, set_moment, entropy_plane is not None
            )
        top, rest, moment = add_terms(off_target, scaled, top, rest, moment, entropy_plane is not None)

        if prior_term_plane is not None:
            weights = inside.to(WIDE)
            if prior is not None:
                weights = tl.where(inside, tl.load(prior + cls, mask=valid, other=0.0)[None, :], 0.0)
            if mask is not None:
                set_depth, set_mass, set_base = add_depths(
                    on_target, tl.where(on, weights, 0.0), set_top, set_depth, set_mass, set_base
                )
            if mask is not None or indices is not None:
                weights = tl.where(on, 0.0, weights)  # the labels' are added after the loop
            prior_depth, prior_mass, prior_base = add_depths(
                off_target, weights, top, prior_depth, prior_mass, prior_base
            )
        if dense is not None:
            masses_at = dense + start_of_masses[:, None] + at * masses_class_stride
            masses = tl.load(masses_at, mask=inside, other=0.0).to(WIDE)
            if class_weight is not None:
                masses *= tl.load(class_weight + cls, mask=valid, other=0.0)[None, :]
            dense_depth, dense_mass, dense_base = add_depths(
                u, masses, top, dense_depth, dense_mass, dense_base
            )

    # From here on numbers per row. `reach` is the top relative to `base`, after the scale.
    base = finite_or_zero(top)
    rest = tl.where(top == float("inf"), float("nan"), rest)
    reach = (top - base) * scaled
    all_top, all_rest, all_moment = reach, rest, moment
    saved_rest, prior_term = rest, zero
    if indices is not None:
        label_logits = label_logits.to(tl.float64)
        label_logits = tl.where(
            label_logits == float("inf"),
            float("nan"),
            ((label_logits - base[:, None]) - label_margins) * scaled[:, None],
        )
        one = tl.full((ROWS,), 1.0, tl.float64)
        for j in range(k):
            other_top, other_rest = reach, rest
            label = column(labels, j, KPAD)
            if KPAD > 1:
                others = tl.where(first & (labels != label[:, None]), label_logits, float("-inf"))
                other_top, other_rest, nothing = add_terms(others, one, reach, rest, zero, False)
            D = (other_top + log1p_nonnegative(other_rest)) - column(label_logits, j, KPAD)
            if not FOREIGN:
                saved_rest = tl.where(D == D, saved_rest, D)
            settled = tl.where(live, D, tl.where(bad, float("nan"), float("-inf")))
            tl.store(log_odds_plane + row * k + j, settled, mask=present)
            if prior_term_plane is not None:
                counts = live & (column(first.to(tl.int32), j, KPAD) > 0)
                weight = counts.to(tl.float64)
                if prior is not None:
                    weight = tl.load(prior + label, mask=counts, other=0.0).to(tl.float64)
                prior_term += tl.where(weight == 0.0, 0.0, weight * softplus(D))
        if lift_plane is not None:
            all_top, all_rest, all_moment = add_terms(
                tl.where(first, label_logits, float("-inf")), one, reach, rest, moment, True
            )
    if mask is not None:
        tl.store(set_top_plane + row, set_top, mask=present)
        tl.store(set_rest_plane + row, set_rest, mask=present)
        set_reach = tl.where(set_top == float("inf"), float("nan"), (set_top - base) * scaled)
        D = (reach + log1p_nonnegative(rest)) - (set_reach + log1p_nonnegative(set_rest))
        tl.store(log_odds_plane + row, D, mask=present)
        all_top, all_rest, all_moment = merged(reach, rest, moment, set_reach, set_rest, set_moment)

    # the statistics of an invalid row, NaN, and of an ignored one, 0
    nan_if_bad = tl.where(bad, float("nan"), 0.0).to(tl.float64)
    tl.store(top_plane + row, tl.where(live, top, nan_if_bad), mask=present)
    tl.store(rest_plane + row, tl.where(live, saved_rest, nan_if_bad), mask=present)
    if lift_plane is not None:
        log_rest = log1p_nonnegative(all_rest)
        partition = all_top + log_rest  # from the base up to L
        lift = tl.where(all_top == float("-inf"), float("nan"), partition)
        tl.store(lift_plane + row, tl.where(live, lift, nan_if_bad), mask=present)
        if log_partition_plane is not None:
            L = base * scaled + lift
            tl.store(log_partition_plane + row, tl.where(live, L, nan_if_bad), mask=present)
        if prior_term_plane is not None:
            prior_term += depth_below_partition(prior_depth, prior_mass, reach, partition, scaled)
            if mask is not None:
                prior_term += depth_below_partition(set_depth, set_mass, set_reach, partition, scaled)
            if prior is None:
                prior_term /= classes
            tl.store(prior_term_plane + row, tl.where(live, prior_term, nan_if_bad), mask=present)
        if dense is not None:
            dense_term = depth_below_partition(dense_depth, dense_mass, reach, partition, scaled)
            tl.store(dense_term_plane + row, dense_term, mask=present)
            tl.store(dense_total_plane + row, dense_mass, mask=present)
        if entropy_plane is not None:
            H = tl.where(lift == lift, log_rest - all_moment / (1.0 + all_rest), lift)
            tl.store(entropy_plane + row, tl.where(live, H, nan_if_bad), mask=present)
    if argmax_plane is not None:
        tl.store(argmax_plane + row, tl.where(live, best_class, -1), mask=present)
    if rank_plane is not None:
        tl.store(rank_plane + row, tl.where(live, above, -1), mask=present)
