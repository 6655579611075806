"""Factors of a row's gradient: numbers per row or per label, computed once in float64."""

import triton
import triton.language as tl

from crossentropy._kernels.triton.arithmetic import sigmoid, softplus
from crossentropy._kernels.triton.row_inputs import column


@triton.jit
def load_plane(plane, row, present):
    """Load a statistic of every row, 0 if it is None."""
    if plane is None:
        return tl.zeros(row.shape, tl.float64)
    else:
        return tl.load(plane + row, mask=present, other=0.0)


@triton.jit
def alpha_of_side(share, log_share, common, g_entropy, H):
    """Compute ``π (common − g_H (ln π + H))``, the factor of ``e^d`` on one side of the target but for D's term."""
    return tl.where(share == 0.0, common * 0.0, share * (common - g_entropy * (log_share + H)))


@triton.jit
def share_of(log_share, top):
    """Compute ``π``, the probability of a class at the top; 0 if the side is empty, NaN if every class is −∞."""
    return tl.where((top == float("-inf")) & (log_share == log_share), 0.0, tl.exp(log_share))


@triton.jit
def others_of_label(g, log_miss, L_above_top, at):
    """Compute ``g_j e^(u − rest_j)`` of classes other than label j, ``rest_j = L + ln(1 − p_j)``; `at` is u − top."""
    return tl.where(log_miss == float("inf"), 0.0, g * tl.exp(at - (L_above_top - log_miss)))


@triton.jit
def labels_gradients(
    labels,
    D,
    g_D,
    L_above_top,
    H,
    g_partition,
    g_prior,
    prior_at,
    prior_total,
    g_entropy,
    k,
    KPAD: tl.constexpr,
):
    """Compute ``∂u`` at each label, (rows, KPAD), and the log-odds' factor of every non-target class, (rows,).

    A label's entry is computed from ``p`` and ``1 − p``, both to full relative precision.
    """
    p, log_p, log_miss = sigmoid(-D), -softplus(D), softplus(-D)
    by_prior = tl.where(g_prior[:, None] == 0.0, 0.0, g_prior[:, None] * (p * prior_total - prior_at))
    by_entropy = g_entropy[:, None] * p * (log_p + H[:, None])
    by_entropy = tl.where((g_entropy[:, None] == 0.0) | (p == 0.0), 0.0, by_entropy)
    gradients = p * g_partition[:, None] + by_prior - by_entropy
    at, off_target = L_above_top[:, None] + log_p, tl.zeros_like(L_above_top)
    for j in range(k):
        g, miss = column(g_D, j, KPAD), column(log_miss, j, KPAD)
        elsewhere = others_of_label(g[:, None], miss[:, None], L_above_top[:, None], at)
        same = labels == column(labels, j, KPAD)[:, None]
        gradients += tl.where(same, -g[:, None], elsewhere)
        off_target += others_of_label(g, miss, L_above_top, tl.zeros_like(L_above_top))
    return gradients, off_target
