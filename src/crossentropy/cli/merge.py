"""The verb ``merge``."""

from pathlib import Path
from typing import Annotated

import typer

from crossentropy.cli.arguments import Interval, Json
from crossentropy.cli.evaluation_arguments import Out, Prior, finalizing
from crossentropy.cli.evaluation_errors import errors_with_codes
from crossentropy.cli.evaluation_report import print_language, print_result, write_bytes
from crossentropy.training.output import check_file


def merge(
    states: Annotated[
        list[Path],
        typer.Argument(
            metavar="STATE…",
            help="Files that --state of crossentropy evaluate or of perplexity has written.",
        ),
    ],
    state: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the sum of the states.")] = None,
    prior: Prior = None,
    interval: Interval = 0.95,
    json: Json = False,
    out: Out = None,
) -> None:
    """Add up states, and print the scores of all their rows."""
    with errors_with_codes():
        rates = finalizing(interval, prior)

        from crossentropy.cli.evaluation_pages import check_page, write_page
        from crossentropy.evaluation import BadData, LanguageState, State
        from crossentropy.evaluation._sources.paths import each_once
        from crossentropy.evaluation._states import merged, state_of

        each_once([str(path) for path in states])
        if out is not None:
            check_page(out)
        if state is not None:
            check_file(state)
        total: State | LanguageState | None = None
        for path in states:
            if not path.is_file():
                raise ValueError(
                    f"there is no file {str(path)!r}; pass what --state of crossentropy evaluate or perplexity wrote"
                )
            data = path.read_bytes()
            try:
                total = merged(total, state_of(data))
            except ValueError as error:
                raise BadData(f"{path}: {error}") from error
        assert total is not None  # for type checkers
        title = ", ".join(map(str, states))
        if isinstance(total, LanguageState):
            if rates is not None or out is not None:
                raise ValueError(
                    "--prior and --out are for predictions, and these states are of a language model"
                )
            score = total.finalize(interval=interval)
            if state is not None:
                write_bytes(total.to_bytes(), state)
            print_language(score, title, as_json=json)
            return
        result = total.finalize(interval=interval, prior=rates)
        if state is not None:
            write_bytes(total.to_bytes(), state)
        if out is not None:
            write_page(result, out, [str(path) for path in states])
        print_result(result, title, as_json=json)
