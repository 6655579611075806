"""The bi-tempered loss: against forty digits, in the limits that it has, and its derivatives of both orders."""

from functools import cache

import mpmath
import numpy as np
import pytest

import crossentropy as ce
from crossentropy.losses.bi_tempered import bi_tempered_loss

ctx = mpmath.mp.clone()
ctx.dps = 60
mpf = ctx.mpf

TEMPERATURES = [
    (0.8, 1.2),
    (0.5, 2.0),
    (1.0, 1.0),
    (0.7, 1.0),
    (1.0, 1.4),
    (0.3, 0.7),
    (0.9, 4.0),
    (1.3, 1.1),
    (0.0, 0.0),
]
each_pair = pytest.mark.parametrize(("t1", "t2"), TEMPERATURES)

Z = np.random.default_rng(1).normal(size=(5, 6)) * 2
Y = np.array([0, 5, 2, 1, 3])


def log_t(x, t):
    return ctx.log(x) if t == 1 else (x ** (1 - t) - 1) / (1 - t)


def exp_t(x, t):
    if t == 1:
        return ctx.exp(x)
    inside = 1 + (1 - t) * x
    return inside ** (1 / (1 - t)) if inside > 0 else mpf(0)


def probabilities(z, t):
    """exp_t(z − λ) with Σ = 1, by bisection."""
    return by_bisection(tuple(map(float, z)), float(t))


@cache
def by_bisection(z, t):
    z, t = [mpf(v) for v in z], mpf(t)
    low = max(z)
    high = low - log_t(mpf(1) / len(z), t)
    for _ in range(400):
        middle = (low + high) / 2
        if ctx.fsum(exp_t(v - middle, t) for v in z) > 1:
            low = middle
        else:
            high = middle
    return [exp_t(v - (low + high) / 2, t) for v in z]


def truth(z, q, t1, t2):
    """Amid et al., 2019, equation 4, of one row."""
    p, t = probabilities(z, t2), mpf(float(t1))
    total = mpf(0)
    for q_c, p_c in zip(q, p, strict=True):
        q_c = mpf(float(q_c))
        if q_c > 0:
            total += mpf("inf") if p_c == 0 and t >= 1 else q_c * (log_t(q_c, t) - log_t(p_c, t))
        total -= (q_c ** (2 - t) - p_c ** (2 - t)) / (2 - t)
    return float(total)


def gradient(z, q, t1, t2):
    """By the authors' formula: v_c − e_c Σ v with v = (p − q) p^(t2 − t1), e = p^t2 / Σ p^t2."""
    p = probabilities(z, t2)
    v = [
        (a - mpf(float(b))) * a ** (mpf(t2) - mpf(t1)) if a > 0 else mpf(0) for a, b in zip(p, q, strict=True)
    ]
    e = [a ** mpf(t2) if a > 0 else mpf(0) for a in p]
    return np.array([float(x - y / ctx.fsum(e) * ctx.fsum(v)) for x, y in zip(v, e, strict=True)])


def value_and_gradient(z, labels, **options):
    torch = pytest.importorskip("torch")
    logits = torch.tensor(z, requires_grad=True)
    losses = bi_tempered_loss(logits, torch.as_tensor(labels), reduction="none", **options)
    losses.sum().backward()
    return losses.detach().numpy(), logits.grad.numpy()


@each_pair
def test_the_loss_and_its_gradient_are_the_papers(t1, t2):
    losses, slope = value_and_gradient(Z, Y, t1=t1, t2=t2)
    hot = np.eye(6)[Y]
    np.testing.assert_allclose(losses, [truth(z, q, t1, t2) for z, q in zip(Z, hot, strict=True)], rtol=1e-13)
    expected = [gradient(z, q, t1, t2) for z, q in zip(Z, hot, strict=True)]
    np.testing.assert_allclose(slope, expected, rtol=1e-10, atol=1e-14)


@each_pair
def test_probabilities_as_targets_are_compared_with_the_prediction(t1, t2):
    q = np.random.default_rng(2).dirichlet(np.ones(6), size=5)
    q[0] = [0.5, 0, 0.5, 0, 0, 0]
    losses, slope = value_and_gradient(Z, q, t1=t1, t2=t2)
    np.testing.assert_allclose(losses, [truth(z, t, t1, t2) for z, t in zip(Z, q, strict=True)], rtol=1e-12)
    expected = [gradient(z, t, t1, t2) for z, t in zip(Z, q, strict=True)]
    np.testing.assert_allclose(slope, expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("margin", [10.0, 40.0, 400.0, 1e6, 1e15])
@pytest.mark.parametrize(
    ("t1", "t2"), [(0.8, 1.2), (1.0, 1.0), (0.8, 1.0), (0.5, 2.0), (1.0, 1.5), (1.2, 1.1)]
)
def test_a_confident_row_keeps_the_digits_of_its_loss_and_gradient(t1, t2, margin):
    z = np.array([[margin, 0.0, -1.0]])
    losses, slope = value_and_gradient(z, np.array([0]), t1=t1, t2=t2)
    expected = truth(z[0], [1, 0, 0], t1, t2)
    if expected > 1e-280:
        np.testing.assert_allclose(losses, expected, rtol=1e-11)
        np.testing.assert_allclose(slope[0], gradient(z[0], [1, 0, 0], t1, t2), rtol=1e-9)


def test_a_prediction_equal_to_its_target_costs_nothing():
    for t2 in (0.7, 1.0, 1.2):
        q = np.array([[float(p) for p in probabilities(row, t2)] for row in Z])
        losses, slope = value_and_gradient(Z, q, t2=t2)
        assert (losses >= 0).all()
        np.testing.assert_allclose(losses, 0, atol=1e-29)
        np.testing.assert_allclose(slope, 0, atol=1e-14)


def test_at_temperatures_of_one_it_is_cross_entropy_less_the_entropy_of_the_target():
    found = bi_tempered_loss(Z, Y, t1=1.0, t2=1.0, reduction="none")
    np.testing.assert_allclose(found, ce.softmax_cross_entropy(Z, Y, reduction="none"), rtol=1e-13)
    q = np.random.default_rng(2).dirichlet(np.ones(6), size=5)
    found = bi_tempered_loss(Z, q, t1=1.0, t2=1.0, reduction="none")
    expected = ce.softmax_cross_entropy(Z, q, reduction="none") - ce.entropy(q)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_smoothing_leaves_the_label_no_share_of_what_the_others_get():
    """1 − ε and ε/(C − 1), as in the authors' code; ε C/(C − 1) here is ε in softmax_cross_entropy."""
    q = np.where(np.eye(6)[Y] == 1, 0.9, 0.1 / 5)
    np.testing.assert_allclose(
        bi_tempered_loss(Z, Y, label_smoothing=0.1, reduction="none"),
        bi_tempered_loss(Z, q, reduction="none"),
        rtol=1e-13,
    )
    usual = ce.softmax_cross_entropy(Z, Y, label_smoothing=0.12, reduction="none")
    q = np.where(np.eye(6)[Y] == 1, 0.9, 0.02)
    found = bi_tempered_loss(Z, Y, t1=1.0, t2=1.0, label_smoothing=0.1, reduction="none") + ce.entropy(q)
    np.testing.assert_allclose(found, usual, rtol=1e-12)


def test_the_authors_values():
    """google/bi-tempered-loss, tensorflow/loss_test.py, test_loss_value, with enough iterations."""
    q = np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1], [0.2, 0.8, 0.0]])
    z = np.array([[-0.5, 0.1, 2.0], [0.1, 1.5, -5.0], [4.0, -3.0, -6.0]])
    found = bi_tempered_loss(z, q, t1=0.5, t2=1.5, reduction="none")
    np.testing.assert_allclose(found, [0.02301914, 0.18972909, 0.93874922], rtol=1e-4)
    found = bi_tempered_loss(z, q, t1=0.5, t2=0.8, reduction="none")
    np.testing.assert_allclose(found, [0.21646356, 0.41836615, 1.33997854], rtol=1e-4)


@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0, 1e4])
@pytest.mark.parametrize("classes", [2, 10, 20000])
@pytest.mark.parametrize("t2", [0.3, 0.9, 1.0, 1.01, 1.2, 2.0, 4.0])
def test_the_default_iterations_are_enough_for_all_digits(t2, classes, scale):
    z = np.random.default_rng(classes).normal(size=(3, classes)) * scale
    y = np.argmax(z, axis=1)
    found = bi_tempered_loss(z, y, t2=t2, reduction="none")
    np.testing.assert_allclose(
        found, bi_tempered_loss(z, y, t2=t2, iterations=60, reduction="none"), rtol=1e-12
    )


@pytest.mark.parametrize(("t1", "t2"), [(0.8, 1.2), (1.0, 1.0), (0.5, 2.0), (0.5, 0.8)])
def test_derivatives_of_both_orders(t1, t2):
    torch = pytest.importorskip("torch")
    z, y = torch.tensor(Z[:3], requires_grad=True), torch.tensor(Y[:3])
    loss = lambda z: bi_tempered_loss(z, y, t1=t1, t2=t2)  # noqa: E731
    assert torch.autograd.gradcheck(loss, z)
    assert torch.autograd.gradgradcheck(loss, z, atol=1e-8)
    np.testing.assert_allclose(
        torch.func.grad(loss)(z.detach()), torch.autograd.grad(loss(z), z)[0], rtol=1e-12
    )
    _, tangent = torch.func.jvp(loss, (z.detach(),), (torch.ones_like(z),))
    assert abs(float(tangent)) < 1e-15  # a shift of the row


def test_jax_compiles_it_and_has_the_same_numbers():
    jax = pytest.importorskip("jax")
    losses, slope = value_and_gradient(Z, Y)
    with jax.enable_x64(True):
        y = jax.numpy.asarray(Y)
        total = jax.jit(lambda z: bi_tempered_loss(z, y, reduction="sum"))
        value, found = jax.value_and_grad(total)(jax.numpy.asarray(Z))
        curvature = jax.hessian(total)(jax.numpy.asarray(Z[:1].repeat(5, 0)))
    np.testing.assert_allclose(value, losses.sum(), rtol=1e-13)
    np.testing.assert_allclose(found, slope, rtol=1e-11, atol=1e-15)
    assert np.isfinite(curvature).all()


@pytest.mark.parametrize(("t1", "t2"), [(0.8, 1.2), (1.0, 1.0), (0.5, 0.7)])
def test_impossible_classes_have_no_probability_and_no_gradient(t1, t2):
    z = np.array([[1.0, -np.inf, 0.0], [-np.inf, 0.5, 0.0]])
    losses, slope = value_and_gradient(z, np.array([0, 0]), t1=t1, t2=t2)
    np.testing.assert_allclose(losses[0], truth(z[0, [0, 2]], [1, 0], t1, t2), rtol=1e-13)
    most = np.inf if t1 == 1 else truth(z[1, 1:], [0, 0], t1, t2) + 1 / (1 - t1) - 1 / (2 - t1)
    np.testing.assert_allclose(losses[1], most, rtol=1e-12)
    assert np.isfinite(slope).all()
    # of a target as of cross-entropy, whose gradient is p − 1
    np.testing.assert_array_equal(slope[np.isinf(z)], [0, -1 if t1 == t2 == 1 else 0])


def test_a_light_tail_gives_unlikely_classes_no_gradient():
    losses, slope = value_and_gradient(np.array([[5.0, 0.0, 4.9]]), np.array([0]), t1=0.5, t2=0.5)
    assert slope[0, 1] == 0
    assert np.isfinite(losses).all()


def test_ignored_rows_bad_labels_and_bad_rows():
    torch = pytest.importorskip("torch")
    z, y = Z.copy(), Y.copy()
    z[1], y[1] = np.nan, -100
    losses, slope = value_and_gradient(z, y, ignore_index=-100)
    clean, expected = value_and_gradient(Z, Y)
    np.testing.assert_array_equal(losses, np.where(y < 0, 0, clean))
    np.testing.assert_allclose(slope, np.where(y[:, None] < 0, 0, expected), rtol=1e-12, atol=1e-16)
    with pytest.raises(ValueError, match=r"label 6 at row 0 is outside \[0, 6\)"):
        bi_tempered_loss(Z, Y + 6)
    unchecked = bi_tempered_loss(
        torch.tensor(Z), torch.tensor([0, 9, 1, 1, 1]), reduction="none", validate="none"
    )
    assert torch.isnan(unchecked).tolist() == [False, True, False, False, False]


def test_a_single_class_costs_nothing():
    losses, slope = value_and_gradient(np.array([[3.0]]), np.array([0]), label_smoothing=0.2)
    assert losses[0] == 0
    assert slope[0, 0] == 0


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"t1": 2.0}, "t1 is 2.0.*under 2"),
        ({"t1": float("nan")}, "t1 is nan"),
        ({"t1": float("-inf")}, "t1 is -inf"),
        ({"t2": -0.1}, "t2 is -0.1.*at least 0"),
        ({"t2": float("inf")}, "t2 is inf"),
        ({"label_smoothing": 1.5}, "label_smoothing is 1.5"),
        ({"iterations": -1}, "iterations is -1"),
        ({"iterations": 2.0}, "iterations is 2.0"),
        ({"labels": ce.targets.LabelSet(np.eye(6)[Y] == 1)}, "LabelSet"),
        ({"labels": np.full((5, 6), 0.5)}, "sum to 3"),
        ({"reduction": "average"}, "reduction is 'average'"),
    ],
)
def test_options_out_of_range_are_refused_by_name(options, match):
    with pytest.raises(ValueError, match=match):
        bi_tempered_loss(Z, **({"labels": Y} | options))
