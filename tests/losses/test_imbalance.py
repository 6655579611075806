"""Losses for classes of unequal size: what the weights, offsets and margins made of counts mean."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

import crossentropy as ce
from crossentropy._engine import options
from crossentropy._engine.options import SoftmaxOptions
from crossentropy.losses.imbalance import (
    balanced_softmax_loss,
    balanced_weights,
    class_balanced_weights,
    hard_example_loss,
    ldam_loss,
    ldam_margins,
    logit_adjustment,
)
from losses.any_library import libraries

lib = libraries("numpy", "torch")
every = libraries("numpy", "torch", "jax")
autodiff = libraries("torch")
each_autodiff = libraries("torch", "jax")
COUNTS = [500, 40, 8, 120]
OF_COUNTS = [balanced_weights, class_balanced_weights, logit_adjustment, ldam_margins]


def rows(n=6, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    return 2 * rng.normal(size=(n, classes)), rng.integers(0, classes, size=n)


def cross_entropies(z, y):
    return np.log(np.exp(z).sum(axis=-1)) - z[np.arange(len(y)), y]


# ------------------------------------------------------------------------------------------ made of counts


def test_balanced_weights_are_scikit_learns():
    utils = pytest.importorskip("sklearn.utils.class_weight")
    y = np.repeat(np.arange(4), COUNTS)
    np.testing.assert_allclose(
        balanced_weights(COUNTS),
        utils.compute_class_weight("balanced", classes=np.arange(4), y=y),
        rtol=1e-15,
    )


def test_class_balanced_weights_sum_to_the_number_of_classes():
    for beta in (0.0, 0.9, 0.9999, 1.0):
        assert class_balanced_weights(COUNTS, rebalancing=beta).sum() == pytest.approx(4, rel=1e-15)


def test_class_balanced_weights_keep_their_digits_for_beta_near_one():
    """Formed as 1 − β^n they would have half of them left."""
    counts, beta = [3, 50, 7], 1 - 2.0**-40
    with mpmath.workdps(50):
        exact = [1 / (1 - mpmath.mpf(beta) ** n) for n in counts]
        exact = [float(w * 3 / mpmath.fsum(exact)) for w in exact]
    np.testing.assert_allclose(class_balanced_weights(counts, rebalancing=beta), exact, rtol=4e-16)


def test_class_balanced_weights_go_from_equal_to_inverse_counts():
    np.testing.assert_array_equal(class_balanced_weights(COUNTS, rebalancing=0), np.ones(4))
    inverse = 1 / np.asarray(COUNTS)
    np.testing.assert_allclose(
        class_balanced_weights(COUNTS, rebalancing=1), inverse * 4 / inverse.sum(), rtol=1e-15
    )
    np.testing.assert_allclose(
        class_balanced_weights(COUNTS, rebalancing=1 - 1e-13),
        class_balanced_weights(COUNTS, rebalancing=1),
        rtol=1e-10,
    )


@pytest.mark.parametrize("function", OF_COUNTS)
@pytest.mark.parametrize("dtype", ["int64", "int32", "float32", "float64"])
def test_counts_of_any_dtype_give_arrays_of_their_library(every, function, dtype):
    found = function(every.array(COUNTS, dtype))
    assert every.owns(found)
    np.testing.assert_allclose(every.numpy(found), function(COUNTS), rtol=1e-14)


@pytest.mark.parametrize("function", OF_COUNTS)
@pytest.mark.parametrize(
    ("counts", "what"), [([5, 0, 2], "class 1 is 0"), ([5.0, 1.0, -2.0], "class 2 is -2")]
)
def test_a_class_without_examples_is_refused_by_name(function, counts, what):
    with pytest.raises(ValueError, match=f"the count of {what}; every class needs a positive one"):
        function(counts)


@pytest.mark.parametrize("function", OF_COUNTS)
def test_labels_in_the_place_of_counts_are_refused(function):
    with pytest.raises(ValueError, match="one number for each class"):
        function(np.ones((3, 2)))


@pytest.mark.parametrize("loss", [balanced_softmax_loss, ldam_loss])
def test_a_list_of_counts_serves_logits_of_any_library(lib, loss):
    z, y = rows()
    found = loss(lib.array(z), lib.array(y), COUNTS)
    assert lib.owns(found)
    np.testing.assert_allclose(lib.numpy(found), loss(z, y, np.asarray(COUNTS)), rtol=1e-14)


@pytest.mark.parametrize("loss", [balanced_softmax_loss, ldam_loss])
def test_counts_of_other_classes_than_the_logits_are_refused(loss):
    with pytest.raises(ValueError, match=r"counts has shape \(4,\).*each of the 3 classes"):
        loss(np.zeros((2, 3)), np.asarray([0, 1]), COUNTS)


# ------------------------------------------------------------------------------------------- signs


def test_in_training_the_offset_is_added_so_that_equal_scores_are_the_optimum():
    """Where labels come as often as the counts say, a model that knows nothing is balanced."""
    y = np.repeat(np.arange(4), COUNTS)
    _, gradient = ce.loss_and_gradient(balanced_softmax_loss, np.zeros((len(y), 4)), y, counts=COUNTS)
    np.testing.assert_allclose(gradient.sum(axis=0), 0, atol=1e-14)


def test_after_training_the_offset_is_subtracted_so_that_the_prior_is_gone():
    """A model trained plainly that knows nothing says the prior."""
    y = np.repeat(np.arange(4), COUNTS)
    prior = np.log(np.asarray(COUNTS) / 668)
    _, gradient = ce.loss_and_gradient(ce.softmax_cross_entropy, np.tile(prior, (len(y), 1)), y)
    np.testing.assert_allclose(gradient.sum(axis=0), 0, atol=1e-14)
    np.testing.assert_allclose(prior - logit_adjustment(COUNTS), 0, atol=1e-14)


# ---------------------------------------------------------------------------------------------- LDAM


def test_ldam_takes_the_margin_off_before_the_scale():
    """As the paper's code: s · (x − m) at the label, s · x elsewhere."""
    x, y = rows(seed=1)
    x = np.tanh(x)
    m = 1 / np.sqrt(np.sqrt(COUNTS))
    m = m * (0.5 / np.max(m))
    changed = np.where(np.eye(4)[y] == 1, x - m, x)
    expected = cross_entropies(30 * changed, y)
    np.testing.assert_allclose(ldam_loss(x, y, COUNTS, reduction="none"), expected, rtol=1e-13)


def test_a_class_weight_stays_out_of_the_probability_of_a_focal_loss():
    """kaidic/LDAM-DRW and its copies: p = exp(−w·CE), so a weight of 4 makes a likely row look unlikely."""
    z, y = rows(seed=2)
    w = class_balanced_weights(COUNTS, rebalancing=0.9999)
    entropy = cross_entropies(z, y)
    right = w[y] * (1 - np.exp(-entropy)) ** 2 * entropy
    copied = (1 - np.exp(-w[y] * entropy)) ** 2 * w[y] * entropy
    assert (np.abs(copied / right - 1) > 0.05).all()
    found = ce.softmax_cross_entropy(z, y, link=ce.links.Focal(2.0), class_weight=w, reduction="none")
    np.testing.assert_allclose(found, right, rtol=1e-13)


@pytest.mark.parametrize(
    "call",
    [
        lambda z, y: balanced_softmax_loss(z, y, COUNTS, logit_bias=np.zeros(4)),
        lambda z, y: ldam_loss(z, y, COUNTS, margin=0.2),
        lambda z, y: ldam_loss(z, y, COUNTS, temperature=2.0),
    ],
)
def test_an_option_that_the_loss_sets_itself_is_not_taken_silently(call):
    with pytest.raises(TypeError, match="has no argument"):
        call(*rows())
    try:
        raise ValueError
    except ValueError:  # while it is handled, Python before 3.12 has another error for a keyword given twice
        with pytest.raises(TypeError, match="has no argument"):
            call(*rows())


def test_the_sets_of_options_are_all_of_them_but_what_they_say():
    everything = set(SoftmaxOptions.__annotations__)
    for kind, missing in [
        (options.WithoutOffset, {"logit_bias"}),
        (options.WithoutMargin, {"margin", "temperature"}),
        (options.WithoutSmoothing, {"label_smoothing", "smoothing_prior", "entropy_bonus"}),
        (options.WithoutReduction, {"reduction", "normalizer"}),
    ]:
        assert set(kind.__annotations__) == everything - missing
    assert set(options.RowOptions.__annotations__) < everything


# -------------------------------------------------------------------------------------- hard examples


def test_the_largest_losses_are_averaged(lib):
    z, y = rows(9)
    largest = np.sort(cross_entropies(z, y))[::-1]
    for keep, k in [(1, 1), (4, 4), (9, 9), (20, 9), (1.0, 9), (0.5, 5), (0.01, 1), (1 / 3, 3)]:
        found = hard_example_loss(lib.array(z), lib.array(y), keep=keep)
        np.testing.assert_allclose(lib.numpy(found), largest[:k].mean(), rtol=1e-13)


def test_ignored_and_weightless_rows_are_not_among_those_chosen_from(lib):
    z, y = rows(9)
    entropy = cross_entropies(z, y)
    y[np.argmax(entropy)] = -1
    entropy[np.argmax(entropy)] = -np.inf
    weights = np.ones(9)
    weights[np.argmax(entropy)] = 0
    z[np.argmax(entropy)] = np.nan
    entropy[np.argmax(entropy)] = -np.inf
    largest = np.sort(entropy)[::-1]

    def loss(z, keep):
        return hard_example_loss(
            z, lib.array(y), keep=keep, ignore_index=-1, sample_weight=lib.array(weights)
        )

    for keep, k in [(2, 2), (9, 7), (1.0, 7), (0.5, 4)]:
        np.testing.assert_allclose(lib.numpy(loss(lib.array(z), keep)), largest[:k].mean(), rtol=1e-13)


def test_rows_of_weight_zero_are_not_chosen_before_negative_losses(lib):
    z, y = rows(5)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    losses = np.delete(cross_entropies(z, y) + 13 * np.sum(p * np.log(p), axis=1), 1)
    assert (losses < 0).any()
    weights = lib.array([1.0, 0.0, 1.0, 1.0, 1.0])
    found = hard_example_loss(lib.array(z), lib.array(y), keep=4, entropy_bonus=13.0, sample_weight=weights)
    assert float(found) == pytest.approx(losses.mean(), rel=1e-12)


def test_rows_that_are_not_chosen_have_no_gradient(autodiff):
    z, y = rows(9)
    z[4] = np.nan
    entropy, weights = cross_entropies(z, y), np.ones(9)
    entropy[4], weights[4] = -np.inf, 0
    gradient = autodiff.gradient(
        lambda z: hard_example_loss(z, autodiff.array(y), keep=3, sample_weight=autodiff.array(weights)), z
    )
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(np.flatnonzero(gradient.any(axis=1)), np.sort(np.argsort(entropy)[-3:]))


def test_of_equal_losses_the_earlier_rows_have_the_gradient(each_autodiff):
    lib = each_autodiff
    z = np.tile([1.0, 0.0, -1.0], (5, 1))
    y = np.asarray([0, 1, 1, 1, 1])
    gradient = lib.gradient(lambda z: hard_example_loss(z, lib.array(y), keep=2), z)
    np.testing.assert_array_equal(np.flatnonzero(gradient.any(axis=1)), [1, 2])


def test_a_row_that_is_nan_is_not_passed_over(lib):
    z, y = rows(4)
    z[2] = np.nan
    assert np.isnan(lib.numpy(hard_example_loss(lib.array(z), lib.array(y), keep=2)))


def test_hard_examples_compete_by_their_weighted_loss():
    z, y = rows(4)
    w = np.asarray([0.1, 5.0, 1.0, 2.0])
    expected = np.sort(w * cross_entropies(z, y))[-2:].mean()
    assert hard_example_loss(z, y, keep=2, sample_weight=w) == pytest.approx(expected, rel=1e-14)


def test_nothing_to_choose_from_is_what_empty_says():
    z, y = rows(3)
    assert hard_example_loss(z, y, keep=2, sample_weight=np.zeros(3)) == 0
    assert np.isnan(hard_example_loss(z, y, keep=0.5, sample_weight=np.zeros(3), empty="nan"))
    with pytest.raises(ValueError, match="nothing to average"):
        hard_example_loss(z, y, keep=2, sample_weight=np.zeros(3), empty="raise")


@pytest.mark.parametrize("keep", [0, -1, 0.0, 1.5, True, float("nan")])
def test_how_many_to_keep_is_a_number_of_rows_or_a_share(keep):
    with pytest.raises(ValueError, match="how many rows to keep, 1 or more, or a share"):
        hard_example_loss(*rows(), keep=keep)


@pytest.mark.parametrize("option", [{"reduction": "none"}, {"normalizer": "count"}])
def test_hard_examples_have_no_other_reduction(option):
    with pytest.raises(TypeError, match="is the mean over the rows it keeps; leave"):
        hard_example_loss(*rows(), keep=2, **option)
