"""Rows and batches at the edge of sense: infinities, NaN, ignored rows, nothing to average."""

import math

import numpy as np
import pytest

import crossentropy as ce
import oracle
from frameworks import each_framework

INF, NAN = math.inf, math.nan
LINKS = [None, ce.links.Focal(gamma=2.0), ce.links.Focal(gamma=0.5)]
each_link = pytest.mark.parametrize("link", LINKS, ids=str)


def batch(rows=5, classes=6):
    rng = np.random.default_rng(rows * classes)
    return rng.normal(size=(rows, classes)) * 3, rng.integers(0, classes, size=rows)


def none(fw, logits, labels, **options):
    return fw.loss_and_gradient(logits, labels, reduction="none", **options)


# -------------------------------------------------------------------------------------- −inf logits


@each_link
@each_framework
def test_a_minus_infinite_logit_off_the_target_contributes_exactly_nothing(fw, link):
    z, labels = batch()
    labels[:] = labels % 5
    masked = z.copy()
    masked[:, 5] = -INF
    losses, gradient = none(fw, masked, labels, link=link)
    expected = none(fw, z[:, :5], labels, link=link)
    np.testing.assert_allclose(losses, expected[0], rtol=1e-14)
    np.testing.assert_allclose(gradient[:, :5], expected[1], rtol=1e-13, atol=1e-16)
    np.testing.assert_array_equal(gradient[:, 5], 0.0)


@each_link
@each_framework
def test_a_minus_infinite_logit_on_the_target_costs_infinity_with_a_finite_gradient(fw, link):
    z = np.array([[-INF, 0.0, math.log(3.0)]])
    losses, gradient = none(fw, z, np.array([0]), link=link)
    np.testing.assert_array_equal(losses, [INF])
    np.testing.assert_allclose(gradient, [[-1.0, 0.25, 0.75]], rtol=1e-15)


@each_framework
def test_smoothing_puts_mass_on_masked_classes_and_costs_infinity(fw):
    z = np.array([[1.5, 0.0, -INF]])
    losses, gradient = none(fw, z, np.array([0]), label_smoothing=0.3)
    p = np.exp([1.5, 0.0]) / np.exp([1.5, 0.0]).sum()
    np.testing.assert_array_equal(losses, [INF])
    np.testing.assert_allclose(gradient, [[p[0] - 0.8, p[1] - 0.1, -0.1]], rtol=1e-13)


@each_link
@pytest.mark.parametrize("form", ["Probabilities", "Sparse"])
@each_framework
def test_a_target_mass_of_zero_on_a_minus_infinite_logit_counts_nothing(fw, form, link):
    z = np.array([[0.5, -INF, 1.5, 0.0]])
    if form == "Sparse":
        target = fw.target("Sparse", np.array([[0, 1, 2]]), np.array([[0.25, 0.0, 0.75]]))
    else:
        target = fw.target("Probabilities", np.array([[0.25, 0.0, 0.75, 0.0]]))
    losses, gradient = none(fw, z, target, link=link)
    truth = oracle.solve(
        z[:, [0, 2, 3]],
        oracle.dense_targets([[0.25, 0.75, 0.0]]),
        link=None if link is None else oracle.Focal(link.gamma),
        reduction="none",
    )
    np.testing.assert_allclose(losses, truth.value, rtol=1e-13)
    np.testing.assert_allclose(gradient[:, [0, 2, 3]], truth.gradient, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(gradient[:, 1], 0.0)


@each_framework
def test_a_smoothing_prior_of_zero_on_a_masked_class_counts_nothing(fw):
    z = np.array([[1.5, 0.0, -INF]])
    prior = np.array([0.5, 0.5, 0.0])
    losses, gradient = none(fw, z, np.array([0]), label_smoothing=0.2, smoothing_prior=prior)
    expected = none(fw, z[:, :2], np.array([0]), label_smoothing=0.2)
    np.testing.assert_allclose(losses, expected[0], rtol=1e-14)
    np.testing.assert_allclose(gradient, [[*expected[1][0], 0.0]], rtol=1e-13)


@each_framework
def test_entropy_of_a_row_with_masked_classes_is_that_of_the_others(fw):
    z = np.array([[1.5, -INF, 0.0]])
    losses, gradient = none(fw, z, np.array([0]), entropy_bonus=0.5, z_loss=0.01)
    expected = none(fw, z[:, [0, 2]], np.array([0]), entropy_bonus=0.5, z_loss=0.01)
    np.testing.assert_allclose(losses, expected[0], rtol=1e-14)
    np.testing.assert_allclose(gradient[:, [0, 2]], expected[1], rtol=1e-12)
    np.testing.assert_array_equal(gradient[:, 1], 0.0)


@each_framework
def test_labels_and_sets_that_hold_every_finite_class_cost_nothing(fw):
    z = np.array([[-INF, 2.0, -INF]])
    losses, gradient = none(fw, z, np.array([1]))
    np.testing.assert_array_equal(losses, [0.0])
    np.testing.assert_array_equal(gradient, 0.0)
    losses, gradient = none(fw, np.array([[1.0, 2.0]]), fw.target("LabelSet", np.array([[True, True]])))
    np.testing.assert_array_equal(losses, [0.0])
    np.testing.assert_array_equal(gradient, 0.0)


# ----------------------------------------------------------------------------------- NaN, +inf, all −inf


@pytest.mark.parametrize("classes", [2, 6, 65, 1000])
@pytest.mark.parametrize("bad", ["nan", "+inf", "all -inf", "nan on target"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@each_framework
def test_a_row_that_makes_no_sense_is_nan_and_leaves_the_others_alone(fw, dtype, bad, classes):
    z, labels = batch(5, classes)
    z = z.astype(dtype).astype(np.float64)
    spoilt = z.copy()
    if bad == "all -inf":
        spoilt[2] = -INF
    else:
        at = labels[2] if bad == "nan on target" else (labels[2] + 1) % classes
        spoilt[2, at] = INF if bad == "+inf" else NAN
    losses, gradient = none(fw, fw.array(spoilt, dtype), labels)
    expected = none(fw, fw.array(z, dtype), labels)
    others = [0, 1, 3, 4]
    assert np.isnan(losses[2])
    assert np.isnan(gradient[2]).all()
    np.testing.assert_array_equal(losses[others], expected[0][others])
    np.testing.assert_array_equal(gradient[others], expected[1][others])
    assert np.isnan(fw.loss(fw.array(spoilt, dtype), labels))


@pytest.mark.parametrize(
    "options", [{"label_smoothing": 0.1}, {"entropy_bonus": 0.1}, {"z_loss": 0.1}], ids=str
)
@pytest.mark.parametrize("bad", [NAN, INF, -INF], ids=str)
@each_framework
def test_regularizers_keep_a_row_that_makes_no_sense_nan(fw, bad, options):
    z, labels = batch()
    spoilt = z.copy()
    spoilt[2] = bad
    losses, gradient = none(fw, spoilt, labels, **options)
    expected = none(fw, z, labels, **options)
    others = [0, 1, 3, 4]
    assert np.isnan(losses[2])
    assert np.isnan(gradient[2]).all()
    np.testing.assert_allclose(losses[others], expected[0][others], rtol=1e-15)
    np.testing.assert_allclose(gradient[others], expected[1][others], rtol=1e-15)


# ------------------------------------------------------------------------------- ignored, weight of zero


@pytest.mark.parametrize("ignore_index", [-100, -1, 3, 255])
@pytest.mark.parametrize("fill", [NAN, INF, -INF, 0.0], ids=str)
@each_framework
def test_an_ignored_row_counts_nothing_whatever_its_logits(fw, fill, ignore_index):
    z, labels = batch()
    labels[:] = [0, 1, 2, 4, 5]
    labels[1] = ignore_index
    z[1] = fill
    kept = [0, 2, 3, 4]
    options = {"ignore_index": ignore_index, "z_loss": 0.01, "entropy_bonus": 0.1, "label_smoothing": 0.1}
    value, gradient = fw.loss_and_gradient(z, labels, **options)
    truth = fw.loss_and_gradient(z[kept], labels[kept], **{**options, "ignore_index": None})
    np.testing.assert_allclose(value, truth[0], rtol=1e-14)
    np.testing.assert_array_equal(gradient[1], 0.0)
    np.testing.assert_allclose(gradient[kept], truth[1], rtol=1e-13)
    losses, _ = none(fw, z, labels, **options)
    assert losses[1] == 0.0


@each_framework
def test_a_class_that_is_ignored_as_a_label_stays_in_the_softmax(fw):
    losses = fw.loss(np.zeros((2, 4)), np.array([0, 3]), ignore_index=3, reduction="none")
    np.testing.assert_allclose(losses, [math.log(4), 0.0], rtol=1e-15)


@pytest.mark.parametrize("fill", [NAN, INF, -INF, 0.0], ids=str)
@pytest.mark.parametrize("form", ["indices", "Probabilities"])
@each_framework
def test_a_row_of_sample_weight_zero_counts_nothing_whatever_its_logits(fw, form, fill):
    z, labels = batch()
    target = fw.target(form, labels if form == "indices" else np.eye(6)[labels])
    clean = fw.loss_and_gradient(z, target, sample_weight=np.array([1.0, 0.0, 2.0, 0.5, 1.0]))
    z[1] = fill
    value, gradient = fw.loss_and_gradient(z, target, sample_weight=np.array([1.0, 0.0, 2.0, 0.5, 1.0]))
    np.testing.assert_array_equal(value, clean[0])
    np.testing.assert_array_equal(gradient, clean[1])
    np.testing.assert_array_equal(gradient[1], 0.0)


@each_framework
def test_a_class_weight_of_zero_is_a_mass_of_zero_even_where_the_logit_is_minus_infinite(fw):
    z = np.array([[-INF, 1.0, 0.0], [0.0, 1.0, 0.0]])
    losses, gradient = none(fw, z, np.array([0, 1]), class_weight=np.array([0.0, 1.0, 1.0]))
    assert losses[0] == 0.0
    np.testing.assert_array_equal(gradient[0], 0.0)
    assert losses[1] > 0.0


# --------------------------------------------------------------------------------- nothing to average


def nothing(kind):
    z, labels = batch()
    return {
        "an empty batch": (z[:0], labels[:0], {}),
        "every row ignored": (z, np.full(5, -100), {"ignore_index": -100}),
        "every row ignored, counted": (z, np.full(5, -100), {"ignore_index": -100, "normalizer": "count"}),
        "every sample weight zero": (z, labels, {"sample_weight": np.zeros(5)}),
        "every class weight zero": (z, labels, {"class_weight": np.zeros(6)}),
    }[kind]


each_nothing = pytest.mark.parametrize(
    "kind",
    [
        "an empty batch",
        "every row ignored",
        "every row ignored, counted",
        "every sample weight zero",
        "every class weight zero",
    ],
)


@each_nothing
@each_framework
def test_the_mean_of_nothing_is_zero_with_gradients_of_zero(fw, kind):
    z, labels, options = nothing(kind)
    value, gradient = fw.loss_and_gradient(z, labels, **options)
    assert value == 0.0
    np.testing.assert_array_equal(gradient, np.zeros(z.shape))


@each_nothing
@each_framework
def test_the_mean_of_nothing_is_nan_on_request_with_gradients_of_zero(fw, kind):
    z, labels, options = nothing(kind)
    value, gradient = fw.loss_and_gradient(z, labels, empty="nan", **options)
    assert np.isnan(value)
    np.testing.assert_array_equal(gradient, np.zeros(z.shape))


@each_nothing
@each_framework
def test_the_mean_of_nothing_raises_on_request(fw, kind):
    z, labels, options = nothing(kind)
    with pytest.raises(ValueError, match="average"):
        fw.loss(z, labels, empty="raise", **options)


@each_framework
def test_the_sum_of_nothing_is_zero_and_its_rows_are_none(fw):
    z, labels = batch()
    assert fw.loss(z[:0], labels[:0], reduction="sum") == 0.0
    assert fw.loss(z[:0], labels[:0], reduction="none").shape == (0,)


@each_framework
def test_weights_of_zero_still_count_where_rows_are_counted(fw):
    z, labels = batch()
    weights = np.array([1.0, 0.0, 0.0, 0.0, 0.0])
    value = fw.loss(z, labels, sample_weight=weights, normalizer="count")
    np.testing.assert_allclose(value, fw.loss(z[:1], labels[:1]) / 5, rtol=1e-14)


# --------------------------------------------------------------------------------------- one class


@pytest.mark.parametrize(
    "options", [{}, {"label_smoothing": 0.1}, {"link": ce.links.Focal()}, {"entropy_bonus": 1.0}]
)
@each_framework
def test_one_class_costs_nothing(fw, options):
    value, gradient = fw.loss_and_gradient(np.array([[3.0], [-2.0]]), np.array([0, 0]), **options)
    assert value == 0.0
    np.testing.assert_array_equal(gradient, np.zeros((2, 1)))


def test_one_class_has_no_gradient_if_its_weight_has_more_digits_than_the_logits():
    z, w = np.zeros((1, 1), dtype=np.float32), np.asarray([0.97])
    _, gradient = ce.loss_and_gradient(
        ce.softmax_cross_entropy, z, np.asarray([0]), label_smoothing=0.125, class_weight=w
    )
    assert gradient == 0.0


@pytest.mark.parametrize("form", ["label", "several", "set", "soft"])
@each_framework
def test_a_row_of_minus_infinities_alone_is_nan_in_value_and_gradient_and_leaves_the_others(fw, form):
    z, labels = batch(rows=3, classes=4)
    one_hot = np.eye(4)[labels]
    target = {
        "label": fw.target("indices", labels),
        "several": fw.target("Sparse", np.stack([labels, (labels + 1) % 4], -1), np.full((3, 2), 0.5)),
        "set": fw.target("LabelSet", one_hot > 0),
        "soft": fw.target("Probabilities", 0.7 * one_hot + 0.3 / 4),
    }[form]
    whole = none(fw, z, target)
    z[1] = -INF
    losses, gradient = none(fw, z, target)
    assert np.isnan(losses[1])
    assert np.isnan(gradient[1]).all()
    np.testing.assert_array_equal(losses[[0, 2]], whole[0][[0, 2]])
    np.testing.assert_array_equal(gradient[[0, 2]], whole[1][[0, 2]])


@pytest.mark.parametrize("form", ["prior", "soft"])
@each_framework
def test_masses_that_cancel_are_still_scaled_by_the_temperature(fw, form):
    """``(L − u_0) − (L − u_1) = u_1 − u_0``."""
    z, masses = np.asarray([[1.0, 2.0, 4.0]]), np.asarray([1.0, -1.0, 0.0])
    if form == "prior":
        options = {"label_smoothing": 1.0, "smoothing_prior": masses, "normalizer": "count"}
        target = fw.target("indices", np.asarray([2]))
    else:
        options = {"normalizer": "count"}
        target = fw.target("Probabilities", masses[None], normalized=False)
    value, gradient = fw.loss_and_gradient(z, target, temperature=2.0, **options)
    np.testing.assert_allclose(value, 0.5, rtol=1e-14)
    np.testing.assert_allclose(gradient, [[-0.5, 0.5, 0.0]], rtol=1e-14, atol=1e-16)
