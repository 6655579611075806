"""Links in native code: their digits, their ends, and the options of a loss that is one native object."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import crossentropy as ce
import ulps
from crossentropy import links
from crossentropy._engine.softmax import fused_cpu
from crossentropy._engine.softmax.native_links import native_link
from crossentropy.targets import LabelSet, Sparse
from links.table import CASES, ODDS

INF = float("inf")
NATIVE = [case for case in CASES if native_link(case.link) is not None]
each_case = pytest.mark.parametrize("case", NATIVE, ids=repr)
one_of_each = pytest.mark.parametrize("link", {type(c.link): c.link for c in NATIVE}.values(), ids=repr)


def of_odds(link, D, dtype="float64"):
    """Loss and slope at log-odds ``D`` against the first of two classes, through the loss of rows."""
    z = np.stack([np.where(D == INF, -INF, 0.0), np.where(D == INF, 0.0, D)], axis=-1).astype(dtype)
    loss, gradient = ce.loss_and_gradient(
        ce.softmax_cross_entropy, z, np.zeros(len(D), int), link=link, reduction="none"
    )
    return loss, -gradient[:, 0]


def served(monkeypatch):
    """What `fused_cpu.serves` answers from now on."""
    answers, serves = [], fused_cpu.serves

    def note(problem):
        answers.append(serves(problem))
        return answers[-1]

    monkeypatch.setattr(fused_cpu, "serves", note)
    return answers


def test_all_links_of_numbers_are_native_but_the_steeper_of_tsallis():
    assert {repr(case.link) for case in CASES} - {repr(case.link) for case in NATIVE} == {
        repr(links.Tsallis(1.5)),
        repr(links.Tsallis(1 + 2.0**-10)),
    }


@each_case
def test_loss_and_slope_keep_their_digits_in_both_tails(case, monkeypatch):
    answers = served(monkeypatch)
    truths = [case.truth(D) for D in ODDS]
    for found, column in zip(of_odds(case.link, ODDS), (0, 2), strict=True):
        truth = [t[column] for t in truths]
        limit = 4 * np.maximum(1, np.abs(ODDS)) * case.factor
        limit = ulps.allowed(limit, [float(x) for x in truth], "float64")
        np.testing.assert_array_less(np.abs(ulps.errors(found, truth)), limit)
    assert answers == [True]


@each_case
def test_certainty_impossibility_and_nan_have_their_limits(case):
    loss, slope = of_odds(case.link, np.array([-INF, INF, np.nan, 1.0]))
    (sure, _), (never, gain) = case.ends
    np.testing.assert_allclose(loss[:2], [sure, never], rtol=1e-15)
    np.testing.assert_allclose(slope[:2], [-1.0 if sure == INF else 0.0, gain], rtol=1e-15)
    np.testing.assert_array_equal(np.isnan([loss[2:], slope[2:]]), [[True, False]] * 2)


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("indices", {}),
        ("indices", {"reduction": "none", "temperature": 2.0, "softcap": 3.0}),
        ("indices", {"class_weight": np.linspace(0.5, 2, 7), "ignore_index": 3, "z_loss": 0.1}),
        ("indices", {"sample_weight": np.arange(9.0), "normalizer": "count", "entropy_bonus": 0.2}),
        ("Sparse", {"class_weight": np.linspace(0.5, 2, 7), "margin": 0.3}),
        ("LabelSet", {"normalizer": np.linspace(1, 2, 9)}),
    ],
    ids=repr,
)
@one_of_each
def test_every_option_means_what_it_does_by_formulas(link, target, options, monkeypatch):
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(9, 7)) * 3, rng.integers(7, size=9)
    if target == "Sparse":
        y = Sparse(rng.integers(7, size=(9, 2)), rng.random((9, 2)))
    if target == "LabelSet":
        y = LabelSet(np.eye(7, dtype=bool)[y] | (rng.random((9, 7)) < 0.3))
    answers = served(monkeypatch)
    found = ce.loss_and_gradient(ce.softmax_cross_entropy, z, y, link=link, **options)
    assert answers == [True]
    monkeypatch.setattr(fused_cpu, "serves", lambda problem: False)
    expected = ce.loss_and_gradient(ce.softmax_cross_entropy, z, y, link=link, **options)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-13)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-11, atol=1e-15)


@one_of_each
def test_a_row_has_the_same_bits_at_any_place(link):
    rng = np.random.default_rng(1)
    z, y = rng.normal(size=(131, 5)).astype("float32") * 4, rng.integers(5, size=131)
    given = {"link": link, "reduction": "none"}
    losses, gradient = ce.loss_and_gradient(ce.softmax_cross_entropy, z, y, **given)
    for part in (slice(63, 66), slice(130, 131)):
        same, slopes = ce.loss_and_gradient(ce.softmax_cross_entropy, z[part], y[part], **given)
        np.testing.assert_array_equal(same, losses[part])
        np.testing.assert_array_equal(slopes, gradient[part])


@pytest.mark.parametrize("old", [-900.0, -INF])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_ratio_beyond_all_measure_has_a_finite_slope(dtype, old):
    """An action that the old policy never took, and that turned out badly."""
    link = links.ClippedPolicy(np.array([-1.0]), np.array([old]))
    loss, slope = of_odds(link, np.zeros(1), dtype)
    assert loss > 1e30
    assert slope < -1e30
    assert np.isfinite(slope)


# ------------------------------------------------------------------------- of the log-odds and the mean of all losses

each_normalized = pytest.mark.parametrize(
    "loss",
    [ce.losses.normalized_cross_entropy, partial(ce.losses.active_passive_loss, passive_weight=3.0)],
    ids=["normalized", "active-passive"],
)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": np.linspace(1, 2, 9), "reduction": "none", "ignore_index": 2},
        {"softcap": 3.0, "logit_bias": np.linspace(-1, 1, 7), "sample_weight": np.arange(9.0)},
        {"normalizer": np.linspace(1, 2, 9)},
    ],
    ids=repr,
)
@each_normalized
def test_a_normalized_loss_is_that_of_the_formulas(loss, options, monkeypatch):
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(9, 7)) * 3, rng.integers(7, size=9)
    z[1, 2] = -INF  # an impossible class
    y[1] = 3
    answers = served(monkeypatch)
    found = ce.loss_and_gradient(loss, z, y, **options)
    assert answers
    assert all(answers)
    monkeypatch.setattr(fused_cpu, "serves", lambda problem: False)
    expected = ce.loss_and_gradient(loss, z, y, **options)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-13)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-11, atol=1e-15)


@each_normalized
def test_a_normalized_loss_is_pulled_back_again_with_another_gradient(loss):
    torch = pytest.importorskip("torch")
    z = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    losses = loss(z, torch.tensor([0, 1, 2, 0, 1]), reduction="none")
    upstream = torch.arange(5.0, dtype=torch.float64)
    once, thrice = (torch.autograd.grad(losses, z, n * upstream, retain_graph=True)[0] for n in (1, 3))
    torch.testing.assert_close(thrice, 3 * once)
    assert torch.autograd.gradcheck(lambda z: loss(z, torch.tensor([0, 1, 2, 0, 1])), z)


# ------------------------------------------------------------------------------------------ whose numbers they are


def test_the_array_of_a_link_that_may_learn_is_left_to_its_library():
    torch = pytest.importorskip("torch")
    advantages = torch.ones(3)
    link = links.ClippedPolicy(advantages, torch.full((3,), -1.0))
    z = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    advantages.requires_grad_()
    ce.softmax_cross_entropy(z, torch.tensor([0, 1, 2]), link=link).backward()
    assert (advantages.grad != 0).any()


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_setting_that_is_an_array_keeps_its_gradient(value):
    torch = pytest.importorskip("torch")
    weight = torch.tensor(value, dtype=torch.float64, requires_grad=True)
    z, y = np.array([[0.0, 1.0, -1.0]]), np.array([1])
    link = links.SymmetricCrossEntropy(weight, 1.0)
    ce.softmax_cross_entropy(torch.tensor(z), torch.tensor(y), link=link).backward()
    np.testing.assert_allclose(weight.grad.item(), ce.softmax_cross_entropy(z, y), rtol=1e-13)


def test_advantages_may_be_batched_by_vmap():
    torch = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(0)
    z, a = torch.randn(4, 3, generator=generator), torch.randn(2, 4, generator=generator)
    y = torch.tensor([0, 1, 2, 0])
    found = torch.func.vmap(lambda a: ce.losses.policy_gradient(z, y, a))(a)
    expected = torch.stack([ce.losses.policy_gradient(z, y, x) for x in a])
    torch.testing.assert_close(found, expected)
