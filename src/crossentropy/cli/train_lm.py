"""The verb ``train-lm``."""

from pathlib import Path
from typing import Annotated

import typer

from crossentropy.cli.errors import errors_in_a_sentence
from crossentropy.training.errors import InputError
from crossentropy.training.language.options import LanguageOptions
from crossentropy.training.language.text import check_paths
from crossentropy.training.options import check_seed
from crossentropy.training.output import check_no_classifier, check_writable
from crossentropy.training.terminal import terminal


def train_lm(
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Folder to write the checkpoint, model, history, sample and curves into."
        ),
    ],
    files: Annotated[
        list[str] | None, typer.Argument(metavar="FILE…", help="Text files in UTF-8 to train on.")
    ] = None,
    vocabulary: Annotated[
        int, typer.Option(metavar="N", help="Largest number of tokens that the tokenizer learns.")
    ] = LanguageOptions.vocabulary,
    context: Annotated[int, typer.Option(metavar="N", help="Tokens in a window.")] = LanguageOptions.context,
    layers: Annotated[
        int, typer.Option(metavar="N", help="Blocks of the transformer.")
    ] = LanguageOptions.layers,
    width: Annotated[
        int, typer.Option(metavar="N", help="Width of the transformer: numbers that represent a token.")
    ] = LanguageOptions.width,
    heads: Annotated[int, typer.Option(metavar="N", help="Heads of attention.")] = LanguageOptions.heads,
    batch: Annotated[
        int, typer.Option(metavar="N", help="Windows of text in each step.")
    ] = LanguageOptions.batch,
    steps: Annotated[
        int, typer.Option(metavar="N", help="Number of training steps (AdamW).")
    ] = LanguageOptions.steps,
    learning_rate: Annotated[
        float, typer.Option(metavar="X", help="Largest step size of AdamW, which it has after the warm-up.")
    ] = LanguageOptions.learning_rate,
    seed: Annotated[
        int, typer.Option(metavar="N", help="The same seed gives the same run, up to rounding.")
    ] = LanguageOptions.seed,
    held_out: Annotated[
        float, typer.Option(metavar="X", help="Share of each file, at its end, that is held out and scored.")
    ] = LanguageOptions.held_out,
    checkpoint_every: Annotated[
        int, typer.Option(metavar="N", help="Steps between checkpoints, each with an evaluation.")
    ] = LanguageOptions.checkpoint_every,
    logits: Annotated[
        str,
        typer.Option(
            metavar="KIND", help="linear: never store the logits of a batch; materialized: store them."
        ),
    ] = LanguageOptions.logits,
    score: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Score a text with the finished model in --out, and do not train. Several files are documents of "
            "their own, which the interval is of.",
        ),
    ] = None,
    write: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Write N tokens after --prompt with the finished model in --out, and do not train.",
        ),
    ] = None,
    prompt: Annotated[str, typer.Option(metavar="TEXT", help="Text that --write goes on with.")] = "",
) -> None:
    """Train a language model on text files, or score and write text with one.

    The last part of each file is held out; the model is scored on it. The same command goes
    on where an earlier one was stopped. Under torchrun, its processes share each batch.
    """
    with errors_in_a_sentence():
        if prompt and write is None:
            raise InputError("--prompt is what --write goes on with: pass --write N too.")
        if score or write is not None:
            _use(out, files, score or [], write, prompt, seed)
            return
        if not files:
            raise InputError(
                "There is nothing to train on: pass text files, or --score or --write to use the model in --out."
            )
        options = LanguageOptions(
            files=tuple(files),
            vocabulary=vocabulary,
            context=context,
            layers=layers,
            width=width,
            heads=heads,
            batch=batch,
            steps=steps,
            learning_rate=learning_rate,
            seed=seed,
            held_out=held_out,
            checkpoint_every=checkpoint_every,
            logits=logits,
        )
        check_writable(out)
        check_no_classifier(out)
        check_paths(files)  # before the imports, which take seconds
        from crossentropy.training.language.display import language_progress, report
        from crossentropy.training.language.experiment import prepare
        from crossentropy.training.language.experiment import train as run_training
        from crossentropy.training.language.files import write_language_run
        from crossentropy.training.language.ranks import joined_ranks
        from crossentropy.training.progress import print_notice

        with joined_ranks() as ranks:
            prepared = prepare(options, out)
            messages = terminal(stderr=True, quiet=not ranks.is_first)
            for notice in prepared.notices:
                print_notice(messages, notice)
            with language_progress(messages, steps) as on_step:
                run = run_training(prepared, on_step, ranks)
            if ranks.is_first:
                write_language_run(run, out)
                terminal().print(report(run))


def _use(
    out: Path, files: list[str] | None, score: list[str], write: int | None, prompt: str, seed: int
) -> None:
    """Score texts and write text with a finished model."""
    if files:
        raise InputError(
            f"--score and --write use a finished model, and {files[0]} would be trained on: leave it out."
        )
    if write is not None and write < 1:
        raise InputError(f"--write is a number of tokens, at least 1, so not {write}.")
    check_seed(seed)
    check_paths(score)
    from crossentropy.cli.evaluation_report import print_lines
    from crossentropy.training.language.finished import load_language_model, score_files, write_text

    language = load_language_model(out)
    if score:
        console, result = terminal(), score_files(language, score)
        rows = [("files" if name == "documents" else name, value) for name, value in result.rows()]
        print_lines(rows, ", ".join(score), console)
        parts = "files" if len(score) > 1 else f"windows of {language.shape.context} tokens"
        console.print(f"The intervals take the {parts} for independent.")
    if write is not None:
        typer.echo(prompt + write_text(language, prompt, write, seed))
