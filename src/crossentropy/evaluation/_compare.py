"""Models on the same rows, in one call."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from crossentropy.evaluation._comparison.differences import Tests, difference_of, with_adjusted_p
from crossentropy.evaluation._comparison.pairs import paired
from crossentropy.evaluation._comparison.rows import KeepingLosses, ScoredRows, rows_kept
from crossentropy.evaluation._declaration import Label
from crossentropy.evaluation._scoring import Columns, Request, one_kind, slices_by_name
from crossentropy.evaluation._tables import score_tables
from crossentropy.evaluation.comparison import Comparison
from crossentropy.evaluation.state import State

__all__ = ["compare", "compare_tables"]


def compare(
    sources: Any = None,
    *,
    labels: Any,
    proba: Any = None,
    logits: Any = None,
    log_proba: Any = None,
    classes: Sequence[Label] | None = None,
    positive: Label | None = None,
    weight: Any = None,
    cluster: Any = None,
    slice: Any = None,
    key: Any = None,
    by_position: bool = False,
    horizon: int | None = None,
    interval: float = 0.95,
    permutations: int = 1000,
    seed: int = 0,
    worst: int = 20,
    on_bad_rows: str = "error",
    sum_tolerance: float | None = None,
) -> Comparison:
    r"""Compare the log loss of models on the same rows: paired differences with their errors, and what makes them.

    .. math:: \bar d = \frac{\sum_i w_i (\ell_i^{B} - \ell_i^{A})}{\sum_i w_i}

    The first model is the reference A. Differences of rows vary less than losses, so that a paired test finds what two
    intervals would not show.

    Parameters
    ----------
    sources : mapping from names to sources, sequence of paths, or one source, optional
        A source for each model, as `evaluate` takes them; paths are called by themselves. Then the other arguments are
        names of columns, which every source has. Of one source, predictions are a mapping from the names of models to
        columns. Left out, they are a mapping from the names of models to arrays whose rows are the same.
    labels : array or list (n,), or name
        What happened, as `evaluate` takes it.
    proba, logits, log_proba : names; or mapping from names of models to names, or to arrays (n,) or (n, C)
        Predictions, by what they are: exactly one of the three.
    classes : sequence of labels, optional
        The label of each column, in their order; of one column, (negative, positive).
    positive : label, optional
        The positive one of two `classes`, for predictions of one column.
    weight : array (n,), or name, optional
        The weight of each row.
    cluster : array or list (n,), or name, optional
        Rows of equal values are not taken for independent.
    slice : mapping from names to arrays (n,), or names, optional
        Columns whose values divide the rows into slices, each of which is compared.
    key : array or list (n,) of integers or texts, or name, optional
        A name for each row, by which rows of sources are paired.
    by_position : bool, default False
        Pair the rows of sources by their order. A label that differs is an error.
    horizon : int, optional
        Rows are forecasts in the order of time, so many steps ahead: errors are those of Diebold and Mariano.
    interval : float, default 0.95
        The confidence of intervals.
    permutations : int, default 1000
        Replicates of the sign-flip test; 0 leaves it out.
    seed : int, default 0
        Its seed.
    worst : int, default 20
        How many of the rows that make the difference are named.
    on_bad_rows : {"error", "skip"}
        Whether a row that cannot be scored is an error, or is left out and counted.
    sum_tolerance : float, optional
        How far the sum of a row's probabilities may be from 1.

    Returns
    -------
    Comparison
        Differences in nats.

    Raises
    ------
    BadData
        If a row has no partner, two, or one with another label; or cannot be scored; a ValueError.
    ValueError
        If neither `key` nor `by_position` says how rows of sources are paired, there are fewer than two models, several
        are in a source that can be read only once, or an option is out of range.
    TypeError
        If not exactly one kind of predictions is passed, or models have no names.

    Examples
    --------
    >>> import numpy as np
    >>> from crossentropy.evaluation import compare
    >>> i = np.arange(1000)
    >>> p = (i + 0.5) / 1000
    >>> y = (7919 * i % 1000 < 1000 * p**1.5).astype(int)
    >>> print(compare(labels=y, proba={"old": p, "new": p**1.5}))
    old  log loss 0.498594
    new  log loss 0.471675
    new is better than old: its log loss is 0.0269193 lower (95 %: -0.0439959 to -0.00984275), p = 0.002.
    """
    kind, predictions = one_kind(proba=proba, logits=logits, log_proba=log_proba)
    slices = slices_by_name(slice, named=sources is not None)
    request = Request(
        kind,
        classes=classes,
        positive=positive,
        weighted=weight is not None,
        clustered=cluster is not None,
        slices=tuple(slices),
        on_bad_rows=on_bad_rows,
        sum_tolerance=sum_tolerance,
    )
    tests = Tests(interval, horizon, permutations, seed, worst)
    columns = Columns(predictions, labels, weight, cluster, key, slices)
    if sources is not None and isinstance(predictions, Mapping):
        _check_models(predictions)
        each = dict.fromkeys(predictions, sources)
        return compare_tables(each, columns, request, tests, by_position=key is None)
    if sources is not None:
        named = _named(sources, kind)
        _check_models(named)
        return compare_tables(named, columns, request, tests, by_position=by_position)
    if not isinstance(predictions, Mapping):
        raise TypeError(
            f"{kind} has type {type(predictions).__name__}; pass a mapping from the names of models to their "
            "predictions, or sources"
        )
    _check_models(predictions)
    scored = {}
    for model, of_model in predictions.items():
        scoring = KeepingLosses(request)
        scoring.add(Columns(of_model, labels, weight, cluster, key, slices))
        assert scoring.state is not None  # for type checkers
        scored[model] = (scoring.state, rows_kept([scoring]))
    # rows are those of the same arrays; if bad ones are left out, they are paired by their names
    return _compared(scored, tests, by_key=key is not None or on_bad_rows == "skip")


def compare_tables(
    sources: Mapping[str, Any],
    names: Columns,
    request: Request,
    tests: Tests,
    *,
    by_position: bool,
    typed_classes: bool = True,
    on_rows: Callable[[int], None] | None = None,
) -> Comparison:
    """Compare models whose rows are read from a source each."""
    _check_sources(sources)
    if names.key is None and not by_position and len(sources) > 1:
        raise ValueError(
            "pass key=, the column that names each row in every source, or by_position=True if all sources have the "
            "same rows in the same order"
        )
    if names.key is not None and by_position:
        raise ValueError(
            "key= pairs rows by their names and by_position=True by their order; pass one of them"
        )
    scored = {}
    for model, source in sources.items():
        made: list[KeepingLosses] = []

        def keeping(*of: Any, made: list[KeepingLosses] = made, **options: Any) -> KeepingLosses:
            made.append(KeepingLosses(*of, **options))
            return made[-1]

        own = names.predictions[model] if isinstance(names.predictions, Mapping) else names.predictions
        columns = replace(names, predictions=own)
        state = score_tables(
            source, columns, request, typed_classes=typed_classes, on_rows=on_rows, scoring_of=keeping
        )
        scored[model] = (state, rows_kept(made))
    return _compared(scored, tests, by_key=names.key is not None)


def _named(sources: Any, kind: str) -> Mapping[str, Any]:
    """Return the source of each model; paths are called by themselves."""
    if isinstance(sources, Mapping):
        return sources
    is_one = isinstance(sources, (str, os.PathLike)) or hasattr(sources, "__arrow_c_stream__")
    paths = list(sources) if isinstance(sources, Iterable) and not is_one else [None]
    if not all(isinstance(path, (str, os.PathLike)) for path in paths):
        raise TypeError(
            f"sources has type {type(sources).__name__}; pass a mapping from the names of models to sources, or a list "
            f"of paths. If one source holds all models, pass {kind}= as a mapping from their names to columns"
        )
    return {str(path): path for path in paths}


def _check_models(models: Mapping[str, Any]) -> None:
    if len(models) < 2:
        known = f": {', '.join(map(repr, models))}" if models else ""
        raise ValueError(
            f"there are {len(models)} models{known}; pass two or more, the first of which is the reference"
        )


def _check_sources(sources: Mapping[str, Any]) -> None:
    """Raise an error if several models are in a source that can be read only once."""
    read: set[Any] = set()
    for source in sources.values():
        for part in source if isinstance(source, (list, tuple)) else [source]:
            if not (isinstance(part, Iterator) or (isinstance(part, str) and part == "-")):
                continue
            name = part if isinstance(part, str) else id(part)
            if name in read:
                what = "standard input" if isinstance(part, str) else f"a {type(part).__name__}"
                raise ValueError(
                    f"{what} can be read only once, and holds more than one model; write it to a file, or read it into "
                    "a table, and pass that"
                )
            read.add(name)


def _compared(scored: Mapping[str, tuple[State, ScoredRows]], tests: Tests, *, by_key: bool) -> Comparison:
    reference, *others = scored
    state, rows = scored[reference]
    evaluations = {model: each.finalize(interval=tests.confidence) for model, (each, _) in scored.items()}
    d = state.declaration
    if tests.horizon is not None and (d.weighted or d.clustered):
        raise ValueError(
            "horizon= takes rows for a time series, which has neither weights nor clusters; leave weight= and cluster= "
            "out"
        )
    differences = []
    for model in others:
        if scored[model][0].declaration.classes != d.classes:
            raise ValueError(
                f"the classes of {reference} are {list(d.classes)!r}, and those of {model} "
                f"{list(scored[model][0].declaration.classes)!r}; pass classes="
            )
        partner = paired(rows, scored[model][1], (reference, model), by_key=by_key)
        pair = (evaluations[reference], evaluations[model])
        differences.append(difference_of(model, reference, (rows, partner), pair, d.slices, d.classes, tests))
    return Comparison(reference, evaluations, with_adjusted_p(differences))
