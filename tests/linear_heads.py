"""Heads of PyTorch tensors, with tiles so small that a few rows and classes make many of them, and their truth.

The truth of a linear head is `softmax_cross_entropy` of the logits that it never makes, which has tests of its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import crossentropy as ce

torch = pytest.importorskip("torch")

from crossentropy.losses import _linear_torch as strategies  # noqa: E402
from crossentropy.statistics import _linear_torch as tiles  # noqa: E402

#: What decides the strategy: with no memory to spare the logits are made again on the way back.
STRATEGIES = {"fast": None, "recomputing": 0}
each_strategy = pytest.mark.parametrize("budget", STRATEGIES.values(), ids=STRATEGIES)


@contextmanager
def blocks_of(rows: int, *, tile: int = 16, groups: int = 2, forward_rows: int = 3) -> Iterator[None]:
    """Blocks of so many rows, some of them at a time, and tiles of so many classes.

    Where gradients are made on the way forward, they are made for `forward_rows` at once.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "BLOCK", rows)
        patch.setattr(tiles, "TILE", tile)
        patch.setattr(tiles, "GROUP", groups * rows)
        patch.setattr(strategies, "FEW", 1)
        patch.setattr(strategies, "TRAFFIC", forward_rows)
        yield


def random(*shape: int, seed: int = 0, dtype: Any = torch.float64) -> Any:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def labels(*shape: int, classes: int, seed: int = 0) -> Any:
    return torch.randint(classes, shape, generator=torch.Generator().manual_seed(seed))


def head(N: int = 11, D: int = 5, V: int = 41, dtype: Any = torch.float64) -> tuple[Any, Any, Any]:
    """Hidden states and a weight, both learning, and labels."""
    hidden, weight = random(N, D, seed=1, dtype=dtype), random(V, D, seed=2, dtype=dtype)
    return hidden.requires_grad_(), weight.requires_grad_(), labels(N, classes=V, seed=3)


def on_logits(
    hidden: Any, weight: Any, target: Any, *, bias: Any = None, low_rank: Any = None, **options: Any
):
    """The loss of the logits made whole."""
    logits = hidden @ weight.mT
    if low_rank is not None:
        logits = logits + hidden @ (low_rank[1] @ low_rank[0]).mT
    return ce.softmax_cross_entropy(logits if bias is None else logits + bias, target, **options)


def upstream_of(value: Any) -> Any:
    return torch.linspace(0.5, 1.7, value.numel(), dtype=value.dtype).reshape(value.shape)


def gradients(value: Any, inputs: Any) -> list[Any]:
    """By each of `inputs`, of a fixed combination of the entries; zeros where there is none."""
    found = torch.autograd.grad(value, inputs, upstream_of(value), retain_graph=True, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(inputs, found, strict=True)]


def assert_close(found: Any, truth: Any, relative: float = 1e-12) -> None:
    """Equal up to a part of the largest finite entry, or of 1."""
    assert found.shape == truth.shape
    found, truth = found.detach().double(), truth.detach().double()
    error = torch.where(found == truth, 0.0, (found - truth).abs())
    size = truth[truth.isfinite()].abs().amax().clamp(min=1.0) if truth.isfinite().any() else 1.0
    worst = (error / size).max().item() if truth.numel() else 0.0
    assert worst <= relative, f"off by {worst:.3g} of the largest entry"


def assert_same_loss(found: Any, truth: Any, inputs: Any, relative: float = 1e-12) -> None:
    """Values and gradients by `inputs` agree."""
    assert_close(found, truth, relative)
    for g, t in zip(gradients(found, inputs), gradients(truth, inputs), strict=True):
        assert g.dtype == t.dtype
        assert_close(g, t, relative)
