"""Second derivatives of losses of every class, of divergences and of statistics, which native code has: in float64."""

import numpy as np
import pytest

import crossentropy as ce

torch = pytest.importorskip("torch")

from crossentropy._engine.softmax import curvature  # noqa: E402
from crossentropy._statistics.torch import kernels, transforms  # noqa: E402
from losses.second_order import derivatives  # noqa: E402

N, C = 6, 5
R = np.random.default_rng(3)
Y = torch.tensor([0, 4, 2, 1, 1, 3])
HOT = torch.eye(C, dtype=torch.float64)
Q = torch.tensor(R.dirichlet(np.ones(C), N))
W = torch.tensor(R.uniform(0.5, 2.0, C))
OMEGA = torch.tensor([1.0, 0.0, 2.0, 0.5, 1.0, 3.0], dtype=torch.float64)
ADVANTAGES = torch.tensor(R.normal(size=N))
NOISE = torch.full((C, C), 0.05, dtype=torch.float64) + 0.75 * HOT
T1, T2 = 0.7, 1.4


def rows():
    """Logits of float64, confident and not, and a direction."""
    z = torch.tensor(R.normal(size=(N, C)))
    z[2] *= 10
    return z, torch.tensor(R.normal(size=(N, C)))


def log_p(z):
    return torch.log_softmax(z, -1)


def focal(z, a, gamma=1.5):
    return -(a * (1 - log_p(z).exp()) ** gamma * log_p(z)).sum(-1)


def power(z, a, q=0.6):
    return (a * (1 - (q * log_p(z)).exp()) / q).sum(-1)


def brier(z, t):
    return ((log_p(z).exp() - t) ** 2).sum(-1)


def bi_tempered(z, q):
    """With λ the root of ``Σ exp_t2(z − λ) = 1``, from which two steps of Newton's have its derivatives."""

    def tempered(x):
        return (1 + (1 - T2) * x) ** (1 / (1 - T2))

    def step(u, s):
        p = tempered(u - s)
        return s + (p.sum(-1, keepdim=True) - 1) / (p**T2).sum(-1, keepdim=True)

    def log_t(x):
        return (x ** (1 - T1) - 1) / (1 - T1)

    s = z.detach().max(-1, keepdim=True).values
    for _ in range(60):
        s = step(z.detach(), s)
    for _ in range(3):
        s = step(z, s)
    p = tempered(z - s)
    return (q * (log_t(q) - log_t(p)) - (q ** (2 - T1) - p ** (2 - T1)) / (2 - T1)).sum(-1)


#: The loss of rows and the same by hand.
CLASSES = {
    "focal, soft targets": (
        lambda z, **o: ce.softmax_cross_entropy(z, Q, link=ce.links.Focal(1.5), **o),
        lambda z: focal(z, Q),
    ),
    "focal, smoothed, of weighted classes": (
        lambda z, **o: ce.softmax_cross_entropy(
            z, Y, link=ce.links.Focal(1.5), label_smoothing=0.2, class_weight=W, **o
        ),
        lambda z: focal(z, W * (0.8 * HOT[Y] + 0.2 / C)),
    ),
    "generalized, soft targets": (
        lambda z, **o: ce.softmax_cross_entropy(
            z, Q, link=ce.links.GeneralizedCrossEntropy(0.6), temperature=2.5, **o
        ),
        lambda z: power(z / 2.5, Q),
    ),
    "brier": (lambda z, **o: ce.losses.brier_loss(z, Y, **o), lambda z: brier(z, HOT[Y])),
    "brier, soft targets": (lambda z, **o: ce.losses.brier_loss(z, Q, **o), lambda z: brier(z, Q)),
    "bi-tempered": (
        lambda z, **o: ce.losses.bi_tempered_loss(z, Q, t1=T1, t2=T2, **o),
        lambda z: bi_tempered(z, Q),
    ),
    "forward correction": (
        lambda z, **o: ce.losses.forward_corrected_loss(z, Y, NOISE, **o),
        lambda z: -torch.log((log_p(z).exp() * NOISE.T[Y]).sum(-1)),
    ),
}


def compare(ours, by_hand, reduction, weights=OMEGA):
    z, v = rows()
    upstream = torch.tensor(R.normal(size=N)) if reduction == "none" else torch.tensor(1.7).double()
    reduce = (lambda x: x) if reduction == "none" else torch.sum
    found = derivatives(lambda z: ours(z, sample_weight=weights, reduction=reduction), z, upstream, v)
    expected = derivatives(lambda z: reduce(weights * by_hand(z)), z, upstream, v)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("reduction", ["none", "sum"])
@pytest.mark.parametrize("case", CLASSES)
def test_the_second_derivative_of_a_loss_of_every_class_is_that_of_the_composition(
    case, reduction, monkeypatch
):
    calls = []
    along = curvature.along
    monkeypatch.setattr(curvature, "along", lambda *given: calls.append(1) or along(*given))
    compare(*CLASSES[case], reduction)
    assert calls


def kullback_leibler(a, b):
    return (a.exp() * (a - b)).sum(-1)


@pytest.mark.parametrize("reduction", ["none", "sum"])
def test_the_second_derivative_of_a_reverse_distillation_is_that_of_the_composition(reduction):
    teacher = torch.tensor(R.normal(size=(N, C)))

    def ours(z, **options):
        return ce.losses.distillation_loss(z, teacher, direction="reverse", temperature=2.0, **options)

    compare(ours, lambda z: 4 * kullback_leibler(log_p(z / 2), log_p(teacher / 2)), reduction)


@pytest.mark.parametrize("constant", [None, 1])
def test_the_second_derivative_of_a_consistency_goes_to_all_of_its_logits(constant):
    z = [torch.tensor(R.normal(size=(N, C))) for _ in range(3)]
    v = [torch.tensor(R.normal(size=(N, C))) for _ in range(3)]

    def by_hand(*z):
        log_m = torch.logsumexp(torch.stack([log_p(x) for x in z]), 0) - np.log(3)
        return sum(kullback_leibler(log_p(x), log_m) for x in z).mean() / 3

    def second(function):
        each = [x.clone().requires_grad_(i != constant) for i, x in enumerate(z)]
        learning = [x for x in each if x.requires_grad]
        along = [x for i, x in enumerate(v) if i != constant]
        slopes = torch.autograd.grad(function(*each), learning, create_graph=True)
        return torch.autograd.grad(slopes, learning, along)

    for one, other in zip(second(ce.losses.jsd_consistency), second(by_hand), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-14)


def asymmetric(z, t, shift=0.2, gamma=2.5, positive_gamma=0.0):
    p = torch.sigmoid(z)
    p_m = torch.clamp(p - shift, min=0)
    negative = torch.where(p > shift, p_m**gamma * -torch.log1p(-p_m), 0.0)
    return t * (1 - p) ** positive_gamma * -torch.log(p) + (1 - t) * negative


@pytest.mark.parametrize("positive_gamma", [0.0, 1.0])
@pytest.mark.parametrize("reduction", ["none", "sum"])
def test_the_second_derivative_of_an_asymmetric_loss_is_that_of_the_composition(reduction, positive_gamma):
    t = torch.tensor(R.integers(0, 2, (N, C))).double()
    z, v = rows()
    upstream = torch.tensor(R.normal(size=(N, C))) if reduction == "none" else torch.tensor(1.7).double()
    reduce = (lambda x: x) if reduction == "none" else torch.sum

    def ours(z):
        options = {"link": ce.links.Focal(positive_gamma), "negative_link": ce.links.Focal(2.5)}
        return ce.sigmoid_cross_entropy(z, t, negative_shift=0.2, reduction=reduction, **options)

    found = derivatives(ours, z, upstream, v)
    expected = derivatives(lambda z: reduce(asymmetric(z, t, positive_gamma=positive_gamma)), z, upstream, v)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def entropy(z):
    return -(log_p(z).exp() * log_p(z)).sum(-1)


def own(z):
    return -log_p(z).gather(-1, Y[:, None])[:, 0]


MARGINS = torch.tensor(R.uniform(0.1, 0.4, C))
#: Losses of one label's statistics.
STATISTICS = {
    "policy gradient with entropy": (
        lambda z, **o: ce.losses.policy_gradient(z, Y, ADVANTAGES, entropy_bonus=0.3, **o),
        lambda z: ADVANTAGES * own(z) - 0.3 * entropy(z),
    ),
    "z-loss": (
        lambda z, **o: ce.softmax_cross_entropy(z, Y, z_loss=0.2, temperature=0.5, **o),
        lambda z: own(2 * z) + 0.2 * torch.logsumexp(2 * z, -1) ** 2,
    ),
    "normalized": (
        lambda z, **o: ce.losses.normalized_cross_entropy(z, Y, **o),
        lambda z: own(z) / -log_p(z).sum(-1),
    ),
    "margins of classes": (
        lambda z, **o: ce.softmax_cross_entropy(
            z, Y, margin=MARGINS, logit_bias=W, link=ce.links.Poly(1.5), entropy_bonus=0.1, **o
        ),
        lambda z: (lambda u: own(u) + 1.5 * (1 - torch.exp(-own(u))) - 0.1 * entropy(u))(
            z - MARGINS * HOT[Y] + W
        ),
    ),
    "smoothed by a prior": (
        lambda z, **o: ce.softmax_cross_entropy(
            z, Y, label_smoothing=0.3, smoothing_prior=W / W.sum(), entropy_bonus=0.2, **o
        ),
        lambda z: 0.7 * own(z) - 0.3 * (W / W.sum() * log_p(z)).sum(-1) - 0.2 * entropy(z),
    ),
}


@pytest.mark.parametrize("reduction", ["none", "sum"])
@pytest.mark.parametrize("case", STATISTICS)
def test_the_second_derivative_of_statistics_is_that_of_the_composition(case, reduction, monkeypatch):
    calls = []
    kernel = kernels.row_curvature
    monkeypatch.setattr(transforms, "SMALL", 0)
    monkeypatch.setattr(transforms, "row_curvature", lambda *given: calls.append(1) or kernel(*given))
    compare(*STATISTICS[case], reduction)
    assert calls


@pytest.mark.parametrize("label", [0, 1])
def test_a_confident_row_keeps_the_digits_of_its_second_derivative(label):
    """Of Brier's score beside a label that the row is sure of: ``2 p_c (…)`` of the others is as small as their p."""
    mpmath = pytest.importorskip("mpmath")
    mpmath.mp.dps = 60
    z, v = [50.0, 0.0, 1.0], [1.0, 0.5, -2.0]

    def slope(step, c):
        u = [mpmath.mpf(x) + step * y for x, y in zip(z, v, strict=True)]
        e = [mpmath.exp(x) for x in u]
        p = [x / sum(e) for x in e]
        d = [x - (i == label) for i, x in enumerate(p)]
        return 2 * p[c] * (d[c] - sum(x * y for x, y in zip(p, d, strict=True)))

    expected = [float(mpmath.diff(lambda step, c=c: slope(step, c), 0)) for c in range(3)]
    x = torch.tensor([z], dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(ce.losses.brier_loss(x, torch.tensor([label])), x, create_graph=True)
    (second,) = torch.autograd.grad(first, x, torch.tensor([v], dtype=torch.float64))
    np.testing.assert_allclose(second[0], expected, rtol=1e-12)


def test_rows_without_weight_have_none_and_invalid_ones_nan():
    z, v = rows()
    z[1], z[4] = float("nan"), float("inf")
    z.requires_grad_()
    losses = ce.losses.brier_loss(z, Q, sample_weight=OMEGA, reduction="sum")
    (slope,) = torch.autograd.grad(losses, z, create_graph=True)
    (second,) = torch.autograd.grad(slope, z, v)
    np.testing.assert_array_equal(second[1], np.zeros(C))
    assert second[4].isnan().all()
    assert second[[0, 2, 3, 5]].isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_half_and_single_precision_round_what_is_computed_in_double(dtype):
    z, v = (x.to(dtype) for x in rows())

    def second(z, v):
        z = z.clone().requires_grad_()
        loss = ce.softmax_cross_entropy(
            z, Q.to(z.dtype), link=ce.links.Focal(2.0), reduction="sum", validate="none"
        )
        (slope,) = torch.autograd.grad(loss, z, create_graph=True)
        return torch.autograd.grad(slope, z, v)[0]

    q = Q.to(dtype).double()
    x = z.double().requires_grad_()
    (slope,) = torch.autograd.grad(focal(x, q, 2.0).sum(), x, create_graph=True)
    (expected,) = torch.autograd.grad(slope, x, v.double())
    eps = torch.finfo(dtype).eps
    np.testing.assert_allclose(second(z, v).double(), expected, rtol=eps, atol=1e-9)
