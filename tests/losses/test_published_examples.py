"""Examples that others have published, by their numbers.

Each number is a literal of the source that is named, and each is computed a second time by the plain
formulas of `catalogue/`, so that a number copied wrongly fails by itself.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logit

import crossentropy as ce
from losses.catalogue import core, multilabel, ordinal, plain, robust
from losses.catalogue.libraries import Library

losses = ce.losses
F32 = 1e-6  # the digits of a float32 that was printed in full


@pytest.fixture(params=["numpy", "torch"])
def fw(request):
    """The library that an example's numbers are put into."""
    return Library(request.param)


def both(fw, found, formula, published, relative=F32, absolute=0.0):
    """Ours is the formula's, to the last digits, and the published one to those it has."""
    np.testing.assert_allclose(fw.numpy(found), formula, rtol=1e-12)
    np.testing.assert_allclose(formula, published, rtol=relative, atol=absolute)


def arrays(fw, *values):
    return [fw.array(np.asarray(value)) for value in values]


# ---------------------------------------------------------------------------------- TensorFlow and Keras


def test_tensorflow_softmax_cross_entropy_with_logits(fw):
    """https://www.tensorflow.org/api_docs/python/tf/nn/softmax_cross_entropy_with_logits"""
    z, t = np.array([[4.0, 2.0, 1.0], [0.0, 5.0, 1.0]]), np.array([[1.0, 0.0, 0.0], [0.0, 0.8, 0.2]])
    found = ce.softmax_cross_entropy(*arrays(fw, z, t), reduction="none")
    both(fw, found, core.soft(z, t), [0.16984604, 0.82474494])


def test_tensorflow_sparse_softmax_cross_entropy_with_logits(fw):
    """https://www.tensorflow.org/api_docs/python/tf/nn/sparse_softmax_cross_entropy_with_logits"""
    z = np.array([[2.0, -5.0, 0.5, -0.1], [0.0, 0.0, 1.9, 1.4], [-100.0, 100.0, -100.0, -100.0]])
    y = np.array([0, 3, 1])
    found = ce.softmax_cross_entropy(*arrays(fw, z, y), reduction="none")
    both(fw, found, core.cross_entropy(z, y), [0.29750752, 1.1448325, 0.0], absolute=1e-80)


def test_tensorflow_sigmoid_cross_entropy_with_logits(fw):
    """https://www.tensorflow.org/api_docs/python/tf/nn/sigmoid_cross_entropy_with_logits"""
    z = np.array([1.0, -1.0, 0.0, 1.0, -1.0, 0.0, 0.0])
    t = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.5])
    found = ce.sigmoid_cross_entropy(*arrays(fw, z, t), reduction="none")
    expected = [1.3132617, 0.3132617, 0.6931472, 0.3132617, 1.3132617, 0.6931472, 0.6931472]
    both(fw, found, plain.bce(z, t), expected)


@pytest.mark.parametrize(
    ("pos_weight", "expected"),
    [
        (1.5, [3.0211994e-01, 8.8049585e-01, 4.5776367e-05]),
        (0.5, [1.00706644e-01, 5.08297503e-01, 4.57763672e-05]),
    ],
)
def test_tensorflow_weighted_cross_entropy_with_logits(fw, pos_weight, expected):
    """https://www.tensorflow.org/api_docs/python/tf/nn/weighted_cross_entropy_with_logits

    Its log(1 + e⁻¹⁰) was formed in float32 after the sum, so the last number is off by 4e-7.
    """
    z, t = np.array([1.5, -0.1, -10.0]), np.array([1.0, 0.5, 0.0])
    found = ce.sigmoid_cross_entropy(*arrays(fw, z, t), pos_weight=pos_weight, reduction="none")
    formula = core.binary_weighted(z, t, pos_weight, 1.0, 0.0)
    both(fw, found, formula, expected, absolute=4e-7)


def test_keras_binary_crossentropy(fw):
    """https://keras.io/api/losses/probabilistic_losses/: from_logits=True, one row and two."""
    z, y = np.array([-18.6, 0.51, 2.94, -12.8]), np.array([0, 1, 0, 0])
    found = ce.sigmoid_cross_entropy(*arrays(fw, z, y))
    both(fw, found, np.mean(plain.bce(z, y)), 0.865458, 1e-5)


def test_keras_binary_focal_crossentropy(fw):
    """https://keras.io/api/losses/probabilistic_losses/: gamma=2, no class balancing."""
    z, y = np.array([-18.6, 0.51, 2.94, -12.8]), np.array([0, 1, 0, 0])
    found = losses.sigmoid_focal_loss(*arrays(fw, z, y), alpha=None)
    both(fw, found, np.mean(multilabel.sigmoid_focal(z, y, None)), 0.691, absolute=5e-4)


def test_keras_categorical_crossentropy(fw):
    """https://keras.io/api/losses/probabilistic_losses/: 1.177, weighted 0.814, by row [0.0513, 2.303].

    A weighted mean of Keras's divides by the number of rows.
    """
    p, y = np.array([[0.05, 0.95, 0.0], [0.1, 0.8, 0.1]]), np.array([1, 2])
    weights = np.array([0.3, 0.7])
    P, Y, W = arrays(fw, p, y, weights)
    rows = core.from_probabilities(p, y)
    both(fw, ce.log_loss(P, Y), np.mean(rows), 1.177, absolute=5e-4)
    both(fw, ce.log_loss(P, Y, reduction="none"), rows, [0.0513, 2.303], absolute=5e-4)
    with np.errstate(divide="ignore"):
        z = np.log(p)
    (Z,) = arrays(fw, z)
    both(
        fw,
        ce.softmax_cross_entropy(Z, Y, sample_weight=W, normalizer="count"),
        np.mean(weights * rows),
        0.814,
        absolute=5e-4,
    )


def test_keras_categorical_focal_crossentropy(fw):
    """https://keras.io/api/losses/probabilistic_losses/: alpha=0.25 is a factor of every class there."""
    with np.errstate(divide="ignore"):
        z = np.log([[0.05, 0.95, 0.0], [0.1, 0.8, 0.1]])
    y = np.array([1, 2])
    found = losses.focal_loss(*arrays(fw, z, y), reduction="none")
    both(fw, 0.25 * found, 0.25 * robust.focal(z, y), [3.2058331e-05, 4.6627346e-01])


def test_tensorflow_addons_sigmoid_focal_crossentropy(fw):
    """tfa.losses.SigmoidFocalCrossEntropy's docstring, alpha=0.25 and gamma=2 by default as ours.

    From probabilities in float32, where 1 − 0.97 has an error of 1e-6 of itself, three times in the product.
    """
    z, y = logit(np.array([0.97, 0.91, 0.03])), np.array([1, 1, 0])
    found = losses.sigmoid_focal_loss(*arrays(fw, z, y), reduction="none")
    both(fw, found, multilabel.sigmoid_focal(z, y), [6.8532745e-06, 1.9097870e-04, 2.0559824e-05], 1e-5)


# -------------------------------------------------------------------------------------- scikit-learn


def test_scikit_learn_log_loss(fw):
    """https://scikit-learn.org/stable/modules/generated/sklearn.metrics.log_loss.html: 0.21616"""
    p, y = np.array([[0.1, 0.9], [0.9, 0.1], [0.8, 0.2], [0.35, 0.65]]), np.array([1, 0, 0, 1])
    both(fw, ce.log_loss(*arrays(fw, p, y)), np.mean(core.from_probabilities(p, y)), 0.21616, 3e-5)


def test_scikit_learn_hinge_loss(fw):
    """https://scikit-learn.org/stable/modules/generated/sklearn.metrics.hinge_loss.html: 0.56, of 3 classes.

    Its decisions are those of a fitted model, printed nowhere; the two-class example's are: 0.30.
    """
    decisions = np.array([-2.18, 2.36, 0.09])
    z = np.stack([np.zeros(3), decisions], axis=1)
    y = np.array([0, 1, 1])
    found = losses.hinge_loss(*arrays(fw, z, y))
    both(fw, found, np.mean(np.maximum(0, 1 - np.where(y == 1, 1, -1) * decisions)), 0.30, absolute=5e-3)


# --------------------------------------------------------------------------------------------- papers


BI_TEMPERED = np.array([[-0.5, 0.1, 2.0], [0.1, 1.5, -5.0], [4.0, -3.0, -6.0]])


def test_the_bi_tempered_authors_smoothed_loss(fw):
    """google-research/bitempered_loss, loss_test.py, test_label_smoothing: to 1e-5, by five iterations."""
    y = np.arange(3)
    found = losses.bi_tempered_loss(
        *arrays(fw, BI_TEMPERED, y), t1=0.5, t2=1.5, label_smoothing=0.1, reduction="none"
    )
    formula = robust.bi_tempered(BI_TEMPERED, y, 0.5, 1.5, 0.1)
    both(fw, found, formula, [0.76652711, 0.08627685, 1.35443510], absolute=1e-5)


@pytest.mark.parametrize(
    ("t1", "t2", "expected"),
    [
        (0.5, 1.5, [0.02301914, 0.18972909, 0.93874922]),
        (0.5, 0.8, [0.21646356, 0.41836615, 1.33997854]),
    ],
)
def test_the_bi_tempered_authors_loss(fw, t1, t2, expected):
    """The same file, test_loss_value: soft labels."""
    t = np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1], [0.2, 0.8, 0.0]])
    found = losses.bi_tempered_loss(*arrays(fw, BI_TEMPERED, t), t1=t1, t2=t2, reduction="none")
    both(fw, found, robust.bi_tempered(BI_TEMPERED, t, t1, t2), expected, absolute=1e-5)


@pytest.mark.parametrize(("t1", "t2", "expected"), [(0.9, 1.1, 0.45677936), (0.7, 1.3, 0.26295574)])
def test_the_bi_tempered_authors_changing_temperatures(fw, t1, t2, expected):
    """The same file, test_dynamic_temperatures; at t1 = t2 = 1 theirs is the cross-entropy, ours less H(q)."""
    z, t = np.array([[-0.5, 0.1, 2.0]]), np.array([[0.2, 0.5, 0.3]])
    found = losses.bi_tempered_loss(*arrays(fw, z, t), t1=t1, t2=t2)
    both(fw, found, robust.bi_tempered(z, t, t1, t2)[0], expected, absolute=1e-5)


def test_the_bi_tempered_authors_probabilities():
    """The same file, test_tempered_softmax at t = 4: five iterations, after which their rows sum to 1.002."""
    expected = [
        [0.3205458, 0.32714278, 0.3523402],
        [0.3430056, 0.36491093, 0.29220778],
        [0.41369352, 0.30534995, 0.28299212],
    ]
    np.testing.assert_allclose(robust.tempered_softmax(BI_TEMPERED, 4.0).astype(float), expected, rtol=4e-3)


def test_class_balanced_weights_of_a_class_of_one_and_of_a_crowd(fw):
    """Cui et al., CVPR 2019, section 4: E₁ = 1, and E_n → 1/(1 − β) = N, so the ratio is at most N."""
    (counts,) = arrays(fw, np.array([1.0, 1e9]))
    weights = fw.numpy(losses.class_balanced_weights(counts, rebalancing=0.999))
    np.testing.assert_allclose(weights[0] / weights[1], 1000, rtol=1e-9)


# ------------------------------------------------------------------------------------- coral-pytorch


CORAL = np.array([[2.1, 1.8, -2.1, -1.8], [1.9, -1.0, -1.5, -1.3], [1.9, 1.8, 1.7, 1.6]])
CORAL_LABELS = np.array([2, 1, 4])


def test_coral_pytorch_coral_loss(fw):
    """coral_pytorch.losses.coral_loss's docstring: 0.6920."""
    found = losses.coral_loss(*arrays(fw, CORAL, CORAL_LABELS))
    formula = np.mean(np.sum(plain.bce(CORAL, ordinal.levels(CORAL_LABELS, 4)), axis=1))
    both(fw, found, formula, 0.6920, absolute=5e-5)


def test_coral_pytorch_corn_loss():
    """coral_pytorch.losses.corn_loss's docstring: 0.7127, of PyTorch's own random numbers."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(123)
    X, labels = torch.rand(8, 99), torch.tensor([0, 1, 2, 2, 2, 3, 4, 4])
    found = losses.corn_loss(torch.nn.Linear(99, 4)(X), labels)
    assert found.item() == pytest.approx(0.7127, abs=5e-5)


def test_coral_pytorch_predicts_the_same_ranks():
    """coral_pytorch.dataset.corn_label_from_logits's docstring: labels 1 and 3 by their cumulative products."""
    z = np.array([[14.152, -6.1942, 0.47710, 0.96850], [65.667, 0.303, 11.500, -4.524]])
    classes = losses.corn_probabilities(z)
    above = 1 - np.cumsum(classes, axis=-1)[:, :-1]
    assert np.sum(above > 0.5, axis=-1).tolist() == [1, 3]
