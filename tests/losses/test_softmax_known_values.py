"""Values anyone can check by hand, and cross-entropy seen from its four sides."""

import math

import numpy as np
import pytest

import crossentropy as ce
from frameworks import each_framework

LOGITS = np.array([[2.0, 1.0, -1.0], [0.0, 2.0, -2.0], [1.0, 1.0, -1.0], [0.0, 1.0, 0.0]])
LABELS = np.array([0, 1, 2, 1])


@each_framework
def test_the_mean_of_four_rows_of_three_classes(fw):
    assert fw.loss(LOGITS, LABELS) == pytest.approx(0.9505031, abs=5e-8)


@each_framework
def test_equal_logits_cost_the_logarithm_of_the_number_of_classes(fw):
    np.testing.assert_allclose(
        fw.loss(np.zeros((3, 7)), np.array([0, 3, 6]), reduction="none"), math.log(7), rtol=1e-15
    )


@each_framework
def test_the_gradient_is_probability_minus_label(fw):
    _, gradient = fw.loss_and_gradient(np.array([[math.log(2), 0.0, 0.0]]), np.array([1]))
    np.testing.assert_allclose(gradient, [[0.5, -0.75, 0.25]], rtol=1e-15)


@each_framework
def test_a_focal_loss_of_gamma_two_at_one_half_is_a_quarter_of_a_bit(fw):
    loss = fw.loss(np.zeros((1, 2)), np.array([0]), link=ce.links.Focal(gamma=2.0))
    np.testing.assert_allclose(loss, math.log(2) / 4, rtol=1e-15)


@each_framework
def test_label_smoothing_leaves_the_entropy_of_the_smoothed_label_as_the_least_loss(fw):
    q = np.array([0.9 + 0.1 / 3, 0.1 / 3, 0.1 / 3])
    value, gradient = fw.loss_and_gradient(np.log(q)[None], np.array([0]), label_smoothing=0.1)
    np.testing.assert_allclose(value, -(q * np.log(q)).sum(), rtol=1e-14)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-15)


@each_framework
def test_pytorch_users_weighted_mean_of_labels_is_a_weighted_mean(fw):
    z, weights = np.array([[1.0, 0.0, -1.0], [0.5, 1.5, 0.0]]), np.array([1.0, 10.0, 1.0])
    losses = fw.loss(z, np.array([0, 1]), reduction="none")
    mean = fw.loss(z, np.array([0, 1]), class_weight=weights)
    np.testing.assert_allclose(mean, np.average(losses, weights=[1, 10]), rtol=1e-15)


@pytest.mark.parametrize(("p", "loss"), [(0.99, 0.0100503), (0.2, 1.6094379), (0.5, math.log(2))])
@each_framework
def test_one_dimensional_probabilities_are_those_of_label_one(fw, p, loss):
    value = ce.log_loss(fw.own(np.array([p, p])), fw.own(np.array([1, 1])))
    assert float(value) == pytest.approx(loss, abs=5e-8)
    value = ce.log_loss(fw.own(np.array([p])), fw.own(np.array([0])))
    assert float(value) == pytest.approx(-math.log1p(-p), rel=1e-14)


THREE = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.2, 0.7]])


@each_framework
def test_log_loss_of_three_classes(fw):
    p, labels = fw.own(THREE), fw.own(np.array([0, 1, 2]))
    losses = fw.numpy(ce.log_loss(p, labels, reduction="none"))
    np.testing.assert_allclose(losses, [0.2231436, 0.3566749, 0.3566749], atol=5e-8)
    assert float(ce.log_loss(p, labels, reduction="sum")) == pytest.approx(0.9364934, abs=5e-8)
    assert float(ce.log_loss(p, labels)) == pytest.approx(-math.log(0.8 * 0.7 * 0.7) / 3, rel=1e-15)


@each_framework
def test_log_loss_of_log_probabilities_is_minus_the_labels_entry(fw):
    labels = fw.own(np.array([0, 1, 2]))
    losses = ce.log_loss(None, labels, log_probabilities=fw.own(np.log(THREE)), reduction="none")
    np.testing.assert_array_equal(fw.numpy(losses), -np.log([0.8, 0.7, 0.7]))


@each_framework
def test_log_loss_takes_sample_and_class_weights(fw):
    p, labels = fw.own(THREE), fw.own(np.array([0, 1, 2]))
    losses = -np.log([0.8, 0.7, 0.7])
    sample, classes = np.array([1.0, 2.0, 0.0]), np.array([3.0, 1.0, 1.0])
    weighted = ce.log_loss(p, labels, sample_weight=fw.own(sample), class_weight=fw.own(classes))
    np.testing.assert_allclose(float(weighted), np.average(losses, weights=sample * classes), rtol=1e-15)
    counted = ce.log_loss(p, labels, sample_weight=fw.own(sample), normalizer="count")
    np.testing.assert_allclose(float(counted), (losses * sample).sum() / 3, rtol=1e-15)


@each_framework
def test_log_loss_of_an_impossible_event_is_infinite_and_of_a_certain_one_zero(fw):
    p = fw.own(np.array([[1.0, 0.0], [1.0, 0.0]]))
    losses = fw.numpy(ce.log_loss(p, fw.own(np.array([0, 1])), reduction="none"))
    np.testing.assert_array_equal(losses, [0.0, np.inf])


@each_framework
def test_log_loss_of_softmax_probabilities_is_softmax_cross_entropy(fw):
    p = np.exp(LOGITS - np.log(np.exp(LOGITS).sum(axis=1, keepdims=True)))
    value = ce.log_loss(fw.own(p), fw.own(LABELS))
    np.testing.assert_allclose(float(value), fw.loss(LOGITS, LABELS), rtol=1e-14)


@each_framework
def test_four_sides_of_one_quantity(fw):
    """Training loss = entropy + divergence = bits of a code × ln 2 = score of a forecast."""
    counts = np.array([5, 3, 2])
    p = counts / 10
    logits = np.array([0.3, -1.2, 0.8])
    q = np.exp(logits) / np.exp(logits).sum()

    training = float(fw.loss(logits[None], p[None]))
    information = float(ce.entropy(fw.own(p))) + float(ce.kl_divergence(fw.own(p), fw.own(q)))
    coding = float(ce.cross_entropy(fw.own(p), fw.own(q), base=2)) * math.log(2)
    events = np.repeat(np.arange(3), counts)
    score = float(ce.log_loss(fw.own(np.tile(q, (10, 1))), fw.own(events)))

    by_hand = -(p * np.log(q)).sum()
    np.testing.assert_allclose([training, information, coding, score], by_hand, rtol=1e-14)


@each_framework
def test_bits_are_nats_over_the_logarithm_of_two(fw):
    p, q = fw.own(np.array([0.5, 0.25, 0.25])), fw.own(np.array([0.25, 0.25, 0.5]))
    assert float(ce.entropy(p, base=2)) == pytest.approx(1.5, rel=1e-15)
    assert float(ce.cross_entropy(p, q, base=2)) == pytest.approx(1.75, rel=1e-15)
    for quantity in (ce.cross_entropy, ce.kl_divergence):
        assert float(quantity(p, q, base=2)) * math.log(2) == pytest.approx(float(quantity(p, q)), rel=1e-15)
    nats = fw.loss(LOGITS, LABELS)
    p = fw.own(np.eye(3)[LABELS])
    q = fw.own(np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True))
    bits = fw.numpy(ce.cross_entropy(p, q, base=2)).mean()
    np.testing.assert_allclose(bits * math.log(2), nats, rtol=1e-14)
