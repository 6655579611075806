"""The warnings before training about columns beside the labels."""

import numpy as np
import pyarrow as pa
import pytest

from crossentropy.training.tables.columns import describe_column
from crossentropy.training.tables.suspicions import suspicions

RANDOM = np.random.default_rng(0)
N = 400
LABELS = RANDOM.integers(0, 3, N)


def say(labels=LABELS, first_row=0, **columns) -> str:
    described = {
        name: describe_column(pa.chunked_array([pa.array(values)])) for name, values in columns.items()
    }
    return " ".join(suspicions(described, labels, "label", np.arange(len(labels)) + first_row))


def test_columns_without_anything_to_say_are_silent():
    assert (
        say(x=RANDOM.normal(size=N), y=RANDOM.choice(["a", "b"], N), z=LABELS + RANDOM.normal(size=N)) == ""
    )


@pytest.mark.parametrize(
    "values",
    [
        LABELS,
        np.array(["no", "yes", "maybe"])[LABELS],
        np.where(LABELS > 0, LABELS + RANDOM.random(N) / 2, np.nan),
        10**15 + LABELS * 10.0,
        np.where(RANDOM.random(N) < 0.005, 1e300, LABELS),
        np.datetime64("2020-01-01") + LABELS * 100 + RANDOM.integers(0, 9, N),
    ],
    ids=["copy", "renamed", "with gaps", "large", "with extremes", "date"],
)
def test_a_predictor_that_tells_the_label_alone_is_named(values):
    assert "Column 'x' alone tells 'label' in " in say(x=values)


@pytest.mark.parametrize(("errors", "named"), [(2, True), (9, False)])
def test_it_is_named_if_it_is_wrong_in_few_rows(errors, named):
    values = LABELS.copy()
    values[np.random.default_rng(0).permutation(N)[-errors:]] += 1  # of the rows that judge
    found = say(x=np.array(["a", "b", "c", "d"])[values], y=RANDOM.normal(size=N))
    assert ("Column 'x' alone tells" in found) == named


def test_a_good_predictor_is_no_leak():
    assert "alone" not in say(x=np.where(RANDOM.random(N) < 0.95, LABELS, 0))


def test_a_frequent_class_does_not_make_every_predictor_a_leak():
    labels = (RANDOM.random(N) < 0.005).astype(np.int64)
    labels[:2] = 1
    assert "alone" not in say(labels, x=RANDOM.normal(size=N))


def test_rows_sorted_by_label_are_said():
    assert "The rows are sorted by their label (from row to row it changes 2 times" in say(
        np.sort(LABELS), x=RANDOM.normal(size=N)
    )


def test_repeated_rows_are_counted():
    rows = np.concatenate([np.arange(N), RANDOM.integers(0, N, 40)])
    x = RANDOM.normal(size=N)
    assert f"40 of {N + 40} rows repeat another row" in say(LABELS[rows], x=x[rows], y=np.exp(x[rows]))


def test_rows_of_few_categories_repeat_by_chance():
    assert "repeat" not in say(x=RANDOM.choice(["a", "b"], N), y=RANDOM.choice(["a", "b"], N))


def test_columns_in_the_order_of_the_rows_are_named():
    found = say(x=np.cumsum(RANDOM.random(N)), y=RANDOM.normal(size=N))
    assert found.startswith("Column 'x' rises or falls with every row")


def test_an_id_of_several_rows_is_named():
    assert "Column 'patient_id' is called an id and has" in say(patient_id=RANDOM.integers(0, 100, N))


@pytest.mark.parametrize("extreme", [1e39, -np.inf])
def test_an_extreme_number_is_blamed_on_its_cell(extreme):
    x = RANDOM.normal(size=N)
    x[17] = extreme
    assert f"Column 'x' holds 1 extreme number, such as {extreme:g} in row 17 (the first row is 0)." in say(
        x=x
    )
    assert "in row 20 (the first row is 0)." in say(x=x, first_row=3)
