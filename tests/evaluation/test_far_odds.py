"""Temperature and Cox's regression of predictions whose log-odds lie beyond those of a grid of probabilities."""

import numpy as np
import pytest
from scipy import special

from crossentropy.evaluation import State, evaluate
from crossentropy.evaluation.calibrators import TemperatureScaling
from evaluation_data import batches_of, declaration_of, rows_of, state_of


def far_rows(temperature, n=20_000, scale=100.0):
    r = np.random.default_rng(1)
    z = scale * r.normal(size=n)
    return z, (r.random(n) < special.expit(z / temperature)).astype(int), r.lognormal(size=n)


@pytest.mark.parametrize("temperature", [0.7, 3.0, 60.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_temperature_of_far_logits_is_that_of_a_fit_to_rows(temperature, weighted):
    z, y, w = far_rows(temperature)
    weight = w if weighted else None
    expected = TemperatureScaling("logits").fit(z, y, weight).temperature_
    assert evaluate(labels=y, logits=z, weight=weight).temperature == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("kind", ["proba", "log_proba", "logits"])
def test_far_predictions_of_every_kind_have_one_temperature(kind, columns):
    """Probabilities end at log-odds of 37 in one column, where the other class would be nothing but rounding."""
    z, y, _ = far_rows(12.0, scale=9.0 if columns == 1 else 100.0)
    z = np.clip(z, -300.0, 30.0 if columns == 1 else 300.0)
    expected = TemperatureScaling("logits").fit(z, y).temperature_
    logs = np.stack([-np.logaddexp(0, z), -np.logaddexp(0, -z)], axis=1)
    x = {"proba": np.exp(logs), "log_proba": logs, "logits": np.stack([-z / 2, z / 2], axis=1)}[kind]
    x = x if columns == 2 else z if kind == "logits" else x[:, 1].copy()
    assert evaluate(labels=y, **{kind: x}).temperature == pytest.approx(expected, rel=5e-3)


def test_coxs_regression_of_far_logits_makes_the_derivatives_zero():
    z, y, _ = far_rows(40.0)
    e = evaluate(labels=y, logits=z)
    p = special.expit(e.cox_intercept + e.cox_slope * z)
    assert abs((p - y).mean()) < 1e-3
    assert abs((z / 40 * (p - y)).mean()) < 2e-3


def test_soft_labels_of_far_logits_count_on_both_sides():
    z, _, _ = far_rows(5.0, n=9000)
    t = special.expit(z / 50)
    assert evaluate(labels=t, logits=z, soft_labels=True).temperature == pytest.approx(50, rel=2e-3)


def test_certain_predictions_that_are_right_change_no_temperature():
    z, y, _ = far_rows(3.0, n=9000, scale=4.0)
    p = special.expit(z)
    more = np.concatenate([p, [0.0, 1.0]]), np.concatenate([y, [0, 1]])
    found = evaluate(labels=more[1], proba=more[0]).temperature
    assert found == pytest.approx(evaluate(labels=y, proba=p).temperature, rel=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_far_rows_have_the_same_bytes_in_any_order_and_batches(weighted):
    rows = rows_of("logits", n=600, weighted=weighted)
    rows["predictions"] = 30 * rows["predictions"]
    d = declaration_of("logits", 2, weighted)
    expected = state_of(d, batches_of(rows, [np.arange(600)])).to_bytes()
    parts = np.array_split(np.random.default_rng(0).permutation(600), 7)
    states = [State.from_bytes(state_of(d, [batch]).to_bytes()) for batch in batches_of(rows, parts)]
    for state in states[1:]:
        states[0].merge(state)
    assert states[0].to_bytes() == expected
