"""`skip_below`: what is left out of a linear head's gradient, and what never is."""

import math

import pytest
import torch

import crossentropy as ce
from crossentropy._statistics.head import tiles

N, D, V, IGNORED = 37, 24, 101, -100


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    monkeypatch.setattr(tiles, "TILE", 16)
    monkeypatch.setattr(tiles, "BLOCK", 8)


def head(sureness: float):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(V, D, dtype=torch.float64, generator=generator)
    labels = torch.randint(V, (N,), generator=generator)
    labels[5] = IGNORED
    noise = 0.1 * torch.randn(N, D, dtype=torch.float64, generator=generator)
    hidden = sureness * weight[labels.clamp(0)] + noise
    bias = 0.1 * torch.randn(V, dtype=torch.float64, generator=generator)
    return [x.requires_grad_() for x in (hidden, weight, bias)], labels


def loss_and_gradients(inputs, labels, **options):
    hidden, weight, bias = inputs
    loss = ce.linear_cross_entropy(hidden, weight, labels, bias=bias, ignore_index=IGNORED, **options)
    return loss.detach(), *torch.autograd.grad(loss.sum(), inputs)


OPTIONS = {
    "plain": {},
    "z-loss": {"z_loss": 0.01},
    "temperature": {"temperature": 1.5},
    "a temperature for every row": {"temperature": torch.linspace(0.5, 1.5, N, dtype=torch.float64)},
    "bias": {"logit_bias": torch.linspace(-1, 1, V, dtype=torch.float64)},
    "margin": {"margin": 0.2},
    "focal": {"link": ce.links.Focal(2.0)},
    "class weights": {"class_weight": torch.linspace(0.5, 1.5, V, dtype=torch.float64)},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_bound_that_nothing_is_below_changes_nothing(options):
    inputs, labels = head(0.2)
    found = loss_and_gradients(inputs, labels, skip_below=1e-30, **options)
    for x, y in zip(found, loss_and_gradients(inputs, labels, memory_budget=0, **options), strict=True):
        torch.testing.assert_close(x, y, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("bound", [1e-6, 1e-3, 0.1, 0.9])
def test_the_error_of_the_gradient_is_within_the_bound(bound):
    """Of a mean every entry that is left out of the logits' gradient is below the bound by N."""
    inputs, labels = head(1.0)
    loss, by_hidden, by_weight, by_bias = loss_and_gradients(inputs, labels, skip_below=bound)
    whole = loss_and_gradients(inputs, labels, memory_budget=0)
    assert torch.equal(loss, whole[0])
    hidden, weight, _ = (x.detach() for x in inputs)
    assert ((by_bias - whole[3]).abs() <= bound).all()
    assert ((by_hidden - whole[1]).abs() <= bound / (N - 1) * weight.abs().sum(0) + 1e-15).all()
    assert ((by_weight - whole[2]).abs() <= bound / (N - 1) * hidden.abs().sum(0) + 1e-15).all()


def test_something_is_left_out_where_a_model_is_sure():
    inputs, labels = head(1.0)
    found = loss_and_gradients(inputs, labels, skip_below=1e-3)
    assert not torch.equal(found[3], loss_and_gradients(inputs, labels, memory_budget=0)[3])


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_labels_keep_their_gradient_whatever_is_left_out(options):
    """With a bound of almost 1 nothing else is left, and that is the logits' own gradient at the labels."""
    inputs, labels = head(0.2)
    _, by_hidden, by_weight, by_bias = loss_and_gradients(
        inputs, labels, skip_below=0.999, reduction="none", **options
    )
    hidden, weight, bias = (x.detach() for x in inputs)
    logits = (hidden @ weight.T + bias).requires_grad_()
    ce.softmax_cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum", **options).backward()
    kept = torch.zeros_like(logits)
    rows = (labels != IGNORED).nonzero()[:, 0]
    kept[rows, labels[rows]] = logits.grad[rows, labels[rows]]
    torch.testing.assert_close(by_hidden, kept @ weight, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(by_weight, kept.T @ hidden, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(by_bias, kept.sum(0), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"skip_below": 1.0}, "it is a probability"),
        ({"skip_below": -1e-3}, "it is a probability"),
        ({"skip_below": math.nan}, "it is a probability"),
        ({"skip_below": 1e-3, "label_smoothing": 0.1}, "it takes one label a row"),
        ({"skip_below": 1e-3, "softcap": 30.0}, "no label_smoothing, softcap"),
        ({"skip_below": 1e-3, "temperature": torch.tensor(1.0, requires_grad=True)}, "temperature learns"),
    ],
)
def test_what_it_cannot_bound_is_refused(options, message):
    inputs, labels = head(1.0)
    with pytest.raises(ValueError, match=message):
        loss_and_gradients(inputs, labels, **options)
