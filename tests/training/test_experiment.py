import dataclasses

import numpy as np
import pytest
import torch

from crossentropy.training.data import load_dataset
from crossentropy.training.experiment import train
from crossentropy.training.options import Options
from crossentropy.training.prepare import prepare


def run_iris(**options):
    options = Options(data="iris", epochs=3, **options)
    return train(prepare(load_dataset("iris"), options), options)


def assert_same_run(first, again):
    """As PyTorch's products, which it does not promise to round twice alike, let it be."""
    for a, b in zip(first.history, again.history, strict=True):
        assert dataclasses.astuple(a) == pytest.approx(dataclasses.astuple(b), rel=1e-4)
    np.testing.assert_allclose(first.log_probabilities, again.log_probabilities, rtol=1e-3, atol=1e-5)


def test_the_same_seed_gives_the_same_run():
    torch.manual_seed(1)
    first = run_iris()
    torch.manual_seed(2)
    assert_same_run(first, run_iris())


def test_another_seed_gives_another_run():
    assert run_iris(seed=0).history != run_iris(seed=1).history


def test_a_run_does_not_depend_on_the_number_of_threads_which_stays():
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = run_iris(hidden=(256,))
        torch.set_num_threads(2)
        two = run_iris(hidden=(256,))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert_same_run(one, two)


def test_held_out_rows_say_nothing_to_the_model():
    run = run_iris()
    dataset = load_dataset("iris")
    dataset.features.iloc[run.split.test] += 100.0
    other = train(prepare(dataset, run.options), run.options)
    assert other.history == run.history
    assert other.scores != run.scores


def test_probabilities_are_of_the_loss_that_was_trained():
    run = run_iris(loss="cross_entropy(temperature=0.25)")
    np.testing.assert_allclose(np.exp(run.log_probabilities).sum(axis=1), 1, rtol=1e-12)
    assert run.scores.nats < run_iris().scores.nats  # sharper, so learned faster in three epochs


@pytest.mark.parametrize("loss", ["cross_entropy(label_smoothing=0.1)", "focal(gamma=2)"])
@pytest.mark.parametrize("hidden", [(), (16,)])
def test_every_loss_learns_with_and_without_hidden_layers(loss, hidden):
    options = Options(data="iris", loss=loss, hidden=hidden, learning_rate=0.03)
    run = train(prepare(load_dataset("iris"), options), options)
    assert run.scores.nats < run.baseline.nats / 2
    assert run.scores.accuracy > 0.8


def test_the_baseline_predicts_the_training_frequencies():
    run = run_iris()
    assert run.baseline_entropy == pytest.approx(np.log(3), rel=1e-12)
    assert run.baseline.nats == pytest.approx(np.log(3), rel=1e-12)
    assert run.baseline.accuracy == pytest.approx(1 / 3)
