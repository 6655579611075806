"""How the call of each loss is read."""

from typing import Any

import torch
from torch import Tensor

from crossentropy.doctor._watch.calls import LABELS, Call, Recorder, thin, thin_labels
from crossentropy.links import CrossEntropy

__all__ = ["Readers"]

REDUCTIONS = ("none", "mean", "sum")


class Readers:
    """Functions from a loss's result, line and arguments to its `Call`."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def cross_entropy(
        self,
        result: Tensor,
        where: str,
        input: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        reduction: int = 1,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
    ) -> Call:
        """Read ``torch.nn.functional.cross_entropy``."""
        call = self._of_classes(result, where, "cross_entropy", "logits", input, REDUCTIONS[reduction])
        call.weight, call.label_smoothing = weight, label_smoothing
        labels = None if target.is_floating_point() else target
        self._labels(call, input, labels, ignore_index)
        return call

    def nll(
        self,
        result: Tensor,
        where: str,
        input: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        reduction: int = 1,
        ignore_index: int = -100,
    ) -> Call:
        """Read ``torch.nn.functional.nll_loss``."""
        call = self._of_classes(result, where, "nll_loss", "log_probabilities", input, REDUCTIONS[reduction])
        call.weight = weight
        self._labels(call, input, target, ignore_index)
        return call

    def binary(
        self,
        result: Tensor,
        where: str,
        input: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        reduction: int = 1,
    ) -> Call:
        """Read ``torch.nn.functional.binary_cross_entropy``."""
        return self._of_questions(
            result, where, "probabilities", input, target, weight, REDUCTIONS[reduction]
        )

    def binary_with_logits(
        self,
        result: Tensor,
        where: str,
        input: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        pos_weight: Tensor | None = None,
        reduction: int = 1,
    ) -> Call:
        """Read ``torch.nn.functional.binary_cross_entropy_with_logits``."""
        call = self._of_questions(result, where, "logits", input, target, weight, REDUCTIONS[reduction])
        call.is_plain = weight is None and pos_weight is None
        return call

    def divergence(
        self,
        result: Tensor,
        where: str,
        input: Tensor,
        target: Tensor,
        reduction: int = 1,
        log_target: bool = False,
    ) -> Call:
        """Read ``torch.nn.functional.kl_div``."""
        call = self._of_classes(
            result, where, "kl_div", "log_probabilities", input, REDUCTIONS[reduction], axis=-1
        )
        call.is_plain = False
        call.notes = {
            "log_target": log_target,
            "input_has_gradient": input.requires_grad,
            "target_has_gradient": target.requires_grad,
            "input_scale": self.recorder.scale(input),
            "target_scale": self.recorder.scale(target),
            "axes": input.ndim,
        }
        if self.recorder.is_sampled(where) and target.shape == input.shape:
            call.rows, call.notes["target"] = thin(input, -1).clone(), thin(target, -1).clone()
        return call

    def softmax_problem(self, result: Tensor, where: str, problem: Any, logits: Tensor | None) -> Call | None:
        """Read a softmax loss of this package, as its checked problem with its logits; None if there are none."""
        if logits is None:
            return None
        call = self._of_classes(
            result, where, "softmax_cross_entropy", "logits", logits, problem.reduction, axis=problem.axis
        )
        smoothing = problem.label_smoothing
        call.weight, call.label_smoothing = problem.class_weight, float(smoothing)
        call.is_plain = type(problem.link) is CrossEntropy and not problem.regularizers
        indices = None if problem.target.several else problem.target.indices
        self._labels(call, logits, indices, problem.target.ignore_index, axis=problem.axis)
        if problem.sample_weight is not None or problem.normalizer != "weight":
            call.reduction = "weighted"
        return call

    def sigmoid(
        self, result: Tensor, where: str, logits: Tensor, labels: Tensor, **options: Any
    ) -> Call | None:
        """Read ``crossentropy.sigmoid_cross_entropy``."""
        if not (isinstance(logits, Tensor) and isinstance(labels, Tensor)):
            return None
        call = self._of_questions(
            result, where, "logits", logits, labels, None, options.get("reduction", "mean")
        )
        plain = ("link", "negative_link", "pos_weight", "class_weight", "sample_weight")
        call.is_plain = all(options.get(name) is None for name in plain)
        return call

    def _of_classes(
        self,
        result: Tensor,
        where: str,
        function: str,
        kind: str,
        x: Tensor,
        reduction: str,
        *,
        axis: int = 1,
    ) -> Call:
        axis = min(axis, x.ndim - 1)
        classes = x.shape[axis]
        size = x.numel() // max(1, classes)
        return Call(
            function, kind, False, where, self.recorder.step, reduction, classes, size, x.dtype, _mean(result)
        )

    def _labels(
        self, call: Call, x: Tensor, labels: Tensor | None, ignore_index: int | None, *, axis: int = 1
    ) -> None:
        """Keep rows with their labels, and what the mean divides by."""
        axis = min(axis, x.ndim - 1)
        call.ignore_index = None if ignore_index == -100 else ignore_index  # PyTorch's default
        if labels is not None and call.reduction == "mean":
            call.uncounted = labels.detach()
        if not self.recorder.is_sampled(call.where):
            return
        call.rows = thin(x, axis).clone()
        if labels is not None:
            call.labels = thin_labels(x, labels, axis).clone()
            if labels.numel() <= LABELS:
                call.grid = labels.detach().clone()
        self._watch_gradient(call, x, axis)

    def _of_questions(
        self,
        result: Tensor,
        where: str,
        kind: str,
        x: Tensor,
        labels: Tensor,
        weight: Tensor | None,
        reduction: str,
    ) -> Call:
        name = "binary_cross_entropy" + ("_with_logits" if kind == "logits" else "")
        columns = x.shape[-1] if x.ndim > 1 else 1
        call = Call(
            name, kind, True, where, self.recorder.step, reduction, columns, x.numel(), x.dtype, _mean(result)
        )
        call.weight, call.is_plain = weight, weight is None
        if self.recorder.is_sampled(where):
            whole = x if x.ndim > 1 else x.reshape(-1, 1)
            call.rows = thin(whole, -1).clone()
            if labels.shape == x.shape:
                call.labels = thin(labels.reshape(whole.shape), -1).clone()
            self._watch_gradient(call, x, -1)
        return call

    def _watch_gradient(self, call: Call, x: Tensor, axis: int) -> None:
        if not x.requires_grad or x.is_leaf or not x.numel():  # a leaf would keep the hook
            return

        def keep(gradient: Tensor | None) -> None:
            if gradient is None:  # another part of what these are a part of has one
                return
            some = thin(gradient, axis) if gradient.ndim > 1 else gradient.detach()
            call.gradient = torch.linalg.vector_norm(some.float(), float("inf"))

        x.register_hook(keep)


def _mean(result: Tensor) -> Tensor:
    """Return one number, without its graph."""
    result = result.detach()
    return result.mean() if result.ndim else result
