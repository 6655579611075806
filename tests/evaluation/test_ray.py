"""Ray, on a local cluster of two processes."""

import doctest
from types import SimpleNamespace

import numpy as np
import pytest

from crossentropy.evaluation import evaluate
from crossentropy.evaluation import ray as evaluation
from evaluation_engines import OPTIONS, TABLE, EngineTests, cut
from evaluation_files import CLASSES
from test_readme import OF_ENGINES, check_output

ray = pytest.importorskip("ray")
pytest.importorskip("ray.data")


@pytest.fixture(scope="module", autouse=True)
def cluster():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            object_store_memory=200 << 20,
            _node_ip_address="127.0.0.1",
        )
        yield
        ray.shutdown()


def killed_once(rows, marker):
    def give(table):
        import os
        import signal
        from pathlib import Path

        try:
            Path(marker).touch(exist_ok=False)
        except FileExistsError:
            return table
        os.kill(os.getpid(), signal.SIGKILL)

    return rows.map_batches(give, batch_size=None, batch_format="pyarrow")


@pytest.fixture(scope="module")
def engine():
    return SimpleNamespace(
        evaluate=evaluation.evaluate,
        language_score=evaluation.language_score,
        partitions=evaluation._Dataset,
        rows=ray.data.from_arrow,
        killed_once=killed_once,
        words="the dataset",
        place="a block of 1,200 rows",
    )


class TestRay(EngineTests):
    """What every engine does."""


def test_tensors_are_lists_of_numbers():
    rows = ray.data.from_items([{**row, "p": np.asarray(row["p"])} for row in TABLE.to_pylist()])
    assert "Tensor" in str(rows.schema().types)
    result = evaluation.evaluate(rows, **OPTIONS | {"proba": "p", "classes": CLASSES})
    assert result.to_json() == evaluate(TABLE, **OPTIONS).to_json()


def test_blocks_of_pandas_may_have_categories():
    tables = [part.to_pandas() for part in cut(700)]
    tables[1] = tables[1].astype({"y": "category", "country": "category"})
    result = evaluation.evaluate(ray.data.from_pandas(tables), **OPTIONS)
    assert result.to_json() == evaluate(TABLE, **OPTIONS).to_json()


def test_an_error_of_the_users_own_code_is_that_error():
    def fails(table):
        raise ValueError("from the user's function")

    with pytest.raises(ray.exceptions.RayTaskError, match="from the user's function"):
        evaluation.evaluate(ray.data.from_arrow(TABLE).map_batches(fails), **OPTIONS)


@pytest.mark.parametrize("block", OF_ENGINES["ray"], ids=repr)
def test_the_examples_on_the_pages(block):
    check_output(block)


def test_the_examples_of_the_docstrings():
    assert doctest.testmod(evaluation) == (0, 7)
