"""Functional transforms of the losses of rows with one label: the kernels' numbers, and derivatives of every order."""

import pytest
import torch
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vmap

from crossentropy import softmax_cross_entropy
from crossentropy._statistics.torch import transforms
from crossentropy._statistics.torch.kernels import backward
from crossentropy.links import Focal


@pytest.fixture(autouse=True)
def _small_problems_take_the_kernels_too(monkeypatch):
    monkeypatch.setattr(transforms, "SMALL", 0)


torch.manual_seed(0)
LOGITS = torch.randn(6, 9)
LABELS = torch.tensor([0, 8, 3, 3, 1, 5])
DIRECTION = torch.randn(6, 9)


@pytest.mark.parametrize("options", [{}, {"temperature": 0.5}, {"ignore_index": 3}, {"link": Focal(2.0)}])
def test_the_gradient_of_a_transform_is_that_of_the_backward_pass(options):
    def loss(z):
        return softmax_cross_entropy(z, LABELS, **options)

    z = LOGITS.clone().requires_grad_()
    (truth,) = torch.autograd.grad(loss(z), z)
    torch.testing.assert_close(grad(loss)(LOGITS), truth, rtol=4e-7, atol=1e-10)


@pytest.mark.parametrize("in_dims", [(0, 0), (1, 0), (0, None), (None, 0)])
def test_a_batch_is_what_its_members_are(in_dims):
    logits = LOGITS if in_dims[0] != 1 else LOGITS.T
    labels = LABELS
    if in_dims[1] is None:
        labels = LABELS[2]
    if in_dims[0] is None:
        logits = LOGITS[1]
    found = vmap(grad(softmax_cross_entropy), in_dims)(logits, labels)
    each = [
        grad(softmax_cross_entropy)(
            LOGITS[1] if in_dims[0] is None else LOGITS[i], labels if in_dims[1] is None else labels[i]
        )
        for i in range(6)
    ]
    assert torch.equal(found, torch.stack(each))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 2.0},
        {"logit_bias": torch.linspace(-1, 1, 4).double(), "margin": 0.3},
        {"label_smoothing": 0.2},
        {"softcap": 3.0},
        {"z_loss": 0.1, "entropy_bonus": 0.1},
        {"link": Focal(2.0)},
        {"ignore_index": 1, "sample_weight": torch.tensor([1.0, 2.0, 0.5]).double()},
    ],
    ids=lambda options: ",".join(options) or "plain",
)
def test_second_derivatives_are_those_of_finite_differences(options):
    z, y = (
        torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)),
        torch.tensor([1, 0, 3]),
    )

    def loss(z):
        return softmax_cross_entropy(z, y, **options)

    step = 1e-5
    unit = torch.eye(12, dtype=torch.float64).reshape(12, 3, 4) * step
    truth = torch.stack([(grad(loss)(z + u) - grad(loss)(z - u)) / (2 * step) for u in unit]).reshape(
        3, 4, 3, 4
    )
    for second in (hessian(loss), jacrev(jacrev(loss)), jacrev(jacfwd(loss)), jacfwd(jacfwd(loss))):
        torch.testing.assert_close(second(z), truth, rtol=1e-6, atol=1e-9)
    x = z.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(x), x, create_graph=True)
    rows = [torch.autograd.grad(s, x, retain_graph=True)[0] for s in slope.flatten()]
    torch.testing.assert_close(torch.stack(rows).reshape(3, 4, 3, 4), truth, rtol=1e-6, atol=1e-9)


def test_a_third_derivative_is_that_of_finite_differences():
    z, y = LOGITS[:1, :3].double(), torch.tensor([2])

    def loss(z):
        return softmax_cross_entropy(z, y)

    step = 1e-4
    unit = torch.eye(3, dtype=torch.float64)[:, None] * step
    truth = torch.stack([(hessian(loss)(z + u) - hessian(loss)(z - u)) / (2 * step) for u in unit], dim=-1)
    third = jacrev(hessian(loss))(z)
    torch.testing.assert_close(third.reshape(3, 3, 3), truth.reshape(3, 3, 3), rtol=1e-5, atol=1e-8)


def test_a_directional_derivative_is_the_gradient_times_the_direction():
    def loss(z):
        return softmax_cross_entropy(z, LABELS, reduction="none")

    _, found = jvp(loss, (LOGITS,), (DIRECTION,))
    truth = (grad(lambda z: loss(z).sum())(LOGITS).double() * DIRECTION).sum(-1).float()
    torch.testing.assert_close(found, truth, rtol=1e-6, atol=1e-7)


def test_a_label_outside_the_classes_is_named_in_a_batch():
    with pytest.raises(ValueError, match="label 9"):
        vmap(grad(softmax_cross_entropy))(LOGITS, LABELS + 1)


def test_large_problems_take_the_kernels(monkeypatch):
    monkeypatch.undo()
    seen = []
    monkeypatch.setattr(transforms, "backward", lambda *a: seen.append(a) or backward(*a))
    for rows in (3, 4000):
        grad(softmax_cross_entropy)(torch.zeros(rows, 9), torch.zeros(rows, dtype=torch.long))
    assert len(seen) == 1
