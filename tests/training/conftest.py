"""Finished runs, small enough to be made once for all the tests that look at one."""

import resource
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pandas as pd
import pytest

from crossentropy.training.data import load_dataset
from crossentropy.training.experiment import Run, train
from crossentropy.training.options import Options
from crossentropy.training.prepare import prepare
from crossentropy.training.runs.files import write_run


@pytest.fixture(scope="session")
def iris_run() -> Run:
    options = Options(data="iris", hidden=(16,), epochs=8, learning_rate=0.01)
    return train(prepare(load_dataset("iris"), options), options)


@pytest.fixture(scope="session")
def mixed_table(tmp_path_factory) -> Path:
    """A table with numbers, categories, dates, missing cells, an id and a label."""
    rows = range(400)
    frame = pd.DataFrame(
        {
            "id": [f"row-{i}" for i in rows],
            "size": [None if i % 17 == 0 else (37 * i % 101) / 10 for i in rows],
            "color": [None if i % 13 == 0 else ("red", "green", "blue")[i * i % 3] for i in rows],
            "seen": pd.date_range("2024-01-01", periods=400, freq="37h").strftime("%Y-%m-%d %H:%M"),
            "label": [("yes", "no")[(37 * i % 101) > 50] if i % 7 else "maybe" for i in rows],
        }
    )
    path = tmp_path_factory.mktemp("tables") / "mixed.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="session")
def mixed_run(mixed_table, tmp_path_factory) -> Path:
    """The folder of a run on that table."""
    options = Options(data=str(mixed_table), hidden=(33, 17), epochs=3)
    out = tmp_path_factory.mktemp("runs") / "mixed"
    write_run(train(prepare(load_dataset(str(mixed_table)), options), options), out)
    return out


@pytest.fixture
def small_files() -> AbstractContextManager[None]:
    """Within it, files end at 1000 bytes, as on a disk that is full by then."""

    @contextmanager
    def limit() -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limit()
