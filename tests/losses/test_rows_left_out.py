"""A row that is ignored or weighs nothing has no part in any gradient, whatever its logits and the options."""

from __future__ import annotations

import numpy as np
import pytest

import crossentropy as ce
from frameworks import TORCH, each_framework

INF, NAN = float("inf"), float("nan")

JUNK = [[NAN] * 3, [INF, 0.0, 1.0], [-INF] * 3, [0.0, NAN, -INF]]
OPTIONS = [
    {"softcap": 5.0},
    {"softcap": 5.0, "temperature": 2.0, "logit_bias": np.arange(3.0), "z_loss": 0.1, "entropy_bonus": 0.1},
    {"softcap": 5.0, "label_smoothing": 0.1},
    {"softcap": 5.0, "link": ce.links.Focal()},
    {"softcap": 5.0, "link": ce.links.Poly(), "label_smoothing": 0.1, "z_loss": 0.1},
    {"link": ce.links.Poly(), "temperature": np.array([1.0, 2.0])},
    {"softcap": 5.0, "temperature": np.array([1.0, 2.0]), "margin": np.array([0.1, 0.2, 0.3])},
    {"z_loss": 0.1, "entropy_bonus": 0.1},
]
FORMS = ["indices", "Sparse", "LabelSet", "Probabilities"]
CASES = [
    (form, way, options)
    for form in FORMS
    for way in ("ignore_index", "sample_weight")
    for options in OPTIONS
    if not (form in ("LabelSet", "Probabilities") and way == "ignore_index")
    if not (form == "LabelSet" and "label_smoothing" in options)
    if not (form == "Probabilities" and "margin" in options)
]
each_case = pytest.mark.parametrize(
    ("form", "way", "options"), CASES, ids=[f"{f}-{w}-{'+'.join(o)}" for f, w, o in CASES]
)
each_junk = pytest.mark.parametrize("junk", JUNK, ids=["nan", "inf", "all -inf", "nan and -inf"])


def problem(fw, junk, form, way, options):
    """Logits with a row of junk, left out; their target; the options."""
    last = 2 if way == "sample_weight" else -1
    arrays = {
        "indices": (np.array([0, last]),),
        "Sparse": (np.array([[0, 1], [1, last]]), np.array([[0.3, 0.7], [0.5, 0.5]])),
        "LabelSet": (np.array([[True, True, False], [False, True, False]]),),
        "Probabilities": (np.array([[0.2, 0.3, 0.5], [0.5, 0.5, 0.0]]),),
    }[form]
    left_out = {"ignore_index": -1} if way == "ignore_index" else {"sample_weight": np.array([1.0, 0.0])}
    return np.array([[1.0, 2.0, 0.0], junk]), fw.target(form, *arrays), options | left_out


@each_case
@each_junk
@each_framework
def test_value_and_gradient_are_those_of_the_other_rows(fw, junk, form, way, options):
    z, target, keywords = problem(fw, junk, form, way, options)
    value, gradient = fw.loss_and_gradient(z, target, **keywords)
    plain = problem(fw, [0.5, 0.0, 0.0], form, way, options)
    expected = fw.loss_and_gradient(plain[0], plain[1], **plain[2])
    np.testing.assert_allclose(value, expected[0], rtol=1e-14)
    np.testing.assert_allclose(gradient[0], expected[1][0], rtol=1e-13)
    np.testing.assert_array_equal(gradient[1], 0.0)


@pytest.mark.parametrize("create_graph", [False, True], ids=["", "with a graph"])
@each_case
@each_junk
def test_gradients_by_everything_a_loss_may_learn_are_those_of_the_other_rows(
    junk, form, way, options, create_graph
):
    torch = pytest.importorskip("torch")

    def gradients(junk):
        z, target, keywords = problem(TORCH, junk, form, way, options)
        given = {name: TORCH.own(value) for name, value in keywords.items()}
        learnt = {"temperature": np.array(1.0), "logit_bias": np.zeros(3), "margin": np.array(0.0)}
        if form == "Probabilities":
            del learnt["margin"]
        if way == "sample_weight":
            learnt["sample_weight"] = np.ones(2)
        for name, default in learnt.items():
            point = torch.as_tensor(keywords.get(name, default), dtype=torch.float64)
            given[name] = point.clone().requires_grad_()
        logits = torch.tensor(z, requires_grad=True)
        value = ce.softmax_cross_entropy(logits, target, **given)
        inputs = [logits, *(given[name] for name in learnt if name != "sample_weight")]
        return [x.detach().numpy() for x in torch.autograd.grad(value, inputs, create_graph=create_graph)]

    by_logits, *by_others = gradients(junk)
    expected = gradients([0.5, 0.0, 0.0])
    np.testing.assert_allclose(by_logits[0], expected[0][0], rtol=1e-13)
    np.testing.assert_array_equal(by_logits[1], 0.0)
    for got, truth in zip(by_others, expected[1:], strict=True):
        np.testing.assert_allclose(got, truth, rtol=1e-13, atol=1e-16)
