"""`evaluate` of a Parquet file, beside DuckDB, polars and scikit-learn, and beside reading the file.

OMP_NUM_THREADS=2 POLARS_MAX_THREADS=2 python benchmarks/evaluation.py [--turns 7] [--only REGEX] [--write] [--memory]

Ours is the whole evaluation: log loss with its interval, calibration, temperature, worst rows; with 200 bootstrap
replicates too where the table says so. DuckDB and polars compute the bare log loss, as a query of the same file, which
is in the page cache. scikit-learn has the columns in memory, read by pyarrow on its clock: `log_loss`,
`calibration_curve` (one probability) and 200 replicates of the log loss with weights drawn from a Poisson distribution,
of which 10 are timed and count twenty times. Reading is `ParquetFile.iter_batches` of the same columns and nothing
else.

Sides take turns in one process on the same threads; a ratio is the peer's time by ours in the same turn. The table has
medians with quartiles, of the wall clock and of the processor's time: where other processes use the cores, the second
is the steadier one. `--memory` measures the most resident memory for 10⁶ to 10⁸ rows, each in a process of its own
that reads the file once; the files are written piece by piece and deleted.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter, process_time
from typing import NamedTuple

import duckdb
import numpy as np
import polars
import pyarrow as pa
from matplotlib.figure import Figure
from pyarrow import parquet
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss

from crossentropy.evaluation import evaluate
from crossentropy.training.curves import svg_style
from machine import Others, description
from run import THREADS
from table import grid

RESULTS = Path(__file__).parent / "results" / "evaluation.md"
REPLICATES, TIMED = 200, 10  # of scikit-learn's
PIECE = 10**6  # rows that are written at once
MEMORY_ROWS = (10**6, 3 * 10**6, 10**7, 3 * 10**7, 10**8)


class Data(NamedTuple):
    """A Parquet file with labels y and predictions p, or p_0 to p_{C − 1}."""

    path: str
    classes: int
    dtype: str

    @property
    def columns(self) -> list[str]:
        """The columns of predictions."""
        return ["p"] if self.classes == 2 else [f"p_{c}" for c in range(self.classes)]


class Seconds(NamedTuple):
    """Of the wall clock, and of the processor."""

    wall: float
    processor: float


class Case(NamedTuple):
    """A peer, and how many times as fast as it ours is to be."""

    peer: str
    timed: Callable[[Data], Seconds]
    goal: float
    replicates: int = 0


def main() -> None:
    """Print the tables, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument(
        "--only", default="", help="a regular expression for cases, as in '10 classes.*polars'"
    )
    parser.add_argument("--memory", action="store_true", help="measure memory too, up to 10⁸ rows")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    options = parser.parse_args()
    if polars.thread_pool_size() != THREADS:
        sys.exit(
            f"polars has {polars.thread_pool_size()} threads, ours {THREADS}; set POLARS_MAX_THREADS={THREADS}"
        )
    pa.set_cpu_count(THREADS)
    with tempfile.TemporaryDirectory() as folder:
        others = Others()
        rows = timings(Path(folder), options.turns, options.only)
        share = others.share()
        peaks = memory(Path(folder)) if options.memory else []
    page = report(rows, peaks, share)
    print(page)
    if options.write:
        RESULTS.write_text(page)
        if peaks:
            draw(peaks, RESULTS.with_suffix(".svg"))


# ----------------------------------------------------------------------------------------------------------- the data


def write_rows(path: Path, n: int, classes: int, dtype: str) -> Data:
    """Write n rows of overconfident predictions."""
    data, rng = Data(str(path), classes, dtype), np.random.default_rng(0)
    writer = None
    for start in range(0, n, PIECE):
        m = min(PIECE, n - start)
        scores = rng.normal(size=(m, classes))
        drawn = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
        e = np.exp(1.4 * scores)
        p = (e / e.sum(axis=1, keepdims=True)).astype(dtype)
        columns = {"p": p[:, 1]} if classes == 2 else dict(zip(data.columns, p.T, strict=True))
        piece = pa.table({"y": drawn.astype(np.int8), **columns})
        writer = writer or parquet.ParquetWriter(path, piece.schema)
        writer.write_table(piece)
    assert writer is not None
    writer.close()
    return data


# ---------------------------------------------------------------------------------------------------------- the sides


def ours(data: Data, replicates: int = 0) -> float:
    """The whole evaluation."""
    names = "p" if data.classes == 2 else data.columns
    return evaluate(data.path, labels="y", proba=names, bootstrap=replicates).log_loss


def by_duckdb(data: Data) -> float:
    """The bare log loss in SQL."""
    cases = (
        "CASE WHEN y = 1 THEN p ELSE 1 - p END"
        if data.classes == 2
        else f"CASE y {' '.join(f'WHEN {c} THEN {name}' for c, name in enumerate(data.columns))} END"
    )
    with duckdb.connect(config={"threads": THREADS}) as connection:
        (loss,) = connection.execute(f"SELECT avg(-ln({cases})) FROM '{data.path}'").fetchone()
    return loss


def by_polars(data: Data) -> float:
    """The bare log loss in expressions."""
    label = polars.col("y")
    if data.classes == 2:
        own = polars.when(label == 1).then(polars.col("p")).otherwise(1 - polars.col("p"))
    else:
        whens = [polars.when(label == c).then(polars.col(name)) for c, name in enumerate(data.columns)]
        own = polars.coalesce(whens)
    return polars.scan_parquet(data.path).select((-own.log()).mean()).collect().item()


def timed(side: Callable[[], object]) -> Seconds:
    """Time one call."""
    start = perf_counter(), process_time()
    side()
    return Seconds(perf_counter() - start[0], process_time() - start[1])


def timed_sklearn(data: Data) -> Seconds:
    """Log loss, calibration curve and replicates of columns in memory."""
    columns: list[np.ndarray] = []

    def scores() -> None:
        table = parquet.read_table(data.path, columns=["y", *data.columns])
        p = np.stack([table[name].to_numpy() for name in data.columns]).T
        columns[:] = table["y"].to_numpy(), p[:, 0] if data.classes == 2 else p
        log_loss(*columns)
        if data.classes == 2:
            calibration_curve(*columns, n_bins=15)

    def replicates() -> None:
        rng = np.random.default_rng(0)
        for _ in range(TIMED):
            log_loss(*columns, sample_weight=rng.poisson(1.0, len(columns[0])))

    once, ten = timed(scores), timed(replicates)
    return Seconds(*(a + REPLICATES / TIMED * b for a, b in zip(once, ten, strict=True)))


def read(data: Data) -> None:
    """Nothing but reading."""
    for _ in parquet.ParquetFile(data.path).iter_batches(columns=["y", *data.columns]):
        pass


CASES = [
    Case("reading by pyarrow", lambda data: timed(lambda: read(data)), 1 / 1.5),
    Case("DuckDB, log loss alone", lambda data: timed(lambda: by_duckdb(data)), 1.0),
    Case("polars, log loss alone", lambda data: timed(lambda: by_polars(data)), 1.0),
    Case("scikit-learn, 200 replicates; ours with none", timed_sklearn, 10.0),
    Case("scikit-learn, 200 replicates; ours with 200", timed_sklearn, 10.0, REPLICATES),
]


# ------------------------------------------------------------------------------------------------------------- timing

DATA = {
    "10⁷ rows of one probability, float64": (10**7, 2, "float64"),
    "10⁷ rows of one probability, float32": (10**7, 2, "float32"),
    "10⁶ rows of 10 classes, float64": (10**6, 10, "float64"),
    "10⁶ rows of 10 classes, float32": (10**6, 10, "float32"),
}


def timings(folder: Path, turns: int, only: str) -> list[list[str]]:
    """The lines of the table."""
    lines = []
    for what, (n, classes, dtype) in DATA.items():
        chosen = [case for case in CASES if re.search(only, f"{what}, {case.peer}")]
        if not chosen:
            continue
        data = write_rows(folder / "rows.parquet", n, classes, dtype)
        check(data)
        for case in chosen:
            lines.append([what, case.peer, *measured(case, data, turns)])
            print(*lines[-1], sep="  ", file=sys.stderr, flush=True)
    return lines


def check(data: Data) -> None:
    """Raise unless all sides find the same loss, to the digits of float32."""
    found = [side(data) for side in (ours, by_duckdb, by_polars)]
    if not np.allclose(found, found[0], rtol=1e-5):
        raise AssertionError(f"ours, DuckDB and polars find {found}: there is nothing to compare")


def measured(case: Case, data: Data, turns: int) -> list[str]:
    """Time both sides in turn: the cells of a line."""
    turns = 1 if case.timed is timed_sklearn else turns
    pairs = [(case.timed(data), timed(lambda: ours(data, case.replicates))) for _ in range(turns)]
    cells, met = [], False
    for clock in ("wall", "processor"):
        peer, own = ([getattr(pair[side], clock) for pair in pairs] for side in (0, 1))
        ratios = [a / b for a, b in zip(peer, own, strict=True)]
        low, _, high = quantiles(ratios, n=4, method="inclusive") if turns > 1 else (ratios[0],) * 3
        cells += [f"{1e3 * median(peer):.0f}", f"{1e3 * median(own):.0f}"]
        cells += [f"{median(ratios):.2f}", f"{low:.2f}–{high:.2f}"]
        met = met or (clock == "wall" and median(ratios) >= case.goal)
    return [*cells, f"≥ {case.goal:.2g}", "yes" if met else "no"]


# ------------------------------------------------------------------------------------------------------------- memory

PEAK = """\
import re, sys
from pathlib import Path
from crossentropy.evaluation import evaluate
assert evaluate(sys.argv[1], labels="y", proba="p").n == int(sys.argv[2])
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def memory(folder: Path) -> list[tuple[int, float]]:
    """The most resident memory of a process that evaluates so many rows, in MiB."""
    peaks = []
    for n in MEMORY_ROWS:
        path = folder / "many.parquet"
        write_rows(path, n, 2, "float32")
        output = subprocess.run(
            [sys.executable, "-c", PEAK, str(path), str(n)], check=True, capture_output=True, text=True
        ).stdout
        path.unlink()
        peaks.append((n, int(output) / 1024))
        print(f"{n} rows: {peaks[-1][1]:.0f} MiB", file=sys.stderr, flush=True)
    return peaks


def draw(peaks: list[tuple[int, float]], path: Path) -> None:
    """Draw the most memory by rows."""
    with svg_style():
        figure = Figure(figsize=(6, 3.2), layout="constrained")
        axes = figure.subplots()
        axes.plot(*zip(*peaks, strict=True), "o-", color="#1b6ca8", label="evaluate, peak of resident memory")
        size = [5 * n / 2**20 for n, _ in peaks]  # a label has one byte, a float32 four
        axes.plot([n for n, _ in peaks], size, "--", color="#666666", label="the columns themselves")
        axes.set(xscale="log", yscale="log", xlabel="rows", ylabel="MiB")
        axes.legend(frameon=False)
        figure.savefig(path, format="svg", metadata={"Date": None})


# ------------------------------------------------------------------------------------------------------------- report


def report(rows: list[list[str]], peaks: list[tuple[int, float]], share: float) -> str:
    """The whole page."""
    head = ["data", "peer", "peer ms", "ours ms", "×", "quartiles"]
    head += ["peer CPU ms", "ours CPU ms", "× CPU", "quartiles", "goal", "met"]
    peers = ", ".join(f"{name} {version(name)}" for name in ("pyarrow", "polars", "duckdb", "scikit-learn"))
    _, command, method = __doc__.split("\n\n", 2)
    parts = [
        "# Evaluation of a Parquet file",
        f"`{command}`",
        method.rstrip(),
        grid(
            ("", ""), [*description().items(), ("peers", peers), ("others", f"{share:.0%} of the cores")], 2
        ),
        grid(head, rows, 2),
    ]
    if peaks:
        table = grid(("rows", "MiB at most"), [(f"{n:,}", f"{mib:.0f}") for n, mib in peaks], 0)
        parts += [
            "## Memory",
            "The most resident memory of a process that imports the package and evaluates a file of one float32 "
            "probability and a label of one byte.",
            "![The most resident memory by rows](evaluation.svg)",
            table,
        ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
