"""A training run from a table to its held-out scores."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from crossentropy._loss_expressions.objective import Objective
from crossentropy._loss_expressions.parse import parse_loss
from crossentropy.information import entropy
from crossentropy.training.data import Dataset
from crossentropy.training.fit import Epoch, Rows, fit, predict
from crossentropy.training.model import build_network, choose_device
from crossentropy.training.options import Options
from crossentropy.training.scores import Scores, score_classes, score_frequencies
from crossentropy.training.split import Split, stratified_split
from crossentropy.training.tables.encoder import ColumnEncoder
from crossentropy.training.threads import cpu_threads


@dataclass(frozen=True)
class Run:
    """A finished training run.

    Attributes
    ----------
    history : list of Epoch
    network : torch.nn.Sequential
        With the parameters of the best epoch.
    encoder : ColumnEncoder
        From the columns of a table to the network's inputs.
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
    encoder: ColumnEncoder
    log_probabilities: np.ndarray
    scores: Scores
    baseline: Scores
    baseline_entropy: float


# Small batches run no faster with more threads, and their number changes the rounding.
@cpu_threads(1)
def train(
    dataset: Dataset,
    options: Options,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    on_notice: Callable[[str], None] = lambda notice: None,
) -> Run:
    """Train a classifier on part of a table and score it on rows held out.

    Parameters
    ----------
    dataset : Dataset
        As `load_dataset` reads it.
    options : Options
    on_epoch : callable, optional
        Called with each `Epoch` when it ends.
    on_notice : callable, optional
        Called before training with each sentence on how columns become inputs.

    Raises
    ------
    LossExpressionError
        If the loss cannot be read or trained with.
    InputError
        If another option or the data cannot be trained on.
    """
    parse_loss(options.loss)
    device = choose_device(options.device)
    split = stratified_split(dataset.labels, dataset.classes, options.seed)
    counts = np.bincount(dataset.labels[split.train], minlength=len(dataset.classes))
    objective = parse_loss(options.loss, torch.from_numpy(counts).to(device))
    encoder = ColumnEncoder().fit(dataset.features.iloc[split.train])
    for notice in encoder.notices_:
        on_notice(notice)

    def rows(part: np.ndarray) -> Rows:
        inputs = encoder.transform(dataset.features.iloc[part])
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
        encoder,
        log_probabilities,
        score_classes(log_probabilities, held_out),
        score_frequencies(frequencies, held_out),
        float(entropy(frequencies)),
    )
