"""Rows that cannot be scored are refused with row and value, or left out and counted."""

import re

import numpy as np
import pytest

from crossentropy.evaluation import BadData, evaluate
from crossentropy.evaluation._columns import Coded
from crossentropy.evaluation._scoring import Columns, Request, Scoring

NAN, INF = float("nan"), float("inf")


def bad(words, **arguments):
    with pytest.raises(ValueError, match=re.escape(words)):
        evaluate(**arguments)


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("proba", NAN, "row 1: a prediction is NaN"),
        ("proba", 1.5, "row 1: the probability is 1.5; it must be from 0 to 1. Pass logits="),
        ("proba", -0.25, "row 1: the probability is -0.25"),
        ("log_proba", 0.5, "row 1: the log-probability is 0.5; it must be at most 0"),
        ("log_proba", NAN, "row 1: a prediction is NaN"),
        ("logits", NAN, "row 1: a logit is NaN"),
    ],
)
@pytest.mark.parametrize("columns", [1, 3])
def test_a_prediction_that_is_none_is_named_with_its_row(kind, value, words, columns):
    if columns == 1:
        x = np.full(3, 0.5 if kind != "log_proba" else np.log(0.5))
        x[1] = value
    else:
        x = np.full((3, 3), 1 / 3 if kind == "proba" else np.log(1 / 3))
        x[1, 2] = value
    bad(words, labels=[0, 1, 0], **{kind: x})
    e = evaluate(labels=[0, 1, 0], on_bad_rows="skip", **{kind: x})
    assert e.n == 2
    assert e.bad_rows == {"nan" if value != value else "range": 1}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("row", [[INF, 0.0, 0.0], [-INF, -INF, -INF]])
def test_logits_without_a_softmax_are_refused(row, dtype):
    bad("which have no softmax", labels=[0, 1], logits=np.asarray([[0.0, 0.0, 0.0], row], dtype))


def test_logits_of_minus_infinity_are_impossible_classes():
    e = evaluate(labels=[0, 1], logits=np.asarray([[0.0, 0.0, -INF], [-INF, 3.0, -INF]]))
    assert e.log_loss == pytest.approx(np.log(2) / 2, rel=1e-15)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["logits", "log_proba"])
def test_impossible_labels_of_float32_are_infinite_losses_and_no_warning(kind):
    x = np.asarray([-1, -INF, -2], np.float32)
    assert evaluate(labels=[0, 1, 0], **{kind: x}).n_infinite == 1


def test_certain_logits_of_one_column_are_scored():
    e = evaluate(labels=[1, 0], logits=np.asarray([INF, -INF]))
    assert e.log_loss == 0
    assert evaluate(labels=[0, 0], logits=np.asarray([INF, -INF])).n_infinite == 1


@pytest.mark.parametrize("kind", ["proba", "log_proba"])
def test_a_sum_that_is_not_one_is_named_and_tolerated_if_that_is_asked_for(kind):
    p = np.asarray([[0.5, 0.25, 0.25], [0.5, 0.25, 0.24]])
    x = p if kind == "proba" else np.log(p)
    bad("row 1: the probabilities sum to 0.99, not to 1 within 1e-05", labels=[0, 1], **{kind: x})
    assert evaluate(labels=[0, 1], sum_tolerance=0.011, **{kind: x}).n == 2
    assert evaluate(labels=[0, 1], on_bad_rows="skip", **{kind: x}).bad_rows == {"sum": 1}


def test_a_float32_softmax_sums_to_one():
    u = np.random.default_rng(0).normal(size=(2000, 1000)).astype("float32")
    p = np.exp(u) / np.exp(u).sum(axis=1, keepdims=True)
    assert evaluate(labels=np.zeros(2000, int), proba=p).n == 2000
    assert evaluate(labels=np.zeros(2000, int), proba=p.astype("float64")).n == 2000


@pytest.mark.parametrize(
    ("labels", "classes", "words"),
    [
        ([0, 2], None, "row 1: the label is 2, which is not among the classes [0, 1]"),
        ([0, -1], None, "row 1: the label is -1"),
        ([0.0, 0.5], None, "soft_labels=True if labels are probabilities"),
        (["a", "c"], ["a", "b"], "row 1: the label is 'c', which is not among the classes ['a', 'b']"),
        (["0", "1"], [0, 1], "have different types"),
        (["a", None], ["a", "b"], "row 1: the label is None"),
        (["a", "b"], None, "labels are names, such as ['a']; pass classes="),
    ],
)
def test_a_label_that_is_no_class_is_named(labels, classes, words):
    bad(words, labels=labels, proba=np.asarray([0.5, 0.5]), classes=classes)


def test_labels_that_sort_differently_from_the_columns_are_matched_by_name():
    p = np.asarray([[0.9, 0.1], [0.2, 0.8]])
    e = evaluate(labels=["spam", "ham"], proba=p, classes=["spam", "ham"])
    assert e.log_loss == pytest.approx(-np.log(0.9 * 0.8) / 2, rel=1e-15)
    assert [c["label"] for c in e.classes] == ["spam", "ham"]


def test_the_positive_class_may_be_named():
    p = np.asarray([0.9, 0.2])
    e = evaluate(labels=["yes", "no"], proba=p, classes=["yes", "no"], positive="yes")
    assert e.log_loss == pytest.approx(-np.log(0.9 * 0.8) / 2, rel=1e-15)


@pytest.mark.parametrize("weight", [-1.0, NAN, INF])
def test_a_weight_that_is_none_is_named(weight):
    bad(f"row 1: the weight is {weight}", labels=[0, 1], proba=np.asarray([0.5, 0.5]), weight=[1.0, weight])


@pytest.mark.parametrize("weight", [1e-200, 5e-324, 1e200])
def test_a_weight_whose_square_is_no_number_is_refused(weight):
    bad(
        f"row 1: the weight is {weight}; divide all weights by one number, so that they are from 1e-100 to 1e+100",
        labels=[0, 1],
        proba=np.asarray([0.5, 0.5]),
        weight=[0.0, weight],
    )


@pytest.mark.parametrize("kind", ["logits", "log_proba"])
@pytest.mark.parametrize("columns", [1, 3])
def test_a_finite_loss_whose_square_is_no_number_is_refused(kind, columns):
    x = np.log(np.full((3, columns), 1 / columns if columns > 1 else 0.5))
    x[1, 0], x[2, 0] = -1e200, -np.inf if columns == 1 else np.log(1 / 3)
    arguments = {"labels": [0, 1, 0], kind: x[:, 0].copy() if columns == 1 else x}
    if kind == "log_proba" and columns == 3:
        arguments[kind][1, 1:] = np.log(0.5)
    bad("row 1: a prediction is -1e+200; they are at most 1e+100 in size, or infinite", **arguments)
    assert evaluate(on_bad_rows="skip", **arguments).bad_rows == {"range": 1}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"proba": np.ones(2) / 2, "logits": np.ones(2)}, "passed: proba and logits"),
        ({}, "passed: none of them"),
    ],
)
def test_exactly_one_kind_of_predictions_is_declared(arguments, words):
    with pytest.raises(TypeError, match=words):
        evaluate(labels=[0, 1], **arguments)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"clip": "eps"}, "clip is 'eps'; pass None, 'sklearn', 'kaggle' or 'spark'"),
        ({"interval": 95}, "interval is 95; pass the confidence"),
        ({"on_bad_rows": "drop"}, 'on_bad_rows is \'drop\'; pass "error" or "skip"'),
        ({"prior": [0.5, 0.4]}, "prior is [0.5, 0.4], which sums to 0.9"),
        ({"prior": [0.2, 0.3, 0.5]}, "prior has shape (3,), and there are 2 classes"),
        ({"prior": 0}, "prior is [1.0, 0.0], which gives the label 1 no chance, and rows have it"),
        ({"prior": 1.5}, "prior is 1.5; pass probabilities, from 0 to 1"),
        ({"sum_tolerance": -1e-3}, "sum_tolerance is -0.001; pass a number of at least 0"),
        ({"sum_tolerance": NAN}, "sum_tolerance is nan; pass a number of at least 0"),
        ({"classes": [1, 1]}, "classes names 1 twice"),
        ({"classes": [1, 2, 3]}, "predictions have one column"),
        ({"positive": 1}, "pass both in classes="),
        ({"bins": 0}, "bins is 0"),
        ({"weight": [1.0]}, "weight has 1 rows, and predictions have 2"),
        ({"weight": [0.0, 0.0]}, "no rows with weight"),
    ],
)
def test_options_out_of_range_are_refused_with_what_to_pass(options, words):
    bad(words, labels=[0, 1], proba=np.asarray([0.5, 0.5]), **options)


def test_data_that_are_bad_are_told_from_arguments_that_are_wrong():
    with pytest.raises(BadData):
        evaluate(labels=[0, 1], proba=np.asarray([0.5, 1.5]))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"y": [0, 1], "p": [0.2, 0.7]}, "the source has type dict, whose columns are one batch"),
        ([0, 1], "a batch of the source has type int; pass files, a table, or batches"),
        (np.zeros((2, 2)), "a batch of the source has type ndarray"),
    ],
)
def test_what_is_no_source_is_told_what_one_is(source, words):
    with pytest.raises(TypeError, match=words):
        evaluate(source, labels="y", proba="p")


def test_batches_are_looked_up_by_name():
    p = np.random.default_rng(0).dirichlet(np.ones(3), 100)
    y = np.random.default_rng(1).integers(0, 3, 100)
    w = np.random.default_rng(2).random(100)
    table = {"a": p[:, 0], "b": p[:, 1], "c": p[:, 2], "y": y, "w": w, "g": y % 2}
    batches = ({name: x[i : i + 7] for name, x in table.items()} for i in range(0, 100, 7))
    e = evaluate(batches, labels="y", proba=["a", "b", "c"], weight="w", slice="g")
    assert e == evaluate(labels=y, proba=p, weight=w, slice={"g": y % 2})


def test_a_column_that_a_batch_lacks_is_named():
    with pytest.raises(BadData, match="no column 'q'; its columns are"):
        evaluate([{"p": np.ones(1) / 2, "y": [1]}], labels="y", proba="q")


@pytest.mark.parametrize("null", [False, True])
def test_coded_columns_are_scored_as_their_values(null):
    values = ["a", "b", "c"]
    codes = np.asarray([0, 2, 1, 1, 0])
    groups = np.asarray([0, 1, -1 if null else 0, 1, 0])
    p = np.random.default_rng(3).dirichlet(np.ones(3), 5)
    plain = ["x" if g == 0 else "y" if g == 1 else None for g in groups]
    states = []
    for labels, group in (
        ([values[c] for c in codes], np.asarray(plain, object)),
        (Coded(codes, values), Coded(groups, ["x", "y"])),
    ):
        scoring = Scoring(Request("proba", classes=values, slices=("g",)))
        scoring.add(Columns(p, labels, slices={"g": group}))
        states.append(scoring.state.to_bytes())
    assert states[0] == states[1]


def test_a_null_among_coded_labels_is_named():
    scoring = Scoring(Request("proba", classes=["a", "b"]))
    with pytest.raises(BadData, match=r"part\.csv, row 8: the label is None"):
        scoring.add(
            Columns(np.asarray([0.5, 0.5]), Coded(np.asarray([0, -1]), ["a", "b"])),
            first_row=7,
            origin="part.csv",
        )
