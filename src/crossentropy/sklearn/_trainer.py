"""Steps of Adam over shuffled batches, and the measures of an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from crossentropy._loss_expressions.objective import Objective
from crossentropy.sklearn._network import ROWS_AT_ONCE, network_of_state
from crossentropy.sklearn._rows import Rows

__all__ = ["DivergenceError", "Epoch", "Measures", "Trainer"]

#: batches that are gathered from the shuffled rows at once
BATCHES_AT_ONCE = 64


class DivergenceError(ValueError):
    """The loss is no longer a finite number."""


@dataclass(frozen=True)
class Epoch:
    """The measures of an epoch; those of the validation rows are NaN if there are none.

    Attributes
    ----------
    epoch : int
        Counted from 1.
    objective : float
        Mean over the training rows of what was minimized.
    log_loss : float
        Log loss of the training rows in nats.
    accuracy : float
        Share of the training rows whose most probable class is the label. As `objective` and `log_loss`, it is taken
        during the epoch, of each batch before its step and with dropout.
    validation_objective, validation_log_loss, validation_accuracy : float
        The same of the validation rows, after the epoch.
    """

    epoch: int
    objective: float
    log_loss: float
    accuracy: float
    validation_objective: float = nan
    validation_log_loss: float = nan
    validation_accuracy: float = nan


@dataclass(frozen=True)
class Measures:
    """The objective, the log loss in nats and the accuracy on some rows."""

    objective: float
    log_loss: float
    accuracy: float


class Trainer:
    """A network with its optimizer, epoch for epoch.

    The order of the rows and the dropout of an epoch depend on the seed and the number of the epoch alone, so training
    that goes on from a stored state gives the numbers that it would have given without a stop.

    Parameters
    ----------
    network : torch.nn.Sequential
        On the device that trains.
    seed : int
    epoch : int
        How many epochs there were.
    """

    def __init__(self, network: nn.Sequential, seed: int, epoch: int = 0) -> None:
        self.network = network
        self.seed = seed
        self.epoch = epoch
        # The fused step takes a third of the time of the one with a loop over the parameters.
        self.optimizer = torch.optim.Adam(network.parameters(), fused=True)

    def train_epoch(
        self, rows: Rows, objective: Objective, batch_size: int, learning_rate: float, weight_decay: float
    ) -> Measures:
        """Pass once over the rows in random order, a step for each batch.

        Raises
        ------
        DivergenceError
            If the loss of a batch or a parameter is not finite.
        """
        epoch = self.epoch + 1
        for group in self.optimizer.param_groups:
            group["lr"], group["weight_decay"] = learning_rate, weight_decay
        normal = _mean_weight(rows, objective)
        order = torch.from_numpy(np.random.default_rng([self.seed, epoch]).permutation(len(rows)))
        total = 0.0
        scores = _Scores(objective)
        self.network.train()
        with self._random_dropout(epoch):
            for block in order.split(BATCHES_AT_ONCE * batch_size):
                part = rows.take(block)
                losses, logits, sizes = [], [], []
                for batch in part.split(batch_size):
                    z = self.network(batch.inputs)
                    loss = _batch_loss(objective, z, batch, normal)
                    self.optimizer.zero_grad()
                    loss.backward()
                    self.optimizer.step()
                    losses.append(loss.detach())
                    logits.append(z.detach())
                    sizes.append(len(batch))
                # read once a block: on a GPU, reading a number waits for all that was asked for
                total += float((torch.stack(losses).double().cpu() * torch.tensor(sizes)).sum())
                if not isfinite(total):
                    raise self._diverged(total, epoch, rows, learning_rate)
                scores.add(torch.cat(logits), part)
        if not all(bool(parameter.isfinite().all()) for parameter in self.network.parameters()):
            raise self._diverged(nan, epoch, rows, learning_rate)
        self.epoch = epoch
        return scores.measures(total / len(rows))

    def _diverged(self, value: float, epoch: int, rows: Rows, learning_rate: float) -> DivergenceError:
        return DivergenceError(
            f"the loss is {value} in epoch {epoch}: the steps are too large for these inputs, whose largest absolute "
            f"value is {float(rows.inputs.abs().max()):.3g}; lower learning_rate, which is {learning_rate:g}, or "
            "standardize the inputs"
        )

    def measure(self, rows: Rows, objective: Objective) -> Measures:
        """Measure the network on rows, without dropout.

        Raises
        ------
        DivergenceError
            If the objective is not finite.
        """
        self.network.eval()
        options = {} if rows.loss_weight is None else {"sample_weight": rows.loss_weight}
        scores = _Scores(objective)
        with torch.no_grad():
            logits = torch.cat([self.network(part) for part in rows.inputs.split(ROWS_AT_ONCE)])
            value = float(objective.loss(logits, rows.labels, **options))
        if not isfinite(value):
            largest = float(rows.inputs.abs().max())
            raise DivergenceError(
                f"the objective of the validation rows is {value} after epoch {self.epoch}, though that of the "
                f"training rows is finite; the largest absolute value of a validation input is {largest:.3g}: is one "
                "of them wrong?"
            )
        scores.add(logits, rows)
        return scores.measures(value)

    @contextmanager
    def _random_dropout(self, epoch: int) -> Iterator[None]:
        """Draw the dropout by the seed and the epoch, and leave the global random state as it was."""
        if not any(isinstance(module, nn.Dropout) for module in self.network.modules()):
            yield
            return
        device = next(self.network.parameters()).device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(int(np.random.SeedSequence([self.seed, epoch, 1]).generate_state(1)[0]))
            yield

    def state(self) -> dict[str, Any]:
        """Return what is needed to go on: plain values, and tensors on the CPU that are copies."""
        optimizer = {
            f"{i}.{name}": _copy(value)
            for i, values in self.optimizer.state_dict()["state"].items()
            for name, value in values.items()
        }
        network = {name: _copy(value) for name, value in self.network.state_dict().items()}
        return {"seed": self.seed, "epoch": self.epoch, "network": network, "optimizer": optimizer}

    def on(self, device: torch.device) -> Trainer:
        """Return the trainer on a device."""
        here = next(self.network.parameters()).device
        if here.type == device.type and device.index in (None, here.index):
            return self
        dropout = next((m.p for m in self.network.modules() if isinstance(m, nn.Dropout)), 0.0)
        return Trainer.of_state(self.state(), dropout, device)

    @classmethod
    def of_state(cls, state: Mapping[str, Any], dropout: float, device: torch.device) -> Trainer:
        """Make a trainer that goes on from a state, on any device."""
        network = network_of_state(state["network"], dropout).to(device)
        trainer = cls(network, state["seed"], state["epoch"])
        values: dict[int, dict[str, Tensor]] = {}
        for key, value in state["optimizer"].items():
            i, name = key.split(".")
            values.setdefault(int(i), {})[name] = value
        groups = trainer.optimizer.state_dict()["param_groups"]
        trainer.optimizer.load_state_dict({"state": values, "param_groups": groups})
        return trainer


class _Scores:
    """Sums of the log loss and the hits over parts of the rows."""

    def __init__(self, objective: Objective) -> None:
        self.transform = objective.transform
        self.nats = self.hits = self.weight = 0.0

    def add(self, logits: Tensor, rows: Rows) -> None:
        log_probabilities = self.transform.log_probabilities(logits.cpu().numpy())
        labels = rows.labels.cpu().numpy()
        weight = (
            np.ones(len(rows)) if rows.sample_weight is None else rows.sample_weight.cpu().double().numpy()
        )
        self.nats -= float((weight * log_probabilities[np.arange(len(rows)), labels]).sum())
        self.hits += float(weight[log_probabilities.argmax(axis=1) == labels].sum())
        self.weight += float(weight.sum())

    def measures(self, objective: float) -> Measures:
        return Measures(objective, self.nats / self.weight, self.hits / self.weight)


def _mean_weight(rows: Rows, objective: Objective) -> float | None:
    """Return the mean over rows of their weights and those of their classes in the loss; None if all of them are 1."""
    if (rows.loss_weight is None and objective.class_weight is None) or not objective.averages_rows:
        return None
    weight = torch.ones_like(rows.labels, dtype=torch.float64)
    if rows.loss_weight is not None:
        weight = weight * rows.loss_weight
    if objective.class_weight is not None:
        weight = weight * objective.class_weight[rows.labels]
    return float(weight.mean())


def _batch_loss(objective: Objective, logits: Tensor, batch: Rows, normal: float | None) -> Tensor:
    """Compute the loss of a batch.

    A weighted sum is divided by the weight that a batch of this size has on average, and not by its own: otherwise a
    row would count less for being in a batch with heavy ones.
    """
    options: dict[str, Any] = {}
    if batch.loss_weight is not None:
        options["sample_weight"] = batch.loss_weight
    if normal is not None:
        options["normalizer"] = normal * len(batch)
    return objective.loss(logits, batch.labels, **options)


def _copy(value: Any) -> Any:
    return value.detach().cpu().clone() if isinstance(value, Tensor) else value
