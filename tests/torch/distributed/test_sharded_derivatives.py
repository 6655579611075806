"""Derivatives of sharded losses of first and second order: of one function of what all ranks have."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import distributed as ranks  # noqa: E402
from torch.autograd import gradcheck, gradgradcheck  # noqa: E402
from torch.autograd.function import Function  # noqa: E402

import crossentropy as ce  # noqa: E402
import rank_threads  # noqa: E402
from crossentropy.torch import distributed  # noqa: E402
from linear_heads import blocks_of, random  # noqa: E402
from sampling import full  # noqa: E402

N, D, V = 3, 2, 4
SIZES = {1: [4], 2: [1, 3]}
each_world = pytest.mark.parametrize("world", SIZES)


class Slice(Function):
    """A rank's slice of the first axis, whose gradient on every rank is that of all slices."""

    @staticmethod
    def forward(ctx: Any, x: Any, part: slice) -> Any:
        ctx.part, ctx.size = part, len(x)
        return x[part].clone()

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        return Whole.apply(grad, ctx.part, ctx.size), None


class Whole(Function):
    """The slices of all ranks, whose gradient on every rank is a slice."""

    @staticmethod
    def forward(ctx: Any, x: Any, part: slice, size: int) -> Any:
        ctx.part = part
        whole = x.new_zeros(size, *x.shape[1:])
        whole[part] = x
        ranks.all_reduce(whole)
        return whole

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        return Slice.apply(grad, ctx.part), None, None


def own(x: Any, axis: int = 0) -> Any:
    """This rank's slice of the classes."""
    sizes = SIZES[ranks.get_world_size()]
    end = list(accumulate(sizes))[ranks.get_rank()]
    part = slice(end - sizes[ranks.get_rank()], end)
    return Slice.apply(x.movedim(axis, 0), part).movedim(0, axis)


def number(value: float) -> Any:
    return torch.tensor(value, dtype=torch.float64)


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("indices", {}),
    "rows, some ignored": ("indices", {"reduction": "none", "ignore_index": 2}),
    "smoothed and regularized": ("indices", {"label_smoothing": 0.1, "z_loss": 0.1, "entropy_bonus": 0.1}),
    "focal": ("indices", {"link": ce.links.Focal(2.0), "softcap": 3.0, "temperature": number(0.7)}),
    "focal, smoothed": ("indices", {"link": ce.links.Focal(2.0), "label_smoothing": 0.1}),
    "a margin": ("indices", {"margin": number(0.3), "logit_bias": random(V, seed=5)}),
    "margins": ("Sparse", {"margin": random(V, seed=9).exp(), "temperature": random(N, seed=7).exp()}),
    "soft": ("Probabilities", {"class_weight": random(V, seed=4).exp(), "z_loss": 0.1}),
    "set": ("LabelSet", {"margin": number(0.3), "entropy_bonus": 0.1}),
}
TARGETS: dict[str, Any] = {
    "indices": (lambda x: x, torch.tensor([0, 3, 2])),
    "Sparse": (lambda x: ce.targets.Sparse(torch.tensor([[0, 1], [3, 2], [1, 1]]), x), random(N, 2).exp()),
    "Probabilities": (lambda x: ce.targets.Probabilities(x, normalized=False), random(N, V, seed=6).exp()),
    "LabelSet": (ce.targets.LabelSet, torch.tensor([[1, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 1]]) > 0),
}
OF_CLASSES = {"logit_bias": 0, "margin": 0, "class_weight": 0, "weight": 0, "bias": 0, "B": 0, "logits": -1}
each_case = pytest.mark.parametrize("name", CASES)


def problem(name: str, inputs: dict[str, Any]) -> tuple[Any, list[Any]]:
    """The loss of these inputs and of what else has a gradient, as a function of the whole of each, and all of them."""
    form, options = CASES[name]
    wrap, target = TARGETS[form]
    fixed = {"class_weight": options.get("class_weight"), "target": target}
    fixed |= {key: x for key, x in options.items() if not isinstance(x, torch.Tensor)}
    learnt = inputs | {key: x for key, x in options.items() if key not in fixed}
    if target.is_floating_point():
        learnt["target"] = fixed.pop("target")

    def loss(*tensors: Any) -> Any:
        x = fixed | dict(zip(learnt, tensors, strict=True))
        axes = OF_CLASSES | ({"target": -1} if form in ("Probabilities", "LabelSet") else {})
        x = {key: own(y, axes[key]) if key in axes and getattr(y, "ndim", 0) else y for key, y in x.items()}
        x["labels"] = wrap(x.pop("target"))
        if "logits" in x:
            return distributed.softmax_cross_entropy(**x)
        return distributed.linear_cross_entropy(low_rank=(x.pop("A"), x.pop("B")), **x)

    return loss, list(learnt.values())


def check(world: int, name: str, inputs: dict[str, Any]) -> None:
    loss, whole = problem(name, inputs)

    def job(rank: int) -> bool:
        mine = [x.clone().requires_grad_() for x in whole]
        value = loss(*mine)
        upstream = torch.linspace(0.5, 1.5, value.numel(), dtype=torch.float64).view(value.shape)
        return gradcheck(loss, mine) and gradgradcheck(loss, mine, upstream.requires_grad_(), fast_mode=True)

    with blocks_of(2, tile=2, groups=1):
        assert all(rank_threads.run(world, job))


@pytest.mark.parametrize("world", [*full([1]), 2])
@each_case
def test_derivatives_of_a_head(name, world):
    head = {
        "hidden": random(N, D, seed=1),
        "weight": random(V, D, seed=2),
        "bias": random(V, seed=3),
        "A": random(1, D, seed=4),
        "B": random(V, 1, seed=5),
    }
    check(world, name, head)


@pytest.mark.parametrize("name", ["focal", "soft"])
def test_derivatives_of_logits(name):
    check(2, name, {"logits": random(N, V, seed=1)})
