"""A bias of classes beside rows of many classes: loss and gradient against float64 arithmetic on the sum of both."""

import numpy as np
import pytest
import torch

from crossentropy import softmax_cross_entropy
from crossentropy.targets import Sparse

CLASSES = (129, 192, 1000, 4096, 8192 + 65)
#: What rounding of u = z/T + b, of size up to 30, may cost.
ABSOLUTE = {torch.float64: 2e-13, torch.float32: 2e-5, torch.bfloat16: 2e-5, torch.float16: 2e-5}


def by_definition(u, masses):
    """The loss of each row, and its gradient by u."""
    top = u.max(axis=1, keepdims=True)
    log_p = u - top - np.log(np.exp(u - top).sum(axis=1, keepdims=True))
    loss = -(masses * np.where(masses > 0, log_p, 0.0)).sum(axis=1)
    return loss, masses.sum(axis=1, keepdims=True) * np.exp(log_p) - masses


def rows(classes, dtype, order):
    """Five rows, a bias that takes two classes away, and a temperature for each row."""
    r = np.random.default_rng(classes)
    z = r.normal(size=(5, classes)) * 4
    if order == "rising":  # every chunk has a higher top than those before
        z.sort(axis=1)
    bias = r.normal(size=classes) * 2
    bias[[3, classes - 2]] = -np.inf
    dtype_of_bias = torch.float64 if dtype is torch.float64 else torch.float32
    return (
        torch.as_tensor(z).to(dtype),
        torch.as_tensor(bias).to(dtype_of_bias),
        torch.as_tensor(r.uniform(0.5, 2.0, 5)),
        r,
    )


@pytest.mark.parametrize("order", ["any", "rising"])
@pytest.mark.parametrize("dtype", ABSOLUTE, ids=lambda d: str(d)[6:])
@pytest.mark.parametrize("classes", CLASSES)
def test_a_bias_beside_many_classes(classes, dtype, order):
    z, bias, temperature, r = rows(classes, dtype, order)
    labels = torch.as_tensor(r.choice(np.delete(np.arange(classes), [3, classes - 2]), 5))
    masses = np.eye(classes)[labels.numpy()]
    u = z.double().numpy() / temperature.numpy()[:, None] + bias.double().numpy()
    loss, slope = by_definition(u, masses)
    z.requires_grad_()
    found = softmax_cross_entropy(z, labels, logit_bias=bias, temperature=temperature, reduction="none")
    found.sum().backward()
    np.testing.assert_allclose(found.detach().double().numpy(), loss, rtol=1e-6, atol=ABSOLUTE[dtype])
    rounding = 2.0**-8 if dtype is torch.bfloat16 else 2.0**-11 if dtype is torch.float16 else 1e-5
    np.testing.assert_allclose(
        z.grad.double().numpy(), slope / temperature.numpy()[:, None], rtol=rounding, atol=1e-7
    )


@pytest.mark.parametrize("library", ["torch", "numpy"])
def test_a_bias_beside_several_labels_with_margins(library):
    classes = 700
    z, bias, temperature, r = rows(classes, torch.float64, "any")
    places = np.stack([r.choice(np.arange(4, classes - 2), 3, replace=False) for _ in range(5)])
    weights = r.random((5, 3))
    masses, margin = np.zeros((5, classes)), r.random(classes)
    np.put_along_axis(masses, places, weights, 1)
    z, bias, temperature = z.numpy(), bias.numpy(), temperature.numpy()
    for target in range(3):  # each label alone has its own margin
        own = np.zeros((5, classes))
        np.put_along_axis(own, places[:, target : target + 1], 1.0, 1)
        u = (z - margin * own) / temperature[:, None] + bias
        expected, _ = by_definition(u, own)
        arguments = [z, places[:, target], bias, temperature, margin]
        if library == "torch":
            arguments = [torch.as_tensor(a) for a in arguments]
        x, y, b, t, m = arguments
        found = softmax_cross_entropy(x, y, logit_bias=b, temperature=t, margin=m, reduction="none")
        np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-13)
    u = z / temperature[:, None] + bias
    expected, _ = by_definition(u, masses)
    found = softmax_cross_entropy(
        z, Sparse(places, weights), logit_bias=bias, temperature=temperature, reduction="none"
    )
    np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_bias_that_is_nan_or_leaves_no_class_is_nan_in_that_row_alone(dtype):
    z = torch.zeros(3, 300, dtype=dtype)
    z[1, 7] = float("nan")
    z[2, :] = -float("inf")
    bias = torch.linspace(-1, 1, 300, dtype=dtype)
    loss = softmax_cross_entropy(z, torch.tensor([1, 2, 3]), logit_bias=bias, reduction="none")
    assert torch.isnan(loss).tolist() == [False, True, True]
