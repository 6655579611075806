"""Scores of a Spark dataframe: each partition is scored where it is, and only states travel."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from crossentropy.evaluation._evaluate import evaluate as evaluate_source
from crossentropy.evaluation._language.partitions import language_score_of
from crossentropy.evaluation._partitions import Partitions, check_has, takes_keywords_of
from crossentropy.evaluation.language_result import LanguageScore
from crossentropy.evaluation.result import Evaluation

__all__ = ["evaluate", "language_score"]

#: The columns of `Sum.to_arrow`; and the tasks that add sums up before the driver adds up theirs.
RESULT, ADDERS = "state binary, error string", 8


@takes_keywords_of(evaluate_source)
def evaluate(dataframe: Any, **options: Any) -> Evaluation:
    """Score the predictions in a Spark dataframe, to the bits that `crossentropy.evaluation.evaluate` gives.

    Each partition becomes one state of some kilobytes, by `mapInArrow`; eight tasks add states up, and the driver adds
    up theirs. No row leaves its partition, and of a row only the columns that are named are read.

    Parameters
    ----------
    dataframe : pyspark.sql.DataFrame
        Predictions are columns of numbers, or one column of arrays or of vectors as Spark ML makes them.
    **options
        The keywords of `crossentropy.evaluation.evaluate`; labels, predictions, `weight`, `cluster`, `slice` and `key`
        are names of columns. `classes` may be left out only if the names of several columns say them, or if one column
        is for labels 0 and 1. Without `key`, rows have no names: `worst_rows` has no row numbers, and a bootstrap is
        of clusters.

    Returns
    -------
    Evaluation
        The same for every partitioning of the rows, to the bit.

    Raises
    ------
    BadData
        If a row cannot be scored; the message has the partition, the row in it, and the value.
    ValueError
        If columns are not there, the classes do not follow from their names, or an option is out of range; before any
        row is read.
    TypeError
        If the first argument is no Spark dataframe, or not exactly one kind of predictions is passed.

    Notes
    -----
    This package has to be installed on the workers too: ``pip install "crossentropy[spark]"``. A partition that cannot
    be scored is not tried again, and its error is raised after the other partitions have been scored.

    Examples
    --------
    >>> from pyspark.sql import SparkSession
    >>> session = SparkSession.builder.getOrCreate()
    >>> dataframe = session.createDataFrame([(0, 0.2), (1, 0.7), (1, 0.6)], ["y", "p"])
    >>> round(evaluate(dataframe, labels="y", proba="p").log_loss, 6)
    0.363548
    """
    return evaluate_source(_Dataframe(dataframe), **options)


@takes_keywords_of(language_score_of)
def language_score(dataframe: Any, **options: Any) -> LanguageScore:
    """Score a language model by the log-probabilities in a Spark dataframe, where its rows are.

    Parameters
    ----------
    dataframe : pyspark.sql.DataFrame
        A row is a text, with a list of log-probabilities or their sum, or it is a token.
    **options
        The keywords of `crossentropy.evaluation.language_score`; columns are given by their names. `log_probs` and
        `document` are needed: rows have no numbers that would tell documents apart.

    Returns
    -------
    LanguageScore
        The same for every partitioning of the rows, to the bit; but tokens of infinite loss are named by the
        place of their row in its partition.

    Raises
    ------
    BadData
        If a row cannot be scored, with its partition.
    ValueError
        If there is no such column, or an option is out of range.

    Examples
    --------
    >>> from pyspark.sql import SparkSession
    >>> session = SparkSession.builder.getOrCreate()
    >>> rows = [([-1.0, -2.0], 4, "a"), ([-3.0, -3.0], 6, "b")]
    >>> dataframe = session.createDataFrame(rows, ["lp", "n", "doc"])
    >>> round(language_score(dataframe, log_probs="lp", document="doc", bytes="n").bits_per_byte, 6)
    1.298426
    """
    return language_score_of(_Dataframe(dataframe), **options)


class _Dataframe(Partitions):
    words, extra = "the dataframe", "spark"

    def __init__(self, dataframe: Any) -> None:
        check_has(dataframe, "mapInArrow", "a Spark dataframe")
        self.dataframe = _without_vectors(dataframe)

    def schema(self) -> Any:
        return self.dataframe.limit(0).toArrow().schema

    def results(self, job: Any) -> Iterable[Any]:
        rows = self.dataframe
        columns = [rows[_quoted(name)].alias(str(i)) for i, name in enumerate(job.columns())]
        sums = rows.select(*columns).mapInArrow(partial(_score, job), RESULT)
        return sums.repartition(ADDERS).mapInArrow(_add_up, RESULT).toArrow().to_batches()


def _without_vectors(dataframe: Any) -> Any:
    """Return a dataframe with arrays for the vectors of Spark ML."""
    vectors = [x.name for x in dataframe.schema.fields if type(x.dataType).__name__ == "VectorUDT"]
    if not vectors:
        return dataframe
    from pyspark.ml.functions import vector_to_array

    return dataframe.withColumns({name: vector_to_array(dataframe[_quoted(name)]) for name in vectors})


def _quoted(name: str) -> str:
    """Write the name of a column as Spark does, so that dots in it are a part of it."""
    return "`{}`".format(name.replace("`", "``"))


def _score(job: Any, batches: Iterator[Any]) -> Iterator[Any]:
    """Score a partition, on a worker; its columns are numbered, since `mapInArrow` takes no dots in names."""
    from pyspark import TaskContext

    context: Any = TaskContext.get()
    named = (batch.rename_columns(job.columns()) for batch in batches)
    yield job.score(named, f"partition {context.partitionId()}").to_arrow()


def _add_up(results: Iterator[Any]) -> Iterator[Any]:
    """Add up the sums of some partitions, on a worker."""
    from crossentropy.evaluation._sources.partition import Sum

    whole = Sum()
    for batch in results:
        whole.add(batch)
    yield whole.to_arrow()
