"""The statistics of rows in TensorFlow: traced and compiled, of every kind of row, with two derivatives.

`tests/keras/test_backends.py` runs this file, in a process of its own: Triton cannot be loaded after TensorFlow.
"""

from __future__ import annotations

import numpy as np
import pytest

import crossentropy as ce
from sampling import named, sampled

tf = pytest.importorskip("tensorflow")

INF, NAN = np.inf, np.nan
ROWS = {
    "usual": ([1.0, -2.0, 0.5], 0),
    "certain": ([80.0, -3.0, 2.0], 0),
    "far from the label": ([1e4, -1e4, 3.0], 1),
    "large and near": ([1e6, 1e6 - 0.5, 1e6 - 2], 2),
    "a class is masked": ([1.0, -INF, 0.5], 0),
    "the label is masked": ([1.0, -INF, 0.5], 1),
    "all others are masked": ([-INF, 2.0, -INF], 1),
    "all are masked": ([-INF, -INF, -INF], 1),
    "NaN at the label": ([1.0, NAN, 0.5], 1),
    "NaN beside the label": ([1.0, NAN, 0.5], 2),
    "infinite at the label": ([1.0, INF, 0.5], 1),
    "infinite beside the label": ([1.0, INF, 0.5], 2),
    "label outside": ([1.0, 2.0, 0.5], 3),
    "label far outside": ([1.0, 2.0, 0.5], -7),
    "ignored": ([1.0, 2.0, 0.5], -1),
    "ignored, of NaN": ([NAN, 2.0, 0.5], -1),
}
LOGITS = np.array([z for z, _ in ROWS.values()])
LABELS = np.array([y for _, y in ROWS.values()])
OPTIONS = {
    "plain": {},
    "ignored": {"ignore_index": -1},
    "weighed": {"ignore_index": -1, "sample_weight": np.arange(len(ROWS)) % 2.0},
    "focal": {"ignore_index": -1, "link": ce.links.Focal(2.0)},
    "smoothed": {"ignore_index": -1, "label_smoothing": 0.1},
    "smoothed to a prior": {
        "label_smoothing": 0.1,
        "smoothing_prior": [0.5, 0.5, 0.0],
        "class_weight": [1.0, 2.0, 0.5],
    },
}


def both(logits, labels, options):
    """Each row's loss, and the gradient of their sum."""
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = ce.softmax_cross_entropy(logits, labels, reduction="none", validate="none", **options)
    return loss, tape.gradient(loss, logits)


def assert_as_by_the_kernels(logits, target, options, jit_compile):
    def of_numpy(z, **more):
        return ce.softmax_cross_entropy(z, target, validate="none", **options, **more)

    losses = of_numpy(logits, reduction="none")
    _, gradient = ce.loss_and_gradient(lambda z: of_numpy(z, reduction="sum"), logits)
    function = tf.function(lambda z, t: both(z, t, options), jit_compile=jit_compile)
    found, slopes = function(tf.constant(logits), tf.constant(target))
    rtol = 1e-14 if logits.dtype == np.float64 else 1e-6
    np.testing.assert_allclose(found, losses, rtol=rtol, atol=1e-300)
    np.testing.assert_allclose(slopes, gradient, rtol=rtol, atol=rtol * 1e-1)


@sampled(
    {
        "jit_compile": named([False, True], ["traced", "compiled"]),
        "options": named(OPTIONS.values(), OPTIONS),
        "dtype": ["float64", "float32"],
    }
)
def test_every_kind_of_row_has_the_loss_and_the_gradient_of_the_kernels(dtype, options, jit_compile):
    assert_as_by_the_kernels(LOGITS.astype(dtype), LABELS, options, jit_compile)


SOFT = {
    "usual": ([1.0, -2.0, 0.5], [0.2, 0.3, 0.5]),
    "certain and right": ([40.0, 0.0, 2.0], [1.0, 0.0, 0.0]),
    "certain and wrong": ([40.0, 0.0, 2.0], [0.0, 1.0, 0.0]),
    "nearly all the mass is at the top": ([30.0, 0.0, 2.0], [0.75, 0.25, 0.0]),
    "equal logits": ([3.0, 3.0, 1.0], [0.5, 0.25, 0.25]),
    "a class without mass is masked": ([1.0, -INF, 0.5], [0.5, 0.0, 0.5]),
    "a class with mass is masked": ([1.0, -INF, 0.5], [0.5, 0.5, 0.0]),
    "large": ([1e6, 1e6 - 0.5, 1e6 - 2], [0.25, 0.25, 0.5]),
    "NaN": ([1.0, NAN, 0.5], [0.5, 0.0, 0.5]),
    "infinite": ([1.0, INF, 0.5], [0.5, 0.0, 0.5]),
    "all are masked": ([-INF, -INF, -INF], [0.5, 0.0, 0.5]),
}


@sampled(
    {
        "jit_compile": named([False, True], ["traced", "compiled"]),
        "options": named([{}, {"class_weight": [1.0, 2.0, 0.5]}], ["plain", "weights"]),
        "dtype": ["float64", "float32"],
    }
)
def test_every_kind_of_row_of_soft_targets_has_the_loss_and_the_gradient_of_the_kernels(
    dtype, options, jit_compile
):
    logits, targets = (np.array(x, dtype) for x in zip(*SOFT.values(), strict=True))
    assert_as_by_the_kernels(logits, targets, options, jit_compile)


def test_a_confident_row_of_soft_targets_keeps_the_digits_of_its_gradient():
    logits, targets = np.float32([[20.0, 0.0, -1.0]]), np.float32([[1.0, 0.0, 0.0]])
    e = np.exp(logits.astype(np.float64) - 20)
    rest = (e[0, 1] + e[0, 2]) / e.sum()
    found, slope = tf.function(lambda z, t: both(z, t, {}))(tf.constant(logits), tf.constant(targets))
    np.testing.assert_allclose(found, [-np.log1p(-rest)], rtol=1e-6)
    np.testing.assert_allclose(slope, [[-rest, *(e[0, 1:] / e.sum())]], rtol=1e-6)


def test_soft_targets_have_a_gradient_of_their_own():
    rng = np.random.default_rng(4)
    z, w = rng.normal(size=(4, 5)), rng.random(5)
    t = rng.dirichlet(np.ones(5), 4)

    @tf.function
    def slopes(z, t, w):
        with tf.GradientTape() as tape:
            tape.watch([t, w])
            loss = ce.softmax_cross_entropy(z, t, class_weight=w, reduction="sum", validate="none")
        return tape.gradient(loss, [t, w])

    minus_log_p = np.log(np.exp(z).sum(axis=1, keepdims=True)) - z
    by_targets, by_weights = slopes(tf.constant(z), tf.constant(t), tf.constant(w))
    np.testing.assert_allclose(by_targets, w * minus_log_p, rtol=1e-12)
    np.testing.assert_allclose(by_weights, (t * minus_log_p).sum(axis=0), rtol=1e-12)


def test_a_sum_over_many_classes_keeps_its_digits_under_xla():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(4, 100_000)).astype(np.float32), np.arange(4)
    losses = ce.softmax_cross_entropy(logits.astype(np.float64), labels, reduction="none")
    function = tf.function(lambda z, y: both(z, y, {})[0], jit_compile=True)
    np.testing.assert_allclose(function(tf.constant(logits), tf.constant(labels)), losses, rtol=2e-7)


def test_bfloat16_logits_of_images_have_the_float32_loss_of_their_values():
    rng = np.random.default_rng(1)
    logits = tf.constant(rng.normal(size=(2, 5, 3, 4)), tf.bfloat16)
    labels = rng.integers(5, size=(2, 3, 4))
    whole = tf.cast(logits, tf.float64).numpy()
    losses = ce.softmax_cross_entropy(whole, labels, axis=1, reduction="none")
    found, slope = tf.function(lambda z, y: both(z, y, {"axis": 1}))(logits, tf.constant(labels))
    assert found.dtype == tf.float32
    assert slope.dtype == tf.bfloat16
    np.testing.assert_allclose(found, losses, rtol=1e-6)


@sampled({"jit_compile": named([False, True], ["traced", "compiled"]), "form": ["label", "soft"]})
def test_the_second_derivative_is_the_hessian_of_the_softmax(form, jit_compile):
    rng = np.random.default_rng(2)
    z, v = rng.normal(size=(2, 5))
    target = tf.constant([3]) if form == "label" else tf.constant(rng.dirichlet(np.ones(5), 1))

    @tf.function(jit_compile=jit_compile)
    def product(z, v):
        with tf.GradientTape() as outer:
            outer.watch(z)
            with tf.GradientTape() as inner:
                inner.watch(z)
                loss = ce.softmax_cross_entropy(z[None], target)
            first = tf.reduce_sum(inner.gradient(loss, z) * v)
        return outer.gradient(first, z)

    p = np.exp(z) / np.exp(z).sum()
    found = product(tf.constant(z), tf.constant(v))
    np.testing.assert_allclose(found, p * v - p * (p @ v), rtol=1e-10, atol=1e-12)


def test_forward_derivatives_are_those_backwards():
    rng = np.random.default_rng(3)
    z, v = rng.normal(size=(2, 4, 5))
    labels = tf.constant([0, 2, 4, 1])

    @tf.function
    def forwards(z, v):
        with tf.autodiff.ForwardAccumulator(z, v) as accumulator:
            loss = ce.softmax_cross_entropy(z, labels)
        return accumulator.jvp(loss)

    _, gradient = ce.loss_and_gradient(ce.softmax_cross_entropy, z, labels.numpy())
    np.testing.assert_allclose(forwards(tf.constant(z), tf.constant(v)), (gradient * v).sum(), rtol=1e-12)
