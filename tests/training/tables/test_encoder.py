"""From typed columns to inputs."""

import json

import numpy as np
import pandas as pd
import pytest

from crossentropy.training.tables.encoder import DATE_PARTS, ColumnEncoder, date_part
from crossentropy.training.tables.scaling import fit_scaling, reach

TRAIN = pd.DataFrame(
    {
        "size": [1.0, 2.0, 3.0, 6.0, 4.0],
        "gaps": [1.0, np.nan, 5.0, np.nan, 2.0],
        "color": pd.Categorical(["red", "blue", "red", None, "red"]),
        "day": pd.to_datetime(["2020-01-31", "2020-02-01", None, "2021-06-01", "2020-02-03"]),
    }
)


def inputs(table: pd.DataFrame, train: pd.DataFrame = TRAIN, **options) -> pd.DataFrame:
    encoder = ColumnEncoder(**options).fit(train)
    return pd.DataFrame(encoder.transform(table), columns=encoder.get_feature_names_out())


def test_training_numbers_have_mean_0_and_variance_1():
    size = inputs(TRAIN)["size"]
    assert size.mean() == pytest.approx(0, abs=1e-7)
    assert size.std(ddof=0) == pytest.approx(1, rel=1e-6)


def test_missing_numbers_are_the_mean_and_indicated():
    found = inputs(TRAIN)
    np.testing.assert_array_equal(found["gaps"][[1, 3]], 0)
    np.testing.assert_array_equal(found["gaps[missing]"], [0, 1, 0, 1, 0])
    assert "size[missing]" not in found


def test_categories_of_one_training_row_share_an_input_with_new_ones():
    found = inputs(TRAIN.assign(color=["red", "blue", "green", None, "red"]))
    np.testing.assert_array_equal(found["color[red]"], [1, 0, 0, 0, 1])
    np.testing.assert_array_equal(found["color[other]"], [0, 1, 1, 0, 0])
    np.testing.assert_array_equal(found["color[missing]"], [0, 0, 0, 1, 0])
    assert "color[blue]" not in found


def test_without_such_training_rows_a_new_or_missing_category_is_all_zeros():
    train = pd.DataFrame({"color": ["red", "red", "blue", "blue"]})
    found = inputs(pd.DataFrame({"color": ["green", None, "red"]}), train)
    np.testing.assert_array_equal(found, [[0, 0], [0, 0], [0, 1]])


def test_dates_become_parts_that_vary():
    found = inputs(TRAIN)
    names = [name for name in found if name.startswith("day")]
    assert names == [
        "day[days]",
        "day[month]",
        "day[day]",
        "day[weekday]",
        "day[missing]",
    ]  # no clock, so no hour
    np.testing.assert_array_equal(found["day[missing]"], [0, 0, 1, 0, 0])
    month = found["day[month]"]
    assert month[1] == month[4]
    assert month[0] < month[1] < month[3]


def test_parts_of_a_date_are_those_of_the_calendar():
    dates = np.array(["2024-02-29T18:30:00", "1969-12-31T00:00:00", "NaT"], dtype="datetime64[us]")
    parts = {part: date_part(dates, part).tolist()[:2] for part in DATE_PARTS}
    assert parts == {
        "days": [19782 + 18.5 / 24, -1],
        "month": [2, 12],
        "day": [29, 31],
        "weekday": [3, 2],  # a Thursday and a Wednesday
        "hour": [18.5, 0],
    }
    assert all(np.isnan(date_part(dates, part)[2]) for part in DATE_PARTS)


def test_large_nearly_constant_numbers_are_standardized_as_others():
    numbers = np.random.default_rng(0).normal(size=200).round(3)
    found = inputs(pd.DataFrame({"x": numbers}), pd.DataFrame({"x": numbers}))
    shifted = inputs(pd.DataFrame({"x": numbers + 1e9}), pd.DataFrame({"x": numbers + 1e9}))
    np.testing.assert_allclose(shifted, found, atol=1e-4)


@pytest.mark.parametrize("extreme", [1e39, -1e300, np.inf, 1e6])
def test_an_extreme_number_does_not_change_what_the_others_become(extreme):
    numbers = np.random.default_rng(0).normal(size=200)
    scaling, other = fit_scaling(numbers), fit_scaling(np.append(numbers, extreme))
    np.testing.assert_allclose(other(numbers), scaling(numbers), atol=0.02)
    assert np.abs(other(np.array([extreme]))).max() < 12


def test_ordinary_numbers_have_no_extremes():
    random = np.random.default_rng(0)
    for numbers in (
        random.normal(size=10**5),
        random.exponential(size=10**5),
        random.poisson(0.01, 10**4) + 0.0,
    ):
        low, high = reach(numbers)
        assert ((low <= numbers) & (numbers <= high)).all()


def test_held_out_numbers_leave_the_range_of_training_by_that_range_at_most():
    scaling = fit_scaling(np.array([0.0, 1.0, 2.0]))
    np.testing.assert_allclose(scaling(np.array([-9.0, 9.0])), scaling(np.array([-2.0, 4.0])))


@pytest.mark.parametrize(
    "values", [[np.nan] * 3, [7.0] * 3, [1e308, -1e308, 0.0], [1e-320, 0.0, 2e-320]], ids=str
)
def test_inputs_are_finite_whatever_the_numbers(values):
    found = inputs(pd.DataFrame({"x": [1e308, -np.inf, np.nan]}), pd.DataFrame({"x": values}))
    assert np.isfinite(found).all(axis=None)


def test_many_categories_are_grouped_so_that_memory_is_bounded():
    texts = [f"c{i % 1000}" for i in range(3000)] + ["often"] * 10
    train = pd.DataFrame({"a": texts, "b": texts, "few": ["x", "y"] * 1505})
    encoder = ColumnEncoder(category_bytes=4 * 3010 * 400).fit(train)
    assert 390 < encoder.transform(train).shape[1] <= 400
    assert "a[often]" in encoder.get_feature_names_out()
    assert encoder.notices_[0].startswith("So that the inputs fit into memory, the 197 most frequent")
    assert encoder.notices_[0].endswith("share one: 'a' (1001), 'b' (1001).")


def test_columns_are_found_by_name_and_others_ignored():
    shuffled = TRAIN[["day", "color", "gaps", "size"]].assign(new=1)
    pd.testing.assert_frame_equal(inputs(shuffled), inputs(TRAIN))


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (TRAIN.drop(columns="size"), "no column 'size', which training had"),
        (TRAIN.assign(size="big"), "Column 'size' holds category values, and number values in training"),
    ],
)
def test_columns_that_do_not_fit_are_refused(table, sentence):
    with pytest.raises(ValueError, match=sentence):
        inputs(table)


def test_the_state_is_json_and_gives_the_same_inputs():
    encoder = ColumnEncoder().fit(TRAIN)
    again = ColumnEncoder.from_state(json.loads(json.dumps(encoder.to_state())))
    np.testing.assert_array_equal(again.transform(TRAIN), encoder.transform(TRAIN))
    assert again.get_feature_names_out().tolist() == encoder.get_feature_names_out().tolist()
    assert again.to_state() == encoder.to_state()


def test_inputs_are_float32_in_any_type_of_number():
    table = pd.DataFrame({"a": [1, 2, 3], "b": pd.array([1, None, 3], dtype="Int64")})
    found = ColumnEncoder().fit_transform(table)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[:, 2], [0, 1, 0])
