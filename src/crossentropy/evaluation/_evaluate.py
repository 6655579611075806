"""Scores of predictions in one call."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from crossentropy.evaluation._declaration import Label
from crossentropy.evaluation._faults import BadData
from crossentropy.evaluation._partitions import Partitions
from crossentropy.evaluation._scoring import Columns, Request, Scoring, one_kind, slices_by_name
from crossentropy.evaluation._tables import is_tabular, score_tables
from crossentropy.evaluation.result import Evaluation
from crossentropy.evaluation.state import State

__all__ = ["evaluate"]


def evaluate(
    source: Any = None,
    *,
    labels: Any,
    proba: Any = None,
    logits: Any = None,
    log_proba: Any = None,
    soft_labels: bool = False,
    classes: Sequence[Label] | None = None,
    positive: Label | None = None,
    weight: Any = None,
    cluster: Any = None,
    slice: Any = None,
    key: Any = None,
    prior: Any = None,
    clip: str | None = None,
    interval: float = 0.95,
    bootstrap: int = 0,
    seed: int = 0,
    bins: int = 15,
    worst: int = 20,
    on_bad_rows: str = "error",
    sum_tolerance: float | None = None,
) -> Evaluation:
    r"""Score predictions: log loss with its interval, calibration, discrimination, classes, slices, worst rows.

    .. math:: L = \frac{\sum_i w_i \ell_i}{\sum_i w_i}, \qquad \ell_i = -\ln p_{i, y_i}

    Sums are exact, so the result has the same bits for every batching, order of rows and number of threads. Nothing is
    clipped: a row whose label was given p = 0 makes the loss infinite, and is named.

    Parameters
    ----------
    source : path, pattern, list of these, object with ``__arrow_c_stream__``, or iterable of mappings, optional
        Files (Parquet, Arrow, CSV, JSON lines; also packed by gzip or zstd), ``"-"`` for standard input, addresses that
        fsspec opens, a table of pyarrow, polars, pandas or DuckDB, or batches of rows as mappings from names to arrays.
        Then `labels`, predictions, `weight`, `cluster`, `key` and `slice` are names of columns; several columns of
        predictions are a list of names or a pattern such as ``"p_*"`` (of batches, a list). Without a source, they are
        the arrays themselves.
    labels : array or list (n,), or name
        What happened: labels of any type; in CSV, numbers if `classes` are. With ``soft_labels=True`` distributions
        over the classes, in the shape of the predictions (of one column, the probability of the positive class).
    proba, logits, log_proba : array (n,) or (n, C), or names
        Predictions, by what they are: exactly one of the three. One column is that of the positive class.
    soft_labels : bool, default False
        Whether labels are distributions.
    classes : sequence of labels, optional
        The label of each column, in their order; of one column, (negative, positive). Left out, labels are the integers
        0, 1, … that number the columns; or, of columns of a file or table, what their names end in.
    positive : label, optional
        The positive one of two `classes`, in any order, for predictions of one column. The other one of a file or table
        is found in its first rows.
    weight : array (n,), or name, optional
        The weight of each row; rows of weight 0 count nothing.
    cluster : array or list (n,), or name, optional
        Rows of equal values are not taken for independent; standard errors and the bootstrap are by cluster.
    slice : mapping from names to arrays (n,), or names, optional
        Columns whose values divide the rows into slices, each of which is scored.
    key : array or list (n,) of integers or texts, or name, optional
        A name for each row, which breaks ties among the worst rows and seeds the bootstrap. Left out, it is the row's
        number, and these two depend on the order of the rows.
    prior : array (C,) or number, optional
        The distribution that skill is measured against, in place of the base rates.
    clip : {None, "sklearn", "kaggle", "spark"}
        Reproduce the log loss of a tool that clips: scikit-learn (by the machine epsilon of the dtype), Kaggle (rows
        divided by their sum, then 1e-15), Spark (1e-15). Clipping changes the log loss alone.
    interval : float, default 0.95
        The confidence of intervals.
    bootstrap : int, default 0
        Replicates of a Poisson bootstrap, of the rows or the clusters.
    seed : int, default 0
        Its seed.
    bins : int, default 15
        Bins of the calibration errors.
    worst : int, default 20
        How many of the worst rows are named.
    on_bad_rows : {"error", "skip"}
        Whether a row that cannot be scored is an error, or is left out and counted in ``bad_rows``.
    sum_tolerance : float, optional
        How far the sum of a row's probabilities may be from 1; 1e-5 and 2⁻²⁴ for each class if left out.

    Returns
    -------
    Evaluation

    Raises
    ------
    BadData
        If a row, a column or a file cannot be scored; a ValueError.
    ValueError
        If columns do not fit the classes or are not there, or an option is out of range.
    OSError
        If there is no such file.
    TypeError
        If not exactly one kind of predictions is passed, or the source is none of these.

    Examples
    --------
    >>> import numpy as np
    >>> p = np.asarray([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.2, 0.7]])
    >>> result = evaluate(labels=["dog", "bird", "dog"], proba=p, classes=["dog", "bird", "cat"])
    >>> round(result.log_loss, 6), result.n, result.worst_rows[0]["row"]
    (0.960801, 3, 2)
    """
    kind, predictions = one_kind(proba=proba, logits=logits, log_proba=log_proba)
    slices = slices_by_name(slice, named=source is not None)
    columns = Columns(predictions, labels, weight, cluster, key, slices)
    request = Request(
        kind,
        soft_labels=soft_labels,
        classes=classes,
        positive=positive,
        weighted=weight is not None,
        clustered=cluster is not None,
        slices=tuple(slices),
        clip=clip,
        bootstrap=bootstrap,
        seed=seed,
        bins=bins,
        worst=worst,
        on_bad_rows=on_bad_rows,
        sum_tolerance=sum_tolerance,
    )
    return _score(source, columns, request).finalize(interval=interval, prior=prior)


def _score(source: Any, columns: Columns, request: Request) -> State:
    if isinstance(source, Partitions):
        return source.score(columns, request)
    if is_tabular(source):
        return score_tables(source, columns, request)
    if hasattr(source, "keys"):
        raise TypeError(
            f"the source has type {type(source).__name__}, whose columns are one batch; pass a list of batches, as "
            "[source], or the columns themselves without a source"
        )
    scoring = Scoring(request)
    for rows in [columns] if source is None else (_looked_up(columns, batch) for batch in source):
        scoring.add(rows)
    if scoring.state is None:
        raise BadData("the source has no batches; pass at least one")
    return scoring.state


def _looked_up(names: Columns, batch: Mapping[str, Any]) -> Columns:
    """Look the names of columns up in a batch; a list of names becomes the columns beside each other."""
    if not hasattr(batch, "keys"):
        raise TypeError(
            f"a batch of the source has type {type(batch).__name__}; pass files, a table, or batches as mappings from "
            "names to arrays, and arrays themselves as labels=, proba=, … without a source"
        )

    def get(name: Any) -> Any:
        if isinstance(name, (list, tuple)):
            return np.stack([np.asarray(get(x)) for x in name]).T
        if name is None:
            return None
        if name not in batch:
            raise BadData(f"the batch has no column {name!r}; its columns are {list(batch)!r}")
        return batch[name]

    return Columns(
        get(names.predictions),
        get(names.labels),
        get(names.weight),
        get(names.cluster),
        get(names.key),
        {name: get(name) for name in names.slices},
    )
