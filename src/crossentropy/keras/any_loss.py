"""Any loss of `crossentropy.losses` of logits and labels as a loss for Keras."""

from inspect import isfunction
from typing import Any

from keras import ops
from keras.saving import register_keras_serializable

from crossentropy import losses, targets
from crossentropy._arguments.errors import keywords, renamed_in_errors
from crossentropy._backends import Array
from crossentropy.keras._loss import RowLoss
from crossentropy.keras._tensors import aligned, as_labels, as_predictions, without_ignored

__all__ = ["CrossEntropyLoss"]

# What Keras does itself, after the losses of the rows.
OF_KERAS = ("logits", "labels", "reduction", "normalizer", "empty", "sample_weight", "inplace")
# What errors advise to pass to a function, and what to do with this class instead.
HERE = {
    "pass crossentropy.targets.OneHot(labels)": 'make the loss with target="OneHot"',
    "pass targets.Probabilities(labels, normalized=False)": 'make the loss with target="masses"',
    "crossentropy.sigmoid_cross_entropy(logits, labels)": 'CrossEntropyLoss("sigmoid_cross_entropy")',
    "labels.long()": 'keras.ops.cast(labels, "int32")',
    "labels.astype(int)": 'keras.ops.cast(labels, "int32")',
}
TARGETS = ("OneHot", "Probabilities", "LabelSet", "masses")


@register_keras_serializable(package="crossentropy")
class CrossEntropyLoss(RowLoss):
    """A loss of `crossentropy.losses`, with any of its options, reduced as Keras reduces losses.

    Predictions are logits. Labels are taken by their dtype: integers are class indices, floats probabilities.

    Parameters
    ----------
    loss : str, default "softmax_cross_entropy"
        The name of a function of logits and labels in `crossentropy.losses`.
    target : {"OneHot", "Probabilities", "LabelSet", "masses"}, optional
        The form of the labels where their dtype does not tell: one of `crossentropy.targets`, or masses of any sum,
        ``Probabilities(labels, normalized=False)``.
    reduction, name, dtype
        As in `keras.losses.Loss`; rows are added up in float32 or wider, and the result is cast to `dtype`.
    **options
        Those of the function, but for what Keras does itself: `sample_weight`, `reduction`, `normalizer`, `empty`. A
        mean is over the rows whose label is not `ignore_index`.

    Raises
    ------
    ValueError
        If there is no such loss or target.
    TypeError
        If the loss does not have an option.

    Examples
    --------
    >>> from crossentropy.links import Focal
    >>> loss = CrossEntropyLoss(link=Focal(gamma=2.0), label_smoothing=0.1)
    >>> round(float(loss([0, 1], [[2.0, 0.0], [1.0, 1.0]])), 4)
    0.1288
    >>> CrossEntropyLoss.from_config(loss.get_config()).arguments["link"]
    Focal(gamma=2.0)
    """

    def __init__(
        self,
        loss: str = "softmax_cross_entropy",
        *,
        target: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **options: Any,
    ) -> None:
        function: Any = getattr(losses, loss, None) if loss in losses.__all__ else None
        parameters = keywords(function) if isfunction(function) else {}
        if list(parameters)[:2] != ["logits", "labels"] or "reduction" not in parameters:
            raise ValueError(
                f"loss is {loss!r}, which is no function of logits and labels in crossentropy.losses; "
                'write for example "softmax_cross_entropy" or "focal_loss"'
            )
        if target is not None and target not in TARGETS:
            raise ValueError(f"target is {target!r}; write one of {', '.join(TARGETS)}, or None")
        known = [option for option in parameters if option not in OF_KERAS]
        for option in options:
            if option not in known:
                raise TypeError(f"{loss} has no argument {option} here; its options are {', '.join(known)}")
        super().__init__(reduction, name or loss, dtype, {"loss": loss, "target": target, **options})
        self._function, self._target, self._options = function, target, options

    @renamed_in_errors(logits="y_pred", labels="y_true")
    def call(self, y_true: Any, y_pred: Any) -> Array:
        """Return the loss of every row."""
        try:
            return self._rows(y_true, y_pred)
        except (TypeError, ValueError) as error:
            message = str(error)
            for elsewhere, here in HERE.items():
                message = message.replace(elsewhere, here)
            error.args = (message,)
            raise

    def _rows(self, y_true: Any, y_pred: Any) -> Array:
        y_true, y_pred = aligned(as_labels(y_true), as_predictions(y_pred, from_logits=True))
        labels = self._labels(y_true, y_pred)
        losses = self._function(y_pred, labels, reduction="none", **self._options)
        return without_ignored(losses, labels, self._options.get("ignore_index"))

    def _labels(self, y_true: Array, y_pred: Array) -> Any:
        """Return labels in the form that was declared."""
        if self._target is None:
            indices = len(y_true.shape) == len(y_pred.shape) and "int" in str(y_true.dtype)
            single = indices and y_true.shape[-1] == 1 != y_pred.shape[-1]
            return ops.squeeze(y_true, -1) if single else y_true
        if self._target == "masses":
            return targets.Probabilities(ops.cast(y_true, y_pred.dtype), normalized=False)
        if self._target == "LabelSet":
            return targets.LabelSet(ops.cast(y_true, "bool"))
        if self._target == "OneHot":
            return targets.OneHot(ops.cast(y_true, "int32"))
        return targets.Probabilities(y_true)
