"""Tables of one row to a million rows, and one column to five thousand, within the memory that is promised."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv

from crossentropy.training.data import load_dataset
from crossentropy.training.errors import InputError
from crossentropy.training.split import stratified_split
from crossentropy.training.tables.encoder import CATEGORY_BYTES, ColumnEncoder

RANDOM = np.random.default_rng(0)
#: The peak is that of this program: what `getrusage` says begins with that of the process which started it.
TRAIN = """
import re
from pathlib import Path
from crossentropy.cli import main
try:
    main()
except SystemExit as end:
    peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
    print(end.code, int(peak[1]) / 2**20)
"""


def run(*arguments: object) -> str:
    command = [sys.executable, "-c", TRAIN, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def write_categories(path: Path, rows: int) -> None:
    """Write columns of a thousand categories each, of which some tell the label."""
    columns = {f"c{i}": [f"v{j:x}" for j in RANDOM.integers(0, 1000, rows)] for i in range(34)}
    csv.write_csv(pa.table(columns | {"label": RANDOM.choice(["a", "b"], rows)}), path)


def split_table(path: Path) -> None:
    dataset = load_dataset(str(path))
    stratified_split(dataset.labels, dataset.classes, 0)


@pytest.mark.parametrize("rows", [1, 2, 3, 9])
def test_a_table_of_few_rows_is_refused_in_a_sentence(tmp_path, rows):
    (tmp_path / "t.csv").write_text("x,label\n" + "".join(f"{i * i},{'ab'[i % 2]}\n" for i in range(rows)))
    with pytest.raises(InputError, match=r"one class only|no column left|at least 5 rows"):
        split_table(tmp_path / "t.csv")


@pytest.mark.parametrize("columns", [1, 500])
def test_a_table_of_ten_rows_is_learnt_from_whatever_its_columns(tmp_path, columns):
    table = {f"x{i}": RANDOM.normal(size=10) for i in range(columns)} | {"label": ["a", "b"] * 5}
    csv.write_csv(pa.table(table), tmp_path / "t.csv")
    dataset = load_dataset(str(tmp_path / "t.csv"))
    assert ColumnEncoder().fit_transform(dataset.features).shape == (10, columns)


def test_many_categories_take_the_memory_that_is_promised(tmp_path):
    write_categories(tmp_path / "t.csv", 5000)
    dataset = load_dataset(str(tmp_path / "t.csv"))
    encoder = ColumnEncoder(CATEGORY_BYTES // 8).fit(dataset.features)
    assert 0.95 * CATEGORY_BYTES / 8 < encoder.transform(dataset.features).nbytes <= CATEGORY_BYTES / 8
    assert "share one: 'c0' (9" in encoder.notices_[0]


@pytest.mark.full
def test_the_command_trains_on_many_categories_within_a_gibibyte(tmp_path):
    write_categories(tmp_path / "t.csv", 16_000)
    assert 3.6e6 < (tmp_path / "t.csv").stat().st_size < 4e6
    code, peak = run("train", tmp_path / "t.csv", "--epochs", 1, "--out", tmp_path / "out").split()[-2:]
    assert code == "0"
    assert float(peak) < 1


@pytest.mark.full
def test_five_thousand_columns_are_described(tmp_path):
    table = {f"x{i}": RANDOM.normal(size=200).round(3) for i in range(5000)}
    csv.write_csv(pa.table(table | {"label": RANDOM.choice(["a", "b"], 200)}), tmp_path / "t.csv")
    features = load_dataset(str(tmp_path / "t.csv")).features
    assert ColumnEncoder().fit_transform(features).shape == (200, 5000)


@pytest.mark.full
def test_the_command_trains_on_a_million_rows_of_fifty_columns_within_four_gibibytes(tmp_path):
    n = 10**6
    columns = {f"x{i}": RANDOM.normal(size=n).round(4) for i in range(25)}
    columns |= {f"n{i}": RANDOM.integers(0, 1000, n) for i in range(10)}
    for i in range(8):
        names = pa.array([f"category {j}" for j in range(10 + 20 * i)])
        columns[f"c{i}"] = names.take(pa.array(RANDOM.integers(0, len(names), n)))
    columns["date"] = np.datetime64("2015-01-01") + RANDOM.integers(0, 3000, n)
    columns["time"] = np.datetime64("2015-01-01T00:00:00") + RANDOM.integers(0, 10**8, n)
    columns["user"] = pa.array([f"u{i:x}" for i in RANDOM.integers(0, 10**9, n).tolist()])
    columns["city"] = pa.array([f"z{i}" for i in RANDOM.integers(0, 30_000, n).tolist()])
    columns["money"] = pa.array([f"${i:,}" for i in RANDOM.integers(1000, 10**6, n).tolist()])
    columns["paid"] = RANDOM.random(n) < 0.5
    columns["label"] = pa.array(["no", "yes"]).take((columns["x0"] > 0).astype(np.int8))
    csv.write_csv(pa.table(columns), tmp_path / "t.csv")
    out = tmp_path / "out"
    code, peak = run("train", tmp_path / "t.csv", "--epochs", 1, "--out", out).split()[-2:]
    told = json.loads((out / "history.json").read_text())
    uses = {column["column"]: column["use"] for column in told["columns"]}
    assert (uses["date"], uses["time"], uses["user"]) == ("date", "date", "dropped")
    assert (uses["city"], uses["money"], uses["paid"]) == ("category", "number", "category")
    assert sum(told["rows"].values()) == n
    assert told["held_out"]["log_loss_nats"] < told["baseline"]["log_loss_nats"] / 2
    assert code == "0"
    assert float(peak) < 4
