"""What is remembered of a call of a loss."""

import math
import sys
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

__all__ = ["Call", "Recorder", "thin", "thin_labels"]

#: Files whose lines are not the caller's.
OURS = str(Path(__file__).resolve().parents[2])
TORCHS = str(Path(torch.__file__).resolve().parent)
#: The first calls of a line whose rows are kept, and then each so many. That is a prime number, so that of calls that
#: take turns (a discriminator's real and generated rows, several heads, parts of a batch) all are kept alike.
FIRST, EACH = 4, 23
#: About how many predictions, and labels, are kept of a call.
ENTRIES, LABELS = 1 << 15, 1 << 14
#: The steps before which the gradients of parameters are looked at.
PARAMETER_STEPS = (4, 9, 19)


@dataclass(slots=True, eq=False)
class Call:
    """A call of a loss that has a gradient."""

    #: The function, what its predictions are, and whether they are of yes-or-no questions.
    function: str
    kind: str
    sigmoid: bool
    where: str
    #: The number of optimizer steps before it, from 0 on.
    step: int
    reduction: str
    classes: int
    #: The number of rows.
    size: int
    dtype: torch.dtype
    loss: Tensor
    #: What the mean divides by, of calls of which several belong to one optimizer step; and the labels to count.
    divisor: Tensor | None = None
    uncounted: Tensor | None = None
    weight: Tensor | None = None
    label_smoothing: float = 0.0
    ignore_index: int | None = None
    #: Whether it is plain cross-entropy, whose values are known.
    is_plain: bool = True
    #: Some rows (n, C) with their labels, and all labels if they are few.
    rows: Tensor | None = None
    labels: Tensor | None = None
    grid: Tensor | None = None
    #: The largest gradient by the kept predictions.
    gradient: Tensor | None = None
    #: Whether `backward` was called on the loss as it was returned.
    is_root: bool = False
    #: Of a divergence: its arguments.
    notes: dict[str, Any] = field(default_factory=dict)

    def count(self) -> None:
        """Count what the mean divides by: the rows that are not ignored, or their weights."""
        labels, self.uncounted = self.uncounted, None
        if labels is None:
            return
        kept = labels != (-100 if self.ignore_index is None else self.ignore_index)
        self.divisor = (
            kept.sum()
            if self.weight is None
            else self.weight.detach()[torch.where(kept, labels, 0).long()].mul(kept).sum()
        )


class Recorder:
    """The calls in a training loop, until so many optimizer steps were made.

    Attributes
    ----------
    calls : list of Call
    step : int
        The number of optimizer steps.
    parameters : list
        For some steps, each parameter's shape, number of entries and largest gradient (None without one).
    errors : dict of str to str
        Calls that could not be looked at, and why.
    """

    def __init__(self, steps: int) -> None:
        self.steps, self.step = steps, 0
        self.has_ended = False
        self.calls: list[Call] = []
        self.parameters: list[list[tuple[tuple[int, ...], int, Tensor | None]]] = []
        self.errors: dict[str, str] = {}
        self.without_gradient = 0
        self._counts: dict[str, int] = {}
        self._first_of_step: dict[str, Call] = {}
        self._roots: dict[int, tuple[weakref.ref[Tensor], Call]] = {}
        self._scales: dict[int, tuple[weakref.ref[Tensor], float]] = {}

    @property
    def is_done(self) -> bool:
        """Whether enough was seen, or the block has ended."""
        return self.has_ended or self.step >= self.steps or len(self.calls) >= 16 * self.steps

    def watched(self, function: Callable[..., Any], read: Callable[..., Call | None]) -> Callable[..., Any]:
        """Return a function whose calls are read by ``read(result, where, *arguments)`` and kept."""

        def call(*arguments: Any, **options: Any) -> Any:
            if torch.compiler.is_compiling():
                return function(*arguments, **options)
            result = function(*arguments, **options)
            if not self.is_done and type(result) is Tensor:
                if not result.requires_grad:
                    self.without_gradient += 1
                else:
                    where = _caller()
                    try:
                        found = read(result, where, *arguments, **options)
                        if found is not None:
                            self._keep(found, result)
                    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError) as error:
                        # what looks on must not end a training; the report has it
                        self.errors.setdefault(where, f"{type(error).__name__}: {error}")
            return result

        return call

    def _keep(self, call: Call, result: Tensor) -> None:
        self.calls.append(call)
        first = self._first_of_step.setdefault(call.where, call)
        if first is not call:
            first.count()
            call.count()
        self._roots[id(result)] = (weakref.ref(result), call)

    def is_sampled(self, where: str) -> bool:
        """Count a call of a line, and tell whether its rows are kept."""
        count = self._counts.get(where, 0)
        self._counts[where] = count + 1
        return count < FIRST or count % EACH == 0

    def of_root(self, loss: Tensor) -> None:
        """Remember that `backward` was called on a loss as it was returned."""
        known = self._roots.get(id(loss))
        if known is not None and known[0]() is loss:
            known[1].is_root = True

    def of_step(self) -> None:
        """Count an optimizer step."""
        self.step += 1
        for call in self._first_of_step.values():
            call.uncounted = None
        self._first_of_step.clear()
        self._roots.clear()
        self._scales = {key: known for key, known in self._scales.items() if known[0]() is not None}

    def before_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Look at the gradients of parameters, before a few steps."""
        if self.step not in PARAMETER_STEPS:
            return
        found: list[tuple[tuple[int, ...], int, Tensor | None]] = []
        for group in optimizer.param_groups:
            for p in group["params"]:
                if not p.numel():  # nothing there can learn
                    continue
                largest = None
                if p.grad is not None and not p.grad.is_sparse:
                    largest = torch.linalg.vector_norm(p.grad.detach(), float("inf"))
                found.append((tuple(p.shape), p.numel(), largest))
        self.parameters.append(found)

    def divide(self, quotient: Any, dividend: Any, divisor: Any) -> None:
        """Remember what a tensor was divided by, if it is a number."""
        if type(divisor) in (int, float) and type(quotient) is Tensor:
            self._scales[id(quotient)] = (weakref.ref(quotient), divisor * (self.scale(dividend) or 1.0))

    def softmax(self, result: Any, *arguments: Any, **options: Any) -> None:
        """Remember what the logits of a softmax were divided by."""
        if type(result) is Tensor:
            logits = arguments[0] if arguments else options.get("input")
            self._scales[id(result)] = (weakref.ref(result), self.scale(logits) or 1.0)

    def scale(self, x: Any) -> float | None:
        """Return what a tensor, or the logits that it is the softmax of, was divided by; None if that is not known."""
        known = self._scales.get(id(x))
        return known[1] if known is not None and known[0]() is x else None


def thin(x: Tensor, axis: int) -> Tensor:
    """Return some rows of predictions as (n, C), taken at regular distances; a view where that is possible."""
    some = x.detach()
    if x.numel() > ENTRIES:
        some = some[tuple(slice(None, None, step) for step in _strides(x, axis))]
    return some if some.ndim == 2 and axis in (1, -1) else some.movedim(axis, -1).reshape(-1, x.shape[axis])


def thin_labels(x: Tensor, labels: Tensor, axis: int) -> Tensor:
    """Return the labels of the rows that `thin` keeps."""
    some = labels.detach()
    if x.numel() > ENTRIES:
        steps = _strides(x, axis)
        del steps[axis]
        some = some[tuple(slice(None, None, step) for step in steps)]
    return some.reshape(-1)


def _strides(x: Tensor, axis: int) -> list[int]:
    """Return the distance along each axis at which about `ENTRIES` entries are left, and 8 rows at least."""
    axis %= x.ndim
    kept = [1 if k == axis else n for k, n in enumerate(x.shape)]
    steps = [1] * x.ndim
    rows = max(ENTRIES // max(1, x.shape[axis]), 8)
    while math.prod(kept) > rows:
        k = max(range(x.ndim), key=kept.__getitem__)
        steps[k] *= 2
        kept[k] = -(-x.shape[k] // steps[k])
    return steps


def _caller() -> str:
    """Return the file and line that called, outside of this package and of PyTorch."""
    frame: Any = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith((OURS, TORCHS)):
        frame = frame.f_back
    return "" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"
