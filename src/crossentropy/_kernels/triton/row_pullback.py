"""The backward row kernel: one read of the logits, one write of their gradient.

    ∂u_c = e_c (α + β d_c) − g_r r_c − g_a a_c     d_c = u_c − top,  e_c = e^{d_c} ≤ 1,  p_c = e_c π
    α = g_D/(1 + rest) + π (g_L + g_r R + g_a A − g_H (ln π + H))        β = −π g_H

All factors but the exponential are computed once per row in float64. The labels' entries replace these values.
"""

import triton
import triton.language as tl

from crossentropy._kernels.triton.arithmetic import LOG2E, exp2_or_deep, finite_or_zero, times_exp2
from crossentropy._kernels.triton.pullback_factors import (
    alpha_of_side,
    labels_gradients,
    load_plane,
    share_of,
)
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
def row_pullback(
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
    prior_total,
    # the statistics of the forward kernel
    log_odds_plane,
    top_plane,
    rest_plane,
    set_top_plane,
    set_rest_plane,
    L_above_top_plane,
    dense_total_plane,
    entropy_plane,
    # upstream gradients; None for those that are 0
    upstream_log_odds,
    upstream_log_partition,
    upstream_prior_term,
    upstream_dense_term,
    upstream_entropy,
    # the gradients; None for those not requested
    by_logits,
    into_outer_stride,
    into_class_stride,
    into_inner_stride,
    by_dense,
    by_dense_outer_stride,
    by_dense_class_stride,
    by_dense_inner_stride,
    by_scale,
    by_target,
    BEFORE_TRANSFORM: tl.constexpr,
    TEMPERED: tl.constexpr,
    CAPPED: tl.constexpr,
    MARGIN: tl.constexpr,
    KPAD: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Store the gradients of ROWS rows per program, reading and writing BLOCK classes at a time."""
    outer, within, row = rows_of_program(inner, ROWS)
    present = within < inner
    start_of_row = outer * outer_stride + within * inner_stride
    start_of_masses = outer * masses_outer_stride + within * masses_inner_stride
    start_of_gradient = outer * into_outer_stride + within * into_inner_stride
    temperature = scale_of_rows(row, present, scale, scales, scale_step)
    scaled = temperature
    if bias is not None:
        scaled = tl.full((ROWS,), 1.0, tl.float64)

    # Factors per row. A row whose upstream gradients are all 0 is treated as excluded: it is not read.
    top, rest = load_plane(top_plane, row, present), load_plane(rest_plane, row, present)
    L_above_top, H = load_plane(L_above_top_plane, row, present), load_plane(entropy_plane, row, present)
    g_partition, g_prior = (
        load_plane(upstream_log_partition, row, present),
        load_plane(upstream_prior_term, row, present),
    )
    g_dense, g_entropy = (
        load_plane(upstream_dense_term, row, present),
        load_plane(upstream_entropy, row, present),
    )
    dead = (g_partition == 0.0) & (g_prior == 0.0) & (g_dense == 0.0) & (g_entropy == 0.0)
    total = tl.full((ROWS,), 1.0, tl.float64)
    if prior_total is not None:
        total = total * tl.load(prior_total)
    base = finite_or_zero(top)
    common = g_partition + tl.where(g_prior == 0.0, 0.0, g_prior * total)
    share, alpha = tl.zeros_like(top), tl.zeros_like(top)
    if L_above_top_plane is not None:
        share = share_of(-L_above_top, top)
        alpha = alpha_of_side(share, -L_above_top, common, g_entropy, H)
    beta = -share * g_entropy / LOG2E  # per unit of d / ln 2
    if indices is not None:
        labels, first, ignored, _ = labels_of_rows(indices, row, present, k, ignore_index, classes, KPAD)
        slot = tl.arange(0, KPAD)[None, :]
        g_D = tl.zeros((ROWS, KPAD), tl.float64)
        if upstream_log_odds is not None:
            g_D = tl.load(
                upstream_log_odds + row[:, None] * k + slot, mask=present[:, None] & (slot < k), other=0.0
            )
        dead = (dead & (tl.max((g_D != 0.0).to(tl.int32), axis=1) == 0)) | ignored
        if KPAD > 1 or L_above_top_plane is not None:
            D = tl.load(
                log_odds_plane + row[:, None] * k + slot, mask=present[:, None] & (slot < k), other=0.0
            )
            prior_at = tl.full((ROWS, KPAD), 1.0, tl.float64) / classes
            if prior is not None:
                prior_at = tl.load(prior + labels, mask=labels >= 0, other=0.0).to(tl.float64)
            at_labels, by_others = labels_gradients(
                labels,
                D,
                g_D,
                L_above_top,
                H,
                g_partition,
                g_prior,
                prior_at,
                total[:, None],
                g_entropy,
                k,
                KPAD,
            )
            if KPAD > 1:
                alpha += by_others
        else:
            at_labels = tl.where(rest[:, None] == rest[:, None], -g_D, float("nan"))
        if KPAD == 1:
            alpha += column(g_D, 0, KPAD) / (1.0 + rest)
        if by_target is not None:
            at_margin = tl.where(first & ~dead[:, None], at_labels, 0.0)
            tl.store(by_target + row[:, None] * k + slot, at_margin, mask=present[:, None] & (slot < k))
    if mask is not None:
        g_set = load_plane(upstream_log_odds, row, present)
        dead = dead & (g_set == 0.0)
        set_top, set_rest = load_plane(set_top_plane, row, present), load_plane(set_rest_plane, row, present)
        set_base = finite_or_zero(set_top)
        log_share = (set_base - base) * scaled - L_above_top
        set_share = share_of(log_share, set_top)
        set_alpha = alpha_of_side(set_share, log_share, common, g_entropy, H) - g_set / (1.0 + set_rest)
        set_beta = -set_share * g_entropy / LOG2E
        alpha += g_set / (1.0 + rest)
    if dense is not None:
        dense_total = load_plane(dense_total_plane, row, present)
        dense_alpha = share * g_dense * dense_total
        miss_at_top = dense_total * (rest / (1.0 + rest))  # A (1 − p) there
    live = present & ~dead
    alpha, beta, g_prior = tl.where(live, alpha, 0.0), tl.where(live, beta, 0.0), tl.where(live, g_prior, 0.0)
    if indices is not None:
        at_labels = tl.where(live[:, None], at_labels, 0.0)
    if mask is not None:
        set_alpha, set_beta = tl.where(live, set_alpha, 0.0), tl.where(live, set_beta, 0.0)
    if dense is not None:
        g_dense, dense_alpha = tl.where(live, g_dense, 0.0), tl.where(live, dense_alpha, 0.0)
    rate = (scaled * LOG2E).to(WIDE)[:, None]
    by_scale_sum = tl.zeros((ROWS,), tl.float64)

    for start in range(0, classes, BLOCK):
        cls = start + tl.arange(0, BLOCK)
        valid = cls < classes
        exists = present[:, None] & valid[None, :]
        inside = live[:, None] & valid[None, :]
        at = cls.to(tl.int64)[None, :]
        z = tl.load(logits + start_of_row[:, None] + at * class_stride, mask=inside, other=float("-inf")).to(
            WIDE
        )
        bias_values = bias_of(bias, cls[None, :], valid[None, :])
        u, slope = transformed(z, inside, temperature, softcap, bias_values, CAPPED)

        on = inside
        if indices is not None:
            on = on_labels(cls, labels, k, KPAD)
        if mask is not None:
            members = mask + start_of_masses[:, None] + at * masses_class_stride
            on = tl.load(members, mask=inside, other=0) != 0
        contested = u
        if MARGIN and (mask is not None or by_scale is not None):
            margin_values = margins_of(
                cls[None, :], valid[None, :], temperature, margin, margins, margin_step, bias is not None
            )
            contested = tl.where(on, (u.to(tl.float64) - margin_values).to(WIDE), u)
        if mask is not None:
            u = contested
            base_of = tl.where(on, set_base[:, None], base[:, None]).to(WIDE)
            alpha_of = tl.where(on, set_alpha[:, None], alpha[:, None]).to(WIDE)
            beta_of = tl.where(on, set_beta[:, None], beta[:, None]).to(WIDE)
        else:
            base_of, alpha_of, beta_of = (
                base.to(WIDE)[:, None],
                alpha.to(WIDE)[:, None],
                beta.to(WIDE)[:, None],
            )
        y = (u - base_of) * rate
        e, deep = exp2_or_deep(y)
        if dense is not None:
            masses_at = dense + start_of_masses[:, None] + at * masses_class_stride
            soft_target = tl.load(masses_at, mask=inside, other=0.0).to(WIDE)
            weight = tl.full((1, BLOCK), 1.0, WIDE)
            if class_weight is not None:
                weight = tl.load(class_weight + cls, mask=valid, other=0.0)[None, :]
            masses = soft_target * weight
            # A p_c − a_c, and at the top, where p may be near 1, (A − a_c) − A (1 − p_c): no digits cancel.
            tie = u == base_of
            gain = g_dense.to(WIDE)[:, None]
            at_top = gain * ((dense_total.to(WIDE)[:, None] - masses) - miss_at_top.to(WIDE)[:, None])
            elsewhere = times_exp2(dense_alpha.to(WIDE)[:, None], e, deep) - gain * masses
            by_masses = tl.where(tie, at_top, elsewhere)
            if by_dense is not None:
                depth = L_above_top.to(WIDE)[:, None] - y / LOG2E  # L − u
                mass_gain = gain * weight  # where it is 0, the depth may be ∞
                nothing = (mass_gain == 0.0) | ((soft_target == 0.0) & (u == float("-inf")))
                to_dense = (
                    by_dense + outer * by_dense_outer_stride + (within * by_dense_inner_stride)[:, None]
                )
                value = tl.where(nothing | ~inside, 0.0, mass_gain * depth)
                tl.store(
                    to_dense + at * by_dense_class_stride, value.to(by_dense.dtype.element_ty), mask=exists
                )
        factor = alpha_of
        if upstream_entropy is not None:
            factor = tl.where(e == 0.0, alpha_of, alpha_of + beta_of * y)
        g = times_exp2(factor, e, deep)
        if upstream_prior_term is not None:
            r = tl.full((1, 1), 1.0, WIDE) / classes
            if prior is not None:
                r = tl.load(prior + cls, mask=valid, other=0.0)[None, :]
            g -= g_prior.to(WIDE)[:, None] * r
        if dense is not None:
            g += by_masses
        if indices is not None:
            for j in range(k):
                here = cls[None, :] == column(labels, j, KPAD)[:, None]
                g = tl.where(here, column(at_labels, j, KPAD).to(WIDE)[:, None], g)
        if by_scale is not None:
            # Σ_c ∂u_c v_c with u = scale·v + bias. The ∂u of a row sum to g_L, so without a bias v is taken relative to
            # the base, and base · g_L is added at the end.
            v = contested.to(tl.float64)
            if bias is None:
                v -= base[:, None]
            else:
                v = (v - bias_values.to(tl.float64)) / temperature[:, None]
            nothing = (g == 0.0) | (contested == float("-inf")) | ~inside
            by_scale_sum += tl.sum(tl.where(nothing, 0.0, g.to(tl.float64) * v), axis=1)
        if not BEFORE_TRANSFORM:
            if TEMPERED:
                g *= temperature.to(WIDE)[:, None]
            if CAPPED:
                g *= slope
        into = by_logits + start_of_gradient[:, None] + at * into_class_stride
        tl.store(into, g.to(by_logits.dtype.element_ty), mask=exists)

    if by_scale is not None:
        if bias is None:
            by_scale_sum += tl.where(live, base * g_partition, 0.0)
        tl.store(by_scale + row, by_scale_sum, mask=present)
