"""`loss_and_gradient`: which functions of NumPy arrays it differentiates, and which it refuses."""

import threading

import numpy as np
import pytest

import crossentropy as ce
from crossentropy._backends import constant, is_taped
from crossentropy._backends.tape import Taped
from losses.catalogue.libraries import Library
from losses.catalogue.table import CASES

RNG = np.random.default_rng(0)
LOGITS, LABELS = RNG.normal(size=(6, 4)), RNG.integers(0, 4, size=6)
ANSWERS = RNG.integers(0, 2, size=(6, 4))
ROW_WEIGHTS = RNG.random(6) + 0.5


def focal(logits, labels, gamma=2.0, **options):
    return ce.softmax_cross_entropy(logits, labels, link=ce.links.Focal(gamma), **options)


def assert_same(got, expected):
    for x, y in zip(got, expected, strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_a_composition_has_the_gradient_of_the_call_it_makes(reduction):
    expected = ce.loss_and_gradient(
        ce.softmax_cross_entropy, LOGITS, LABELS, link=ce.links.Focal(1.0), reduction=reduction
    )
    assert_same(ce.loss_and_gradient(focal, LOGITS, LABELS, 1.0, reduction=reduction), expected)
    assert_same(ce.loss_and_gradient(focal, LOGITS, LABELS, gamma=1.0, reduction=reduction), expected)


def test_a_composition_of_sigmoid_losses_has_its_gradient_too():
    asymmetric = lambda z, t: ce.sigmoid_cross_entropy(  # noqa: E731
        z,
        t,
        link=ce.links.Focal(0.0),
        negative_link=ce.links.Focal(4.0),
        negative_shift=0.05,
        reduction="sum",
    )
    value, gradient = ce.loss_and_gradient(asymmetric, LOGITS, ANSWERS)
    h = 1e-6
    for i in np.ndindex(LOGITS.shape):
        step = np.zeros(LOGITS.shape)
        step[i] = h
        slope = (asymmetric(LOGITS + step, ANSWERS) - asymmetric(LOGITS - step, ANSWERS)) / (2 * h)
        np.testing.assert_allclose(gradient[i], slope, rtol=1e-6, atol=1e-9)
    assert value == asymmetric(LOGITS, ANSWERS)


def test_the_gradient_is_that_of_the_call_whose_value_is_returned():
    def warmed_up(logits, labels):
        plain = ce.softmax_cross_entropy(logits, labels)
        robust = ce.softmax_cross_entropy(logits, labels, link=ce.links.MeanAbsoluteError())
        return robust if plain < 10 else plain

    expected = ce.loss_and_gradient(
        ce.softmax_cross_entropy, LOGITS, LABELS, link=ce.links.MeanAbsoluteError()
    )
    assert_same(ce.loss_and_gradient(warmed_up, LOGITS, LABELS), expected)


def test_what_is_made_of_calls_and_of_the_logits_is_differentiated():
    options = {"z_loss": 0.1, "reduction": "none"}

    def composed(logits, labels):
        one, other = (
            ce.softmax_cross_entropy(logits / 2, labels),
            ce.softmax_cross_entropy(logits, labels, **options),
        )
        return 2 * one + (other * ROW_WEIGHTS).sum() - logits[0, 1] ** 2

    value, gradient = ce.loss_and_gradient(composed, LOGITS, LABELS)
    half = ce.loss_and_gradient(ce.softmax_cross_entropy, LOGITS / 2, LABELS)
    whole = ce.loss_and_gradient(
        ce.softmax_cross_entropy, LOGITS, LABELS, z_loss=0.1, reduction="sum", sample_weight=ROW_WEIGHTS
    )
    expected = half[1] + whole[1]
    expected[0, 1] -= 2 * LOGITS[0, 1]
    np.testing.assert_allclose(value, 2 * half[0] + whole[0] - LOGITS[0, 1] ** 2, rtol=1e-14)
    np.testing.assert_allclose(gradient, expected, rtol=1e-13, atol=1e-15)


def of_no_logits(logits, labels):
    return ce.log_loss(np.full((6, 4), 0.25), labels)


def of_a_constant(logits, labels):
    return ce.softmax_cross_entropy(constant(logits), labels)


def of_a_number(logits, labels):
    return 2 * float(ce.softmax_cross_entropy(logits, labels))


def of_other_logits(logits, labels):
    return Taped(LOGITS).sum()


@pytest.mark.parametrize("loss", [of_no_logits, of_a_constant, of_a_number, of_other_logits])
def test_what_was_not_computed_from_the_logits_is_refused(loss):
    with pytest.raises(
        TypeError, match=f"^{loss.__name__} has no gradient: what it returns.*was not computed"
    ):
        ce.loss_and_gradient(loss, LOGITS, LABELS)


def test_logits_of_another_library_are_refused():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"torch\.Tensor; loss_and_gradient is for NumPy arrays"):
        ce.loss_and_gradient(ce.softmax_cross_entropy, torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64))


def test_logits_wider_than_float64_are_refused_with_their_dtype():
    if np.dtype(np.longdouble).itemsize == 8:
        pytest.skip("this platform's long double is float64")
    with pytest.raises(TypeError, match="gradients are for float64 and narrower"):
        ce.loss_and_gradient(ce.softmax_cross_entropy, LOGITS.astype(np.longdouble), LABELS)


def test_a_nested_gradient_is_a_constant_and_a_nested_value_is_not():
    def penalized(logits, labels):
        plain, gradient = ce.loss_and_gradient(ce.softmax_cross_entropy, logits, labels)
        assert isinstance(gradient, np.ndarray)
        assert is_taped(plain)
        weights = 1 + np.abs(gradient).sum(axis=1)
        return plain + ce.softmax_cross_entropy(logits, labels, sample_weight=weights)

    value, gradient = ce.loss_and_gradient(penalized, LOGITS, LABELS)
    plain, first = ce.loss_and_gradient(ce.softmax_cross_entropy, LOGITS, LABELS)
    weights = 1 + np.abs(first).sum(axis=1)
    weighted = ce.loss_and_gradient(ce.softmax_cross_entropy, LOGITS, LABELS, sample_weight=weights)
    assert_same((value, gradient), (plain + weighted[0], first + weighted[1]))


def test_threads_differentiate_the_same_logits_at_once():
    together = threading.Barrier(2, timeout=30)
    found = {}

    def run(gamma):
        def loss(logits, labels):
            together.wait()
            value = focal(logits, labels, gamma)
            together.wait()
            return value

        found[gamma] = ce.loss_and_gradient(loss, LOGITS, LABELS)

    threads = [threading.Thread(target=run, args=(gamma,)) for gamma in (0.0, 3.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for gamma in (0.0, 3.0):
        assert_same(found[gamma], ce.loss_and_gradient(focal, LOGITS, LABELS, gamma))


def test_a_single_logit_is_differentiated_too():
    value, gradient = ce.loss_and_gradient(ce.sigmoid_cross_entropy, np.float64(0.0), np.int64(1))
    assert float(value) == pytest.approx(np.log(2))
    assert float(gradient) == -0.5


def test_a_linear_head_is_differentiated_by_any_of_its_arrays_and_in_compositions():
    hidden, weight = RNG.normal(size=(6, 3)), RNG.normal(size=(4, 3))
    value, gradients = ce.losses.linear_loss_and_gradients(hidden, weight, LABELS)
    by_hidden = ce.loss_and_gradient(ce.linear_cross_entropy, hidden, weight, LABELS)
    by_weight = ce.loss_and_gradient(lambda w: 2 * ce.linear_cross_entropy(hidden, w, LABELS), weight)
    np.testing.assert_allclose(by_hidden[0], value, rtol=1e-14)
    np.testing.assert_allclose(by_hidden[1], gradients.hidden, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(by_weight[1], 2 * gradients.weight, rtol=1e-12, atol=1e-15)
    losses = ce.linear_cross_entropy(hidden, weight, LABELS, reduction="none")
    _, by_row = ce.loss_and_gradient(
        lambda w: ce.linear_cross_entropy(hidden, weight, LABELS, sample_weight=w, reduction="sum"),
        ROW_WEIGHTS,
    )
    np.testing.assert_allclose(by_row, losses, rtol=1e-13)


def test_statistics_of_targets_are_differentiated_by_one_pass_of_the_kernel():
    """A policy loss: −A log p, less the entropy, with a term of the log-partition."""
    advantages = RNG.normal(size=6)

    def policy(logits, actions):
        found = ce.target_statistics(logits, actions, entropy=True)
        return (-advantages * found.log_prob - 0.1 * found.entropy + 0.01 * found.logsumexp**2).sum()

    value, gradient = ce.loss_and_gradient(policy, LOGITS, LABELS)
    expected = ce.loss_and_gradient(
        ce.losses.policy_gradient, LOGITS, LABELS, advantages, entropy_bonus=0.1, reduction="sum"
    )
    L = np.log(np.exp(LOGITS).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(value, expected[0] + 0.01 * np.sum(L**2), rtol=1e-13)
    np.testing.assert_allclose(gradient, expected[1] + 0.02 * L * np.exp(LOGITS - L), rtol=1e-12, atol=1e-15)


def test_what_depends_on_the_logits_beside_them_is_differentiated():
    """A weight, a target, a temperature and a link's number, made of the logits."""

    def loss(logits, labels):
        p = ce.target_statistics(logits, labels).prob
        weighted = ce.softmax_cross_entropy(logits, labels, sample_weight=p, reduction="sum")
        heated = ce.softmax_cross_entropy(logits, labels, temperature=1 + p, link=ce.links.Focal(p.mean()))
        shares = np.exp(logits) / np.sum(np.exp(logits), axis=1, keepdims=True)
        own = ce.softmax_cross_entropy(LOGITS[::-1], shares)  # the logits of this one are constants
        answers = ce.sigmoid_cross_entropy(logits, shares, sample_weight=shares)
        return weighted + heated + own + answers

    value, gradient = ce.loss_and_gradient(loss, LOGITS, LABELS)
    assert value == pytest.approx(loss(LOGITS, LABELS), rel=1e-13)
    for i in np.ndindex(LOGITS.shape):
        step = np.zeros_like(LOGITS)
        step[i] = 1e-3
        moved = [loss(LOGITS + k * step, LABELS) for k in (1, -1, 2, -2)]
        slope = (8 * (moved[0] - moved[1]) - (moved[2] - moved[3])) / 12e-3
        assert gradient[i] == pytest.approx(slope, rel=1e-8, abs=1e-9)


# ------------------------------------------------------------------------------------- every loss there is

EVERY = [case for case in CASES if "numpy" in case.libraries]
each_case = pytest.mark.parametrize("case", EVERY, ids=[case.name for case in EVERY])


def gradient_of_case(case, reduction, dtype="float64"):
    """What is called as a user calls it: the inputs by position, the rest by keyword."""
    inputs, rest = Library("numpy", dtype).arguments(case, {}, {})
    options = {"reduction": reduction} if case.rows else {}
    return ce.loss_and_gradient(case.function(ce.losses), *inputs, **rest, **options)


def gradient_by_torch(case, reduction, dtype="float64"):
    lib = Library("torch", dtype)
    (first, *others), rest = lib.arguments(case, {}, {})
    options = {"reduction": reduction} if case.rows else {}
    value = case.function(ce.losses)(first.requires_grad_(), *others, **rest, **options)
    value.sum().backward()
    return value.detach().numpy(), first.grad.numpy()


@each_case
def test_every_loss_has_the_gradient_that_pytorch_has(case):
    pytest.importorskip("torch")
    for reduction in ("mean", "sum", "none") if case.rows else ("mean",):
        value, gradient = gradient_of_case(case, reduction)
        truth, slope = gradient_by_torch(case, reduction)
        np.testing.assert_allclose(value, truth, rtol=1e-13, atol=1e-14)
        np.testing.assert_allclose(gradient, slope, rtol=1e-12, atol=1e-13 * np.abs(slope).max())


@each_case
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_every_loss_has_a_gradient_in_the_precision_of_its_logits(case, dtype):
    pytest.importorskip("torch")
    value, gradient = gradient_of_case(case, "mean", dtype)
    truth, slope = gradient_by_torch(case, "mean", dtype)
    assert (value.dtype, gradient.dtype, gradient.shape) == (np.float32, dtype, slope.shape)
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(value, truth, rtol=1e-5)
    np.testing.assert_allclose(gradient, slope, rtol=8 * eps, atol=eps * np.abs(slope).max())
