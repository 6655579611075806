import numpy as np
import pandas as pd
import pytest

from crossentropy.training.preprocessing import describe_preprocessing, fit_preprocessing

TRAIN = pd.DataFrame(
    {
        "size": [1.0, 2.0, 3.0, 6.0],
        "gaps": [1.0, np.nan, 5.0, np.nan],
        "same": [7.0] * 4,
        "color": pd.Series(["red", "blue", "red", np.nan], dtype=object),
    }
)


def transform(table: pd.DataFrame) -> np.ndarray:
    return fit_preprocessing(TRAIN).transform(table)


def test_training_numbers_have_mean_0_and_variance_1():
    inputs = transform(TRAIN)
    numbers = inputs[:, [0, 1, 3]]  # size, gaps, and the indicator of gaps
    np.testing.assert_allclose(numbers.mean(axis=0), 0, atol=1e-15)
    np.testing.assert_allclose(numbers.var(axis=0), 1, rtol=1e-14)


def test_a_constant_column_is_zero():
    assert not transform(TRAIN)[:, 2].any()


def test_missing_numbers_are_the_training_mean_and_indicated():
    inputs = transform(TRAIN)
    np.testing.assert_allclose(inputs[[1, 3], 1], 0, atol=1e-15)  # the mean, standardized
    np.testing.assert_array_equal(inputs[:, 3], [-1, 1, -1, 1])


def test_texts_are_one_hot_and_missing_is_a_category():
    np.testing.assert_array_equal(transform(TRAIN)[:, 4:], [[0, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])


def test_other_rows_are_measured_by_the_training_rows():
    other = pd.DataFrame({"size": [100.0], "gaps": [3.0], "same": [8.0], "color": ["red"]})
    np.testing.assert_allclose(
        transform(other)[0, 0], (100 - TRAIN["size"].mean()) / TRAIN["size"].std(ddof=0)
    )


def test_what_training_rows_never_showed_is_neutral():
    other = pd.DataFrame({"size": [np.nan], "gaps": [3.0], "same": [7.0], "color": ["green"]})
    np.testing.assert_allclose(transform(other)[0, [0, 4, 5, 6]], 0, atol=1e-15)


def test_a_column_missing_in_all_training_rows_does_no_harm():
    train = pd.DataFrame({"size": [1.0, 2.0], "never": [np.nan, np.nan]})
    other = pd.DataFrame({"size": [1.0], "never": [5.0]})
    assert np.isfinite(fit_preprocessing(train).transform(other)).all()


@pytest.mark.parametrize("columns", [["size", "gaps"], ["color"], list(TRAIN)])
def test_the_description_repeats_the_transformation(columns):
    fitted = fit_preprocessing(TRAIN[columns])
    told = describe_preprocessing(fitted)
    numbers = TRAIN[told["numbers"]].fillna(dict(zip(told["numbers"], told["fill"], strict=True)))
    indicators = TRAIN[told["indicators"]].isna()
    standardized = (np.hstack([numbers, indicators]) - told["mean"]) / told["scale"]
    texts = {name: TRAIN[name].astype(object).where(TRAIN[name].notna(), None) for name in told["texts"]}
    one_hot = [
        [text == category for text in texts[name]]
        for name, known in told["texts"].items()
        for category in known
    ]
    inputs = np.hstack([standardized, np.array(one_hot, dtype=float).reshape(-1, len(TRAIN)).T])
    np.testing.assert_array_equal(fitted.transform(TRAIN[columns]), inputs)
