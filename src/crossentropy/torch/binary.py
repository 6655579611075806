"""`torch.nn.functional`'s binary cross-entropies, argument for argument, with ours behind them."""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import _reduction

from crossentropy._arguments.errors import argument_errors
from crossentropy._backends.conditions import is_true
from crossentropy._engine.reductions import check_reduction, count_by_default, reduce_rows
from crossentropy._engine.rows.reduce import reduced_sums
from crossentropy._engine.weights import row_values
from crossentropy.links import Link
from crossentropy.losses.sigmoid import sigmoid_cross_entropy
from crossentropy.torch._checks import as_weight, broadcast
from crossentropy.torch._clamped_binary import clamped_binary_cross_entropy

__all__ = ["binary_cross_entropy", "binary_cross_entropy_with_logits", "multilabel_soft_margin_loss"]


@argument_errors
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
    sample_weight: Tensor | None = None,
    normalizer: str | Any = None,
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
    sample_weight : Tensor, shape of `input` or that without its last axis, optional
        Weight of each element or row, times `weight`.
    normalizer : {"weight", "count"}, number or Tensor, optional
        Another denominator than the number of elements; a Tensor divides each one.
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
    _check_shapes(input, target)
    options: dict[str, Any] = {
        "label_smoothing": label_smoothing,
        "link": link,
        "negative_link": negative_link,
        "negative_shift": negative_shift,
        "normalizer": count_by_default(normalizer, reduction),
        "empty": empty,
        "validate": "none",
    }
    sample = _product(broadcast("weight", weight, input), _each_weight(sample_weight, input))
    positive = broadcast("pos_weight", pos_weight, input)
    axis = None if positive is None else _only_axis(pos_weight, input)
    if positive is None or axis is not None:
        vector = None if axis is None else as_weight(pos_weight).reshape(-1)  # type: ignore[union-attr]
        axis = -1 if axis is None else axis
        return sigmoid_cross_entropy(
            input, target, pos_weight=vector, sample_weight=sample, axis=axis, reduction=reduction, **options
        )
    # A factor for every element: sigmoid_cross_entropy takes one per class, so the elements become the classes of one
    # row.
    if isinstance(options["normalizer"], Tensor) and options["normalizer"].ndim:
        options["normalizer"] = options["normalizer"].reshape(1, -1)
    one_row = [x if x is None else x.reshape(1, -1) for x in (input, target, sample)]
    value = sigmoid_cross_entropy(
        one_row[0],
        one_row[1],
        pos_weight=positive.reshape(-1),
        sample_weight=one_row[2],
        reduction=reduction,
        **options,
    )
    return value.reshape(input.shape) if reduction == "none" else value


def _check_shapes(input: Tensor, target: Tensor) -> None:
    """Raise ValueError unless the shapes are equal."""
    if target.shape != input.shape:
        raise ValueError(
            f"target has shape {tuple(target.shape)} and input {tuple(input.shape)}; they must be equal"
        )


def _each_weight(sample_weight: Tensor | None, input: Tensor) -> Tensor | None:
    """Expand sample weights of elements or rows to the shape of `input`."""
    if sample_weight is None:
        return None
    shape, whole = tuple(sample_weight.shape), tuple(input.shape)
    rows = whole[:-1] if input.ndim > 1 else whole
    if shape not in (whole, rows):
        raise ValueError(
            f"sample_weight has shape {shape}; pass {whole}, one for every element, or {rows}, one for every row"
        )
    return sample_weight if shape == whole else sample_weight.unsqueeze(-1).expand_as(input)


def _product(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    """Multiply two weights, where None stands for 1."""
    if one is None or other is None:
        return other if one is None else one
    return one * other


def _only_axis(weight: Any, input: Tensor) -> int | None:
    """Return the only axis along which a weight varies, as a negative number; None if there is not exactly one."""
    shape = as_weight(weight).shape  # type: ignore[union-attr]
    wide = [d for d in range(-len(shape), 0) if shape[d] != 1]
    return wide[0] if len(wide) == 1 and input.ndim > 1 else None


@argument_errors
def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    sample_weight: Tensor | None = None,
    normalizer: str | Any = None,
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
    sample_weight, normalizer
        As in `binary_cross_entropy_with_logits`.
    empty : {"nan", "zero", "raise"}, default "nan"
        The mean of nothing.

    Returns
    -------
    Tensor
        The loss in nats; float32 for half-precision input.

    Raises
    ------
    ValueError
        If the shapes differ, or an entry on the CPU is NaN or outside [0, 1].
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
    _check_shapes(input, target)
    if not (input.is_floating_point() and target.is_floating_point()):
        raise TypeError(
            f"input is {input.dtype} and target {target.dtype}; pass both as floating-point tensors"
        )
    normalizer = count_by_default(normalizer, reduction)
    check_reduction(reduction, normalizer, empty)
    element_weights = _each_weight(sample_weight, input)
    if element_weights is not None:  # an invalid entry of weight 0 becomes a probability, for 0 · NaN is NaN
        void = (element_weights == 0) & ~((input >= 0) & (input <= 1) & (target >= 0) & (target <= 1))
        input, target = (torch.where(void, 0.5, x) for x in (input, target))
    for name, x in (("input", input), ("target", target)):
        if x.device.type == "cpu" and is_true((~((x >= 0) & (x <= 1))).any()):
            raise ValueError(
                f"{name} has entries that are NaN, but it is of probabilities here"
                if is_true(((x >= 0) & (x <= 1) | x.isnan()).all())
                else f"{name} has entries outside [0, 1], but it is of probabilities here. "
                "For logits use binary_cross_entropy_with_logits"
            )
    losses = clamped_binary_cross_entropy(input, target).double()
    weights = _product(broadcast("weight", weight, input), element_weights)
    value, _ = reduce_rows(
        losses if weights is None else losses * weights,
        weights,
        None,
        reduction=reduction,
        normalizer=normalizer,
        empty=empty,
    )
    return value.to(torch.promote_types(input.dtype, torch.float32))


@argument_errors
def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    sample_weight: Tensor | None = None,
    normalizer: str | Any = None,
    empty: str = "nan",
) -> Tensor:
    """Binary cross-entropy of logits, the mean over the classes of a row, as `torch.nn.functional` has it.

    Parameters
    ----------
    input, target : Tensor (..., C) of one shape
        Logits, and what is true of them.
    weight, size_average, reduce, reduction
        As in torch; `weight` broadcasts against `input`.
    sample_weight : Tensor (...), optional
        Weight of each row.
    normalizer : {"weight", "count"}, number or Tensor, optional
        Another denominator than the number of rows.
    empty : {"nan", "zero", "raise"}, default "nan"
        The mean of nothing.

    Returns
    -------
    Tensor () or (...)
        The loss in nats; float32 for half-precision logits.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Examples
    --------
    >>> import torch
    >>> logits, target = torch.tensor([[0.0, 20.0], [0.0, 0.0]]), torch.tensor([[1.0, 1.0], [0.0, 1.0]])
    >>> multilabel_soft_margin_loss(logits, target, reduction="none")
    tensor([0.3466, 0.6931])
    """
    if size_average is not None or reduce is not None:
        reduction = _reduction.legacy_get_string(size_average, reduce)
    _check_shapes(input, target)
    rows = row_values(sample_weight, input, tuple(input.shape[:-1]), "sample_weight")
    element_weights = None if rows is None else rows.unsqueeze(-1).expand_as(input)
    each = _product(broadcast("weight", weight, input), element_weights)
    value = reduced_sums(
        partial(sigmoid_cross_entropy, input, target, sample_weight=each, validate="none"),
        tuple(input.shape),
        input.ndim - 1,
        like=input,
        weights=rows,
        reduction=reduction,
        normalizer=count_by_default(normalizer, reduction),
        empty=empty,
    )
    return value / input.shape[-1]
