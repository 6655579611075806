"""Log-probabilities of rows, of which scores are made: bad rows raise nothing unless that is asked for."""

import math

import numpy as np
import pytest

from crossentropy._engine.probabilities.labels import Truth
from crossentropy._engine.probabilities.predictions import make_predictions
from crossentropy._engine.probabilities.row_log_prob import row_log_prob

P = np.array([[0.5, 0.25, 0.25], [0.125, 0.5, 0.375], [0.25, 0.25, 0.5], [1.0, 0.0, 0.0]])
Y = np.array([0, 7, -1, 1])


def arrays():
    yield pytest.param(np.asarray, id="numpy")
    yield pytest.param(lambda x: pytest.importorskip("torch").as_tensor(x), id="torch")
    yield pytest.param(lambda x: pytest.importorskip("jax.numpy").asarray(x), id="jax")


each_library = pytest.mark.parametrize("array", list(arrays()))


def rows(array, p=P, y=Y, *, in_logs=False, **options):
    ignore_index = options.pop("ignore_index", None)
    predictions = make_predictions(array(np.log(p) if in_logs else p), in_logs=in_logs, normalize=False)
    return row_log_prob(predictions, Truth(array(y), ignore_index=ignore_index), **options)


@pytest.mark.parametrize("in_logs", [False, True])
@pytest.mark.filterwarnings("ignore:divide by zero")
@each_library
def test_a_label_outside_the_classes_is_nan_and_the_other_rows_are_what_they_are(array, in_logs):
    found = np.asarray(rows(array, in_logs=in_logs).log_prob)
    np.testing.assert_allclose(found, [math.log(0.5), math.nan, math.nan, -math.inf], rtol=1e-6)


@each_library
def test_an_ignored_row_is_marked_and_no_label(array):
    found = rows(array, ignore_index=-1)
    assert np.asarray(found.keep).tolist() == [True, True, False, True]
    assert np.isnan(np.asarray(found.log_prob)).tolist() == [False, True, False, False]


@each_library
def test_asked_to_check_it_names_the_first_bad_label(array):
    with pytest.raises(ValueError, match=r"label 7 at row 1 is outside \[0, 3\)"):
        rows(array, checked=True)


@each_library
def test_a_row_that_does_not_count_may_have_any_label(array):
    counted = array(np.array([True, False, False, True]))
    found = np.asarray(rows(array, counted=counted, checked=False).log_prob)
    assert not np.isnan(found[[0, 3]]).any()
    assert not np.isnan(found[[1, 2]]).any()


@each_library
def test_class_weights_multiply_and_are_the_mass(array):
    weight = np.array([2.0, 3.0, 4.0])
    found = rows(array, P, np.array([0, 1, 2, 0]), class_weight=array(weight))
    np.testing.assert_allclose(np.asarray(found.mass), weight[[0, 1, 2, 0]])
    expected = weight[[0, 1, 2, 0]] * np.log(P[[0, 1, 2, 3], [0, 1, 2, 0]])
    np.testing.assert_allclose(np.asarray(found.log_prob), expected, rtol=1e-6)


def test_the_gradient_of_a_bad_row_is_nan_and_that_of_the_others_is_not():
    torch = pytest.importorskip("torch")
    p = torch.tensor(P[:3], requires_grad=True)
    found = rows(lambda x: p if x is P else torch.as_tensor(x), P, Y[:3], ignore_index=-1)
    torch.where(found.keep, found.log_prob, 0).sum().backward()
    assert torch.isnan(p.grad[1]).any()
    assert p.grad[0].tolist() == [2.0, 0.0, 0.0]
    assert p.grad[2].tolist() == [0.0, 0.0, 0.0]
