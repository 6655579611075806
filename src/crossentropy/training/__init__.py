"""The work of ``crossentropy train``: a table in, a trained classifier and its held-out scores out.

`load` gives the fitted scikit-learn pipeline of a finished run. Importing this package is quick; its modules import
torch, scikit-learn, pandas and matplotlib, which ``pip install "crossentropy[train]"`` brings.
"""

from os import PathLike
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

__all__ = ["load"]


def load(run: "str | PathLike[str]") -> "Pipeline":
    """Read the fitted pipeline of a finished run; nothing in its files is executed.

    Parameters
    ----------
    run : path
        The folder that ``crossentropy train`` has written.

    Returns
    -------
    sklearn.pipeline.Pipeline
        A `ColumnEncoder` and a `CrossEntropyClassifier`. Its ``predict`` and ``predict_proba`` take a data frame with
        the columns of the table that was trained on, by name: numbers, datetimes, and texts or categories.

    Raises
    ------
    InputError
        A `ValueError`: if there is no run, or this version cannot read it.

    Examples
    --------
    ``load("runs/table").predict_proba(frame)`` gives the probabilities of the rows of a data frame.

    >>> load("runs/forgotten")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    crossentropy.training.errors.InputError: There is no folder 'runs/forgotten': pass the folder that ...
    """
    from pathlib import Path

    from crossentropy.training.runs.load import load_model

    return load_model(Path(run)).pipeline
