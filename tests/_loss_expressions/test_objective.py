"""From logits to probabilities, compared with mpmath."""

import mpmath
import numpy as np
import pytest

from crossentropy._loss_expressions.objective import LogitTransform

ROWS = [[40.0, 0.0, -1.0], [0.1, 0.2, 0.3], [-1e4, 2e3, 2e3], [700.0, 0.0, 690.0]]


def truth(row, temperature, softcap):
    """Log-probabilities with fifty digits."""
    with mpmath.workdps(50):
        z = [mpmath.mpf(x) for x in row]
        if softcap is not None:
            z = [softcap * mpmath.tanh(x / softcap) for x in z]
        u = [x / temperature for x in z]
        total = mpmath.log(mpmath.fsum(mpmath.exp(x) for x in u))
        return [float(x - total) for x in u]


@pytest.mark.parametrize(("temperature", "softcap"), [(1.0, None), (3.0, None), (1.0, 30.0), (0.5, 20.0)])
def test_log_probabilities_keep_their_digits(temperature, softcap):
    got = LogitTransform(temperature, softcap).log_probabilities(np.asarray(ROWS))
    expected = [truth(row, temperature, softcap) for row in ROWS]
    # the exponent of a difference to the maximum has its rounding, of up to 2 ulp of the largest transformed logit
    loose = 1e-15 * max(1.0, *(max(map(abs, row)) for row in ROWS[:2])) / temperature
    np.testing.assert_allclose(got, expected, rtol=max(4e-15, loose) if softcap else 4e-15)


def test_logits_of_half_precision_are_widened_first():
    got = LogitTransform().log_probabilities(np.asarray([[11.0, 0.0]], dtype=np.float16))
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, [truth([11.0, 0.0], 1.0, None)], rtol=4e-16)


def test_probabilities_sum_to_one():
    p = np.exp(LogitTransform().log_probabilities(np.random.default_rng(0).normal(0, 5, (1000, 10))))
    np.testing.assert_allclose(p.sum(axis=1), 1.0, rtol=0, atol=1e-15)
