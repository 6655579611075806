"""Rows are scored on several threads while others are read, and nobody can tell."""

from time import sleep

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from crossentropy._statistics.cpu.memory import NumpyMemory
from crossentropy.evaluation import evaluate
from crossentropy.evaluation._scoring import Columns, Request
from crossentropy.evaluation._sources import workers
from crossentropy.evaluation._sources.workers import Work, score_on_threads
from crossentropy.evaluation._tables import score_tables

REQUEST = Request("proba")


def on_threads(monkeypatch, count):
    monkeypatch.setattr(NumpyMemory, "threads", staticmethod(lambda: count))


def work(error=None, seconds=0.0, rows=1):
    """Some rows, which take a while, or fail after it."""

    def add_to(scoring):
        sleep(seconds)
        if error:
            raise error
        scoring.add(Columns(np.full(rows, 0.5), np.ones(rows, np.int64)))

    return Work(REQUEST, rows, add_to)


def test_the_state_has_the_same_bytes_on_any_number_of_threads(tmp_path, monkeypatch):
    r = np.random.default_rng(0)
    data = pa.table({"p": r.random(500_000), "y": r.integers(0, 2, 500_000).astype(np.int8)})
    parquet.write_table(data, tmp_path / "rows.parquet", row_group_size=70_000)
    found = set()
    for count in (1, 2, 5):
        on_threads(monkeypatch, count)
        state = score_tables(tmp_path / "rows.parquet", Columns("p", "y"), Request("proba"))
        found.add(state.to_bytes())
    assert len(found) == 1
    arrays = evaluate(labels=data["y"].to_numpy(), proba=data["p"].to_numpy())
    assert state.finalize().log_loss == arrays.log_loss
    assert state.finalize().smooth_ece == arrays.smooth_ece


def test_of_several_failures_the_one_of_the_first_rows_is_raised(monkeypatch):
    on_threads(monkeypatch, 3)
    works = [work(), work(ValueError("first"), seconds=0.2), work(ValueError("second")), work()]
    with pytest.raises(ValueError, match="first"):
        score_on_threads(iter(works), lambda rows: None)


def test_rows_that_fail_come_before_a_failure_to_read_on(monkeypatch):
    on_threads(monkeypatch, 2)

    def works():
        yield work()
        yield work(ValueError("of the rows"), seconds=0.1)
        raise OSError("of the file")

    with pytest.raises(ValueError, match="of the rows"):
        score_on_threads(works(), lambda rows: None)


def test_what_is_done_is_told_in_the_order_of_the_rows(monkeypatch):
    on_threads(monkeypatch, 4)
    told = []
    works = [work(seconds=0.02 * (5 - i), rows=i + 1) for i in range(5)]
    state = score_on_threads(iter(works), lambda rows: told.append(rows))
    assert told == [1, 2, 3, 4, 5]
    assert state.n == 15


def test_few_rows_are_held_at_once(monkeypatch):
    on_threads(monkeypatch, 2)
    read, done = [], []

    def works():
        for i in range(30):
            read.append(i)
            assert len(read) - len(done) <= 5
            yield work()

    score_on_threads(works(), lambda rows: done.append(rows))
    assert len(done) == 30


def test_a_bad_row_is_named_by_its_place_in_the_file_on_any_number_of_threads(tmp_path, monkeypatch):
    p = np.full(400_000, 0.5)
    p[[300_000, 390_000]] = 1.5
    parquet.write_table(pa.table({"p": p, "y": np.ones(400_000, np.int8)}), tmp_path / "rows.parquet")
    for count in (1, 3):
        on_threads(monkeypatch, count)
        with pytest.raises(ValueError, match=r"row 300000: the probability is 1\.5"):
            evaluate(tmp_path / "rows.parquet", labels="y", proba="p")


def test_no_thread_is_left_behind(monkeypatch):
    on_threads(monkeypatch, 2)
    pools = []

    class Pool(workers.ThreadPoolExecutor):
        def __init__(self, count):
            super().__init__(count)
            pools.append(self)

    monkeypatch.setattr(workers, "ThreadPoolExecutor", Pool)
    with pytest.raises(ValueError, match="wrong"):
        score_on_threads(iter([work(), work(ValueError("wrong")), work()]), lambda rows: None)
    assert not any(thread.is_alive() for pool in pools for thread in pool._threads)
