import math

import numpy as np
import pytest
from scipy import stats

from crossentropy.training.scores import Scores, score, score_classes, score_frequencies

PROBABILITIES = np.array([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125]])
LABELS = np.array([0, 2])


def test_log_loss_is_the_mean_of_minus_log_probability():
    scores = score(np.log(PROBABILITIES), LABELS)
    assert scores.nats == pytest.approx((math.log(2) + math.log(8)) / 2, rel=1e-15)
    assert scores.bits == pytest.approx(2, rel=1e-15)
    assert scores.perplexity == pytest.approx(4, rel=1e-15)
    assert scores.accuracy == 0.5


def test_frequencies_are_scored_alike_in_every_row():
    scores = score_frequencies(np.array([0.5, 0.25, 0.25]), LABELS)
    assert scores.bits == pytest.approx(1.5, rel=1e-15)
    assert scores.accuracy == 0.5


def test_a_hopeless_loss_has_infinite_perplexity():
    assert Scores(1e4, 0.0).perplexity == math.inf


def test_scores_of_no_rows_are_nan_with_a_warning():
    with pytest.warns(UserWarning, match="log_loss has nothing to average"):
        scores = score(np.zeros((0, 3)), np.zeros(0, dtype=int))
    assert np.isnan([scores.nats, scores.bits, scores.perplexity, scores.accuracy]).all()


def test_the_standard_error_is_that_of_a_mean():
    scores = score_classes(np.log(PROBABILITIES), LABELS)
    losses = [math.log(2), math.log(8)]
    assert scores.standard_error == pytest.approx(np.std(losses, ddof=1) / math.sqrt(2), rel=1e-15)
    low, high = scores.interval
    assert low == 0  # a loss is not negative
    assert high == pytest.approx(scores.nats + stats.t(1).ppf(0.975) * scores.standard_error, rel=1e-9)


def test_each_class_has_its_recall_precision_and_average_precision():
    # of class 1, the rows in the order of their probability are right, wrong, right: (1/1 + 2/3)/2
    p = np.array([0.9, 0.6, 0.4, 0.1])
    scores = score_classes(np.log(np.stack([1 - p, p], axis=1)), np.array([1, 0, 1, 0]))
    rare = scores.classes[1]
    assert (rare.rows, rare.recall, rare.precision) == (2, 0.5, 0.5)
    assert rare.average_precision == pytest.approx((1 + 2 / 3) / 2)
    assert scores.balanced_accuracy == 0.5


def test_a_rare_class_that_is_never_found_is_seen():
    labels = np.array([0] * 97 + [1] * 3)
    scores = score_frequencies(np.array([0.97, 0.03]), labels)
    assert scores.accuracy == 0.97
    assert scores.balanced_accuracy == 0.5
    assert scores.classes[1].recall == 0
    assert math.isnan(scores.classes[1].precision)  # it is never predicted
    assert scores.classes[1].average_precision == pytest.approx(0.03)


def test_a_class_without_rows_has_no_scores_and_is_left_out_of_the_means():
    scores = score_classes(np.log(np.full((2, 3), 1 / 3)), np.array([0, 0]))
    assert math.isnan(scores.classes[2].recall)
    assert math.isnan(scores.classes[2].average_precision)
    assert scores.balanced_accuracy == 1.0


def test_classes_beyond_int64_are_scored_by_their_numbers():
    classes = [3, 2**63 + 5]
    scores = score_classes(np.log([[0.5, 0.5], [0.25, 0.75]]), np.array([0, 1]), classes)
    assert scores.nats == pytest.approx((math.log(2) - math.log(0.75)) / 2, rel=1e-15)
    assert [group["label"] for group in scores.evaluation.classes] == classes
