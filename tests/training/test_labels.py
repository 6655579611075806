from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from crossentropy.training.errors import InputError
from crossentropy.training.labels import encode_labels


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["b", "a", "b"], ["a", "b"]),
        ([10, 9, 10], [9, 10]),
        ([2.0, -1.0, 2.0], [-1, 2]),
        ([True, False, True], [False, True]),
        (pd.Categorical(["lo", "hi", "lo"], categories=["lo", "hi", "unused"]), ["hi", "lo"]),
        (pd.array([3, 1, 3], dtype="Int64"), [1, 3]),
        (np.array([2**64 - 1, 5, 2**64 - 1], dtype=np.uint64), [5, 2**64 - 1]),
        (
            pd.to_datetime(["2020-01-02", "2020-01-01", "2020-01-02"]),
            ["2020-01-01 00:00:00", "2020-01-02 00:00:00"],
        ),
        ([Decimal("1"), Decimal("0.5"), Decimal("1")], ["0.5", "1"]),
        (["x", 1, "x"], ["1", "x"]),
    ],
    ids=[
        "text",
        "integer",
        "whole float",
        "boolean",
        "category",
        "nullable",
        "unsigned",
        "date",
        "decimal",
        "mixed",
    ],
)
def test_labels_of_any_type_become_sorted_plain_classes(values, classes):
    labels, found = encode_labels(pd.Series(values, name="y"))
    assert found == classes
    assert [type(value) for value in found] == [type(value) for value in classes]
    assert [str(found[i]) for i in labels] == [
        str(found[labels[0]]),
        str(found[labels[1]]),
        str(found[labels[0]]),
    ]
    assert labels[0] == labels[2] != labels[1]


def test_a_number_and_the_text_of_it_in_one_column_are_one_class():
    labels, classes = encode_labels(pd.Series([1, "1", "2"], dtype=object))
    assert classes == ["1", "2"]
    assert labels.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([0.0, 1.5, 0.0], r"decimals, such as 1\.5: that is a regression target"),
        ([0.0, np.inf], "decimals, such as inf"),
        (["a", None, None], "2 rows have no label"),
        ([1.0, np.nan], "1 row has no label"),
        (["a", "a"], "one class only, 'a'"),
        ([[1], [2]], "lists"),
    ],
)
def test_what_cannot_be_classes_is_refused(values, sentence):
    with pytest.raises(InputError, match=sentence):
        encode_labels(pd.Series(values, name="y"))
