"""Rows in partitions, by an engine that is a loop: what holds for every engine, and needs none."""

import subprocess
import sys
from inspect import signature

import numpy as np
import pyarrow as pa
import pytest

from crossentropy.evaluation import evaluate, ray, spark
from crossentropy.evaluation._partitions import Partitions
from crossentropy.evaluation._sources.partition import Sum
from crossentropy.evaluation._tables import score_tables
from evaluation_engines import NAMES, OPTIONS, REQUEST, TABLE, N, cut
from evaluation_files import CLASSES


class Tables(Partitions):
    """Arrow tables, each a partition; the sums of each two of them are added up before all are."""

    words, extra = "the tables", "none"

    def __init__(self, tables):
        self.tables = tables

    def schema(self):
        return self.tables[0].schema

    def results(self, job):
        sums = [job.score(table.to_batches(), f"table {i}") for i, table in enumerate(self.tables)]
        for start in range(0, len(sums), 2):
            pair = Sum()
            for one in sums[start : start + 2]:
                pair.add(one.to_arrow())
            yield pair.to_arrow()


ONE = score_tables(TABLE, NAMES, REQUEST).to_bytes()


@pytest.mark.parametrize("sizes", [[], [0, 0, 1], [1199], [200] * 5, [7, 900, 0, 250], range(0, 150, 10)])
def test_the_state_has_the_bytes_of_one_machine(sizes):
    assert Tables(cut(*sizes)).score(NAMES, REQUEST).to_bytes() == ONE


def test_without_keys_partitions_make_no_difference():
    """Neither to rows that share the highest loss: of these too many to be listed, those listed are the same."""
    p = TABLE["p_ant"].to_numpy().copy()
    p[::2] = 0.0
    ties = pa.table({"y": TABLE["y"], "p": p, "w": np.where(np.arange(N) % 3, 1.0, 2.0)})
    options = {"labels": "y", "proba": "p", "weight": "w", "classes": ("dog", "ant"), "on_bad_rows": "skip"}
    order = np.random.default_rng(5).permutation(N)
    whole = evaluate(Tables([ties]), **options)
    parts = evaluate(Tables([ties.take(part) for part in np.split(order, [100, 100, 900])]), **options)
    assert whole.n_infinite > 20
    assert whole.to_json() == parts.to_json()
    assert [row["row"] for row in whole.worst_rows] == [None] * 20


def test_without_keys_only_the_names_of_rows_are_missing():
    options = {"labels": "y", "proba": "p_*", "slice": "country"}
    expected = evaluate(TABLE, **options).to_dict()
    for row in expected["worst_rows"]:
        row["row"] = None
    assert evaluate(Tables(cut(300, 0, 700)), **options).to_dict() == expected


def test_a_column_of_lists_gives_the_same_as_columns_beside_each_other():
    options = OPTIONS | {"proba": "p", "classes": CLASSES}
    assert evaluate(Tables(cut(500)), **options) == evaluate(TABLE, **OPTIONS)


def test_tensors_are_lists_of_numbers():
    tensors = pa.ExtensionArray.from_storage(
        pa.fixed_shape_tensor(pa.float64(), (3,)), TABLE["p"].combine_chunks().cast(pa.list_(pa.float64(), 3))
    )
    rows = TABLE.set_column(TABLE.column_names.index("p"), "p", tensors)
    options = OPTIONS | {"proba": "p", "classes": CLASSES}
    assert evaluate(Tables([rows]), **options) == evaluate(rows, **options) == evaluate(TABLE, **OPTIONS)


def test_one_column_is_for_labels_0_and_1():
    rows = pa.table({"y": [0, 1, 1], "p": [0.2, 0.7, 0.6]})
    options = {"labels": "y", "proba": "p"}
    assert evaluate(Tables([rows]), **options).log_loss == evaluate(rows, **options).log_loss


def test_rows_without_names_are_not_drawn_by_a_bootstrap():
    with pytest.raises(ValueError, match=r"bootstrap=10 draws each row by a hash of its name.*pass key="):
        evaluate(Tables(cut()), labels="y", proba="p_*", bootstrap=10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": "y", "proba": "p"}, "pass classes=, in the order of the numbers in the lists"),
        ({"labels": "y", "proba": "p_ant"}, "pass classes=, the negative and the positive one"),
        ({"labels": "w", "proba": "p_ant", "positive": 1}, "partitions may have different labels"),
        ({"labels": "y", "proba": "p*s"}, r"no column of the table matches 'p\*s'"),
        ({"labels": "y", "proba": "p_*", "classes": ("ant", "bee", "cat")}, "not those of the classes"),
        ({"labels": "w", "proba": "y", "classes": CLASSES[:2]}, "column 'y' .* has values of type string"),
        ({"labels": "y", "proba": "p_*", "bins": 0}, "bins is 0"),
    ],
)
def test_what_follows_from_the_columns_is_an_error_before_any_row_is_read(options, message):
    class Unread(Tables):
        def results(self, job):
            raise AssertionError("a partition was read")

    with pytest.raises(ValueError, match=message):
        evaluate(Unread(cut()), **options)


@pytest.mark.parametrize(("engine", "kind"), [(spark, "Spark dataframe"), (ray, "Ray dataset")])
def test_another_source_is_none_of_the_engines(engine, kind):
    with pytest.raises(TypeError, match=f"has type Table; pass a {kind}"):
        engine.evaluate(TABLE, **OPTIONS)


@pytest.mark.parametrize("engine", [spark, ray])
def test_the_keywords_are_those_of_one_machine(engine):
    _, *keywords = signature(engine.evaluate).parameters.values()
    assert keywords == list(signature(evaluate).parameters.values())[1:]


@pytest.mark.parametrize(("engine", "extra"), [("spark", "mapInArrow"), ("ray", "map_batches")])
def test_without_pyarrow_the_extra_is_named(engine, extra):
    code = f"""
import sys
sys.modules["pyarrow"] = None
import crossentropy as ce
class Rows:
    {extra} = schema = type("Schema", (), {{"fields": ()}})
try:
    ce.evaluation.{engine}.evaluate(Rows, labels="y", proba="p")
except ImportError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert f'pip install "crossentropy[{engine}]"' in done.stdout


def test_the_engines_are_imported_when_they_are_asked_for():
    code = "import crossentropy as ce, sys; ce.evaluation.spark, ce.evaluation.ray; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert not {"pyspark", "ray", "pyarrow"} & set(done.stdout.split())


def test_a_report_shows_rows_without_names_as_dashes():
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    from crossentropy._report.evaluation_page import evaluation_html, evaluation_markdown
    from crossentropy._report.provenance import Provenance

    result = evaluate(Tables(cut()), labels="y", proba="p_*").to_dict()
    for write in (evaluation_html, evaluation_markdown):
        assert "None" not in write(result, Provenance())
