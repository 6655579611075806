"""Rows of two classes without weights are swept; what is added is what the rows are scored as, one by one."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from crossentropy.evaluation import Batch, Declaration, State, evaluate
from crossentropy.evaluation._exact import UNIT
from crossentropy.evaluation._row_scores import RowScorer
from evaluation_data import rows_of

N = 10_007  # more than a block, more distinct predictions than are told apart, and no multiple of a vector's lanes


def swept(kind="proba", *, wide=False, **arguments):
    """A declaration, and rows of it; wide ones have losses of many magnitudes."""
    d = Declaration(kind, (0, 1), one_column=True, **arguments)
    data = rows_of(kind, n=N)
    x = data["predictions"]
    if wide:
        x = np.random.default_rng(1).normal(size=N) * 10.0 ** np.random.default_rng(2).integers(-200, 3, N)
    return d, Batch(x, data["labels"], np.arange(N))


def state_of(d, *batches):
    state = State(d)
    for batch in batches:
        state.update(batch)
    return state


def fraction(total):
    return Fraction(total.scaled, 2**UNIT)


@pytest.mark.parametrize("wide", [False, True])
def test_moments_of_the_loss_are_exact_over_all_rows_and_over_those_of_label_one(wide):
    d, batch = swept("logits", wide=wide)
    totals = state_of(d, batch)._whole().totals
    loss = [Fraction(x) for x in RowScorer(d)(batch).loss.tolist()]
    ones = [x for x, label in zip(loss, batch.labels, strict=True) if label == 1]
    assert fraction(totals["loss"]) == sum(loss)
    assert fraction(totals["one_loss"]) == sum(ones)
    if not wide:  # else the squares of the smallest have no float64
        assert fraction(totals["loss_square"]) == sum(x * x for x in loss)
        assert fraction(totals["one_loss_square"]) == sum(x * x for x in ones)


def test_infinite_losses_are_counted_wherever_they_stand_and_are_in_no_sum():
    d, batch = swept()
    x, y = batch.predictions.copy(), batch.labels.copy()
    x[[0, 5000, N - 1]], y[[0, 5000, N - 1]] = [0.0, 1.0, 0.0], [1, 0, 1]
    totals = state_of(d, replace(batch, predictions=x, labels=y))._whole().totals
    assert totals.counts == {
        "n": N,
        "n_infinite": 3,
        "n_one": int(y.sum()),
        "n_infinite_one": 2,
    }
    finite = RowScorer(d)(replace(batch, predictions=x, labels=y)).loss
    assert fraction(totals["loss"]) == sum(Fraction(v) for v in finite[np.isfinite(finite)].tolist())


@pytest.mark.parametrize("worst", [0, 7])
def test_the_worst_rows_and_the_ladder_are_those_of_all_rows(worst):
    r = np.random.default_rng(3)
    p, y = r.uniform(0.2, 0.8, N), r.integers(0, 2, N)
    few = r.choice(N, 40, replace=False)
    p[few], y[few] = 10.0 ** -r.uniform(2, 16, 40), 1
    e = evaluate(labels=y, proba=p, worst=worst)
    own = np.where(y == 1, p, 1 - p)
    assert [row["row"] for row in e.worst_rows] == np.argsort(own)[:worst].tolist()
    for eps, value in e.clip_ladder.items():
        assert value == pytest.approx(-np.log(np.maximum(own, float(eps))).mean(), rel=1e-13)


def test_labels_of_one_byte_and_names_that_are_a_range_give_the_same_bytes():
    d, batch = swept(bootstrap=2)
    lean = replace(batch, labels=batch.labels.astype(np.int8), rows=range(N))
    assert state_of(d, lean).to_bytes() == state_of(d, batch).to_bytes()
    halves = lean.take(slice(0, 4000)), lean.take(slice(4000, N))
    assert halves[1].rows == range(4000, N)
    assert state_of(d, *halves).to_bytes() == state_of(d, batch).to_bytes()


def test_slices_change_no_sum_over_all_rows():
    _, batch = swept()
    group = np.random.default_rng(4).integers(0, 3, N)
    whole = evaluate(labels=batch.labels, proba=batch.predictions).to_dict()
    sliced = evaluate(labels=batch.labels, proba=batch.predictions, slice={"g": group}).to_dict()
    assert sliced.pop("slices") != whole.pop("slices")
    assert sliced == whole
