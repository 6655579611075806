"""Every loss of the catalogue, and each way of differentiating it, beside what its user would write by hand.

python benchmarks/roads.py [--only REGEX] [--rows N [N ...]] [--compiled] [--memory] [--budget SECONDS] [--write]

By hand is the composition of `compositions.py`, in the same framework and on the same arrays. Both sides take turns in
one process; a number is the median of the turns' ratios, by hand by ours, so that more than 1 is faster. ``--compiled``
adds a column for `torch.compile`, ``--memory`` one for the most memory that a step takes, in processes of their own.
``--write`` replaces ``benchmarks/results/roads.md``.
"""

import argparse
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import torch
from scipy.special import entr, rel_entr
from torch.func import grad, jvp, vmap
from torch.nn import functional as F

import crossentropy as ce
from arithmetic import jax_ops, numpy_ops, torch_ops
from compositions import Loss, all_losses
from machine import Others, description
from measure import Sides, interleaved
from memory import peaks
from table import grid

SHAPES = ((64, 10), (4096, 1000), (65536, 10))
OF_MEMORY = SHAPES[1]
RESULTS = Path(__file__).parent / "results" / "roads.md"
LEAST = 3  # turns of a long step
#: The ratio that no row is to fall below; at 64 rows a call has a fixed price.
GOALS = {SHAPES[0]: 0.7}


class Road(NamedTuple):
    """One piece of work, ours and by hand."""

    ours: Callable[[], Any]
    by_hand: Callable[[], Any]


def quantities(shape: tuple[int, int]) -> Iterator[tuple[str, Road]]:
    """Quantities of float64 distributions in NumPy."""
    r = np.random.default_rng(0)
    p, q = (r.dirichlet(np.ones(shape[1]), shape[0]) for _ in range(2))
    joint = p / shape[0]

    def mutual_information() -> Any:
        return rel_entr(joint, joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)).sum()

    def js_divergence() -> Any:
        m = (p + q) / 2
        return (rel_entr(p, m) + rel_entr(q, m)).sum(-1) / 2

    yield "entropy", Road(lambda: ce.entropy(p), lambda: entr(p).sum(-1))
    yield "cross_entropy", Road(lambda: ce.cross_entropy(p, q), lambda: -(p * np.log(q)).sum(-1))
    yield "kl_divergence", Road(lambda: ce.kl_divergence(p, q), lambda: rel_entr(p, q).sum(-1))
    yield "js_divergence", Road(lambda: ce.js_divergence(p, q), js_divergence)
    yield "mutual_information", Road(lambda: ce.mutual_information(joint), mutual_information)


def in_torch(loss: Loss, *, compiled: bool) -> Iterator[tuple[str, Road]]:
    """Each way of differentiating a loss in PyTorch."""
    z = loss.inputs
    direction = torch.randn(z.shape, generator=torch.Generator().manual_seed(1))

    def by_hand(x: Any) -> Any:
        return loss.by_hand(x).mean()

    def each_row(x: Any) -> Any:
        return loss.ours(x, reduction="none")

    def backward(function: Callable[..., Any], upstream: Any = None) -> Callable[[], None]:
        def step() -> None:
            function(z.detach().requires_grad_()).backward(upstream)

        return step

    def twice(function: Callable[..., Any]) -> Callable[[], None]:
        def step() -> None:
            x = z.detach().requires_grad_()
            (slope,) = torch.autograd.grad(function(x), x, create_graph=True)
            if slope.requires_grad:  # else it is constant
                (slope * direction).sum().backward()

        return step

    yield "backward", Road(backward(loss.ours), backward(by_hand))
    if loss.rows:
        upstream = torch.rand(loss.by_hand(z).shape)
        yield "none", Road(backward(each_row, upstream), backward(loss.by_hand, upstream))
    yield "func.grad", Road(lambda: grad(loss.ours)(z), lambda: grad(by_hand)(z))
    yield (
        "jvp",
        Road(lambda: jvp(loss.ours, (z,), (direction,)), lambda: jvp(by_hand, (z,), (direction,))),
    )
    yield "twice", Road(twice(loss.ours), twice(by_hand))
    if compiled:
        torch.compiler.reset()
        yield "compiled", Road(backward(torch.compile(loss.ours)), backward(torch.compile(by_hand)))


def in_jax(loss: Loss) -> Iterator[tuple[str, Road]]:
    """Value and gradient in JAX, compiled."""

    def steps(function: Callable[..., Any]) -> Callable[[], Any]:
        compiled = jax.jit(jax.value_and_grad(function))
        return lambda: jax.block_until_ready(compiled(loss.inputs))

    yield "JAX", Road(steps(loss.ours), steps(lambda x: loss.by_hand(x).mean()))


def in_numpy(loss: Loss) -> Iterator[tuple[str, Road]]:
    """The value in NumPy."""
    yield "NumPy", Road(lambda: loss.ours(loss.inputs), lambda: loss.by_hand(loss.inputs).mean())


def each_row_alone(shape: tuple[int, int]) -> Road:
    """`vmap(grad)` of the loss of one row, in PyTorch."""
    generator = torch.Generator().manual_seed(0)
    z, y = torch.randn(shape, generator=generator), torch.randint(shape[1], shape[:1], generator=generator)
    return Road(lambda: vmap(grad(ce.softmax_cross_entropy))(z, y), lambda: vmap(grad(F.cross_entropy))(z, y))


def check(name: str, loss: Loss) -> None:
    """Raise unless both sides have the same value."""
    ours, by_hand = float(loss.ours(loss.inputs)), float(loss.by_hand(loss.inputs).mean())
    if not np.isclose(ours, by_hand, rtol=1e-3, atol=1e-6):
        raise AssertionError(f"{name}: ours is {ours}, by hand {by_hand}: there is nothing to compare")


def of_losses(
    shape: tuple[int, int], options: argparse.Namespace
) -> Iterator[tuple[str, Mapping[str, Road]]]:
    """Walk the catalogue: each loss in all frameworks."""
    for found in zip(*(all_losses(ops(), shape) for ops in (torch_ops, jax_ops, numpy_ops)), strict=True):
        name = found[0].name
        if not re.search(options.only, name):
            continue
        for loss in found:
            check(name, loss)
        of_torch, of_jax, of_numpy = found
        roads = dict(in_torch(of_torch, compiled=options.compiled))
        if name == "softmax_cross_entropy":
            roads["vmap(grad)"] = each_row_alone(shape)
        yield name, {**roads, **dict(in_jax(of_jax)), **dict(in_numpy(of_numpy))}


def memory_sides(name: str) -> Sides:
    """Both sides of a backward pass in PyTorch, for a process of their own."""
    loss = next(x for x in all_losses(torch_ops(), OF_MEMORY) if x.name == name)
    ours, by_hand = dict(in_torch(loss, compiled=False))["backward"]
    return Sides(ours, by_hand, lambda: None)


def measured(road: Road, budget: float) -> float:
    """How many times as fast ours is."""
    return interleaved(Sides(road.ours, road.by_hand, lambda: None), budget, LEAST).speedup


def tables(options: argparse.Namespace) -> Iterator[str]:
    """Measure and lay out a table for each shape."""
    ways = ["backward", "none", "func.grad", "vmap(grad)", "jvp", "twice", "compiled", "JAX", "NumPy"]
    for shape in SHAPES:
        if options.rows and shape[0] not in options.rows:
            continue
        goal, with_memory = GOALS.get(shape, 1.0), options.memory and shape == OF_MEMORY
        used = [way for way in ways if way != "compiled" or options.compiled]
        rows = []
        for name, roads in of_losses(shape, options):
            times = {way: measured(road, options.budget) for way, road in roads.items()}
            row = [name, *(_cell(times.get(way), goal) for way in used)]
            if with_memory:
                found = peaks(memory_sides, name)
                row.append("" if found is None else f"{found.ours / max(1, found.peer):.2f}")
            rows.append(row)
            print(*row, sep="\t", flush=True)
        yield (
            f"## {shape[0]} rows of {shape[1]}\n\n"
            + grid(["loss", *used, *(["memory"] if with_memory else [])], rows, left=1)
        )
        rows = [
            [name, _cell(measured(road, options.budget), goal)]
            for name, road in quantities(shape)
            if re.search(options.only, name)
        ]
        yield grid(["quantity", "NumPy, float64"], rows, left=1)


def _cell(ratio: float | None, goal: float) -> str:
    if ratio is None:
        return ""
    return f"**{ratio:.2f}**" if ratio < goal else f"{ratio:.2f}"


def main() -> None:
    """Print the tables, and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="a regular expression for losses and quantities")
    parser.add_argument("--rows", type=int, nargs="+", help="of which shapes; of all, if left out")
    parser.add_argument("--compiled", action="store_true", help="torch.compile too, which takes long")
    parser.add_argument("--memory", action="store_true", help=f"the most memory of a step at {OF_MEMORY}")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--budget", type=float, default=0.2, help="seconds a number")
    options = parser.parse_args()
    others = Others()
    found = list(tables(options))
    about = {**description(), "others": f"{others.share():.0%} of the cores"}
    lines = "\n".join(f"- {name}: {value}" for name, value in about.items())
    command = f"`python {shlex.join(sys.argv)}`"
    page = "\n\n".join(["# Roads beside the main one", command, METHOD, lines, *found]) + "\n"
    if options.write:
        RESULTS.write_text(page)
    print(page)


METHOD = """\
Every loss beside the composition that a user of the same framework would write (`benchmarks/compositions.py`), on the
same float32 arrays, value and gradient but for NumPy's value. A number is the median ratio of turns in one process, by
hand by ours: more than 1 is faster. **Bold** ones miss the goal of 1 (0.7 at 64 rows, where a call has a fixed price).
Ours keeps more digits.

`backward` and `none` are `.backward()` of the mean and of each row, `twice` is a gradient of a gradient, and JAX's is
`jit(value_and_grad)`. With `--compiled` there is a column for `torch.compile`, and with `--memory` one for the most
that a backward pass takes, by that of the other: less than 1 is less."""

if __name__ == "__main__":
    main()
