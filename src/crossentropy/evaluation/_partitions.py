"""Rows that an engine keeps in partitions, on many machines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from crossentropy.evaluation._scoring import Columns, Request
from crossentropy.evaluation.state import State

if TYPE_CHECKING:
    from crossentropy.evaluation._language.partitions import LanguageJob
    from crossentropy.evaluation._sources.partition import Job

__all__ = ["Partitions", "check_has", "needs_pyarrow_for", "takes_keywords_of"]

Function = TypeVar("Function", bound=Callable[..., Any])


class Partitions(ABC):
    """A source whose partitions are scored where they are; states come back, and no rows."""

    #: What messages call it, and the extra of this package that installs what it needs.
    words: ClassVar[str]
    extra: ClassVar[str]

    @abstractmethod
    def schema(self) -> Any:
        """Return the Arrow schema of the rows."""

    @abstractmethod
    def results(self, job: Job | LanguageJob) -> Iterable[Any]:
        """Run ``job.score`` on each partition; return its sums, as `Sum.to_arrow` writes them, added up or not.

        Its columns are those of ``job.columns()``, in their order.
        """

    def score(self, names: Columns, request: Request) -> State:
        """Score all rows; `names` are names of columns, lists of names, or patterns."""
        with needs_pyarrow_for(self):
            from crossentropy.evaluation._sources.partition import make_job, total
        job, start = make_job(self.schema(), names, request)
        return total(start, self.results(job), self.words)


@contextmanager
def needs_pyarrow_for(source: Partitions) -> Iterator[None]:
    """Say what to install if PyArrow is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pyarrow":
            raise
        raise ImportError(
            f"rows of {source.words} come by PyArrow; install it by: pip install "
            f'"crossentropy[{source.extra}]", here and on the workers'
        ) from error


def check_has(source: Any, method: str, what: str) -> None:
    """Check that the first argument has the method by which its kind is known."""
    if not hasattr(source, method):
        raise TypeError(
            f"the first argument has type {type(source).__name__}; pass {what}. crossentropy.evaluation.evaluate takes "
            "arrays and files"
        )


def takes_keywords_of(function: Callable[..., Any]) -> Callable[[Function], Function]:
    """Show, in place of ``**options``, the keywords of the function that they are passed on to."""

    def show(own: Function) -> Function:
        first, *_ = signature(own).parameters.values()
        keywords = [x for x in signature(function).parameters.values() if x.kind is Parameter.KEYWORD_ONLY]
        returned = signature(own).return_annotation
        own.__signature__ = Signature([first, *keywords], return_annotation=returned)  # type: ignore[attr-defined]
        return own

    return show
