"""The sentences of a report: each judgment where it is true, and in the right direction."""

import math

import numpy as np
import pytest

from crossentropy._report.sentences import advice, calibration, number, percent, verdict
from crossentropy.evaluation import evaluate


def scored(temperature=1.0, n=4000, seed=0, **options):
    """Predictions of two classes whose logits would have to be divided by `temperature`."""
    r = np.random.default_rng(seed)
    z = r.normal(scale=1.5, size=n)
    y = (r.random(n) < 1 / (1 + np.exp(-z))).astype(int)
    return evaluate(labels=y, logits=z * temperature, **options).to_dict()


@pytest.mark.parametrize(("temperature", "word"), [(2.0, "overconfident"), (0.5, "underconfident")])
def test_confidence_has_a_direction(temperature, word):
    assert f"The predictions are {word}" in calibration(scored(temperature))


def test_of_one_cluster_calibration_is_said_to_be_untested():
    assert "not tested" in calibration(scored(cluster=np.zeros(4000, int)))


def test_calibrated_predictions_are_not_blamed():
    result = scored()
    assert calibration(result).startswith("No sign of over- or underconfidence")
    assert advice(result).startswith("Recalibration would save little")


def test_a_temperature_is_advised_where_it_saves_the_most():
    result = scored(2.0)
    assert f"logits divided by {result['temperature']:.4g}" in advice(result)


def test_the_verdict_is_that_of_the_skill_interval():
    r = np.random.default_rng(1)
    y = r.integers(0, 2, 400)
    good = evaluate(labels=y, proba=np.where(y == 1, 0.8, 0.3)).to_dict()
    bad = evaluate(labels=y, proba=np.where(y == 1, 0.3, 0.8)).to_dict()
    none = evaluate(labels=y, proba=np.clip(0.5 + 0.01 * r.normal(size=400), 0, 1)).to_dict()
    assert verdict(good).startswith("Better than the base rates: the log loss is ")
    assert verdict(bad).startswith("Worse than the base rates: the log loss is ")
    assert verdict(none).startswith("Not clearly better or worse than the base rates")


def test_a_prior_is_named_in_place_of_the_base_rates():
    assert "of the given prior" in verdict(scored(prior=[0.2, 0.8]))


@pytest.mark.parametrize(
    "options", [{"soft_labels": True}, {"cluster": [1, 1, 1]}], ids=["soft labels", "one cluster"]
)
def test_without_an_interval_there_is_no_judgment(options):
    sentence = verdict(evaluate(labels=[1.0, 1.0, 0.0], proba=[0.7, 0.8, 0.2], **options).to_dict())
    assert sentence.startswith("The log loss is 0.2")
    assert sentence.endswith("nats of the base rates. Whether that is chance was not tested.")


def test_an_infinite_loss_is_explained_before_all_else():
    result = evaluate(labels=[1, 0, 1], proba=[0.0, 0.2, 0.9]).to_dict()
    assert verdict(result).startswith("The log loss is infinite, because a row was given probability 0")
    assert calibration(result).startswith("Not calibrated")
    assert advice(result).startswith("First look at the rows of infinite loss")


def test_one_class_has_no_comparison():
    result = evaluate(labels=[1, 1, 1], proba=[0.7, 0.8, 0.9]).to_dict()
    assert "only one class occurred" in verdict(result)


def test_the_slice_that_owns_the_loss_is_named():
    r = np.random.default_rng(2)
    p = r.uniform(0.05, 0.95, 4000)
    where = np.where(np.arange(4000) % 10 == 0, "bad", "good")
    y = np.where(where == "bad", r.random(4000) < 1 - p, r.random(4000) < p).astype(int)
    result = evaluate(labels=y, proba=p, slice={"machine": where}).to_dict()
    assert "where machine is bad" in advice(result)
    for group in result["slices"]:  # as of a slice so far off that its p-value is rounded to 0
        group["adjusted_p_value"] = 0.0 if group["slice"] == "bad" else None
    assert "where machine is bad" in advice(result)


@pytest.mark.parametrize(
    ("x", "text"), [(None, "–"), (float("nan"), "–"), (float("-inf"), "−∞"), (-0.25, "−0.25")]
)
def test_numbers_are_written_for_people(x, text):
    assert number(x) == text


def test_shares_are_in_percent():
    assert [percent(x) for x in (0.0, 0.1234, 0.0001, None, math.nan, -math.inf)] == [
        "0.0 %",
        "12.3 %",
        "0.010 %",
        "–",
        "–",
        "−∞ %",
    ]
