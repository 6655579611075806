"""Memory and time of a linear head as its rows and its classes grow.

python benchmarks/linear_growth.py
python benchmarks/linear_growth.py --write benchmarks/results/linear-growth.md
"""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

import memory
import peers
from crossentropy.training.curves import svg_style
from linear_cases import ours, ours_least, random_head, step_of
from machine import description
from measure import timed
from run import THREADS
from table import grid, milliseconds

D = 256
FIXED_N, FIXED_V = 2048, 32768  # where the other one grows
SIZES = [
    *((N, FIXED_V) for N in (512, 1024, 2048, 4096)),
    *((FIXED_N, V) for V in (8192, 16384, 65536)),
]
DTYPES = ("float32", "bfloat16")
TURNS = 3

METHOD = f"""\
A step, forward and backward, of a random head with D = {D}. Memory is the peak of resident memory during the step
beyond that before it and beyond the gradients of hidden states and weight; time is the median of {TURNS} steps, all
four ways turn by turn. Each size is measured in a process of its own."""

WAYS = {
    "torch, whole": peers.linear_cross_entropy,
    "torch, chunked": peers.chunked_linear_cross_entropy,
    "ours": ours,
    "ours, memory_budget=0": ours_least,
}
COLORS = ("#666666", "#e0a030", "#1b6ca8", "#d1495b")


class Point(NamedTuple):
    """What one way takes at one size."""

    seconds: float
    extra: int  # bytes


class Size(NamedTuple):
    """A head, and what every way takes for it."""

    dtype: str
    N: int
    V: int
    points: dict[str, Point]


def main() -> None:
    """Measure, print the report, and draw it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--write", metavar="PATH", type=Path, help="write the report here as well, and a figure beside it"
    )
    options = parser.parse_args()
    if not memory.is_measurable():
        sys.exit("the most memory in use is read from /proc/self, which only Linux has")
    torch.set_num_threads(THREADS)
    sizes = []
    for dtype in DTYPES:
        for N, V in SIZES:
            sizes.append(Size(dtype, N, V, memory.in_fresh_process(measured, dtype, N, V)))
            print(f"{dtype}, N = {N}, V = {V}", file=sys.stderr, flush=True)
    figure = options.write and options.write.with_suffix(".svg")
    page = report(sizes, figure)
    print(page)
    if options.write:
        options.write.parent.mkdir(parents=True, exist_ok=True)
        options.write.write_text(page)
        draw(sizes, figure)


def measured(dtype: str, N: int, V: int) -> dict[str, Point]:
    """Every way at one size."""
    head = random_head(N, D, V, getattr(torch, dtype))
    steps = {way: step_of(head, loss) for way, loss in WAYS.items()}
    extra = {way: max(memory.peak(step, head.clear) - head.gradient_bytes, 0) for way, step in steps.items()}
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(TURNS):
        for way, step in steps.items():
            times[way].append(timed(step, 1))
            head.clear()
    return {way: Point(median(times[way]), extra[way]) for way in WAYS}


def report(sizes: Iterable[Size], figure: Path | None) -> str:
    """The whole page."""
    head = ["dtype", "N", "V", *(f"{what}, {way}" for what in ("MiB", "ms") for way in WAYS)]
    cells = [
        [
            *(size.dtype, str(size.N), str(size.V)),
            *(f"{size.points[way].extra / 2**20:.0f}" for way in WAYS),
            *(milliseconds(size.points[way].seconds) for way in WAYS),
        ]
        for size in sizes
    ]
    parts = ["# Growth of a linear head", grid(("", ""), description().items(), 2), METHOD]
    if figure:
        parts.append(f"![Memory and time by rows and by classes]({figure.name})")
    return "\n\n".join([*parts, grid(head, cells, 1)]) + "\n"


def draw(sizes: list[Size], path: Path) -> None:
    """Memory above, time below; by rows and by classes, for each dtype."""
    with svg_style():
        figure = Figure(figsize=(15, 6.5), layout="constrained")
        above, below = figure.subplots(2, 2 * len(DTYPES), sharex="col", sharey="row")
        columns = [(dtype, by) for dtype in DTYPES for by in ("N", "V")]
        for (dtype, by), bytes_, seconds in zip(columns, above, below, strict=True):
            other, fixed = ("V", FIXED_V) if by == "N" else ("N", FIXED_N)
            chosen = sorted(
                (size for size in sizes if size.dtype == dtype and getattr(size, other) == fixed),
                key=lambda size: getattr(size, by),
            )
            sides = [getattr(size, by) for size in chosen]
            for way, color in zip(WAYS, COLORS, strict=True):
                points = [size.points[way] for size in chosen]
                bytes_.plot(sides, [point.extra / 2**20 for point in points], "o-", color=color, label=way)
                seconds.plot(sides, [point.seconds for point in points], "o-", color=color)
            bytes_.set_title(f"{dtype}, {other} = {fixed}")
            seconds.set_xlabel("rows N" if by == "N" else "classes V")
            seconds.set_xscale("log", base=2)
            seconds.set_xticks(sides, sides)
        _log_axis(above[0], "MiB beyond the gradients")
        _log_axis(below[0], "seconds a step")
        handles, labels = above[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(WAYS), frameon=False)
        figure.savefig(path, format="svg", metadata={"Date": None})


def _log_axis(axes: Axes, label: str) -> None:
    axes.set(yscale="log", ylabel=label)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


if __name__ == "__main__":
    main()
