"""A training run from a table to its held-out scores."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from crossentropy.information import entropy
from crossentropy.training.data import Dataset
from crossentropy.training.fit import Epoch, Rows, fit, predict
from crossentropy.training.loss_expressions import Objective, parse_loss
from crossentropy.training.model import build_network, choose_device
from crossentropy.training.options import Options
from crossentropy.training.preprocessing import describe_preprocessing, fit_preprocessing
from crossentropy.training.scores import Scores, score_classes, score_frequencies
from crossentropy.training.split import Split, stratified_split
from crossentropy.training.threads import cpu_threads


@dataclass(frozen=True)
class Run:
    """A finished training run.

    Attributes
    ----------
    history : list of Epoch
    network : torch.nn.Sequential
        With the parameters of the best epoch.
    preprocessing : dict
        See `describe_preprocessing`.
    log_probabilities : numpy.ndarray
        Of the held-out rows (``split.test``), shape (rows, classes), in nats.
    scores, baseline : Scores
        On the held-out rows, of the model and of always predicting the training frequencies.
    baseline_entropy : float
        Entropy of the training frequencies, in nats.
    """

    options: Options
    dataset: Dataset
    split: Split
    objective: Objective
    history: list[Epoch]
    network: nn.Sequential
    preprocessing: dict[str, Any]
    log_probabilities: np.ndarray
    scores: Scores
    baseline: Scores
    baseline_entropy: float


# Small batches run no faster with more threads, and their number changes the rounding.
@cpu_threads(1)
def train(dataset: Dataset, options: Options, on_epoch: Callable[[Epoch], None] = lambda epoch: None) -> Run:
    """Train a classifier on part of a table and score it on rows held out.

    Parameters
    ----------
    dataset : Dataset
        As `load_dataset` reads it.
    options : Options
    on_epoch : callable, optional
        Called with each `Epoch` when it ends.

    Raises
    ------
    InputError
        If the options or the data cannot be trained on.
    """
    parse_loss(options.loss)
    device = choose_device(options.device)
    split = stratified_split(dataset.labels, dataset.classes, options.seed)
    counts = np.bincount(dataset.labels[split.train], minlength=len(dataset.classes))
    objective = parse_loss(options.loss, torch.from_numpy(counts).to(device))
    preprocessing = fit_preprocessing(dataset.features.iloc[split.train])

    def rows(part: np.ndarray) -> Rows:
        inputs = preprocessing.transform(dataset.features.iloc[part]).astype(np.float32)
        return Rows(torch.from_numpy(inputs).to(device), torch.from_numpy(dataset.labels[part]).to(device))

    train_rows, validation_rows, test_rows = (rows(part) for part in split)
    network = build_network(train_rows.inputs.shape[1], options.hidden, len(dataset.classes), options.seed)
    network.to(device)
    history = fit(network, objective, train_rows, validation_rows, options, on_epoch)
    log_probabilities = predict(network, objective, test_rows.inputs)
    held_out = dataset.labels[split.test]
    frequencies = counts / len(split.train)
    return Run(
        options,
        dataset,
        split,
        objective,
        history,
        network.cpu(),
        describe_preprocessing(preprocessing),
        log_probabilities,
        score_classes(log_probabilities, held_out),
        score_frequencies(frequencies, held_out),
        float(entropy(frequencies)),
    )
