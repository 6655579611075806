"""One table in every form a file can have, and files that are none."""

import gzip

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from crossentropy.training.errors import InputError
from crossentropy.training.tables.options import ReadOptions
from crossentropy.training.tables.read import read_table

TEXT = "größe,art,note\n1.5,é,x\n2.25,ü,\n-3,ß,y\n"
COLUMNS = {"größe": ["1.5", "2.25", "-3"], "art": ["é", "ü", "ß"], "note": ["x", "", "y"]}


def read(folder, content: bytes | str, name="table.csv", **options):
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_table(path, ReadOptions(**options))


def texts(table) -> dict[str, list[str]]:
    return {name: column.to_pylist() for name, column in table.columns.items()}


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators_and_line_ends_are_found(tmp_path, separator, ending):
    table = read(tmp_path, TEXT.replace(",", separator).replace("\n", ending))
    assert texts(table) == COLUMNS
    assert bool(table.notices) == (separator != ",")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_unicode_is_recognized(tmp_path, encoding):
    content = TEXT.encode(encoding) if encoding != "utf-16-le" else "size,kind\n1,a\n2,b\n".encode(encoding)
    if encoding == "utf-16-be":
        content = "size,kind\n1,a\n2,b\n".encode(encoding)
    table = read(tmp_path, content)
    assert len(table.columns) == (2 if encoding in ("utf-16-le", "utf-16-be") else 3)
    assert "\ufeff" not in "".join(table.columns)
    assert any("was read as UTF" in notice for notice in table.notices) == (encoding[:5] != "utf-8")


def test_a_first_character_that_shares_bytes_with_a_mark_is_kept(tmp_path):
    assert list(read(tmp_path, "ｘ,y\n1,2\n".encode("utf-16")).columns) == ["ｘ", "y"]


def test_another_encoding_is_named_and_read_by_option(tmp_path):
    with pytest.raises(
        InputError, match=r"line 1 holds bytes that are not valid UTF-8\. Try --encoding latin-1"
    ):
        read(tmp_path, TEXT.encode("latin-1"))
    table = read(tmp_path, TEXT.encode("latin-1"), encoding="latin-1")
    assert texts(table) == COLUMNS
    assert table.notices == ["table.csv was read as iso8859-1."]


@pytest.mark.parametrize(
    ("encoding", "sentence"), [("klingon", "no encoding 'klingon'"), ("utf-8", "is wrong")]
)
def test_an_encoding_that_cannot_be_is_refused(tmp_path, encoding, sentence):
    with pytest.raises(InputError, match=sentence):
        read(tmp_path, TEXT.encode("utf-16"), encoding=encoding)


def test_the_first_wrong_byte_is_found_behind_many_right_ones(tmp_path):
    content = b"a,b\n" + b"1,2\n" * 5_000_000 + b"\xff,2\n"
    with pytest.raises(InputError, match="line 5000002"):
        read(tmp_path, content)


def test_gzip_is_read_whatever_the_name(tmp_path):
    table = read(tmp_path, gzip.compress(TEXT.encode(), mtime=0))
    assert texts(table) == COLUMNS
    assert "decompressed by gzip" in table.notices[0]


@pytest.mark.parametrize(
    ("text", "decimal"),
    [
        ("a;b\n1,5;x\n2,25;y\n", ","),
        ("a;b\n1.5;x\n2.25;y\n", "."),
        ("a;b\n1.234,5 kg;x\n", ","),
        ("a;b\n1,234;x\n2,345;y\n", "."),  # thousands as well as a comma and three decimals
        ("a;b;c\n1,234;x;0,5\n2,345;y;1,5\n", ","),
    ],
)
def test_the_decimal_mark_is_that_of_most_plain_numbers(tmp_path, text, decimal):
    assert read(tmp_path, text).decimal == decimal
    assert read(tmp_path, text, decimal=".").decimal == "."


def test_quotes_hold_separators_line_breaks_and_quotes(tmp_path):
    table = read(tmp_path, 'a,b\n"1, 2","x\ny"\n"say ""no""",z\n')
    assert texts(table) == {"a": ["1, 2", 'say "no"'], "b": ["x\ny", "z"]}
    assert table.notices == [
        "Column 'b' has line breaks inside 1 cell, the first in row 0 (counted from 0): if they are not meant, "
        "look there for a quotation mark that is not closed."
    ]


def test_rows_may_end_in_a_separator(tmp_path):
    table = read(tmp_path, "label,grade,age\nx,1,2,\ny,3,4,\n")
    assert texts(table) == {"label": ["x", "y"], "grade": ["1", "3"], "age": ["2", "4"]}
    assert "ends in a separator" in table.notices[0]


def test_a_first_line_of_excel_names_the_separator(tmp_path):
    assert texts(read(tmp_path, "sep=;\na,b;c\n1;2\n")) == {"a,b": ["1"], "c": ["2"]}


def test_names_are_stripped_and_made_up_where_there_are_none(tmp_path):
    table = read(tmp_path, ", a ,Unnamed: 2\n0,1,2\n")
    assert list(table.columns) == ["unnamed column 1", "a", "Unnamed: 2"]
    assert table.unnamed == {"unnamed column 1", "Unnamed: 2"}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (gzip.compress(b"", mtime=0), "is empty"),
        (b"a,b\n", "holds no rows"),
        (b"a,b\n1,2\n3\n", "names 2 columns, but 1 row has 1 fields, such as '3'"),
        (b"a,b\n1,2,x\n3,4,\n", "names 2 columns, but 2 rows have 3 fields"),
        (b"a,b\n" + b"1,2,\n" * 300 + b"1,2,3\n", "last is not always empty: add the missing name"),
        (b"a,b,a\n1,2,3\n", "several columns of the same name: 'a'"),
        (b"label,x, label\n1,2,3\n", "several columns of the same name: 'label'"),
        (b"5.1,3.5,setosa\n4.9,3.0,setosa\n", r"holds the numbers 5\.1, 3\.5, so it seems to be a row"),
        (b"PK\x03\x04...", "zip archive or an Excel workbook"),
        (b"\xd0\xcf\x11\xe0...", "Excel workbook"),
        (b"a,b\n1,\x002\n", "zero bytes"),
        (gzip.compress(TEXT.encode() * 100, mtime=0)[:60], "cannot be read: Compressed file ended"),
    ],
)
def test_what_is_no_table_is_refused_in_a_sentence(tmp_path, content, sentence):
    with pytest.raises(InputError, match=sentence) as refusal:
        read(tmp_path, content)
    assert "\n" not in str(refusal.value)


def test_numbers_may_be_names_if_they_rise(tmp_path):
    assert list(read(tmp_path, "0,1,2,label\n5,6,7,x\n").columns) == ["0", "1", "2", "label"]


def test_parquet_is_read_with_its_types_and_its_index(tmp_path):
    frame = pd.DataFrame({"x": [1, 2]}, index=pd.Index(["a", "b"], name="site"))
    frame.to_parquet(tmp_path / "t")
    table = read_table(tmp_path / "t", ReadOptions())
    assert texts(table) == {"x": [1, 2], "site": ["a", "b"]}
    assert "has a pandas index, 'site'" in table.notices[0]
    frame.rename_axis(None).to_parquet(tmp_path / "t")
    assert read_table(tmp_path / "t", ReadOptions()).unnamed == {"__index_level_0__"}


@pytest.mark.parametrize("end", [10, -10])
def test_truncated_parquet_is_refused(tmp_path, end):
    parquet.write_table(pa.table({"x": np.arange(1000)}), tmp_path / "t.parquet")
    content = (tmp_path / "t.parquet").read_bytes()[:end]
    with pytest.raises(InputError, match=r"cannot be read.*[^.]\.$"):
        read(tmp_path, content, "t.parquet")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"separator": ";;"}, "one character"),
        ({"decimal": "x"}, "not 'x'"),
        ({"decimal": ",", "separator": ","}, "both be a comma"),
        ({"min_class": 0}, "at least 1"),
    ],
)
def test_options_that_cannot_be_are_refused(options, sentence):
    with pytest.raises(InputError, match=sentence):
        ReadOptions(**options)
