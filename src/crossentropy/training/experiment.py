"""A training run from a table to its held-out scores."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
import pandas as pd

from crossentropy._loss_expressions.parse import parse_loss
from crossentropy.information import entropy
from crossentropy.sklearn import Epoch
from crossentropy.training.data import Dataset
from crossentropy.training.errors import InputError
from crossentropy.training.fit import encode, fit_classifier, make_classifier, split_of
from crossentropy.training.options import Options
from crossentropy.training.other_table import Rows
from crossentropy.training.runs.model import Model
from crossentropy.training.scores import Scores, score_classes, score_frequencies
from crossentropy.training.split import Split
from crossentropy.training.tables.encoder import ColumnEncoder
from crossentropy.training.threads import cpu_threads
from crossentropy.training.trials import Tuning


@dataclass(frozen=True)
class Run:
    """A finished training run.

    Attributes
    ----------
    options : Options
    dataset : Dataset
    split : Split
        Its parts; the last one is empty if the held-out rows are from another table.
    model : Model
        With the parameters of the best epoch.
    held_out : Rows
        The held-out rows.
    log_probabilities : numpy.ndarray
        Of the held-out rows, shape (rows, classes), in nats.
    scores, baseline : Scores
        On the held-out rows, of the model and of always predicting the training frequencies.
    other_scores : Scores, optional
        If classes have weights: the scores with the weights taken out of the probabilities, or, if those are `scores`,
        with the weights in them.
    baseline_entropy : float
        Entropy of the training frequencies, in nats.
    notices : list of str
        What was said before the training.
    stopped : bool
        Whether the user stopped the training.
    rows_per_second : float
        Training rows that a second took, with the measures of the validation rows; NaN if no epoch was added.
    tuning : Tuning, optional
        The search that has chosen the options.
    """

    options: Options
    dataset: Dataset
    split: Split
    model: Model
    held_out: Rows
    log_probabilities: np.ndarray
    scores: Scores
    other_scores: Scores | None
    baseline: Scores
    baseline_entropy: float
    notices: list[str]
    stopped: bool = False
    rows_per_second: float = math.nan
    tuning: Tuning | None = None

    @property
    def history(self) -> list[Epoch]:
        """The epochs."""
        return self.model.classifier.history_

    @property
    def given_loss(self) -> str:
        """The loss as the user wrote it, without what a search has added."""
        return (self.options if self.tuning is None else self.tuning.trials[0].options).loss

    @property
    def labels(self) -> np.ndarray:
        """The labels of the held-out rows, as indices into the classes."""
        return np.asarray(self.held_out.labels)

    @property
    def best(self) -> Epoch:
        """The epoch whose parameters were kept."""
        return self.history[self.model.classifier.best_epoch_ - 1]


# Small batches run no faster with more threads, and their number changes the rounding.
@cpu_threads(1)
def train(
    dataset: Dataset,
    options: Options,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    on_notice: Callable[[str], None] = lambda notice: None,
    *,
    held_out: Rows | None = None,
    earlier: Model | None = None,
) -> Run:
    """Train a classifier on part of a table and score it on rows held out.

    Ctrl-C ends the training after the epoch in which it is pressed, and the run is scored as it is.

    Parameters
    ----------
    dataset : Dataset
        As `load_dataset` reads it.
    options : Options
    on_epoch : callable, optional
        Called with each `Epoch` when it ends.
    on_notice : callable, optional
        Called with each sentence on how columns become inputs, before training.
    held_out : Rows, optional
        The rows to score on, all with labels; by default a part of `dataset`.
    earlier : Model, optional
        Of a run with the same data and options, which goes on from its last epoch.

    Raises
    ------
    LossExpressionError
        If the loss cannot be read or trained with.
    InputError
        If another option or the data cannot be trained on.
    """
    parse_loss(options.loss)
    split = split_of(dataset, options, with_held_out=held_out is None)
    if held_out is None:
        held_out = Rows(dataset.features, dataset.labels, dataset.rows, dataset.ids).take(split.test)
    labels = held_out.labels
    if labels is None or not len(labels) or (labels < 0).any():
        raise InputError("There have to be held-out rows, and each needs a label.")
    notices = list(dataset.notices)

    def say(notice: str) -> None:
        notices.append(notice)
        on_notice(notice)

    model = _start(dataset, split, options) if earlier is None else _go_on(earlier, dataset, options)
    for notice in model.encoder.notices_:
        say(notice)
    before = 0 if earlier is None else earlier.classifier.n_iter_
    train_rows, validation_rows = (encode(model.encoder, dataset, part) for part in split[:2])
    started = time.perf_counter()
    stopped = fit_classifier(model.classifier, train_rows, validation_rows, on_epoch, say)
    seconds = time.perf_counter() - started
    added = model.classifier.n_iter_ - before
    if not added:
        say(
            f"No epoch was added to the {before} of the run: pass a larger --epochs, or, if it had stopped early, a "
            "larger --patience."
        )
    log_probabilities = model.log_probabilities(held_out.features)
    frequencies = np.bincount(dataset.labels[split.train], minlength=len(dataset.classes)) / len(split.train)
    return Run(
        options,
        dataset,
        split,
        model,
        held_out,
        log_probabilities,
        score_classes(log_probabilities, labels),
        _other_scores(model, held_out.features, labels),
        score_frequencies(frequencies, labels),
        float(entropy(frequencies)),
        notices,
        stopped,
        added * len(split.train) / seconds if added else math.nan,
    )


def _start(dataset: Dataset, split: Split, options: Options) -> Model:
    """Make a model that is not trained yet."""
    return Model(
        ColumnEncoder().fit(dataset.features.iloc[split.train]),
        make_classifier(options, dataset.classes),
        dataset.fates,
        dataset.classes,
        options.to_json(),
        _digest(dataset),
    )


def _go_on(earlier: Model, dataset: Dataset, options: Options) -> Model:
    """Make the model of an earlier run ready for more epochs.

    Raises
    ------
    InputError
        If it was trained on something else or with other options.
    """
    earlier.check_same(options, _digest(dataset))
    earlier.classifier.set_params(
        warm_start=True,
        epochs=options.epochs,
        patience=options.patience,
        device=options.device,
        correct_weights=options.correct_weights,
    )
    return replace(earlier, options=options.to_json())


def _digest(dataset: Dataset) -> str:
    """Digest the labels, and what is known of the columns."""
    columns = json.dumps([fate.to_json() for fate in dataset.fates])
    return sha256(dataset.labels.tobytes() + columns.encode()).hexdigest()


def _other_scores(model: Model, features: pd.DataFrame, labels: np.ndarray) -> Scores | None:
    """Score with the weights of the classes taken out of the probabilities, or in them if they are taken out."""
    if not model.weighs_classes:
        return None
    corrected = model.classifier.correct_weights
    model.classifier.set_params(correct_weights=not corrected)
    scores = score_classes(model.log_probabilities(features), labels)
    model.classifier.set_params(correct_weights=corrected)
    return scores
