"""A Keras callback that predicts the same rows a few times during `fit`, and what these predictions show."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import keras
import numpy as np

from crossentropy.doctor._forms import READ_AS, form_findings
from crossentropy.doctor._labels import label_range_findings, padding_findings
from crossentropy.doctor._learning import initial_loss_finding, learning_findings
from crossentropy.doctor._numbers import finite_rows, number_findings, saturation_findings
from crossentropy.doctor._sample import Array, Sample, is_half, make_sample
from crossentropy.doctor.finding import Finding, Report, in_order

__all__ = ["Watch"]

#: Batches that are needed to tell that a loss stays where it is, and that a variable does not change.
STUCK, DEAD = 30, 10
#: What a configuration of plain cross-entropy may hold.
HARMLESS = ("name", "reduction", "dtype", "fn", "loss", "from_logits", "axis", "ignore_class")
PLAIN = ("SparseCategoricalCrossentropy", "CategoricalCrossentropy", "BinaryCrossentropy", "CrossEntropyLoss")
PLAIN_LOSSES = ("softmax_cross_entropy", "sigmoid_cross_entropy")
#: The lines to write instead, in Keras's words.
INSTEAD = {
    "softmax_twice": "a loss of from_logits=False, or no softmax in the last layer, which keeps more digits",
    "sigmoid_twice": "a loss of from_logits=False, or no sigmoid in the last layer, which keeps more digits",
    "logits_as_probabilities": "a loss of from_logits=True",
    "log_probabilities_as_logits": "no log_softmax in the last layer",
    "log_probabilities_as_probabilities": "a loss of from_logits=True: a softmax leaves log-probabilities as they are",
    "labels_from_one": "model.fit(x, y - 1)",
    "initial_loss": 'a last layer of kernel_initializer="zeros", or inputs that are standardized',
    "ignore_index_missing": "SparseCategoricalCrossentropy(ignore_class=…)  # the label to be left out",
    "zero_probability": "a loss of from_logits=True, and no softmax or sigmoid in the last layer",
}


class Reading(NamedTuple):
    """How a compiled loss reads predictions and labels."""

    #: What predictions are, and whether they are of yes-or-no questions.
    kind: str
    sigmoid: bool
    axis: int
    ignore_index: int | None
    #: Whether it is plain cross-entropy, whose values are known.
    is_plain: bool


class Look(NamedTuple):
    """The rows as they were predicted after so many batches, and a digest of each trainable variable."""

    batch: int
    sample: Sample
    digests: list[bytes]


class Watch(keras.callbacks.Callback):
    """See `crossentropy.doctor.watch_keras`."""

    def __init__(self, x: Any, y: Array, steps: int) -> None:
        super().__init__()
        self._x, self._y, self._steps = x, y, steps
        self._batches = 0
        self._looks: list[Look] = []
        self._is_plain = False
        self._why = ""

    @property
    def report(self) -> Report:
        """What was found until now; it is worked out when it is asked for, so that the training does not wait."""
        if not (self._looks or self._why):
            return Report()
        findings = in_order(_findings(self._looks, self._is_plain)) if self._looks else []
        rows = f"{len(self._looks[-1].sample):,} rows" if self._looks else "no rows"
        looked_at = f"{rows}, {len(self._looks)} times in {self._batches} batches"
        return Report(findings, list(_unseen(self._looks, self._why)), looked_at)

    def on_train_begin(self, logs: Any = None) -> None:
        """Look at the rows before the first batch."""
        if not self._looks:
            self._look()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count a batch, and look halfway and after the last one that is watched."""
        self._batches += 1
        if self._batches in (self._steps // 2, self._steps):
            self._look()

    def on_train_end(self, logs: Any = None) -> None:
        """Look once more if the training was shorter."""
        if self._batches < self._steps and self._looks and self._batches > self._looks[-1].batch:
            self._look()

    def _look(self) -> None:
        model = self.model  # under JAX this brings the variables up to date
        try:
            reading = _reading_of(model.loss)
            sample = _sample(reading, model(self._x, training=False), self._y)
        except _Unreadable as error:
            self._why = str(error)
        else:
            digests = [_digest(variable) for variable in model.trainable_variables]
            self._looks.append(Look(self._batches, sample, digests))
            self._is_plain = reading.is_plain


class _Unreadable(Exception):
    """Why the predictions cannot be judged."""


def _reading_of(loss: Any) -> Reading:
    """Read a loss as it was given to `compile`."""
    try:
        found = keras.losses.get(loss)
    except (ValueError, TypeError, KeyError):
        found = None
    if not callable(found):
        raise _Unreadable(f"the loss {loss!r}: one cross-entropy of one output can be watched")
    if isinstance(found, keras.losses.Loss):
        name, config = type(found).__name__, found.get_config()
    else:  # a function, which is called with its defaults
        name, config = "".join(part.capitalize() for part in found.__name__.split("_")), {}
    kind = "logits" if config.get("from_logits") or name == "CrossEntropyLoss" else "probabilities"
    sigmoid = name.startswith("Binary") or str(config.get("loss", "")).startswith("sigmoid")
    if not (name.endswith("Crossentropy") or name == "CrossEntropyLoss"):
        raise _Unreadable(f"the loss {name}: it is no cross-entropy of Keras or of crossentropy.keras")
    others = [option for option, x in config.items() if option not in HARMLESS and x not in (None, 0, 1)]
    is_plain = name in PLAIN and not others and config.get("loss", PLAIN_LOSSES[0]) in PLAIN_LOSSES
    return Reading(kind, sigmoid, config.get("axis", -1), config.get("ignore_class"), is_plain)


def _sample(reading: Reading, predictions: Any, y: Array) -> Sample:
    """Return predictions with their labels as a loss reads them."""
    if not hasattr(predictions, "shape"):
        raise _Unreadable("a model of several outputs")
    x, axis = np.asarray(keras.ops.convert_to_numpy(predictions)), reading.axis
    half, x = is_half(predictions) or is_half(x), x.astype(np.float64)
    if reading.sigmoid:
        if y.size != x.size:
            raise _Unreadable(f"labels of shape {y.shape} for predictions of shape {x.shape}")
        y = y.reshape(x.shape)
    else:
        rows = tuple(np.delete(x.shape, axis).tolist())
        if y.shape == x.shape and x.shape[axis] > 1:
            y = y.argmax(axis)
        elif y.size != math.prod(rows):
            raise _Unreadable(f"labels of shape {y.shape} for predictions of shape {x.shape}")
        y = y.reshape(rows)
    return make_sample(
        reading.kind, x, y, axis=axis, ignore_index=reading.ignore_index, sigmoid=reading.sigmoid, half=half
    )


def _digest(variable: Any) -> bytes:
    return hashlib.sha256(np.asarray(keras.ops.convert_to_numpy(variable)).tobytes()).digest()


def _findings(looks: list[Look], is_plain: bool) -> Iterator[Finding]:
    for finding in _of_looks(looks, is_plain):
        yield replace(finding, instead=INSTEAD.get(finding.name, finding.instead))


def _of_looks(looks: list[Look], is_plain: bool) -> Iterator[Finding]:
    last = looks[-1].sample
    yield from _not_finite(looks)
    last = last.take(finite_rows(last))
    if len(last):
        ranges = list(label_range_findings(last))
        yield from ranges
        last = last if last.sigmoid else last.take(last.in_range)
        forms = list(form_findings(last))
        yield from forms
        yield from padding_findings(last)
        if len(looks) > 1:
            yield from saturation_findings(last)
        if is_plain and not ranges and not any(f.name in READ_AS for f in forms):
            first = looks[0].sample
            yield from initial_loss_finding(first.loss, first.classes, first.sigmoid)
            yield from _stuck(looks)
    yield from _dead(looks)


def _not_finite(looks: list[Look]) -> Iterator[Finding]:
    """Find the first look at which predictions were NaN or infinite."""
    for look in looks:
        for finding in number_findings(look.sample):
            yield replace(finding, evidence={"batches_before": look.batch, **finding.evidence})
            return


def _stuck(looks: list[Look]) -> Iterator[Finding]:
    """Find a loss that is the entropy of the label frequencies, and was no higher a third of the batches before."""
    last = looks[-1]
    before = [look for look in looks[1:] if 3 * look.batch <= 2 * last.batch]
    if last.batch < STUCK or not before:
        return
    fallen = (before[-1].sample.losses - last.sample.losses).reshape(len(last.sample), -1).mean(axis=1)
    if not np.isfinite(fallen).all() or fallen.mean() > 3 * fallen.std(ddof=1) / math.sqrt(len(fallen)):
        return
    for finding in learning_findings(last.sample):
        yield replace(finding, evidence={**finding.evidence, "batches": last.batch})


def _dead(looks: list[Look]) -> Iterator[Finding]:
    """Find trainable variables that are as they were before the training."""
    first, last = looks[0], looks[-1]
    if last.batch < DEAD or len(first.digests) != len(last.digests):
        return
    same = sum(a == b for a, b in zip(first.digests, last.digests, strict=True))
    if same:
        yield Finding(
            "dead_gradients",
            f"{same} of {len(last.digests)} trainable variables have the same bits as before the training: they do "
            "not learn.",
            {"variables": same, "batches": last.batch},
            "no stop_gradient between them and the loss; units of ReLU that are never above 0 need a smaller "
            "learning rate or another start",
        )


def _unseen(looks: list[Look], why: str) -> Iterator[str]:
    if why:
        yield why
    if looks and (looks[-1].batch < STUCK or len(looks[-1].sample) < 100):
        yield (
            f"whether anything is learned: {len(looks[-1].sample)} rows after {looks[-1].batch} batches are too few "
            "to tell"
        )
    yield (
        "the batches of fit, with their weights, masks and gradients: the rows given to watch_keras were looked at, "
        "predicted with training=False"
    )
    yield (
        "classes in another order than the columns, and calibration: crossentropy.doctor.examine sees these in "
        "predictions"
    )
