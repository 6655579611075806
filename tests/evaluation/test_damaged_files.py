"""Thousands of files with random damage: an error that names the file, or the answer that its content has."""

import gzip
import json
import math
import re

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, feather, parquet

from crossentropy.evaluation import evaluate
from sampling import full

TIMES = 75
#: What draws the damage.
each_seed = pytest.mark.parametrize("seed", [1, *full([2])])
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
R = np.random.default_rng(0)
P = R.integers(1, 9, (40, 3)) / 1.0
P /= P.sum(axis=1, keepdims=True)
TABLE = pa.table(
    {
        **{f"p_{name}": P[:, c] for c, name in enumerate("abc")},
        "y": R.choice(list("abc"), 40),
        "w": R.random(40),
        "u": R.integers(0, 9, 40),
    }
)
NAMES = {
    "labels": "y",
    "proba": "p_*",
    "classes": ["a", "b", "c"],
    "weight": "w",
    "cluster": "u",
    "slice": "u",
}
TEXTS = (
    b"\n",
    b",",
    b"\r\n",
    b"\x00",
    b"\xff",
    b"nan",
    b"-",
    b"1e999",
    b"{",
    b"]",
    b":",
    b"\\",
    b"null",
    b" ",
    b";",
)


def stream(table, path):
    with pa.ipc.new_stream(path, table.schema) as file:
        file.write_table(table)


def plain(table, path):
    parquet.write_table(table, path, compression="none", use_dictionary=False)


def checked(table, path):
    parquet.write_table(table, path, write_page_checksum=True)


WRITERS = {
    "parquet": parquet.write_table,
    "plain Parquet": plain,
    "Parquet with checksums": checked,
    "feather": feather.write_feather,
    "stream": stream,
}


def damaged(content, r, most=3):
    """Content with up to `most` changes: a byte, a size, a cut, a gap, something put in, something twice."""
    content = bytearray(content)
    for _ in range(r.integers(1, most + 1)):
        at = int(r.integers(len(content) + 1))
        match r.integers(6):
            case 0:
                content[at : at + 1] = bytes([r.integers(256)])
            case 1:
                content[at : at + 4] = int(r.choice([0, 1, 2**24, 2**31 - 1, 2**32 - 1])).to_bytes(
                    4, "little"
                )
            case 2:
                del content[at:]
            case 3:
                del content[at : at + int(r.integers(1, 9))]
            case 4:
                content[at:at] = TEXTS[r.integers(len(TEXTS))]
            case 5:
                start = int(r.integers(len(content) + 1))
                content[at:at] = content[start : start + int(r.integers(1, 40))]
    return bytes(content)


def score(path, content, **names):
    """The result of a file, or None if it is refused with its name."""
    path.write_bytes(content)
    try:
        return evaluate(path, **names)
    except ValueError as error:
        words = str(error)
    assert str(path) in words
    return None


@each_seed
@pytest.mark.parametrize("kind", WRITERS)
def test_a_damaged_binary_file_is_refused_by_its_name_or_scored(kind, seed, tmp_path):
    WRITERS[kind](TABLE, tmp_path / "whole")
    whole, r = (tmp_path / "whole").read_bytes(), np.random.default_rng(seed)
    results = [score(tmp_path / "rows", damaged(whole, r), **NAMES) for _ in range(TIMES)]
    scored = [x for x in results if x is not None]
    assert all(x.n <= 40 and x.log_loss >= 0 for x in scored)
    assert len(scored) < TIMES / 4


@each_seed
def test_a_damaged_packed_file_is_refused_by_its_name_or_scored(seed, tmp_path):
    csv.write_csv(TABLE, tmp_path / "whole")
    whole, r = (tmp_path / "whole").read_bytes(), np.random.default_rng(seed)
    truth, packed = score(tmp_path / "rows", whole, **NAMES), gzip.compress(whole, mtime=0)
    for _ in range(TIMES):
        result = score(tmp_path / "rows", damaged(packed, r), **NAMES)
        assert result is None or result.log_loss == truth.log_loss  # gzip has a checksum


def mean_loss(pairs):
    """The mean loss of (label, probability of "b") of the rows that can be scored, and their number."""
    losses = []
    for label, p in pairs:
        own = p if label == "b" else 1 - p
        losses.append(-math.log(own) if own > 0 else math.inf)
    return len(losses), math.fsum(losses) / len(losses) if losses else None


def of_csv(text):
    """Score a table without quotation marks; line ends and separators are all that it has."""
    (*names,), *rows = (line.split(",") for line in re.split("\r\n|\n|\r", text) if line)
    for row in rows:
        if len(row) == len(names):
            label, p = row[names.index("y")], row[names.index("p")].strip()
            is_number = NUMBER.fullmatch(p)
            if label in ("a", "b") and is_number and 0 <= float(p) <= 1:
                yield label, float(p)


@each_seed
def test_a_damaged_csv_file_is_refused_or_has_the_rows_that_are_whole(seed, tmp_path):
    r = np.random.default_rng(seed)
    rows = [f"{r.choice(['a', 'b'])},{r.random():.3f},x{i}" for i in range(12)]
    whole = "\n".join(["y,p,s", *rows, ""]).encode()
    scored = 0
    for _ in range(2 * TIMES):
        content = damaged(whole, r)
        options = {"classes": ["a", "b"], "slice": "s", "on_bad_rows": "skip"}
        result = score(tmp_path / "rows", content, labels="y", proba="p", **options)
        if result is not None:
            n, loss = mean_loss(of_csv(content.decode("utf-8-sig")))
            assert (result.n, result.log_loss) == (n, pytest.approx(loss, rel=1e-13)), content
            scored += 1
    assert scored > TIMES / 2


@each_seed
def test_a_damaged_file_of_json_lines_is_refused_or_has_the_rows_that_it_says(seed, tmp_path):
    r = np.random.default_rng(seed)
    rows = [json.dumps({"y": str(r.choice(["a", "b"])), "p": r.random()}) for _ in range(4)]
    whole = "\n".join([*rows, ""]).encode()
    scored = 0
    for _ in range(2 * TIMES):
        content = damaged(whole, r, most=1)
        result = score(tmp_path / "rows", content, labels="y", proba="p", classes=["a", "b"])
        if result is not None:
            lines = [json.loads(line) for line in content.split(b"\n") if line.strip()]
            n, loss = mean_loss((line["y"], line["p"]) for line in lines)
            assert (result.n, result.log_loss) == (n, pytest.approx(loss, rel=1e-13)), content
            scored += 1
    assert scored > TIMES / 20
