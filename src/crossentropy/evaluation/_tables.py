"""Sources that PyArrow reads: files, standard input, objects with an Arrow stream; it is imported for them alone."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from crossentropy.evaluation._scoring import Columns, Request, Scoring
from crossentropy.evaluation.state import State

__all__ = ["is_tabular", "needs_pyarrow", "score_tables"]


def is_tabular(source: Any) -> bool:
    """Tell whether a source is a path or address, a list of them, or has an Arrow stream."""
    if isinstance(source, (list, tuple)) and source:
        return all(isinstance(x, (str, os.PathLike)) for x in source)
    return isinstance(source, (str, os.PathLike)) or hasattr(source, "__arrow_c_stream__")


def score_tables(
    source: Any,
    names: Columns,
    request: Request,
    *,
    typed_classes: bool = True,
    on_rows: Callable[[int], None] | None = None,
    scoring_of: Callable[..., Scoring] = Scoring,
) -> State:
    """Score the rows of such a source; see `crossentropy.evaluation._sources.score.score_source`."""
    with needs_pyarrow():
        from crossentropy.evaluation._sources.score import score_source
    return score_source(
        source, names, request, typed_classes=typed_classes, on_rows=on_rows, scoring_of=scoring_of
    )


@contextmanager
def needs_pyarrow() -> Iterator[None]:
    """Say what to install if PyArrow is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pyarrow":
            raise
        raise ImportError(
            'files and tables are read by PyArrow; install it by: pip install "crossentropy[evaluate]"'
        ) from error
