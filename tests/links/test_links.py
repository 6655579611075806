"""Links: what they make of a probability, against sixty digits, and their gain against a derivative."""

import numpy as np
import pytest

import crossentropy as ce
import oracle
import ulps

GAMMAS = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 5.0, 30.0)
ODDS = np.array(
    [-700.0, -300.5, -60.0, -37.0, -20.0, -3.25, -1e-3, 0.0, 1e-9, 0.5, 2.0, 17.0, 36.5, 100.0, 690.0]
)


def frameworks():
    yield pytest.param(np.asarray, np.asarray, id="numpy")
    yield pytest.param(
        lambda x: pytest.importorskip("torch").as_tensor(np.array(x)),
        lambda x: x.detach().numpy(),
        id="torch",
    )


each_framework = pytest.mark.parametrize(("array", "back"), list(frameworks()))
each_gamma = pytest.mark.parametrize("gamma", GAMMAS)


def truth(link, D):
    """φ and the gain at log-odds D, from ln p with all its digits."""
    log_p = oracle.log_sigmoid(-oracle.mpf(float(D)))
    return link.loss(log_p), link.gain(log_p)


def assert_digits(found, expected, D, factor):
    """Within units in proportion to |D| and to what the power multiplies them by."""
    limit = ulps.allowed(4 * np.maximum(1, np.abs(D)) * factor, [float(x) for x in expected], "float64")
    off = np.abs(ulps.errors(found, expected))
    assert (off <= limit).all(), f"{(off / limit).max():.3g} limits off at D = {D[np.argmax(off / limit)]}"


@each_framework
def test_cross_entropy_is_minus_the_log_probability(array, back):
    link, own = ce.links.CrossEntropy(), oracle.CrossEntropy()
    expected = [truth(own, D)[0] for D in ODDS]
    assert_digits(back(link.loss(array(ODDS))), expected, ODDS, 1)
    np.testing.assert_array_equal(back(link.gain(array(ODDS))), 1.0)


@each_gamma
@each_framework
def test_focal_loss_and_gain_keep_their_digits(array, back, gamma):
    link, own = ce.links.Focal(gamma), oracle.Focal(gamma)
    expected = [truth(own, D) for D in ODDS]
    assert_digits(back(link.loss(array(ODDS))), [e[0] for e in expected], ODDS, 1 + gamma)
    assert_digits(back(link.gain(array(ODDS))), [e[1] for e in expected], ODDS, 1 + gamma)


@each_gamma
def test_the_gain_is_minus_the_derivative_by_the_log_probability(gamma):
    """Numerically: dφ/dD = gain · σ(D), since d(−log p)/dD = σ(D)."""
    link = ce.links.Focal(gamma)
    D, h = np.linspace(-8, 8, 33), 1e-5
    numeric = (link.loss(D + h) - link.loss(D - h)) / (2 * h)
    np.testing.assert_allclose(link.gain(D) / (1 + np.exp(-D)), numeric, rtol=1e-7, atol=1e-11)


@each_gamma
def test_pytorch_differentiates_a_link_to_its_gain(gamma):
    torch = pytest.importorskip("torch")
    link = ce.links.Focal(gamma) if gamma else ce.links.CrossEntropy()
    D = torch.tensor(ODDS[np.abs(ODDS) < 600], requires_grad=True)
    (slope,) = torch.autograd.grad(link.loss(D).sum(), D, create_graph=True)
    expected = link.gain(D.detach()) * torch.exp(-torch.log1p(torch.exp(-D.detach())))
    torch.testing.assert_close(slope.detach(), expected, rtol=1e-12, atol=0)
    assert torch.autograd.gradcheck(link.loss, torch.linspace(-5, 5, 7, dtype=torch.float64).requires_grad_())
    assert torch.autograd.gradgradcheck(
        link.loss, torch.linspace(-5, 5, 7, dtype=torch.float64).requires_grad_()
    )


@each_gamma
@each_framework
def test_at_the_ends_a_certain_label_costs_nothing_and_an_impossible_one_infinity(array, back, gamma):
    ends = array(np.array([-np.inf, np.inf]))
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        for link in (ce.links.Focal(gamma), ce.links.CrossEntropy()):
            np.testing.assert_array_equal(back(link.loss(ends)), [0.0, np.inf])
            gain = back(link.gain(ends))
            assert gain[1] == 1.0
            assert gain[0] == (0.0 if getattr(link, "gamma", 0) > 0 else 1.0)


@pytest.mark.parametrize("gamma", [1e-12, 1e3, 1e300])
@each_framework
def test_extreme_exponents_give_the_limits(array, back, gamma):
    D = array(np.array([-50.0, -1.0, 0.0, 1.0, 50.0, 800.0]))
    loss, gain = back(ce.links.Focal(gamma).loss(D)), back(ce.links.Focal(gamma).gain(D))
    assert np.isfinite(loss).all()
    assert np.isfinite(gain).all()
    assert (loss >= 0).all()
    if gamma < 1:
        np.testing.assert_allclose(loss, back(ce.links.CrossEntropy().loss(D)), rtol=1e-9)
        np.testing.assert_allclose(gain, 1.0, rtol=1e-9)


@pytest.mark.parametrize("gamma", [-1e-9, -1.0, np.inf, np.nan])
def test_an_exponent_that_makes_no_sense_is_refused(gamma):
    with pytest.raises(ValueError, match="gamma"):
        ce.links.Focal(gamma)


@pytest.mark.parametrize("wrong", ["2", None, {}, np.ones(2)], ids=["text", "None", "dict", "array"])
@pytest.mark.parametrize(
    ("link", "name"),
    [
        (ce.links.Focal, "gamma"),
        (ce.links.Poly, "epsilon"),
        (ce.links.GeneralizedCrossEntropy, "q"),
        (ce.links.Tsallis, "t"),
        (ce.links.PartiallyHuberized, "tau"),
        (ce.links.SymmetricCrossEntropy, "forward_weight"),
        (ce.links.SymmetricCrossEntropy, "reverse_weight"),
        (ce.links.SymmetricCrossEntropy, "log_zero"),
        (lambda clip: ce.links.ClippedPolicy(1.0, 0.0, clip), "clip"),
    ],
)
def test_what_is_not_one_number_is_refused_by_the_name_of_the_setting(link, name, wrong):
    with pytest.raises(TypeError, match=rf"^{name} is .*; pass one number$"):
        link(**{name: wrong})


def test_links_are_values():
    assert ce.links.Focal(2.0) == ce.links.Focal(2.0)
    assert len({ce.links.Focal(2.0), ce.links.Focal(2.0), ce.links.CrossEntropy()}) == 2
    assert isinstance(ce.links.Focal(), ce.links.Link)
    with pytest.raises(AttributeError):
        ce.links.Focal().gamma = 3.0


def test_a_loss_takes_any_object_with_loss_and_gain():
    class Squared:
        """φ = p-distance: (1 − p)², written in D."""

        def loss(self, D):
            return (1 / (1 + np.exp(-D))) ** 2

        def gain(self, D):
            s = 1 / (1 + np.exp(-D))
            return 2 * s * (1 - s)

    z, y = np.random.default_rng(0).normal(size=(5, 4)), np.array([0, 1, 2, 3, 0])
    value, gradient = ce.loss_and_gradient(ce.softmax_cross_entropy, z, y, link=Squared())
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    own = p[np.arange(5), y]
    np.testing.assert_allclose(value, ((1 - own) ** 2).mean(), rtol=1e-13)
    expected = -2 * ((1 - own) * own)[:, None] * (np.eye(4)[y] - p) / 5
    np.testing.assert_allclose(gradient, expected, rtol=1e-12, atol=1e-16)
