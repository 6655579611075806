"""Links under automatic differentiation, and through the losses that take them."""

import numpy as np
import pytest

import crossentropy as ce
from crossentropy import links
from links.table import (
    HUGE,
    ODDS,
    derivatives,
    each_link,
    each_link_in,
    module,
    one_of_each,
    wide,
)
from sampling import full

HAZARDS = np.array([-np.inf, -1e30, -1000.0, -745.0, 0.0, 745.0, 1000.0, 1e30, np.inf])


@each_link_in("torch", "jax")
def test_the_derivative_is_the_gain_times_what_is_missed_in_both_tails(case, library):
    first, _ = derivatives(case.link, ODDS, library)
    expected = np.array([float(case.truth(D)[2]) for D in ODDS])
    limit = 1e-15 * case.factor * np.maximum(4, np.abs(ODDS))
    np.testing.assert_array_less(np.abs(first - expected), limit * np.abs(expected) + 1e-300)


@each_link_in("torch", "jax")
def test_the_second_derivative_is_that_of_the_gain(case, library):
    D = np.linspace(-6, 6, 25) + 0.0123  # off the switches
    h = 1e-5
    _, second = derivatives(case.link, D, library)
    slope = lambda x: links.link.slope(case.link, x)  # noqa: E731
    np.testing.assert_allclose(second, (slope(D + h) - slope(D - h)) / (2 * h), rtol=1e-7, atol=1e-9)


@each_link_in("torch", "jax")
def test_derivatives_at_the_ends_are_no_nan_and_have_their_limits(case, library):
    first, second = derivatives(case.link, HAZARDS, library)
    assert not np.isnan(first).any()
    assert not np.isnan(second).any()
    (_, sure), (_, never) = case.ends
    if sure != -HUGE:  # the slope is gain · σ, which vanishes
        assert first[0] == 0
    if never == HUGE:
        assert first[-2] == pytest.approx(HUGE)
    assert first[-1] == pytest.approx(never, rel=1e-15 if never != HUGE else 1e-6)


# Between them e^D, e^(D/2) and e^(2D) leave float32.
NARROW = np.array(
    [-1e30, -1e4, -104, -88, 0, 36, 36.5, 44, 44.5, 80, 88, 89, 104, *np.arange(170, 181, 0.5), 1e4, 1e30],
    dtype=np.float32,
)


@each_link_in("torch", "jax")
def test_derivatives_of_float32_are_finite_and_right_where_the_loss_is_out_to_margins_of_1e30(case, library):
    first, second = derivatives(case.link, NARROW, library)
    assert np.isfinite(first).all()
    assert np.isfinite(second).all()
    near = np.abs(NARROW) < 200
    losses, _, slopes = np.array([[float(x) for x in case.truth(float(D))] for D in NARROW[near]]).T
    settled = (np.abs(losses) < 3.4e38) & ((slopes == 0) | (np.abs(slopes) > 1e-35))
    expected = slopes[settled]
    limit = 4e-7 * case.factor * np.maximum(4, np.abs(NARROW[near][settled]))
    np.testing.assert_array_less(np.abs(first[near][settled] - expected), limit * np.abs(expected) + 1e-37)


@each_link
def test_pytorch_checks_both_derivatives(case):
    torch = module("torch")
    D = (torch.linspace(-4, 4, 7, dtype=torch.float64) + 0.0123).requires_grad_()
    assert torch.autograd.gradcheck(case.link.loss, D)
    assert torch.autograd.gradgradcheck(case.link.loss, D)


# ----------------------------------------------------------------------------------- through the losses

Z = np.random.default_rng(5).normal(size=(6, 4)) * 3
Y = np.array([0, 3, 1, -7, 2, 0])


def numeric(loss, z, h=1e-6):
    slope = np.zeros_like(z)
    for place in np.ndindex(z.shape):
        step = np.zeros_like(z)
        step[place] = h
        slope[place] = (loss(z + step) - loss(z - step)) / (2 * h)
    return slope


def options(form):
    """What a link acts on: labels, of which one is ignored; every class, by smoothing; a few, with weights."""
    if form == "labels":
        return Y, {"ignore_index": -7}
    if form == "smoothed":
        return np.maximum(Y, 0), {"label_smoothing": 0.2, "class_weight": np.array([1.0, 2.0, 0.5, 1.5])}
    rng = np.random.default_rng(6)
    return ce.targets.Sparse(
        np.array([[0, 1], [3, 2], [1, 1], [0, 3], [2, 0], [0, 2]]), rng.random((6, 2))
    ), {}


@pytest.mark.parametrize("form", [*full(["labels"]), "smoothed", "sparse"])
@one_of_each
def test_a_loss_and_its_gradient_are_the_same_in_every_framework(case, form):
    labels, more = options(form)
    value, gradient = ce.loss_and_gradient(ce.softmax_cross_entropy, Z, labels, link=case.link, **more)
    loss = lambda z: float(ce.softmax_cross_entropy(z, labels, link=case.link, **more))  # noqa: E731
    np.testing.assert_allclose(gradient, numeric(loss, Z), rtol=1e-6, atol=1e-8)

    torch, jax = module("torch"), pytest.importorskip("jax")
    own = {"torch": torch.as_tensor, "jax": jax.numpy.asarray}

    def carried(name, x):
        if isinstance(x, ce.targets.Sparse):
            return ce.targets.Sparse(own[name](x.indices), own[name](x.weights))
        return own[name](x) if isinstance(x, np.ndarray) else x

    kept = {k: carried("torch", v) for k, v in more.items()}
    z = torch.tensor(Z, requires_grad=True)
    found = ce.softmax_cross_entropy(z, carried("torch", labels), link=case.link, **kept)
    found.backward()
    np.testing.assert_allclose(found.item(), value, rtol=1e-13)
    np.testing.assert_allclose(z.grad, gradient, rtol=1e-11, atol=1e-15)
    with wide("jax"):
        kept, y = {k: carried("jax", v) for k, v in more.items()}, carried("jax", labels)
        function = lambda z: ce.softmax_cross_entropy(z, y, link=case.link, **kept)  # noqa: E731
        found, slope = jax.value_and_grad(function)(jax.numpy.asarray(Z))
    np.testing.assert_allclose(found, value, rtol=1e-13)
    np.testing.assert_allclose(slope, gradient, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("margin", [300.0, 2e4, 1e30])
@pytest.mark.parametrize("classes", [4, 40, 1000])
def test_beside_a_slope_beyond_float32_a_class_without_probability_has_no_gradient(classes, margin):
    """The slope is a float64; in the float32 of the logits it is an infinity, which times 0 would be NaN."""
    torch = module("torch")
    z = np.zeros((3, classes), dtype=np.float32)
    z[:, 0], z[:, 1] = -margin, margin
    y, link, rest = np.zeros(3, dtype=np.int64), links.Tsallis(1.5), slice(2, None)
    with np.errstate(over="ignore"):
        _, gradient = ce.loss_and_gradient(ce.softmax_cross_entropy, z, y, link=link)
    found = [gradient]
    for more in ({}, {"sample_weight": torch.ones(3, requires_grad=True)}):  # by the kernels, and composed
        logits = torch.tensor(z, requires_grad=True)
        value = ce.softmax_cross_entropy(logits, torch.tensor(y), link=link, **more)
        found.append(torch.autograd.grad(value, logits)[0].numpy())
    for gradient in found:
        assert (gradient[:, 0] < -1e37).all()
        assert (gradient[:, 1] > 1e37).all()
        assert (gradient[:, rest] == 0).all()


@pytest.mark.parametrize("library", ["numpy", "torch", "jax"])
def test_a_label_that_has_taken_all_the_probability_is_unlearned_at_the_full_rate(library):
    """The gain overflows where the slope, −p, does not."""
    z, y = np.array([[900.0, 0.0, -1.0]]), np.array([0])
    link = links.Unlikelihood()
    share = 1 / (1 + np.exp(-1.0))
    expected = [[1.0, -share, share - 1]]
    with np.errstate(over="raise", invalid="raise"):
        if library == "numpy":
            value, gradient = ce.loss_and_gradient(ce.softmax_cross_entropy, z, y, link=link)
        elif library == "torch":
            torch = module("torch")
            logits = torch.tensor(z, requires_grad=True)
            value = ce.softmax_cross_entropy(logits, torch.tensor(y), link=link)
            (gradient,) = torch.autograd.grad(value, logits)
        else:
            jax = pytest.importorskip("jax")
            with wide("jax"):
                loss = lambda z: ce.softmax_cross_entropy(z, jax.numpy.asarray(y), link=link)  # noqa: E731
                value, gradient = jax.value_and_grad(loss)(jax.numpy.asarray(z))
    assert value.item() == pytest.approx(900 - np.log1p(np.exp(-1.0)), rel=1e-14)
    np.testing.assert_allclose(np.asarray(gradient), expected, rtol=1e-12)
