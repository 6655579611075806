"""The gradient by the logits is the same by every way: kernels, PyTorch's composition and transforms, and JAX."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

import crossentropy as ce
from frameworks import JAX

torch = pytest.importorskip("torch")

INF, NAN = float("inf"), float("nan")
FORMS = (ce.targets.LabelSet, ce.targets.Probabilities, ce.targets.Sparse)


def own(x, convert):
    """`x` with its arrays converted, those of a form of labels too."""
    if isinstance(x, FORMS):
        return type(x)(**{f.name: own(getattr(x, f.name), convert) for f in dataclasses.fields(x)})
    return convert(x) if isinstance(x, np.ndarray) else x


def tensor(x):
    return torch.from_numpy(x.copy())


def summed(loss, convert, *arguments, **options):
    """The sum of a loss as a function of its logits."""
    arguments = [own(x, convert) for x in arguments]
    options = {name: own(x, convert) for name, x in options.items()}
    return lambda z: loss(z, *arguments, **options).sum()


def by_numpy(loss, z, *arguments, **options):
    return ce.loss_and_gradient(summed(loss, lambda x: x, *arguments, **options), z)[1]


def by_torch(loss, z, *arguments, **options):
    z = tensor(z).requires_grad_()
    return torch.autograd.grad(summed(loss, tensor, *arguments, **options)(z), z)[0].numpy()


def by_composition(loss, z, *arguments, **options):
    return torch.func.vmap(torch.func.grad(summed(loss, tensor, *arguments, **options)))(tensor(z)[None])[
        0
    ].numpy()


def by_jax(loss, z, *arguments, **options):
    fw = JAX()
    with fw.wide():
        f = summed(loss, fw.jax.numpy.asarray, *arguments, **options)
        return fw.numpy(fw.jax.grad(f)(fw.own(z)))


every_way = pytest.mark.parametrize("gradient", [by_numpy, by_torch, by_composition, by_jax])


@every_way
@pytest.mark.parametrize("t", [1.5, 2.0, 3.0])
def test_an_impossible_label_has_the_large_finite_gradient_of_tsallis_over_one(gradient, t):
    options = {"link": ce.links.Tsallis(t), "reduction": "sum"}
    impossible, unlikely = np.array([[-INF, 0.0, 0.0]]), np.array([[-1e5, 0.0, 0.0]])
    found = gradient(ce.softmax_cross_entropy, impossible, np.array([0]), **options)
    expected = gradient(ce.softmax_cross_entropy, unlikely, np.array([0]), **options)
    assert found[0, 1] > 1e300
    np.testing.assert_allclose(found, expected, rtol=1e-12)


# --------------------------------------------------------------------------------------- normalized cross-entropy

IMPOSSIBLE = np.array([[0.0, -INF, 1.0], [0.0, 1.0, 2.0]])
LOG_P = IMPOSSIBLE[1] - np.log(np.exp(IMPOSSIBLE[1]).sum())
SHARES = np.array(
    [[0.0, 1.0, 0.0], LOG_P / LOG_P.sum()]
)  # of each label: a loss of soft labels is their mean


@pytest.mark.parametrize("gradient", [by_numpy, by_torch, by_composition, by_jax])
def test_normalized_cross_entropy_is_linear_in_soft_labels_at_impossible_classes_too(gradient):
    soft = np.array([[0.5, 0.2, 0.3], [0.2, 0.3, 0.5]])
    loss = lambda t, z: ce.losses.normalized_cross_entropy(z, t, reduction="none")  # noqa: E731
    np.testing.assert_allclose(loss(soft, IMPOSSIBLE), (soft * SHARES).sum(axis=1), rtol=1e-14)
    np.testing.assert_allclose(gradient(loss, soft, IMPOSSIBLE), SHARES, rtol=1e-12)


def test_normalized_cross_entropy_of_sparse_labels_is_the_mean_of_the_labels_shares():
    indices, weights = np.array([[0, 1], [1, 2]]), np.array([[0.25, 0.75], [0.5, 0.5]])
    target = ce.targets.Sparse(indices, weights)
    found = ce.losses.normalized_cross_entropy(IMPOSSIBLE, target, reduction="none")
    np.testing.assert_allclose(found, [0.75, 0.5 * (SHARES[1, 1] + SHARES[1, 2])], rtol=1e-14)


def test_a_weight_of_zero_of_a_normalized_cross_entropy_has_the_loss_as_its_gradient():
    loss = lambda w: ce.losses.normalized_cross_entropy(  # noqa: E731
        IMPOSSIBLE, np.array([2, 2]), sample_weight=w, reduction="sum"
    )
    found = ce.loss_and_gradient(loss, np.array([1.0, 0.0]))[1]
    np.testing.assert_allclose(found, SHARES[:, 2], rtol=1e-14)


# -------------------------------------------------------------------------------------------- divided by nothing

Z = np.array([[0.0, 1.0], [0.0, 2.0]])
NOTHING_FIRST = np.array([0.0, 1.0])


@every_way
@pytest.mark.parametrize("logit", [NAN, INF, -INF])
@pytest.mark.parametrize("options", [{}, {"link": ce.links.Poly(1.0)}, {"negative_shift": 0.05}], ids=repr)
def test_an_element_of_a_sigmoid_loss_that_is_divided_by_zero_has_no_gradient(gradient, logit, options):
    z, t = Z.copy(), np.array([[0.0, 1.0], [1.0, 0.0]])
    expected = gradient(ce.sigmoid_cross_entropy, z, t, normalizer=1.0, **options) * [[0, 1], [1, 1]]
    z[0, 0] = logit
    divisor = np.array([[0.0, 1.0], [1.0, 1.0]])
    found = gradient(ce.sigmoid_cross_entropy, z, t, normalizer=divisor, **options)
    np.testing.assert_allclose(found, expected, rtol=1e-13)
    np.testing.assert_array_equal(gradient(ce.sigmoid_cross_entropy, z, t, normalizer=0.0, **options), 0)


@every_way
@pytest.mark.parametrize("log_prob", [NAN, INF, -INF])
def test_a_preference_that_is_divided_by_zero_has_no_gradient(gradient, log_prob):
    chosen, same = np.array([log_prob, 1.0]), np.zeros(2)
    found = gradient(ce.losses.dpo_loss, chosen, same, same, same, beta=1.0, normalizer=NOTHING_FIRST)
    np.testing.assert_allclose(found, [0, -1 / (1 + np.e)], rtol=1e-13)


@every_way
@pytest.mark.parametrize("logit", [NAN, INF, -INF])
def test_the_weight_of_a_row_that_is_divided_by_zero_has_no_gradient(gradient, logit):
    def loss(weight, z, labels, normalizer):
        return ce.losses.hinge_loss(z, labels, sample_weight=weight, normalizer=normalizer)

    z = np.array([[logit, 0.0], [3.0, 2.5]])
    found = gradient(loss, np.ones(2), z, np.array([0, 0]), normalizer=NOTHING_FIRST)
    np.testing.assert_allclose(found, [0, 0.5], rtol=1e-13)


# --------------------------------------------------------------------------------------------- what has no weight


def weighted(weight, z, *labels, **options):
    """The loss as a function of its weights."""
    labels = labels if len(labels) == 1 else (ce.targets.LabelSet(labels[1]),)
    return ce.softmax_cross_entropy(z, *labels, sample_weight=weight, reduction="sum", **options)


OPTIONS = [{}, {"link": ce.links.Poly(1.0)}, {"margin": 0.3, "entropy_bonus": 0.2}]


@every_way
@pytest.mark.parametrize(
    ("is_set", "options"),
    [*itertools.product([False, True], OPTIONS), (False, {"label_smoothing": 0.1})],
    ids=repr,
)
def test_a_weight_of_zero_of_an_invalid_row_has_no_gradient(gradient, is_set, options):
    z, y = np.array([[NAN, 1.0, 2.0], [1.0, 0.0, 3.0], [0.0, INF, 1.0]]), np.array([0, 1, 1])
    labels = (y, np.eye(3, dtype=bool)[y]) if is_set else (y,)
    found = gradient(weighted, np.array([0.0, 1.0, 0.0]), z, *labels, **options)
    alone = ce.softmax_cross_entropy(z[1:2], y[1:2], **options)
    np.testing.assert_allclose(found, [0, alone, 0], rtol=1e-12)


@every_way
@pytest.mark.parametrize("smoothed", [False, True])
def test_a_weight_of_zero_beside_an_infinite_term_has_the_other_terms_as_its_gradient(gradient, smoothed):
    z = np.array([[0.0, -INF, 1.0]])
    L, p = np.log1p(np.e), np.array([1.0, np.e]) / (1 + np.e)
    H = -(p * np.log(p)).sum()
    labels, options = np.array([[0.5, 0.2, 0.3]]), {"z_loss": 0.1, "entropy_bonus": 0.2}
    expected = 0.1 * L**2 - 0.2 * H
    if smoothed:
        labels, options, expected = np.array([0]), {**options, "label_smoothing": 0.1}, expected + 0.9 * L
    found = gradient(weighted, np.array([0.0]), z, labels, **options)
    np.testing.assert_allclose(found, [expected], rtol=1e-12)


def by_masses(t, z, **options):
    """The loss as a function of its soft labels."""
    return ce.softmax_cross_entropy(z, t, reduction="sum", validate="none", **options)


@every_way
@pytest.mark.parametrize(
    ("link", "limit"),
    [
        (ce.links.MeanAbsoluteError(), 2.0),
        (ce.links.GeneralizedCrossEntropy(0.5), 2.0),
        (ce.links.Poly(1.0), 0.0),
    ],
)
def test_soft_labels_without_mass_of_an_impossible_class_have_the_limit_of_the_link(gradient, link, limit):
    z, t = np.array([[0.0, -INF, 0.0]]), np.array([[0.5, 0.0, 0.5]])
    even = float(link.loss(np.asarray(0.0)))
    found = gradient(by_masses, t, z, link=link)
    np.testing.assert_allclose(found, [[even, limit, even]], rtol=1e-13)


@every_way
def test_labels_of_certain_elements_have_the_limits_of_the_links(gradient):
    z, t = np.array([INF, -INF, 0.0]), np.array([1.0, 0.0, 0.5])
    loss = lambda t, z, **options: ce.sigmoid_cross_entropy(z, t, **options)  # noqa: E731
    found = gradient(loss, t, z, link=ce.links.MeanAbsoluteError(), reduction="sum")
    np.testing.assert_allclose(found, [-2, 2, 0], atol=1e-14)


@every_way
@pytest.mark.parametrize("logit", [NAN, INF])
def test_the_log_odds_of_an_invalid_row_have_a_gradient_of_nan_in_the_whole_row(gradient, logit):
    z = np.array([[logit, 1.0, 2.0], [1.0, 0.0, 3.0]])
    log_odds = lambda z, y: ce.target_statistics(z, y).log_odds  # noqa: E731
    found = gradient(log_odds, z, np.array([1, 0]))
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).all()
