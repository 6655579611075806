"""Files that cannot be scored: the message has file, row and value, and bad rows can be left out and counted."""

import gzip
import re

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from crossentropy.evaluation import BadData, evaluate
from crossentropy.evaluation._sources import blocks

NAMES = {"labels": "y", "proba": "p"}


def written(folder, name, content):
    path = folder / name
    if isinstance(content, dict):
        parquet.write_table(pa.table(content), path)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def refuses(words, source, *, error=BadData, **options):
    with pytest.raises(error, match=re.escape(words)):
        evaluate(source, **NAMES | options)


@pytest.mark.parametrize(
    ("row", "words", "kind"),
    [
        ("1,nan", "a prediction is NaN", "nan"),
        ("1,1.5", "the probability is 1.5; it must be from 0 to 1", "range"),
        ("2,0.5", "the label is 2, which is not among the classes [0, 1]", "label"),
        ("x,0.5", "the label is 'x', which is not among the classes [0, 1]", "label"),
        ("1,", "column 'p' has no value; fill it in", "null"),
        (",0.5", "column 'y' has no value; fill it in", "null"),
        ("1,NA", "column 'p' has no value; fill it in", "null"),
        ("NA,0.5", "column 'y' has no value; fill it in", "null"),
        (
            '1,"0,5"',
            "column 'p' holds '0,5', which is no number; write numbers with a decimal point",
            "number",
        ),
        ("1", "the line '1' has 1 cells, and there are 2 columns", "line"),
        ("1,0.5,7", "the line '1,0.5,7' has 3 cells, and there are 2 columns", "line"),
    ],
)
def test_a_bad_row_of_a_text_table_is_named_or_left_out(row, words, kind, tmp_path):
    path = written(tmp_path, "rows.csv", f"y,p\n0,0.2\n1,0.9\n{row}\n0,0.5\n")
    refuses(f"{path}, row 2: {words}", path, classes=[0, 1])
    result = evaluate(path, on_bad_rows="skip", classes=[0, 1], **NAMES)
    assert result.bad_rows == {kind: 1}
    assert result.log_loss == pytest.approx(-np.log([0.8, 0.9, 0.5]).mean(), rel=1e-15)


def test_rows_after_a_line_that_was_left_out_keep_their_numbers(tmp_path):
    lines = ["0,0.5"] * 20
    lines[3] = lines[7] = "0"
    lines[12] = "1,0.01"
    path = written(tmp_path, "rows.csv", "y,p\n" + "\n".join(lines) + "\n")
    result = evaluate(path, on_bad_rows="skip", **NAMES)
    assert (result.bad_rows, result.worst_rows[0]["row"]) == ({"line": 2}, 12)


@pytest.mark.parametrize(
    ("column", "values", "words", "kind"),
    [
        ("p", [0.5, None, 0.5], "column 'p' has no value", "null"),
        ("y", [0, None, 1], "column 'y' has no value", "null"),
        ("w", [1.0, None, 1.0], "column 'w' has no value", "null"),
        ("w", [1.0, -2.0, 1.0], "the weight is -2.0; weights are finite and not negative", "weight"),
        ("user", ["a", None, "b"], "column 'user' has no value", "null"),
        (
            "p",
            [[0.5, 0.5], [1.0], [0.5, 0.5]],
            "column 'p' has a list of 1 numbers, and there are 2 classes",
            "ragged",
        ),
        ("p", [[0.5, 0.5], [1.0, None], [0.5, 0.5]], "column 'p' has no value", "null"),
        ("p", [[0.5, 0.5], [0.5, 0.4], [0.5, 0.5]], "the probabilities sum to 0.9, not to 1", "sum"),
    ],
)
def test_a_bad_row_of_a_parquet_file_is_named_or_left_out(column, values, words, kind, tmp_path):
    data = {"p": [0.5, 0.5, 0.5], "y": [0, 1, 1], "w": [1.0, 1.0, 1.0], "user": ["a", "b", "c"]}
    path = written(tmp_path, "rows.parquet", {**data, column: values})
    options = {"weight": "w", "cluster": "user"}
    refuses(f"{path}, row 1: {words}", path, **options)
    result = evaluate(path, on_bad_rows="skip", **NAMES, **options)
    assert (result.n, result.bad_rows) == (2, {kind: 1})


def test_a_row_without_weight_may_hold_anything(tmp_path):
    path = written(tmp_path, "rows.csv", "y,p,w\n0,0.2,1\n,x,0\n1,,0\n1,0.9,1\n")
    result = evaluate(path, weight="w", **NAMES)
    assert (result.n, result.bad_rows) == (2, {})


PLAIN = {"p": np.full(5000, 0.5), "y": np.arange(5000) % 2}


def test_truncated_files_are_refused(tmp_path):
    whole = written(tmp_path, "whole.parquet", PLAIN)
    with open(whole, "rb") as file:
        content = file.read()
    path = written(tmp_path, "part.parquet", content[:-100])
    refuses(f"{path} cannot be read as Parquet", path)
    path = written(tmp_path, "part.csv.gz", gzip.compress(b"y,p\n" + b"0,0.25\n" * 9000)[:-20])
    refuses(path, path)


@pytest.mark.parametrize("row", ["{},{}\n", '{{"y": {}, "p": {}}}\n'])
def test_a_packed_file_that_is_cut_off_far_from_its_start_is_named(row, tmp_path):
    p = np.random.default_rng(0).random(30_000)
    rows = "".join(row.format(i % 2, x) for i, x in enumerate(p))
    packed = gzip.compress(("" if "{{" in row else "y,p\n").encode() + rows.encode())
    path = written(tmp_path, "rows.gz", packed[: len(packed) // 2])
    refuses(f"{path} cannot be unpacked: Truncated compressed stream", path)


def test_damaged_pages_are_found_by_their_checksums(tmp_path):
    whole = tmp_path / "whole.parquet"
    values = {"p": np.random.default_rng(0).random(5000), "y": PLAIN["y"]}
    parquet.write_table(
        pa.table(values), whole, write_page_checksum=True, compression="none", use_dictionary=False
    )
    content = bytearray(whole.read_bytes())
    content[20000] ^= 1
    path = written(tmp_path, "damaged.parquet", bytes(content))
    refuses(f"{path} cannot be read as Parquet", path)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("rows.csv", "", "is empty; pass a file with predictions"),
        ("rows.csv", "y,p\n", "there are no rows in"),
        ("rows.csv", "y,p\r0,1\r", "has no line of names that ends in a line feed"),
        ("rows.csv", 'y,"p\n0,1\n', "has a quotation mark in the names of its columns that is not closed"),
        ("rows.csv", "y,p,p\n0,1,1\n", "has 2 columns with the name 'p'; give each a name of its own"),
        ("rows.csv", "y,p\n0,é\n".encode("latin-1"), "is not in UTF-8, in line 2"),
        ("rows.csv", "y,p\n0,1\n".encode("utf-16"), "is not in UTF-8"),
        ("rows.csv", "y,p\n0,1.5\n0,2\n", "the probability is 1.5"),
        ("rows.jsonl", '{"y": 0, "p": 1}\n{"y": 1,\n', "line 2: '{\"y\": 1,' is no JSON"),
        ("rows.jsonl", '{"y": 0, "p": 0.5}\n[1]\n', "line 2: '[1]' is no object"),
        ("rows.jsonl", '{"y": 0, "p": 0.5}\n' * 5000 + "{\n", "line 5001: '{' is no JSON"),
        ("rows.jsonl", '{"y": 0, "p": 0.5}\n' * 5000 + '{"p": "x"}\n', "cannot be read as JSON lines"),
        (
            "rows.jsonl",
            '{"y": 0, "p": 0.5}\n{"y": "a", "p": 0.5}\n',
            "column 'y' has values of types int, str",
        ),
        ("rows.json", '[{"y": 0, "p": 1}]', "is a JSON array; write JSON lines"),
        ("rows.xlsx", b"PK\x03\x04", "is a zip archive or an Excel workbook"),
        ("rows.npy", b"\x93NUMPY", "is a NumPy file"),
    ],
)
def test_what_is_no_table_of_predictions_is_told_what_it_is(name, content, words, tmp_path):
    refuses(words, written(tmp_path, name, content))


def test_a_quotation_mark_that_is_not_closed_is_looked_for_in_a_part_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 1000)
    monkeypatch.setattr(blocks, "LONGEST", 5000)
    path = written(tmp_path, "rows.csv", 'y,p\n0,0.5\n1,"0.5\n' + "0,0.5\n" * 9000)
    refuses("look there for a quotation mark that is not closed", path)


@pytest.mark.parametrize("policy", ["error", "skip"])
@pytest.mark.parametrize("row", ['1,0.5,"x\n', '"1,0.5,x\n', '1,"0.5,x\n'])
def test_a_quotation_mark_that_takes_the_rest_of_the_file_is_an_error(policy, row, tmp_path):
    path = written(tmp_path, "rows.csv", 'y,p,s\n0,0.5,"a\nb"\n\n' + row + "0,0.5,x\n" * 20_000)
    refuses(f"{path}, row 1: a quotation mark is not closed", path, on_bad_rows=policy, slice="s")


def test_a_quotation_mark_within_a_cell_is_a_letter(tmp_path):
    path = written(tmp_path, "rows.csv", 'y,p,s\n0,0.5,5" pipe\n1,0.5,x\n')
    assert [s["slice"] for s in evaluate(path, slice="s", **NAMES).slices] == ['5" pipe', "x"]


def test_offsets_that_point_anywhere_are_refused(tmp_path):
    names = pa.StringArray.from_buffers(
        2, pa.py_buffer(np.asarray([0, 1 << 30, 2], np.int32)), pa.py_buffer(b"ab")
    )
    batch = pa.record_batch({"y": names, "p": [0.5, 0.5]})
    with pa.ipc.new_file(tmp_path / "rows.arrow", batch.schema) as file:
        file.write_batch(batch)
    refuses(
        "cannot be read as Arrow: In column 1: Invalid: Offset", str(tmp_path / "rows.arrow"), positive="a"
    )


def test_all_rows_left_out_is_an_error(tmp_path):
    path = written(tmp_path, "rows.csv", "y,p\n0,2\n1,3\n")
    refuses("can be scored; left out by their faults: 2 range", path, on_bad_rows="skip")


# ----------------------------------------------------------------------------------------------- wrong arguments


def test_the_nearest_name_of_a_column_is_suggested(tmp_path):
    path = written(tmp_path, "rows.csv", "label,prob_spam\n1,0.5\n")
    words = (
        f"{path} has no column 'prob_sapm'; its columns are 'label', 'prob_spam'. Did you mean 'prob_spam'?"
    )
    refuses(words, path, error=ValueError, labels="label", proba="prob_sapm")
    refuses("no column of", path, error=ValueError, labels="label", proba="q_*")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"classes": ["a", "x"]},
            "are not those of the classes: the columns are 'p_b', 'p_a', and the classes 'a', 'x'",
        ),
        ({"classes": ["a"]}, "has 2 columns of predictions for 1 classes: the columns are 'p_b', 'p_a'"),
        ({"proba": ["p_b", "p_a"], "classes": ["a", "b"]}, "are in another order than the classes"),
        ({"proba": "p_a"}, "the labels are names, 'a', 'b'; pass positive="),
        ({"proba": "p_a", "positive": "c"}, "and the first labels beside it are 'a', 'b'; pass classes="),
        ({"labels": "p_*"}, "labels has 2 columns, 'p_b', 'p_a'; pass one column, or soft_labels=True"),
        ({"weight": "p_*"}, "weight is 'p_*', which names 2 columns; pass one column"),
        ({"labels": "k"}, "the labels are numbers, and the columns are named for 'b', 'a'"),
    ],
)
def test_columns_and_classes_that_do_not_fit_are_both_listed(options, words, tmp_path):
    path = written(tmp_path, "rows.csv", "y,p_b,p_a,k\na,0.5,0.5,0\nb,0.5,0.5,1\n")
    refuses(words, path, error=ValueError, **{"proba": "p_*", **options})


def test_a_label_without_a_column_is_listed_with_the_classes(tmp_path):
    path = written(tmp_path, "rows.csv", "y,p_b,p_a\na,0.5,0.5\nc,0.5,0.5\n")
    refuses("row 1: the label is 'c', which is not among the classes ['b', 'a']", path, proba="p_*")


def test_paths_that_lead_nowhere_are_told_apart(tmp_path):
    refuses("there is no file 'nowhere.csv'", "nowhere.csv", error=FileNotFoundError)
    refuses("no file matches", str(tmp_path / "*.csv"), error=FileNotFoundError)
    (tmp_path / "part.parquet").touch()
    refuses(f"is a folder; pass its files, as '{tmp_path}/*.parquet'", tmp_path, error=IsADirectoryError)


def test_a_folder_of_partitions_is_told_the_pattern_of_their_files(tmp_path):
    (tmp_path / "country=de").mkdir()
    (tmp_path / "_SUCCESS").touch()
    parquet.write_table(pa.table({"y": [0, 1], "p": [0.2, 0.7]}), tmp_path / "country=de" / "part-0.parquet")
    with pytest.raises(IsADirectoryError) as error:
        evaluate(tmp_path, **NAMES)
    assert evaluate(str(error.value).partition("as ")[2].strip("'"), **NAMES).n == 2


def test_arrays_beside_a_source_are_refused(tmp_path):
    path = written(tmp_path, "rows.csv", "y,p\n0,0.5\n")
    refuses("with a source it is the name of a column", path, error=TypeError, proba=np.zeros(1))


def test_without_pyarrow_the_extra_is_named(monkeypatch):
    import sys

    for name in [
        name for name in sys.modules if name.startswith(("pyarrow", "crossentropy.evaluation._sources"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    refuses('pip install "crossentropy[evaluate]"', "rows.csv", error=ImportError)
