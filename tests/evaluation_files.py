"""One table of predictions in every format that is read, and what is expected of it."""

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv, feather, parquet

from crossentropy.evaluation import Evaluation, evaluate

CLASSES = ("dog", "ant", "cat")
N = 600


def columns(seed=0, n=N):
    """Predictions of three classes, labels, weights, clusters, slices."""
    r = np.random.default_rng(seed)
    p = r.dirichlet([1, 1, 1], n)
    y = (p.cumsum(axis=1) < r.random((n, 1))).sum(axis=1).clip(0, 2)
    return {
        "p": p,
        "y": np.asarray(CLASSES)[y],
        "w": r.lognormal(size=n),
        "user": r.integers(0, 40, n),
        "country": np.asarray(["de", "fr", "it"])[r.integers(0, 3, n)],
    }


def table(data):
    single = {f"p_{name}": data["p"][:, c] for c, name in enumerate(CLASSES)}
    rest = {name: data[name].tolist() for name in ("y", "w", "user", "country")}
    return pa.table({**single, "p": data["p"].tolist(), **rest})


def of_arrays(data) -> Evaluation:
    return evaluate(
        labels=data["y"],
        proba=data["p"],
        classes=CLASSES,
        weight=data["w"],
        cluster=data["user"],
        slice={"country": data["country"]},
    )


def write(table, path: Path) -> str:
    """Write a table in the format that the name of the file says."""
    flat = table.drop_columns(["p"]) if "p" in table.column_names and ".csv" in path.name else table
    match path.name.partition(".")[2]:
        case "parquet":
            parquet.write_table(table, path, row_group_size=170)
        case "feather":
            feather.write_feather(table, path, chunksize=170)
        case "arrows":
            with pa.ipc.new_stream(path, table.schema) as file:
                file.write_table(table, 170)
        case "jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
        case "jsonl.gz":
            path.write_bytes(gzip.compress(Path(write(table, path.with_suffix(""))).read_bytes()))
        case "csv":
            csv.write_csv(flat, path)
        case "csv.gz":
            path.write_bytes(gzip.compress(Path(write(table, path.with_suffix(""))).read_bytes()))
        case "csv.zst":
            with pa.CompressedOutputStream(str(path), "zstd") as file:
                csv.write_csv(flat, file)
    return str(path)


FORMATS = ("parquet", "feather", "arrows", "jsonl", "jsonl.gz", "csv", "csv.gz", "csv.zst")


def without_origin(result: Evaluation) -> str:
    """All scores as JSON, without the files that the worst rows are in."""
    scores = result.to_dict()
    scores["worst_rows"] = [
        {key: value for key, value in row.items() if key != "origin"} for row in scores["worst_rows"]
    ]
    return json.dumps(scores, default=str)
