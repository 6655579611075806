"""Files, streams and tables give the bits of the arrays that are in them."""

import io
import sys
from types import SimpleNamespace

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

from crossentropy.evaluation import BadData, evaluate
from crossentropy.evaluation._scoring import Columns, Request
from crossentropy.evaluation._sources import blocks
from crossentropy.evaluation._sources import table as pieces
from crossentropy.evaluation._tables import score_tables
from evaluation_files import CLASSES, FORMATS, columns, of_arrays, table, without_origin, write

OPTIONS = {"labels": "y", "weight": "w", "cluster": "user", "slice": "country"}
DATA = columns()
TABLE = table(DATA)


@pytest.fixture(scope="module")
def truth():
    return without_origin(of_arrays(DATA))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("predictions")
    for kind in FORMATS:
        write(TABLE, folder / f"rows.{kind}")
    return folder


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_gives_the_bits_of_the_arrays(kind, folder, truth):
    result = evaluate(folder / f"rows.{kind}", proba="p_*", classes=CLASSES, **OPTIONS)
    assert without_origin(result) == truth
    assert {row["origin"] for row in result.worst_rows} == {str(folder / f"rows.{kind}")}


@pytest.mark.parametrize("kind", ["parquet", "feather", "arrows", "jsonl"])
def test_a_column_of_lists_is_columns_side_by_side(kind, folder, truth):
    result = evaluate(str(folder / f"rows.{kind}"), proba="p", classes=CLASSES, **OPTIONS)
    assert without_origin(result) == truth


@pytest.mark.parametrize(
    "source",
    [
        TABLE,
        TABLE.to_reader(max_chunksize=100),
        pl.from_arrow(TABLE),
        TABLE.to_pandas(),
        pl.from_arrow(TABLE).with_columns(pl.col("y", "country").cast(pl.Categorical)),
    ],
    ids=["pyarrow", "reader", "polars", "pandas", "categories"],
)
def test_an_object_with_an_arrow_stream_gives_the_bits_of_the_arrays(source, truth):
    result = evaluate(source, proba=["p_dog", "p_ant", "p_cat"], **OPTIONS)
    assert without_origin(result) == truth


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_small_pieces_give_the_bits_of_large_ones(kind, folder, truth, monkeypatch):
    for module, name in ((blocks, "BLOCK"), (pieces, "BATCH")):
        monkeypatch.setattr(module, name, 2000 if name == "BLOCK" else 7)
    result = evaluate(folder / f"rows.{kind}", proba="p_*", classes=CLASSES, **OPTIONS)
    assert without_origin(result) == truth


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet", "arrows", "jsonl"])
def test_standard_input_is_a_file_that_cannot_be_rewound(kind, folder, truth, monkeypatch):
    class Pipe(io.BytesIO):
        def seekable(self):
            return False

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Pipe((folder / f"rows.{kind}").read_bytes())))
    result = evaluate("-", proba="p_*", classes=CLASSES, **OPTIONS)
    assert without_origin(result) == truth
    assert result.worst_rows[0]["origin"] == "standard input"


def test_files_of_a_pattern_are_one_data_set_and_may_order_their_columns_differently(tmp_path, truth):
    write(TABLE.slice(0, 250), tmp_path / "part-0.parquet")
    write(TABLE.slice(250).select(TABLE.column_names[::-1]), tmp_path / "part-1.parquet")
    result = evaluate(str(tmp_path / "part-*.parquet"), proba="p_*", classes=CLASSES, **OPTIONS)
    whole = of_arrays(DATA)
    assert (result.n, result.log_loss, result.slices) == (whole.n, whole.log_loss, whole.slices)
    assert result.miscalibration == whole.miscalibration
    both = [str(tmp_path / "part-1.parquet"), tmp_path / "part-0.parquet"]
    assert evaluate(both, proba="p_*", classes=CLASSES, **OPTIONS) == result


def test_a_file_that_is_named_twice_is_refused(tmp_path):
    """Its rows would count twice, and the interval would be too narrow."""
    path = tmp_path / "rows.csv"
    path.write_text("y,p\n0,0.2\n1,0.7\n")
    (tmp_path / "link.csv").symlink_to(path)
    for sources in (
        [path, path],
        [str(tmp_path / "*.csv")],
        [path, tmp_path / ".." / tmp_path.name / "rows.csv"],
    ):
        with pytest.raises(
            ValueError, match=r"\.csv is named twice, and would count twice; pass each file once"
        ):
            evaluate(sources, labels="y", proba="p")


def test_an_address_of_fsspec_is_opened(folder, truth):
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    for kind in ("csv.gz", "parquet"):
        memory.pipe(f"/rows.{kind}", (folder / f"rows.{kind}").read_bytes())
        result = evaluate(f"memory://rows.{kind[:4]}*", proba="p_*", classes=CLASSES, **OPTIONS)
        assert without_origin(result) == truth


def test_keys_name_rows_whatever_file_they_are_in(tmp_path):
    keyed = TABLE.append_column("id", pa.array([f"r{i}" for i in range(len(TABLE))]))
    paths = [write(keyed, tmp_path / f"{name}.parquet") for name in ("a", "b")]
    results = [evaluate(x, labels="y", proba="p_*", key="id", bootstrap=20) for x in (*paths, keyed)]
    assert results[0] == results[1] == results[2]
    assert results[0].worst_rows[0]["row"].startswith("r")


# ------------------------------------------------------------------------------------------------ classes by name


def csv_of(tmp_path, text):
    path = tmp_path / "rows.csv"
    path.write_text(text)
    return str(path)


def test_columns_of_a_pattern_are_matched_by_name_and_not_by_place(tmp_path):
    path = csv_of(tmp_path, "y,p_cat,p_ant\nant,0.2,0.8\ncat,0.3,0.7\n")
    expected = -np.log([0.8, 0.3]).mean()
    for classes in (None, ["ant", "cat"], ["cat", "ant"]):
        result = evaluate(path, labels="y", proba="p_*", classes=classes)
        assert result.log_loss == pytest.approx(expected, rel=1e-15)


def test_a_star_stands_for_anything_and_brackets_for_themselves():
    data = pa.table({"p[b]": [0.25, 0.5], "p[a]": [0.75, 0.5], "y": ["a", "b"]})
    result = evaluate(data, labels="y", proba="p[*]")
    assert [c["label"] for c in result.classes] == ["b", "a"]
    assert result.log_loss == pytest.approx(-np.log([0.75, 0.5]).mean(), rel=1e-15)


def test_numbers_in_the_names_of_columns_are_labels(tmp_path):
    path = csv_of(tmp_path, "y,p_2,p_1\n1,0.25,0.75\n2,0.5,0.5\n")
    result = evaluate(path, labels="y", proba="p_*")
    assert [c["label"] for c in result.classes] == [2, 1]
    assert result.log_loss == pytest.approx(-np.log([0.75, 0.5]).mean(), rel=1e-15)


@pytest.mark.parametrize(
    ("texts", "options"),
    [
        (["0", "1"], {}),
        (["0.0", "1.0"], {}),
        (["False", "True"], {}),
        (["0", "1"], {"classes": [0, 1]}),
        (["0", "1"], {"classes": ["0", "1"]}),
        (["ham", "spam"], {"positive": "spam"}),
        (["ham", "spam"], {"classes": ["ham", "spam"]}),
        (["ham", "spam"], {"classes": ["spam", "ham"], "positive": "spam"}),
    ],
)
def test_one_column_is_of_the_positive_class(texts, options, tmp_path):
    path = csv_of(tmp_path, f"y,p\n{texts[0]},0.2\n{texts[1]},0.9\n")
    assert evaluate(path, labels="y", proba="p", **options).log_loss == pytest.approx(
        -np.log([0.8, 0.9]).mean()
    )


def test_columns_of_whole_numbers_with_a_decimal_point_are_the_labels(tmp_path):
    (tmp_path / "rows.csv").write_text("p_1.0,p_0.0,y\n0.2,0.8,1.0\n0.7,0.3,1.0\n")
    result = evaluate(str(tmp_path / "rows.csv"), labels="y", proba="p_*")
    assert result.log_loss == pytest.approx(-np.log([0.2, 0.7]).mean(), rel=1e-15)


@pytest.mark.parametrize("missing", ["NA", "nan"])
@pytest.mark.parametrize("options", [{}, {"positive": 1}, {"classes": [0, 1]}])
def test_missing_labels_do_not_turn_numbers_into_names(missing, options, tmp_path):
    """As R writes a table, and NumPy."""
    (tmp_path / "rows.csv").write_text(f'"p","y"\n0.2,1\n0.7,{missing}\n0.6,0\n')
    result = evaluate(str(tmp_path / "rows.csv"), labels="y", proba="p", on_bad_rows="skip", **options)
    assert result.bad_rows == {"null": 1}
    assert result.log_loss == pytest.approx(-np.log([0.2, 0.4]).mean(), rel=1e-15)


def test_a_label_that_looks_missing_is_a_name_among_names(tmp_path):
    (tmp_path / "rows.csv").write_text("p_NA,p_US,y\n0.2,0.8,NA\n0.7,0.3,US\n")
    result = evaluate(str(tmp_path / "rows.csv"), labels="y", proba="p_*")
    assert result.log_loss == pytest.approx(-np.log([0.2, 0.3]).mean(), rel=1e-15)


def test_json_lines_may_begin_with_the_mark_of_utf_8(tmp_path):
    (tmp_path / "rows.jsonl").write_text('\ufeff{"y": 1, "p": 0.2}\n{"y": 0, "p": 0.4}\n', encoding="utf-8")
    result = evaluate(str(tmp_path / "rows.jsonl"), labels="y", proba="p")
    assert result.log_loss == pytest.approx(-np.log([0.2, 0.6]).mean(), rel=1e-15)


@pytest.mark.parametrize("cell", ['"0.5"', '{"cat": 0.5}'])
def test_json_lines_without_numbers_are_told_what_is_there(cell, tmp_path):
    (tmp_path / "rows.jsonl").write_text(f'{{"y": 1, "p": {cell}}}\n')
    with pytest.raises(BadData, match=r"rows.jsonl: column 'p' holds .*, which is no number; write numbers"):
        evaluate(str(tmp_path / "rows.jsonl"), labels="y", proba="p")


def test_soft_labels_are_columns_in_the_order_of_the_predictions():
    data = pa.table({"p_a": [0.5, 0.2], "p_b": [0.5, 0.8], "t_b": [0.25, 1.0], "t_a": [0.75, 0.0]})
    result = evaluate(data, labels="t_*", proba="p_*", soft_labels=True)
    assert result.log_loss == pytest.approx((np.log(2) - np.log(0.8)) / 2, rel=1e-15)


def test_text_tables_may_have_other_separators_quotes_and_marks(tmp_path):
    text = '\ufefftext;y;p\n"one; two\nthree";1;0.5\n"";0;0.5\n'
    (tmp_path / "rows.csv").write_text(text, encoding="utf-8")
    result = evaluate(tmp_path / "rows.csv", labels="y", proba="p", slice="text")
    assert [s["slice"] for s in result.slices] == ["None", "one; two\nthree"]


def test_names_of_columns_may_have_line_breaks_and_separators_in_quotes(tmp_path):
    path = csv_of(tmp_path, '\n"asked;\non";"y, told";p\n1;1;0.5\n')
    assert evaluate(path, labels="y, told", proba="p").n == 1


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "bool"])
def test_columns_of_any_numbers_are_read(dtype):
    p = np.asarray([0, 1, 1]).astype(dtype)
    data = pa.table({"p": p, "y": pa.array([0, 1, 1], pa.uint8())})
    assert evaluate(data, labels="y", proba="p").log_loss == 0


def test_memory_holds_a_few_pieces_of_a_file_and_not_the_whole(tmp_path):
    r = np.random.default_rng(0)
    data = pa.table({"p": r.random(2_000_000), "y": r.integers(0, 2, 2_000_000)})
    parquet.write_table(data, tmp_path / "rows.parquet", row_group_size=20_000, use_dictionary=False)
    size, pool = data.nbytes, pa.default_memory_pool()
    del data
    before, seen = pool.bytes_allocated(), []
    request = Request("proba", worst=0)
    score_tables(
        tmp_path / "rows.parquet",
        Columns("p", "y"),
        request,
        on_rows=lambda rows: seen.append(pool.bytes_allocated() - before),
    )
    assert len(seen) > 4
    assert max(seen) < size / 2


def test_a_slice_of_which_all_rows_are_left_out_is_none():
    data = pa.table({"p": [0.5, 0.5, None], "y": [0, 1, 1], "s": ["a", "b", "c"]})
    result = evaluate(data, labels="y", proba="p", slice="s", on_bad_rows="skip")
    assert [s["slice"] for s in result.slices] == ["a", "b"]
