"""The robust losses: what they compose, and where the literature has more than one reading."""

import numpy as np
import pytest

import crossentropy as ce
from crossentropy import links
from crossentropy.losses import by_link

Z = np.random.default_rng(1).normal(size=(7, 5)) * 2
Y = np.array([0, 4, 2, 1, 3, 2, 0])
SOFT = np.random.default_rng(2).dirichlet(np.ones(5), size=7)


def probabilities(z=Z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


P = probabilities()
OWN = P[np.arange(7), Y]

COMPOSED = [
    (by_link.focal_loss, {"gamma": 1.5}, links.Focal(1.5)),
    (by_link.poly_loss, {"epsilon": (1.0, -0.5)}, links.Poly((1.0, -0.5))),
    (
        by_link.generalized_cross_entropy,
        {"q": 0.4, "truncation": 0.2},
        links.GeneralizedCrossEntropy(0.4, 0.2),
    ),
    (
        by_link.symmetric_cross_entropy,
        {"forward_weight": 2.0, "reverse_weight": 0.5, "log_zero": -6.0},
        links.SymmetricCrossEntropy(2.0, 0.5, -6.0),
    ),
    (by_link.taylor_cross_entropy, {"order": 3}, links.Taylor(3)),
    (by_link.partially_huberized_cross_entropy, {"tau": 3.0}, links.PartiallyHuberized(3.0)),
    (by_link.mean_absolute_error_loss, {}, links.MeanAbsoluteError()),
    (by_link.tsallis_loss, {"t": 1.2}, links.Tsallis(1.2)),
    (by_link.unlikelihood_loss, {}, links.Unlikelihood()),
]
each_composed = pytest.mark.parametrize(
    ("loss", "parameters", "link"), COMPOSED, ids=[loss.__name__ for loss, _, _ in COMPOSED]
)


def test_every_exported_loss_is_tested_here():
    assert {loss.__name__ for loss, _, _ in COMPOSED} == set(by_link.__all__)


@each_composed
def test_a_named_loss_is_its_link_with_every_option_passed_on(loss, parameters, link):
    options = {
        "label_smoothing": 0.1,
        "class_weight": np.arange(1.0, 6),
        "sample_weight": np.arange(7.0),
        "temperature": 1.5,
        "softcap": 10.0,
        "z_loss": 0.01,
        "normalizer": "count",
    }
    expected = ce.loss_and_gradient(ce.softmax_cross_entropy, Z, Y, link=link, **options)
    found = ce.loss_and_gradient(loss, Z, Y, **parameters, **options)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@each_composed
def test_another_link_is_refused_by_name(loss, parameters, link):
    with pytest.raises(TypeError, match=type(link).__name__):
        loss(Z, Y, link=links.CrossEntropy(), **parameters)


@each_composed
def test_soft_targets_cost_the_mean_of_what_labels_do(loss, parameters, link):
    by_label = np.stack([loss(Z, np.full(7, c), reduction="none", **parameters) for c in range(5)], axis=1)
    found = loss(Z, SOFT, reduction="none", **parameters)
    np.testing.assert_allclose(found, (SOFT * by_label).sum(axis=1), rtol=1e-12)


# ------------------------------------------------------------------------- readings of the literature


def test_a_class_weight_does_not_enter_the_probability_of_a_focal_loss():
    """As it does in codes that form p = exp(−w · CE)."""
    w = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    found = by_link.focal_loss(Z, Y, class_weight=w, reduction="none")
    np.testing.assert_allclose(found, w[Y] * (1 - OWN) ** 2 * -np.log(OWN), rtol=1e-12)


def test_soft_targets_of_a_poly_loss_weigh_the_missing_probabilities():
    """Σ q_c (1 − p_c), as in optax."""
    found = by_link.poly_loss(Z, SOFT, epsilon=2.0, reduction="none")
    np.testing.assert_allclose(found, (SOFT * (-np.log(P) + 2 * (1 - P))).sum(axis=1), rtol=1e-12)


def test_log_zero_scales_the_reverse_term_and_nothing_else():
    clamped = by_link.symmetric_cross_entropy(
        Z, Y, forward_weight=0.1, reverse_weight=1.0, log_zero=np.log(1e-4), reduction="none"
    )
    np.testing.assert_allclose(clamped, -0.1 * np.log(OWN) - np.log(1e-4) * (1 - OWN), rtol=1e-12)
    paper = by_link.symmetric_cross_entropy(Z, Y, reverse_weight=-np.log(1e-4) / 4, reduction="none")
    np.testing.assert_allclose(clamped, paper, rtol=1e-12)


def test_the_mean_absolute_error_sums_over_the_classes():
    expected = np.abs(P - np.eye(5)[Y]).sum(axis=1).mean()
    assert float(by_link.mean_absolute_error_loss(Z, Y)) == pytest.approx(expected, rel=1e-13)


def test_symmetric_losses_add_up_to_a_constant_over_all_labels():
    """Ghosh et al., 2017: what makes the mean absolute error tolerant of noise."""
    total = sum(by_link.mean_absolute_error_loss(Z, np.full(7, c), reduction="none") for c in range(5))
    np.testing.assert_allclose(total, 2 * (5 - 1), rtol=1e-13)


def test_several_unlikely_tokens_a_row_add_up():
    """Welleck et al., 2020: −Σ_{c ∈ candidates} log(1 − p_c)."""
    candidates = np.array([[0, 1], [2, 3], [0, 4], [1, 2], [3, 4], [0, 2], [1, 3]])
    sparse = ce.targets.Sparse(candidates, np.ones((7, 2)))
    expected = -np.log(1 - np.take_along_axis(P, candidates, axis=1)).sum(axis=1)
    found = by_link.unlikelihood_loss(Z, sparse, reduction="none")
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    mean = by_link.unlikelihood_loss(Z, sparse, normalizer="count")
    assert float(mean) == pytest.approx(expected.mean(), rel=1e-13)


def test_an_ignored_row_costs_nothing_though_its_loss_at_certainty_is_infinite():
    labels = Y.copy()
    labels[2] = -100
    found = by_link.unlikelihood_loss(Z, labels, ignore_index=-100, reduction="none")
    np.testing.assert_allclose(found, np.where(labels < 0, 0, -np.log(1 - OWN)), rtol=1e-12)


def test_one_wrong_label_costs_a_bounded_loss_no_more_than_its_bound():
    z, y = np.array([[-1e30, 0.0]]), np.array([0])
    for found, bound in (
        (by_link.generalized_cross_entropy(z, y), 1 / 0.7),
        (by_link.taylor_cross_entropy(z, y), 1.5),
        (by_link.partially_huberized_cross_entropy(z, y), np.log(10) + 1),
        (by_link.mean_absolute_error_loss(z, y), 2.0),
        (by_link.tsallis_loss(z, y), 1 / 0.7),
    ):
        assert float(found) == pytest.approx(bound, rel=1e-14)
