"""Count rows that are copies of other rows: within a table, and held-out rows of training rows."""

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

#: copies are told of if they are at least this share of the rows, and so many times as many as by chance
SHARE, TIMES_CHANCE = 0.01, 3


def value_codes(values: pd.Series) -> np.ndarray:
    """Give the values of a column as numbers of 64 bits, equal where the values are, also in another table."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        texts = pd.util.hash_array(values.cat.categories.to_numpy(dtype=object))
        return np.append(texts, np.uint64(0))[values.cat.codes.to_numpy()].view(np.int64)
    return values.to_numpy().view(np.int64)


def repeated_rows(columns: Iterable[pd.Series], labels: np.ndarray) -> list[str]:
    """Tell of rows that are equal in all columns, if columns that were independent would have far fewer."""
    columns = list(columns)

    def count(shuffled: Callable[[np.ndarray], np.ndarray]) -> int:
        rows = _row_hashes(shuffled(codes) for codes in _codes(columns, labels))
        return len(rows) - len(pd.unique(rows))

    repeats = _beyond_chance(count, len(labels))
    if repeats < 2:
        return []
    return [f"{repeats} of {len(labels)} rows repeat another row, label included."]


def repeats_of_training(
    features: pd.DataFrame,
    labels: np.ndarray,
    training: np.ndarray,
    held_out: pd.DataFrame,
    held_out_labels: np.ndarray,
) -> list[str]:
    """Tell of held-out rows that are training rows as well, if independent columns would have far fewer.

    Parameters
    ----------
    features : pandas.DataFrame
        Predictors of a table.
    labels : numpy.ndarray
        Indices of classes.
    training : numpy.ndarray
        The places of the training rows.
    held_out : pandas.DataFrame
        The same predictors of the held-out rows.
    held_out_labels : numpy.ndarray
    """
    known = _row_hashes(codes[training] for codes in _codes((x for _, x in features.items()), labels))
    columns = [held_out[name] for name in features]

    def count(shuffled: Callable[[np.ndarray], np.ndarray]) -> int:
        rows = _row_hashes(shuffled(codes) for codes in _codes(columns, held_out_labels))
        return int(np.isin(rows, known).sum())

    n = len(held_out)
    repeats = _beyond_chance(count, n)
    if not repeats:
        return []
    return [
        f"{repeats} of the {n} held-out rows ({repeats / n:.1%}) are also among the training rows, label included. The "
        "model has seen them, so the held-out score is too good: remove the copies from the table."
    ]


def _codes(columns: Iterable[pd.Series], labels: np.ndarray) -> Iterable[np.ndarray]:
    """Give the codes of columns and of the labels, one column after the other."""
    yield from map(value_codes, columns)
    yield labels


def _row_hashes(columns: Iterable[np.ndarray]) -> np.ndarray:
    """Hash each row to 64 bits."""
    mixed = np.uint64(0)
    for codes in columns:
        mixed = (mixed ^ pd.util.hash_array(codes)) * np.uint64(0x9E3779B97F4A7C15)
    return np.asarray(mixed)


def _beyond_chance(count: Callable[[Callable[[np.ndarray], np.ndarray]], int], rows: int) -> int:
    """Count copies, 0 if they are few, or not many more than if each column is shuffled by itself."""
    copies = count(lambda codes: codes)
    if copies < SHARE * rows:
        return 0
    by_chance = count(np.random.default_rng(0).permutation)
    return copies if copies > TIMES_CHANCE * by_chance else 0
