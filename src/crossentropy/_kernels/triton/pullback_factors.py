"""What the gradients of rows are made of: one number of each kind for a row, worked out in float64."""

import triton
import triton.language as tl

from crossentropy._kernels.triton.arithmetic import sigmoid, softplus
from crossentropy._kernels.triton.row_inputs import column


@triton.jit
def load_plane(plane, row, present):
    """One number of every row; 0 of what there is none of."""
    if plane is None:
        return tl.zeros(row.shape, tl.float64)
    else:
        return tl.load(plane + row, mask=present, other=0.0)


@triton.jit
def alpha_of_side(share, log_share, common, g_entropy, H):
    """``π (common − g_H (ln π + H))``, what multiplies ``e^d`` on one side of the target, D left aside."""
    return tl.where(share == 0.0, common * 0.0, share * (common - g_entropy * (log_share + H)))


@triton.jit
def share_of(log_share, top):
    """``π``, the probability of a class at the top; 0 of a side that is empty, and NaN where every class is −∞."""
    return tl.where((top == float("-inf")) & (log_share == log_share), 0.0, tl.exp(log_share))


@triton.jit
def others_of_label(g, log_miss, lift, at):
    """``g_j e^(u − rest_j)`` of classes at u, relative to the top, that are not the j-th; rest_j = L + ln(1 − p_j)."""
    return tl.where(log_miss == float("inf"), 0.0, g * tl.exp(at - (lift - log_miss)))


@triton.jit
def labels_gradients(
    labels, D, g_D, lift, H, g_partition, g_prior, prior_at, prior_total, g_entropy, k, KPAD: tl.constexpr
):
    """``∂u`` at each label, and what the log-odds' gradients put on every class off target.

    A label's own entry is formed of ``p`` and ``1 − p``, each to all its digits.
    """
    p, log_p, log_miss = sigmoid(-D), -softplus(D), softplus(-D)
    by_prior = tl.where(g_prior[:, None] == 0.0, 0.0, g_prior[:, None] * (p * prior_total - prior_at))
    by_entropy = g_entropy[:, None] * p * (log_p + H[:, None])
    by_entropy = tl.where((g_entropy[:, None] == 0.0) | (p == 0.0), 0.0, by_entropy)
    gradients = p * g_partition[:, None] + by_prior - by_entropy
    at, off_target = lift[:, None] + log_p, tl.zeros_like(lift)
    for j in range(k):
        g, miss = column(g_D, j, KPAD), column(log_miss, j, KPAD)
        elsewhere = others_of_label(g[:, None], miss[:, None], lift[:, None], at)
        same = labels == column(labels, j, KPAD)[:, None]
        gradients += tl.where(same, -g[:, None], elsewhere)
        off_target += others_of_label(g, miss, lift, tl.zeros_like(lift))
    return gradients, off_target
