"""Tables as people have them: what is learned, the notices, and that the score is that of the clean table.

CROSSENTROPY_TABLES is the number of tables that are drawn.
"""

import os
import re
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier

from crossentropy.training.data import Dataset, load_dataset
from crossentropy.training.errors import InputError
from crossentropy.training.split import stratified_split
from crossentropy.training.tables.encoder import ColumnEncoder
from crossentropy.training.tables.options import ReadOptions
from sampling import full
from training.dirty_tables import DIRTS, draw
from training.drawn_tables import Drawn, draw_clean, write

TABLES = int(os.environ.get("CROSSENTROPY_TABLES", "500"))
BLOCK, OFTEN = 25, 100


def accuracy(dataset: Dataset) -> tuple[float, int]:
    """Held-out accuracy of a linear model on the encoded columns, and its rows."""
    split = stratified_split(dataset.labels, dataset.classes, 0)
    encoder = ColumnEncoder().fit(dataset.features.iloc[split.train])
    inputs = encoder.transform(dataset.features)
    assert inputs.dtype == np.float32
    assert np.isfinite(inputs).all()
    model = RidgeClassifier().fit(inputs[split.train], dataset.labels[split.train])
    return model.score(inputs[split.test], dataset.labels[split.test]), len(split.test)


@cache
def clean_accuracy(seed: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        path = write(draw_clean(seed), Path(folder), np.random.default_rng(0))
        return accuracy(load_dataset(str(path)))[0]


def judge(seed: int, drawn: Drawn, tmp_path: Path) -> None:
    path = write(drawn, tmp_path, np.random.default_rng([seed, 3]))
    options = ReadOptions(**drawn.options)
    if drawn.refused:
        with pytest.raises(InputError, match=drawn.refused) as refusal:
            load_dataset(str(path), options=options)
        assert str(refusal.value).count("\n") == 0
        return
    dataset = load_dataset(str(path), options=options)
    fates = {fate.column: fate for fate in dataset.fates}
    for name, cells in drawn.columns.items():
        fate = fates[name or "unnamed column 1"]
        assert fate.use == cells.use, fate
        if cells.remark and path.suffix != ".parquet":
            assert re.search(cells.remark, "; ".join(fate.remarks)), (cells.remark, fate)
        if cells.truth is not None:
            read = dataset.features[name].to_numpy()
            if cells.is_number:
                np.testing.assert_allclose(read, cells.truth[dataset.rows], rtol=1e-12)
            else:
                np.testing.assert_array_equal(read, cells.truth[dataset.rows])
    for pattern in drawn.said:
        assert any(re.search(pattern, notice) for notice in dataset.notices), (pattern, dataset.notices)
    assert [str(dataset.classes[i]) for i in dataset.labels] == [drawn.label[i] for i in dataset.rows]
    score, rows = accuracy(dataset)
    if drawn.same_score:
        clean = clean_accuracy(seed % 40)
        deviation = np.sqrt((clean * (1 - clean) + 1 / rows) / rows)
        assert abs(score - clean) < 4 * deviation, (score, clean)


@pytest.mark.parametrize("first", [*range(0, OFTEN, BLOCK), *full(range(OFTEN, TABLES, BLOCK))])
def test_a_dirty_table_is_learnt_from_like_the_clean_one_or_refused(first, tmp_path):
    for seed in range(first, min(first + BLOCK, TABLES)):
        drawn = draw(seed)
        try:
            judge(seed, drawn, tmp_path)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {drawn.dirt}") from error


@pytest.mark.parametrize("dirt", DIRTS, ids=lambda dirt: dirt.__name__)
def test_each_kind_of_dirt_alone(dirt, tmp_path):
    for seed in range(3):
        drawn = draw_clean(seed)
        dirt(drawn, np.random.default_rng(seed))
        judge(seed, drawn, tmp_path)
