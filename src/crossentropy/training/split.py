"""Split rows into training, validation and test rows, stratified by class."""

from typing import NamedTuple

import numpy as np

from crossentropy.training.errors import InputError, listed
from crossentropy.training.labels import Class

FEWEST_ROWS = 5


class Split(NamedTuple):
    """Row numbers of the three parts, each in ascending order."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def stratified_split(labels: np.ndarray, classes: list[Class], seed: int) -> Split:
    """Draw a fifth of each class for testing, a fifth for validation, and the rest for training.

    Every class is in every part, which scikit-learn's stratified splits do not promise for small classes.

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
            f"fewer are in {listed(rare)}. Leave these classes out by --min-class {FEWEST_ROWS}, or merge them by "
            "--merge-rare besides."
        )
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    rank = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    fifth = np.repeat(np.rint(counts / 5).astype(np.int64), counts)
    part = np.minimum(rank // fifth, 2)  # 0 for a class's first fifth, 1 for its second, 2 for the rest
    test, validation, train = (np.sort(by_class[part == i]) for i in range(3))
    return Split(train, validation, test)
