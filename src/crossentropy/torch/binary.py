"""`torch.nn.functional`'s binary cross-entropies, argument for argument, with ours behind them."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import _reduction

from crossentropy.backends import is_true
from crossentropy.links import Link
from crossentropy.losses.sigmoid import sigmoid_cross_entropy
from crossentropy.reductions import reduce_rows
from crossentropy.torch._binary import clamped_binary_cross_entropy

__all__ = ["binary_cross_entropy", "binary_cross_entropy_with_logits"]


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
    *,
    label_smoothing: float = 0.0,
    link: Link | None = None,
    negative_link: Link | None = None,
    negative_shift: float = 0.0,
    empty: str = "nan",
) -> Tensor:
    """Binary cross-entropy of logits, as `torch.nn.functional.binary_cross_entropy_with_logits` has it.

    The mean is over the number of elements. Targets outside [0, 1] are taken at their word.

    Parameters
    ----------
    input, target : Tensor of one shape
        Logits, and what is true of them.
    weight, size_average, reduce, reduction, pos_weight
        As in torch; both weights broadcast against `input`.
    label_smoothing, link, negative_link, negative_shift
        As in `crossentropy.sigmoid_cross_entropy`.
    empty : {"nan", "zero", "raise"}, default "nan"
        The mean of nothing.

    Returns
    -------
    Tensor
        The loss in nats; float32 for half-precision logits.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> import torch
    >>> logits, target = torch.tensor([0.0, 20.0]), torch.tensor([1.0, 1.0])
    >>> binary_cross_entropy_with_logits(logits, target, reduction="none")
    tensor([6.9315e-01, 2.0612e-09])
    """
    if size_average is not None or reduce is not None:
        reduction = _reduction.legacy_get_string(size_average, reduce)
    if target.shape != input.shape:
        raise ValueError(
            f"target has shape {tuple(target.shape)} and input {tuple(input.shape)}; they must be equal"
        )
    options: dict[str, Any] = {
        "label_smoothing": label_smoothing,
        "link": link,
        "negative_link": negative_link,
        "negative_shift": negative_shift,
        "normalizer": "count" if reduction == "mean" else "weight",
        "empty": empty,
        "validate": "none",
    }
    sample = _broadcast("weight", weight, input)
    positive = _broadcast("pos_weight", pos_weight, input)
    axis = None if pos_weight is None else _only_axis(pos_weight, input)
    if pos_weight is None or axis is not None:
        vector = None if axis is None else pos_weight.reshape(-1)  # type: ignore[union-attr]
        axis = -1 if axis is None else axis
        return sigmoid_cross_entropy(
            input, target, pos_weight=vector, sample_weight=sample, axis=axis, reduction=reduction, **options
        )
    # a factor for every element: each is a class of its own, in a batch of one
    one_row = [x if x is None else x.reshape(1, -1) for x in (input, target, sample)]
    value = sigmoid_cross_entropy(
        one_row[0],
        one_row[1],
        pos_weight=positive.reshape(-1),  # type: ignore[union-attr]
        sample_weight=one_row[2],
        reduction=reduction,
        **options,
    )
    return value.reshape(input.shape) if reduction == "none" else value


def _broadcast(name: str, weight: Tensor | None, input: Tensor) -> Tensor | None:
    """`weight` in the shape of `input`, which it must not enlarge."""
    if weight is None:
        return None
    try:
        return weight.expand_as(input)
    except RuntimeError:
        raise ValueError(
            f"{name} has shape {tuple(weight.shape)}, which does not broadcast to the input's {tuple(input.shape)}"
        ) from None


def _only_axis(weight: Tensor, input: Tensor) -> int | None:
    """The one axis that a broadcasting weight varies along, counted from the end; None if it is not one."""
    wide = [d for d in range(-weight.ndim, 0) if weight.shape[d] != 1]
    return wide[0] if len(wide) == 1 and input.ndim > 1 else None


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    empty: str = "nan",
) -> Tensor:
    """Binary cross-entropy of probabilities, as `torch.nn.functional.binary_cross_entropy` has it.

    ``−w (t max(log p, −100) + (1 − t) max(log(1 − p), −100))``: torch's bound on the logarithms is kept, so an
    impossible event that happened costs 100 nats. Logits have no such bound: `binary_cross_entropy_with_logits`.

    Parameters
    ----------
    input, target : Tensor of one shape
        Probabilities, and what is true of them, both in [0, 1].
    weight, size_average, reduce, reduction
        As in torch; `weight` broadcasts against `input`.
    empty : {"nan", "zero", "raise"}, default "nan"
        The mean of nothing.

    Returns
    -------
    Tensor
        The loss in nats; float32 for half-precision input.

    Raises
    ------
    ValueError
        If the shapes differ, or an entry on the CPU is outside [0, 1].
    TypeError
        If either is not floating.

    Examples
    --------
    >>> import torch
    >>> round(binary_cross_entropy(torch.tensor([0.99, 0.2]), torch.ones(2)).item(), 6)
    0.809744
    """
    if size_average is not None or reduce is not None:
        reduction = _reduction.legacy_get_string(size_average, reduce)
    if target.shape != input.shape:
        raise ValueError(
            f"target has shape {tuple(target.shape)} and input {tuple(input.shape)}; they must be equal"
        )
    if not (input.is_floating_point() and target.is_floating_point()):
        raise TypeError(
            f"input is {input.dtype} and target {target.dtype}; pass both as floating-point tensors"
        )
    for name, x in (("input", input), ("target", target)):
        if x.device.type == "cpu" and is_true(((x < 0) | (x > 1)).any()):
            raise ValueError(
                f"{name} has entries outside [0, 1], but it is of probabilities here. "
                "For logits use binary_cross_entropy_with_logits"
            )
    losses = clamped_binary_cross_entropy(input, target)
    weight = _broadcast("weight", weight, input)
    losses = losses if weight is None else losses * weight
    ones = torch.ones_like(losses)
    value = reduce_rows(
        losses.double(), ones.double(), ones.bool(), reduction=reduction, normalizer="weight", empty=empty
    )
    return value.to(torch.promote_types(input.dtype, torch.float32))
