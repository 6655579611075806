"""Classes spread over ranks: what the ranks say when one is wrong or gone, statistics, and DTensor."""

from __future__ import annotations

import os
import re
import signal
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import crossentropy as ce  # noqa: E402
from process_groups import ends, run  # noqa: E402

SIZES = (3, 4)
SLICES = (slice(0, 3), slice(3, 7))


def whole() -> tuple[Any, Any]:
    """Logits and labels of all ranks."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(5, 7, generator=generator, dtype=torch.float64), torch.tensor([0, 2, 3, 6, 4])


# ------------------------------------------------------------------------------------------------ errors


def learning_link() -> Any:
    """Cross-entropy times a tensor with a gradient."""
    scale = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    softplus = torch.nn.functional.softplus
    return ce.links.Custom(lambda D: scale * softplus(D), lambda D: scale * torch.ones_like(D))


def wrong_calls(rank: int) -> dict[str, tuple[Any, Any, dict[str, Any]]]:
    """Logits, labels and options by what is wrong with them."""
    z, y = whole()
    z = z[:, SLICES[rank]]
    masses = z.softmax(-1)
    mine = rank == 1
    return {
        "label outside": (z, torch.where(y == 6, 7, y), {}),
        "other labels": (z, torch.full_like(y, 2) if mine else y, {}),
        "other options": (z, y, {"z_loss": 0.1 * rank, "link": ce.links.Focal(gamma=1.0 + rank)}),
        "other numbers of NumPy": (
            z,
            y,
            {"ignore_index": np.int64(-rank), "link": ce.links.Focal(gamma=np.float32(1 + rank))},
        ),
        "other dtype": (z.float() if mine else z, y, {}),
        "other rows": (z[:4] if mine else z, y[:4] if mine else y, {}),
        "class weight of one rank": (z, y, {"class_weight": torch.ones(4) if mine else None}),
        "whole class weight": (z, y, {"class_weight": torch.ones(7)}),
        "one rank wrong": (z, y.double() if mine else y, {}),
        "one-hot": (z, ce.targets.OneHot(torch.eye(7, dtype=torch.int64)[y][:, SLICES[rank]]), {}),
        "masses": (z, masses, {}),
        "sums of two": (z, ce.targets.Probabilities(masses), {"class_weight": torch.ones(SIZES[rank])}),
        "empty set": (z, ce.targets.LabelSet(torch.zeros(5, SIZES[rank], dtype=torch.bool)), {}),
        "link that learns": (z, y, {"label_smoothing": 0.1, "link": learning_link()}),
        "no classes": (z[:, :0] if mine else z, y, {}),
        "negative weights": (z, y, {"class_weight": -torch.ones(SIZES[rank])}),
        "nothing to average": (z[:0], y[:0], {"empty": "raise"}),
        "axis": (z, y, {"axis": 1}),
    }


def errors(rank: int, world: int) -> dict[str, str]:
    """What is said of each wrong call, and whether the ranks can go on afterwards."""
    from crossentropy.torch.distributed import softmax_cross_entropy

    said = {}
    for name, (z, labels, options) in wrong_calls(rank).items():
        try:
            softmax_cross_entropy(z, labels, **options)
            said[name] = "nothing"
        except (TypeError, ValueError) as error:
            said[name] = f"{type(error).__name__}: {error}"
    z, y = whole()
    z = z[:, SLICES[rank]].requires_grad_()
    (slope,) = torch.autograd.grad(softmax_cross_entropy(z, y), z, retain_graph=True)
    said["afterwards"] = str(bool(slope.isfinite().all()))
    try:
        losses = softmax_cross_entropy(z, y, reduction="none")
        torch.autograd.grad(losses, z, torch.eye(5, dtype=torch.float64), is_grads_batched=True)
    except RuntimeError as error:
        said["many at once"] = str(error)
    return said


def both(rank: int, world: int) -> tuple[dict[str, str], dict[str, Any]]:
    """What one group of processes is started for."""
    return errors(rank, world), other_calls(rank, world)


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    return run(tmp_path_factory.mktemp("group"), __file__, "both", 2)


@pytest.fixture(scope="module")
def said(group):
    """The errors of each rank."""
    return [rank[0] for rank in group]


@pytest.fixture(scope="module")
def others(group):
    """What else each rank has found."""
    return [rank[1] for rank in group]


EVERYWHERE = {
    "label outside": "label 7 at row 3 is outside [0, 7)",
    "other labels": "ranks of the group differ in labels; pass the same on every rank",
    "other options": "differ in link, z_loss",
    "other numbers of NumPy": "differ in ignore_index, link",
    "other dtype": "differ in dtype",
    "other rows": "differ in shape, labels",
    "class weight of one rank": "differ in class_weight",
    "whole class weight": "class_weight has shape (7,)",
    "one-hot": "pass indices, counted over the classes of all ranks",
    "masses": "the probabilities of row 0 sum to 2, not to 1",
    "sums of two": "the probabilities of row 0 sum to 2, not to 1",
    "empty set": "row 0 of LabelSet has no class in its set, on any rank",
    "link that learns": "holds a tensor that learns, of whose gradient a rank would have its part alone",
    "negative weights": "go down to -1.0",
    "nothing to average": "nothing to average",
    "axis": "axis is given; sharded classes, which are the last axis, take the options class_weight",
}


@pytest.mark.parametrize("name", EVERYWHERE)
def test_what_is_wrong_is_said_on_every_rank(said, name):
    for rank in said:
        assert EVERYWHERE[name] in rank[name]
    assert said[0][name].split(":")[0] == said[1][name].split(":")[0]


@pytest.mark.parametrize(
    ("name", "own"), [("one rank wrong", "labels have dtype"), ("no classes", "no classes")]
)
def test_a_rank_that_refuses_its_arguments_is_named_by_the_others(said, name, own):
    assert own in said[1][name]
    assert said[0][name] == "ValueError: rank 1 of the group refused its arguments; its own error says why"


def test_after_an_error_the_group_works_on(said):
    assert [rank["afterwards"] for rank in said] == ["True", "True"]


def test_many_gradients_at_once_are_refused(said):
    for rank in said:
        assert "leave out is_grads_batched=True" in rank["many at once"]


def test_without_a_group_it_says_what_to_do():
    from crossentropy.torch.distributed import softmax_cross_entropy

    with pytest.raises(RuntimeError, match="init_process_group"):
        softmax_cross_entropy(*whole())


# ------------------------------------------------------------------------------------------- a rank dies


def until_killed(rank: int, world: int) -> None:
    """Losses for ever, but for the second rank."""
    from crossentropy.torch.distributed import softmax_cross_entropy

    z, y = whole()
    z = z[:, [slice(0, 2), slice(2, 3), slice(3, 7)][rank]].requires_grad_()
    for step in range(10**9):
        softmax_cross_entropy(z, y).backward()
        if rank == 1 and step == 5:
            os.kill(os.getpid(), signal.SIGKILL)


def test_when_a_rank_is_killed_the_others_end_with_an_error_within_the_timeout(tmp_path):
    first, killed, third = ends(tmp_path, __file__, "until_killed", 3, seconds=15)
    assert killed.status == -signal.SIGKILL
    for survivor in first, third:
        assert survivor.status == 1
        assert "in softmax_cross_entropy" in survivor.error
        assert re.search(r"(RuntimeError|DistBackendError|DistNetworkError): ", survivor.error)
        assert survivor.at - killed.at < 15 + 5


# --------------------------------------------------------------------------- statistics, DTensor, groups


def other_calls(rank: int, world: int) -> dict[str, Any]:
    """Statistics, DTensor logits, and a group of some ranks."""
    from torch import distributed
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor

    from crossentropy.torch.distributed import softmax_cross_entropy, target_statistics

    z, y = whole()
    found: dict[str, Any] = {}
    for name, options in STATISTICS.items():
        own = {n: x[SLICES[rank]] if n == "margin" else x for n, x in options.items()}
        of = target_statistics(z[:, SLICES[rank]], y, ignore_index=4, **own)
        found[name] = (of.log_prob, of.prob, of.log_odds, of.logsumexp, of.entropy, of.argmax)
    mesh = init_device_mesh("cpu", (world,))
    logits = distribute_tensor(z, mesh, [Shard(1)]).detach().requires_grad_()
    weight = distribute_tensor(torch.arange(1.0, 8), mesh, [Shard(0)])
    labels = distribute_tensor(y, mesh, [Replicate()])
    loss = softmax_cross_entropy(logits, labels, class_weight=weight)
    loss.backward()
    assert isinstance(logits.grad, DTensor)
    found["DTensor"] = (loss.detach(), logits.grad.full_tensor())
    for placement in Replicate(), Shard(0):
        try:
            softmax_cross_entropy(distribute_tensor(z, mesh, [placement]), y)
        except ValueError as error:
            found[str(placement)] = str(error)
    z_own = z[:, SLICES[rank]].clone().requires_grad_()
    (slope,) = torch.autograd.grad(softmax_cross_entropy(z_own, y, z_loss=0.1), z_own, create_graph=True)
    found["twice"] = torch.autograd.grad((slope * slope).sum(), z_own)[0]
    alone = [distributed.new_group([n]) for n in range(world)]
    found["alone"] = softmax_cross_entropy(z[: 1 + rank], y[: 1 + rank], group=alone[rank])
    try:
        softmax_cross_entropy(z, y, group=alone[1 - rank])
    except ValueError as error:
        found["outsider"] = str(error)
    return found


STATISTICS = {
    "plain": {"entropy": True},
    "margin": {"entropy": True, "margin": torch.arange(7) / 2, "temperature": 0.5},
}


@pytest.mark.parametrize("name", STATISTICS)
def test_target_statistics_are_those_of_one_process(others, name):
    z, y = whole()
    of = ce.target_statistics(z, y, ignore_index=4, **STATISTICS[name])
    expected = (of.log_prob, of.prob, of.log_odds, of.logsumexp, of.entropy, of.argmax)
    for rank in others:
        torch.testing.assert_close(rank[name], expected, rtol=1e-12, atol=1e-13)


def test_a_gradient_is_differentiated_as_that_of_all_ranks(others):
    """Each adds up the squares of what it has of the gradient."""
    z, y = whole()
    z.requires_grad_()
    (slope,) = torch.autograd.grad(ce.softmax_cross_entropy(z, y, z_loss=0.1), z, create_graph=True)
    expected = torch.autograd.grad((slope * slope).sum(), z)[0]
    torch.testing.assert_close(
        torch.cat([rank["twice"] for rank in others], 1), expected, rtol=1e-12, atol=1e-14
    )


def test_dtensor_logits_bring_their_shard_and_their_group(others):
    z, y = whole()
    z.requires_grad_()
    loss = ce.softmax_cross_entropy(z, y, class_weight=torch.arange(1.0, 8))
    loss.backward()
    for rank in others:
        torch.testing.assert_close(rank["DTensor"], (loss.detach(), z.grad), rtol=1e-12, atol=1e-13)


def test_dtensor_logits_that_are_not_sharded_over_classes_are_refused(others):
    for rank in others:
        assert "it has to be sharded once, along its class axis 1" in rank["R"]
        assert "redistribute it" in rank["S(0)"]


def test_the_group_is_the_one_that_is_given(others):
    z, y = whole()
    for n, rank in enumerate(others):
        torch.testing.assert_close(rank["alone"], ce.softmax_cross_entropy(z[: 1 + n], y[: 1 + n]))
        assert "not in the group" in rank["outsider"]
