"""Spark, on a local cluster of two threads with a Python process for each."""

import doctest
import sys
from types import SimpleNamespace

import pyarrow as pa
import pytest

from crossentropy.evaluation import evaluate, spark
from evaluation_engines import OPTIONS, TABLE, EngineTests
from evaluation_files import CLASSES
from test_readme import OF_ENGINES, check_output

pytest.importorskip("pyspark")

CONFIGURATION = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "1g",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",  # to start fast
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.shuffle.partitions": "2",
}


@pytest.fixture(scope="module")
def session():
    from pyspark.errors import PySparkRuntimeError
    from pyspark.sql import SparkSession

    with pytest.MonkeyPatch.context() as patch:
        for name in ("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON"):
            patch.setenv(name, sys.executable)
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        try:
            session = SparkSession.builder.master("local[2,4]").config(map=CONFIGURATION).getOrCreate()
        except PySparkRuntimeError:
            pytest.skip("Spark needs Java of version 17 or later")
        gateway = session.sparkContext._gateway
        yield session
        session.stop()
        gateway.shutdown()
        gateway.proc.stdin.close()  # which ends Java
        gateway.proc.wait(timeout=60)


def dataframe(session, tables):
    """Return a dataframe of which each table is a partition."""
    one_row = next((table for table in tables if len(table)), TABLE).slice(0, 1)
    schema = session.createDataFrame(one_row).schema

    def give(batches):
        from pyspark import TaskContext

        for _ in batches:
            yield from tables[TaskContext.get().partitionId()].to_batches()

    return session.range(len(tables), numPartitions=len(tables)).mapInArrow(give, schema)


def killed_once(rows, marker):
    def give(batches):
        import os
        import signal
        from pathlib import Path

        for batch in batches:
            yield batch
            try:
                Path(marker).touch(exist_ok=False)
            except FileExistsError:
                continue
            os.kill(os.getpid(), signal.SIGKILL)

    return rows.mapInArrow(give, rows.schema)


@pytest.fixture(scope="module")
def engine(session):
    return SimpleNamespace(
        evaluate=spark.evaluate,
        language_score=spark.language_score,
        partitions=spark._Dataframe,
        rows=lambda tables: dataframe(session, tables),
        killed_once=killed_once,
        words="the dataframe",
        place="partition 0",
    )


class TestSpark(EngineTests):
    """What every engine does."""


def test_vectors_of_spark_ml_are_lists_of_numbers(session):
    from pyspark.ml.functions import array_to_vector

    rows = session.createDataFrame(TABLE)
    result = spark.evaluate(
        rows.withColumn("p", array_to_vector(rows["p"])), **OPTIONS | {"proba": "p", "classes": CLASSES}
    )
    assert result.to_json() == evaluate(TABLE, **OPTIONS).to_json()


def test_names_of_columns_may_hold_dots_and_backticks(session):
    table = pa.table({"the `y`": [0, 1, 1], "p.0": [0.5, 0.25, 0.5], "p.1": [0.5, 0.75, 0.5]})
    options = {"labels": "the `y`", "proba": "p.*", "worst": 0}
    assert (
        spark.evaluate(session.createDataFrame(table), **options).to_json()
        == evaluate(table, **options).to_json()
    )


@pytest.mark.parametrize("block", OF_ENGINES["pyspark"], ids=repr)
def test_the_examples_on_the_pages(session, block):
    check_output(block)


def test_the_examples_of_the_docstrings(session):
    assert doctest.testmod(spark) == (0, 9)
