"""Every combination of the options of `softmax_cross_entropy` on small problems, against the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import crossentropy as ce
import oracle
from frameworks import TORCH, each_framework
from sampling import sampled
from softmax_problems import DENSE, Problem, problems

bounded = settings(derandomize=True, max_examples=200, deadline=None, database=None)


def assert_close(got: np.ndarray, truth: np.ndarray, scale: float) -> None:
    np.testing.assert_allclose(got, truth, rtol=1e-11, atol=1e-11 * scale)


@each_framework
@settings(bounded, max_examples=400)
@given(problem=problems())
def test_any_composition_of_options_has_the_value_and_gradient_of_the_definition(fw, problem):
    logits, labels, keywords = fw.own(problem.logits), problem.labels(fw), problem.keywords()
    try:
        truth = problem.truth()
    except oracle.NothingToAverage:
        with pytest.raises(ValueError, match="average"):
            fw.loss(logits, labels, **keywords)
        return
    value, gradient = fw.loss_and_gradient(logits, labels, **keywords)
    assert value.shape == truth.value.shape
    assert_close(value, truth.value, 1 + truth.scale)
    assert_close(gradient, truth.gradient, 1.0)
    np.testing.assert_array_equal(fw.loss(logits, labels, **keywords), value)


@each_framework
def test_a_smoothing_prior_without_smoothing_changes_nothing(fw):
    """The last step of a schedule that takes the smoothing down to zero."""
    z, labels = np.random.default_rng(0).normal(size=(4, 3)), np.array([0, 1, 2, 0])
    value = fw.loss(z, labels, label_smoothing=0.0, smoothing_prior=np.array([0.5, 0.25, 0.25]))
    np.testing.assert_array_equal(value, fw.loss(z, labels))


def exact(problem: Problem, **changes: Any) -> float:
    return float(problem.truth(**changes).value)


@bounded
@given(problem=problems(reduction="none", temperature=1.5), row=st.integers(0, 4))
def test_any_upstream_gradient_weighs_the_rows(problem, row):
    torch = pytest.importorskip("torch")
    fw = TORCH
    problem.options.pop("normalizer", None)
    problem.options.pop("empty", None)
    upstream = np.linspace(-1.0, 2.0, len(problem.logits))
    logits = torch.tensor(problem.logits, requires_grad=True)
    keywords = {k: fw.own(v) for k, v in problem.keywords().items()}
    losses = ce.softmax_cross_entropy(logits, problem.labels(fw), **keywords)
    losses.backward(torch.from_numpy(upstream))
    assert_close(logits.grad.numpy(), problem.truth().gradient * upstream[:, None], 1.0)


@sampled(
    {
        "name": ["sample_weight", "temperature", "logit_bias", "margin", "Probabilities"],
        "reduction": ["sum", "mean"],
    }
)
@settings(bounded, max_examples=25)
@given(data=st.data())
def test_gradients_flow_to_what_a_loss_may_learn(name, reduction, data):
    """Of the value that is returned: a mean's divisor moves with the weights and masses it is made of."""
    torch = pytest.importorskip("torch")
    fw = TORCH
    problem = data.draw(
        problems(reduction=reduction, sample_weight=None).filter(lambda p: _can_learn(p, name))
    )
    problem.options.pop("normalizer", None)
    problem.options.pop("empty", None)
    rows, classes = problem.logits.shape
    rng = np.random.default_rng(rows * classes)
    point = {
        "sample_weight": rng.uniform(0.5, 2, size=rows),
        "temperature": rng.uniform(0.5, 2, size=rows) if rows % 2 else np.array(1.3),
        "logit_bias": rng.normal(size=classes),
        "margin": rng.uniform(0, 1, size=classes),
        "Probabilities": problem.arrays[0],
    }[name]
    learned = torch.tensor(point, requires_grad=True)
    keywords = {k: fw.own(v) for k, v in problem.keywords().items()}
    if name == "Probabilities":
        labels = ce.targets.Probabilities(learned, normalized=False)
    else:
        labels, keywords[name] = problem.labels(fw), learned
    ce.softmax_cross_entropy(torch.tensor(problem.logits), labels, **keywords).backward()

    def at(value: np.ndarray) -> float:
        if name == "Probabilities":
            moved = Problem(problem.logits, problem.form, (value,), problem.options, problem.gamma)
            return exact(moved)
        return exact(problem, **{name: value})

    h = 1e-5
    expected = np.zeros(point.shape)
    for i in np.ndindex(point.shape):
        step = np.zeros(point.shape)
        step[i] = h
        expected[i] = (at(point + step) - at(point - step)) / (2 * h)
    np.testing.assert_allclose(learned.grad.numpy(), expected, rtol=1e-6, atol=1e-6)


def _can_learn(problem: Problem, name: str) -> bool:
    if name == "Probabilities":
        return problem.form == "unnormalized"
    return name != "margin" or problem.form not in DENSE
