"""The sigmoid family: every element is a binary classification with its own loss.

    loss = ω (w₊ q φ₊(log p) + w₋ (1 − q) φ₋(log(1 − p_m))),   p = σ(z),   q = (1 − ε) t + ε/2

with φ(log p) = −(1 − p)^γ log p (cross-entropy at γ = 0) and p_m = max(p − m, 0). A term without mass is 0, whatever
its logarithm; an integer label that is neither 0 nor 1 is NaN. Arithmetic is in float64 for float64 logits and where a
probability is shifted, for p − m cancels, else in float32.
"""

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from crossentropy._kernels.triton.layout import Layout, laid_out, on_device_of
from crossentropy._kernels.triton.means import Mean, mean_of, shared_out
from crossentropy._kernels.triton.sigmoid_links import terms

BLOCK = 1024  # elements that a program takes at a time


class Elements(NamedTuple):
    """Input tensors, all broadcast to one shape."""

    logits: Tensor
    labels: Tensor
    sample_weight: Tensor | None  # ω; weights have the dtype of the loss
    positive_weight: Tensor | None  # w₊ and w₋; w₋ only beside w₊
    negative_weight: Tensor | None


class Formula(NamedTuple):
    """Parameters of an element's loss."""

    smoothing: float  # ε
    positive_gamma: float  # γ₊ and γ₋
    negative_gamma: float
    negative_shift: float  # m


# ---- kernels -----------------------------------------------------------------------------------------------


@triton.jit
def _places(begin, sizes, DIMS: tl.constexpr, INDEX: tl.constexpr, BLOCK: tl.constexpr):
    """Unravel the flat indices begin, begin + 1, … along three axes; the common part is divided only once."""
    lane = tl.arange(0, BLOCK)
    zero = tl.zeros((BLOCK,), tl.int64)
    if DIMS == 1:
        return zero, zero, begin + lane
    within = (begin % sizes[2]).to(INDEX) + lane
    last = (within % sizes[2]).to(tl.int64)
    if DIMS == 2:
        return zero, begin // sizes[2] + within // sizes[2], last
    row = begin // sizes[2]
    carried = (row % sizes[1]).to(INDEX) + within // sizes[2]
    return row // sizes[1] + carried // sizes[1], (carried % sizes[1]).to(tl.int64), last


@triton.jit
def _at(pointer, places, strides):
    """Compute pointers to elements."""
    return pointer + (places[0] * strides[0] + places[1] * strides[1] + places[2] * strides[2])


@triton.jit
def _factors(
    t,
    sample_weight,
    positive_weight,
    negative_weight,
    smoothing,
    places,
    strides,
    mask,
    REAL: tl.constexpr,
):
    """Compute the factors ω w₊ q of φ₊ and ω w₋ (1 − q) of φ₋, and the weight ω w₋ of each element."""
    t = t if t.dtype.is_floating() else tl.where(t == 0, 0.0, tl.where(t == 1, 1.0, float("nan")))
    t = t.to(REAL)
    positive = tl.full(t.shape, 1.0, REAL)
    negative = tl.full(t.shape, 1.0, REAL)
    if sample_weight is not None:
        positive = tl.load(_at(sample_weight, places, strides[2]), mask=mask, other=0.0).to(REAL)
        negative = positive
    if positive_weight is not None:
        positive *= tl.load(_at(positive_weight, places, strides[3]), mask=mask, other=0.0).to(REAL)
    if negative_weight is not None:
        negative *= tl.load(_at(negative_weight, places, strides[4]), mask=mask, other=0.0).to(REAL)
    t = tl.where((positive == 0) & (negative == 0), 0.0, t)
    keep = 1.0 - smoothing
    add = 0.5 * smoothing
    return (
        positive * (keep.to(REAL) * t + add.to(REAL)),
        negative * (keep.to(REAL) * (1 - t) + add.to(REAL)),
        negative,
    )


@triton.jit
def _weighed(mass, value):
    """Multiply by a weight; a weight of 0 gives 0, even times ∞ or NaN."""
    return tl.where(mass == 0, 0.0, mass * value)


@triton.jit
def _loss_kernel(
    logits,
    labels,
    sample_weight,
    positive_weight,
    negative_weight,
    losses,
    partials,
    strides,
    sizes,
    count,
    blocks,
    smoothing: tl.float64,
    positive_gamma: tl.float64,
    negative_gamma: tl.float64,
    shift: tl.float64,
    DIMS: tl.constexpr,
    INDEX: tl.constexpr,
    REAL: tl.constexpr,
    FOCAL: tl.constexpr,
    SHIFTED: tl.constexpr,
    WEIGHED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Store the loss of every element, or the sums of losses and weights over `blocks` blocks of elements."""
    epsilon = tl.full((), smoothing, tl.float64)
    gammas = tl.full((), positive_gamma, REAL), tl.full((), negative_gamma, REAL)
    m = tl.full((), shift, REAL)
    program = tl.program_id(0).to(tl.int64)
    loss_sum = tl.zeros((BLOCK,), tl.float64)
    weight_sum = tl.zeros((BLOCK,), tl.float64)
    for block in range(blocks):
        begin = (program * blocks + block) * BLOCK
        mask = begin + tl.arange(0, BLOCK) < count
        places = _places(begin, sizes, DIMS, INDEX, BLOCK)
        z = tl.load(_at(logits, places, strides[0]), mask=mask, other=0.0).to(REAL)
        t = tl.load(_at(labels, places, strides[1]), mask=mask, other=0)
        positive_mass, negative_mass, weight = _factors(
            t, sample_weight, positive_weight, negative_weight, epsilon, places, strides, mask, REAL
        )
        positive, negative, _, _ = terms(z, gammas[0], gammas[1], m, FOCAL, SHIFTED)
        loss = _weighed(positive_mass, positive) + _weighed(negative_mass, negative)
        if losses is not None:
            tl.store(_at(losses, places, strides[5]), loss.to(losses.dtype.element_ty), mask=mask)
        else:
            loss_sum += tl.where(mask, loss, 0.0).to(tl.float64)
            if WEIGHED:
                weight_sum += weight.to(tl.float64)
    if losses is None:
        tl.store(partials + 2 * program, tl.sum(loss_sum, 0))
        tl.store(partials + 2 * program + 1, tl.sum(weight_sum, 0))


@triton.jit
def _gradient_kernel(
    logits,
    labels,
    sample_weight,
    positive_weight,
    negative_weight,
    upstream,
    divisor,
    gradient,
    strides,
    sizes,
    count,
    smoothing: tl.float64,
    positive_gamma: tl.float64,
    negative_gamma: tl.float64,
    shift: tl.float64,
    DIMS: tl.constexpr,
    INDEX: tl.constexpr,
    REAL: tl.constexpr,
    FOCAL: tl.constexpr,
    SHIFTED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Store the gradient with respect to every logit, times upstream/divisor; 0 if the divisor was 0."""
    epsilon = tl.full((), smoothing, tl.float64)
    begin = tl.program_id(0).to(tl.int64) * BLOCK
    mask = begin + tl.arange(0, BLOCK) < count
    places = _places(begin, sizes, DIMS, INDEX, BLOCK)
    z = tl.load(_at(logits, places, strides[0]), mask=mask, other=0.0).to(REAL)
    t = tl.load(_at(labels, places, strides[1]), mask=mask, other=0)
    positive_mass, negative_mass, _ = _factors(
        t, sample_weight, positive_weight, negative_weight, epsilon, places, strides, mask, REAL
    )
    _, _, positive, negative = terms(
        z,
        tl.full((), positive_gamma, REAL),
        tl.full((), negative_gamma, REAL),
        tl.full((), shift, REAL),
        FOCAL,
        SHIFTED,
    )
    if divisor is None:
        factor = tl.load(_at(upstream, places, strides[5]), mask=mask, other=0.0).to(REAL)
    else:
        N = tl.load(divisor)
        scale = tl.load(upstream).to(tl.float64) / tl.where(N == 0, 1.0, N)
        factor = tl.where(N == 0, 0.0, scale).to(REAL)
    slope = _weighed(factor, _weighed(positive_mass, positive) + _weighed(negative_mass, negative))
    if gradient.dtype.element_ty != REAL:
        slope = slope.to(tl.float32)  # float64 reaches half precision by way of float32
    tl.store(_at(gradient, places, strides[6]), slope.to(gradient.dtype.element_ty), mask=mask)


# ---- launches ----------------------------------------------------------------------------------------------


def element_losses(elements: Elements, formula: Formula) -> Tensor:
    """Compute the loss of every element, float32 or wider, in the shape of the logits."""
    inputs, result, layout = laid_out(elements, _real(elements.logits))
    assert result is not None
    with on_device_of(result):
        _loss_kernel[(triton.cdiv(layout.size, BLOCK),)](
            *inputs,
            result,
            None,
            *_scalars(layout, 1, formula),
            WEIGHED=False,
            **_flags(elements.logits, layout, formula),
        )
    return result


def mean_loss(elements: Elements, formula: Formula, mean: Mean) -> tuple[Tensor, Tensor]:
    """Compute the mean of the losses and its divisor, both 0-d, the divisor in float64."""
    inputs, _, layout = laid_out(elements, None)
    programs, each = shared_out(layout.size, BLOCK)
    partials = torch.empty((programs, 2), dtype=torch.float64, device=elements.logits.device)
    with on_device_of(partials):
        _loss_kernel[(programs,)](
            *inputs,
            None,
            partials,
            *_scalars(layout, each, formula),
            WEIGHED=mean.divisor is None,
            **_flags(elements.logits, layout, formula),
        )
    return mean_of(partials, mean, _real(elements.logits))


def gradient(elements: Elements, formula: Formula, upstream: Tensor, divisor: Tensor | None) -> Tensor:
    """Compute the gradient with respect to the logits, of element losses, or of their mean if `divisor` is given."""
    each = upstream if divisor is None else None
    inputs, result, layout = laid_out((*elements, each), elements.logits.dtype)
    assert result is not None
    with on_device_of(result):
        _gradient_kernel[(triton.cdiv(layout.size, BLOCK),)](
            *inputs[:5],
            upstream if inputs[5] is None else inputs[5],
            divisor,
            result,
            *_scalars(layout, None, formula),
            **_flags(elements.logits, layout, formula),
        )
    return result


def _scalars(layout: Layout, blocks: int | None, formula: Formula) -> tuple[Any, ...]:
    """Return the numeric arguments of a kernel, in their order."""
    each = () if blocks is None else (blocks,)
    return (layout.strides, layout.sizes, layout.size, *each, *formula)


def _flags(logits: Tensor, layout: Layout, formula: Formula) -> dict[str, Any]:
    """Return the compile-time arguments of a kernel; a shifted loss is computed in float64."""
    shifted = formula.negative_shift > 0
    return {
        "DIMS": layout.axes,
        "INDEX": tl.int32 if layout.is_small else tl.int64,
        "REAL": tl.float64 if shifted or logits.dtype == torch.float64 else tl.float32,
        "FOCAL": formula.positive_gamma > 0 or formula.negative_gamma > 0,
        "SHIFTED": shifted,
        "BLOCK": BLOCK,
        "enable_fp_fusion": True,
    }


def _real(logits: Tensor) -> torch.dtype:
    """Return the dtype of the losses."""
    return torch.float64 if logits.dtype == torch.float64 else torch.float32
