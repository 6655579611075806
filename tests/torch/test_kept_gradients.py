"""Gradients in memory that is kept for the next behave as any other tensor."""

import pickle

import pytest
import torch

import crossentropy.torch as ce

SHAPE = (700, 1000)  # in float32 more than one page of 2 MiB


def gradient(seed: int, layout=lambda z: z) -> torch.Tensor:
    z = torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))
    z = layout(z).requires_grad_()
    y = torch.arange(SHAPE[0]) % SHAPE[1]
    ce.cross_entropy(z, y).backward()
    assert z.grad is not None
    return z.grad


def test_a_gradient_outlives_those_that_follow():
    first = gradient(0)
    copy = first.clone()
    for seed in range(1, 5):
        gradient(seed)
    assert torch.equal(first, copy)


def test_the_gradient_lies_as_the_logits_do():
    found = gradient(0, lambda z: z.t().contiguous().t())
    assert found.stride() == (1, SHAPE[0])
    torch.testing.assert_close(found, gradient(0), rtol=1e-5, atol=0)


def test_a_gradient_is_a_leafs_own_and_may_be_pickled_and_changed():
    found = gradient(0)
    copy = pickle.loads(pickle.dumps(found))
    assert torch.equal(copy, found)
    found.zero_()
    assert copy.abs().sum() > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_two_steps_give_the_same_bits_in_used_memory(dtype):
    def step() -> torch.Tensor:
        z = torch.linspace(-3, 3, 3_000_000).to(dtype).reshape(3000, 1000).requires_grad_()
        ce.cross_entropy(z, torch.arange(3000) % 1000, label_smoothing=0.1).backward()
        return z.grad

    first = step().clone()
    assert torch.equal(step(), first)


def test_accumulated_gradients_add_up():
    z = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0)).requires_grad_()
    y = torch.arange(SHAPE[0])
    for _ in range(3):
        ce.cross_entropy(z, y).backward()
    torch.testing.assert_close(z.grad, 3 * gradient(0))
