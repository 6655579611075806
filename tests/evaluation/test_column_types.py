"""Columns of every type of Arrow are read as what they mean, or refused with their name and type."""

import datetime
import re
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from crossentropy.evaluation import BadData, evaluate

P, Y = [0.2, 0.7, 0.4, 0.9], [0, 1, 0, 1]
TRUTH = -np.log([0.8, 0.7, 0.6, 0.9]).mean()
DAYS = [datetime.date(2020, 1, 1 + y) for y in Y]
PAIRS = [[1 - p, p] for p in P]


def loss(**arguments):
    columns = {"p": P, "y": Y} | {name: arguments.pop(name) for name in ("p", "y", "s") if name in arguments}
    return evaluate(pa.table(columns), labels="y", proba="p", **arguments).log_loss


@pytest.mark.parametrize(
    ("labels", "options"),
    [
        (pa.array([y == 1 for y in Y]), {}),
        (pa.array(Y, pa.uint8()), {}),
        (pa.array(Y, pa.float32()), {}),
        (pa.array(Y).dictionary_encode(), {}),
        (pa.array(map(Decimal, Y)), {}),
        (pa.array(map(Decimal, Y)).dictionary_encode(), {"classes": [0, 1]}),
        (pa.array(list("abab"), pa.large_string()), {"positive": "b"}),
        (pa.array(list("abab")).dictionary_encode(), {"positive": "b"}),
        (pa.array([b"a", b"b", b"a", b"b"]), {"positive": "b"}),
        (pa.array(DAYS), {"positive": "2020-01-02"}),
        (pa.array(DAYS).dictionary_encode(), {"positive": "2020-01-02"}),
        (
            pa.array(DAYS).cast(pa.timestamp("us")),
            {"classes": ["2020-01-01 00:00:00", "2020-01-02 00:00:00"]},
        ),
    ],
    ids=lambda x: str(x.type) if isinstance(x, pa.Array) else "",
)
def test_labels_of_a_type_are_classes(labels, options):
    assert loss(y=labels, **options) == pytest.approx(TRUTH, rel=1e-15)


@pytest.mark.parametrize(
    ("predictions", "tolerance"),
    [
        (pa.array(P).dictionary_encode(), 1e-15),
        (pa.array([Decimal(str(p)) for p in P]), 1e-15),
        (pa.array(np.float16(P)), 1e-3),
        (pa.array(PAIRS, pa.list_(pa.float64(), 2)), 1e-15),
        (pa.array(PAIRS, pa.large_list(pa.float32())), 1e-6),
        (pa.array([np.float16(x) for x in PAIRS], pa.list_(pa.float16())), 1e-3),
        (pa.array([[Decimal(str(round(x, 1))) for x in pair] for pair in PAIRS]), 1e-15),
    ],
    ids=lambda x: str(x.type) if isinstance(x, pa.Array) else "",
)
def test_predictions_of_a_type_are_numbers(predictions, tolerance):
    assert loss(p=predictions) == pytest.approx(TRUTH, rel=tolerance)


LISTS, STRUCTS = [[1]] * 4, [{"a": 1}] * 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"p": ["0.5"] * 4}, "column 'p' of the table has values of type string; pass a column of numbers"),
        ({"p": STRUCTS}, "column 'p' of the table has values of type struct<a: int64>"),
        ({"p": STRUCTS, "y": list("abab")}, "column 'p' of the table has values of type struct<a: int64>"),
        ({"p": [[[0.5]]] * 4}, "column 'p' of the table has values of type list<"),
        ({"p": [["a", "b"]] * 4}, "column 'p' of the table has values of type string"),
        ({"y": LISTS}, "column 'y' has type list<"),
        ({"y": STRUCTS}, "column 'y' has type struct<a: int64>; pass a column of single values"),
        ({"s": LISTS, "weight": "s"}, "column 's' of the table has values of type list<"),
        ({"s": LISTS, "slice": "s"}, "write one value in each cell"),
        ({"s": STRUCTS, "cluster": "s"}, "column 's' has type struct<a: int64>"),
        ({"s": STRUCTS, "key": "s"}, "column 's' has type struct<a: int64>"),
        ({"y": [0.0, 1.0, float("nan"), 1.0]}, "row 2: the label is nan, which stands for a missing value"),
        ({"y": [0, 1, None, 1]}, "row 2: column 'y' has no value; fill it in"),
    ],
)
def test_columns_of_other_types_are_refused_by_name(arguments, words):
    with pytest.raises(BadData, match=re.escape(words)):
        loss(**arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"p": [20.0, 70.0, 40.0, 90.0]}, "the probability is 20.0; it must be from 0 to 1"),
        ({"p": [20.0, 70.0, 40.0, 90.0]}, "and divide percentages by 100"),
        ({"y": [" a", "b", "a", "b"], "classes": ["a", "b"]}, "the label is ' a'"),
        ({"y": [" a", "b", "a", "b"], "classes": ["a", "b"]}, "it is 'a' but for spaces or capitals"),
        ({"y": ["A", "B", "A", "B"], "classes": ["a", "b"]}, "it is 'a' but for spaces or capitals"),
    ],
)
def test_usual_mistakes_are_told_by_name(arguments, words):
    with pytest.raises(BadData, match=re.escape(words)):
        loss(**arguments)


@pytest.mark.parametrize("proba", ["y", "*", ["p", "y"]])
def test_labels_are_no_predictions(proba):
    with pytest.raises(ValueError, match="column 'y' of the table has the labels, and proba= names it"):
        evaluate(pa.table({"p": P, "y": Y}), labels="y", proba=proba)


def test_a_column_is_listed_once():
    with pytest.raises(ValueError, match="column 'p' is listed twice, in 'p', 'p'; pass each column once"):
        evaluate(pa.table({"p": P, "y": Y}), labels="y", proba=["p", "p"])


def test_labels_that_are_all_missing_at_first_need_classes():
    with pytest.raises(ValueError, match="the first labels are all missing; pass classes="):
        loss(y=pa.nulls(4))
    assert loss(y=[None, 1, 0, 1], on_bad_rows="skip") > 0


def test_float16_may_be_off_by_its_own_rounding():
    p = np.float16(np.random.default_rng(0).dirichlet(np.ones(10), 300))
    assert np.abs(p.sum(axis=1, dtype=float) - 1).max() > 1e-5
    assert evaluate(labels=[0] * 300, proba=p).n == 300
