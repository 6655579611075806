"""`torch.nn.functional.linear_cross_entropy` and its module, argument for argument, with ours behind them."""

from math import prod
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import linear

from crossentropy._arguments.errors import argument_errors
from crossentropy._engine.linear.autograd import in_autocast
from crossentropy._engine.linear.autograd import loss as linear_loss
from crossentropy._engine.linear.problem import (
    check_memory_budget,
    check_skip_below,
    factors_of,
    make_linear_problem,
)
from crossentropy._engine.options import TorchOptions, check_names
from crossentropy._versions import Unpack
from crossentropy.targets import LabelSet, Probabilities
from crossentropy.torch._checks import check_tensor, check_weight
from crossentropy.torch.functional import cross_entropy
from crossentropy.torch.modules import Loss

__all__ = ["LinearCrossEntropyLoss", "linear_cross_entropy"]


@argument_errors
def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Any,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
    low_rank: tuple[Tensor, Tensor] | None = None,
    shift: int = 0,
    memory_budget: int | None = None,
    skip_below: float = 0.0,
    normalizer: str | Any = None,
    empty: str = "nan",
    **keywords: Unpack[TorchOptions],
) -> Tensor:
    """Cross-entropy of a linear head, as `torch.nn.functional.linear_cross_entropy` has it, but without its logits.

    With class indices the mean is ``Σ w_y ℓ / Σ w_y`` over the rows not ignored; with class probabilities it is ``Σ ℓ``
    over the number of rows, and they need not sum to one.

    Parameters
    ----------
    input : Tensor (in_features,), (N, in_features), or (..., in_features) which torch does not take
        Hidden states.
    linear_weight : Tensor (C, in_features) or (C, d1, …, in_features)
        A row for each class; with ``d1, …`` a head for each place, whose logits (N, C, d1, …) are made whole, as in
        torch.
    target : integer Tensor of the logits' shape without C, or floating Tensor of the logits' shape
        Class indices of any integer dtype, or class probabilities; or one of `crossentropy.targets`. The classes are
        on axis 1 with ``d1, …``, else on the last one.
    linear_bias : Tensor (C,) or (C, d1, …), optional
    weight, reduction, label_smoothing
        As in torch.
    ignore_index : int, optional
        The label to leave out; None stands for -100 with class indices, as in torch.
    options : LinearCrossEntropyOptions, optional
        Accepted, so that torch's calls run, and left aside: how much memory is used is said by `memory_budget`, sums
        are always in float32 or wider, and a second backward pass is always allowed.
    low_rank, shift, memory_budget, skip_below
        As in `crossentropy.linear_cross_entropy`.
    normalizer : {"weight", "count"}, number or Tensor, optional
        Another denominator than torch's.
    empty : {"nan", "zero", "raise"}, default "nan"
        The mean when there is nothing to average: NaN as in torch, though the gradient is 0.
    **keywords
        The options of `crossentropy.softmax_cross_entropy` that torch does not have. `validate` is of indices: sums of
        probabilities are never checked.

    Returns
    -------
    Tensor
        The loss in nats. That of half-precision inputs is float32, the one difference from torch.

    Raises
    ------
    ValueError, TypeError
        As `crossentropy.linear_cross_entropy` does.

    Examples
    --------
    >>> import torch
    >>> input, linear_weight = torch.eye(2, 3), torch.eye(4, 3)
    >>> round(linear_cross_entropy(input, linear_weight, torch.tensor([0, 3])).item(), 4)
    1.2437
    """
    check_tensor(input)
    check_tensor(linear_weight, "linear_weight")
    check_weight("weight", weight)
    check_memory_budget(memory_budget)
    check_names(keywords, TorchOptions)
    K = linear_weight.ndim - 2
    if K > 0 and input.ndim != 2:
        raise ValueError(
            f"linear_weight has shape {tuple(linear_weight.shape)}, a head for each place, and input "
            f"{tuple(input.shape)}; pass an input of shape (N, in_features) with it"
        )
    if K > 0 and (low_rank is not None or shift or skip_below):
        raise ValueError(
            "low_rank, shift and skip_below are for one head, a linear_weight of shape (C, in_features); "
            f"this one has shape {tuple(linear_weight.shape)}"
        )
    logits_shape = (*input.shape[:-1], *linear_weight.shape[:-1])
    if isinstance(target, Tensor) and target.is_floating_point() and target.shape == logits_shape:
        target = Probabilities(target, normalized=False)
    if isinstance(target, Probabilities):
        if ignore_index is not None:
            raise ValueError(
                f"ignore_index={ignore_index} is given with class probabilities, which have no label to ignore; "
                "leave rows out with sample_weight 0"
            )
        if normalizer is None and reduction == "mean":
            normalizer = "count"
    if ignore_index is None and not isinstance(target, (Probabilities, LabelSet)):
        ignore_index = -100
    choices: dict[str, Any] = {
        "label_smoothing": label_smoothing,
        "reduction": reduction,
        "normalizer": "weight" if normalizer is None else normalizer,
        "empty": empty,
        **keywords,
    }
    if K > 0:
        flat_bias = None if linear_bias is None else linear_bias.reshape(-1)
        logits = linear(input, linear_weight.reshape(-1, linear_weight.shape[-1]), flat_bias)
        ignored = -100 if ignore_index is None else ignore_index
        return cross_entropy(logits.reshape(logits_shape), target, weight, ignore_index=ignored, **choices)
    factors: Any
    input, linear_weight, linear_bias, *factors = in_autocast(  # type: ignore[assignment]
        input, linear_weight, linear_bias, *factors_of(low_rank)
    )
    linear_problem = make_linear_problem(
        input,
        linear_weight,
        target,
        bias=linear_bias,
        low_rank=tuple(factors) or None,
        shift=shift,
        class_weight=weight,
        ignore_index=ignore_index,
        signed_weights=True,
        **choices,
    )
    check_skip_below(skip_below, linear_problem.problem)
    return linear_loss(linear_problem, memory_budget, skip_below)


class LinearCrossEntropyLoss(Loss):
    """`torch.nn.LinearCrossEntropyLoss` with ours behind it; see `crossentropy.torch.linear_cross_entropy`.

    Parameters
    ----------
    in_features, num_classes, out_features, bias, device, dtype, reduction, weight, ignore_index, label_smoothing
        As in torch; the head is the module `linear` and `weight` a buffer of that name, so that state dicts load.
    options : LinearCrossEntropyOptions, optional
        Accepted and left aside.
    **keywords
        The other keywords of `crossentropy.torch.linear_cross_entropy` but `sample_weight` and `low_rank`, which go to
        the call.

    Examples
    --------
    >>> import torch
    >>> loss = LinearCrossEntropyLoss(5, 10, z_loss=1e-4)
    >>> loss(torch.randn(2, 5), torch.tensor([3, 9])).backward()
    >>> loss.linear.weight.grad.shape
    torch.Size([10, 5])
    """

    _function = staticmethod(linear_cross_entropy)
    _given = ("linear_bias", "options")
    _called_with = ("sample_weight", "low_rank")

    weight: Tensor | None

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device: Any = None,
        dtype: Any = None,
        reduction: str = "mean",
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: Any = None,
        **keywords: Any,
    ) -> None:
        settings = {"reduction": reduction, "ignore_index": ignore_index, "label_smoothing": label_smoothing}
        super().__init__({"weight": weight}, None, None, keywords, **settings)
        self.num_classes = num_classes
        self.out_features = out_features
        self.linear = nn.Linear(in_features, num_classes * prod(out_features), bias, device, dtype)

    def forward(
        self,
        input: Tensor,
        target: Any,
        *,
        sample_weight: Tensor | None = None,
        normalizer: str | Any = None,
        low_rank: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """The loss of a batch; as in `CrossEntropyLoss`, and `low_rank` as in the function."""
        classes, bias = (self.num_classes, *self.out_features), self.linear.bias
        return self._called(
            input,
            self.linear.weight.reshape(*classes, -1),
            target,
            linear_bias=None if bias is None else bias.reshape(classes),
            sample_weight=sample_weight,
            normalizer=normalizer,
            low_rank=low_rank,
        )

    def extra_repr(self) -> str:
        return f"num_classes={self.num_classes!r}, out_features={self.out_features!r}, {self._shown()}"
