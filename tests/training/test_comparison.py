"""Runs with several losses, compared on the same held-out rows."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from crossentropy.training.comparison import Comparison, Difference, conclusions
from crossentropy.training.data import load_dataset
from crossentropy.training.experiment import train
from crossentropy.training.options import Options
from crossentropy.training.prepare import prepare
from crossentropy.training.scores import score_classes


@pytest.fixture(scope="module")
def runs():
    dataset = load_dataset("iris")
    losses = ("cross_entropy", "focal(gamma=2)", "hinge_loss")
    options = [Options(data="iris", hidden=(16,), epochs=3, learning_rate=0.01, loss=loss) for loss in losses]
    prepared = prepare(dataset, options[0])
    return [train(prepared, each) for each in options]


def with_probabilities(run, probabilities_of_label, loss):
    """Let a run give these probabilities to the labels, and the rest to the others."""
    n, C = run.log_probabilities.shape
    p = np.repeat((1 - probabilities_of_label)[:, None] / (C - 1), C, axis=1)
    p[np.arange(n), run.labels] = probabilities_of_label
    log_probabilities = np.log(p)
    return replace(
        run,
        log_probabilities=log_probabilities,
        scores=score_classes(log_probabilities, run.labels),
        options=replace(run.options, loss=loss),
    )


def test_the_interval_of_a_difference_is_that_of_a_paired_test(runs):
    difference = Comparison(runs).log_loss_differences(runs[0])[1]
    labels = runs[0].labels
    first, second = (-run.log_probabilities[np.arange(len(labels)), labels] for run in runs[:2])
    assert difference.mean == pytest.approx(runs[1].scores.nats - runs[0].scores.nats, rel=1e-9)
    assert difference.standard_error == pytest.approx(stats.sem(second - first), rel=1e-9)
    low, high = stats.norm.interval(0.95, difference.mean, difference.standard_error)
    assert difference.half_width == pytest.approx((high - low) / 2, rel=1e-9)


def test_the_difference_of_the_accuracies_counts_rows(runs):
    difference = Comparison(runs).accuracy_differences(runs[0])[2]
    assert difference.mean == pytest.approx(runs[2].scores.accuracy - runs[0].scores.accuracy, abs=1e-12)


def test_more_pairs_need_a_larger_difference():
    difference = Difference(2.2, 1.0)  # beyond 1.96 standard errors, and within the 2.39 of three pairs
    assert difference.beyond_chance(1)
    assert not difference.beyond_chance(3)
    assert Difference(2.4, 1.0).beyond_chance(3)


def test_the_better_losses_are_named(runs):
    p = np.linspace(0.5, 0.9, len(runs[0].labels))
    noise = np.where(np.arange(len(p)) % 2, 1e-3, -1e-3)
    drawn = [
        with_probabilities(runs[0], p - 0.1, "cross_entropy"),
        with_probabilities(runs[0], p, "focal(gamma=1)"),
        with_probabilities(runs[0], p + noise, "focal(gamma=2)"),
    ]
    sentence = conclusions(Comparison(drawn))[1]
    assert (
        "focal(gamma=1) is better than cross_entropy; focal(gamma=2) is better than cross_entropy" in sentence
    )
    assert "the other differences may be chance" in sentence


def test_equal_models_are_not_told_apart(runs):
    p = np.linspace(0.5, 0.9, len(runs[0].labels))
    equal = [with_probabilities(runs[0], p, loss) for loss in ("cross_entropy", "focal")]
    assert "no loss is better than another beyond chance" in conclusions(Comparison(equal))[1]


def test_the_run_that_is_kept_is_chosen_on_the_validation_rows(runs):
    two = runs[:2]
    best = min(two, key=lambda run: run.best.validation_log_loss)
    other = two[best is two[0]]
    n = len(best.labels)
    # what the held-out rows say, here the contrary, has no part in it
    worse = with_probabilities(best, np.full(n, 0.01), best.options.loss)
    better = with_probabilities(other, np.full(n, 0.99), other.options.loss)
    assert Comparison([better, worse]).kept is worse


def test_a_loss_that_is_not_about_probabilities_is_compared_by_accuracy(runs):
    comparison = Comparison(runs)
    assert (Comparison(runs[:2]).measure, comparison.measure) == ("log_loss", "accuracy")
    assert comparison.kept.best.validation_accuracy == max(run.best.validation_accuracy for run in runs)
    text = " ".join(conclusions(comparison))
    assert "hinge_loss is not about probabilities" in text
    assert "By the accuracy of the held-out rows" in text
