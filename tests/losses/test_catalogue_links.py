"""Every public link against its formula in sixty digits, in every array library, alone and in a loss."""

from __future__ import annotations

import numpy as np
import pytest

import crossentropy as ce
import oracle
from losses.catalogue import core, plain
from losses.catalogue.case import CLASSES, Case, LinkCase, logits
from losses.catalogue.libraries import LIBRARIES, Library
from losses.catalogue.table import CASES, LINKS

WEIGHTS = np.array([0.5, 2.0, 1.25, 0.75, 3.0])


def assert_close(found, truth, relative, absolute=1e-13):
    np.testing.assert_allclose(found, truth, rtol=relative, atol=absolute)


ODDS = np.array([-80.0, -30.5, -12.0, -3.25, -0.5, 0.0, 1e-6, 0.75, 1.5, 2.5, 9.0, 33.0, 90.0])
FIRST_OF_LINK = {case.link: case for case in reversed(LINKS)}
LINK_CASES = pytest.mark.parametrize("case", LINKS, ids=[case.name for case in LINKS])


def test_every_public_link_has_a_case():
    covered = {case.link for case in [*LINKS, *CASES] if case.link}
    assert covered == set(ce.links.__all__) - {"Link"}  # the protocol that they follow


def phi(case: LinkCase, D):
    """φ at log-odds D, from p and 1 − p with all their digits."""
    log_p, log_q = oracle.log_sigmoid(-D), oracle.log_sigmoid(D)
    return case.phi(oracle.ctx.exp(log_p), oracle.ctx.exp(log_q), log_p, log_q)


def link_truth(case: LinkCase, D):
    """φ, dφ/dD = gain · σ(D), and the gain; the derivative is a difference, so by many more digits."""
    with oracle.ctx.workdps(160):
        slope = oracle.derivative(lambda x: phi(case, x), D)
        return phi(case, D), slope, slope / oracle.ctx.exp(oracle.log_sigmoid(D))


@pytest.mark.parametrize("library", LIBRARIES)
@LINK_CASES
def test_a_link_and_its_gain_are_those_of_the_formula(case: LinkCase, library):
    link = getattr(ce.links, case.link)(**case.arguments)
    truth = [link_truth(case, oracle.mpf(float(D))) for D in ODDS]
    lib = Library(library)
    with lib():
        loss, gain = lib.numpy(link.loss(lib.array(ODDS))), lib.numpy(link.gain(lib.array(ODDS)))
    for found, column in ((loss, 0), (gain, 2)):
        expected = np.array([float(t[column]) for t in truth])
        limit = 1e-15 * np.maximum(1, np.abs(ODDS)) * np.abs(expected)
        assert (np.abs(found - expected) <= limit).all(), (np.abs(found - expected) / limit).max()


@pytest.mark.parametrize("library", ["torch", "jax"])
@LINK_CASES
def test_a_link_is_differentiated_as_its_formula_is(case: LinkCase, library):
    link = getattr(ce.links, case.link)(**case.arguments)
    expected = np.array([float(link_truth(case, oracle.mpf(float(D)))[1]) for D in ODDS])
    lib = Library(library)
    with lib():
        D = lib.array(ODDS)
        if library == "torch":
            D.requires_grad_()
            (slope,) = lib.xp.autograd.grad(link.loss(D).sum(), D)
        else:
            slope = pytest.importorskip("jax").grad(lambda x: link.loss(x).sum())(D)
        assert_close(lib.numpy(slope), expected, 1e-12, 1e-300)


@pytest.mark.parametrize(
    ("case", "library"),
    [
        pytest.param(
            case,
            library,
            id=f"{case.name}-{library}",
            marks=() if library != "jax" or case is FIRST_OF_LINK[case.link] else pytest.mark.full,
        )
        for case in LINKS
        for library in ("numpy", "torch", "jax")
    ],
)
def test_a_link_acts_on_every_class_of_a_soft_target(case: LinkCase, library):
    """Σ_c t_c φ(log p_c), and its gradient Γ p − G with G_c = t_c g(log p_c), Γ = Σ G."""
    link = getattr(ce.links, case.link)(**case.arguments)
    t, z = core.SOFT, logits(9)
    D = [[plain.log_odds_against(row[None], [c])[0] for c in range(CLASSES)] for row in z]
    found = [[link_truth(case, oracle.mpf(float(d))) for d in row] for row in D]
    loss, gain = (np.array([[float(x[k]) for x in row] for row in found]) for k in (0, 2))
    expected = np.sum(t * loss, axis=1)
    pull, weights = t * gain, WEIGHTS[: len(z)]
    slope = weights[:, None] * (pull.sum(axis=1, keepdims=True) * plain.softmax(z, axis=1) - pull)
    if library == "numpy":
        value, gradient = ce.loss_and_gradient(
            ce.softmax_cross_entropy, z, t, link=link, reduction="none", sample_weight=weights
        )
        assert_close(value, weights * expected, 1e-12)
    else:
        case = Case("softmax_cross_entropy", {"logits": z}, None, given={"labels": t, "link": link})
        lib = Library(library)
        assert_close(lib.value(case, reduction="none"), expected, 1e-12)
        gradient = lib.slopes(case, weights, reduction="none")["logits"]
    assert_close(gradient, slope, 1e-11, 1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("library", LIBRARIES)
@LINK_CASES
def test_a_link_has_its_limits_at_certainty_and_impossibility(case: LinkCase, library, dtype):
    link = getattr(ce.links, case.link)(**case.arguments)
    lib = Library(library, dtype)
    with lib():
        for D in (np.array([-np.inf, np.inf]), np.array([-1e30, 1e30])):
            loss, gain = lib.numpy(link.loss(lib.array(D))), lib.numpy(link.gain(lib.array(D)))
            expected = [e if np.isfinite(e) else (e if np.isinf(D[0]) else None) for e in case.ends]
            for found, end in zip(loss, expected, strict=True):
                assert not np.isnan(found)
                if end is not None:
                    assert found == pytest.approx(end, rel=1e-6, abs=1e-30)
            assert not np.isnan(gain).any()
