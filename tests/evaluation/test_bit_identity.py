"""One data set gives one state: whatever it is read from, in whatever pieces, order, threads and way of merging."""

import json
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import csv, feather, parquet

from crossentropy._statistics.cpu.memory import NumpyMemory
from crossentropy.evaluation import State, state
from crossentropy.evaluation._scoring import Columns, Request, Scoring
from crossentropy.evaluation._sources import blocks
from crossentropy.evaluation._sources import table as pieces
from crossentropy.evaluation._tables import score_tables

KINDS = st.sampled_from(["proba", "logits", "log_proba"])
WAYS = st.sampled_from(["arrays", "table", "parquet", "feather", "csv", "jsonl"])


def drawn_rows(r, n, kind, classes, *, soft, faulty):
    """Columns by name; of every tenth row something is wrong if `faulty`."""
    p = r.integers(1, 30, (n, classes)) / 1.0
    p /= p.sum(axis=1, keepdims=True)
    x = {"proba": p, "logits": np.log(p) + 0.3, "log_proba": np.log(p)}[kind]
    if classes == 2:
        x = x[:, 1:] - (x[:, :1] if kind == "logits" else 0)
    t = r.dirichlet(np.ones(classes), n)[:, -x.shape[1] :]
    rows = {f"p{c}": x[:, c].copy() for c in range(x.shape[1])}
    rows |= {f"t{c}": t[:, c] for c in range(x.shape[1])} if soft else {"t": r.integers(0, classes, n)}
    rows["w"] = r.integers(0, 40, n) / 7.0
    rows["user"], rows["part"] = r.integers(-5, 20, n), r.integers(0, 30, n)
    rows["key"] = r.permutation(n)
    if faulty:
        rows["p0"][::10] = r.choice([np.nan, 7.0, -np.inf], len(rows["p0"][::10]))
        rows["w"][5::10] *= -1
        rows["part"][::10] = 77  # a slice of which all rows are left out
        if not soft:
            rows["t"][3::10] = 9
    return rows


def names_of(rows, soft):
    """What `score_tables` takes."""
    predictions = [name for name in rows if name[0] == "p" and name != "part"]
    labels = [name for name in rows if name[0] == "t"]
    only = predictions[0] if len(predictions) == 1 else predictions
    return Columns(
        only, labels if soft and len(labels) > 1 else labels[0], "w", "user", "key", {"part": "part"}
    )


def of_arrays(rows, names, request, batches):
    """Score arrays in so many batches."""

    def column(name, at):
        return np.stack([rows[x][at] for x in name]).T if isinstance(name, list) else rows[name][at]

    scoring = Scoring(request)
    for at in np.array_split(np.arange(len(rows["w"])), batches):
        columns = [column(name, at) for name in (names.predictions, names.labels, "w", "user", "key")]
        scoring.add(Columns(*columns, {"part": rows["part"][at]}))
    return scoring.state


def written(rows, way, path):
    """Write rows in a format, and return what is read."""
    table = pa.table(rows)
    if way == "table":
        return table
    if way == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    else:
        {"parquet": parquet.write_table, "feather": feather.write_feather, "csv": csv.write_csv}[way](
            table, path
        )
    return path


def merged(states, r):
    """Merge states, as bytes, in a random tree."""
    states = [x.to_bytes() for x in states]
    while len(states) > 1:
        a, b = (State.from_bytes(states.pop(r.integers(len(states)))) for _ in range(2))
        a.merge(b)
        states.append(a.to_bytes())
    return states[0]


each_way = given(
    seed=st.integers(0, 2**32 - 1),
    kind=KINDS,
    classes=st.sampled_from([2, 3, 5]),
    soft=st.booleans(),
    faulty=st.booleans(),
    way=WAYS,
    parts=st.integers(1, 5),
    batches=st.sampled_from([1, 7, 1000]),
    threads=st.integers(1, 2),
)


def assert_one_state(tmp_path_factory, seed, kind, classes, soft, faulty, way, parts, batches, threads):
    r = np.random.default_rng(seed)
    rows = drawn_rows(r, 300, kind, classes, soft=soft, faulty=faulty and way != "jsonl")  # JSON has no NaN
    names = names_of(rows, soft)
    request = Request(
        kind,
        soft_labels=soft,
        classes=range(classes),
        weighted=True,
        clustered=True,
        slices=("part",),
        bootstrap=3,
        worst=5,
        on_bad_rows="skip",
    )
    expected = of_arrays(rows, names, request, 1).to_bytes()
    order = r.permutation(300)
    shuffled = {name: column[order] for name, column in rows.items()}
    cuts = np.sort(r.choice(np.arange(30, 300, 30), parts - 1, replace=False))
    folder = tmp_path_factory.mktemp("rows")
    with (
        patch.object(NumpyMemory, "threads", staticmethod(lambda: threads)),
        patch.object(state, "rows_together", lambda classes: 40),
        patch.object(blocks, "BLOCK", 40_000 // batches),
        patch.object(pieces, "BATCH", max(1, 600 // batches)),
    ):
        states = []
        for i, at in enumerate(np.split(np.arange(300), cuts)):
            part = {name: column[at] for name, column in shuffled.items()}
            if way == "arrays":
                states.append(of_arrays(part, names, request, batches))
            else:
                states.append(score_tables(written(part, way, folder / f"{i}.{way}"), names, request))
    assert merged(states, r) == expected


@settings(max_examples=10, deadline=None)
@each_way
def test_one_data_set_has_one_state(tmp_path_factory, **drawn):
    assert_one_state(tmp_path_factory, **drawn)


@pytest.mark.full
@settings(max_examples=100, deadline=None)
@each_way
def test_many_data_sets_have_one_state_each(tmp_path_factory, **drawn):
    assert_one_state(tmp_path_factory, **drawn)


@pytest.mark.parametrize("way", ["parquet", "csv", "jsonl"])
def test_numbers_name_the_same_clusters_and_rows_in_every_format(way, tmp_path):
    """Cells of CSV are texts; ties among the worst rows are broken by keys as numbers, 9 before 10."""
    rows = {
        "p": np.full(40, 0.5),
        "t": np.arange(40) % 2,
        "user": np.arange(40) % 7 / 4,
        "key": np.arange(40)[::-1].copy(),
    }
    request = Request("proba", clustered=True, bootstrap=5, worst=12)
    names = Columns("p", "t", cluster="user", key="key")
    found = score_tables(written(rows, way, tmp_path / f"rows.{way}"), names, request)
    assert found.finalize().worst_rows[-1]["row"] == 11
    scoring = Scoring(request)
    scoring.add(Columns(rows["p"], rows["t"], cluster=rows["user"], key=rows["key"]))
    assert found.to_bytes() == scoring.state.to_bytes()


def test_keys_of_texts_and_numbers_in_one_column_have_an_order(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("y,p,key\n" + "".join(f"1,0.5,{key}\n" for key in ("b", "10", "007", "9", "a")))
    found = score_tables(path, Columns("p", "y", key="key"), Request("proba", worst=3)).finalize()
    assert [row["row"] for row in found.worst_rows] == [9, 10, "007"]
