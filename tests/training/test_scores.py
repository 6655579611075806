import math

import numpy as np
import pytest

from crossentropy.training.scores import Scores, score, score_frequencies

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
