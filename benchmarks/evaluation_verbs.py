"""`compare`, `calibrate` and `perplexity` of a million rows, in times of `evaluate`.

OMP_NUM_THREADS=2 python benchmarks/evaluation_verbs.py [--turns 5] [--only REGEX]

Rows are in Parquet files: one probability, or ten classes, with a key of integers or of texts. A ratio is the time of a
verb by that of `evaluate` of its first file, in the same turn; `compare` reads two files. By the command it is the time
of a process, which imports the package too; by function it is that of a call in this process, which has called it
before. The table has medians, of the wall clock and of the processor's time; where other processes use the cores, the
second is the steadier one.
"""

import argparse
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from crossentropy.evaluation import compare, evaluate, language_score
from crossentropy.evaluation._scoring import Columns, Request
from crossentropy.evaluation.calibrators._tables import fit_to_source
from machine import Others, description
from table import grid

N = 10**6
METHODS = {
    2: ("auto", "temperature", "isotonic"),
    10: ("auto", "temperature", "vector", "matrix", "isotonic"),
}


class Seconds(NamedTuple):
    """Of the wall clock, and of the processor."""

    wall: float
    processor: float


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--only", default="", help="a regular expression for cases, as in 'compare.*texts'")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        others = Others()
        rows = []
        for classes in (2, 10):
            rows += measured(write_models(Path(folder), classes), classes, options)
        share = others.share()
    print(grid(("", ""), [*description().items(), ("others", f"{share:.0%} of the cores")], 2))
    print(grid(("case", "evaluate ms", "ms", "×", "evaluate CPU ms", "CPU ms", "× CPU"), rows, 1))


def write_models(folder: Path, classes: int) -> dict[str, str]:
    """Write the predictions of two models with both kinds of keys, and log-probabilities of tokens."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(N, classes))
    labels = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1).astype(np.int8)
    keys = {"integers": pa.array(np.arange(N)), "texts": pa.array([f"row {i}" for i in range(N)])}
    paths = {}
    for model in ("old", "new"):
        noise = 0.1 * rng.normal(size=scores.shape) if model == "new" else 0.0
        e = np.exp(1.4 * scores + noise)
        p = e / e.sum(axis=1, keepdims=True)
        columns = {"p_1": p[:, 1]} if classes == 2 else {f"p_{c}": p[:, c] for c in range(classes)}
        for kind, key in keys.items():
            paths[f"{model} {kind}"] = str(folder / f"{model}-{kind}-{classes}.parquet")
            parquet.write_table(pa.table({"id": key, "y": labels, **columns}), paths[f"{model} {kind}"])
    paths["tokens"] = str(folder / "tokens.parquet")
    nats = rng.gamma(2.0, 1.0, N)
    tokens = {"lp": -nats, "n": rng.integers(1, 9, N), "doc": np.arange(N) // 500}
    parquet.write_table(pa.table(tokens), paths["tokens"])
    return paths


def cases(paths: dict[str, str], classes: int) -> dict[str, tuple[Callable[[], object], list[str]]]:
    """What is timed: a call, and a command."""
    names = "p_1" if classes == 2 else "p_*"
    common = ["--label", "y", "--proba", names]
    saved = ["--save", str(Path(paths["tokens"]).with_name("c.json"))]
    found: dict[str, tuple[Callable[[], object], list[str]]] = {}
    for kind in ("integers", "texts"):
        pair = [paths[f"old {kind}"], paths[f"new {kind}"]]
        found[f"compare, keys are {kind}"] = (
            lambda pair=pair: compare(pair, labels="y", proba=names, key="id"),
            ["compare", *pair, "--key", "id", *common],
        )
    for method in METHODS[classes]:
        found[f"calibrate, {method}"] = (
            lambda method=method: fit_to_source(
                method, [paths["old integers"]], Columns(names, "y"), Request("proba")
            ),
            ["calibrate", paths["old integers"], "--method", method, *common, *saved],
        )
    if classes == 2:
        columns = ["--log-probs", "lp", "--bytes-column", "n", "--document", "doc"]
        found["perplexity"] = (
            lambda: language_score(paths["tokens"], log_probs="lp", bytes="n", document="doc"),
            ["perplexity", paths["tokens"], *columns],
        )
    return found


def measured(paths: dict[str, str], classes: int, options: argparse.Namespace) -> list[list[str]]:
    """The lines of the table for files of so many classes."""
    what = "one probability" if classes == 2 else f"{classes} classes"
    names, lines = "p_1" if classes == 2 else "p_*", []
    path = paths["old integers"]
    base = (
        (lambda: evaluate(path, labels="y", proba=names)),
        ["evaluate", path, "--label", "y", "--proba", names],
    )
    for case, (call, command) in cases(paths, classes).items():
        for how, time, both in (
            ("function", by_function, (base[0], call)),
            ("command", by_command, (base[1], command)),
        ):
            if not re.search(options.only, f"{what}, {case}, by {how}"):
                continue
            for side in both:
                time(side)
            turns = [[time(side) for side in both] for _ in range(options.turns)]
            cells = []
            for clock in Seconds._fields:
                pairs = [[getattr(seconds, clock) for seconds in turn] for turn in turns]
                cells += [f"{1e3 * median(x):.0f}" for x in zip(*pairs, strict=True)]
                cells.append(f"{median(b / a for a, b in pairs):.2f}")
            lines.append([f"{what}, {case}, by {how}", *cells])
            print(*lines[-1], sep="  ", file=sys.stderr, flush=True)
    return lines


def by_function(call: Any) -> Seconds:
    """Time a call."""
    start = perf_counter(), process_time()
    call()
    return Seconds(perf_counter() - start[0], process_time() - start[1])


def by_command(words: Any) -> Seconds:
    """Time a process."""

    def used() -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return children.ru_utime + children.ru_stime

    start = perf_counter(), used()
    command = [str(Path(sys.executable).with_name("crossentropy")), *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return Seconds(perf_counter() - start[0], used() - start[1])


if __name__ == "__main__":
    main()
