"""A finished language model: it scores other texts, and goes on writing from a prompt."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from crossentropy.evaluation import LanguageScore
from crossentropy.training.errors import InputError
from crossentropy.training.language.model import Shape, Transformer
from crossentropy.training.language.sample import sample_tokens
from crossentropy.training.language.scores import cut_windows, score_windows, token_losses
from crossentropy.training.language.text import read_text
from crossentropy.training.language.tokenizer import decode, encode, token_sizes
from crossentropy.training.state_file import read_state

BATCH = 8


@dataclass(frozen=True)
class LanguageModel:
    """The model of a run, and its tokens."""

    model: Transformer
    shape: Shape
    tokenizer: Tokenizer


def load_language_model(out: Path) -> LanguageModel:
    """Read the model that `crossentropy train-lm` has written into the folder `out`.

    Raises
    ------
    InputError
        If there is none.
    """
    path = out / "model.pt"
    if not path.exists():
        raise InputError(
            f"{out} has no finished language model (model.pt): train one by crossentropy train-lm FILE… --out {out}."
        )
    state = read_state(path) or {}
    try:
        shape = Shape(**state["shape"])
        model = Transformer(shape)
        model.load_state_dict(state["state_dict"])
        return LanguageModel(model.eval(), shape, Tokenizer.from_str(state["tokenizer"]))
    except (RuntimeError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is no model of crossentropy train-lm: pass the folder of a finished run, its --out."
        ) from error


def score_files(language: LanguageModel, paths: Sequence[str]) -> LanguageScore:
    """Score whole texts, each file a document; the errors of a single one are by window.

    Raises
    ------
    InputError
        If a file cannot be read as text.
    """
    context = language.shape.context
    texts = [encode(language.tokenizer, read_text(path)) for path in paths]
    windows = cut_windows(texts, context)
    log_probs = -token_losses(language.model, windows, BATCH, "linear")
    counts = [-(-(len(tokens) - 1) // context) for tokens in texts]
    documents = np.repeat(np.arange(len(texts)), counts) if len(texts) > 1 else None
    return score_windows(log_probs, windows.labels.numpy(), token_sizes(language.tokenizer), documents)


def write_text(language: LanguageModel, prompt: str, length: int, seed: int) -> str:
    """Go on writing behind a prompt: `length` tokens, the same for the same seed."""
    tokens = encode(language.tokenizer, prompt).tolist()
    return decode(
        language.tokenizer, sample_tokens(language.model, tokens, language.shape.context, length, seed)
    )
