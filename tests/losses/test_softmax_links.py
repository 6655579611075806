"""Any link: one's own, one that holds arrays, one that learns; on any target, whatever it makes of the ends."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import crossentropy as ce
from crossentropy._backends import namespace
from crossentropy._statistics.log_sigmoid import log_sigmoid
from frameworks import NUMPY, TORCH, each_framework

INF = float("inf")


class Scaled:
    """φ = −s log p, with a scale for every row, or learned, or both."""

    def __init__(self, scale):
        self.scale = scale

    def loss(self, D):
        return -self.scale * log_sigmoid(-D)

    def gain(self, D):
        return self.scale * namespace(D).ones_like(D)


class Root:
    """φ = 2 (1 − √p), which nothing in the package has."""

    def loss(self, D):
        return 2 - 2 * namespace(D).exp(log_sigmoid(-D) / 2)

    def gain(self, D):
        return namespace(D).exp(log_sigmoid(-D) / 2)


def batch(shape=(5, 4)):
    rng = np.random.default_rng(0)
    return rng.normal(size=shape) * 2, rng.integers(0, shape[1], size=(shape[0], *shape[2:]))


# ------------------------------------------------------------------------------------- links with arrays


@pytest.mark.parametrize("shape", [(5, 4), (2, 4, 3), (2, 4, 3, 2)])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@each_framework
def test_a_link_may_hold_an_array_of_the_rows_shape(fw, shape, reduction):
    z, y = batch(shape)
    scale = np.random.default_rng(1).uniform(-1, 2, size=y.shape)
    given = {"axis": 1, "reduction": reduction, "ignore_index": 2}
    value, gradient = fw.loss_and_gradient(z, y, link=Scaled(fw.own(scale)), **given)
    weights = {} if reduction == "none" else {"normalizer": "count"}
    weights = weights if reduction == "mean" else {}
    expected = fw.loss_and_gradient(z, y, sample_weight=scale, **given, **weights)
    np.testing.assert_allclose(value, expected[0], rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("indices", {}),
        ("indices", {"label_smoothing": 0.2}),
        (
            "indices",
            {"label_smoothing": 0.2, "smoothing_prior": np.array([0.1, 0.2, 0.3, 0.4]), "ignore_index": 1},
        ),
        ("indices", {"class_weight": np.array([1.0, 2.0, 3.0, 0.5]), "temperature": 2.0}),
        ("Sparse", {}),
        ("Sparse", {"label_smoothing": 0.2, "class_weight": np.array([1.0, 2.0, 3.0, 0.5])}),
        ("Probabilities", {}),
        ("Probabilities", {"label_smoothing": 0.2, "class_weight": np.array([1.0, 2.0, 3.0, 0.5])}),
    ],
    ids=repr,
)
@each_framework
def test_ones_own_link_acts_on_every_class_with_mass(fw, form, options):
    """``Σ_c w_c q_c φ(log p_c)``, written out."""
    z, y = batch()
    rng = np.random.default_rng(2)
    if form == "Sparse":
        arrays = rng.integers(0, 4, size=(5, 3)), rng.random((5, 3))
        t = np.zeros((5, 4))
        np.add.at(t, (np.arange(5)[:, None], arrays[0]), arrays[1])
    elif form == "Probabilities":
        t = rng.dirichlet(np.ones(4), size=5)
        arrays = (t,)
    else:
        t, arrays = np.eye(4)[y], (y,)
    epsilon, prior = options.get("label_smoothing", 0.0), options.get("smoothing_prior", np.full(4, 0.25))
    q = ((1 - epsilon) * t + epsilon * prior) * options.get("class_weight", np.ones(4))
    if "ignore_index" in options:
        q = q * (y != options["ignore_index"])[:, None]

    def rows(z):
        u = z / options.get("temperature", 1.0)
        p = np.exp(u) / np.exp(u).sum(axis=1, keepdims=True)
        return (q * (2 - 2 * np.sqrt(p))).sum(axis=1)

    target = fw.target(form, *arrays)
    losses, gradient = fw.loss_and_gradient(z, target, link=Root(), reduction="none", **options)
    np.testing.assert_allclose(losses, rows(z), rtol=1e-12, atol=1e-15)
    h = 1e-6
    for c in range(4):
        step = np.zeros((5, 4))
        step[:, c] = h
        slope = (rows(z + step) - rows(z - step)) / (2 * h)
        np.testing.assert_allclose(gradient[:, c], slope, rtol=1e-7, atol=1e-9)


@each_framework
def test_a_subclass_of_a_link_is_its_own_loss(fw):
    class Halved(ce.links.CrossEntropy):
        def loss(self, D):
            return super().loss(D) / 2

        def gain(self, D):
            return super().gain(D) / 2

    class HalvedFocal(ce.links.Focal):
        def loss(self, D):
            return super().loss(D) / 2

        def gain(self, D):
            return super().gain(D) / 2

    z, y = batch()
    for options in ({}, {"label_smoothing": 0.1}):
        for half, whole in ((Halved(), None), (HalvedFocal(), ce.links.Focal())):
            got = fw.loss_and_gradient(z, y, link=half, **options)
            for x, expected in zip(got, fw.loss_and_gradient(z, y, link=whole, **options), strict=True):
                np.testing.assert_allclose(x, expected / 2, rtol=1e-13, atol=1e-16)


# ---------------------------------------------------------------------------------------------- the ends


@pytest.mark.parametrize("way", ["ignore_index", "sample_weight"])
@pytest.mark.parametrize(
    "options", [{}, {"label_smoothing": 0.1}, {"temperature": np.array([1.0, 2.0])}], ids=repr
)
@each_framework
def test_a_row_left_out_costs_nothing_even_by_a_link_that_a_certain_label_costs_infinity(fw, way, options):
    z = np.array([[1.0, 2.0, 0.0], [np.nan, 0.0, 1.0]])
    y = np.array([0, -1 if way == "ignore_index" else 2])
    left_out = {"ignore_index": -1} if way == "ignore_index" else {"sample_weight": np.array([1.0, 0.0])}
    value, gradient = fw.loss_and_gradient(z, y, link=ce.links.Unlikelihood(), **left_out, **options)
    one = {k: v[:1] if k == "temperature" else v for k, v in options.items()}
    expected = fw.loss_and_gradient(z[:1], y[:1], link=ce.links.Unlikelihood(), **one)
    np.testing.assert_allclose(value, expected[0], rtol=1e-13)
    np.testing.assert_allclose(gradient[0], expected[1][0], rtol=1e-12)
    np.testing.assert_array_equal(gradient[1], 0.0)


@each_framework
def test_a_slope_keeps_its_limit_where_the_gain_is_infinite(fw):
    """−log(1 − p) of a label at p = 1 − e⁻⁸⁰⁰ still falls by 1 for each unit of its log-odds."""
    z, y = np.array([[800.0, 0.0]]), np.array([0])
    value, gradient = fw.loss_and_gradient(z, y, link=ce.links.Unlikelihood())
    np.testing.assert_allclose(value, 800.0, rtol=1e-15)
    np.testing.assert_allclose(gradient, [[1.0, -1.0]], rtol=1e-15)


# ---------------------------------------------------------------------------------------- links that learn


def as_attribute(theta):
    return Scaled(theta)


def as_closure(theta):
    class Closed:
        def loss(self, D):
            return -theta * log_sigmoid(-D)

        def gain(self, D):
            return theta * namespace(D).ones_like(D)

    return Closed()


def as_functions(theta):
    return SimpleNamespace(
        loss=lambda D: -theta * log_sigmoid(-D), gain=lambda D: theta * namespace(D).ones_like(D)
    )


def as_module(theta):
    torch = pytest.importorskip("torch")

    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.nested = torch.nn.Module()
            self.nested.theta = theta if isinstance(theta, torch.nn.Parameter) else torch.nn.Parameter(theta)

        def loss(self, D):
            return -self.nested.theta * log_sigmoid(-D)

        def gain(self, D):
            return self.nested.theta * torch.ones_like(D)

    return Module()


@pytest.mark.parametrize("make_link", [as_attribute, as_closure, as_functions])
@pytest.mark.parametrize("trained", [True, False], ids=["logits trained", "logits frozen"])
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"ignore_index": 1}], ids=repr)
def test_a_gradient_reaches_what_a_link_holds(make_link, trained, options):
    torch = pytest.importorskip("torch")
    z, y = batch()
    theta = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    logits = torch.tensor(z, requires_grad=trained)
    ce.softmax_cross_entropy(logits, torch.tensor(y), link=make_link(theta), **options).backward()
    value, gradient = NUMPY.loss_and_gradient(z, y, **options)
    np.testing.assert_allclose(theta.grad.item(), value, rtol=1e-13)
    if trained:
        np.testing.assert_allclose(logits.grad.numpy(), 1.5 * gradient, rtol=1e-12, atol=1e-16)


def test_a_gradient_reaches_the_parameters_of_a_link_that_is_a_module():
    torch = pytest.importorskip("torch")
    z, y = batch()
    link = as_module(torch.tensor(1.5, dtype=torch.float64))
    ce.softmax_cross_entropy(torch.tensor(z), torch.tensor(y), link=link).backward()
    np.testing.assert_allclose(link.nested.theta.grad.item(), ce.softmax_cross_entropy(z, y), rtol=1e-13)


@pytest.mark.parametrize("options", [{}, {"reduction": "none"}, {"label_smoothing": 0.1}], ids=repr)
def test_the_exponent_of_a_focal_loss_may_be_learnt(options):
    torch = pytest.importorskip("torch")
    z, y = batch()
    losses = {
        "softmax": lambda link: ce.softmax_cross_entropy(
            torch.tensor(z), torch.tensor(y), link=link, **options
        ),
        "sigmoid": lambda link: ce.sigmoid_cross_entropy(
            torch.tensor(z), torch.tensor(z > 0), link=link, **options
        ),
    }
    for name, loss in losses.items():
        gamma = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
        loss(ce.links.Focal(gamma)).sum().backward()
        h = 1e-6
        slope = (loss(ce.links.Focal(2 + h)).sum() - loss(ce.links.Focal(2 - h)).sum()) / (2 * h)
        np.testing.assert_allclose(gamma.grad.item(), slope.item(), rtol=1e-7, err_msg=name)


def test_a_link_that_could_learn_does_not_have_to():
    torch = pytest.importorskip("torch")
    z, y = batch()
    theta = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        value = ce.softmax_cross_entropy(torch.tensor(z), torch.tensor(y), link=Scaled(theta))
    assert not value.requires_grad
    np.testing.assert_allclose(value.item(), 1.5 * ce.softmax_cross_entropy(z, y), rtol=1e-13)


def test_second_derivatives_by_what_a_link_holds():
    torch = pytest.importorskip("torch")
    z, y = batch((3, 4))
    logits = torch.tensor(z, requires_grad=True)
    scale = torch.linspace(0.5, 2, 3, dtype=torch.float64).requires_grad_()
    loss = lambda z, s: ce.softmax_cross_entropy(z, torch.tensor(y), link=Scaled(s))  # noqa: E731
    assert torch.autograd.gradcheck(loss, (logits, scale))
    assert torch.autograd.gradgradcheck(loss, (logits, scale))


def test_a_links_array_changed_before_the_backward_pass_is_noticed():
    torch = pytest.importorskip("torch")
    z, y = batch()
    scale = torch.ones(5, dtype=torch.float64)
    value = ce.softmax_cross_entropy(torch.tensor(z, requires_grad=True), torch.tensor(y), link=Scaled(scale))
    scale += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


@pytest.mark.parametrize("fw", [NUMPY, TORCH], ids=repr)
def test_sigmoid_losses_take_links_with_arrays_of_the_elements_shape(fw):
    rng = np.random.default_rng(3)
    z, t, scale = rng.normal(size=(4, 3)), rng.integers(0, 2, size=(4, 3)), rng.random((4, 3))
    got = ce.sigmoid_cross_entropy(fw.own(z), fw.own(t), link=Scaled(fw.own(scale)), reduction="none")
    expected = ce.sigmoid_cross_entropy(z, t, sample_weight=scale, reduction="none")
    np.testing.assert_allclose(fw.numpy(got), expected, rtol=1e-13)


@pytest.mark.parametrize("margin", [20.0, 40.0, 800.0])
def test_numpy_has_the_gradient_of_a_smoothed_link_at_a_confident_row(margin):
    torch = pytest.importorskip("torch")
    z, y = np.array([[margin, 0.0, -1.0]]), np.array([0])
    _, found = ce.loss_and_gradient(ce.losses.unlikelihood_loss, z, y, label_smoothing=0.1)
    logits = torch.tensor(z, requires_grad=True)
    ce.losses.unlikelihood_loss(logits, torch.tensor(y), label_smoothing=0.1).backward()
    np.testing.assert_allclose(found, logits.grad.numpy(), rtol=1e-12)


def test_a_label_smoothed_away_counts_nothing_whatever_its_loss():
    value, gradient = ce.loss_and_gradient(
        ce.softmax_cross_entropy,
        np.array([[0.0, -np.inf]]),
        np.array([1]),
        label_smoothing=1.0,
        smoothing_prior=np.array([1.0, 0.0]),
    )
    assert value == 0
    np.testing.assert_array_equal(gradient, [[0.0, 0.0]])
