"""Losses of several yes-or-no answers a row: what each ambiguous point means, and what peers get wrong."""

import math

import mpmath
import numpy as np
import pytest

import crossentropy as ce
from crossentropy.losses.distribution_balanced import distribution_balanced_loss
from crossentropy.losses.multilabel import asymmetric_loss, sigmoid_focal_loss, zlpr_loss
from losses.catalogue.libraries import Library

ctx = mpmath.mp.clone()
ctx.dps = 50
each_library = pytest.mark.parametrize("library", ["numpy", "torch", "jax"])

Z = np.array([[1.5, -0.5, -30.0, 4.0], [-2.0, 0.25, 3.0, 40.0], [0.1, -7.0, 2.5, -1.0]])
Y = np.array([[1, 0, 0, 1], [0, 1, 0, 0], [1, 1, 0, 0]])
T = np.array([[0.9, 0.2, 0.0, 1.0], [0.5, 1.0, 0.3, 0.0], [0.25, 0.6, 0.1, 0.0]])
WEIGHTS = np.array([0.5, 2.0, 1.25])


def value(library, loss, *arrays, **options):
    lib = Library(library)
    with lib():
        options = {name: lib.array(x) for name, x in options.items()}
        return lib.numpy(loss(*(lib.array(x) for x in arrays), **options))


def slope(library, loss, z, *arrays, **options):
    """Gradient of the sum by the logits."""
    lib = Library(library)
    with lib():
        arrays, options = [lib.array(x) for x in arrays], {n: lib.array(x) for n, x in options.items()}
        if library == "numpy":
            return lib.numpy(ce.loss_and_gradient(loss, z, *arrays, **options)[1])
        total = lambda x: loss(x, *arrays, **options).sum()  # noqa: E731
        x = lib.array(z)
        if library == "torch":
            return lib.numpy(lib.xp.autograd.grad(total(x.requires_grad_()), x)[0])
        jax = pytest.importorskip("jax")
        return lib.numpy(jax.jit(jax.grad(total))(x))


def focal(log_p, log_q, gamma):
    """−(1 − p)^γ log p of a probability and its complement."""
    return -ctx.exp(gamma * log_q) * log_p


def logs(z):
    """log σ(z) and log σ(−z)."""
    return -ctx.log1p(ctx.exp(-z)), -ctx.log1p(ctx.exp(z))


def elements(term, z, t):
    """A loss of elements and its derivative by the logits, in fifty digits."""
    h = ctx.mpf(10) ** -15
    losses, slopes = np.empty(z.shape), np.empty(z.shape)
    for at in np.ndindex(z.shape):
        x, share = ctx.mpf(float(z[at])), ctx.mpf(float(t[at]))
        losses[at] = term(x, share)
        slopes[at] = (term(x + h, share) - term(x - h, share)) / (2 * h)
    return losses, slopes


# ------------------------------------------------------------------------------------------- asymmetric


def asymmetric(gamma_positive, gamma_negative, m):
    def term(z, t):
        yes, no = logs(z)
        p = ctx.exp(yes) - ctx.mpf(m)
        wrong = ctx.mpf(0)
        if p > 0:
            wrong = focal(no if m == 0 else ctx.log(1 - p), yes if m == 0 else ctx.log(p), gamma_negative)
        return t * focal(yes, no, gamma_positive) + (1 - t) * wrong

    return term


@pytest.mark.parametrize("options", [(0.0, 4.0, 0.05), (1.0, 2.5, 0.0), (2.0, 4.0, 0.2)])
@pytest.mark.parametrize("t", [Y, T], ids=["hard", "soft"])
@each_library
def test_the_asymmetric_loss_of_hard_and_soft_labels(library, t, options):
    names = dict(zip(("gamma_positive", "gamma_negative", "negative_shift"), options, strict=True))
    losses, slopes = elements(asymmetric(*options), Z, t)
    found = value(library, asymmetric_loss, Z, t, reduction="none", **names)
    np.testing.assert_allclose(found, losses, rtol=1e-13, atol=1e-300)
    found = slope(library, asymmetric_loss, Z, t, reduction="sum", **names)
    np.testing.assert_allclose(found, slopes, rtol=1e-10, atol=1e-17)


@each_library
def test_the_papers_asymmetric_loss_is_the_sum_over_labels_and_rows(library):
    losses, _ = elements(asymmetric(0.0, 4.0, 0.05), Z, Y)
    assert value(library, asymmetric_loss, Z, Y, reduction="sum") == pytest.approx(losses.sum(), rel=1e-13)
    assert value(library, asymmetric_loss, Z, Y) == pytest.approx(losses.mean(), rel=1e-13)


def test_a_confident_mistake_is_not_clamped():
    """timm and the authors' code clamp probabilities at 1e-8: 18.42 and no gradient; ours is 100 and −1."""
    torch = pytest.importorskip("torch")
    z = torch.tensor([[-100.0]], requires_grad=True)
    loss = asymmetric_loss(z, torch.tensor([[1]]))
    loss.backward()
    assert loss.item() == 100
    assert z.grad.item() == -1


@pytest.mark.parametrize("shift", [-0.1, 1.0])
def test_a_shift_that_is_no_probability_is_refused_by_its_name(shift):
    with pytest.raises(ValueError, match=r"^negative_shift is"):
        asymmetric_loss(Z, Y, negative_shift=shift)


@pytest.mark.parametrize(("loss", "gammas"), [(asymmetric_loss, {}), (sigmoid_focal_loss, {"alpha": 0.25})])
def test_the_native_kernel_computes_it(loss, gammas):
    torch = pytest.importorskip("torch")
    found = loss(torch.from_numpy(Z).requires_grad_(), torch.from_numpy(Y), **gammas)
    assert "_SigmoidLoss" in found.grad_fn.name()


# ------------------------------------------------------------------------------------------------ focal


def weighted_focal(alpha, gamma):
    def term(z, t):
        yes, no = logs(z)
        return alpha * t * focal(yes, no, gamma) + (1 - ctx.mpf(alpha)) * (1 - t) * focal(no, yes, gamma)

    return term


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.9, 0.5), (0.0, 1.0), (0.25, 0.0)])
@pytest.mark.parametrize("t", [Y, T], ids=["hard", "soft"])
@each_library
def test_alpha_weighs_a_yes_and_its_complement_a_no(library, t, alpha, gamma):
    losses, slopes = elements(weighted_focal(alpha, gamma), Z, t)
    options = {"alpha": alpha, "gamma": gamma}
    found = value(library, sigmoid_focal_loss, Z, t, reduction="none", **options)
    np.testing.assert_allclose(found, losses, rtol=1e-13, atol=1e-300)
    found = slope(library, sigmoid_focal_loss, Z, t, **options)
    np.testing.assert_allclose(found, slopes / Z.size, rtol=1e-10, atol=1e-17)


@pytest.mark.parametrize("alpha", [None, -1, -1.0])
def test_no_alpha_is_no_weight(alpha):
    found = sigmoid_focal_loss(Z, Y, alpha=alpha, reduction="none")
    expected = 2 * sigmoid_focal_loss(Z, Y, alpha=0.5, reduction="none")
    np.testing.assert_allclose(found, expected, rtol=1e-14)


@each_library
def test_alpha_is_in_no_denominator(library):
    """The mean is torchvision's, over elements; weights of rows and classes of one's own count in it."""
    losses, _ = elements(weighted_focal(0.25, 2.0), Z, Y)
    assert value(library, sigmoid_focal_loss, Z, Y) == pytest.approx(losses.mean(), rel=1e-13)
    columns = np.array([1.0, 0.5, 3.0, 0.0])
    for weights, given in (
        (np.broadcast_to(WEIGHTS[:, None], Z.shape), {"sample_weight": WEIGHTS}),
        (T + 0.5, {"sample_weight": T + 0.5}),
        (np.broadcast_to(columns, Z.shape), {"class_weight": columns}),
        (WEIGHTS[:, None] * columns, {"class_weight": columns, "sample_weight": WEIGHTS}),
    ):
        expected = np.sum(weights * losses) / np.sum(weights)
        assert value(library, sigmoid_focal_loss, Z, Y, **given) == pytest.approx(expected, rel=1e-13)


@each_library
def test_the_papers_focal_loss_divides_by_the_positives(library):
    losses, _ = elements(weighted_focal(0.25, 2.0), Z, Y)
    found = value(library, sigmoid_focal_loss, Z, Y, normalizer=float(Y.sum()))
    assert found == pytest.approx(losses.sum() / Y.sum(), rel=1e-13)


def test_pos_weight_and_class_weight_multiply_alphas():
    found = sigmoid_focal_loss(Z, Y, pos_weight=[2.0] * 4, class_weight=3.0, reduction="none")
    expected = np.where(Y == 1, 6, 3) * sigmoid_focal_loss(Z, Y, reduction="none")
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_alpha_does_not_enter_the_probability():
    """A pattern that is copied widely takes p = exp(−w·CE), weight and all; here a weight is a factor."""
    yes = np.array([[1]])
    one = sigmoid_focal_loss(np.array([[0.3]]), yes, alpha=0.2, reduction="none")
    two = sigmoid_focal_loss(np.array([[0.3]]), yes, alpha=0.8, reduction="none")
    np.testing.assert_allclose(two, 4 * one, rtol=1e-15)


def test_a_sure_and_right_answer_keeps_its_digits_in_float32():
    """torchvision forms 1 − p_t, which is 0 from a logit of 17 on; so are its loss and its gradient."""
    found = sigmoid_focal_loss(np.array([[20.0]], "float32"), np.array([[1]]), alpha=None)
    truth, _ = elements(weighted_focal(0.5, 2.0), np.array([[20.0]]), np.array([[1]]))
    assert float(found) == pytest.approx(2 * truth[0, 0], rel=1e-6)


@pytest.mark.parametrize("alpha", [1.0, 1.5, -0.5])
def test_an_alpha_that_is_no_share_below_one_is_refused(alpha):
    with pytest.raises(ValueError, match=r"^alpha is"):
        sigmoid_focal_loss(Z, Y, alpha=alpha)


def test_negative_weights_are_refused_as_everywhere():
    with pytest.raises(ValueError, match="count"):
        sigmoid_focal_loss(Z, Y, sample_weight=-WEIGHTS)


def test_smoothing_of_a_question_moves_it_towards_one_half():
    """Keras has ε/2 too; timm moves a "no" to ε/C, which is another label, to be passed as such: (1 − ε) y + ε/C."""
    loss = sigmoid_focal_loss(np.array([[0.4]]), np.array([[0]]), label_smoothing=0.2, reduction="none")
    soft = sigmoid_focal_loss(np.array([[0.4]]), np.array([[0.1]]), reduction="none")
    np.testing.assert_allclose(loss, soft, rtol=1e-15)


# ------------------------------------------------------------------------------------------------- ZLPR


def zlpr(z, t):
    z, t = [ctx.mpf(float(x)) for x in z], [ctx.mpf(float(x)) for x in t]
    no = ctx.fsum((1 - share) * ctx.exp(x) for x, share in zip(z, t, strict=True))
    yes = ctx.fsum(share * ctx.exp(-x) for x, share in zip(z, t, strict=True))
    return float(ctx.log1p(no) + ctx.log1p(yes))


@pytest.mark.parametrize("t", [Y, Y.astype(bool), Y.astype(float), T], ids=["int", "bool", "float", "soft"])
@each_library
def test_zlpr_of_hard_labels_and_the_papers_soft_ones(library, t):
    expected = [zlpr(*row) for row in zip(Z, t, strict=True)]
    found = value(library, zlpr_loss, Z, t, reduction="none")
    np.testing.assert_allclose(found, expected, rtol=1e-14)
    assert value(library, zlpr_loss, Z, t) == pytest.approx(np.mean(expected), rel=1e-14)
    found = value(library, zlpr_loss, Z.T.copy(), np.asarray(t).T.copy(), axis=0, reduction="none")
    np.testing.assert_allclose(found, expected, rtol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@each_library
def test_a_row_that_is_right_by_far_keeps_its_digits(library, dtype):
    z, y = np.array([[40.0, -41.0, -42.0]]), np.array([[1, 0, 0]])
    lib = Library(library, dtype)
    with lib():
        found = lib.numpy(zlpr_loss(lib.array(z), lib.array(y)))
    assert found == pytest.approx(zlpr(z[0], y[0]), rel=1e-6 if dtype == "float32" else 1e-14)


@each_library
def test_zlpr_of_no_label_or_of_all_has_one_term(library):
    y = np.array([[0, 0], [1, 1]])
    found = value(library, zlpr_loss, np.array([[0.0, 1.0], [0.0, 1.0]]), y, reduction="none")
    np.testing.assert_allclose(found, [math.log(2 + math.e), math.log(2 + math.exp(-1))], rtol=1e-14)


@pytest.mark.parametrize("t", [np.array([[0, 1, 0]]), np.array([[0.3, 1.0, 0.0]])], ids=["hard", "soft"])
@each_library
def test_an_infinite_logit_of_a_wrong_label_costs_infinity_and_that_of_a_right_one_nothing(library, t):
    wrong, right = np.array([[np.inf, 1.0, 0.5]]), np.array([[-1.0, np.inf, 0.5]])
    assert value(library, zlpr_loss, wrong, t) == np.inf
    assert value(library, zlpr_loss, right, t) == pytest.approx(zlpr([-1.0, 50.0, 0.5], t[0]), rel=1e-14)


@pytest.mark.parametrize("t", [Y, T], ids=["hard", "soft"])
def test_zlpr_has_the_derivative_of_its_formula(t):
    torch = pytest.importorskip("torch")
    t, weights = torch.from_numpy(t), torch.from_numpy(WEIGHTS)
    z = torch.from_numpy(np.clip(Z, -5, 5)).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: zlpr_loss(z, t, sample_weight=weights, reduction="none"), z)
    assert torch.autograd.gradgradcheck(lambda z: zlpr_loss(z, t, sample_weight=weights), z)


@each_library
def test_a_row_of_zlpr_without_weight_counts_nothing_whatever_it_holds(library):
    z, t, weights = Z.copy(), T.copy(), WEIGHTS.copy()
    z[1], t[1], weights[1] = np.nan, -3.0, 0.0
    losses = np.array([zlpr(Z[0], T[0]), 0.0, zlpr(Z[2], T[2])])
    found = value(library, zlpr_loss, z, t, sample_weight=weights)
    assert found == pytest.approx(np.sum(weights * losses) / np.sum(weights), rel=1e-14)
    assert value(library, zlpr_loss, z, t, sample_weight=weights, normalizer="count") == pytest.approx(
        np.sum(weights * losses) / 3, rel=1e-14
    )
    rows = value(library, zlpr_loss, z, t, sample_weight=weights, normalizer=np.array([1.0, 2.0, 4.0]))
    assert rows == pytest.approx(np.sum(weights * losses / [1, 2, 4]), rel=1e-14)
    if library != "numpy":
        assert (slope(library, zlpr_loss, z, t, sample_weight=weights)[1] == 0).all()


@pytest.mark.parametrize("t", [np.array([[0, 2]]), np.array([[0.0, 1.5]]), np.array([[0.0, np.nan]])])
def test_what_is_no_label_is_refused_by_its_place(t):
    with pytest.raises(ValueError, match=r"labels\[0, 1\]"):
        zlpr_loss(np.zeros((1, 2)), t)


def test_class_indices_are_no_labels_of_zlpr():
    with pytest.raises(ValueError, match="one label for every logit"):
        zlpr_loss(Z, np.array([0, 1, 2]))


# -------------------------------------------------------------------------------- distribution-balanced

COUNTS, TOTAL = np.array([500.0, 40.0, 8.0, 120.0]), 1000.0


def balanced(z, y, a=0.1, b=10.0, m=0.2, k=0.05, s=2.0, g=2.0):
    """Wu et al., ECCV 2020, an element at a time, with the factor 2 of the authors' code."""
    out = np.empty(z.shape)
    for i, row in enumerate(z):
        repeats = sum(1 / COUNTS[c] for c in range(4) if y[i, c])
        for c in range(4):
            share = math.inf if repeats == 0 else 1 / COUNTS[c] / repeats
            weight = a + float(1 / (1 + np.exp(-b * (share - m))))
            v = row[c] - k * math.log(TOTAL / COUNTS[c] - 1) / s
            yes, no = logs(ctx.mpf(float(v if y[i, c] else s * v)))
            out[i, c] = 2 * weight * (focal(yes, no, g) if y[i, c] else focal(no, yes, g) / s)
    return out


PAPER = {"offset": 0.2, "slope": 5.0, "midpoint": 0.3, "kappa": 0.1, "negative_scale": 5.0, "gamma": 1.0}


@pytest.mark.parametrize("options", [{}, PAPER], ids=["default", "other"])
@pytest.mark.parametrize("dtype", [int, float, bool])
@each_library
def test_the_distribution_balanced_loss_is_that_of_the_paper(library, dtype, options):
    y = np.vstack([Y[:2], np.zeros((1, 4))]).astype(dtype)  # the last row has no label
    expected = balanced(Z, y, *options.values())
    given = (Z, y, COUNTS)
    found = value(library, distribution_balanced_loss, *given, total=TOTAL, reduction="none", **options)
    np.testing.assert_allclose(found, expected, rtol=1e-13)
    weights = value(
        library, distribution_balanced_loss, *given, total=TOTAL, sample_weight=WEIGHTS, **options
    )
    assert weights == pytest.approx(np.sum(WEIGHTS[:, None] * expected) / np.sum(WEIGHTS) / 4, rel=1e-13)
    found = value(library, distribution_balanced_loss, *given, total=TOTAL, **options)
    assert found == pytest.approx(expected.mean(), rel=1e-13)


@each_library
def test_labels_may_lie_on_another_axis(library):
    expected = balanced(Z, Y).T
    found = value(
        library,
        distribution_balanced_loss,
        Z.T.copy(),
        Y.T.copy(),
        COUNTS,
        total=TOTAL,
        axis=0,
        reduction="none",
    )
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_the_distribution_balanced_loss_has_the_derivative_of_its_formula():
    torch = pytest.importorskip("torch")
    y, counts = torch.from_numpy(Y), torch.from_numpy(COUNTS)
    z = torch.from_numpy(np.clip(Z, -5, 5)).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda z: distribution_balanced_loss(z, y, counts, total=TOTAL, reduction="none"), z
    )


def test_the_bias_is_not_added_to_the_callers_logits():
    """The authors' code does it in place: a second call sees other logits."""
    torch = pytest.importorskip("torch")
    z = torch.from_numpy(Z.copy())
    distribution_balanced_loss(z, torch.from_numpy(Y), torch.from_numpy(COUNTS), total=TOTAL)
    assert (z.numpy() == Z).all()


def test_without_its_parts_it_is_twice_the_focal_loss():
    """At a slope of 0 the weight is α + 1/2."""
    found = distribution_balanced_loss(
        Z, Y, COUNTS, total=TOTAL, offset=0.5, slope=0.0, kappa=0.0, negative_scale=1.0
    )
    assert found == pytest.approx(2 * sigmoid_focal_loss(Z, Y, alpha=None), rel=1e-14)


@pytest.mark.parametrize("wrong", [0.0, 1000.0, -1.0])
def test_a_count_outside_the_total_is_refused(wrong):
    with pytest.raises(ValueError, match=r"^label 2 has a count of"):
        distribution_balanced_loss(Z, Y, [500.0, 40.0, wrong, 120.0], total=TOTAL)


def test_soft_labels_of_the_distribution_balanced_loss_are_refused_by_their_place():
    with pytest.raises(ValueError, match=r"labels\[0, 0\] is 0.9"):
        distribution_balanced_loss(Z, T, COUNTS, total=TOTAL)


@each_library
def test_elements_without_weight_count_nothing_whatever_they_hold(library):
    z, y, weights = Z.copy(), Y.astype(float), np.ones(Z.shape)
    z[0, 1], y[0, 1], weights[0, 1] = np.nan, 0.5, 0
    expected = balanced(Z, Y)
    found = value(library, distribution_balanced_loss, z, y, COUNTS, total=TOTAL, sample_weight=weights)
    assert found == pytest.approx((expected.sum() - expected[0, 1]) / 11, rel=1e-13)


# --------------------------------------------------------------------------------------- under a trace


def test_what_cannot_be_raised_under_a_trace_is_nan():
    jax = pytest.importorskip("jax")
    bad = Y.copy()
    bad[1, 2] = 3
    z, counts = jax.numpy.asarray(Z, "float32"), jax.numpy.asarray(COUNTS)
    found = jax.jit(lambda z, y: zlpr_loss(z, y, reduction="none"))(z, bad)
    assert np.isnan(found).tolist() == [False, True, False]
    slopes = jax.jit(jax.grad(lambda z, y: zlpr_loss(z, y, reduction="sum")))(z, bad)
    assert np.isnan(slopes).all(axis=1).tolist() == [False, True, False]
    found = jax.jit(lambda z, y: distribution_balanced_loss(z, y, counts, total=TOTAL, reduction="none"))(
        z, bad
    )
    assert np.argwhere(np.isnan(found)).tolist() == [[1, 2]]


@pytest.mark.full
def test_compiled_losses_are_those_of_eager_calls():
    jax = pytest.importorskip("jax")
    z, y = jax.numpy.asarray(Z, "float32"), jax.numpy.asarray(Y)
    counts = jax.numpy.asarray(COUNTS)
    for loss in (
        asymmetric_loss,
        sigmoid_focal_loss,
        zlpr_loss,
        lambda z, y: distribution_balanced_loss(z, y, counts, total=TOTAL),
    ):
        np.testing.assert_allclose(jax.jit(loss)(z, y), loss(z, y), rtol=1e-6)
