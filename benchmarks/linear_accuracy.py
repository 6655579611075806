"""How far a linear head's loss and gradients are from those in float64, by the number of blocks of rows.

python benchmarks/linear_accuracy.py
python benchmarks/linear_accuracy.py --write benchmarks/results/linear-accuracy.md
"""

import argparse
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import torch
from torch import Tensor

import peers
from crossentropy._engine.linear import autograd as strategies
from crossentropy._statistics.head import passes as recomputing
from linear_cases import Head, Loss, ours, random_head, step_of
from machine import description
from run import THREADS
from table import grid

N, D, V = 4096, 64, 4096
BLOCKS = (1, 16, 64, 256)
WHOLE, CHUNKED = "torch, whole", "torch, chunked"
SHARE = 1 / 4  # of the chunked peer's error, at most, at the most blocks

METHOD = f"""\
Loss, and gradients of hidden states and weight, of a random head with N = {N}, D = {D}, V = {V}, beside the same in
float64 from the same numbers. Errors are relative: of the loss, and of the Euclidean norm of a gradient. A gradient
that is right but for being rounded to bfloat16 is off by about 1.7e-3."""


class Values(NamedTuple):
    """What a step comes to."""

    loss: Tensor
    by_hidden: Tensor
    by_weight: Tensor


class Errors(NamedTuple):
    """How far each of them is from the truth, relatively."""

    loss: float
    by_hidden: float
    by_weight: float


class Row(NamedTuple):
    """One way of working them out."""

    dtype: torch.dtype
    way: str
    blocks: int
    errors: Errors


def main() -> None:
    """Measure, and print the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", metavar="PATH", type=Path, help="write the report here as well")
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    page = report([row for dtype in (torch.float32, torch.bfloat16) for row in rows(dtype)])
    print(page)
    if options.write:
        options.write.parent.mkdir(parents=True, exist_ok=True)
        options.write.write_text(page)


def rows(dtype: torch.dtype) -> Iterator[Row]:
    """Every way at every number of blocks."""
    head = random_head(N, D, V, dtype)
    hidden, weight = (x.detach().double().requires_grad_() for x in (head.hidden, head.weight))
    truth = values(Head(hidden, weight, head.labels), peers.linear_cross_entropy)
    yield Row(dtype, WHOLE, 1, errors(values(head, peers.linear_cross_entropy), truth))
    for blocks in BLOCKS:
        found = values(head, partial(peers.chunked_linear_cross_entropy, rows=N // blocks))
        yield Row(dtype, CHUNKED, blocks, errors(found, truth))
    for way, fast in (("ours", True), ("ours, logits made twice", False)):
        for blocks in BLOCKS:
            with rows_in_a_block(N // blocks, fast):
                yield Row(dtype, way, blocks, errors(values(head, ours), truth))


def rows_in_a_block(height: int, fast: bool) -> ExitStack:
    """Our own blocks at this height, by either strategy: left to itself it goes by time and memory."""
    stack = ExitStack()
    stack.enter_context(patch.object(strategies, "_rows_at_once", lambda *_: height if fast else None))
    stack.enter_context(patch.object(recomputing, "rows_in_a_block", lambda head: height))
    stack.enter_context(patch.object(recomputing, "GROUP", height))
    return stack


def values(head: Head, loss: Loss) -> Values:
    """Those of one step."""
    value = step_of(head, loss)()
    assert head.hidden.grad is not None
    assert head.weight.grad is not None
    return Values(value, head.hidden.grad, head.weight.grad)


def errors(found: Values, truth: Values) -> Errors:
    """Relative ones."""
    return Errors(*(float((a.double() - b).norm() / b.norm()) for a, b in zip(found, truth, strict=True)))


def report(found: list[Row]) -> str:
    """The whole page."""
    cells = [(name(row.dtype), row.way, str(row.blocks), *(f"{e:.1e}" for e in row.errors)) for row in found]
    head = ("dtype", "by", "blocks", "loss", "hidden gradient", "weight gradient")
    parts = [
        "# Accuracy of a linear head",
        grid(("", ""), description().items(), 2),
        METHOD,
        grid(head, cells, 2),
        "## The weight's gradient",
        f"The most error at any number of blocks by that at one; and the error at {BLOCKS[-1]} by that of torch's "
        "chunked operation there.",
        grid(("dtype", "by", "growth", "share", "promised", "met"), conclusions(found), 2),
    ]
    return "\n\n".join(parts) + "\n"


def conclusions(found: list[Row]) -> Iterator[tuple[str, ...]]:
    """Whether blocks add to the error, and how much of the chunked peer's it is."""
    errors = {(row.dtype, row.way, row.blocks): row.errors.by_weight for row in found}
    for dtype, way in dict.fromkeys((row.dtype, row.way) for row in found if row.way != WHOLE):
        growth = max(errors[dtype, way, blocks] for blocks in BLOCKS) / errors[dtype, way, 1]
        cells = (name(dtype), way, f"{growth:.1f}")
        if way == CHUNKED:
            yield (*cells, "", "", "")
            continue
        share = errors[dtype, way, BLOCKS[-1]] / errors[dtype, CHUNKED, BLOCKS[-1]]
        yield (*cells, f"{share:.2f}", f"≤ {SHARE}", "yes" if share <= SHARE else "no")


def name(dtype: torch.dtype) -> str:
    """Without its module."""
    return str(dtype).removeprefix("torch.")


if __name__ == "__main__":
    main()
