"""`torch.nn`'s cross-entropy modules, argument for argument, with ours behind them."""

from typing import Any

from torch import Tensor
from torch.nn import _reduction

from crossentropy._arguments.errors import argument_errors, keywords
from crossentropy.links import Focal
from crossentropy.torch import binary
from crossentropy.torch import functional as F
from crossentropy.torch._checks import as_weight, check_weight, set_by_itself
from crossentropy.torch._settings import Settings

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "FocalLoss",
    "MultiLabelSoftMarginLoss",
    "NLLLoss",
]


class Loss(Settings):
    """A loss with torch's reduction, which passes our options on to its function."""

    #: Keywords of the function that the module supplies itself, and keywords of a batch, which are passed to the call;
    #: `normalizer` may be passed to either.
    _given: tuple[str, ...] = ()
    _called_with: tuple[str, ...] = ("sample_weight",)

    def __init__(
        self,
        weights: dict[str, Tensor | None],
        size_average: bool | None,
        reduce: bool | None,
        options: dict[str, Any],
        **settings: Any,
    ) -> None:
        super().__init__()
        known = [name for name, p in keywords(self._function).items() if p.kind is p.KEYWORD_ONLY]
        others = {*self._given, *self._called_with, *weights, *settings}
        known = [name for name in known if name not in others]
        for name in options:
            if name in self._called_with:
                raise TypeError(f"{name} is no option: pass it to the call, loss(input, target, {name}=…)")
            if name not in known:
                raise TypeError(f"{type(self).__name__} has no option {name!r}; it takes {', '.join(known)}")
        if size_average is not None or reduce is not None:
            settings["reduction"] = _reduction.legacy_get_string(size_average, reduce)
        self._not_shown = tuple(weights)
        self._options = (*weights, *settings, *known)
        for name, weight in weights.items():
            check_weight(name, weight)
            setattr(self, name, as_weight(weight))
        for name, value in (settings | options).items():
            setattr(self, name, value)

    def forward(
        self, input: Tensor, target: Any, *, sample_weight: Tensor | None = None, normalizer: str | Any = None
    ) -> Tensor:
        """The loss of a batch.

        Parameters
        ----------
        input, target : Tensor
            As in the function.
        sample_weight : Tensor, shape of the rows, optional
            Weight of each row.
        normalizer : {"weight", "count"}, number or Tensor, optional
            What the mean divides by, instead of the module's own: of a batch that comes in parts, the size of all.
        """
        return self._called(input, target, sample_weight=sample_weight, normalizer=normalizer)


class CrossEntropyLoss(Loss):
    """`torch.nn.CrossEntropyLoss` with ours behind it; see `crossentropy.torch.cross_entropy`.

    Parameters
    ----------
    weight, size_average, ignore_index, reduce, reduction, label_smoothing
        As in torch; `weight` is a buffer of that name.
    **options
        The other keywords of `crossentropy.torch.cross_entropy` but `sample_weight`, which goes to the call. A tensor
        is a buffer, and a `Parameter` a parameter of the module, those inside a link too.

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

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int | None = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        **options: Any,
    ) -> None:
        settings = {"reduction": reduction, "ignore_index": ignore_index, "label_smoothing": label_smoothing}
        super().__init__({"weight": weight}, size_average, reduce, options, **settings)


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

    @argument_errors
    def __init__(
        self,
        gamma: float = 2.0,
        *,
        weight: Tensor | None = None,
        ignore_index: int | None = -100,
        reduction: str = "mean",
        **options: Any,
    ) -> None:
        if "link" in options:
            raise set_by_itself("FocalLoss", "link", "CrossEntropyLoss")
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

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int | None = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        **options: Any,
    ) -> None:
        settings = {"reduction": reduction, "ignore_index": ignore_index}
        super().__init__({"weight": weight}, size_average, reduce, options, **settings)


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
        super().__init__({"weight": weight}, size_average, reduce, options, reduction=reduction)


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
        weights = {"weight": weight, "pos_weight": pos_weight}
        super().__init__(weights, size_average, reduce, options, reduction=reduction)


class MultiLabelSoftMarginLoss(Loss):
    """`torch.nn.MultiLabelSoftMarginLoss` with ours behind it; see `crossentropy.torch.multilabel_soft_margin_loss`.

    Examples
    --------
    >>> import torch
    >>> round(MultiLabelSoftMarginLoss()(torch.zeros(1, 3), torch.tensor([[1.0, 0.0, 1.0]])).item(), 6)
    0.693147
    """

    _function = staticmethod(binary.multilabel_soft_margin_loss)

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        **options: Any,
    ) -> None:
        super().__init__({"weight": weight}, size_average, reduce, options, reduction=reduction)
