"""Split rows into training, validation and test rows, stratified by class."""

from typing import NamedTuple

import numpy as np

from crossentropy._arguments.words import listed
from crossentropy.training.errors import InputError
from crossentropy.training.labels import Class

FEWEST_ROWS = 5


class Split(NamedTuple):
    """Row numbers of the three parts, each in ascending order."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def stratified_split(
    labels: np.ndarray,
    classes: list[Class],
    seed: int,
    shares: tuple[float, float, float] = (60, 20, 20),
) -> Split:
    """Draw shares of each class for training, validation and testing, rounded to whole rows.

    Every class is in every part whose share is not 0, which scikit-learn's stratified splits do not promise for small
    classes.

    Parameters
    ----------
    labels : numpy.ndarray (rows,)
        Indices into `classes`.
    classes : list
    seed : int
    shares : tuple of float
        Of training, validation and test rows; their sum may be any, and that of the test rows may be 0.

    Raises
    ------
    InputError
        If a class has fewer than `FEWEST_ROWS` rows.
    """
    counts = np.bincount(labels, minlength=len(classes))
    rare = [value for value, count in zip(classes, counts, strict=True) if count < FEWEST_ROWS]
    if rare:
        raise InputError(
            f"Each class needs at least {FEWEST_ROWS} rows, to be trained on, validated and tested; "
            f"fewer are in {listed(rare)}. To leave such classes out, pass --min-class {FEWEST_ROWS} without "
            "--merge-rare; to merge small classes, pass --merge-rare and a --min-class at which they have "
            f"{FEWEST_ROWS} rows together."
        )
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    rank = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    test, validation = (_rows(counts, share / sum(shares)) for share in (shares[2], shares[1]))
    validation = np.minimum(validation, counts - test - 1)
    in_test = rank < np.repeat(test, counts)
    in_train = rank >= np.repeat(test + validation, counts)
    parts = (in_train, ~in_train & ~in_test, in_test)
    return Split(*(np.sort(by_class[part]) for part in parts))


def _rows(counts: np.ndarray, share: float) -> np.ndarray:
    """Round a share of each class to whole rows, at least one unless the share is 0, and leave two rows."""
    return np.clip(np.rint(counts * share).astype(np.int64), min(1, np.ceil(share)), counts - 2)
