from datetime import datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from crossentropy.training.errors import InputError
from crossentropy.training.labels import encode_labels, find_classes, keep_classes


def encode(values, **options):
    array = values if isinstance(values, pa.Array) else pa.array(values)
    return encode_labels(pa.chunked_array([array]), "y", **options)


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["b", "a", "b"], ["a", "b"]),
        (["10", "9", "10"], [9, 10]),
        (["01", "1", "01"], ["01", "1"]),
        (["007", "7", "007"], ["007", "7"]),
        (["true", "FALSE", "true"], [False, True]),
        ([str(2**63), str(2**63 - 1), str(2**63)], [2**63 - 1, 2**63]),
        ([str(2**70), "-1", str(2**70)], ["-1", str(2**70)]),
        ([str(2**63), "-1", str(2**63)], ["-1", str(2**63)]),
        (["2.0", "-1.00", "2.0"], [-1, 2]),
        (["x", "1", "x"], ["1", "x"]),
        ([" x", "y ", "x "], ["x", "y"]),
        ([10, 9, 10], [9, 10]),
        ([2.0, -1.0, 2.0], [-1, 2]),
        ([True, False, True], [False, True]),
        (pa.array(["lo", "hi", "lo"]).dictionary_encode(), ["hi", "lo"]),
        (np.array([2**64 - 1, 5, 2**64 - 1], dtype=np.uint64), [5, 2**64 - 1]),
        (
            [datetime(2020, 1, 2), datetime(2020, 1, 1), datetime(2020, 1, 2)],
            ["2020-01-01 00:00:00", "2020-01-02 00:00:00"],
        ),
        ([Decimal("1.0"), Decimal("3"), Decimal("1.0")], [1, 3]),
    ],
    ids=lambda values: str(list(values)[:2]),
)
def test_labels_of_any_type_become_sorted_plain_classes(values, classes):
    labels, found = encode(values)
    assert found == classes
    assert [type(value) for value in found] == [type(value) for value in classes]
    assert [str(found[i]) for i in labels] == [
        str(found[labels[0]]),
        str(found[labels[1]]),
        str(found[labels[0]]),
    ]
    assert labels[0] == labels[2] != labels[1]


def test_texts_stay_what_is_written_if_asked():
    assert encode(["1.1", "2", "1.1"], as_text=True)[1] == ["1.1", "2"]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([0.0, 1.5, 0.0], r"decimals, such as 1\.5: that is a regression target"),
        ([0.0, np.inf], "decimals, such as inf"),
        (["1", "1.5", "1"], r"decimals, such as 1\.5.*--text"),
        (["a", None, None], "2 rows have no label.*the first is row 1"),
        (["a", "", "NA"], "2 rows have no label"),
        (np.array([1.0, np.nan]), "1 row has no label"),
        (["a", "a"], "one class only, 'a'"),
        ([[1], [2]], "lists"),
    ],
)
def test_what_cannot_be_classes_is_refused(values, sentence):
    with pytest.raises(InputError, match=sentence):
        encode(values)


@pytest.mark.parametrize(
    ("values", "classes", "places"),
    [
        (["2.0", "1", "x", None, "3"], [1, 2], [1, 0, -1, -1, -1]),
        ([2.0, 1.0, np.nan], [1, 2], [1, 0, -1]),
        (["TRUE", "false", "yes"], [False, True], [1, 0, -1]),
        (["01", "1", " 01 "], ["01", "1"], [0, 1, 0]),
    ],
    ids=str,
)
def test_labels_of_another_table_are_found_among_the_classes(values, classes, places):
    found = find_classes(pa.chunked_array([pa.array(values)]), classes, merged=False)
    assert found.tolist() == places


def test_other_labels_of_another_table_are_of_the_merged_class():
    values = pa.chunked_array([pa.array(["a", "z", None])])
    assert find_classes(values, ["a", "other"], merged=True).tolist() == [0, 1, -1]


LABELS = np.array([0, 0, 0, 1, 2, 2])


def test_rare_classes_are_left_out_with_their_rows():
    rows, labels, classes, notice = keep_classes(LABELS, ["a", "b", "c"], 2, merge=False)
    assert rows.tolist() == [0, 1, 2, 4, 5]
    assert labels.tolist() == [0, 0, 0, 1, 1]
    assert classes == ["a", "c"]
    assert notice == "Classes with fewer than 2 rows ('b'; 1 rows) are left out."


def test_rare_classes_are_merged_into_one():
    rows, labels, classes, notice = keep_classes(LABELS, [7, 8, 9], 3, merge=True)
    assert rows.tolist() == list(range(6))
    assert classes == ["7", "other"]
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert "merged into one, 'other'" in notice


def test_when_no_two_classes_remain_it_is_refused():
    with pytest.raises(InputError, match="fewer than two classes remain: pass a smaller --min-class"):
        keep_classes(LABELS, ["a", "b", "c"], 3, merge=False)
