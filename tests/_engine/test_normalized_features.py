"""Features divided by their norms in PyTorch: values, gradients of both orders, rows of zeros, any layout."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from crossentropy._engine.rows.similarity import _over_norms, l2_normalized  # noqa: E402


def features(shape, dtype=torch.float64):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)
    x[1] = 0.0
    return x


@pytest.mark.parametrize("shape", [(5, 1), (5, 3), (3, 40), (4, 16), (3, 4, 17)], ids=str)
def test_values_and_gradients_are_those_of_doubles_rounded_once(shape):
    x, g = features(shape, torch.float32).requires_grad_(), torch.rand(shape)
    y = l2_normalized(x, True)
    (found,) = torch.autograd.grad(y, x, g)
    wide = x.detach().double().numpy()
    norm = np.linalg.norm(wide, axis=-1, keepdims=True)
    norm[norm == 0] = 1.0
    truth = wide / norm
    slope = (g.numpy() - truth * (g.numpy() * truth).sum(-1, keepdims=True)) / norm
    np.testing.assert_allclose(y.detach().numpy(), truth, rtol=2.0**-23, atol=0)
    np.testing.assert_allclose(found.numpy(), slope, rtol=2.0**-22, atol=1e-14)


@pytest.mark.parametrize("transposed", [False, True])
def test_derivatives_of_both_orders_are_the_differences(transposed):
    x = features((4, 3))[2:] if not transposed else features((3, 2))[[0, 2]].T.contiguous().T
    assert x.is_contiguous() is not transposed
    x.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: l2_normalized(x, True), x)
    slopes = [
        torch.autograd.grad(l2_normalized(x, True).sin().sum(), x, create_graph=c) for c in (False, True)
    ]
    torch.testing.assert_close(*(slope.detach() for (slope,) in slopes))
    assert torch.autograd.gradgradcheck(lambda x: l2_normalized(x, True), x)


def test_transforms_take_the_formula():
    x = features((3, 4))[[0, 2]]
    found = torch.func.vmap(torch.func.grad(lambda x: l2_normalized(x, True).sin().sum()))(x)
    expected = torch.func.grad(lambda x: _over_norms(x).sin().sum())(x)
    torch.testing.assert_close(found, expected)
