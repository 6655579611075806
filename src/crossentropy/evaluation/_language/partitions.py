"""Language models scored where an engine keeps the rows; states come back, and no rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from crossentropy.evaluation._faults import BadData, skips
from crossentropy.evaluation._language.names import Names
from crossentropy.evaluation._partitions import Partitions, needs_pyarrow_for
from crossentropy.evaluation.language_result import LanguageScore
from crossentropy.evaluation.language_state import LanguageState

if TYPE_CHECKING:
    from crossentropy.evaluation._sources.partition import Sum

__all__ = ["LanguageJob", "language_score_of"]


@dataclass(frozen=True)
class LanguageJob:
    """How the rows of each partition are scored."""

    names: Names
    skip: bool
    #: Context, stride and prefix.
    provenance: dict[str, Any] = field(default_factory=dict)

    def columns(self) -> list[str]:
        """Return the columns that rows need to have, in their order."""
        return self.names.used()

    def score(self, batches: Iterable[Any], origin: str) -> Sum:
        """Score the rows of a partition, which messages call `origin`."""
        from crossentropy.evaluation._language.tables import readings_of
        from crossentropy.evaluation._sources.partition import Sum, partition_table

        state = LanguageState(**self.provenance)
        try:
            for reading in readings_of(partition_table(origin, self.columns(), batches), self.names):
                assert not isinstance(reading, int)  # broken lines are in text files
                state.add(reading, skip=self.skip)
        except BadData as error:
            return Sum(error=str(error))
        return Sum(state)


def language_score_of(
    source: Partitions,
    *,
    log_probs: str,
    document: str,
    tokens: str | None = None,
    text: str | None = None,
    bytes: str | None = None,
    characters: str | None = None,
    words: str | None = None,
    context: int | None = None,
    stride: int | None = None,
    prefix: str | None = None,
    interval: float = 0.95,
    on_bad_rows: str = "error",
) -> LanguageScore:
    """Score the texts, or tokens, in partitions; the arguments are those of `language_score`, names of columns."""
    state = LanguageState(context=context, stride=stride, prefix=prefix)
    with needs_pyarrow_for(source):
        from crossentropy.evaluation._language.tables import columns_of
        from crossentropy.evaluation._sources.partition import add_results, partition_table
    names = Names(log_probs, tokens, text, bytes, characters, words, document)
    found = columns_of(partition_table("", source.schema().names, ()), names)
    add_results(state, source.results(LanguageJob(found, skips(on_bad_rows), state.provenance)))
    return state.finalize(interval=interval)
