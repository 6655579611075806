"""Scores of language models from the log-probabilities of tokens, in one call."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from crossentropy.evaluation._faults import BadData, skips
from crossentropy.evaluation._language.names import Names
from crossentropy.evaluation._language.objects import ObjectReader
from crossentropy.evaluation._language.texts import Reading
from crossentropy.evaluation._tables import is_tabular, needs_pyarrow
from crossentropy.evaluation.language_result import LanguageScore
from crossentropy.evaluation.language_state import LanguageState

__all__ = ["add_source", "language_score"]


def language_score(
    source: Any = None,
    *,
    log_probs: Any = None,
    tokens: Any = None,
    text: Any = None,
    bytes: Any = None,
    characters: Any = None,
    words: Any = None,
    document: Any = None,
    context: int | None = None,
    stride: int | None = None,
    prefix: str | None = None,
    interval: float = 0.95,
    on_bad_rows: str = "error",
) -> LanguageScore:
    r"""Score a language model: nats a token, perplexity, bits per byte, with intervals by document.

    .. math:: b = \frac{\sum_d \ell_d}{\ln 2\, \sum_d B_d}, \qquad
       \mathrm{SE} = \sqrt{\frac{D}{D - 1}}\, \frac{\sqrt{\sum_d (\ell_d - b \ln 2\, B_d)^2}}{\ln 2\, \sum_d B_d}

    Here ℓ_d is −Σ ln p over the tokens of document d, and B_d its bytes; scores by token, word and character have these
    in place of the bytes. A row is a text, with a list of log-probabilities or their sum, or it is a token. Sums are
    exact, so the result has the same bits for every batching and order of rows.

    Parameters
    ----------
    source : path, pattern, list of these, object with ``__arrow_c_stream__``, or iterable of mappings, optional
        Files (JSON lines, Parquet, Arrow, CSV; also packed by gzip or zstd), ``"-"`` for standard input, addresses that
        fsspec opens, a table, or objects as JSON lines have them. The columns below are then names; in objects they
        may be paths such as ``"metadata.doc"``. Without a source they are the arrays themselves.
    log_probs : array (n,), sequence of n sequences, or name
        Log-probabilities in nats; None for a token without one, as the first one of a prompt, which is counted and
        in no score. Of objects, leave it out for what servers write: ``prompt_logprobs`` of vLLM, ``logprobs`` of
        OpenAI's completions and chats, samples of lm-evaluation-harness. A log-probability of a token that is exactly
        −9999, which servers write in place of −∞, is −∞.
    tokens : array (n,), or name, optional
        How many tokens each log-probability is the sum of, if they are sums of texts.
    text : sequence of n str, or name, optional
        What was scored. Its bytes of UTF-8, characters, and words between white space are counted. The text of a single
        token is not counted as words.
    bytes, characters, words : array (n,), or name, optional
        These numbers themselves, of the text that was scored.
    document : array or list (n,) of any values, or name, optional
        Rows with equal values are one document. Left out, each row with a list or a sum is one; rows that are tokens
        are one all together, or those of each file.
    context, stride : int, optional
        How many tokens the model saw at most, and by how many its windows moved on; recorded in the result.
    prefix : str, optional
        The token before each text, as ``"<s>"``: recorded, and it says that what has no log-probability at the start of
        a text is this token and no part of the text.
    interval : float, default 0.95
        The confidence of intervals.
    on_bad_rows : {"error", "skip"}
        Whether a row that cannot be scored is an error, or is left out and counted in ``bad_rows``.

    Returns
    -------
    LanguageScore

    Raises
    ------
    BadData
        If a row or a file cannot be scored; a ValueError. So it is for perplexities, whose mean says nothing of all
        tokens.
    ValueError
        If there is no such column, or an option is out of range.
    OSError
        If there is no such file.

    Examples
    --------
    >>> from crossentropy.evaluation import language_score
    >>> result = language_score(log_probs=[[None, -2.0, -1.0], [-3.0]], text=["a cat", "it"], prefix="<s>")
    >>> result.nats_per_token, round(result.bits_per_byte, 4), result.unscored_tokens
    (2.0, 1.2366, 1)
    """
    state = LanguageState(context=context, stride=stride, prefix=prefix)
    columns = {"tokens": tokens, "text": text, "bytes": bytes, "characters": characters, "words": words}
    if source is not None:
        names = Names(log_probs, document=document, **columns)
        add_source(state, source, names, on_bad_rows=on_bad_rows)
    elif log_probs is None:
        raise TypeError("pass log_probs=, or a source that has log-probabilities")
    else:
        state.update(log_probs, document=document, on_bad_rows=on_bad_rows, **columns)
    return state.finalize(interval=interval)


def add_source(
    state: LanguageState,
    source: Any,
    names: Names,
    *,
    on_bad_rows: str,
    on_rows: Callable[[int], None] | None = None,
) -> None:
    """Add the rows of a source to a state; `on_rows` is told after each piece how many there were so far."""
    skip, rows = skips(on_bad_rows), 0
    objects = ObjectReader(names, skip=skip)
    for reading in _readings(source, names, objects, skip=skip):
        if isinstance(reading, int):
            state.count_bad_rows({"line": reading})
            continue
        state.add(reading, skip=skip)
        rows += len(reading.names)
        if on_rows is not None:
            on_rows(rows)
    state.count_generated(objects.generated)
    if objects.left_out:
        state.count_bad_rows({"object": objects.left_out})
    if not rows:
        raise BadData("there are no texts to score in the source; pass log-probabilities of tokens")


def _readings(source: Any, names: Names, objects: ObjectReader, *, skip: bool) -> Iterator[Reading | int]:
    if not is_tabular(source):
        return objects.read(_mappings(source), "")
    with needs_pyarrow():
        from crossentropy.evaluation._language.tables import read_source
    return read_source(source, names, objects, skip=skip)


def _mappings(source: Any) -> Iterator[Mapping[str, Any]]:
    for row in source:
        if not isinstance(row, Mapping):
            raise TypeError(
                f"the source has a {type(row).__name__}; pass mappings, as row.model_dump() or json.loads(line)"
            )
        yield row
