"""Any loss of a linear head's logits by blocks of rows, and a student and a teacher of which neither has logits."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import crossentropy as ce
from crossentropy._statistics.head import tiles

B, T, D, V = 3, 5, 4, 11


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(tiles, "BLOCK", 4)


def tensors(*shapes, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, dtype=dtype, generator=generator).requires_grad_() for shape in shapes]


def agree(found, expected, inputs):
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    upstream = torch.linspace(-1, 2, found.numel(), dtype=found.dtype).reshape(found.shape)
    ours = torch.autograd.grad(found, inputs, upstream)
    for x, y in zip(ours, torch.autograd.grad(expected, inputs, upstream), strict=True):
        torch.testing.assert_close(x, y, rtol=1e-11, atol=1e-12)


def test_a_hinge_is_that_of_the_whole_logits_in_value_and_gradient():
    hidden, weight, bias, A, up = tensors((B, T, D), (V, D), (V,), (2, D), (V, 2))
    labels = torch.arange(B * T) % V

    def hinge(z, rows):
        return ce.losses.hinge_loss(z, labels[rows], reduction="none")

    found = ce.losses.linear_row_losses(hinge, hidden, weight, bias=bias, low_rank=(A, up))
    z = hidden @ (weight + up @ A).T + bias
    expected = ce.losses.hinge_loss(z.reshape(-1, V), labels, reduction="none").reshape(B, T)
    agree(found, expected, [hidden, weight, bias, A, up])


def test_soft_targets_may_be_made_a_block_at_a_time():
    hidden, weight = tensors((B * T, D), (V, D))
    targets = torch.rand(B * T, V, dtype=torch.float64).softmax(-1)
    seen = []

    def loss(z, rows):
        seen.append(z.shape[0])
        return ce.softmax_cross_entropy(z, targets[rows], reduction="none")

    found = ce.losses.linear_row_losses(loss, hidden, weight)
    assert seen == [4, 4, 4, 3]
    agree(found, ce.softmax_cross_entropy(hidden @ weight.T, targets, reduction="none"), [hidden, weight])


@pytest.mark.parametrize("direction", ["forward", "reverse", "jensen-shannon"])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_a_teacher_given_by_its_head_is_as_good_as_its_logits(direction, temperature):
    hidden, weight, theirs, heads = tensors((B, T, D), (V, D), (B, T, 6), (V, 6))
    options = {"temperature": temperature, "direction": direction}
    found = ce.losses.linear_distillation_losses(hidden, weight, theirs, heads, **options)
    expected = ce.losses.distillation_loss(
        hidden @ weight.T, theirs @ heads.T, squared_temperature=False, reduction="none", **options
    )
    agree(found, expected, [hidden, weight])


def test_a_gradient_of_zero_everywhere_is_a_gradient():
    hidden, weight = tensors((5, D), (V, D))
    found = ce.losses.linear_row_losses(lambda z, rows: z.detach().sum(1), hidden, weight)
    by_hidden, by_weight = torch.autograd.grad(found.sum(), (hidden, weight))
    assert not by_hidden.any()
    assert not by_weight.any()


def test_derivatives_of_both_orders_are_those_of_finite_differences():
    hidden, weight, bias = tensors((6, 3), (5, 3), (5,))
    labels = torch.arange(6) % 5

    def losses(hidden, weight, bias):
        return ce.losses.linear_row_losses(
            lambda z, rows: ce.softmax_cross_entropy(z, labels[rows], reduction="none"),
            hidden,
            weight,
            bias=bias,
        )

    assert gradcheck(losses, (hidden, weight, bias))
    assert gradgradcheck(losses, (hidden, weight, bias))


def test_a_gradient_that_is_to_be_differentiated_counts_a_low_rank_update_once():
    """Its product with the hidden states is made of them, so there are two ways from the logits to these."""
    inputs = tensors((6, 3), (5, 3), (2, 3), (5, 2))

    def gradients(**options):
        hidden, weight, down, up = inputs
        losses = ce.losses.linear_row_losses(
            lambda z, rows: z.square().sum(1), hidden, weight, low_rank=(down, up)
        )
        return torch.autograd.grad(losses.sum(), inputs, **options)

    for x, y in zip(gradients(create_graph=True), gradients(), strict=True):
        torch.testing.assert_close(x, y, rtol=1e-12, atol=1e-12)


def test_bfloat16_gradients_are_summed_in_float32():
    """Forty blocks whose shares of a weight's gradient would each be lost beside the first in bfloat16."""
    rows, V = 640, 2
    hidden = torch.full((rows, 1), 2.0**-9, dtype=torch.bfloat16)
    hidden[0] = 1.0
    weight = torch.zeros(V, 1, dtype=torch.bfloat16, requires_grad=True)
    ce.losses.linear_row_losses(lambda z, rows: z[:, 0], hidden, weight).sum().backward()
    assert weight.grad[0].item() == pytest.approx(1 + 639 * 2.0**-9, rel=2**-8)


def test_a_loss_that_is_not_one_number_a_row_is_refused():
    hidden, weight = tensors((5, D), (V, D))
    with pytest.raises(ValueError, match=r"gave \(\) for 4 rows .* pass reduction=\"none\""):
        ce.losses.linear_row_losses(lambda z, rows: z.sum(), hidden, weight)


def test_a_teacher_of_another_vocabulary_is_refused():
    hidden, weight, heads = tensors((5, D), (V, D), (V + 1, D))
    with pytest.raises(ValueError, match=r"11 classes, the teacher .* 12"):
        ce.losses.linear_distillation_losses(hidden, weight, hidden, heads)
