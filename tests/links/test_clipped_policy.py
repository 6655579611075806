"""PPO's clipped objective: where it is flat, where it is not, and what it refuses."""

import numpy as np
import pytest

import crossentropy as ce
from crossentropy.links import ClippedPolicy
from links.table import array, back, each_autodiff, each_library, module, wide

CLIP = 0.2
#: ratio, advantage, and whether the loss is flat there
TABLE = [
    (0.5, 1.0, False),
    (0.5, -1.0, True),
    (0.79, -2.0, True),
    (0.81, -2.0, False),
    (1.0, 1.5, False),
    (1.0, -1.5, False),
    (1.19, 0.5, False),
    (1.21, 0.5, True),
    (3.0, 1.0, True),
    (3.0, -1.0, False),
    (2.0, 0.0, True),
]
RATIO, ADVANTAGE = (np.array(column, dtype=float) for column in list(zip(*TABLE, strict=True))[:2])
FLAT = np.array([row[2] for row in TABLE])
OLD = np.linspace(0.05, 0.3, len(TABLE))
D = np.log1p(-RATIO * OLD) - np.log(RATIO * OLD)


def paper(ratio, advantage, clip=CLIP):
    """Schulman et al., 2017, equation 7."""
    return -np.minimum(ratio * advantage, np.clip(ratio, 1 - clip, 1 + clip) * advantage)


def link_of(library, **changed):
    given = {"advantages": ADVANTAGE, "old_log_prob": np.log(OLD)} | changed
    return ClippedPolicy(*(array(library, x) for x in given.values()), clip=CLIP)


@each_library
def test_the_loss_is_the_papers_and_the_gain_is_the_weighted_ratio_where_it_is_not_flat(library):
    with wide(library):
        link, odds = link_of(library), array(library, D)
        np.testing.assert_allclose(back(link.loss(odds)), paper(RATIO, ADVANTAGE), rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(back(link.gain(odds)), np.where(FLAT, 0, RATIO * ADVANTAGE), rtol=1e-13)


def test_the_curvature_is_the_difference_of_slopes():
    link, step = link_of("numpy"), 1e-6
    slope = lambda D: link.gain(D) / (1 + np.exp(-D))  # noqa: E731
    expected = (slope(D + step) - slope(D - step)) / (2 * step)
    np.testing.assert_allclose(link.curvature(D), expected, rtol=1e-7, atol=1e-9)


def gradient(library, z, y, advantages, old_log_prob):
    def loss(logits, labels, *rest):
        return ce.softmax_cross_entropy(logits, labels, link=ClippedPolicy(*rest, clip=CLIP), reduction="sum")

    if library == "numpy":
        return ce.loss_and_gradient(loss, z, y, advantages, old_log_prob)
    rest = [array(library, x) for x in (y, advantages, old_log_prob)]
    if library == "torch":
        logits = module("torch").tensor(z, requires_grad=True)
        value = loss(logits, *rest)
        value.backward()
        return value.item(), logits.grad.numpy()
    jax = pytest.importorskip("jax")
    value, slope = jax.value_and_grad(lambda z: loss(z, *rest))(jax.numpy.asarray(z))
    return back(value), back(slope)


@pytest.mark.parametrize("library", ["numpy", "torch", "jax"])
def test_the_loss_of_a_policy_and_its_gradient_are_those_of_the_formula(library):
    rng = np.random.default_rng(3)
    z, y, A = rng.normal(size=(40, 3)), rng.integers(0, 3, 40), rng.normal(size=40)
    old = -np.abs(rng.normal(size=40)) - 0.2

    def total(z):
        log_p = (z - np.log(np.exp(z).sum(axis=1, keepdims=True)))[np.arange(40), y]
        return paper(np.exp(log_p - old), A).sum()

    h = 1e-6
    expected = np.zeros_like(z)
    for place in np.ndindex(z.shape):
        step = np.zeros_like(z)
        step[place] = h
        expected[place] = (total(z + step) - total(z - step)) / (2 * h)
    with wide(library):
        value, slope = gradient(library, z, y, A, old)
    np.testing.assert_allclose(value, total(z), rtol=1e-13)
    np.testing.assert_allclose(slope, expected, rtol=1e-6, atol=1e-8)
    flat = (slope == 0).all(axis=1)
    assert 0 < flat.sum() < 40


@each_autodiff
def test_an_action_that_has_become_impossible_or_certain_has_a_finite_gradient(library):
    z = np.array([[-1e4, 0.0], [-1e4, 0.0], [1e4, 0.0], [1e4, 0.0]])
    A, old = np.array([1.0, -1.0, 1.0, -1.0]), np.array([-1.0, -1.0, -1000.0, -1000.0])
    with wide(library):
        value, slope = gradient(library, z, np.zeros(4, dtype=int), A, old)
    assert np.isfinite(float(value))
    np.testing.assert_array_equal(np.asarray(slope), 0.0)


def test_the_gain_at_a_ratio_of_one_is_that_of_the_policy_gradient():
    link = ClippedPolicy(np.array([2.5, -2.5]), np.log([0.5, 0.5]))
    np.testing.assert_allclose(link.gain(np.zeros(2)), [2.5, -2.5])


def test_from_a_clip_of_one_on_there_is_no_lower_bound():
    link = ClippedPolicy(np.array([-1.0]), np.log([0.9]), clip=1.0)
    assert link.gain(np.array([30.0]))[0] < 0


def test_an_ignored_row_counts_nothing():
    z, y = np.zeros((2, 2)), np.array([0, -1])
    value, slope = ce.loss_and_gradient(
        ce.softmax_cross_entropy, z, y, ignore_index=-1, link=ClippedPolicy([1.0, 5.0], [np.log(0.5)] * 2)
    )
    assert value == pytest.approx(-1.0)
    np.testing.assert_allclose(slope, [[-0.5, 0.5], [0, 0]])


@pytest.mark.parametrize(
    "more",
    [
        {"label_smoothing": 0.1},
        {"labels": np.full((2, 3), 1 / 3)},
        {"labels": ce.targets.Sparse(np.zeros((2, 2), dtype=int), np.ones((2, 2)))},
    ],
    ids=["smoothed", "soft", "sparse"],
)
def test_targets_of_more_than_one_class_are_refused(more):
    link = ClippedPolicy(np.ones(2), np.full(2, -1.0))
    arguments = {"labels": np.array([0, 1])} | more
    with pytest.raises(ValueError, match=r"integer labels, and no label_smoothing"):
        ce.softmax_cross_entropy(np.ones((2, 3)), link=link, **arguments)


def test_rows_of_another_number_are_refused():
    with pytest.raises(ValueError, match=r"advantages have shape \(3,\) and old_log_prob has shape \(2,\)"):
        ClippedPolicy(np.ones(3), np.zeros(2))
    with pytest.raises(
        ValueError, match=r"advantages have shape \(3,\), but the log-odds of the targets \(2,\)"
    ):
        ce.softmax_cross_entropy(
            np.ones((2, 3)), np.array([0, 1]), link=ClippedPolicy(np.ones(3), np.zeros(3))
        )


@pytest.mark.parametrize("clip", [0.0, -0.1, np.inf, np.nan])
def test_a_clip_that_makes_no_sense_is_refused(clip):
    with pytest.raises(ValueError, match="clip is"):
        ClippedPolicy(np.ones(2), np.zeros(2), clip=clip)


@pytest.mark.parametrize("name", ["advantages", "old_log_prob"])
def test_a_tensor_that_requires_a_gradient_is_refused(name):
    torch = module("torch")
    given = {"advantages": torch.ones(2), "old_log_prob": torch.zeros(2)}
    given[name].requires_grad_()
    with pytest.raises(ValueError, match=rf"{name}.detach\(\)"):
        ClippedPolicy(**given)
