"""Minimize a loss over the training rows, stopping when the validation loss no longer falls."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from crossentropy._loss_expressions.objective import Objective
from crossentropy.training.errors import InputError
from crossentropy.training.options import Options
from crossentropy.training.scores import Scores, score

BATCH_SIZE = 64
PATIENCE = 10
DIVERGED = "The training diverged: the loss is no longer a finite number. Try a lower --learning-rate."


@dataclass(frozen=True)
class Rows:
    """Inputs and labels of some rows, on the device that trains."""

    inputs: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Epoch:
    """The results of an epoch.

    Attributes
    ----------
    epoch : int
        Counted from 1.
    objective : float
        Mean over the training rows of what was minimized, each batch before its step.
    train_loss, validation_loss : float
        Log loss in nats after the epoch.
    validation_accuracy : float
    """

    epoch: int
    objective: float
    train_loss: float
    validation_loss: float
    validation_accuracy: float


def fit(
    network: nn.Module,
    objective: Objective,
    train: Rows,
    validation: Rows,
    options: Options,
    on_epoch: Callable[[Epoch], None],
) -> list[Epoch]:
    """Train `network` in place, and leave it with the parameters of its best epoch.

    The best epoch has the lowest log loss on the validation rows, whatever the objective; training ends after
    `PATIENCE` epochs without an improvement.

    Raises
    ------
    InputError
        If the loss or the logits stop being finite.
    """
    optimizer = torch.optim.Adam(
        network.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
    )
    shuffle = torch.Generator().manual_seed(options.seed)
    history: list[Epoch] = []
    best, parameters = 0, network.state_dict()
    while len(history) < min(options.epochs, best + PATIENCE):
        mean = _train_epoch(network, objective, optimizer, train, shuffle)
        on_train = _evaluate(network, objective, train)
        on_validation = _evaluate(network, objective, validation)
        epoch = Epoch(len(history) + 1, mean, on_train.nats, on_validation.nats, on_validation.accuracy)
        history.append(epoch)
        on_epoch(epoch)
        if best_epoch(history) is epoch:
            best, parameters = epoch.epoch, copy.deepcopy(network.state_dict())
    network.load_state_dict(parameters)
    return history


def best_epoch(history: list[Epoch]) -> Epoch:
    """Return the first epoch with the lowest validation loss."""
    return min(history, key=lambda epoch: epoch.validation_loss)


def predict(network: nn.Module, objective: Objective, inputs: Tensor) -> np.ndarray:
    """Compute the network's log-probabilities (rows, classes) in nats, float64.

    Raises
    ------
    InputError
        If they are not finite.
    """
    with torch.no_grad():
        log_probabilities = objective.transform.log_probabilities(network(inputs).cpu().numpy())
    if not np.isfinite(log_probabilities).all():
        raise InputError(DIVERGED)
    return log_probabilities


def _train_epoch(
    network: nn.Module,
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    rows: Rows,
    shuffle: torch.Generator,
) -> float:
    """One pass over the rows in random order; the mean of what was minimized."""
    total = 0.0
    for batch in torch.randperm(len(rows.labels), generator=shuffle).split(BATCH_SIZE):
        batch = batch.to(rows.labels.device)
        loss = objective.loss(network(rows.inputs[batch]), rows.labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(batch)
    if not math.isfinite(total):
        raise InputError(DIVERGED)
    return total / len(rows.labels)


def _evaluate(network: nn.Module, objective: Objective, rows: Rows) -> Scores:
    """Score the network on some rows."""
    return score(predict(network, objective, rows.inputs), rows.labels.cpu().numpy())
