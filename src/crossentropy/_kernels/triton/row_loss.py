"""Losses of rows from their statistics, summed over rows, for labels or label sets, cross-entropy or focal:

    ℓ = ω ((1−ε) Σ_j a_j φ(D_j) + ε G_r + z L²)        W = ω Σ_j a_j        a_j = w_{y_j} t_j

As PyTorch operations these would be some sixty launches, which take all the time of a small loss.
"""

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from crossentropy._kernels.triton.arithmetic import sigmoid, softplus
from crossentropy._kernels.triton.layout import on_device_of
from crossentropy._kernels.triton.means import Mean, mean_of, shared_out

BLOCK = 256  # rows that a program takes at a time


class RowTerms(NamedTuple):
    """Inputs of a loss other than the statistics; tensors are contiguous, with their rows flattened."""

    indices: Tensor | None  # int64, (rows, k)
    k: int
    ignore_index: int | None
    classes: int
    class_weight: Tensor | None  # w, (classes,)
    masses: Tensor | None  # t, (rows, k)
    sample_weight: Tensor | None  # ω, (rows,)
    gamma: float  # φ(D) = (1 − p)^γ softplus(D)
    smoothing: float  # ε
    z_loss: float  # z
    counts_rows: bool  # whether W is 1 in every row that is not ignored


def loss(
    log_odds: Tensor, prior_term: Tensor | None, log_partition: Tensor | None, terms: RowTerms, mean: Mean
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the mean of ``ℓ`` and its divisor, 0-d float64, and ``∂ℓ/∂D`` in the shape of `log_odds`."""
    n = log_odds.numel() // terms.k
    programs, each = shared_out(n, BLOCK)
    partials = log_odds.new_empty((programs, 2))
    slopes = torch.empty_like(log_odds)
    if programs:
        with on_device_of(log_odds):
            _loss_kernel[(programs,)](
                log_odds,
                prior_term,
                log_partition,
                *_tensors(terms),
                slopes,
                partials,
                *_numbers(terms, n, each),
                terms.gamma,
                FOCAL=terms.gamma != 0,
                COUNTED=terms.counts_rows,
                BLOCK=BLOCK,
                enable_fp_fusion=True,
            )
    value, used = mean_of(partials, mean, torch.float64)
    return value, used, slopes


class Slopes(NamedTuple):
    """Gradients with respect to the statistics; None for one that the loss does not use."""

    log_odds: Tensor
    prior_term: Tensor | None
    log_partition: Tensor | None


def slopes_of(
    slopes: Tensor, log_partition: Tensor | None, terms: RowTerms, upstream: Tensor, divisor: Tensor
) -> Slopes:
    """Compute the gradient of the value of `loss` times `upstream`; 0 if its divisor was 0."""
    n = slopes.numel() // terms.k
    rows = slopes.shape if terms.masses is None else slopes.shape[:-1]
    gradients = Slopes(
        torch.empty_like(slopes),
        slopes.new_empty(rows) if terms.smoothing else None,
        slopes.new_empty(rows) if terms.z_loss else None,
    )
    programs, each = shared_out(n, BLOCK)
    if programs:
        with on_device_of(slopes):
            _slopes_kernel[(programs,)](
                slopes,
                log_partition if terms.z_loss else None,
                *_tensors(terms),
                upstream,
                divisor,
                *gradients,
                *_numbers(terms, n, each),
                BLOCK=BLOCK,
                enable_fp_fusion=True,
            )
    return gradients


def _tensors(terms: RowTerms) -> tuple[Any, ...]:
    """Return the tensor arguments that both kernels share, in their order."""
    return terms.indices, terms.class_weight, terms.masses, terms.sample_weight


def _numbers(terms: RowTerms, n: int, each: int) -> tuple[Any, ...]:
    """Return the numeric arguments that both kernels share, in their order."""
    ignore_index = None if terms.indices is None else terms.ignore_index
    return n, each, terms.k, terms.classes, ignore_index, terms.smoothing, terms.z_loss


@triton.jit
def _product(weight, value):
    """Multiply by a weight; a weight of 0 gives 0, even times ∞ or NaN."""
    return tl.where(weight == 0, 0.0, weight * value)


@triton.jit
def _rows(indices, sample_weight, row, inside, k, ignore_index):
    """Mask the rows that are not ignored, and load ω of each row, 0 for the others."""
    counts = inside
    if ignore_index is not None:
        for j in range(k):
            counts = counts & (tl.load(indices + row * k + j, mask=inside, other=0) != ignore_index)
    weight = tl.where(counts, 1.0, 0.0).to(tl.float64)
    if sample_weight is not None:
        weight = tl.load(sample_weight + row, mask=counts, other=0.0).to(tl.float64)
    return counts, weight


@triton.jit
def _loss_kernel(
    log_odds,
    prior_term,
    log_partition,
    indices,
    class_weight,
    masses,
    sample_weight,
    slopes,
    partials,
    n,
    blocks,
    k,
    classes,
    ignore_index,
    smoothing: tl.float64,
    z_loss: tl.float64,
    gamma: tl.float64,
    FOCAL: tl.constexpr,
    COUNTED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Store ``∂ℓ/∂D`` of every row and the partial sums of ``ℓ`` and ``W``, over `blocks` blocks of rows."""
    program = tl.program_id(0).to(tl.int64)
    loss_sum, mass_sum = tl.zeros((BLOCK,), tl.float64), tl.zeros((BLOCK,), tl.float64)
    epsilon = tl.full((), smoothing, tl.float64)
    kept = 1.0 - epsilon
    for block in range(blocks):
        row = (program * blocks + block) * BLOCK + tl.arange(0, BLOCK)
        inside = row < n
        counts, weight = _rows(indices, sample_weight, row, inside, k, ignore_index)
        loss, mass = tl.zeros((BLOCK,), tl.float64), tl.zeros((BLOCK,), tl.float64)
        for j in range(k):
            D = tl.load(log_odds + row * k + j, mask=counts, other=0.0)
            share = tl.where(counts, 1.0, 0.0).to(tl.float64)
            if class_weight is not None:
                y = tl.load(indices + row * k + j, mask=counts, other=0)
                known = counts & (y >= 0) & (y < classes)  # D is NaN for a label out of range
                share = tl.where(
                    known, tl.load(class_weight + y, mask=known, other=1.0).to(tl.float64), share
                )
            if masses is not None:
                share *= tl.load(masses + row * k + j, mask=counts, other=0.0).to(tl.float64)
            phi, slope = softplus(D), sigmoid(D)
            if FOCAL:
                # (1 − p)^γ = e^{−γ softplus(−D)}; dφ/dD = (1 − p)^γ (1 − p + γ p softplus(D))
                p = sigmoid(-D)
                modulation = tl.exp(-tl.full((), gamma, tl.float64) * softplus(-D))
                slope = modulation * (slope + tl.where(p == 0, 0.0, gamma * p * phi))
                phi = _product(modulation, phi)
            loss += _product(kept * share, phi)
            mass += share
            tl.store(slopes + row * k + j, _product(weight * kept * share, slope), mask=inside)
        if prior_term is not None:
            loss += epsilon * tl.load(prior_term + row, mask=counts, other=0.0)
        if log_partition is not None:
            L = tl.load(log_partition + row, mask=counts, other=0.0)
            loss += tl.full((), z_loss, tl.float64) * (L * L)
        loss_sum += _product(weight, loss)
        mass_sum += tl.where(counts, 1.0, 0.0).to(tl.float64) if COUNTED else _product(weight, mass)
    tl.store(partials + 2 * program, tl.sum(loss_sum, 0))
    tl.store(partials + 2 * program + 1, tl.sum(mass_sum, 0))


@triton.jit
def _slopes_kernel(
    slopes,
    log_partition,
    indices,
    class_weight,
    masses,
    sample_weight,
    upstream,
    divisor,
    by_log_odds,
    by_prior_term,
    by_log_partition,
    n,
    blocks,
    k,
    classes,
    ignore_index,
    smoothing: tl.float64,
    z_loss: tl.float64,
    BLOCK: tl.constexpr,
):
    """Store the gradients with respect to the statistics, from the saved ``∂ℓ/∂D`` and the upstream gradient."""
    program = tl.program_id(0).to(tl.int64)
    N = tl.load(divisor)
    factor = tl.where(N == 0, 0.0, tl.load(upstream).to(tl.float64) / tl.where(N == 0, 1.0, N))
    for block in range(blocks):
        row = (program * blocks + block) * BLOCK + tl.arange(0, BLOCK)
        inside = row < n
        counts, weight = _rows(indices, sample_weight, row, inside, k, ignore_index)
        for j in range(k):
            slope = tl.load(slopes + row * k + j, mask=inside, other=0.0)
            tl.store(by_log_odds + row * k + j, _product(factor, slope), mask=inside)
        if by_prior_term is not None:
            tl.store(by_prior_term + row, factor * tl.full((), smoothing, tl.float64) * weight, mask=inside)
        if by_log_partition is not None:
            L = tl.load(log_partition + row, mask=counts, other=0.0)
            two_z = 2.0 * tl.full((), z_loss, tl.float64)
            tl.store(by_log_partition + row, _product(factor * two_z * weight, L), mask=inside)
