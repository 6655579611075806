"""Rows that count for nothing cost a linear head nothing, and those that a shift leaves over are not in its results."""

import pytest
import torch

import crossentropy as ce
from crossentropy._statistics.head.head import Head


@pytest.fixture
def rows_made(monkeypatch):
    """How many rows logits were made for."""
    made = []
    write = Head.write

    def counted(self, rows, classes, out):
        made.append(len(self.factors[0][rows]))
        write(self, rows, classes, out)

    monkeypatch.setattr(Head, "write", counted)
    return made


def tensors():
    generator = torch.Generator().manual_seed(0)
    hidden, weight = (torch.randn(shape, generator=generator).double() for shape in ((2, 40, 3), (7, 3)))
    labels = torch.randint(7, (2, 40), generator=generator)
    labels[:, :30] = -100
    return hidden.requires_grad_(), weight.requires_grad_(), labels


@pytest.mark.parametrize("options", [{}, {"memory_budget": 0}, {"normalizer": "count"}, {"reduction": "sum"}])
def test_ignored_rows_are_left_out_of_the_products(options, rows_made):
    hidden, weight, labels = tensors()
    loss = ce.linear_cross_entropy(hidden, weight, labels, ignore_index=-100, **options)
    assert max(rows_made) <= 20
    gradients = torch.autograd.grad(loss, (hidden, weight))
    options.pop("memory_budget", None)
    whole = ce.softmax_cross_entropy(hidden @ weight.T, labels, ignore_index=-100, **options)
    for x, y in zip((loss, *gradients), (whole, *torch.autograd.grad(whole, (hidden, weight))), strict=True):
        torch.testing.assert_close(x, y, rtol=1e-12, atol=1e-13)


def test_rows_without_weight_are_left_out_and_still_counted(rows_made):
    hidden, weight, _ = tensors()
    labels = torch.arange(80).reshape(2, 40) % 7
    sample_weight = (torch.arange(80).reshape(2, 40) % 4 == 0).double()
    options = {"sample_weight": sample_weight, "normalizer": "count"}
    loss = ce.linear_cross_entropy(hidden, weight, labels, **options)
    assert max(rows_made) == 20
    torch.testing.assert_close(loss, ce.softmax_cross_entropy(hidden @ weight.T, labels, **options))


def test_statistics_of_several_labels_lose_the_rows_at_the_end_and_no_label():
    hidden, weight, _ = tensors()
    indices = torch.stack([torch.arange(80).reshape(2, 40) % 7, torch.arange(80).reshape(2, 40) % 5], -1)
    masses = torch.tensor([0.25, 0.75]).double().expand(2, 40, 2)
    found = ce.linear_target_statistics(hidden, weight, ce.targets.Sparse(indices, masses), shift=3)
    expected = ce.target_statistics(
        (hidden @ weight.T)[:, :-3], ce.targets.Sparse(indices[:, 3:], masses[:, 3:])
    )
    torch.testing.assert_close(found.log_prob, expected.log_prob)
