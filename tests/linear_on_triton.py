"""Linear heads by Triton's kernel and by blocks of logits on the CPU, in tiles so small that few classes make many."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from crossentropy._statistics import PLAIN  # noqa: E402
from crossentropy._statistics.cuda import head as head_kernel  # noqa: E402
from crossentropy._statistics.cuda.head import Tile, serves  # noqa: E402
from crossentropy._statistics.head import passes  # noqa: E402
from crossentropy._statistics.head.head import Head  # noqa: E402
from crossentropy._statistics.problem import RowStatistics  # noqa: E402
from crossentropy._statistics.torch.problem import partition  # noqa: E402
from row_problems import EVERYTHING  # noqa: E402

NAN, INF = float("nan"), float("inf")
EDGE = 16  # of a tile, in every direction
ALL = replace(EVERYTHING, rank=False)
EPS = {torch.float64: 2.0**-53, torch.float32: 2.0**-24, torch.float16: 2.0**-24, torch.bfloat16: 2.0**-24}
DTYPES = [torch.float64, torch.float32, torch.bfloat16]


def use_small_tiles(monkeypatch):
    """A few rows and classes are several blocks, shares and tiles, and a share is more than one tile."""
    monkeypatch.setattr(head_kernel, "TILES", dict.fromkeys(EPS, Tile(EDGE, EDGE, EDGE, 4, 2)))
    share(monkeypatch, 2)


def share(monkeypatch, shares):
    monkeypatch.setattr(head_kernel, "PROGRAMS", 1)
    monkeypatch.setattr(head_kernel, "SHARES", shares)
    monkeypatch.setattr(head_kernel, "GROUP", 2)


def eighths(*shape, seed, dtype=torch.float64):
    return torch.randint(-12, 13, shape, generator=torch.Generator().manual_seed(seed)).to(dtype) / 8


def head_of(N, V, D, dtype, bias=True):
    factors = eighths(N, D, seed=1, dtype=dtype), eighths(V, D, seed=2, dtype=dtype)
    return Head(factors, eighths(V, seed=3, dtype=dtype) if bias else None)


def widened(head):
    return Head(tuple(f.double() for f in head.factors), head.bias.double())


def random_labels(N, V, seed=4):
    return torch.randint(V, (N,), generator=torch.Generator().manual_seed(seed))


def problem_of(head, target, transform=PLAIN, prior=None, requested=ALL):
    """As both ways take it."""
    settings, given = partition(
        head.factors[0].new_empty(1).expand(head.rows, head.classes),
        1,
        target,
        transform,
        prior,
        requested,
        False,
    )
    return settings, head, given


def moved(x, device):
    """The same arguments on a device."""
    if isinstance(x, Head):
        return Head(tuple(f.to(device) for f in x.factors), None if x.bias is None else x.bias.to(device))
    if isinstance(x, tuple):
        return type(x)(*(moved(y, device) for y in x)) if hasattr(x, "_fields") else x
    return x.to(device) if isinstance(x, torch.Tensor) else x


def found(problem, device):
    settings, head, given = problem
    assert serves(*problem)
    return head_kernel.forward(settings, moved(head, device), moved(given, device))


def check(got, expected, tolerance):
    """Every plane within a part of its size, or of 1; classes and what is no number exactly."""
    for name in RowStatistics.__slots__:
        ours, theirs = getattr(got, name), getattr(expected, name)
        assert (ours is None) == (theirs is None), name
        if name == "bad_row" or ours is None:
            continue
        assert ours.dtype is theirs.dtype
        torch.testing.assert_close(
            ours.cpu(),
            theirs,
            rtol=tolerance,
            atol=tolerance,
            equal_nan=True,
            msg=lambda m, n=name: f"{n}: {m}",
        )


def compare(problem, device, digits=16):
    """With the blocks of logits on the CPU."""
    got = found(problem, device)
    check(got, passes.forward(*problem), digits * EPS[problem[1].dtype])
    return got


def equal(a, b):
    return all(
        torch.equal(torch.nan_to_num(x, nan=7e77), torch.nan_to_num(y, nan=7e77))
        for x, y in zip(a, b, strict=True)
    )


def bits(stats, rows=slice(None)):
    return [
        x[rows] for name in RowStatistics.__slots__ if isinstance(x := getattr(stats, name), torch.Tensor)
    ]
