"""Shards of a vocabulary, drawn at will: losses and gradients are those of the logits of one process."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

import crossentropy as ce  # noqa: E402
import rank_threads  # noqa: E402
from crossentropy.torch import distributed  # noqa: E402
from frameworks import TORCH  # noqa: E402
from linear_heads import (  # noqa: E402
    assert_close,
    blocks_of,
    gradients,
    heads,
    labels,
    on_logits,
    random,
    upstream_of,
)
from softmax_problems import DENSE  # noqa: E402

#: The axis along which a rank has a slice of what has a class axis.
CLASS_AXIS = {
    **dict.fromkeys(("weight", "bias", "B", "logit_bias", "margin", "class_weight", "smoothing_prior"), 0),
    "masses": -1,
}
FIXED = ("class_weight", "smoothing_prior", "normalizer")

# On a busy machine drawing a problem may take long for no fault of its own.
unhurried = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def own(name: str, x: Any, part: slice) -> Any:
    """What a rank with these classes has of `x`."""
    if name not in CLASS_AXIS or not isinstance(x, torch.Tensor) or not x.ndim:
        return x
    return x.movedim(CLASS_AXIS[name], 0)[part].movedim(0, CLASS_AXIS[name])


def call(
    loss: Any, parts: dict[str, Any], part: slice, learn: bool = True, order: int = 1, **more: Any
) -> Any:
    """The loss and its gradients by name, with these classes; the error, if it is one of the arguments."""
    mine = {}
    for name, x in parts.items():
        x = own(name, x, part)
        floating = isinstance(x, torch.Tensor) and x.is_floating_point()
        learns = floating and name not in FIXED and (learn or name in ("hidden", "weight", "bias", "A", "B"))
        mine[name] = x.detach().clone().requires_grad_() if learns else x
    learning = {name: x for name, x in mine.items() if getattr(x, "requires_grad", False)}
    hidden, weight, wrap = (mine.pop(name) for name in ("hidden", "weight", "wrap"))
    target = wrap(mine.pop("masses" if "masses" in mine else "labels"))
    if "A" in mine:
        mine["low_rank"] = (mine.pop("A"), mine.pop("B"))
    try:
        value = loss(hidden, weight, target, **mine, **more)
    except (ValueError, TypeError) as error:
        return type(error), str(error)
    inputs = list(learning.values())
    slopes = gradients(value, inputs)
    found = dict(zip(learning, slopes, strict=True))
    if order == 2:
        differentiable = torch.autograd.grad(
            value, inputs, upstream_of(value), create_graph=True, allow_unused=True
        )
        penalty = sum((g * g).sum() for g in differentiable if g is not None)
        again = torch.autograd.grad(penalty, inputs, allow_unused=True)
        for name, x, g, gg in zip(learning, inputs, differentiable, again, strict=True):
            found[f"{name}, differentiable"] = torch.zeros_like(x) if g is None else g.detach()
            found[f"{name}, twice"] = torch.zeros_like(x) if gg is None else gg
    return value.detach(), found


def on_shards(parts: dict[str, Any], sizes: list[int], **more: Any) -> list[Any]:
    """What `call` says on every rank of a group with so many classes each."""
    ends = [sum(sizes[: n + 1]) for n in range(len(sizes))]
    slices = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    loss = distributed.linear_cross_entropy
    return rank_threads.run(len(sizes), lambda rank: call(loss, parts, slices[rank], **more))


def assert_same(ranks: list[Any], truth: Any, relative: float = 1e-12) -> None:
    """The same loss and gradients of what is shared on every rank, to the bit; the others side by side."""
    value, slopes = truth
    for found, _ in ranks:
        assert found.equal(ranks[0][0])
    assert_close(ranks[0][0], value, relative)
    for name, slope in slopes.items():
        each = [found[name] for _, found in ranks]
        axis = CLASS_AXIS.get(name.split(",")[0])
        if axis is not None and slope.ndim:
            each = [torch.cat(each, dim=axis)]
        assert all(x.equal(each[0]) for x in each), name
        assert_close(each[0], slope, relative)


def parts_of(drawn: dict[str, Any]) -> dict[str, Any]:
    """A drawn head, its target and options, by name."""
    problem = drawn["problem"]
    options = {name: TORCH.own(x) for name, x in problem.keywords().items()}
    form, arrays = problem.form, [torch.as_tensor(x) for x in problem.arrays]
    if form == "OneHot":  # no rank would see the whole
        form, arrays = "indices", [arrays[0].argmax(-1)]
    *indices, target = arrays
    wrap = {
        "indices": lambda x: x,
        "Probabilities": lambda x: x,
        "unnormalized": lambda x: ce.targets.Probabilities(x, normalized=False),
        "Sparse": lambda x: ce.targets.Sparse(*indices, x),
        "LabelSet": lambda x: ce.targets.LabelSet(x),
    }[form]
    named = {name: drawn[name] for name in ("hidden", "weight", "bias")}
    if drawn["low_rank"] is not None:
        named["A"], named["B"] = drawn["low_rank"]
    given = "masses" if form in (*DENSE, "LabelSet") else "labels"  # of every class, or of the rows
    return {**named, **options, given: target, "wrap": wrap}


@st.composite
def sharded_heads(draw):
    """A head of any options, and the sizes of one to three shards of it."""
    drawn = draw(heads())
    V = len(drawn["weight"])
    world = draw(st.integers(1, 3))
    assume(world <= V)
    cuts = (
        sorted(draw(st.sets(st.integers(1, V - 1), min_size=world - 1, max_size=world - 1)))
        if world > 1
        else []
    )
    return drawn, [b - a for a, b in zip([0, *cuts], [*cuts, V], strict=True)]


@settings(unhurried, max_examples=120)
@given(drawn=sharded_heads())
def test_any_head_with_any_options_on_any_shards(drawn):
    drawn, sizes = drawn
    parts = parts_of(drawn)
    truth = call(on_logits, parts, slice(None), drawn["learn"])
    with blocks_of(**drawn["blocks"]):
        found = on_shards(parts, sizes, learn=drawn["learn"], memory_budget=drawn["budget"])
    if isinstance(truth[0], type):
        assert found == [truth] * len(sizes)
    elif truth[0].isnan().any():
        assert all(rank[0].isnan().equal(truth[0].isnan()) for rank in found)
    else:
        assert_same(found, truth)


@settings(unhurried, max_examples=60)
@given(drawn=sharded_heads())
def test_second_derivatives_are_those_of_one_process(drawn):
    """Of the gradient's squares, which every rank adds up for what it has."""
    drawn, sizes = drawn
    parts = parts_of(drawn)
    truth = call(on_logits, parts, slice(None), drawn["learn"], order=2)
    assume(not isinstance(truth[0], type) and all(x.isfinite().all() for x in (truth[0], *truth[1].values())))
    with blocks_of(**drawn["blocks"]):
        found = on_shards(parts, sizes, learn=drawn["learn"], order=2)
    assert_same(found, truth, 1e-10)


FAR: dict[str, dict[str, Any]] = {
    "plain": {},
    "regularized": {"label_smoothing": 0.1, "entropy_bonus": 0.1},
    "several": {"several": True},
    "focal": {"link": ce.links.Focal(2.0), "label_smoothing": 0.1},
}


@pytest.mark.parametrize("name", FAR)
def test_far_from_zero_a_gradient_that_is_to_be_differentiated_keeps_its_digits(name):
    """Logits to which a million can be added without rounding have the same gradients there."""
    z, y, options = (random(6, 9, seed=1) * 2**20).round() / 2**20, labels(6, classes=9), dict(FAR[name])
    if options.pop("several", False):
        y = ce.targets.Sparse(labels(6, 3, classes=9), random(6, 3, seed=2).exp())

    def job(rank: int) -> list[Any]:
        found = []
        for far in (0.0, 1e6):
            own = (z[:, :4] if rank == 0 else z[:, 4:]) + far
            loss = distributed.softmax_cross_entropy(own.requires_grad_(), y, **options)
            (slope,) = torch.autograd.grad(loss, own, create_graph=True)
            found += [slope.detach(), torch.autograd.grad((slope * slope).sum(), own)[0]]
        return found

    for near, near_twice, far, far_twice in rank_threads.run(2, job):
        torch.testing.assert_close(far, near, rtol=1e-13, atol=1e-16)
        torch.testing.assert_close(far_twice, near_twice, rtol=1e-13, atol=1e-16)


def test_a_prior_times_weights_of_classes_is_not_rounded_to_their_dtype():
    """Both are exact in bfloat16, their product is not."""
    z, y = random(6, 9, seed=1), labels(6, classes=9)
    prior, class_weight = random(9, seed=2).exp().bfloat16(), random(9, seed=3).exp().bfloat16()

    def job(rank: int) -> Any:
        part = slice(0, 4) if rank == 0 else slice(4, 9)
        own = {"smoothing_prior": prior[part], "class_weight": class_weight[part]}
        return distributed.softmax_cross_entropy(
            z[:, part].clone(), y, label_smoothing=0.25, reduction="none", **own
        )

    a = class_weight.double() * (0.75 * torch.eye(9, dtype=torch.float64)[y] + 0.25 * prior.double())
    truth = -(a * z.log_softmax(-1)).sum(-1)
    for found in rank_threads.run(2, job):
        torch.testing.assert_close(found, truth, rtol=1e-13, atol=0)
