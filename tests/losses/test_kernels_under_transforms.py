"""Losses under `torch.func.grad`, `vjp` and `jvp`: the kernels' own, beside eager gradients and finite differences."""

import pytest
import torch
from torch import func

import crossentropy as ce
from crossentropy import losses
from crossentropy._statistics.torch import functional
from crossentropy.links import Focal, GeneralizedCrossEntropy

ROWS, CLASSES = 7, 5


def numbers(seed, shape=(ROWS, CLASSES)):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


LABELS = torch.tensor([0, 4, 2, 1, 3, 2, 0])
TEACHER, VIEW = numbers(1), numbers(2)
SOFT = TEACHER.softmax(-1)
COUNTS = torch.tensor([100.0, 50.0, 20.0, 10.0, 5.0])
YES = (numbers(3) > 0).double()
WEIGHT = numbers(4, (ROWS,)).exp()
LOSSES = {
    "plain": lambda z, **more: ce.softmax_cross_entropy(z, LABELS, **more),
    "smoothed": lambda z, **more: ce.softmax_cross_entropy(z, LABELS, label_smoothing=0.1, **more),
    "weighted": lambda z, **more: ce.softmax_cross_entropy(
        z, LABELS, sample_weight=WEIGHT, class_weight=COUNTS, z_loss=1e-3, **more
    ),
    "soft": lambda z, **more: ce.softmax_cross_entropy(z, SOFT, **more),
    "focal, soft": lambda z, **more: ce.softmax_cross_entropy(z, SOFT, link=Focal(2.0), **more),
    "generalized, smoothed": lambda z, **more: ce.softmax_cross_entropy(
        z, LABELS, link=GeneralizedCrossEntropy(0.7), label_smoothing=0.1, **more
    ),
    "poly": lambda z, **more: losses.poly_loss(z, LABELS, **more),
    "balanced": lambda z, **more: losses.balanced_softmax_loss(z, LABELS, COUNTS, **more),
    "hard bootstrapping": lambda z, **more: losses.hard_bootstrapping_loss(z, LABELS, **more),
    "brier": lambda z, **more: losses.brier_loss(z, LABELS, **more),
    "hinge": lambda z, **more: losses.hinge_loss(z, LABELS, kind="weston-watkins", **more),
    "distillation": lambda z, **more: losses.distillation_loss(z, TEACHER, LABELS, **more),
    "reverse distillation": lambda z, **more: losses.distillation_loss(
        z, TEACHER, direction="reverse", **more
    ),
    "jsd": lambda z, **more: losses.jsd_consistency(z, TEACHER, VIEW, **more),
    "sigmoid": lambda z, **more: ce.sigmoid_cross_entropy(z, YES, pos_weight=COUNTS, **more),
    "sigmoid focal": lambda z, **more: losses.sigmoid_focal_loss(z, YES, **more),
    "asymmetric": lambda z, **more: losses.asymmetric_loss(z, YES, **more),
    "coral": lambda z, **more: losses.coral_loss(z, LABELS, **more),
    "generator": lambda z, **more: losses.generator_loss(z, **more),
}
every_loss = pytest.mark.parametrize("name", LOSSES)


@pytest.fixture
def taken(monkeypatch):
    """The losses that kernels have served under a transform."""
    served = []
    own = functional.differentiable

    def counted(loss, *tensors):
        served.append(loss)
        return own(loss, *tensors)

    monkeypatch.setattr(functional, "differentiable", counted)
    return served


def eager(loss, z, upstream=None):
    z = z.detach().requires_grad_()
    (slope,) = torch.autograd.grad(loss(z), z, upstream)
    return slope


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@every_loss
def test_a_gradient_has_the_bits_of_the_eager_one(name, dtype, taken):
    z = numbers(0).to(dtype)
    assert torch.equal(func.grad(LOSSES[name])(z), eager(LOSSES[name], z))
    assert taken


@every_loss
def test_a_pullback_of_rows_has_the_bits_of_the_eager_one(name, taken):
    def rows(z):
        return LOSSES[name](z, reduction="none")

    z = numbers(0)
    value, pull = func.vjp(rows, z)
    upstream = numbers(5, tuple(value.shape))
    assert torch.equal(value, rows(z))
    assert torch.equal(pull(upstream)[0], eager(rows, z, upstream))
    assert taken


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@every_loss
def test_a_derivative_along_a_direction_is_that_of_differences(name, reduction, taken):
    def loss(z):
        return LOSSES[name](z, reduction=reduction)

    z, direction, h = numbers(0), numbers(6), 1e-6
    value, along = func.jvp(loss, (z,), (direction,))
    assert torch.equal(value, loss(z))
    differences = (loss(z + h * direction) - loss(z - h * direction)) / (2 * h)
    torch.testing.assert_close(along, differences, rtol=1e-7, atol=1e-8)
    assert taken


@pytest.mark.parametrize("way", ["reverse over reverse", "forward over reverse", "reverse over forward"])
@every_loss
def test_second_derivatives_are_those_of_differences(name, way):
    loss, z, v, h = LOSSES[name], numbers(0), numbers(6), 1e-6
    slope = func.grad(loss)
    if way == "reverse over reverse":
        found = func.grad(lambda z: (slope(z) * v).sum())(z)
    elif way == "forward over reverse":
        found = func.jvp(slope, (z,), (v,))[1]
    else:
        found = func.grad(lambda z: func.jvp(loss, (z,), (v,))[1])(z)
    differences = (eager(loss, z + h * v) - eager(loss, z - h * v)) / (2 * h)
    torch.testing.assert_close(found, differences, rtol=1e-6, atol=1e-7)


@every_loss
def test_a_gradient_of_each_of_several_matrices_is_the_eager_one(name):
    z = numbers(0, (3, ROWS, CLASSES))
    found = func.vmap(func.grad(LOSSES[name]))(z)
    expected = torch.stack([eager(LOSSES[name], x) for x in z])
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


DEPENDENT = {
    "soft targets": lambda z: (
        ce.softmax_cross_entropy(TEACHER, z.softmax(-1)) + ce.softmax_cross_entropy(z, SOFT)
    ),
    "weights of rows": lambda z: ce.softmax_cross_entropy(
        z, SOFT, sample_weight=z[:, 0].exp(), normalizer="count"
    ),
    "logits twice": lambda z: losses.jsd_consistency(z, z.flip(0), VIEW),
    "weights of answers": lambda z: ce.sigmoid_cross_entropy(
        z, YES, sample_weight=z.exp(), normalizer="count"
    ),
    "answers": lambda z: ce.sigmoid_cross_entropy(z, z.sigmoid()),
    "detached teacher": lambda z: losses.distillation_loss(z, 2 * z.detach()),
    "detached targets": lambda z: ce.softmax_cross_entropy(z, (2 * z.detach()).softmax(-1)),
}


@pytest.mark.parametrize("name", DEPENDENT)
def test_what_depends_on_the_logits_besides_has_its_derivative_too(name):
    loss, z, direction = DEPENDENT[name], numbers(0), numbers(6)
    slope = eager(loss, z)
    torch.testing.assert_close(func.grad(loss)(z), slope, rtol=1e-10, atol=1e-12)
    along = func.jvp(loss, (z,), (direction,))[1]
    torch.testing.assert_close(along, (slope * direction).sum(), rtol=1e-10, atol=1e-12)
    outer = func.grad(lambda z: func.grad(loss)(z).sum())(z)
    x = z.clone().requires_grad_()
    (first,) = torch.autograd.grad(loss(x), x, create_graph=True)
    torch.testing.assert_close(outer, torch.autograd.grad(first.sum(), x)[0], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("rows", [3, 70_000])
def test_a_loss_that_only_forward_derivatives_reach_has_no_gradient_of_its_own(rows):
    """There the upstream gradient of the value is a tensor of zeros that has no memory."""
    z, v = numbers(0, (rows, 2)), numbers(6, (rows, 2))
    labels, weight = torch.arange(rows) % 2, numbers(7, (rows,))

    def weighted(z):
        return (weight * ce.softmax_cross_entropy(z, labels, reduction="none")).sum()

    found = func.grad(lambda z: func.jvp(weighted, (z,), (v,))[1])(z)
    p = z.softmax(-1)
    expected = weight[:, None] * p * (v - (p * v).sum(-1, keepdim=True))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_a_parameter_of_an_outer_graph_gets_its_gradient():
    z = numbers(0).requires_grad_()
    slope = func.grad(LOSSES["soft"])(z)
    (found,) = torch.autograd.grad(slope.square().sum(), z)
    x = numbers(0).requires_grad_()
    (first,) = torch.autograd.grad(LOSSES["soft"](x), x, create_graph=True)
    torch.testing.assert_close(found, torch.autograd.grad(first.square().sum(), x)[0])


def test_bad_labels_are_named_under_a_transform():
    with pytest.raises(ValueError, match="labels"):
        func.grad(lambda z: losses.brier_loss(z, LABELS + 1))(numbers(0))


def test_another_default_device_changes_nothing():
    z, v = numbers(0), numbers(6)
    expected = func.jvp(LOSSES["soft"], (z,), (v,))
    with torch.device("meta"):
        found = func.jvp(LOSSES["soft"], (z,), (v,))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
