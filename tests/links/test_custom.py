"""Links of one's own: functions that have to agree, or are refused."""

import re

import numpy as np
import pytest

import crossentropy as ce
from crossentropy import links
from crossentropy._backends import namespace
from links.table import CASES, module, wide


def sigmoid(D):
    return 1 / (1 + namespace(D).exp(-D))


def squared(D):
    """(1 − p)²."""
    return sigmoid(D) ** 2


def squared_gain(D):
    return 2 * sigmoid(D) * sigmoid(-D)


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_the_links_of_the_package_pass_the_check(case):
    own = links.Custom(case.link.loss, case.link.gain, case.link.curvature)
    D = np.linspace(-3, 3, 7)
    np.testing.assert_array_equal(own.loss(D), case.link.loss(D))
    np.testing.assert_array_equal(own.gain(D), case.link.gain(D))
    np.testing.assert_array_equal(own.curvature(D), case.link.curvature(D))
    assert isinstance(own, links.Link)


def test_a_custom_link_gives_its_loss_and_gradient():
    z, y = np.random.default_rng(0).normal(size=(5, 4)), np.array([0, 1, 2, 3, 0])
    link = links.Custom(squared, squared_gain)
    value, gradient = ce.loss_and_gradient(ce.softmax_cross_entropy, z, y, link=link)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    own = p[np.arange(5), y]
    np.testing.assert_allclose(value, ((1 - own) ** 2).mean(), rtol=1e-13)
    expected = -2 * ((1 - own) * own)[:, None] * (np.eye(4)[y] - p) / 5
    np.testing.assert_allclose(gradient, expected, rtol=1e-12, atol=1e-16)


WRONG = {
    "sign": lambda D: -squared_gain(D),
    "factor": lambda D: squared_gain(D) / 2,
    "by D instead of log p": lambda D: squared_gain(D) * sigmoid(D),
    "by p instead of log p": lambda D: 2 * sigmoid(D),
    "where p is large": lambda D: squared_gain(D) + 0.02 * np.maximum(0, -D - 1) * sigmoid(-D),
    "where p is small": lambda D: squared_gain(D) + 0.01 * np.maximum(0, D - 4),
    "nan": lambda D: squared_gain(D) * np.where(D > 5, np.nan, 1.0),
}


@pytest.mark.parametrize("gain", WRONG.values(), ids=WRONG)
def test_a_gain_that_is_not_the_derivative_is_refused_with_both_numbers(gain):
    with pytest.raises(
        ValueError, match=r"at D = \S+ the derivative of loss is \S+ .* gain\(D\)·σ\(D\) is \S+; gain is"
    ):
        links.Custom(squared, gain)


@pytest.mark.parametrize("factor", [-1.0, 1.01])
def test_a_curvature_that_is_not_the_second_derivative_is_refused(factor):
    curvature = lambda D: factor * 2 * sigmoid(D) ** 2 * sigmoid(-D) * (2 - 3 * sigmoid(D))  # noqa: E731
    with pytest.raises(ValueError, match=r"derivative of gain\(D\)·σ\(D\) is .* curvature\(D\) is"):
        links.Custom(squared, squared_gain, curvature)


def test_the_numbers_of_the_refusal_are_right():
    with pytest.raises(ValueError, match="at D =") as refusal:
        links.Custom(squared, WRONG["factor"])
    D, found, promised = map(
        float, re.search(r"D = (\S+) .* is (\S+) by .* is (\S+);", str(refusal.value)).groups()
    )
    s = 1 / (1 + np.exp(-D))
    assert found == pytest.approx(2 * s * s * (1 - s), rel=1e-4)
    assert promised == pytest.approx(found / 2, rel=1e-4)


def test_a_loss_with_a_kink_passes():
    kinked = lambda D: np.maximum(0, D)  # noqa: E731
    links.Custom(kinked, lambda D: (D > 0) * (1 + np.exp(-D)))


def test_functions_of_pytorch_are_checked_with_its_tensors():
    torch = module("torch")
    right = links.Custom(lambda D: D.sigmoid() ** 2, lambda D: 2 * torch.sigmoid(D) * torch.sigmoid(-D))
    assert float(right.loss(torch.tensor(0.0))) == 0.25
    with pytest.raises(ValueError, match="gain"):
        links.Custom(lambda D: D.sigmoid() ** 2, lambda D: torch.sigmoid(D))


@pytest.mark.parametrize("bits", [32, 64])
def test_functions_of_jax_are_checked_in_its_precision(bits):
    jax = pytest.importorskip("jax")
    with wide("jax") if bits == 64 else jax.enable_x64(False):
        links.Custom(lambda D: jax.nn.sigmoid(D) ** 2, lambda D: 2 * jax.nn.sigmoid(D) * jax.nn.sigmoid(-D))
        links.Custom(jax.nn.softplus, jax.numpy.ones_like)
        with pytest.raises(ValueError, match="gain"):
            links.Custom(jax.nn.softplus, lambda D: 1.1 * jax.numpy.ones_like(D))


@pytest.mark.parametrize(
    ("loss", "gain", "match"),
    [
        (squared, lambda D: 1.0, "gain of log-odds of shape .* is 1.0"),
        (lambda D: squared(D).sum(), squared_gain, r"loss of log-odds of shape .* is shape \(\)"),
    ],
)
def test_functions_that_do_not_return_an_array_of_the_shape_are_refused(loss, gain, match):
    with pytest.raises(ValueError, match=match):
        links.Custom(loss, gain)


def test_what_is_no_function_of_an_array_is_refused():
    with pytest.raises(TypeError, match=r"gain is 1.0; pass a function"):
        links.Custom(squared, 1.0)
    with pytest.raises(TypeError, match=r"cannot be called.*argument"):
        links.Custom(lambda: 0, squared_gain)
