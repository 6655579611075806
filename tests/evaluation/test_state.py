"""A state has the same bits whatever the batches, the order, the threads and the way of merging."""

import copy
import pickle
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossentropy._statistics.cpu.memory import NumpyMemory
from crossentropy.evaluation import Declaration, SliceColumn, State
from evaluation_data import batches_of, declaration_of, rows_of, state_of

CASES = [
    ("proba", 2, False, None),
    ("proba", 2, True, 5),
    ("logits", 2, True, None),
    ("log_proba", 2, False, None),
    ("proba", 3, False, None),
    ("logits", 4, True, None),
    ("log_proba", 3, False, 6),
    ("soft proba", 2, True, None),
    ("soft logits", 3, False, None),
]


@cache
def whole(case, n=400):
    kind, classes, weighted, distinct = case
    soft, kind = "soft" in kind, kind.removeprefix("soft ")
    data = rows_of(kind, classes=classes, n=n, weighted=weighted, distinct=distinct, soft=soft)
    d = declaration_of(kind, classes, weighted, bootstrap=3, soft=soft)
    return d, data, state_of(d, batches_of(data, [np.arange(n)])).to_bytes()


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=4)
@given(seed=st.integers(0, 2**32 - 1))
def test_any_batches_in_any_order_merged_in_any_tree_have_the_same_bytes(case, seed):
    d, data, expected = whole(case)
    r = np.random.default_rng(seed)
    cuts = np.sort(r.integers(0, 401, r.integers(0, 12)))
    parts = np.split(r.permutation(400), cuts)
    states = [state_of(d, [batch]).to_bytes() for batch in batches_of(data, parts)]
    while len(states) > 1:
        a, b = (State.from_bytes(states.pop(r.integers(len(states)))) for _ in range(2))
        a.merge(b)
        states.append(a.to_bytes())
    assert states[0] == expected


@pytest.mark.parametrize("case", [("proba", 2, True, None), ("logits", 3, False, None)])
@pytest.mark.parametrize("count", [1, 7, 1000])
def test_many_rows_have_the_same_bytes_in_any_batches_on_any_threads(case, count, monkeypatch):
    """More rows than are scored at once, and more distinct predictions than are told apart."""
    kind, classes, weighted, distinct = case
    n = 40_000 if count < 1000 else 20_000
    data = rows_of(kind, classes=classes, n=n, weighted=weighted, distinct=distinct)
    d = declaration_of(kind, classes, weighted)
    expected = state_of(d, batches_of(data, [np.arange(n)]))
    assert not expected._whole().tables[0].is_exact
    monkeypatch.setattr(NumpyMemory, "threads", staticmethod(lambda: 1))
    shuffled = np.random.default_rng(1).permutation(n)
    found = state_of(d, batches_of(data, np.array_split(shuffled, count)))
    assert found.to_bytes() == expected.to_bytes()
    assert found.finalize() == expected.finalize()


@pytest.mark.parametrize(
    "case", [("proba", 2, False, None), ("logits", 2, True, None), ("proba", 3, False, None)]
)
def test_states_with_and_without_a_grid_merge_both_ways(case):
    kind, classes, weighted, distinct = case
    data = rows_of(kind, classes=classes, n=9000, weighted=weighted, distinct=distinct)
    d = declaration_of(kind, classes, weighted)
    few, many = np.arange(100), np.arange(100, 9000)
    expected = state_of(d, batches_of(data, [np.arange(9000)])).to_bytes()
    for order in ((few, many), (many, few)):
        first, second = (state_of(d, batches_of(data, [part])) for part in order)
        first.merge(second)
        assert first.to_bytes() == expected
    halves = [state_of(d, batches_of(data, [part])) for part in (np.arange(4500), np.arange(4500, 9000))]
    assert halves[0]._whole().tables[0].is_exact
    halves[0].merge(halves[1])  # together they have more distinct predictions than are told apart
    assert halves[0].to_bytes() == expected


def test_merging_leaves_the_other_state_as_it_is():
    d, data, _ = whole(CASES[0], n=9000)
    exact = state_of(d, batches_of(data, [np.arange(100)]))
    before = exact.to_bytes()
    state_of(d, batches_of(data, [np.arange(100, 9000)])).merge(exact)
    assert exact.to_bytes() == before


@pytest.mark.parametrize("n", [30_000, 300_000])
def test_a_state_of_one_probability_has_at_most_150_kilobytes(n):
    data = rows_of("proba", n=n)
    state = state_of(declaration_of("proba", 2, False), batches_of(data, [np.arange(n)]))
    assert len(state.to_bytes()) < 150_000


def test_a_state_that_was_read_goes_on():
    d, data, expected = whole(CASES[1])
    first, second = batches_of(data, [np.arange(150), np.arange(150, 400)])
    state = State.from_bytes(state_of(d, [first]).to_bytes())
    state.update(second)
    assert state.to_bytes() == expected


def test_states_of_other_declarations_are_refused_with_what_differs():
    other = Declaration("logits", (0, 1), one_column=True, bins=10)
    with pytest.raises(ValueError, match=r"kind 'proba' and 'logits', bins 15 and 10"):
        State(Declaration("proba", (0, 1), one_column=True)).merge(State(other))


def test_slices_without_rows_leave_no_trace():
    """A dictionary column of Arrow may list values that no row has."""
    d, data, expected = whole(CASES[0])
    (batch,) = batches_of(data, [np.arange(400)])
    column = SliceColumn(batch.slices[0].codes + np.int32(1), ["nowhere", *batch.slices[0].names])
    state = state_of(d, [replace(batch, slices=(column,))])
    assert state.to_bytes() == expected
    assert [s["slice"] for s in state.finalize().slices] == ["a", "b", "c", "d"]


def test_a_state_can_be_pickled_and_copied():
    expected = whole(CASES[1])[2]
    state = State.from_bytes(expected)
    assert pickle.loads(pickle.dumps(state)).to_bytes() == expected
    copied = copy.deepcopy(state)
    copied.merge(state)
    assert state.to_bytes() == expected != copied.to_bytes()
