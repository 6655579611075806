"""The verb ``perplexity``."""

from typing import Annotated

import typer

from crossentropy.cli.arguments import Interval, Json, Junit, OnBadRows, Policy, WriteState, check_interval
from crossentropy.cli.evaluation_errors import FAILED_GATE, errors_with_codes
from crossentropy.cli.evaluation_report import (
    print_gates,
    print_language,
    progress_of_rows,
    write_bytes,
    write_junit,
)
from crossentropy.training.output import check_file


def _column(what: str) -> typer.models.OptionInfo:
    return typer.Option(metavar="COLUMN", help=what)


def perplexity(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="LOGPROBS…",
            help="Files or patterns: JSON lines as vLLM, servers of OpenAI's protocol and lm-evaluation-harness write "
            "them; Parquet, Arrow, CSV; also in gzip or zstd; - for standard input.",
        ),
    ],
    log_probs: Annotated[
        str | None,
        _column(
            "Column of log-probabilities in nats, of tokens or lists of them; in JSON also a path such as a.b. "
            "Default in JSON: where servers write them."
        ),
    ] = None,
    tokens_column: Annotated[
        str | None, _column("Column of how many tokens each log-probability is the sum of.")
    ] = None,
    text_column: Annotated[
        str | None,
        _column("Column of the text that was scored; its bytes, characters and words are counted."),
    ] = None,
    bytes_column: Annotated[str | None, _column("Column of the bytes of the text that was scored.")] = None,
    characters_column: Annotated[str | None, _column("Column of its characters.")] = None,
    words_column: Annotated[str | None, _column("Column of its words.")] = None,
    document: Annotated[
        str | None,
        _column(
            "Rows with equal values here are of one document. Default: each text; of rows that are tokens, each file."
        ),
    ] = None,
    context: Annotated[
        int | None, typer.Option(metavar="N", help="How many tokens the model saw at most; recorded.")
    ] = None,
    stride: Annotated[
        int | None, typer.Option(metavar="N", help="By how many tokens its windows moved on; recorded.")
    ] = None,
    prefix: Annotated[
        str | None,
        typer.Option(
            metavar="TOKEN",
            help="The token before each text, as <s>: recorded, and it is what has no log-probability there.",
        ),
    ] = None,
    interval: Interval = 0.95,
    on_bad_rows: OnBadRows = Policy.error,
    json: Json = False,
    state: WriteState = None,
    junit: Junit = None,
    max_bits_per_byte: Annotated[
        float | None,
        typer.Option(
            metavar="X", help="Gate: fail unless the interval of the bits per byte ends at X or below."
        ),
    ] = None,
    max_perplexity: Annotated[
        float | None,
        typer.Option(
            metavar="X", help="Gate: fail unless the interval of the perplexity of tokens ends at X or below."
        ),
    ] = None,
) -> None:
    """Score a language model by log-probabilities of tokens: perplexity, bits per byte, with intervals.

    The exit code is 0, 1 if a gate failed, 2 if the command is wrong, 3 if the data are.
    """
    with errors_with_codes():
        check_interval(interval)
        for path in (junit, state):
            if path is not None:
                check_file(path)

        from crossentropy.evaluation import LanguageState
        from crossentropy.evaluation._gates import check_language_gates
        from crossentropy.evaluation._language.names import Names
        from crossentropy.evaluation.language import add_source

        names = Names(
            log_probs, tokens_column, text_column, bytes_column, characters_column, words_column, document
        )
        scored = LanguageState(context=context, stride=stride, prefix=prefix)
        with progress_of_rows() as on_rows:
            add_source(scored, sources, names, on_bad_rows=on_bad_rows.value, on_rows=on_rows)
        result = scored.finalize(interval=interval)
        gates = check_language_gates(
            result, max_bits_per_byte=max_bits_per_byte, max_perplexity=max_perplexity
        )
        if junit is not None:
            write_junit(gates, junit, verb="perplexity")
        if state is not None:
            write_bytes(scored.to_bytes(), state)
        print_language(result, ", ".join(sources), as_json=json)
        print_gates(gates)
    if not all(gate.passed for gate in gates):
        raise typer.Exit(FAILED_GATE)
