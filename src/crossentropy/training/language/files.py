"""The files of a finished language model."""

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path

import crossentropy
from crossentropy.evaluation import LanguageScore
from crossentropy.training.language.curves import draw_curves
from crossentropy.training.language.display import remarks
from crossentropy.training.language.experiment import LanguageRun
from crossentropy.training.output import EVALUATION, write_together
from crossentropy.training.state_file import write_state


def write_language_run(run: LanguageRun, out: Path) -> None:
    """Write the model, its tokenizer, history, evaluation, sample and curves into the folder `out`.

    Raises
    ------
    InputError
        If they cannot be written; then `out` is as it was.
    """
    writers: dict[str, Callable[[Path], object]] = {
        "model.pt": lambda path: write_state(model_file(run), path),
        "tokenizer.json": lambda path: path.write_text(run.tokenizer.to_str(pretty=True), encoding="utf-8"),
        "history.json": lambda path: path.write_text(json.dumps(history_file(run), indent=2) + "\n"),
        EVALUATION: lambda path: path.write_text(run.score.to_json() + "\n"),
        "sample.txt": lambda path: path.write_bytes(run.sample.encode() + b"\n"),
        "curves.svg": lambda path: draw_curves(run, path),
    }
    write_together(writers, out)


def model_file(run: LanguageRun) -> dict[str, object]:
    """Collect the contents of ``model.pt``: plain values and tensors, for ``torch.load(path, weights_only=True)``.

    ``Transformer(Shape(**shape))`` of `crossentropy.training.language.model` takes ``state_dict``, and
    ``tokenizers.Tokenizer.from_str(tokenizer)`` makes its tokens.
    """
    return {
        "state_dict": run.model.state_dict(),
        "shape": dataclasses.asdict(run.shape),
        "tokenizer": run.tokenizer.to_str(),
        "crossentropy": crossentropy.__version__,
    }


def history_file(run: LanguageRun) -> dict[str, object]:
    """Collect the contents of ``history.json``: options, every step and evaluation, scores of model and baselines."""
    return {
        "options": dataclasses.asdict(run.options),
        "vocabulary": run.shape.vocabulary,
        "training_tokens": run.training_tokens,
        "held_out_tokens": run.score.tokens,
        "held_out_bytes": run.score.bytes,
        "step_nats_per_token": run.history.losses,
        "evaluations": [
            {"step": evaluation.step} | _score(evaluation.score) for evaluation in run.history.evaluations
        ],
        "peak_memory_bytes": run.memory,
        "notices": run.notices,
        "remarks": remarks(run),
        "held_out": {
            "model": _score(run.score),
            "unigram": _score(run.unigram),
            "xz_after_training_text": {"bits_per_byte": run.xz.after_training},
            "xz_alone": {"bits_per_byte": run.xz.alone},
        },
    }


def _score(score: LanguageScore) -> dict[str, float | None]:
    """Convert a score for JSON, which has no infinity."""
    values = {
        "nats_per_token": score.nats_per_token,
        "bits_per_byte": score.bits_per_byte,
        "perplexity": score.perplexity,
    }
    return {name: None if x == math.inf else x for name, x in values.items()}
