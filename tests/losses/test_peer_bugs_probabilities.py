"""What other libraries make of probabilities, and of the quantities between them; see `test_peer_bugs`."""

import math

import numpy as np
import pytest

import crossentropy as ce
import oracle

torch = pytest.importorskip("torch")

INF = math.inf


def rows(n, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, classes)), rng.integers(0, classes, size=n)


# ----------------------------------------------------------------------------------------------------- losses


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_an_impossible_event_costs_the_same_in_every_precision(dtype):
    """scikit-learn#24365, #28851: clipped by dtype, a mistake costs 36.04, 15.94 or 6.93; ours infinity."""
    p = np.array([[1.0, 0.0], [0.0, 1.0]], dtype=dtype)
    assert ce.log_loss(p, np.array([0, 0]), reduction="none").tolist() == [0.0, INF]
    unlikely = np.array([[1 - 2.0**-10, 2.0**-10]], dtype=dtype)
    assert ce.log_loss(unlikely, np.array([1])) == pytest.approx(10 * math.log(2), rel=1e-7)


def test_a_confident_mistake_is_not_capped_at_sixteen():
    """Keras: probabilities clipped to 1e-7, so 16.118 and no gradient beyond; ours goes on."""
    assert ce.log_loss(np.array([[1.0 - 1e-12, 1e-12]]), np.array([1])) == pytest.approx(
        12 * math.log(10), rel=1e-9
    )
    both = ce.log_loss(np.array([1e-12, 1 - 1e-12]), np.array([1, 0]), reduction="none")
    np.testing.assert_allclose(both, 12 * math.log(10), rtol=1e-5)


@pytest.mark.parametrize("z", [0.5, 20.0, -20.0, 200.0, -700.0])
def test_a_loss_of_probabilities_is_that_of_their_logits(z):
    """pytorch#24933, #4867: BCELoss(σ(z)) is clamped at 100, with a slope of 1e12, and is not BCEWithLogits(z)."""
    p = math.exp(z) / (1 + math.exp(z)) if z < 0 else 1 / (1 + math.exp(-z))
    expected = ce.sigmoid_cross_entropy(np.array([z]), np.array([1]))
    assert ce.log_loss(np.array([p]), np.array([1])) == pytest.approx(expected, rel=1e-15, abs=2e-16)
    p = torch.tensor([math.exp(-700.0)], dtype=torch.float64, requires_grad=True)
    ce.log_loss(p, torch.tensor([1])).backward()
    assert p.grad.item() == pytest.approx(-math.exp(700.0), rel=1e-14)


def test_a_model_that_does_not_sum_to_one_is_not_scored_as_if_it_did():
    """scikit-learn#24515: rows were renormalized, and the worse of two models looked the better."""
    with pytest.raises(ValueError, match=r"row 1 sums to 0\.7"):
        ce.log_loss(np.array([[0.5, 0.5], [0.5, 0.2]]), np.array([0, 0]))


def test_a_class_that_does_not_occur_keeps_its_column():
    """scikit-learn#4033, #6703, #18523: "y_true contains only one label", and columns in the order of their names."""
    p = np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1]])
    assert ce.log_loss(p, np.array([0, 0])) == pytest.approx(-math.log(0.7 * 0.6) / 2, rel=1e-14)
    assert ce.log_loss(p, np.array([2, 2])) == pytest.approx(-math.log(0.1), rel=1e-14)


# ---------------------------------------------------------------------------------- divergences and entropies


def test_kl_divergence_takes_two_distributions_and_its_mean_is_over_rows():
    """pytorch#2259, #7006, LD#74: KLDivLoss wants log p, negative numbers else, and its mean is over entries too."""
    p, q = np.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]]), np.full((2, 3), 1 / 3)
    by_row = (p * np.log(p / q)).sum(-1)
    np.testing.assert_allclose(ce.kl_divergence(p, q), by_row, rtol=1e-14)
    np.testing.assert_array_equal(ce.kl_divergence(p, p), 0.0)
    assert torch.nn.functional.kl_div(torch.tensor(p), torch.tensor(p), reduction="batchmean") < -1
    student, teacher = np.log(q), np.log(p)
    found = ce.losses.distillation_loss(student, teacher, label_weight=1.0, temperature=1.0)
    assert found == pytest.approx(by_row.mean(), rel=1e-14)


def test_kl_divergence_has_a_finite_gradient_at_a_zero_of_p():
    """optax: the value is right and a gradient NaN; ours by the logits of q is q − p, zeros of p included."""
    p = torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64)
    w = torch.tensor([0.3, -0.2, 0.7], dtype=torch.float64, requires_grad=True)
    q = torch.softmax(w, 0)
    (gradient,) = torch.autograd.grad(ce.kl_divergence(p, q), w)
    torch.testing.assert_close(gradient, (q - p).detach(), rtol=1e-13, atol=1e-15)


def test_cross_entropy_of_a_zero_and_a_zero_is_zero():
    """scipy, dit: 0·ln 0 differs by function, and nansum hides real NaNs; ours is 0, and NaN stays NaN."""
    assert ce.cross_entropy([0.5, 0.5, 0.0], [0.5, 0.5, 0.0]) == pytest.approx(math.log(2))
    assert ce.cross_entropy([0.5, 0.5, 0.0], [0.5, 0.0, 0.5]) == INF
    assert ce.kl_divergence([1.0, 0.0], [0.5, 0.5]) == pytest.approx(math.log(2))


def test_entropy_does_not_normalize_what_it_is_given():
    """scipy#12553, #11388: it normalizes, so [0.3] has none, along axis 0; ours refuses, and reads the last axis."""
    for p in ([2.0, 2.0], [0.3]):
        with pytest.raises(ValueError, match="sum"):
            ce.entropy(np.array(p))
    p = np.array([[0.5, 0.5], [1.0, 0.0]])
    np.testing.assert_allclose(ce.entropy(p), [math.log(2), 0.0], rtol=1e-15)


def test_the_entropy_of_a_certain_row_is_zero():
    """torch.distributions: 1.19e-7 for a point mass, its probabilities being clamped; ours is 0."""
    assert ce.entropy(np.array([1.0, 0.0], dtype=np.float32)) == 0
    found = ce.target_statistics(np.array([[0.0, -INF]]), np.array([0]), entropy=True)
    assert found.entropy[0] == 0


def test_the_entropy_of_a_confident_row_is_that_of_sixty_digits():
    """−Σ p log p by softmax loses all digits of a confident row; ours never forms 1 − p."""
    z = np.array([[60.0, 0.0, 1.0]])
    found = ce.target_statistics(z, np.array([0]), entropy=True)
    assert found.entropy[0] == pytest.approx(float(oracle.statistics(z[0], 0).entropy), rel=1e-14)
