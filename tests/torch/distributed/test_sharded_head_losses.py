"""A linear head whose classes are spread over ranks: every option's value and gradients are those of one process."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch._dynamo  # noqa: E402, F811 - or each rank imports it by itself

import crossentropy as ce  # noqa: E402
from linear_heads import on_logits  # noqa: E402
from process_groups import run  # noqa: E402
from sampling import full  # noqa: E402

SIZES = {2: (4, 9), 4: (3, 1, 5, 4)}
V, D = 13, 5
DOUBLE = {"dtype": torch.float64}


def problem() -> dict[str, Any]:
    """Hidden states, a head, labels at the shards' edges, and masses."""
    g = torch.Generator().manual_seed(0)
    return {
        "hidden": torch.randn(2, 6, D, generator=g, **DOUBLE),
        "weight": torch.randn(V, D, generator=g, **DOUBLE),
        "bias": torch.randn(V, generator=g, **DOUBLE),
        "labels": torch.tensor([[0, 2, 3, 4, 7, 8], [9, 12, -100, 3, 0, -100]]),
        "A": torch.randn(2, D, generator=g, **DOUBLE),
        "B": torch.randn(V, 2, generator=g, **DOUBLE),
        "masses": torch.rand(2, 6, V, generator=g, **DOUBLE),
        "rows": torch.rand(2, 6, generator=g, **DOUBLE) + 0.5,
        "classes": torch.rand(V, generator=g, **DOUBLE) + 0.1,
    }


CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "bias": {"bias": "bias"},
    "smoothed": {"label_smoothing": 0.1, "z_loss": 0.01, "entropy_bonus": 0.1},
    "class weights": {"class_weight": "classes", "label_smoothing": 0.1, "smoothing_prior": "classes"},
    "rows": {"sample_weight": "rows", "reduction": "none"},
    "temperature": {"temperature": "rows", "z_loss": 0.01},
    "margin and bias": {"margin": torch.tensor(0.5, **DOUBLE), "logit_bias": "classes"},
    "margins": {"margin": "classes", "temperature": torch.tensor(0.7, **DOUBLE)},
    "focal": {"link": ce.links.Focal(gamma=2.0), "softcap": 3.0},
    "soft targets": {"soft": True, "class_weight": "classes"},
    "a set": {"set": True, "entropy_bonus": 0.1},
    "low rank": {"low_rank": True, "temperature": "rows"},
    "logits made again": {"memory_budget": 0, "label_smoothing": 0.1},
    "frozen weight": {"frozen": "weight"},
    "frozen hidden": {"frozen": "hidden"},
}
OF_CLASSES = ("class_weight", "smoothing_prior", "logit_bias", "margin", "bias")


def call(loss: Any, name: str, part: slice, dtype: Any, digits: Any = None) -> tuple[Any, dict[str, Any]]:
    """The loss of a part of the classes and its gradients; the head is rounded to `digits`."""
    case, given = dict(CASES[name]), problem()
    for key in ("hidden", "weight", "bias"):
        given[key] = given[key].to(digits or dtype).to(dtype)
    soft, is_set, frozen = case.pop("soft", False), case.pop("set", False), case.pop("frozen", None)
    learnt = {"hidden": given["hidden"].to(dtype), "weight": given["weight"][part].to(dtype)}
    learnt.pop(frozen, None)
    low_rank = case.pop("low_rank", False)
    if low_rank:
        learnt |= {"A": given["A"], "B": given["B"][part]}
    options = {}
    for key, x in case.items():
        x = given[x] if isinstance(x, str) and x in given else x
        if isinstance(x, torch.Tensor):
            x = x[part] if key in OF_CLASSES and x.ndim else x
            x = x.to(dtype) if key == "bias" else x
            if key not in ("class_weight", "smoothing_prior"):
                learnt[key] = x
        options[key] = x
    labels = given["labels"]
    if soft:
        learnt["labels"] = given["masses"][..., part]
    elif not is_set:
        options["ignore_index"] = -100
    learnt = {key: x.clone().requires_grad_() for key, x in learnt.items()}
    options |= {key: learnt[key] for key in options if key in learnt}
    if low_rank:
        options["low_rank"] = (learnt["A"], learnt["B"])
    if soft:
        labels = ce.targets.Probabilities(learnt["labels"], normalized=False)
    elif is_set:
        labels = ce.targets.LabelSet(given["masses"][..., part] > 0.7)
    hidden = learnt.get("hidden", given["hidden"].to(dtype))
    value = loss(hidden, learnt.get("weight", given["weight"][part].to(dtype)), labels, **options)
    upstream = torch.rand(value.shape, generator=torch.Generator().manual_seed(3), dtype=value.dtype)
    grads = torch.autograd.grad(value, list(learnt.values()), upstream)
    return value.detach(), dict(zip(learnt, grads, strict=True))


def slices(world: int) -> list[slice]:
    ends = np.cumsum(SIZES[world])
    return [slice(int(end - size), int(end)) for end, size in zip(ends, SIZES[world], strict=True)]


def all_cases(rank: int, world: int) -> dict[str, Any]:
    """Every case on one rank; with DTensor, and over several blocks of rows."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard, distribute_tensor

    from crossentropy._statistics.head import tiles
    from crossentropy.torch.distributed import linear_cross_entropy

    found = {name: call(linear_cross_entropy, name, slices(world)[rank], torch.float64) for name in CASES}
    found["bfloat16"] = call(linear_cross_entropy, "smoothed", slices(world)[rank], torch.bfloat16)
    tiles.BLOCK, tiles.TILE, tiles.GROUP = 4, 2, 8
    found["blocks"] = call(linear_cross_entropy, "margins", slices(world)[rank], torch.float64)
    given, mesh = problem(), init_device_mesh("cpu", (world,))
    weight = distribute_tensor(given["weight"], mesh, [Shard(0)]).detach().requires_grad_()
    linear_cross_entropy(given["hidden"], weight, given["labels"], ignore_index=-100).backward()
    found["DTensor"] = weight.grad.full_tensor()
    return found


@pytest.fixture(scope="module", params=[2, *full([4])], ids=["two ranks", "four ranks"])
def found(request, tmp_path_factory):
    """What each rank of a group says of all cases."""
    return run(tmp_path_factory.mktemp("group"), __file__, "all_cases", request.param)


def check(ranks: list[Any], expected: tuple[Any, dict[str, Any]], rtol: float) -> None:
    """The same value and the same gradients of what they share on all ranks, and the others side by side."""
    value, slopes = expected
    for rank in ranks:
        torch.testing.assert_close(rank[0].double(), value, rtol=rtol, atol=rtol)
    for key, slope in slopes.items():
        got = [rank[1][key] for rank in ranks]
        if got[0].shape == slope.shape:
            assert all(torch.equal(x, got[0]) for x in got), key
            whole = got[0]
        else:
            whole = torch.cat(got, dim=0 if key in ("weight", "B") else -1)
        torch.testing.assert_close(
            whole.double(), slope, rtol=rtol, atol=rtol, msg=lambda m, key=key: f"{key}: {m}"
        )


def of_logits(hidden: Any, weight: Any, labels: Any, memory_budget: Any = None, **options: Any) -> Any:
    """The loss on one process, with logits."""
    return on_logits(hidden, weight, labels, **options)


@pytest.mark.parametrize("name", CASES)
def test_value_and_gradients_are_those_of_one_process(found, name):
    check([rank[name] for rank in found], call(of_logits, name, slice(None), torch.float64), rtol=1e-12)


def test_blocks_of_rows_and_tiles_of_classes_change_nothing(found):
    expected = call(of_logits, "margins", slice(None), torch.float64)
    check([rank["blocks"] for rank in found], expected, rtol=1e-12)


def test_half_precision_is_near_the_truth(found):
    expected = call(of_logits, "smoothed", slice(None), torch.float64, torch.bfloat16)
    check([rank["bfloat16"] for rank in found], expected, rtol=2e-2)


def test_a_dtensor_weight_has_a_gradient_of_its_own_kind(found):
    given = problem()
    weight = given["weight"].requires_grad_()
    ce.linear_cross_entropy(given["hidden"], weight, given["labels"], ignore_index=-100).backward()
    for rank in found:
        torch.testing.assert_close(rank["DTensor"], weight.grad, rtol=1e-12, atol=1e-13)
