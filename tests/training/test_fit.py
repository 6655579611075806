import itertools

import pytest
import torch

from crossentropy._loss_expressions.parse import parse_loss
from crossentropy.training.errors import InputError
from crossentropy.training.fit import PATIENCE, Rows, best_epoch, fit, predict
from crossentropy.training.model import build_network
from crossentropy.training.options import Options
from crossentropy.training.scores import score


def noise(rows: int, seed: int) -> Rows:
    """Labels that have nothing to do with the inputs: learning them by heart harms the validation loss."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (rows,), generator=generator)
    return Rows(torch.randn(rows, 20, generator=generator), labels)


def overfit(**options):
    network = build_network(20, (64,), 2, 0)
    seen = []
    history = fit(
        network,
        parse_loss("cross_entropy"),
        noise(100, 1),
        noise(50, 2),
        Options(data="", learning_rate=0.01, **options),
        seen.append,
    )
    assert seen == history
    return network, history


def test_training_stops_when_the_validation_loss_has_not_fallen_for_a_while():
    _, history = overfit(epochs=1000)
    assert len(history) == best_epoch(history).epoch + PATIENCE
    losses = [epoch.validation_loss for epoch in history]
    assert min(losses) == best_epoch(history).validation_loss < losses[-1]


def test_training_never_runs_longer_than_asked():
    _, history = overfit(epochs=3)
    assert [epoch.epoch for epoch in history] == [1, 2, 3]


def test_the_network_is_left_with_the_parameters_of_the_best_epoch():
    network, history = overfit(epochs=1000)
    validation = noise(50, 2)
    scores = score(
        predict(network, parse_loss("cross_entropy"), validation.inputs), validation.labels.numpy()
    )
    assert scores.nats == best_epoch(history).validation_loss


def test_training_lowers_the_training_loss():
    _, history = overfit(epochs=5)
    assert all(before.train_loss > after.train_loss for before, after in itertools.pairwise(history))


def test_a_loss_that_is_no_longer_finite_ends_training():
    rows = Rows(torch.full((4, 20), float("nan")), torch.tensor([0, 1, 0, 1]))
    with pytest.raises(InputError, match=r"diverged.*--learning-rate"):
        fit(build_network(20, (), 2, 0), parse_loss("cross_entropy"), rows, rows, Options(data=""), print)
