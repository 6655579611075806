"""Scores of a Ray dataset: each block is scored where it is, and only states travel."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from crossentropy.evaluation._evaluate import evaluate as evaluate_source
from crossentropy.evaluation._faults import BadData
from crossentropy.evaluation._language.partitions import language_score_of
from crossentropy.evaluation._partitions import Partitions, check_has, takes_keywords_of
from crossentropy.evaluation.language_result import LanguageScore
from crossentropy.evaluation.result import Evaluation

__all__ = ["evaluate", "language_score"]


@takes_keywords_of(evaluate_source)
def evaluate(dataset: Any, **options: Any) -> Evaluation:
    """Score the predictions in a Ray dataset, to the bits that `crossentropy.evaluation.evaluate` gives.

    Each block becomes one state of some kilobytes, by `map_batches`, and the driver adds states up as they come. Of a
    row only the columns that are named are read.

    Parameters
    ----------
    dataset : ray.data.Dataset
        Predictions are columns of numbers, or one column of lists or tensors.
    **options
        The keywords of `crossentropy.evaluation.evaluate`; labels, predictions, `weight`, `cluster`, `slice` and `key`
        are names of columns. `classes` may be left out only if the names of several columns say them, or if one column
        is for labels 0 and 1. Without `key`, rows have no names: `worst_rows` has no row numbers, and a bootstrap is
        of clusters.

    Returns
    -------
    Evaluation
        The same for every division of the rows into blocks, to the bit.

    Raises
    ------
    BadData
        If a row cannot be scored, at once; the message has the row's key, or its place in its block, and the value.
    ValueError
        If columns are not there, the classes do not follow from their names, or an option is out of range.
    TypeError
        If the first argument is no Ray dataset, or not exactly one kind of predictions is passed.

    Notes
    -----
    This package has to be installed on the workers too: ``pip install "crossentropy[ray]"``. The names and types of
    columns are those of the first row, for which the dataset is run until it has one.

    Examples
    --------
    >>> import ray
    >>> dataset = ray.data.from_items([{"y": 0, "p": 0.2}, {"y": 1, "p": 0.7}, {"y": 1, "p": 0.6}])
    >>> round(evaluate(dataset, labels="y", proba="p").log_loss, 6)
    0.363548
    """
    return evaluate_source(_Dataset(dataset), **options)


@takes_keywords_of(language_score_of)
def language_score(dataset: Any, **options: Any) -> LanguageScore:
    """Score a language model by the log-probabilities in a Ray dataset, where its rows are.

    Parameters
    ----------
    dataset : ray.data.Dataset
        A row is a text, with a list of log-probabilities or their sum, or it is a token.
    **options
        The keywords of `crossentropy.evaluation.language_score`; columns are given by their names. `log_probs` and
        `document` are needed: rows have no numbers that would tell documents apart.

    Returns
    -------
    LanguageScore
        The same for every division of the rows into blocks, to the bit; but tokens of infinite loss are named by the
        place of their row in its block.

    Raises
    ------
    BadData
        If a row cannot be scored, with its block.
    ValueError
        If there is no such column, or an option is out of range.

    Examples
    --------
    >>> import ray
    >>> rows = [([-1.0, -2.0], 4, "a"), ([-3.0, -3.0], 6, "b")]
    >>> dataset = ray.data.from_items([dict(zip(("lp", "n", "doc"), row)) for row in rows])
    >>> round(language_score(dataset, log_probs="lp", document="doc", bytes="n").bits_per_byte, 6)
    1.298426
    """
    return language_score_of(_Dataset(dataset), **options)


class _Dataset(Partitions):
    words, extra = "the dataset", "ray"

    def __init__(self, dataset: Any) -> None:
        check_has(dataset, "map_batches", "a Ray dataset")
        self.dataset = dataset

    def schema(self) -> Any:
        for first in self.dataset.limit(1).iter_batches(batch_format="pyarrow"):
            if first.num_rows:
                return first.schema
        raise BadData(f"there are no rows in {self.words}; pass predictions")

    def results(self, job: Any) -> Iterable[Any]:
        rows = self.dataset.select_columns(job.columns())
        sums = rows.map_batches(partial(_score, job), batch_size=None, batch_format="pyarrow")
        return sums.iter_batches(batch_size=None, batch_format="pyarrow")


def _score(job: Any, block: Any) -> Any:
    """Score a block, on a worker."""
    import pyarrow as pa

    scored = job.score(block.to_batches(), f"a block of {len(block):,} rows")
    return pa.Table.from_batches([scored.to_arrow()])
