"""`torch.nn`'s cross-entropy modules, argument for argument, with ours behind them."""

from inspect import signature
from typing import Any

from torch import Tensor, nn
from torch.nn import _reduction

from crossentropy.links import Focal
from crossentropy.torch import binary
from crossentropy.torch import functional as F

__all__ = ["BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "FocalLoss", "NLLLoss"]


class Loss(nn.Module):
    """A loss with torch's reduction, and options of ours that are passed on as they are."""

    #: the function that the module calls, those of its keywords that the module has itself and those that go to the
    #: call, and torch's own attributes to show
    _function: Any = None
    _given: tuple[str, ...] = ()
    _called_with: tuple[str, ...] = ("sample_weight",)
    _shown: tuple[str, ...] = ("reduction",)

    def __init__(
        self, size_average: bool | None, reduce: bool | None, reduction: str, options: dict[str, Any]
    ) -> None:
        super().__init__()
        known = [p.name for p in signature(self._function).parameters.values() if p.kind is p.KEYWORD_ONLY]
        others = {*self._given, *self._called_with, *signature(type(self)).parameters}
        known = [name for name in known if name not in others]
        for name in options:
            if name in self._called_with:
                raise TypeError(f"{name} is no option: pass it to the call, loss(input, target, {name}=…)")
            if name not in known:
                raise TypeError(f"{type(self).__name__} has no option {name!r}; it takes {', '.join(known)}")
        if size_average is not None or reduce is not None:
            reduction = _reduction.legacy_get_string(size_average, reduce)
        self.reduction = reduction
        self.options = options

    def extra_repr(self) -> str:
        named = ((name, getattr(self, name)) for name in self._shown)
        return ", ".join(f"{name}={value!r}" for name, value in (*named, *self.options.items()))


class CrossEntropyLoss(Loss):
    """`torch.nn.CrossEntropyLoss` with ours behind it; see `crossentropy.torch.cross_entropy`.

    Parameters
    ----------
    weight, size_average, ignore_index, reduce, reduction, label_smoothing
        As in torch; `weight` is a buffer of that name.
    **options
        The other keywords of `crossentropy.torch.cross_entropy` but `sample_weight`, which goes to the call.

    Examples
    --------
    >>> import torch
    >>> loss = CrossEntropyLoss(label_smoothing=0.1, z_loss=1e-4)
    >>> loss
    CrossEntropyLoss(reduction='mean', ignore_index=-100, label_smoothing=0.1, z_loss=0.0001)
    >>> round(loss(torch.zeros(2, 3), torch.tensor([0, 2])).item(), 4)
    1.0987
    """

    _function = staticmethod(F.cross_entropy)
    _shown = ("reduction", "ignore_index", "label_smoothing")

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(size_average, reduce, reduction, options)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Any, *, sample_weight: Tensor | None = None) -> Tensor:
        """The loss of a batch."""
        return F.cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
            sample_weight=sample_weight,
            **self.options,
        )


class FocalLoss(CrossEntropyLoss):
    """The multiclass focal loss ``−w_y (1 − p_y)^γ log p_y``; see `crossentropy.torch.focal_loss`.

    Parameters
    ----------
    gamma : float, default 2.0
        Focusing exponent, at least 0.
    weight, ignore_index, reduction, **options
        As in `CrossEntropyLoss`.

    Examples
    --------
    >>> import torch
    >>> round(FocalLoss(gamma=2)(torch.zeros(1, 2), torch.tensor([1])).item(), 6)
    0.173287
    """

    def __init__(
        self,
        gamma: float = 2.0,
        *,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        **options: Any,
    ) -> None:
        super().__init__(weight, None, ignore_index, None, reduction, link=Focal(gamma), **options)


class NLLLoss(Loss):
    """`torch.nn.NLLLoss` with ours behind it; see `crossentropy.torch.nll_loss`.

    Examples
    --------
    >>> import torch
    >>> round(NLLLoss()(torch.tensor([[0.7, 0.3]]).log(), torch.tensor([0])).item(), 6)
    0.356675
    """

    _function = staticmethod(F.nll_loss)
    _shown = ("reduction", "ignore_index")

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        **options: Any,
    ) -> None:
        super().__init__(size_average, reduce, reduction, options)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of a batch."""
        return F.nll_loss(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            **self.options,
        )


class BCELoss(Loss):
    """`torch.nn.BCELoss` with ours behind it; see `crossentropy.torch.binary_cross_entropy`.

    Examples
    --------
    >>> import torch
    >>> round(BCELoss()(torch.tensor([0.2]), torch.ones(1)).item(), 6)
    1.609438
    """

    _function = staticmethod(binary.binary_cross_entropy)

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        **options: Any,
    ) -> None:
        super().__init__(size_average, reduce, reduction, options)
        self.register_buffer("weight", weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of a batch."""
        return binary.binary_cross_entropy(
            input, target, self.weight, reduction=self.reduction, **self.options
        )


class BCEWithLogitsLoss(Loss):
    """`torch.nn.BCEWithLogitsLoss` with ours behind it; see `crossentropy.torch.binary_cross_entropy_with_logits`.

    Examples
    --------
    >>> import torch
    >>> round(BCEWithLogitsLoss()(torch.zeros(1), torch.ones(1)).item(), 6)
    0.693147
    """

    _function = staticmethod(binary.binary_cross_entropy_with_logits)

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
        **options: Any,
    ) -> None:
        super().__init__(size_average, reduce, reduction, options)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of a batch."""
        return binary.binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight, **self.options
        )
