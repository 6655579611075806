"""A training run from encoded rows to held-out scores."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from crossentropy._loss_expressions.parse import parse_loss
from crossentropy.information import entropy
from crossentropy.sklearn import Epoch
from crossentropy.training.data import Dataset
from crossentropy.training.fit import fit_classifier, make_classifier
from crossentropy.training.options import Options
from crossentropy.training.other_table import Rows
from crossentropy.training.prepare import Prepared
from crossentropy.training.runs.model import Model
from crossentropy.training.scores import Scores, score_classes, score_frequencies
from crossentropy.training.split import Split
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
        Messages from before and during the training.
    stopped : bool
        Whether the user stopped the training.
    rows_per_second : float
        Training rows per second, with the time that the validation rows take; NaN if no epoch was added.
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
    def converged(self) -> bool:
        """Whether more epochs were allowed after the best one."""
        return self.best.epoch < self.options.epochs

    @property
    def best(self) -> Epoch:
        """The epoch whose parameters were kept."""
        return self.history[self.model.classifier.best_epoch_ - 1]


# Small batches run no faster with more threads, and their number changes the rounding.
@cpu_threads(1)
def train(
    prepared: Prepared,
    options: Options,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    on_notice: Callable[[str], None] = lambda notice: None,
) -> Run:
    """Train a classifier on the training rows of a table and score it on the held-out rows.

    Ctrl-C ends the training after the epoch in which it is pressed, and the run is scored as it is.

    Parameters
    ----------
    prepared : Prepared
        As `prepare` makes it with these options; the loss, the network and the steps may be others.
    options : Options
    on_epoch : callable, optional
        Called with each `Epoch` when it ends.
    on_notice : callable, optional
        Called with each sentence on the training, while it runs.

    Raises
    ------
    LossExpressionError
        If the loss cannot be read or trained with.
    InputError
        If another option or the data cannot be trained on.
    """
    parse_loss(options.loss)
    dataset, earlier, held_out = prepared.dataset, prepared.earlier, prepared.held_out
    labels = np.asarray(held_out.labels)
    notices = list(prepared.notices)
    ends: list[float] = []

    def say(notice: str) -> None:
        notices.append(notice)
        on_notice(notice)

    def end(epoch: Epoch) -> None:
        ends.append(time.perf_counter())
        on_epoch(epoch)

    model = _start(prepared, options) if earlier is None else _go_on(earlier, options)
    before = model.classifier.n_iter_ if earlier is not None else 0
    started = time.perf_counter()
    stopped = fit_classifier(model.classifier, prepared, end, say)
    if not ends:
        say(
            f"No epoch was added to the {before} of the run: pass a larger --epochs, or, if it had stopped early, a "
            "larger --patience."
        )
    log_probabilities = model.log_probabilities(held_out.features)
    n = len(prepared.split.train)
    frequencies = np.bincount(dataset.labels[prepared.split.train], minlength=len(dataset.classes)) / n
    return Run(
        options,
        dataset,
        prepared.split,
        model,
        held_out,
        log_probabilities,
        score_classes(log_probabilities, labels, model.classes, held_out.rows),
        _other_scores(model, held_out.features, labels),
        score_frequencies(frequencies, labels),
        float(entropy(frequencies)),
        notices,
        stopped,
        n / _seconds_per_epoch([started, *ends]),
    )


def _seconds_per_epoch(times: list[float]) -> float:
    """Average the seconds between the ends of epochs, from the start and these ends; NaN if no epoch was added.

    The first epoch, in which libraries are loaded, counts only if there is no other.
    """
    known = times[1:] if len(times) > 2 else times
    return (known[-1] - known[0]) / (len(known) - 1) if len(known) > 1 else math.nan


def _start(prepared: Prepared, options: Options) -> Model:
    """Make a model that is not trained yet."""
    dataset = prepared.dataset
    return Model(
        prepared.encoder,
        make_classifier(options, dataset.classes),
        dataset.fates,
        dataset.classes,
        options.to_json(),
        prepared.digest,
    )


def _go_on(earlier: Model, options: Options) -> Model:
    """Make the model of an earlier run ready for more epochs."""
    earlier.classifier.set_params(
        warm_start=True,
        epochs=options.epochs,
        patience=options.patience,
        device=options.device,
        correct_weights=options.correct_weights,
    )
    return replace(earlier, options=options.to_json())


def _other_scores(model: Model, features: pd.DataFrame, labels: np.ndarray) -> Scores | None:
    """Score with the weights of the classes taken out of the probabilities, or in them if they are taken out."""
    if not model.weighs_classes:
        return None
    corrected = model.classifier.correct_weights
    model.classifier.set_params(correct_weights=not corrected)
    scores = score_classes(model.log_probabilities(features), labels)
    model.classifier.set_params(correct_weights=corrected)
    return scores
