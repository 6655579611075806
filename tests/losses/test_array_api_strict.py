"""What the array API does not promise, the losses do not use: they run on `array_api_strict`."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

import crossentropy as ce
import oracle
from frameworks import NUMPY, Strict
from softmax_problems import problems

xp = pytest.importorskip("array_api_strict")

STRICT = Strict()
bounded = settings(derandomize=True, max_examples=150, deadline=None, database=None)


@pytest.fixture(autouse=True)
def _static_shapes_only():
    """As a library is that compiles ahead of the values."""
    with xp.ArrayAPIStrictFlags(boolean_indexing=False, data_dependent_shapes=False):
        yield


def own(values):
    return xp.asarray(values)


@bounded
@given(problem=problems())
def test_any_composition_of_options_has_the_value_of_the_definition(problem):
    try:
        truth = problem.truth()
    except oracle.NothingToAverage:
        with pytest.raises(ValueError, match="average"):
            STRICT.loss(problem.logits, problem.labels(STRICT), **problem.keywords())
        return
    value = STRICT.loss(problem.logits, problem.labels(STRICT), **problem.keywords())
    assert value.shape == truth.value.shape
    np.testing.assert_allclose(value, truth.value, rtol=1e-11, atol=1e-11 * (1 + truth.scale))


@bounded
@given(problem=problems(reduction="none"))
def test_statistics_are_those_of_numpy(problem):
    names = ("temperature", "softcap", "logit_bias", "margin", "ignore_index")
    transforms = {k: v for k, v in problem.options.items() if k in names}
    labels = problem.form in ("indices", "OneHot")
    asked = {"entropy": True, "rank": labels}
    expected = ce.target_statistics(problem.logits, problem.labels(NUMPY), **transforms, **asked)
    got = STRICT.statistics(problem.logits, problem.labels(STRICT), **transforms, **asked)
    fields = ["log_prob", "logsumexp", "entropy", "argmax"] + (["prob", "log_odds", "rank"] if labels else [])
    for name in fields:
        np.testing.assert_allclose(
            STRICT.numpy(getattr(got, name)), getattr(expected, name), rtol=1e-11, atol=1e-13, err_msg=name
        )


@pytest.mark.parametrize("axis", [0, 1, 2, -2])
def test_classes_may_lie_along_any_axis(axis):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(3, 4, 5))
    y = rng.integers(0, 3, size=np.delete(z.shape, axis))
    for options in ({}, {"label_smoothing": 0.1, "link": ce.links.Focal()}):
        got = STRICT.loss(z, y, axis=axis, reduction="none", **options)
        np.testing.assert_allclose(
            got, ce.softmax_cross_entropy(z, y, axis=axis, reduction="none", **options)
        )


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "bool"])
def test_labels_of_any_integer_type_are_labels(dtype):
    z, y = own(np.zeros((2, 3))), own(np.array([1, 0], dtype=dtype))
    for options in (
        {},
        {"ignore_index": -100},
        {"class_weight": [1.0, 1.0, 1.0]},
        {"link": ce.links.Focal()},
    ):
        assert ce.softmax_cross_entropy(z, y, **options).shape == ()


def test_what_is_wrong_is_refused_as_in_numpy():
    z = own(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="label 3 at row 1"):
        ce.softmax_cross_entropy(z, own([0, 3]))
    with pytest.raises(ValueError, match="label 3 at row 1"):
        ce.target_statistics(z, own([0, 3]))
    with pytest.raises(ValueError, match=r"row 0 sum to 0\.9"):
        ce.softmax_cross_entropy(z, own([[0.5, 0.4, 0.0], [1.0, 0.0, 0.0]]))
    with pytest.raises(TypeError, match="arrays of one library"):
        ce.softmax_cross_entropy(z, np.array([0, 1]))
    with pytest.raises(TypeError, match="arrays of one library"):
        ce.softmax_cross_entropy(z, own([0, 1]), class_weight=np.ones(3))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"label_smoothing": 0.1, "pos_weight": [2.0, 1.0, 0.5], "class_weight": 3.0},
        {"link": ce.links.Focal(0.0), "negative_link": ce.links.Focal(4.0), "negative_shift": 0.05},
        {"reduction": "none", "link": ce.links.Focal()},
        {"normalizer": "count"},
    ],
    ids=repr,
)
def test_sigmoid_losses_are_those_of_numpy(options):
    rng = np.random.default_rng(0)
    z, t, weight = rng.normal(size=(4, 3)), rng.integers(0, 2, size=(4, 3)), rng.random(4)
    expected = ce.sigmoid_cross_entropy(z, t, sample_weight=weight, **options)
    got = ce.sigmoid_cross_entropy(own(z), own(t), sample_weight=own(weight), **options)
    np.testing.assert_allclose(STRICT.numpy(got), expected, rtol=1e-13)


def test_log_losses_are_those_of_numpy():
    rng = np.random.default_rng(0)
    p, y, weight = rng.dirichlet(np.ones(3), size=4), rng.integers(0, 3, size=4), rng.random(4)
    options = {"class_weight": [1.0, 2.0, 3.0], "ignore_index": 1}
    expected = ce.log_loss(p, y, sample_weight=weight, **options)
    np.testing.assert_allclose(
        float(ce.log_loss(own(p), own(y), sample_weight=own(weight), **options)), expected
    )
