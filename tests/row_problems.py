"""Row problems of every kind, and their statistics by the definitions, in extended precision."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from crossentropy._statistics import PLAIN, Prior, Requested, RowStatistics, Target, Transform, row_statistics
from crossentropy._statistics.problem import DIFFERENTIABLE
from sampling import sampled

WIDE = np.longdouble
EVERYTHING = Requested(log_partition=True, entropy=True, argmax=True, rank=True)
DIFFERENTIATED = Requested(log_partition=True, entropy=True)
FORMS = ("label", "ignored", "several", "set", "dense", "weighted")
TRANSFORMS = ("plain", "temperature", "row temperature", "softcap", "bias", "margin", "class margin", "all")
PRIORS = ("none", "uniform", "vector")
each_form_and_transform = sampled({"form": FORMS, "transform": TRANSFORMS})


@dataclass
class RowProblem:
    """Arguments of `row_statistics`, of rows (N, C), in NumPy float64 unless said."""

    logits: Any
    target: Target
    transform: Transform
    prior: Prior | None
    requested: Requested

    def arguments(self) -> tuple:
        return self.logits, self.logits.ndim - 1, self.target, self.transform, self.prior, self.requested

    def with_logits(self, logits: Any) -> RowProblem:
        return replace(self, logits=logits)


def make(form: str, transform: str, prior: str, rows: int, classes: int, scale: float = 4.0) -> RowProblem:
    rng = np.random.default_rng((rows, classes, FORMS.index(form), TRANSFORMS.index(transform)))
    z = rng.normal(size=(rows, classes)) * scale
    z[::3] += 30 * rng.normal(size=(len(z[::3]), 1))
    labels = rng.integers(0, classes, size=rows)
    labels[::2] = z[::2].argmax(axis=1)
    requested = replace(EVERYTHING, rank=form in ("label", "ignored"))
    target = {
        "label": lambda: Target(indices=labels),
        "ignored": lambda: Target(indices=np.where(np.arange(rows) % 4 == 1, -7, labels), ignore_index=-7),
        "several": lambda: Target(
            indices=np.stack([labels, (labels * 3 + 1) % classes, labels, rng.permutation(labels)], axis=-1),
            several=True,
        ),
        "set": lambda: Target(mask=_mask(rng, labels, classes)),
        "dense": lambda: Target(dense=rng.normal(size=z.shape) * (rng.random(z.shape) < 0.7)),
        "weighted": lambda: Target(
            dense=rng.dirichlet(np.ones(classes), size=rows), class_weight=rng.uniform(0.2, 2, size=classes)
        ),
    }[form]()
    values = rng.uniform(-0.5, 1.5, size=classes) / classes
    values[0] = 0.0
    return RowProblem(
        z,
        target,
        _transform(rng, transform, rows, classes, target.dense is None),
        {"none": None, "uniform": Prior(), "vector": Prior(values)}[prior],
        requested,
    )


def _mask(rng: np.random.Generator, labels: np.ndarray, classes: int) -> np.ndarray:
    mask = rng.random((len(labels), classes)) < 0.2
    mask[np.arange(len(labels)), labels] = True
    return mask


def _transform(rng: np.random.Generator, name: str, rows: int, classes: int, has_target: bool) -> Transform:
    margin = rng.uniform(-1, 2, size=classes) if has_target else None
    return {
        "plain": PLAIN,
        "temperature": Transform(temperature=0.7),
        "row temperature": Transform(temperature=rng.uniform(0.3, 3, size=rows)),
        "softcap": Transform(softcap=20.0),
        "bias": Transform(logit_bias=rng.normal(size=classes)),
        "margin": Transform(margin=1.25 if has_target else None),
        "class margin": Transform(margin=margin),
        "all": Transform(rng.uniform(0.3, 3, size=rows), 20.0, rng.normal(size=classes), margin),
    }[name]


def numpy(x: Any) -> np.ndarray:
    return np.asarray(x.detach().double().cpu() if hasattr(x, "detach") else x)


def tensors(struct: Any, requires_grad: tuple[str, ...] = (), device: Any = "cpu") -> Any:
    """The same struct with its arrays as tensors; those named, and numbers among them, ask for a gradient."""
    import torch

    def own(name: str, x: Any) -> Any:
        if name in requires_grad and x is not None:
            return torch.as_tensor(x, dtype=torch.float64).to(device, copy=True).requires_grad_()
        return torch.from_numpy(np.ascontiguousarray(x)).to(device) if isinstance(x, np.ndarray) else x

    return struct and replace(struct, **{name: own(name, getattr(struct, name)) for name in struct.__slots__})


def torch_problem(problem: RowProblem, dtype: str, device: Any = "cpu") -> tuple[RowProblem, np.ndarray]:
    """The same problem in tensors, its logits in a dtype; beside them their values in NumPy."""
    import torch

    logits = torch.from_numpy(problem.logits).to(device, getattr(torch, dtype))
    target, transform, prior = (
        tensors(x, device=device) for x in (problem.target, problem.transform, problem.prior)
    )
    return replace(problem, logits=logits, target=target, transform=transform, prior=prior), numpy(logits)


def as_function(
    problem: RowProblem, axis: int = 1, how: Any = row_statistics, device: Any = "cpu"
) -> tuple[Any, tuple]:
    """The differentiable statistics as a function of the inputs that can have a gradient, and those inputs."""
    import torch

    target = tensors(problem.target, ("dense",), device)
    transform = tensors(problem.transform, ("temperature", "logit_bias", "margin"), device)
    prior = tensors(problem.prior, device=device)
    logits = torch.tensor(problem.logits, device=device, requires_grad=True)
    names = {"dense": target.dense, **{f: getattr(transform, f) for f in transform.__slots__}}
    learned = {k: x for k, x in names.items() if isinstance(x, torch.Tensor)}

    def statistics(z: Any, *values: Any) -> tuple:
        given = dict(zip(learned, values, strict=True))
        own = replace(target, dense=given.pop("dense", None))
        stats = how(z, axis, own, replace(transform, **given), prior, DIFFERENTIATED)
        found = [getattr(stats, name) for name in DIFFERENTIABLE]
        return tuple(x for x in found if x is not None and torch.isfinite(x).all())

    return statistics, (logits, *learned.values())


def narrowed(problem: RowProblem) -> RowProblem:
    """Options that float32 holds exactly, so that reading them costs nothing."""

    def narrow(x: Any) -> Any:
        is_float = isinstance(x, np.ndarray) and x.dtype == np.float64
        return x.astype(np.float32).astype(np.float64) if is_float else x

    def each(struct: Any) -> Any:
        return struct and replace(struct, **{f: narrow(getattr(struct, f)) for f in struct.__slots__})

    return replace(
        problem,
        target=each(problem.target),
        transform=each(problem.transform),
        prior=each(problem.prior),
    )


def log_sum(u: np.ndarray, where: np.ndarray) -> np.ndarray:
    u = np.where(where, u, -np.inf)
    top = u.max(axis=-1)
    shift = np.where(np.isfinite(top), top, 0)
    with np.errstate(divide="ignore"):
        return shift + np.log(np.exp(u - shift[..., None]).sum(axis=-1))


def true_planes(problem: RowProblem, z: Any = None) -> tuple[RowStatistics, SimpleNamespace]:
    """Every statistic by its definition, and the size of what each sums up: |D|, Σ|r (L − u)|, …

    A softcap, a bias and a margin may be rounded into ``u``, which costs digits as |u| grows.
    """
    z = numpy(problem.logits if z is None else z).astype(WIDE)
    target, transform, prior = problem.target, problem.transform, problem.prior
    C = z.shape[-1]
    classes = np.arange(C)
    on = None
    if target.indices is not None:
        y = target.indices[..., None] == classes
        on = y.any(axis=-2) if target.several else y
    elif target.mask is not None:
        on = target.mask
    u = z if transform.softcap is None else transform.softcap * np.tanh(z / transform.softcap)
    base = u.max(axis=-1, keepdims=True)  # every statistic but L is that of the row less a number
    u = u - base
    if transform.margin is not None:
        u = u - np.where(on, numpy(transform.margin).astype(WIDE), 0)
    temperature = numpy(transform.temperature).astype(WIDE)
    temperature = temperature[..., None] if temperature.ndim else temperature
    u = u / temperature
    if transform.logit_bias is not None:
        u = u + numpy(transform.logit_bias).astype(WIDE)

    at_top = u.argmax(axis=-1)[..., None] == classes
    size_u = np.abs(u + base / temperature).max(axis=-1)
    L = log_sum(u, np.ones(u.shape, dtype=bool))
    below = L[..., None] - u
    log_p = -below
    log_p = np.where(at_top, -np.log1p(np.exp(log_sum(u, ~at_top) - log_sum(u, at_top)))[..., None], log_p)
    stats, size = RowStatistics(), SimpleNamespace()
    reach = np.maximum(1, size_u)
    rounded = any(x is not None for x in (transform.softcap, transform.logit_bias, transform.margin))
    once = reach if rounded else np.ones_like(reach)
    if target.several:
        D = [log_sum(u, ~y) - log_sum(u, y) for y in np.moveaxis(target.indices[..., None] == classes, -2, 0)]
        stats.log_odds = np.stack(D, axis=-1)
    elif on is not None:
        stats.log_odds = log_sum(u, ~on) - log_sum(u, on)
    if stats.log_odds is not None:
        size.log_odds = np.maximum(1, np.abs(stats.log_odds)) + (once[..., None] if target.several else once)
    stats.log_partition, size.log_partition = (base / temperature)[..., 0] + L, reach
    if prior is not None:
        r = np.full(C, WIDE(1) / C) if prior.values is None else numpy(prior.values).astype(WIDE)
        stats.prior_term = (r * -log_p).sum(axis=-1)
        size.prior_term = (np.abs(r * log_p).sum(axis=-1) + np.abs(r).sum()) * once
    if target.dense is not None:
        a = numpy(target.dense).astype(WIDE)
        a = a if target.class_weight is None else a * numpy(target.class_weight).astype(WIDE)
        stats.dense_term, size.dense_term = (a * -log_p).sum(axis=-1), np.abs(a * log_p).sum(axis=-1) * once
        stats.dense_total, size.dense_total = a.sum(axis=-1), np.abs(a).sum(axis=-1)
    stats.entropy = -(np.exp(log_p) * log_p).sum(axis=-1)
    p = np.exp(log_p)
    size.entropy = (p * np.abs(log_p) * np.maximum(1, np.abs(log_p))).sum(axis=-1) * once
    stats.argmax = u.argmax(axis=-1)
    if problem.requested.rank:
        own = np.where(on, u, 0).sum(axis=-1, keepdims=True)
        label = on.argmax(axis=-1)[..., None]
        stats.rank = ((u > own) | ((u == own) & (classes < label))).sum(axis=-1)
    _settle_ignored(problem.target, stats)
    return stats, size


def _settle_ignored(target: Target, stats: RowStatistics) -> None:
    """An ignored row is a certain one, and has neither an argmax nor a rank."""
    if target.indices is None or target.ignore_index is None:
        return
    skip = target.indices == target.ignore_index
    certain = {"log_odds": -np.inf, "argmax": -1, "rank": -1}
    for name in ("log_odds", "log_partition", "prior_term", "entropy", "argmax", "rank"):
        if getattr(stats, name) is not None:
            setattr(stats, name, np.where(skip, certain.get(name, 0), getattr(stats, name)))


def check(
    got: RowStatistics,
    truth: RowStatistics,
    size: SimpleNamespace,
    eps: float,
    what: str = "",
    digits: float = 8,
) -> None:
    """Every statistic within so many units of eps of its size; indices exactly."""
    for name in ("log_odds", "log_partition", "prior_term", "dense_term", "dense_total", "entropy"):
        expected, found = getattr(truth, name), getattr(got, name)
        if expected is None:
            assert found is None
            continue
        found = numpy(found).astype(WIDE)
        assert found.shape == expected.shape
        limit = digits * eps * getattr(size, name)
        with np.errstate(invalid="ignore"):
            off = np.where(found == expected, 0, np.abs(found - expected))
            worst = np.argmax(np.where(off == 0, 0, off / limit))
        assert (off <= limit).all(), (
            f"{what} {name}: {found.flat[worst]} for {expected.flat[worst]}, "
            f"{float((off / limit).flat[worst]):.3g} limits off"
        )
    for name in ("argmax", "rank"):
        expected, found = getattr(truth, name), getattr(got, name)
        if expected is not None:
            np.testing.assert_array_equal(numpy(found), expected, err_msg=f"{what} {name}")
