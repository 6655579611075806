"""The verb ``train-lm``."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from crossentropy.cli.errors import errors_in_a_sentence
from crossentropy.training.language.options import LanguageOptions
from crossentropy.training.language.text import check_paths
from crossentropy.training.output import check_no_classifier, check_writable


def train_lm(
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="Text files in UTF-8.")],
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Folder to write the checkpoint, model, history, sample and curves into."
        ),
    ],
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
) -> None:
    """Train a language model on text files.

    The last part of each file is held out; the model is scored on it. The same command goes
    on where an earlier one was stopped.
    """
    with errors_in_a_sentence():
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
        from crossentropy.training.progress import print_notice

        prepared = prepare(options, out)
        messages = Console(stderr=True)
        for notice in prepared.notices:
            print_notice(messages, notice)
        with language_progress(messages, steps) as on_step:
            run = run_training(prepared, on_step)
        write_language_run(run, out)
        Console(highlight=False).print(report(run), markup=False)
