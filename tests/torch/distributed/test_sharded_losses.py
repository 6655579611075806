"""Classes spread over ranks: every option's value and gradients are those of one process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import crossentropy as ce  # noqa: E402
from process_groups import run  # noqa: E402
from sampling import full  # noqa: E402
from softmax_problems import draw_target  # noqa: E402

SIZES = {
    "few classes": {2: (1, 13), 4: (3, 1, 6, 4)},
    "many classes": {2: (300, 141), 4: (140, 1, 10, 290)},
}
CLASSES = {name: sum(sizes[2]) for name, sizes in SIZES.items()}
LEARNABLE = ("logits", "temperature", "logit_bias", "margin", "sample_weight", "target")
OF_CLASSES = ("class_weight", "smoothing_prior", "logit_bias", "margin")


@dataclass
class Case:
    """One call, as it would be on one process."""

    logits: Any
    form: str
    arrays: tuple[Any, ...]
    sizes: dict[int, tuple[int, ...]]
    options: dict[str, Any] = field(default_factory=dict)


def drawn(seed: int) -> Case:
    """A target of some form and a composition of options, all from the seed."""
    rng = np.random.default_rng(seed)
    kind = list(SIZES)[seed % 2]
    rows, V = 6, CLASSES[kind]
    form = ("indices", "Probabilities", "unnormalized", "Sparse", "LabelSet", "indices")[seed // 2 % 6]
    dense, is_set = form in ("Probabilities", "unnormalized"), form == "LabelSet"
    arrays = draw_target(form, rows, V, rng)

    def chosen(*values: Any) -> Any:
        return values[rng.integers(len(values))]

    options = {
        "temperature": chosen(1.0, 0.7, rng.uniform(0.5, 2, size=()), rng.uniform(0.5, 2, size=rows)),
        "softcap": chosen(None, 8.0),
        "logit_bias": chosen(None, rng.normal(size=V)),
        "margin": None if dense else chosen(None, 0.35, np.float64(0.5), rng.uniform(0, 2, size=V)),
        "label_smoothing": 0.0 if is_set else chosen(0.0, 0.1, 1.0),
        "class_weight": None if is_set else chosen(None, rng.uniform(0.3, 3, size=V)),
        "sample_weight": chosen(None, rng.uniform(0.2, 2, size=rows) * (rng.random(rows) < 0.8)),
        "z_loss": chosen(0.0, 0.01),
        "entropy_bonus": chosen(0.0, 0.1),
        "reduction": chosen("mean", "sum", "none"),
    }
    if options["label_smoothing"]:
        options["smoothing_prior"] = chosen(None, rng.dirichlet(np.ones(V)))
    if form == "indices" and seed % 3 == 0:
        options["ignore_index"] = chosen(-100, -1, 0, V - 1)
        arrays[0][::3] = options["ignore_index"]
    if form == "indices" and not options["label_smoothing"]:
        options["link"] = chosen(None, ce.links.Focal(gamma=2.0))
    return Case(rng.normal(size=(rows, V)) * chosen(1.0, 5.0), form, arrays, SIZES[kind], options)


def cases() -> dict[str, Case]:
    """Calls by name."""
    found = {f"drawn {seed}": drawn(seed) for seed in range(48)}
    rng = np.random.default_rng(7)
    few = SIZES["few classes"]
    z = rng.normal(size=(8, 14))
    edges = np.array([0, 1, 2, 3, 4, 9, 10, 13])
    found["labels at the edges"] = Case(z, "indices", (edges,), few)
    found["one label"] = Case(z[0], "indices", (edges[2],), few)
    found["two axes of rows"] = Case(z.reshape(2, 4, 14), "indices", (edges.reshape(2, 4),), few)
    found["no rows"] = Case(z[:0], "indices", (edges[:0],), few, {"label_smoothing": 0.1})
    found["all ignored"] = Case(
        z, "indices", (np.full(8, -100),), few, {"ignore_index": -100, "label_smoothing": 0.1, "z_loss": 0.1}
    )
    confident = z + 1e6
    confident[np.arange(8), edges] += 60
    found["confident far from zero"] = Case(confident, "indices", (edges,), few)
    options = {"label_smoothing": 0.1, "z_loss": 1e-9, "entropy_bonus": 0.2}
    found["options far from zero"] = Case(z + 1e6, "indices", (edges,), few, options)
    found["temperature far from zero"] = Case(
        z + 1e3, "indices", (edges,), few, {"temperature": rng.uniform(0.5, 2, size=8), "z_loss": 0.01}
    )
    empty = z.copy()
    empty[:, 0] = empty[:, 3] = -np.inf  # all of the first of two ranks, and of the second of four
    for name, options in {
        "plain": {},
        "entropy": {"entropy_bonus": 0.1, "z_loss": 0.1},
        "smoothed": {"label_smoothing": 0.1, "smoothing_prior": np.where(empty[0] == -np.inf, 0, 1 / 12)},
        "margin": {"margin": 0.5, "entropy_bonus": 0.1},
    }.items():
        labels = np.array([1, 1, 2, 4, 4, 9, 10, 13])
        found[f"a rank of −∞, {name}"] = Case(empty, "indices", (labels,), few, options)
    found["an impossible label"] = Case(empty, "indices", (edges,), few)
    found["an endless prior"] = Case(empty, "indices", (edges,), few, {"label_smoothing": 0.1})
    masses = rng.dirichlet(np.ones(14), size=8)
    found["soft targets on a rank of −∞"] = Case(
        empty, "unnormalized", (np.where(empty == -np.inf, 0, masses),), few
    )
    found["endless soft targets"] = Case(empty, "unnormalized", (masses,), few)
    sets = rng.random((8, 14)) < 0.5
    sets[:, 0], sets[:, 1] = True, False
    found["sets on a rank of −∞"] = Case(empty, "LabelSet", (sets | (edges[:, None] == np.arange(14)),), few)
    strange = rng.normal(size=(8, 14))
    strange[1, 0], strange[2, 5], strange[3], strange[4, 13], strange[5, 2] = (
        *(np.nan, np.nan, -np.inf, np.inf, -np.inf),
    )
    for name, options in {
        "plain": {},
        "smoothed": {"label_smoothing": 0.1},
        "entropy": {"entropy_bonus": 1.0},
    }.items():
        none = {"reduction": "none", **options}
        found[f"rows without sense, {name}"] = Case(strange, "indices", (edges,), few, none)
    found["soft rows without sense"] = Case(strange, "Probabilities", (masses,), few, {"reduction": "none"})
    found["sets without sense"] = Case(strange, "LabelSet", (sets,), few, {"reduction": "none"})
    unsure = np.array([0, -3, 2, 14, 4, 9, -100, 13])
    found["unchecked labels"] = Case(
        z, "indices", (unsure,), few, {"validate": "none", "reduction": "none", "z_loss": 0.1}
    )
    repeated = np.stack([edges, edges[::-1], edges, (edges + 1) % 14], axis=-1)
    several = rng.uniform(size=repeated.shape)
    dropped = np.where(np.arange(8)[:, None] % 3 == np.arange(4), -1, repeated)
    found["ignored among several"] = Case(
        z, "Sparse", (dropped, several), few, {"ignore_index": -1, "z_loss": 0.1}
    )
    found["repeated labels"] = Case(z, "Sparse", (repeated, several), few, {"label_smoothing": 0.1})
    return found


def tensor(x: Any, dtype: Any, learns: bool = False) -> Any:
    """`x` as a tensor, floats in `dtype` and with a gradient if that is asked for."""
    if not isinstance(x, (np.ndarray, np.floating)):
        return x
    x = torch.as_tensor(x)
    return x.to(dtype).requires_grad_(learns) if x.is_floating_point() else x


def call(loss: Any, case: Case, dtype: Any, part: slice, **more: Any) -> tuple[Any, dict[str, Any]]:
    """The loss of a part of the classes, and its gradients by everything that can have one."""
    z = tensor(case.logits[..., part].copy(), dtype, True)
    options = {}
    for name, x in case.options.items():
        if name in OF_CLASSES and np.ndim(x):
            x = x[part]
        options[name] = tensor(x, dtype, name in LEARNABLE)
    arrays = list(case.arrays)
    if case.form in ("Probabilities", "unnormalized", "LabelSet"):
        arrays[0] = arrays[0][..., part].copy()
    *others, last = [tensor(np.asarray(x), torch.float64, case.form != "indices") for x in arrays]
    labels = {
        "indices": lambda: last,
        "Probabilities": lambda: last,
        "unnormalized": lambda: ce.targets.Probabilities(last, normalized=False),
        "Sparse": lambda: ce.targets.Sparse(*others, last),
        "LabelSet": lambda: ce.targets.LabelSet(last),
    }[case.form]()
    value = loss(z, labels, **options, **more)
    learnt = {"logits": z, "target": last} | options
    learnt = {n: x for n, x in learnt.items() if isinstance(x, torch.Tensor) and x.requires_grad}
    generator = torch.Generator().manual_seed(3)
    upstream = torch.rand(value.shape, generator=generator, dtype=torch.float64).to(value.dtype)
    grads = torch.autograd.grad(value, list(learnt.values()), upstream, allow_unused=True)
    return value.detach(), dict(zip(learnt, grads, strict=True))


def slices(sizes: tuple[int, ...]) -> list[slice]:
    ends = np.cumsum(sizes)
    return [slice(int(end - size), int(end)) for end, size in zip(ends, sizes, strict=True)]


# ------------------------------------------------------------------------------------------- the processes


def precisions(name: str) -> list[Any]:
    """float64, and for some of the cases float32 as well."""
    return [torch.float64, torch.float32] if name.endswith(("0", "5", "edges")) else [torch.float64]


def all_cases(rank: int, world: int) -> dict[Any, Any]:
    """Every case, on one rank."""
    from crossentropy.torch.distributed import softmax_cross_entropy

    return {
        (name, dtype): call(softmax_cross_entropy, case, dtype, slices(case.sizes[world])[rank])
        for name, case in cases().items()
        for dtype in precisions(name)
    }


@pytest.fixture(scope="module", params=[*full([2]), 4], ids=["two ranks", "four ranks"])
def found(request, tmp_path_factory):
    """What each rank of a group says of all cases."""
    return run(tmp_path_factory.mktemp("group"), __file__, "all_cases", request.param)


def whole(values: list[Any], like: Any) -> Any:
    """Gradients of the ranks as one: side by side if each has its own classes, else the same of all."""
    if values[0] is None:
        return None
    if values[0].shape == like.shape and all(x.shape == like.shape for x in values):
        return values[0]
    return torch.cat(values, dim=-1)


@pytest.mark.parametrize("name", cases())
def test_value_and_gradients_are_those_of_one_process(found, name):
    case = cases()[name]
    for dtype in precisions(name):
        rtol = 1e-12 if dtype == torch.float64 else 3e-6
        value, slopes = call(ce.softmax_cross_entropy, case, dtype, slice(None))
        ranks = [rank[name, dtype] for rank in found]
        torch.testing.assert_close(ranks[0][0], value, rtol=rtol, atol=rtol, equal_nan=True)
        for key, slope in slopes.items():
            got = whole([rank[1][key] for rank in ranks], slope)
            if slope is None:
                assert got is None or not got.any()
                continue
            size = float(slope[slope.isfinite()].abs().max()) if slope.isfinite().any() else 1.0
            torch.testing.assert_close(
                got,
                slope,
                rtol=rtol,
                atol=rtol * max(1.0, size),
                equal_nan=True,
                msg=lambda m, key=key: f"{key}: {m}",
            )


def test_all_ranks_have_the_same_bits(found):
    for name, (value, slopes) in found[0].items():
        for rank in found[1:]:
            assert value.numpy().tobytes() == rank[name][0].numpy().tobytes(), name
            for key in ("temperature", "sample_weight"):
                if slopes.get(key) is not None:
                    assert torch.equal(slopes[key], rank[name][1][key]), (name, key)
