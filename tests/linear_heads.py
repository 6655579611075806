"""Heads of PyTorch tensors, with tiles so small that a few rows and classes make many of them, and their truth.

The truth of a linear head is `softmax_cross_entropy` of the logits that it never makes, which has tests of its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import strategies as st

import crossentropy as ce
from frameworks import TORCH
from softmax_problems import DENSE, problems

torch = pytest.importorskip("torch")

from crossentropy._engine.linear import autograd as strategies  # noqa: E402
from crossentropy._statistics.head import tiles  # noqa: E402

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


def learning(options, *more):
    """Options whose tensors learn where they can, and those tensors."""
    fixed = ("class_weight", "smoothing_prior", "normalizer")
    options = {
        name: x.clone().requires_grad_() if isinstance(x, torch.Tensor) and name not in fixed else x
        for name, x in options.items()
    }
    return options, [x for x in (*options.values(), *more) if getattr(x, "requires_grad", False)]


@st.composite
def heads(draw):
    """A problem of any options, hidden states and a head that fit it, and sizes of blocks and tiles."""
    rows, classes = draw(st.integers(1, 30)), draw(st.integers(1, 40))
    size, rank = draw(st.integers(1, 9)), draw(st.integers(1, 3))
    seed = draw(st.integers(0, 2**31))
    scale = draw(st.sampled_from([0.1, 1.0, 4.0]))
    parts = {"bias": draw(st.booleans()), "low_rank": draw(st.booleans())}
    return {
        "problem": draw(problems((rows, classes))),
        "hidden": scale * random(rows, size, seed=seed),
        "weight": random(classes, size, seed=seed + 1),
        "bias": random(classes, seed=seed + 2) if parts["bias"] else None,
        "low_rank": (random(rank, size, seed=seed + 3), random(classes, rank, seed=seed + 4))
        if parts["low_rank"]
        else None,
        "blocks": {
            "rows": draw(st.integers(1, 9)),
            "tile": draw(st.integers(1, 20)),
            "groups": draw(st.integers(1, 4)),
            "forward_rows": draw(st.integers(1, 9)),
        },
        "budget": draw(st.sampled_from(list(STRATEGIES.values()))),
        "learn": draw(st.booleans()),
    }


def assert_as_on_logits(drawn: dict[str, Any]) -> None:
    """What is drawn by `heads` has the value and the gradients, or the error, of its logits made whole."""
    problem, options = drawn["problem"], {k: TORCH.own(v) for k, v in drawn["problem"].keywords().items()}
    target, others = problem.labels(TORCH), []
    if drawn["learn"]:
        options, others = learning(options)
        if problem.form in DENSE:
            others.append(target.values.requires_grad_())
    parts = [drawn["hidden"], drawn["weight"], drawn["bias"], *(drawn["low_rank"] or ())]
    inputs = [x.requires_grad_() for x in parts if x is not None] + others
    given_head = {"bias": drawn["bias"], "low_rank": drawn["low_rank"]}

    def outcome(loss, **more):
        try:
            return loss(drawn["hidden"], drawn["weight"], target, **given_head, **options, **more)
        except (ValueError, TypeError) as error:
            return type(error), str(error)

    truth = outcome(on_logits)
    with blocks_of(**drawn["blocks"]):
        found = outcome(ce.linear_cross_entropy, memory_budget=drawn["budget"])
        if isinstance(truth, tuple):
            assert found == truth
        elif truth.isnan().any():
            assert found.isnan().equal(truth.isnan())
        else:
            assert_same_loss(found, truth, inputs)
