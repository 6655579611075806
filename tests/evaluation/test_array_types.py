"""Arrays and lists of every type are read as what they mean, as columns of files are, or refused."""

import datetime
import re
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from crossentropy.evaluation import BadData, State, evaluate
from crossentropy.evaluation._hashing import hash_values
from crossentropy.evaluation._scoring import Columns, Request, Scoring

P, Y = np.asarray([0.2, 0.7, 0.4, 0.9]), [0, 1, 0, 1]
TRUTH = -np.log([0.8, 0.7, 0.6, 0.9]).mean()
DAYS = [datetime.date(2020, 1, 1 + y) for y in Y]
MASK = np.ma.masked_array(np.ones(4), [0, 0, 1, 0])


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (DAYS, sorted(set(DAYS))),
        (DAYS, ["2020-01-01", "2020-01-02"]),
        (np.asarray(DAYS, "M8[D]"), ["2020-01-01", "2020-01-02"]),
        (pd.to_datetime(DAYS).astype("M8[ns]"), ["2020-01-01 00:00:00", "2020-01-02 00:00:00"]),
        ([Decimal(y) for y in Y], [Decimal(0), Decimal(1)]),
        ([b"a", b"b", b"a", b"b"], [b"a", b"b"]),
        (pd.array(Y, "Int64"), None),
        (pd.array([y == 1 for y in Y], "boolean"), None),
        (pd.Series(list("abab"), dtype="category"), ["a", "b"]),
    ],
    ids=str,
)
def test_labels_of_a_type_are_classes_and_their_state_has_bytes(labels, classes):
    scoring = Scoring(Request("proba", classes=classes))
    scoring.add(Columns(P, labels))
    state = State.from_bytes(scoring.state.to_bytes())
    assert state.finalize().log_loss == pytest.approx(TRUTH, rel=1e-15)


@pytest.mark.parametrize(
    "labels", [pd.array([0, 1, None, 1], "Int64"), pd.array([0, 1, None, 1], "boolean"), [0, 1, None, 1]]
)
def test_a_missing_label_is_told_so(labels):
    with pytest.raises(BadData, match=r"row 2: the label is .*, which stands for a missing value"):
        evaluate(labels=labels, proba=P)
    assert evaluate(labels=labels, proba=P, on_bad_rows="skip").bad_rows == {"label": 1}


@pytest.mark.parametrize("name", ["cluster", "key"])
@pytest.mark.parametrize(
    "values",
    [
        [1, 2, None, 3],
        ["a", "b", float("nan"), "c"],
        np.asarray([1, 2, np.nan, 3]),
        pd.array([1, 2, None, 3], "Int64"),
        np.asarray(["2020-01-01", "2020-01-02", "NaT", "2020-01-03"], "M8[D]"),
        pa.array([1, 2, None, 3]).dictionary_encode(),
    ],
    ids=str,
)
def test_a_missing_cluster_or_key_is_told_so_and_is_no_value_of_its_own(name, values):
    with pytest.raises(BadData, match=f"row .*: the {name} is missing; fill it in"):
        evaluate(labels=Y, proba=P, **{name: values})
    result = evaluate(labels=Y, proba=P, on_bad_rows="skip", **{name: values})
    assert (result.n, result.bad_rows) == (3, {"null": 1})
    weight = [1, 1, 0, 1]  # what has no weight may hold anything
    assert evaluate(labels=Y, proba=P, weight=weight, **{name: values}).bad_rows == {}


def test_a_list_of_texts_and_other_values_keeps_each_as_it_is():
    """NumPy makes texts of all: "nan", "1"."""
    nan = float("nan")
    assert [s["slice"] for s in evaluate(labels=Y, proba=P, slice=["a", nan, "b", 1]).slices] == [
        "1",
        "None",
        "a",
        "b",
    ]
    with pytest.raises(BadData, match="row 2: the label is nan, which stands for a missing value"):
        evaluate(labels=["a", "b", nan, "b"], proba=P, classes=["a", "b"])
    assert evaluate(labels=[0, "b", 0, "b"], proba=P, classes=[0, "b"]).log_loss == pytest.approx(TRUTH)
    rows = evaluate(labels=Y, proba=P, key=[1, "1", 2, "2"]).worst_rows
    assert {row["row"] for row in rows} == {1, "1", 2, "2"}


@pytest.mark.parametrize("weight", [pd.array([1.5, 1, 0, 1], "Float64"), [Decimal("1.5"), 1, 0, True]])
def test_weights_of_objects_are_numbers(weight):
    assert evaluate(labels=Y, proba=P, weight=weight).weight == 3.5


def test_missing_values_are_one_slice_whatever_stands_for_them():
    columns = {
        "texts": pd.Series(["x", None, "y", "y"]),
        "numbers": np.asarray([1, np.nan, 2, 2]),
        "times": np.asarray(["2020-01-01", "NaT", "2020-01-02", "2020-01-02"], "M8[ns]"),
        "null": pd.array([1, None, 2, 2], "Int64"),
    }
    result = evaluate(labels=Y, proba=P, slice=columns)
    assert [s["n"] for s in result.slices if s["slice"] == "None"] == [1] * 4


@pytest.mark.parametrize("unit", ["D", "s", "us", "ns"])
def test_a_time_has_one_hash_in_arrays_and_in_arrow(unit):
    times = np.asarray(["2020-01-01", "2020-01-02"], f"M8[{unit}]")
    arrow = pa.array(times).to_pylist()
    assert hash_values(times).tolist() == hash_values(arrow).tolist()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"proba": MASK}, "proba is a masked array; pass the rows that are not masked, or proba.data"),
        ({"weight": MASK}, "weight is a masked array"),
        ({"labels": MASK}, "labels is a masked array"),
        ({"proba": 0.5}, "predictions have shape (); pass (n,) or (n, C)"),
        ({"proba": np.zeros((4, 2, 1))}, "predictions have shape (4, 2, 1)"),
        (
            {"labels": np.eye(2)[Y]},
            "labels has shape (4, 2); pass one value for each row, or soft_labels=True",
        ),
        ({"weight": np.ones((4, 2))}, "weight has shape (4, 2); pass one value for each row"),
        ({"weight": list("1234")}, "weight has dtype <U1; pass numbers"),
        ({"weight": [1, None, "x", 1]}, "weight holds 'x', which is no number; pass numbers"),
        ({"weight": [1, None, 1, 1]}, "row 1: the weight is nan; weights are finite"),
        ({"weight": pd.array([1, None, 1, 1], "Int64")}, "row 1: the weight is nan; weights are finite"),
        ({"slice": np.ones((4, 2))}, "slice has shape (4, 2); pass one value for each row"),
        ({"cluster": [[1], [2], [1], [2]]}, "cluster has values that have no hash"),
        ({"classes": ["a", None]}, "classes has a missing value, in ['a', None]"),
        ({"prior": "x"}, "prior is 'x'; pass the probability of each class"),
    ],
)
def test_arrays_that_mean_nothing_are_refused(arguments, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        evaluate(**{"labels": Y, "proba": P} | arguments)


def test_a_number_of_replicates_is_an_integer():
    with pytest.raises(TypeError, match="bootstrap has type float; pass an integer"):
        evaluate(labels=Y, proba=P, bootstrap=1.5)
