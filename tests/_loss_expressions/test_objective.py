"""From logits to probabilities, compared with mpmath."""

import mpmath
import numpy as np
import pytest

from crossentropy._loss_expressions.objective import LogitTransform

ROWS = [[40.0, 0.0, -1.0], [0.25, 0.5, 0.75], [-1e4, 2e3, 2e3], [700.0, 0.0, 690.0]]


def truth(row, temperature, softcap):
    """Log-probabilities with fifty digits."""
    with mpmath.workdps(50):
        z = [mpmath.mpf(x) for x in row]
        if softcap is not None:
            z = [softcap * mpmath.tanh(x / softcap) for x in z]
        u = [x / temperature for x in z]
        total = mpmath.log(mpmath.fsum(mpmath.exp(x) for x in u))
        return [float(x - total) for x in u]


def test_log_probabilities_keep_their_digits():
    got = LogitTransform().log_probabilities(np.asarray(ROWS))
    np.testing.assert_allclose(got, [truth(row, 1.0, None) for row in ROWS], rtol=4e-16)


@pytest.mark.parametrize(("temperature", "softcap"), [(3.0, None), (1.0, 30.0), (0.5, 20.0)])
def test_a_temperature_and_a_softcap_round_the_logits_once_more(temperature, softcap):
    """An error of the transformed logits, of 2 ulp, is an error of the logarithm: relative where p is small."""
    got = LogitTransform(temperature, softcap).log_probabilities(np.asarray(ROWS))
    largest = np.abs(LogitTransform(temperature, softcap).scores(np.asarray(ROWS))).max(axis=1, keepdims=True)
    expected = np.asarray([truth(row, temperature, softcap) for row in ROWS])
    assert (
        np.abs(got - expected) <= 4 * 2.0**-53 * np.maximum(1, largest) * np.minimum(1, 2 * -expected)
    ).all()


def test_logits_of_half_precision_are_widened_first():
    got = LogitTransform().log_probabilities(np.asarray([[11.0, 0.0]], dtype=np.float16))
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, [truth([11.0, 0.0], 1.0, None)], rtol=4e-16)


def test_probabilities_sum_to_one():
    p = np.exp(LogitTransform().log_probabilities(np.random.default_rng(0).normal(0, 5, (1000, 10))))
    np.testing.assert_allclose(p.sum(axis=1), 1.0, rtol=0, atol=1e-15)
