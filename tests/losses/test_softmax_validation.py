"""What `softmax_cross_entropy` refuses, what it says then, and what it takes although others do not."""

import warnings

import numpy as np
import pytest

import crossentropy as ce
from frameworks import each_dtype, each_framework, loss_dtype


def batch(rows=5, classes=7):
    rng = np.random.default_rng(rows * classes)
    return rng.normal(size=(rows, classes)) * 3, rng.integers(0, classes, size=rows)


# ------------------------------------------------------------------------------------------- labels


@pytest.mark.parametrize(
    ("label", "hint"), [(-100, "ignore_index"), (-3, "ignore_index"), (255, "ignore_index"), (7, "label")]
)
@each_framework
def test_a_label_out_of_range_is_refused_with_its_row_the_number_of_classes_and_a_hint(fw, label, hint):
    z, labels = batch()
    labels[3] = label
    with pytest.raises(ValueError, match=hint) as caught:
        fw.loss(z, labels)
    words = str(caught.value)
    assert f"{label}" in words
    assert "row 3" in words
    assert "7" in words.replace(f"{label}", "", 1)


@pytest.mark.parametrize("label", [-1, 7])
@each_framework
def test_a_label_out_of_range_that_is_not_the_ignored_one_is_refused(fw, label):
    z, labels = batch()
    labels[0], labels[1] = -100, label
    with pytest.raises(ValueError, match="row 1"):
        fw.loss(z, labels, ignore_index=-100)


@each_framework
def test_statistics_and_gradients_refuse_a_label_out_of_range_too(fw):
    z, labels = batch()
    labels[3] = 9
    for call in (fw.statistics, fw.loss_and_gradient):
        with pytest.raises(ValueError, match="row 3"):
            call(z, labels)


INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


@pytest.mark.parametrize("dtype", INTEGERS)
@each_framework
def test_every_integer_dtype_holds_labels(fw, dtype):
    z, labels = batch()
    np.testing.assert_array_equal(
        fw.loss(z, labels.astype(dtype), reduction="none"), fw.loss(z, labels, reduction="none")
    )


@each_framework
def test_boolean_labels_are_the_classes_zero_and_one(fw):
    z, labels = batch(classes=2)
    np.testing.assert_array_equal(
        fw.loss(z, labels.astype(bool), reduction="none"), fw.loss(z, labels, reduction="none")
    )


@pytest.mark.parametrize("label", [300, 40_000, 100_000])
@each_framework
def test_large_labels_keep_their_value(fw, label):
    z = np.zeros((1, label + 2), dtype=np.float32)
    z[0, label] = 5.0
    loss = fw.loss(z, np.array([label]), reduction="none")
    np.testing.assert_allclose(loss, np.log1p((label + 1) * np.exp(-5.0)), rtol=1e-6)


@each_framework
def test_floating_labels_of_index_shape_are_refused_with_the_fix(fw):
    z, labels = batch()
    with pytest.raises(TypeError, match=r"\.long\(\)" if fw.name == "torch" else "astype|long"):
        fw.loss(z, labels.astype(np.float64))


@pytest.mark.parametrize("dtype", ["int64", "bool"])
@each_framework
def test_integer_one_hot_labels_are_refused_with_the_fix(fw, dtype):
    z, labels = batch()
    with pytest.raises(TypeError, match="OneHot"):
        fw.loss(z, np.eye(7, dtype=dtype)[labels])


@each_framework
def test_integer_one_hot_labels_are_refused_even_where_the_batch_is_as_long_as_the_row(fw):
    z, labels = batch(7, 7)
    with pytest.raises(TypeError, match="OneHot"):
        fw.loss(z, np.eye(7, dtype=np.int64)[labels])


# ------------------------------------------------------------------------------------- soft targets

SUMS = {"bfloat16": 3e-3, "float16": 1e-3, "float32": 1e-5, "float64": 1e-9}


@each_dtype
def test_soft_targets_that_miss_one_by_more_than_their_precision_are_refused(fw, dtype):
    z = fw.array(batch(classes=4)[0], dtype)
    t = np.full((5, 4), 0.25)
    fw.loss(z, fw.array(t, dtype))
    t[2, 0] += max(2 * SUMS[dtype], 0.004 if dtype == "bfloat16" else 0.0)
    with pytest.raises(ValueError, match="row 2"):
        fw.loss(z, fw.array(t, dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@each_framework
def test_soft_targets_that_miss_one_by_rounding_are_taken(fw, dtype):
    z = fw.array(batch()[0], dtype)
    t = np.random.default_rng(0).dirichlet(np.ones(7), size=5)
    t[2, 0] += 0.5 * SUMS[dtype]
    assert np.isfinite(fw.loss(z, fw.array(t, dtype)))


@each_framework
def test_the_refusal_of_soft_targets_tells_the_sum_and_the_way_out(fw):
    z, labels = batch()
    t = np.eye(7)[labels]
    t[4] *= 1.25
    with pytest.raises(ValueError, match="normalized=False") as caught:
        fw.loss(z, t)
    assert "row 4" in str(caught.value)
    assert "1.25" in str(caught.value)


@each_framework
def test_unnormalized_targets_are_taken_when_declared(fw):
    z, labels = batch()
    t = np.eye(7)[labels] * np.array([[0.0], [1.0], [2.0], [0.5], [-1.0]])
    losses = fw.loss(z, fw.target("Probabilities", t, normalized=False), reduction="none")
    plain = fw.loss(z, labels, reduction="none")
    np.testing.assert_allclose(losses, plain * [0.0, 1.0, 2.0, 0.5, -1.0], rtol=1e-13)


# ---------------------------------------------------------------------- logits that are probabilities

CALL = """
for _ in range(3):
    fw.loss(z, labels)  # one site, three calls
fw.loss(z, labels)
"""


def warnings_of(fw, z, labels, name):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        site = compile(CALL.replace("fw.loss", "call"), name, "exec")
        exec(site, {"call": ce.softmax_cross_entropy, "z": fw.own(z), "labels": fw.own(labels)})
    return [w for w in caught if issubclass(w.category, UserWarning)]


@each_framework
def test_logits_that_are_probabilities_are_warned_of_once_per_call_site(fw):
    p = np.random.default_rng(0).dirichlet(np.ones(7), size=5)
    caught = warnings_of(fw, p, batch()[1], f"{fw.name}_probabilities.py")
    assert len(caught) == 2
    assert [w.lineno for w in caught] == [3, 4]
    assert {w.filename for w in caught} == {f"{fw.name}_probabilities.py"}
    assert "probabilit" in str(caught[0].message)


@pytest.mark.parametrize("spoil", [lambda p: p[0] * 1.1, lambda p: np.log(p[0])], ids=["sum", "sign"])
@each_framework
def test_logits_with_one_row_that_is_no_distribution_are_not_warned_of(fw, spoil):
    p = np.random.default_rng(0).dirichlet(np.ones(7), size=5)
    p[0] = spoil(p)
    assert not warnings_of(fw, p, batch()[1], f"{fw.name}_logits.py")


# ------------------------------------------------------------------------------- options that clash


@pytest.mark.parametrize("normalizer", ["count", 3.0])
@pytest.mark.parametrize("reduction", ["sum", "none"])
@each_framework
def test_sums_and_rows_refuse_a_normalizer(fw, reduction, normalizer):
    with pytest.raises(ValueError, match="normalizer"):
        fw.loss(*batch(), reduction=reduction, normalizer=normalizer)


@pytest.mark.parametrize("name", ["sample_weight", "class_weight"])
@each_framework
def test_a_weighted_mean_refuses_negative_weights_and_names_the_count(fw, name):
    z, labels = batch()
    weights = np.ones(5 if name == "sample_weight" else 7)
    weights[labels[1] if name == "class_weight" else 1] = -1.0
    with pytest.raises(ValueError, match="count"):
        fw.loss(z, labels, **{name: weights})
    assert np.isfinite(fw.loss(z, labels, normalizer="count", **{name: weights}))


@pytest.mark.parametrize("option", ["class_weight", "label_smoothing"])
@each_framework
def test_label_sets_refuse_class_weights_and_smoothing(fw, option):
    z, labels = batch()
    target = fw.target("LabelSet", np.eye(7, dtype=bool)[labels])
    with pytest.raises(ValueError, match=option):
        fw.loss(z, target, **{option: np.ones(7) if option == "class_weight" else 0.1})


@each_framework
def test_dense_probabilities_refuse_a_margin(fw):
    z, labels = batch()
    with pytest.raises(ValueError, match="margin"):
        fw.loss(z, np.eye(7)[labels], margin=0.3)


@pytest.mark.parametrize("option", ["reduction", "normalizer", "empty"])
@each_framework
def test_an_unknown_word_is_refused_with_the_known_ones(fw, option):
    known = {"reduction": "mean", "normalizer": "count", "empty": "zero"}[option]
    with pytest.raises(ValueError, match=known):
        fw.loss(*batch(), **{option: "average"})


# -------------------------------------------------------------------------------------------- dtypes


@each_framework
def test_integer_logits_are_refused(fw):
    with pytest.raises(TypeError, match="int64"):
        fw.loss(np.array([[1, 2], [3, 4]]), np.array([0, 1]))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@each_dtype
def test_a_loss_is_never_narrower_than_float32_and_its_gradient_is_like_the_logits(fw, dtype, reduction):
    z, labels = batch()
    logits = fw.array(z, dtype)
    value = ce.softmax_cross_entropy(logits, fw.own(labels), reduction=reduction)
    assert fw.dtype(value) == loss_dtype(dtype)
    if fw.name == "numpy":
        value, gradient = ce.loss_and_gradient(ce.softmax_cross_entropy, logits, labels, reduction=reduction)
        assert fw.dtype(value) == loss_dtype(dtype)
        assert fw.dtype(gradient) == dtype


def test_a_mean_of_half_precision_losses_does_not_overflow():
    z = np.zeros((70_000, 6), dtype=np.float16)
    z[:, 0] = 10.0
    loss = ce.softmax_cross_entropy(z, np.ones(70_000, dtype=np.int64))
    np.testing.assert_allclose(loss, np.log(np.exp(10.0) + 5), rtol=1e-6)


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="a long double of 64 bits")
def test_losses_of_wider_logits_are_float64():
    z, labels = batch()
    value = ce.softmax_cross_entropy(z.astype(np.longdouble), labels)
    assert value.dtype == np.float64
    np.testing.assert_allclose(value, ce.softmax_cross_entropy(z, labels), rtol=1e-14)


# ---------------------------------------------------------------------------------- what rows may hold


@pytest.mark.parametrize("form", ["LabelSet", "OneHot"])
@each_framework
def test_a_row_that_names_no_class_is_refused_unless_it_weighs_nothing(fw, form):
    z, labels = batch()
    hot = np.eye(7, dtype=bool)[labels]
    hot[3] = False
    target = fw.target(form, hot)
    with pytest.raises(ValueError, match="row 3 of"):
        fw.loss(z, target)
    weight = np.array([1.0, 1.0, 1.0, 0.0, 1.0])
    got = fw.loss_and_gradient(z, target, sample_weight=weight)
    for x, expected in zip(got, fw.loss_and_gradient(z, labels, sample_weight=weight), strict=True):
        np.testing.assert_allclose(x, expected, rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan])
@each_framework
def test_a_temperature_that_is_not_positive_is_refused(fw, bad):
    z, labels = batch()
    with pytest.raises(ValueError, match="temperature"):
        fw.loss(z, labels, temperature=bad)
    with pytest.raises(ValueError, match="temperature of row 2 is"):
        fw.loss(z, labels, temperature=np.array([1.0, 1.0, bad, 1.0, 1.0]))


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, np.array])
@each_framework
def test_one_number_of_numpy_is_a_number_to_every_library(fw, kind):
    z, labels = batch()
    z, labels = fw.own(z), fw.own(labels)
    got = ce.softmax_cross_entropy(z, labels, temperature=kind(2), margin=kind(1))
    expected = ce.softmax_cross_entropy(z, labels, temperature=2.0, margin=1.0)
    assert float(got) == float(expected)


@each_framework
def test_a_row_left_out_for_one_of_its_labels_may_have_any_others(fw):
    logits = np.array([[0.5, -1.0, 2.0], [1.0, 0.0, -1.0]])
    labels = fw.target("Sparse", np.array([[-1, 9], [0, 2]]), np.array([[0.5, 0.5], [0.25, 0.75]]))
    value, gradient = fw.loss_and_gradient(fw.array(logits), labels, ignore_index=-1, reduction="sum")
    shifted = logits[1] - np.log(np.exp(logits[1]).sum())
    assert float(value) == pytest.approx(-0.25 * shifted[0] - 0.75 * shifted[2], rel=1e-6)
    assert gradient[0].tolist() == [0.0, 0.0, 0.0]
