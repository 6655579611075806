"""`torch.nn.functional`'s cross-entropies of classes, argument for argument, with ours behind them."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import _reduction

from crossentropy._arguments.errors import argument_errors, as_written
from crossentropy._engine.options import TorchOptions, check_names
from crossentropy._engine.probabilities.labels import Truth
from crossentropy._engine.probabilities.predictions import Predictions
from crossentropy._engine.probabilities.row_log_prob import row_log_prob
from crossentropy._engine.probabilities.scores import reduce_scores
from crossentropy._engine.softmax.problem import make_problem
from crossentropy._engine.softmax.solve import solve
from crossentropy._statistics.label_errors import check_labels, outside_classes
from crossentropy._versions import Unpack
from crossentropy.links import Focal
from crossentropy.targets import LabelSet, Probabilities
from crossentropy.torch._checks import as_weight, check_tensor, check_weight, set_by_itself

__all__ = [
    "cross_entropy",
    "focal_loss",
    "nll_loss",
]


@argument_errors
def cross_entropy(
    input: Tensor,
    target: Any,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int | None = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    normalizer: str | Any = None,
    empty: str = "nan",
    inplace: bool = False,
    **options: Unpack[TorchOptions],
) -> Tensor:
    """Cross-entropy of logits, as `torch.nn.functional.cross_entropy` has it.

    The class axis is 1 (0 for one row). With class indices the mean is ``Σ w_y ℓ / Σ w_y`` over the rows not ignored;
    with class probabilities it is ``Σ ℓ`` over the number of rows, and they need not sum to one.

    Parameters
    ----------
    input : Tensor (C,), (N, C) or (N, C, d1, …), floating
        Logits.
    target : integer Tensor of the shape without C, or floating Tensor of the whole shape
        Class indices of any integer dtype, or class probabilities; or one of `crossentropy.targets`.
    weight, size_average, ignore_index, reduce, reduction, label_smoothing
        As in torch; with `ignore_index=None` no label is ignored.
    normalizer : {"weight", "count"}, number or Tensor, optional
        Another denominator than torch's.
    empty : {"nan", "zero", "raise"}, default "nan"
        The mean when there is nothing to average: NaN as in torch, though the gradient is 0.
    inplace : bool, default False
        As in `crossentropy.softmax_cross_entropy`.
    **options
        Those of `crossentropy.softmax_cross_entropy` that torch does not have. `validate` is of indices: sums of
        probabilities are never checked.

    Returns
    -------
    Tensor
        The loss in nats. That of half-precision logits is float32, the one difference from torch.

    Raises
    ------
    ValueError, TypeError
        As `crossentropy.softmax_cross_entropy` does.

    Examples
    --------
    >>> import torch
    >>> logits = torch.tensor([[2.0, 1.0, -1.0], [0.0, 2.0, -2.0]])
    >>> round(cross_entropy(logits, torch.tensor([0, 1])).item(), 6)
    0.245972
    """
    check_tensor(input)
    check_weight("weight", weight)
    check_names(options, TorchOptions)
    if size_average is not None or reduce is not None:
        reduction = _reduction.legacy_get_string(size_average, reduce)
    soft = isinstance(target, Tensor) and target.is_floating_point() and target.shape == input.shape
    if soft:
        if ignore_index is not None and ignore_index >= 0:
            raise ValueError(
                f"ignore_index={ignore_index} is given with class probabilities, which have no label to ignore; "
                "leave rows out with sample_weight 0"
            )
        target = Probabilities(target, normalized=False)
    if normalizer is None:
        soft = isinstance(target, Probabilities)
        normalizer = "count" if soft and reduction == "mean" else "weight"
    problem = make_problem(
        input,
        target,
        axis=1 if input.ndim > 1 else 0,
        label_smoothing=label_smoothing,
        class_weight=weight,
        ignore_index=None if isinstance(target, (Probabilities, LabelSet)) else ignore_index,
        reduction=reduction,
        normalizer=normalizer,
        empty=empty,
        inplace=inplace,
        signed_weights=True,
        checks_sets=False,
        **options,
    )
    return solve(problem)


@argument_errors
def focal_loss(
    input: Tensor,
    target: Any,
    gamma: float = 2.0,
    weight: Tensor | None = None,
    ignore_index: int | None = -100,
    reduction: str = "mean",
    **options: Any,
) -> Tensor:
    """The multiclass focal loss ``−w_y (1 − p_y)^γ log p_y``.

    Parameters
    ----------
    input, target, weight, ignore_index, reduction
        As in `cross_entropy`. The paper's ``α`` is `weight`.
    gamma : float, default 2.0
        Focusing exponent.
    **options
        The other keywords of `cross_entropy`.

    Returns
    -------
    Tensor
        The loss in nats: float64 for float64 logits, else float32.

    Raises
    ------
    ValueError, TypeError
        As `cross_entropy` does, and if `gamma` is negative or not finite.

    References
    ----------
    Lin, Goyal, Girshick, He, Dollár, "Focal Loss for Dense Object Detection", ICCV 2017.

    Examples
    --------
    >>> import torch
    >>> round(focal_loss(torch.zeros(1, 2), torch.tensor([1])).item(), 6)  # a quarter of ln 2
    0.173287
    """
    if "link" in options:
        raise set_by_itself("focal_loss", "link", "cross_entropy")
    return cross_entropy(
        input, target, weight, ignore_index=ignore_index, reduction=reduction, link=Focal(gamma), **options
    )


@argument_errors
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int | None = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    sample_weight: Tensor | None = None,
    normalizer: str | Any = None,
    empty: str = "nan",
    validate: str = "raise",
) -> Tensor:
    """Negative log-likelihood from log-probabilities, as `torch.nn.functional.nll_loss` has it.

    The mean is ``−Σ w_y input_y / Σ w_y`` over the rows not ignored.

    Parameters
    ----------
    input : Tensor (C,), (N, C) or (N, C, d1, …), floating
        Log-probabilities.
    target : integer Tensor of the shape without C
    weight, size_average, ignore_index, reduce, reduction
        As in torch; with `ignore_index=None` no label is ignored.
    sample_weight : Tensor, shape of the rows, optional
        Weight of each row.
    normalizer, empty, validate
        As in `cross_entropy`.

    Returns
    -------
    Tensor
        The loss in nats, if the log-probabilities are: in their dtype, float32 for half-precision input.

    Raises
    ------
    ValueError
        If a label is outside the classes and not `ignore_index`, or shapes do not fit.

    Examples
    --------
    >>> import torch
    >>> log_probabilities = torch.tensor([[0.7, 0.3]]).log()
    >>> round(nll_loss(log_probabilities, torch.tensor([0])).item(), 6)
    0.356675
    """
    if size_average is not None or reduce is not None:
        reduction = _reduction.legacy_get_string(size_average, reduce)
    check_tensor(input)
    check_weight("weight", weight)
    weight = as_weight(weight)
    normalizer = "weight" if normalizer is None else normalizer
    if not isinstance(target, Tensor):
        raise TypeError(
            f"target is {as_written(target)}; pass class indices as a tensor, torch.as_tensor(target)"
        )
    if target.is_floating_point():
        raise TypeError(f"target has dtype {target.dtype}; nll_loss takes class indices: target.long()")
    problem = make_problem(
        input,
        target,
        axis=1 if input.ndim > 1 else 0,
        class_weight=weight,
        sample_weight=sample_weight,
        ignore_index=ignore_index,
        reduction=reduction,
        normalizer=normalizer,
        empty=empty,
        validate=validate,
    )
    bad = outside_classes(problem.target, problem.classes)
    if problem.validate:
        check_labels(problem.target, problem.classes, bad=bad)
    # a row of classes alone is one of a batch
    log_p = input.movedim(problem.axis, -1) if input.ndim > 1 else input[None]
    shape = log_p.shape[:-1]
    truth = Truth(target.long().view(shape), ignore_index=ignore_index)
    omega = problem.sample_weight
    counted = None if omega is None else omega.view(shape) != 0
    rows = row_log_prob(
        Predictions(log_p, in_logs=True), truth, problem.class_weight, counted, bad=bad.view(shape)
    )
    mass, keep = (None if x is None else x.view(target.shape) for x in (rows.mass, rows.keep))
    value = reduce_scores(
        None,
        -rows.log_prob.view(target.shape),
        mass,
        omega,
        keep=keep,
        reduction=reduction,
        normalizer=normalizer,
        empty=empty,
        checked=False,
    )
    return value.to(torch.promote_types(input.dtype, torch.float32))
