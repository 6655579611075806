"""What is expected of every engine: the bits of one machine, whatever partitions rows are in, and clear errors.

`test_spark.py` and `test_ray.py` give a fixture `engine`, an object with these:

- ``evaluate`` and ``language_score``, which the engine has, and its ``partitions(rows)``, which are `Partitions`;
- ``rows(tables)``: the rows of Arrow tables, each a partition;
- ``killed_once(rows, marker)``: the same rows, from workers of which the first makes a file and kills itself;
- ``words`` and ``place``: what messages call the rows, and their first partition.
"""

import numpy as np
import pyarrow as pa
import pytest

from crossentropy.evaluation import BadData, evaluate, language_score
from crossentropy.evaluation._scoring import Columns, Request
from crossentropy.evaluation._tables import score_tables
from evaluation_files import CLASSES, columns, table

N = 1200
TABLE = table(columns(n=N)).append_column("id", pa.array(np.random.default_rng(1).permutation(N)))
OPTIONS = {"labels": "y", "proba": "p_*", "weight": "w", "cluster": "user", "slice": "country", "key": "id"}
NAMES = Columns("p_*", "y", "w", "user", "id", {"country": "country"})
REQUEST = Request(
    "proba", classes=CLASSES, weighted=True, clustered=True, slices=("country",), bootstrap=20, seed=3
)


def cut(*sizes):
    """The table in partitions of these sizes, its rows in another order; the last one takes the rest."""
    order = np.random.default_rng(len(sizes)).permutation(N)
    return [TABLE.take(part) for part in np.split(order, np.cumsum(sizes, dtype=int))]


def with_cell(name, row, value):
    """The table with another value in one cell."""
    cells = TABLE[name].to_pylist()
    cells[row] = value
    return TABLE.set_column(TABLE.column_names.index(name), name, pa.array(cells, TABLE[name].type))


class EngineTests:
    """Tests of an engine; its module has the fixture."""

    @pytest.mark.parametrize(
        "tables",
        [cut(), cut(0, 1, 0, 0, 1000, 0, 150), cut(*[N // 20] * 19)],
        ids=["one partition", "skew and empty ones", "twenty partitions"],
    )
    def test_the_state_has_the_bytes_of_one_machine(self, engine, tables):
        state = engine.partitions(engine.rows(tables)).score(NAMES, REQUEST)
        assert state.to_bytes() == score_tables(TABLE, NAMES, REQUEST).to_bytes()

    def test_the_scores_are_those_of_one_machine(self, engine):
        options = OPTIONS | {"bootstrap": 20, "prior": [0.2, 0.3, 0.5], "interval": 0.9, "bins": 7}
        result = engine.evaluate(engine.rows(cut(500)), **options)
        assert result.to_json() == evaluate(TABLE, **options).to_json()

    def test_a_worker_that_is_killed_changes_nothing(self, engine, tmp_path):
        marker = tmp_path / "killed"
        result = engine.evaluate(engine.killed_once(engine.rows(cut(400, 400)), str(marker)), **OPTIONS)
        assert marker.exists()
        assert result.to_json() == evaluate(TABLE, **OPTIONS).to_json()

    def test_a_bad_row_is_an_error_with_its_place_and_value(self, engine):
        rows = engine.rows([with_cell("p_ant", 7, 1.5)])
        with pytest.raises(BadData, match=rf"^{engine.place}, row 7: .*1\.5"):
            engine.evaluate(rows, labels="y", proba="p_*")
        name = TABLE["id"][7].as_py()
        with pytest.raises(BadData, match=rf"^{engine.place}, row {name}: .*1\.5"):
            engine.evaluate(rows, labels="y", proba="p_*", key="id")

    def test_bad_rows_are_counted_over_all_partitions(self, engine):
        bad = with_cell("y", 1100, "cow").slice(600)
        rows = engine.rows([with_cell("p_ant", 7, 1.5).slice(0, 600), bad])
        result = engine.evaluate(rows, **OPTIONS | {"on_bad_rows": "skip"}, classes=CLASSES)
        assert (result.n, result.bad_rows) == (N - 2, {"label": 1, "range": 1})

    def test_no_rows_are_an_error(self, engine):
        with pytest.raises(BadData, match=f"(in|of) {engine.words}"):
            engine.evaluate(engine.rows([TABLE.slice(0, 0)]), labels="y", proba="p_*")

    @pytest.mark.parametrize("sizes", [(), (0, 7, 0, 300)])
    def test_a_language_model_has_the_scores_of_one_machine(self, engine, sizes):
        r = np.random.default_rng(5)
        lengths = r.integers(1, 6, N)
        texts = pa.table(
            {
                "lp": [(-r.gamma(2.0, 1.0, n)).tolist() for n in lengths],
                "text": ["word " * n for n in lengths],
                "doc": [f"d{i}" for i in r.integers(0, 50, N)],
            }
        )
        parts = [texts.take(x) for x in np.split(r.permutation(N), np.cumsum(sizes, dtype=int))]
        options = {"log_probs": "lp", "text": "text", "document": "doc", "context": 8, "interval": 0.9}
        result = engine.language_score(engine.rows(parts), **options)
        assert result == language_score(texts, **options)

    def test_a_bad_row_of_a_language_model_is_an_error_with_its_place(self, engine):
        texts = pa.table({"lp": [-1.0] * 7 + [0.5] + [-1.0] * (N - 8), "doc": [1] * N})
        with pytest.raises(BadData, match=rf"^{engine.place}, row 7: "):
            engine.language_score(engine.rows([texts]), log_probs="lp", document="doc")

    def test_a_language_model_needs_documents(self, engine):
        with pytest.raises(TypeError, match="document"):
            engine.language_score(engine.rows([TABLE]), log_probs="p_ant")
