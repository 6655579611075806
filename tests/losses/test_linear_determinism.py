"""The same bits of a linear head: over runs, threads, budgets, and the places of its rows.

Where the logits are made again on the way back, every product has constant sizes. The real sizes are used here, at
shapes whose products run the kernels that a training step runs.
"""

import pytest

import crossentropy as ce

torch = pytest.importorskip("torch")

from crossentropy.statistics import _products_torch  # noqa: E402
from linear_heads import head, labels, random  # noqa: E402

#: Neither rows nor classes nor sizes fill their blocks, tiles or vectors.
SHAPES = {"part of a block": (300, 257, 5000), "blocks": (1100, 33, 4100), "one tile": (40, 96, 300)}
each_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


@pytest.fixture(params=["float32", "float32, PyTorch's products", "bfloat16"])
def dtype(request, monkeypatch):
    """One whose products are PyTorch's, and one whose products are where there are no vectors of 512 bits."""
    name, *by_pytorch = request.param.split(",")
    if by_pytorch:
        monkeypatch.setattr(_products_torch, "WIDE", False)
    return getattr(torch, name)


def value_and_gradients(hidden, weight, y, **options):
    parts = [x.detach().requires_grad_() for x in (hidden, weight)]
    bias = random(weight.shape[0], seed=9, dtype=weight.dtype).requires_grad_()
    value = ce.linear_cross_entropy(*parts, y, bias=bias, **options)
    upstream = torch.linspace(0.5, 1.5, value.numel(), dtype=value.dtype).reshape(value.shape)
    return value.detach(), *torch.autograd.grad(value, [*parts, bias], upstream)


def on_threads(n, work):
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        return work()
    finally:
        torch.set_num_threads(before)


def assert_equal(*results):
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert torch.equal(a, b)


@each_shape
@pytest.mark.parametrize("options", [{"memory_budget": 0}, {"reduction": "none"}], ids=["mean", "none"])
def test_a_second_run_has_the_same_bits(options, shape, dtype):
    parts = head(*shape, dtype=dtype)
    assert_equal(*(value_and_gradients(*parts, **options) for _ in range(2)))


@each_shape
def test_the_fast_strategy_has_the_same_bits_in_a_second_run(shape, dtype):
    parts = head(*shape, dtype=dtype)
    assert_equal(*(value_and_gradients(*parts) for _ in range(2)))


@each_shape
@pytest.mark.parametrize("options", [{"memory_budget": 0}, {"reduction": "none"}], ids=["mean", "none"])
def test_one_thread_and_two_have_the_same_bits(options, shape, dtype):
    parts = head(*shape, dtype=dtype)
    assert_equal(*(on_threads(n, lambda: value_and_gradients(*parts, **options)) for n in (1, 2)))


@each_shape
def test_any_budget_that_makes_logits_again_has_the_same_bits(shape):
    N, _, V = shape
    parts = head(*shape, dtype=torch.float32)
    too_little = 4 * V * min(N, 64) - 1
    assert_equal(*(value_and_gradients(*parts, memory_budget=b) for b in (0, 1000, too_little)))


@each_shape
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1, "z_loss": 0.01}], ids=["plain", "smoothed"])
def test_a_rows_loss_and_gradient_do_not_depend_on_its_place(options, shape, dtype):
    hidden, weight, y = head(*shape, dtype=dtype)
    order = torch.randperm(shape[0], generator=torch.Generator().manual_seed(1))
    run = lambda h, y: _rows(h, weight, y, options)  # noqa: E731
    losses, by_hidden = run(hidden, y)
    moved, by_moved = run(hidden[order], y[order])
    assert torch.equal(moved, losses[order])
    assert torch.equal(by_moved, by_hidden[order])


@each_shape
def test_a_rows_loss_and_gradient_do_not_depend_on_how_many_others_there_are(shape, dtype):
    hidden, weight, y = head(*shape, dtype=dtype)
    losses, by_hidden = _rows(hidden, weight, y, {})
    for part in (slice(0, 1), slice(3, 20), slice(17, 40)):
        found, by_part = _rows(hidden[part], weight, y[part], {})
        assert torch.equal(found, losses[part])
        assert torch.equal(by_part, by_hidden[part])


def test_a_row_that_makes_no_sense_changes_no_bit_of_its_neighbours(dtype):
    hidden, weight, y = head(300, 257, 5000, dtype=dtype)
    spoilt = hidden.detach().clone()
    spoilt[17] = torch.nan
    spoilt[100, 3] = torch.inf
    keep = torch.ones(300, dtype=torch.bool)
    keep[[17, 100]] = False
    for a, b in zip(_rows(spoilt, weight, y, {}), _rows(hidden, weight, y, {}), strict=True):
        assert torch.equal(a[keep], b[keep])
        assert a[~keep].isnan().any(-1).all()


def test_the_statistics_of_a_row_do_not_depend_on_its_place():
    hidden, weight, y = (x.detach() for x in head(300, 257, 5000, dtype=torch.float32))
    order = torch.randperm(300, generator=torch.Generator().manual_seed(1))
    found = ce.linear_target_statistics(hidden, weight, y, entropy=True, rank=True)
    moved = ce.linear_target_statistics(hidden[order], weight, y[order], entropy=True, rank=True)
    for name in ("log_prob", "logsumexp", "entropy", "argmax", "rank"):
        assert torch.equal(getattr(moved, name), getattr(found, name)[order]), name


def _rows(hidden, weight, y, options):
    """The losses of rows and their gradients by the hidden states, before any denominator."""
    hidden = hidden.detach().requires_grad_()
    losses = ce.linear_cross_entropy(hidden, weight.detach(), y, reduction="none", **options)
    return losses.detach(), *torch.autograd.grad(losses.sum(), hidden)


def test_labels_of_the_last_tile_have_the_same_bits_as_any():
    """A label in a tile of few classes, or in one with the last rows, is treated like all others."""
    hidden, weight, _ = head(64, 33, 4100, dtype=torch.float32)
    y = labels(64, classes=4, seed=5) + 4096
    order = torch.randperm(64, generator=torch.Generator().manual_seed(1))
    losses, by_hidden = _rows(hidden, weight, y, {})
    moved, by_moved = _rows(hidden[order], weight, y[order], {})
    assert torch.equal(moved, losses[order])
    assert torch.equal(by_moved, by_hidden[order])
