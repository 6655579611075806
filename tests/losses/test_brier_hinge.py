"""Squares and hinges: which of their conventions, their digits, their kinks."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

import crossentropy as ce
from crossentropy.losses.brier import brier_loss
from crossentropy.losses.hinge import hinge_loss
from losses.any_library import libraries

lib = libraries("numpy", "torch")
autodiff = libraries("torch")
each_autodiff = libraries("torch", "jax")

KINDS = ["crammer-singer", "weston-watkins"]
RIVALS = [
    brier_loss,
    hinge_loss,
    lambda *a, **k: hinge_loss(*a, kind="weston-watkins", **k),
]
each_rival = pytest.mark.parametrize("loss", RIVALS, ids=["brier", *KINDS])


def rows(n=6, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    return 2 * rng.normal(size=(n, classes)), rng.integers(0, classes, size=n)


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


# ---------------------------------------------------------------------------- one line swaps them for another


@each_rival
def test_weights_ignored_rows_and_means_are_those_of_cross_entropy(lib, loss):
    z, y = rows()
    y[2] = -1
    w, omega = np.array([1.0, 2.0, 0.5, 3.0]), np.array([0.5, 1.0, 2.0, 0.0, 3.0, 1.5])
    z[3] = np.nan
    clean = np.where(np.isnan(z), 0.0, z)
    each = np.asarray(loss(clean, np.maximum(y, 0), reduction="none"))
    weights = np.where(y >= 0, omega * w[y], 0)
    options = {"class_weight": lib.array(w), "sample_weight": lib.array(omega), "ignore_index": -1}

    def found(**more):
        return lib.numpy(loss(lib.array(z), lib.array(y), **options, **more))

    np.testing.assert_allclose(found(reduction="none"), weights * each, rtol=1e-14)
    np.testing.assert_allclose(found(reduction="sum"), np.sum(weights * each), rtol=1e-14)
    np.testing.assert_allclose(found(), np.sum(weights * each) / np.sum(weights), rtol=1e-14)
    np.testing.assert_allclose(found(normalizer="count"), np.sum(weights * each) / 5, rtol=1e-14)
    np.testing.assert_allclose(found(normalizer=4.0), np.sum(weights * each) / 4, rtol=1e-14)
    nothing = {"sample_weight": lib.array(np.zeros(6)), "ignore_index": -1}
    assert float(loss(lib.array(z), lib.array(y), **nothing)) == 0
    assert np.isnan(float(loss(lib.array(z), lib.array(y), empty="nan", **nothing)))


@each_rival
def test_rows_that_count_nothing_have_no_gradient(each_autodiff, loss):
    lib = each_autodiff
    z, y = rows(4)
    y[1], z[1], z[2] = -1, np.nan, np.inf
    weights = lib.array([1.0, 1.0, 0.0, 2.0])
    gradient = lib.gradient(
        lambda z: loss(z, lib.array(y), ignore_index=-1, sample_weight=weights, reduction="sum"), z
    )
    assert (gradient[[1, 2]] == 0).all()
    assert np.isfinite(gradient).all()
    assert gradient[[0, 3]].any(axis=1).all()


@each_rival
def test_the_classes_may_lie_along_any_axis(lib, loss):
    z, y = rows(6)
    grid = np.moveaxis(z.reshape(2, 3, 4), -1, 1)
    found = loss(lib.array(grid), lib.array(y.reshape(2, 3)), axis=1, reduction="none")
    plain = loss(lib.array(z), lib.array(y), reduction="none")
    np.testing.assert_array_equal(lib.numpy(found).reshape(-1), lib.numpy(plain))


@each_rival
def test_a_nan_row_is_nan_and_a_bad_label_an_error(lib, loss):
    z, y = rows(3)
    z[1, 2], z[2, 0] = np.nan, np.inf
    losses = lib.numpy(loss(lib.array(z), lib.array(y), reduction="none"))
    np.testing.assert_array_equal(np.isnan(losses), [False, True, True])
    with pytest.raises(ValueError, match=r"label 4 at row 2 is outside \[0, 4\)"):
        loss(lib.array(z), lib.array([0, 1, 4]))
    unchecked = lib.numpy(loss(lib.array(z), lib.array([4, 1, 1]), validate="none", reduction="none"))
    assert np.isnan(unchecked[0])


@each_rival
def test_options_that_a_rival_does_not_have_are_refused_by_name(loss):
    with pytest.raises(TypeError, match="_loss has no argument label_smoothing"):
        loss(*rows(), label_smoothing=0.1, temperature=2.0)


@each_rival
def test_half_precision_logits_give_float32(loss):
    torch = pytest.importorskip("torch")
    z, y = (torch.from_numpy(x) for x in rows())
    found = loss(z.bfloat16(), y)
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(float(loss(z.bfloat16().double(), y)), rel=1e-6)


# ------------------------------------------------------------------------------------------------- Brier


def test_half_of_two_classes_is_scikit_learns_score_of_binary_labels():
    metrics = pytest.importorskip("sklearn.metrics")
    z, y = rows(20, classes=2)
    expected = metrics.brier_score_loss(y, softmax(z)[:, 1])
    assert brier_loss(z, y) / 2 == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("margin", [20.0, 80.0, 300.0])
def test_a_confident_brier_row_has_all_its_digits(each_autodiff, margin):
    """(1 − p)² with 1 − p formed by subtraction is 0 from a margin of 37 on."""
    lib = each_autodiff
    z, y = np.array([[margin, 0.0, 1.0]]), lib.array([0])
    with mpmath.workdps(400):
        e = [mpmath.exp(v) for v in z[0]]
        p = [x / mpmath.fsum(e) for x in e]
        miss = p[1] + p[2]
        truth = miss**2 + p[1] ** 2 + p[2] ** 2
        pull = [-miss, p[1], p[2]]
        mean = mpmath.fsum(a * b for a, b in zip(p, pull, strict=True))
        slopes = [float(2 * a * (b - mean)) for a, b in zip(p, pull, strict=True)]
    assert float(brier_loss(lib.array(z), y)) == pytest.approx(float(truth), rel=1e-12)
    gradient = lib.gradient(lambda z: brier_loss(z, y), z)
    np.testing.assert_allclose(gradient[0], slopes, rtol=1e-11)


def test_brier_scores_soft_and_sparse_labels(lib):
    z, y = rows()
    q = np.random.default_rng(1).dirichlet(np.ones(4), size=6)
    p, w = softmax(z), np.array([1.0, 2.0, 0.5, 3.0])
    soft = np.sum((p - q) ** 2, axis=1)
    np.testing.assert_allclose(
        lib.numpy(brier_loss(lib.array(z), lib.array(q), reduction="none")), soft, rtol=1e-13
    )
    weighted = brier_loss(lib.array(z), lib.array(q), class_weight=lib.array(w))
    assert float(weighted) == pytest.approx(np.average(soft, weights=q @ w), rel=1e-13)
    pairs = ce.targets.Sparse(
        lib.array(np.stack([y, (y + 1) % 4], -1)), lib.array(np.tile([0.75, 0.25], (6, 1)))
    )
    mixed = 0.75 * np.eye(4)[y] + 0.25 * np.eye(4)[(y + 1) % 4]
    expected = np.average(np.sum((p - mixed) ** 2, axis=1), weights=mixed @ w)
    assert float(brier_loss(lib.array(z), pairs, class_weight=lib.array(w))) == pytest.approx(
        expected, rel=1e-13
    )
    one_hot = brier_loss(lib.array(z), ce.targets.OneHot(lib.array(np.eye(4, dtype=int)[y])))
    assert float(one_hot) == float(brier_loss(lib.array(z), lib.array(y)))


def test_a_brier_score_of_any_masses_is_weighted_by_their_sum(autodiff):
    z, _ = rows()
    masses = np.random.default_rng(1).uniform(0.1, 1.5, size=(6, 4))
    target = ce.targets.Probabilities(autodiff.array(masses), normalized=False)
    rows_of = lambda z: brier_loss(z, target, reduction="none")  # noqa: E731
    p, sums = softmax(z), masses.sum(axis=1)
    error = p - masses
    np.testing.assert_allclose(
        autodiff.numpy(rows_of(autodiff.array(z))), sums * np.sum(error**2, axis=1), rtol=1e-13
    )
    mean = float(brier_loss(autodiff.array(z), target))
    assert mean == pytest.approx(np.average(np.sum(error**2, axis=1), weights=sums), rel=1e-13)
    pull = 2 * p * (error - np.sum(p * error, axis=1, keepdims=True))
    gradient = autodiff.gradient(lambda z: brier_loss(z, target, reduction="sum"), z)
    np.testing.assert_allclose(gradient, sums[:, None] * pull, rtol=1e-11)


def test_a_brier_score_of_any_masses_is_the_same_under_vmap():
    torch = pytest.importorskip("torch")
    z = torch.from_numpy(rows()[0])
    masses = torch.from_numpy(np.random.default_rng(1).uniform(0.1, 1.5, size=(6, 4)))
    loss = lambda z, a: brier_loss(z, ce.targets.Probabilities(a, normalized=False), reduction="none")  # noqa: E731
    torch.testing.assert_close(torch.vmap(loss)(z, masses), loss(z, masses), rtol=1e-13, atol=0)


def test_soft_labels_of_a_brier_score_sum_to_one_and_get_a_gradient():
    torch = pytest.importorskip("torch")
    z, _ = rows(3)
    with pytest.raises(ValueError, match=r"probabilities of row 1 sum to 0\.9"):
        brier_loss(z, np.array([[1.0, 0, 0, 0], [0.9, 0, 0, 0], [0, 1.0, 0, 0]]))
    q = torch.from_numpy(np.random.default_rng(1).dirichlet(np.ones(4), size=3)).requires_grad_()
    logits = torch.from_numpy(z).requires_grad_()
    target = lambda q: ce.targets.Probabilities(q, normalized=False)  # noqa: E731
    assert torch.autograd.gradcheck(lambda z, q: brier_loss(z, target(q)), (logits, q))
    assert torch.autograd.gradgradcheck(lambda z: brier_loss(z, torch.tensor([0, 1, 3])), logits)


def test_brier_of_a_label_set_is_refused():
    mask = np.array([[True, True, False, False]])
    with pytest.raises(TypeError, match=r"brier_loss is given a LabelSet.*pass targets\.Probabilities"):
        brier_loss(np.zeros((1, 4)), ce.targets.LabelSet(mask))


def test_brier_of_probabilities_in_the_place_of_logits_warns():
    with pytest.warns(UserWarning, match="the logits are probabilities already"):
        brier_loss(softmax(rows()[0]), rows()[1])


def test_a_masked_class_has_no_part_in_a_brier_score(autodiff):
    z = np.array([[1.0, -np.inf, 0.5]])
    y = autodiff.array([0])
    two = brier_loss(z[:, [0, 2]], np.array([0]))
    assert float(brier_loss(autodiff.array(z), y)) == pytest.approx(float(two), rel=1e-15)
    gradient = autodiff.gradient(lambda z: brier_loss(z, y), z)
    assert gradient[0, 1] == 0
    assert np.isfinite(gradient).all()
    assert float(brier_loss(autodiff.array(z), autodiff.array([1]))) == pytest.approx(
        1 + float(np.sum(softmax(z[:, [0, 2]]) ** 2)), rel=1e-15
    )


# ------------------------------------------------------------------------------------------------ hinges


def test_the_second_kind_is_torchs_multi_margin_loss_times_the_classes():
    torch = pytest.importorskip("torch")
    z, y = (torch.from_numpy(x) for x in rows())
    theirs = torch.nn.functional.multi_margin_loss(z, y, margin=1.5)
    ours = hinge_loss(z, y, kind="weston-watkins", margin=1.5)
    assert ours.item() == pytest.approx(4 * theirs.item(), rel=1e-14)


def test_the_first_kind_is_scikit_learns_hinge_loss():
    metrics = pytest.importorskip("sklearn.metrics")
    z, y = rows(20)
    assert hinge_loss(z, y) == pytest.approx(metrics.hinge_loss(y, z, labels=np.arange(4)), rel=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_a_margin_met_exactly_has_no_gradient(each_autodiff, kind):
    lib = each_autodiff
    gradient = lib.gradient(lambda z: hinge_loss(z, lib.array([0]), kind=kind), [[2.0, 1.0, 1.0]])
    assert (gradient == 0).all()


def test_of_equal_rivals_the_first_has_the_gradient_in_one_kind_and_all_in_the_other(each_autodiff):
    lib = each_autodiff
    z, y = [[0.5, 1.0, 0.0, 1.0]], lib.array([0])
    first = lib.gradient(lambda z: hinge_loss(z, y), z)
    np.testing.assert_array_equal(first, [[-1.0, 1.0, 0.0, 0.0]])
    every = lib.gradient(lambda z: hinge_loss(z, y, kind="weston-watkins"), z)
    np.testing.assert_array_equal(every, [[-3.0, 1.0, 1.0, 1.0]])


@pytest.mark.parametrize("kind", KINDS)
def test_infinitely_low_logits_cost_nothing_off_the_label_and_inf_on_it(autodiff, kind):
    z = np.array([[1.0, -np.inf, 1.5], [-np.inf, -np.inf, 1.0]])

    def loss(z):
        return hinge_loss(z, autodiff.array([0, 0]), kind=kind, reduction="none")

    np.testing.assert_array_equal(autodiff.numpy(loss(autodiff.array(z))), [1.5, np.inf])
    gradient = autodiff.gradient(loss, z)
    np.testing.assert_array_equal(gradient, [[-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]])


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_class_has_no_rival(lib, kind):
    assert float(hinge_loss(lib.array([[3.0]]), lib.array([0]), kind=kind)) == 0


def test_hinges_say_what_does_not_fit():
    z, y = rows()
    with pytest.raises(ValueError, match=r"kind is 'squared'; write .crammer-singer. or .weston-watkins."):
        hinge_loss(z, y, kind="squared")
    with pytest.raises(ValueError, match="margin is -1; it is a lead that is asked for"):
        hinge_loss(z, y, margin=-1)
    with pytest.raises(TypeError, match="hinge_loss has one label in every row"):
        hinge_loss(z, np.full((6, 4), 0.25))
