"""Second derivatives that kernels have: against the composition of PyTorch's own operations, in float64."""

import numpy as np
import pytest

import crossentropy as ce

torch = pytest.importorskip("torch")

from crossentropy._engine.softmax import curvature  # noqa: E402
from losses.second_order import derivatives  # noqa: E402

N, C = 6, 5
R = np.random.default_rng(0)
Y = torch.tensor([0, 4, 2, 1, 1, 3])
Q = torch.tensor(R.dirichlet(np.ones(C), N))
W = torch.tensor(R.uniform(0.5, 2.0, C))
OMEGA = torch.tensor([1.0, 0.0, 2.0, 0.5, 1.0, 3.0], dtype=torch.float64)
BIAS = torch.tensor(R.normal(size=C))
SEVERAL = torch.stack([Y, (Y + 1) % C], -1)
SHARES = torch.tensor([[0.7, 0.3]] * N, dtype=torch.float64)
NOISE = torch.full((C, C), 0.05, dtype=torch.float64) + 0.75 * torch.eye(C, dtype=torch.float64)
HOT = torch.eye(C, dtype=torch.float64)
HALF = torch.tensor(R.dirichlet(np.ones(C))).bfloat16()
ADVANTAGES = torch.tensor(R.normal(size=N))

#: The call, and the masses a of every row, of logits u = z/T + b.
CASES = {
    "labels": (lambda z, **o: ce.softmax_cross_entropy(z, Y, **o), HOT[Y], 1.0, 0.0),
    "temperature and bias": (
        lambda z, **o: ce.softmax_cross_entropy(z, Y, temperature=2.5, logit_bias=BIAS, **o),
        HOT[Y],
        2.5,
        BIAS,
    ),
    "smoothed": (
        lambda z, **o: ce.softmax_cross_entropy(z, Y, label_smoothing=0.2, **o),
        0.8 * HOT[Y] + 0.2 / C,
        1.0,
        0.0,
    ),
    "smoothed, of weighted classes": (
        lambda z, **o: ce.softmax_cross_entropy(z, Y, label_smoothing=0.2, class_weight=W, **o),
        W * (0.8 * HOT[Y] + 0.2 / C),
        1.0,
        0.0,
    ),
    "smoothed by a prior and weights of bfloat16, whose products it does not hold": (
        lambda z, **o: ce.softmax_cross_entropy(
            z, Y, label_smoothing=0.2, smoothing_prior=HALF, class_weight=W.bfloat16(), **o
        ),
        W.bfloat16().double() * (0.8 * HOT[Y] + 0.2 * HALF.double()),
        1.0,
        0.0,
    ),
    "soft targets": (lambda z, **o: ce.softmax_cross_entropy(z, Q, **o), Q, 1.0, 0.0),
    "soft targets, of weighted classes": (
        lambda z, **o: ce.softmax_cross_entropy(z, Q, class_weight=W, temperature=0.5, **o),
        W * Q,
        0.5,
        0.0,
    ),
    "several labels": (
        lambda z, **o: ce.softmax_cross_entropy(z, ce.targets.Sparse(SEVERAL, SHARES), **o),
        0.7 * HOT[Y] + 0.3 * HOT[(Y + 1) % C],
        1.0,
        0.0,
    ),
    "policy gradient": (
        lambda z, **o: ce.losses.policy_gradient(z, Y, ADVANTAGES, **o),
        ADVANTAGES[:, None] * HOT[Y],
        1.0,
        0.0,
    ),
    "backward correction": (
        lambda z, **o: ce.losses.backward_corrected_loss(z, Y, NOISE, **o),
        torch.linalg.inv(NOISE)[Y],
        1.0,
        0.0,
    ),
}


def by_hand(z, a, T, b, weights=1.0):
    u = z / T + b
    return weights * (a.sum(-1) * torch.logsumexp(u, -1) - (a * u).sum(-1))


@pytest.mark.parametrize("reduction", ["none", "sum"])
@pytest.mark.parametrize("case", CASES)
def test_the_second_derivative_is_that_of_the_composition(case, reduction, monkeypatch):
    loss, a, T, b = CASES[case]
    calls = []
    along = curvature.along
    monkeypatch.setattr(curvature, "along", lambda *given: calls.append(1) or along(*given))
    z, v = torch.tensor(R.normal(size=(N, C))) * 3, torch.tensor(R.normal(size=(N, C)))
    upstream = torch.tensor(R.normal(size=N)) if reduction == "none" else torch.tensor(1.7).double()
    reduce = (lambda x: x) if reduction == "none" else torch.sum
    found = derivatives(lambda z: loss(z, sample_weight=OMEGA, reduction=reduction), z, upstream, v)
    expected = derivatives(lambda z: reduce(by_hand(z, a, T, b, OMEGA)), z, upstream, v)
    assert calls
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-13)


def test_rows_that_count_for_nothing_have_none_whatever_they_hold():
    z = torch.tensor(R.normal(size=(N, C)))
    z[1], y = float("nan"), Y.clone()
    y[1] = -1
    z.requires_grad_()
    (slope,) = torch.autograd.grad(ce.softmax_cross_entropy(z, y, ignore_index=-1), z, create_graph=True)
    (second,) = torch.autograd.grad(slope.sum() + (slope * W).sum(), z)
    keep = torch.tensor([0, 2, 3, 4, 5])
    x = z.detach()[keep].requires_grad_()
    (expected,) = torch.autograd.grad(torch.nn.functional.cross_entropy(x, y[keep]), x, create_graph=True)
    (expected,) = torch.autograd.grad((expected * W).sum(), x)
    np.testing.assert_array_equal(second[1], np.zeros(C))
    np.testing.assert_allclose(second[keep], expected, rtol=1e-11, atol=1e-15)


def test_a_confident_row_keeps_the_digits_of_its_second_derivative():
    z = torch.tensor([[60.0, 0.0, 1.0]], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(ce.softmax_cross_entropy(z, torch.tensor([0])), z, create_graph=True)
    v = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)
    (second,) = torch.autograd.grad((slope * v).sum(), z)
    rest = np.exp(-60.0) + np.exp(-59.0)
    np.testing.assert_allclose(second[0], [rest, -np.exp(-60.0), -np.exp(-59.0)], rtol=1e-13)


def test_classes_on_another_axis_and_a_direction_with_other_strides():
    z = torch.tensor(R.normal(size=(2, C, 3)), requires_grad=True)
    y, v = torch.tensor([[0, 1, 2], [4, 3, 1]]), torch.tensor(R.normal(size=(3, 2, C))).permute(1, 2, 0)
    (slope,) = torch.autograd.grad(ce.softmax_cross_entropy(z, y, axis=1), z, create_graph=True)
    (second,) = torch.autograd.grad(slope, z, v)
    (slope,) = torch.autograd.grad(torch.nn.functional.cross_entropy(z, y), z, create_graph=True)
    (expected,) = torch.autograd.grad(slope, z, v)
    np.testing.assert_allclose(second, expected, rtol=1e-11, atol=1e-15)


def _bce(z, t):
    return torch.nn.functional.softplus(z) - t * z


def _focal(z, t, gamma):
    p = torch.sigmoid(z)
    return (t * (1 - p) ** gamma + (1 - t) * p**gamma) * _bce(z, t)


T_BINARY = torch.tensor(R.integers(0, 2, (N, C))).double()
ELEMENTS = {
    "labels": ({}, lambda z: _bce(z, T_BINARY)),
    "smoothed": ({"label_smoothing": 0.3}, lambda z: _bce(z, 0.7 * T_BINARY + 0.15)),
    "positive weight": ({"pos_weight": 3.0}, lambda z: _bce(z, T_BINARY) * (1 + 2 * T_BINARY)),
    "focal": ({"link": ce.links.Focal(2.0)}, lambda z: _focal(z, T_BINARY, 2.0)),
}


@pytest.mark.parametrize("reduction", ["none", "sum"])
@pytest.mark.parametrize("case", ELEMENTS)
def test_the_second_derivative_of_a_sigmoid_loss_is_that_of_the_composition(case, reduction):
    options, expected = ELEMENTS[case]
    z, v = torch.tensor(R.normal(size=(N, C))), torch.tensor(R.normal(size=(N, C)))
    upstream = torch.tensor(R.normal(size=(N, C))) if reduction == "none" else torch.tensor(1.7).double()
    reduce = (lambda x: x) if reduction == "none" else torch.sum
    found = derivatives(
        lambda z: ce.sigmoid_cross_entropy(z, T_BINARY, reduction=reduction, **options), z, upstream, v
    )
    for ours, theirs in zip(found, derivatives(lambda z: reduce(expected(z)), z, upstream, v), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("reduction", ["none", "sum"])
def test_the_second_derivative_of_a_distillation_is_that_of_the_composition(reduction):
    z, teacher, v = (torch.tensor(R.normal(size=(N, C))) for _ in range(3))
    upstream = torch.tensor(R.normal(size=N)) if reduction == "none" else torch.tensor(1.7).double()
    reduce = (lambda x: x) if reduction == "none" else torch.sum
    q = torch.softmax(teacher / 2, -1)

    def by_hand(z):
        return reduce(OMEGA * 4 * (q * (q.log() - torch.log_softmax(z / 2, -1))).sum(-1))

    def ours(z):
        options = {"temperature": 2.0, "sample_weight": OMEGA, "reduction": reduction}
        return ce.losses.distillation_loss(z, teacher, **options)

    for one, other in zip(
        derivatives(ours, z, upstream, v), derivatives(by_hand, z, upstream, v), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("kind", ["crammer-singer", "weston-watkins"])
def test_a_hinge_is_linear_and_its_slope_is_that_along_a_direction(kind):
    z = torch.tensor(R.normal(size=(N, C)), requires_grad=True)
    upstream, v = torch.tensor(R.normal(size=N), requires_grad=True), torch.tensor(R.normal(size=(N, C)))
    losses = ce.losses.hinge_loss(z, Y, kind=kind, reduction="none")
    (slope,) = torch.autograd.grad(losses, z, upstream, create_graph=True)
    second, by_upstream = torch.autograd.grad((slope * v).sum(), [z, upstream])
    np.testing.assert_array_equal(second, np.zeros((N, C)))
    step = 1e-6
    moved = ce.losses.hinge_loss(z.detach() + step * v, Y, kind=kind, reduction="none")
    np.testing.assert_allclose(by_upstream, (moved - losses.detach()) / step, rtol=1e-6, atol=1e-8)
