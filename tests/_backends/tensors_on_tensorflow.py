"""TensorFlow's tensors in the losses: eager, in a `tf.function` of unknown sizes, and compiled by XLA.

`tests/keras/test_backends.py` runs this file, in a process of its own: Triton cannot be loaded after TensorFlow.
"""

from __future__ import annotations

import numpy as np
import pytest

import crossentropy as ce
from sampling import sampled

tf = pytest.importorskip("tensorflow")

RNG = np.random.default_rng(5)
LOGITS = (3 * RNG.normal(size=(4, 5))).astype(np.float32)
LABELS = np.array([0, 3, 4, 1])
YES_NO = (RNG.random((4, 5)) < 0.5).astype(np.float32)


def value_and_gradient(loss):
    def computed(logits, labels):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = loss(logits, labels)
        return value, tape.gradient(value, logits)

    return computed


def eager(function, logits, labels):
    return function(tf.constant(logits), tf.constant(labels))


def traced(function, logits, labels):
    """With sizes that are unknown while it is traced, but for the number of classes."""
    unknown = [(None,) * x.ndim for x in (logits, labels)]
    unknown[0] = (*unknown[0][:-1], logits.shape[-1])
    signature = [tf.TensorSpec(s, x.dtype) for s, x in zip(unknown, (logits, labels), strict=True)]
    return tf.function(function, input_signature=signature)(tf.constant(logits), tf.constant(labels))


def compiled(function, logits, labels):
    return tf.function(function, jit_compile=True)(tf.constant(logits), tf.constant(labels))


each_mode = pytest.mark.parametrize("mode", [eager, traced, compiled])


def softmax(logits):
    e = np.exp(logits.astype(np.float64))
    return e / e.sum(axis=-1, keepdims=True)


@each_mode
def test_softmax_cross_entropy_is_that_of_the_definition(mode):
    def loss(z, y):
        return ce.softmax_cross_entropy(z, y, label_smoothing=0.1, class_weight=[1.0, 2.0, 1.0, 1.0, 3.0])

    value, gradient = mode(value_and_gradient(loss), LOGITS, LABELS)
    w, p, hot = np.array([1.0, 2, 1, 1, 3]), softmax(LOGITS), np.eye(5)[LABELS]
    a = w * (0.9 * hot + 0.02)
    total = w[LABELS].sum()
    np.testing.assert_allclose(value, -(a * np.log(p)).sum() / total, rtol=1e-6)
    np.testing.assert_allclose(gradient, (a.sum(-1, keepdims=True) * p - a) / total, rtol=1e-5, atol=1e-8)


@each_mode
def test_the_gradient_of_soft_labels_of_any_sum_is_that_of_their_loss(mode):
    """TensorFlow's own is p − a whatever the sum A of a; the derivative is A p − a."""
    a = np.array([[1.0, 2, 3, 0, 0]] * 4, dtype=np.float32)

    def loss(z, y):
        target = ce.targets.Probabilities(y, normalized=False)
        return ce.softmax_cross_entropy(z, target, reduction="sum")

    _, gradient = mode(value_and_gradient(loss), LOGITS, a)
    np.testing.assert_allclose(gradient, 6 * softmax(LOGITS) - a, rtol=1e-5, atol=1e-6)


@each_mode
def test_sigmoid_cross_entropy_is_that_of_the_definition(mode):
    def loss(z, y):
        return ce.sigmoid_cross_entropy(z, y, pos_weight=2.0)

    value, gradient = mode(value_and_gradient(loss), LOGITS, YES_NO)
    p = 1 / (1 + np.exp(-LOGITS.astype(np.float64)))
    np.testing.assert_allclose(
        value, -(2 * YES_NO * np.log(p) + (1 - YES_NO) * np.log(1 - p)).mean(), rtol=1e-6
    )
    np.testing.assert_allclose(gradient, (p * (1 - YES_NO) - 2 * (1 - p) * YES_NO) / 20, rtol=1e-5, atol=1e-8)


@each_mode
def test_target_statistics_are_tensors_of_the_definition(mode):
    def statistics(z, y):
        found = ce.target_statistics(z, y, rank=True, entropy=True)
        return found.log_prob, found.rank, found.argmax, found.entropy, found.logsumexp

    log_prob, rank, argmax, entropy, logsumexp = mode(statistics, LOGITS, LABELS)
    p = softmax(LOGITS)
    np.testing.assert_allclose(log_prob, np.log(p[range(4), LABELS]), rtol=1e-6)
    np.testing.assert_array_equal(rank, (p > p[range(4), LABELS][:, None]).sum(-1))
    np.testing.assert_array_equal(argmax, p.argmax(-1))
    np.testing.assert_allclose(entropy, -(p * np.log(p)).sum(-1), rtol=1e-6)
    np.testing.assert_allclose(logsumexp, np.log(np.exp(LOGITS.astype(float)).sum(-1)), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
def test_the_loss_is_never_narrower_than_float32(dtype):
    value, gradient = eager(value_and_gradient(ce.softmax_cross_entropy), tf.cast(LOGITS, dtype), LABELS)
    assert value.dtype == ("float64" if dtype == "float64" else "float32")
    assert gradient.dtype == dtype


def test_a_confident_row_keeps_its_digits():
    value, gradient = eager(value_and_gradient(ce.softmax_cross_entropy), np.float32([[40, 0]]), [0])
    np.testing.assert_allclose(value, np.exp(-40.0), rtol=1e-6)
    np.testing.assert_allclose(gradient, [[-np.exp(-40.0), np.exp(-40.0)]], rtol=1e-6)


@pytest.mark.parametrize("mode", [traced, compiled])
def test_an_invalid_label_makes_its_row_nan_where_values_are_unknown(mode):
    def loss(z, y):
        return ce.softmax_cross_entropy(z, y, reduction="none")

    value, gradient = mode(value_and_gradient(loss), LOGITS, np.array([0, 7, 1, -1]))
    assert np.isnan(value).tolist() == [False, True, False, True]
    assert np.isnan(gradient).all(-1).tolist() == [False, True, False, True]


def test_an_invalid_label_is_refused_where_its_value_is_known():
    with pytest.raises(ValueError, match=r"label 7 at row 1 is outside \[0, 5\)"):
        ce.softmax_cross_entropy(tf.constant(LOGITS), tf.constant([0, 7, 1, 2]))


def test_second_derivatives_are_those_of_the_softmax():
    z = tf.constant(LOGITS[:1], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(z)
        _, gradient = value_and_gradient(ce.softmax_cross_entropy)(z, LABELS[:1])
    p = softmax(LOGITS[0])
    np.testing.assert_allclose(
        tape.jacobian(gradient, z)[0, :, 0, :], np.diag(p) - np.outer(p, p), rtol=1e-6, atol=1e-12
    )


def test_options_may_be_tensors_and_variables_and_learn():
    temperature = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        loss = ce.softmax_cross_entropy(
            tf.constant(LOGITS), LABELS, temperature=temperature, sample_weight=tf.ones(4)
        )
    h = 1e-4
    high, low = (ce.softmax_cross_entropy(LOGITS.astype(float), LABELS, temperature=2 + d) for d in (h, -h))
    np.testing.assert_allclose(tape.gradient(loss, temperature), (high - low) / (2 * h), rtol=1e-4)


def test_tensors_beside_those_of_another_library_are_refused_with_both_names():
    torch = pytest.importorskip("torch")
    with pytest.raises(
        TypeError, match=r"labels of type torch\.Tensor but logits of type tensorflow\..*EagerTensor"
    ):
        ce.softmax_cross_entropy(tf.constant(LOGITS), torch.tensor(LABELS))
    with pytest.raises(
        TypeError, match=r"labels of type tensorflow\..*EagerTensor but logits of type torch\.Tensor"
    ):
        ce.softmax_cross_entropy(torch.tensor(LOGITS), tf.constant(LABELS))


def test_autograph_leaves_the_losses_as_they_are(caplog):
    @tf.function
    def step(z, y):
        return ce.softmax_cross_entropy(z, y, z_loss=1e-4)

    with caplog.at_level("WARNING", logger="tensorflow"):
        step(tf.constant(LOGITS), tf.constant(LABELS))
    assert "AutoGraph" not in caplog.text


def test_second_derivatives_of_eager_losses_are_those_of_the_softmax():
    """The first is a kernel's, and a tape around it asks for one more."""
    z, y = tf.constant(LOGITS[:1], tf.float64), tf.constant(LABELS[:1])
    with tf.GradientTape() as outer:
        outer.watch(z)
        with tf.GradientTape() as tape:
            tape.watch(z)
            value = ce.softmax_cross_entropy(z, y, reduction="sum")
        slope = tape.gradient(value, z)[0, 1]
    p = softmax(LOGITS[0])
    np.testing.assert_allclose(outer.gradient(slope, z)[0], (np.diag(p) - np.outer(p, p))[1], rtol=1e-6)


def test_forward_derivatives_of_eager_losses_are_slopes_along_the_tangent():
    z, tangent = tf.constant(LOGITS), tf.constant(RNG.normal(size=LOGITS.shape).astype(np.float32))
    with tf.autodiff.ForwardAccumulator(z, tangent) as accumulator:
        value = ce.softmax_cross_entropy(z, tf.constant(LABELS), reduction="none")
    expected = ((softmax(LOGITS) - np.eye(5)[LABELS]) * tangent.numpy()).sum(-1)
    np.testing.assert_allclose(accumulator.jvp(value), expected, rtol=1e-5, atol=1e-6)


def test_a_variable_gets_a_gradient_for_each_row_of_upstream():
    z, upstream = tf.Variable(LOGITS), tf.constant([1.0, 0.0, -2.0, 0.5])
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(upstream * ce.softmax_cross_entropy(z, LABELS, reduction="none"))
    expected = (softmax(LOGITS) - np.eye(5)[LABELS]) * upstream.numpy()[:, None]
    np.testing.assert_allclose(tape.gradient(value, z), expected, rtol=1e-5, atol=1e-7)


def test_a_warning_of_an_eager_loss_points_at_the_line_of_the_caller():
    with pytest.warns(UserWarning, match="probabilities already") as caught:
        ce.softmax_cross_entropy(tf.nn.softmax(tf.constant(LOGITS)), tf.constant(LABELS))
    assert caught[0].filename == __file__


def test_the_jacobian_of_eager_losses_has_a_row_of_gradients_for_each():
    z = tf.constant(LOGITS)
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = ce.softmax_cross_entropy(z, tf.constant(LABELS), reduction="none")
    jacobian = tape.jacobian(value, z).numpy()
    expected = softmax(LOGITS) - np.eye(5)[LABELS]
    np.testing.assert_allclose(jacobian[range(4), range(4)], expected, rtol=1e-5, atol=1e-7)


def softmax_of_two(z, y):
    return ce.softmax_cross_entropy(tf.stack([0 * z, z], -1), y)


def focal(z, y):
    return ce.sigmoid_cross_entropy(z, y, link=ce.links.Focal(2.0))


@sampled(
    {
        "mode": [eager, traced, compiled],
        "loss, first, second": [
            (softmax_of_two, 0.5, 0.25),
            (ce.sigmoid_cross_entropy, 0.5, 0.25),
            (focal, 0.298287, 0.399143),
        ],
    }
)
def test_equal_logits_have_both_derivatives_of_the_definition(mode, loss, first, second):
    # A last layer that starts at zero has no other logits, and formulas with |z| have a kink there.
    def derivatives(z, y):
        with tf.GradientTape() as outer:
            outer.watch(z)
            with tf.GradientTape() as inner:
                inner.watch(z)
                value = loss(z, y) * 2.0
            slope = inner.gradient(value, z)
        return slope, outer.gradient(slope, z)

    found = mode(derivatives, np.zeros(2, np.float32), np.zeros(2, np.int64))
    np.testing.assert_allclose(found, [[first, first], [second, second]], rtol=1e-5)
