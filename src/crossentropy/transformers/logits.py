"""Logits that are not computed: the hidden states, the head, and what the model does to their product.

While a model computes its loss, its output layer returns `LinearLogits` in place of a tensor. They record the few
operations that models apply to logits (scale, softcap, bias, choice of rows), and answer
`torch.nn.functional.cross_entropy` with the linear head's loss. Any other operation is an error.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, NoReturn

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossentropy._backends.modes import is_compiling
from crossentropy._engine.linear.autograd import in_autocast
from crossentropy._engine.linear.autograd import loss as linear_loss
from crossentropy._engine.linear.problem import (
    LinearProblem,
    check_skip_below,
    make_linear_problem,
    zero_excluded_hidden,
)
from crossentropy._statistics.products import product

PRODUCTS = (Tensor.mul, Tensor.__mul__)
SUMS = (Tensor.add, Tensor.__add__)


class Term(NamedTuple):
    """A product ``scale · (hidden weightᵀ + bias)`` in the logits, with the layer that has `weight` and `bias`."""

    hidden: Tensor
    layer: nn.Linear
    scale: float = 1.0


@dataclass(eq=False)
class Recording:
    """What becomes of the logits of a model that is computing its loss.

    Attributes
    ----------
    head : nn.Module
        The model's output layer. What reads its weights runs inside a call of it, for there they are complete where a
        layer's parameters are sharded (FSDP, ZeRO).
    options : dict
        Options of the loss that the model does not set itself.
    is_on : bool
        Whether the output layer returns `LinearLogits`.
    answer : callable, optional
        Called with `LinearLogits` and what `F.cross_entropy` was called with, in place of `LinearLogits.loss`.
    answered : bool
        Whether a loss has been asked for since `is_on` was set.
    """

    head: nn.Module
    memory_budget: int | None
    skip_below: float
    options: dict[str, Any]
    is_on: bool = False
    answer: Callable[..., Tensor] | None = None
    answered: bool = False


@dataclass(eq=False)
class LinearLogits:
    """Logits ``u = softcap(z) / temperature + bias`` with ``z = Σ scale · (hidden weightᵀ + bias)``.

    Attributes
    ----------
    recording : Recording
    terms : tuple of Term
        One, or more where the head has low-rank updates.
    """

    recording: Recording
    terms: tuple[Term, ...]
    temperature: Any = 1.0
    softcap: float | None = None
    bias: Tensor | None = None

    # What a model may ask of its logits without computing them.

    @property
    def shape(self) -> torch.Size:
        """The rows' shape and the number of classes."""
        hidden, layer, _ = self.terms[0]
        return torch.Size((*hidden.shape[:-1], layer.out_features))

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.terms[0].hidden.ndim

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the hidden states; the loss is float32 or wider whatever it is."""
        return self.terms[0].hidden.dtype

    @property
    def device(self) -> torch.device:
        """The device of the hidden states."""
        return self.terms[0].hidden.device

    def size(self, axis: int | None = None) -> Any:
        """As `Tensor.size`."""
        return self.shape if axis is None else self.shape[axis]

    def dim(self) -> int:
        """As `Tensor.dim`."""
        return self.ndim

    def float(self) -> "LinearLogits":
        """Return self: the loss is computed in float32 or wider."""
        return self

    def to(self, *args: Any, **kwargs: Any) -> "LinearLogits":
        """Return self: the loss is computed where the hidden states are, in float32 or wider."""
        return self

    def contiguous(self) -> "LinearLogits":
        """Return self."""
        return self

    # Choice and shape of the rows.

    def view(self, *shape: Any) -> "LinearLogits":
        """Reshape the rows; the classes remain the last axis."""
        sizes = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], Iterable) else shape
        if len(sizes) < 2 or sizes[-1] not in (self.shape[-1], -1):
            self._refuse(f"reshapes them to {sizes}")
        rows = sizes[:-1]
        if sizes[-1] == -1 and -1 not in rows and torch.Size(rows).numel() != self.shape[:-1].numel():
            self._refuse(f"reshapes them to {sizes}")
        return self._with_hidden(lambda x: x.reshape(*rows, x.shape[-1]))

    reshape = view

    def __getitem__(self, index: Any) -> "LinearLogits":
        parts = index if isinstance(index, tuple) else (index,)
        if any(x is Ellipsis for x in parts):
            at = next(i for i, x in enumerate(parts) if x is Ellipsis)
            missing = self.ndim - sum(_axes(x) for x in parts if x is not Ellipsis)
            parts = (*parts[:at], *(slice(None),) * missing, *parts[at + 1 :])
        if sum(map(_axes, parts)) >= self.ndim:
            *parts, classes = parts  # type: ignore[assignment]
            if not isinstance(classes, slice) or classes.indices(self.shape[-1]) != (0, self.shape[-1], 1):
                self._refuse(f"takes the classes {classes}")
        return self._with_hidden(lambda x: x[tuple(parts)])

    # Transforms of the logits.

    def __mul__(self, factor: Any) -> "LinearLogits":
        return self._divided(1, factor)

    __rmul__ = __mul__

    def __truediv__(self, divisor: Any) -> "LinearLogits":
        return self._divided(divisor)

    def tanh(self) -> "LinearLogits":
        """Record the hyperbolic tangent, which with the scales before and behind it is a softcap."""
        if self.softcap is not None or self.bias is not None or isinstance(self.temperature, Tensor):
            self._refuse("takes the hyperbolic tangent of logits that are transformed already")
        return replace(self, softcap=self.temperature)

    def __add__(self, other: Any) -> "LinearLogits":
        if isinstance(other, LinearLogits):
            if any(x.softcap is not None or x.bias is not None for x in (self, other)):
                self._refuse("adds logits that are transformed already")
            return replace(self, terms=(*self._scaled(), *other._scaled()), temperature=1.0)
        is_of_classes = (
            isinstance(other, Tensor) and other.ndim and other.numel() == other.shape[-1] == self.shape[-1]
        )
        if not is_of_classes or self.bias is not None:
            self._refuse(f"adds {_in_words(other)} to them")
        return replace(self, bias=other.reshape(-1))

    __radd__ = __add__

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        logits = next(x for x in (*args, *(kwargs or {}).values()) if isinstance(x, cls))
        if function is F.cross_entropy:
            return _cross_entropy(*args, **(kwargs or {}))
        if function is torch.tanh:
            return logits.tanh()
        # of a tensor and these logits, in this order
        if function in PRODUCTS:
            return logits * args[0]
        if function in SUMS:
            return logits + args[0]
        logits._refuse(f"calls {getattr(function, '__name__', function)}() on them")

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse(f"uses their attribute {name!r}")

    # Results.

    def problem(self, labels: Tensor, **options: Any) -> LinearProblem:
        """Make the problem of a loss or of statistics; only inside a call of the head."""
        tensors, bias = self._factors()
        hidden, weight, *more = tensors
        problem = make_linear_problem(
            hidden,
            weight,
            labels,
            bias=bias,
            low_rank=None,
            shift=0,
            temperature=self.temperature,
            softcap=self.softcap,
            logit_bias=self.bias,
            signed_weights=True,
            **options,
        )
        softmax = problem.problem
        more = [
            x if i % 2 else zero_excluded_hidden(x.reshape(-1, x.shape[-1]), softmax)
            for i, x in enumerate(more)
        ]
        return replace(problem, more_factors=tuple(more))

    def loss(self, labels: Tensor, **options: Any) -> Tensor:
        """Compute the cross-entropy; only inside a call of the head."""
        recording = self.recording
        problem = self.problem(labels, **options, **recording.options)
        check_skip_below(recording.skip_below, problem.problem)
        return linear_loss(problem, recording.memory_budget, recording.skip_below)

    def computed(self) -> Tensor:
        """Compute the logits themselves."""

        def compute() -> Tensor:
            (hidden, weight, *more), bias = self._factors()
            u = _linear(hidden, weight)
            for x, M in zip(more[::2], more[1::2], strict=True):
                u = u + _linear(x, M)
            u = u if bias is None else u + bias
            u = u if self.softcap is None else self.softcap * torch.tanh(u / self.softcap)
            u = u / self.temperature
            return u if self.bias is None else u + self.bias

        return self.recording.head(self.terms[0].hidden, compute=compute)

    def _factors(self) -> tuple[list[Tensor], Tensor | None]:
        """Return the hidden states and weights ``x₁, M₁, x₂, M₂, …`` as autocast would have them, and the bias."""
        factors: list[Tensor] = []
        biases: list[Tensor] = []
        for hidden, layer, scale in self.terms:
            _check_whole(layer)
            factors += [hidden if scale == 1.0 else hidden * scale, layer.weight]
            if layer.bias is not None:
                biases.append(layer.bias if scale == 1.0 else layer.bias * scale)
        bias = sum(biases[1:], start=biases[0]) if biases else None
        *cast, bias = in_autocast(*factors, bias)
        return cast, bias  # type: ignore[return-value]

    def _with_hidden(self, change: Callable[[Tensor], Tensor]) -> "LinearLogits":
        terms = tuple(Term(change(hidden), layer, scale) for hidden, layer, scale in self.terms)
        return replace(self, terms=terms)

    def _divided(self, divisor: Any, factor: Any = 1) -> "LinearLogits":
        """Record a division by one number ``divisor / factor``."""
        for x in (divisor, factor):
            if not isinstance(x, (int, float)) and not (isinstance(x, Tensor) and x.numel() == 1):
                self._refuse(f"multiplies or divides them by {_in_words(x)}")
        if self.bias is not None:
            self._refuse("multiplies or divides them after a bias was added")
        divisor = divisor.reshape(()) if isinstance(divisor, Tensor) else divisor
        return replace(self, temperature=self.temperature * divisor / factor)

    def _scaled(self) -> tuple[Term, ...]:
        """The terms with the temperature as a scale of each."""
        return tuple(Term(hidden, layer, scale / self.temperature) for hidden, layer, scale in self.terms)

    def _refuse(self, what: str) -> NoReturn:
        raise refusal(what)


def refusal(what: str) -> TypeError:
    """Build the error for a model that does `what` to its logits."""
    return TypeError(
        f"the model {what}, the logits of its output layer, which crossentropy.transformers.apply cannot do "
        "without computing them; call crossentropy.transformers.restore(model), and the model computes its loss "
        "as before"
    )


def _cross_entropy(
    input: Any,
    target: Any,
    weight: Tensor | None = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Answer `F.cross_entropy` for logits that are not computed."""
    recording = input.recording
    recording.answered = True
    model = {"class_weight": weight, "label_smoothing": label_smoothing}
    given = {name: x for name, x in model.items() if x is not None and name not in recording.options}
    answer = recording.answer or LinearLogits.loss

    def compute() -> Tensor:
        return answer(input, target, ignore_index=ignore_index, reduction=reduction, **given)

    return recording.head(input.terms[0].hidden, compute=compute)


def _linear(x: Tensor, weight: Tensor) -> Tensor:
    """Compute ``x Wᵀ`` of hidden states with any leading axes."""
    return product(x.reshape(-1, x.shape[-1]), weight.mT).reshape(*x.shape[:-1], weight.shape[0])


def _check_whole(layer: nn.Linear) -> None:
    """Raise TypeError if a layer's weight is a shard."""
    if not is_compiling() and hasattr(layer.weight, "placements"):
        raise TypeError(
            f"the weight of the output layer is sharded ({layer.weight.placements}) while the layer is called; shard "
            "it with fully_shard, which gathers it for the call, or see crossentropy.torch.distributed for heads whose "
            "classes are spread over ranks"
        )


def _axes(index: Any) -> int:
    """How many axes an index takes: a mask as many as it has."""
    return index.ndim if isinstance(index, Tensor) and index.dtype == torch.bool else 1


def _in_words(x: Any) -> str:
    return f"a tensor of shape {tuple(x.shape)}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
