"""A language model from text files to its bits per byte, with checkpoints that survive a kill."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from crossentropy.evaluation import LanguageScore
from crossentropy.training.errors import InputError, memory_errors
from crossentropy.training.language.baselines import CompressedScore, score_unigram, score_xz
from crossentropy.training.language.checkpoint import (
    check_same_run,
    describe_run,
    load_checkpoint,
    save_checkpoint,
)
from crossentropy.training.language.fit import Evaluation, History, build_optimizer, fit
from crossentropy.training.language.memory import peak_memory
from crossentropy.training.language.model import Shape, Transformer, build_transformer
from crossentropy.training.language.options import LanguageOptions
from crossentropy.training.language.ranks import ALONE, Ranks
from crossentropy.training.language.sample import sample_tokens
from crossentropy.training.language.scores import cut_windows, score_text
from crossentropy.training.language.text import Texts, read_texts
from crossentropy.training.language.tokenizer import decode, encode, token_sizes, train_tokenizer
from crossentropy.training.threads import cpu_threads

SAMPLE_TOKENS = 400


@dataclass(frozen=True)
class Preparation:
    """Everything that training starts or resumes with.

    Attributes
    ----------
    checkpoint : Path
        The file of the state.
    state : dict, optional
        The state read from it.
    training, held_out : list of numpy.ndarray
        Tokens of each text's two parts, with the boundary before them.
    notices : list of str
        Remarks to the user before training.
    """

    options: LanguageOptions
    checkpoint: Path
    state: dict[str, Any] | None
    texts: Texts
    tokenizer: Tokenizer
    training: list[np.ndarray]
    held_out: list[np.ndarray]
    notices: list[str]


@dataclass(frozen=True)
class LanguageRun:
    """A finished run.

    Attributes
    ----------
    training_tokens : int
    score, unigram : LanguageScore
        Of the held-out text, by the model and by the frequencies of the training tokens.
    xz : CompressedScore
    sample : str
        Text sampled from the model.
    memory : int, optional
        Peak memory of the process up to the last step, in bytes; if the run was resumed, the largest of its processes.
    notices : list of str
        Messages from before the training.
    """

    options: LanguageOptions
    shape: Shape
    model: Transformer
    tokenizer: Tokenizer
    history: History
    training_tokens: int
    score: LanguageScore
    unigram: LanguageScore
    xz: CompressedScore
    sample: str
    memory: int | None
    notices: list[str]


def prepare(options: LanguageOptions, out: Path) -> Preparation:
    """Read the texts, and load the tokenizer from the checkpoint in the folder `out`, or train one.

    Raises
    ------
    InputError
        If the texts cannot be trained on, or the checkpoint is of another run.
    """
    texts = read_texts(options.files, options.held_out)
    path = out / "checkpoint.pt"
    state = load_checkpoint(path)
    notices = []
    if state is None:
        tokenizer = train_tokenizer(texts.training, options.vocabulary)
        size = tokenizer.get_vocab_size()
        if size < options.vocabulary:
            notices.append(
                f"The vocabulary has {size} tokens, not {options.vocabulary}: "
                "the training text has no more that occur twice."
            )
    else:
        check_same_run(state, options, texts.digest, path)
        tokenizer = Tokenizer.from_str(state["tokenizer"])
        done = len(state["history"]["losses"])
        notices.append(
            f"{path} goes on after step {done} of {options.steps}."
            if done < options.steps
            else f"{path} has all of the {options.steps} steps: nothing is left to train."
        )
    training = [encode(tokenizer, text) for text in texts.training]
    held_out = [encode(tokenizer, text) for text in texts.held_out]
    if (tokens := sum(map(len, training))) <= options.context:
        raise InputError(
            f"The training text is too short: it has {tokens} tokens, and a window has "
            f"{options.context + 1}. Pass more text, or a smaller --context."
        )
    return Preparation(options, path, state, texts, tokenizer, training, held_out, notices)


@memory_errors(
    "The memory is not enough for the model and its batches: pass a smaller --batch, --context, --width, --layers or "
    "--vocabulary."
)
def train(
    prepared: Preparation,
    on_step: Callable[[History], None] = lambda history: None,
    ranks: Ranks = ALONE,
) -> LanguageRun:
    """Train a language model, with regular checkpoints, and score it on the held-out text.

    Parameters
    ----------
    prepared : Preparation
    on_step : callable, optional
        Called with the history after each step.
    ranks : Ranks
        The processes that train together; the first one writes the checkpoints.

    Raises
    ------
    InputError
        If the training diverges, the memory is not enough, or a checkpoint cannot be written.
    """
    options, texts, tokenizer = prepared.options, prepared.texts, prepared.tokenizer
    if options.batch < ranks.world:
        raise InputError(
            f"A batch of {options.batch} windows is too small for {ranks.world} processes: pass --batch {ranks.world}."
        )
    shape = Shape(tokenizer.get_vocab_size(), options.context, options.layers, options.width, options.heads)
    model = build_transformer(shape, options.seed)
    optimizer = build_optimizer(model)
    history, threads, memory = History(), torch.get_num_threads(), None
    if prepared.state is not None:
        history, threads, memory = _restore(prepared.state, model, optimizer)
    tokens = np.concatenate(prepared.training)
    windows = cut_windows(prepared.held_out, options.context)
    sizes = token_sizes(tokenizer)

    def evaluate() -> LanguageScore:
        return score_text(model, windows, sizes, options.batch, options.logits, ranks)

    def keep() -> None:
        nonlocal memory
        if not ranks.is_first:
            return
        memory = max(filter(None, (memory, peak_memory())), default=None)
        state = {
            "run": describe_run(options, texts.digest),
            "threads": threads,
            "memory": memory,
            "tokenizer": tokenizer.to_str(),
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "history": dataclasses.asdict(history),
        }
        save_checkpoint(state, prepared.checkpoint)

    with cpu_threads(threads):
        fit(model, optimizer, history, tokens, options, evaluate, on_step, keep, ranks)
        written = sample_tokens(model, tokens[:1].tolist(), options.context, SAMPLE_TOKENS, options.seed)
    return LanguageRun(
        options,
        shape,
        model,
        tokenizer,
        history,
        len(tokens),
        history.evaluations[-1].score,
        score_unigram(tokens, windows, sizes),
        score_xz("".join(texts.training), "".join(texts.held_out)),
        decode(tokenizer, written),
        memory,
        prepared.notices,
    )


def _restore(
    state: dict[str, Any], model: Transformer, optimizer: torch.optim.Optimizer
) -> tuple[History, int, int | None]:
    """Load a checkpoint into model and optimizer; return its history, threads (which set the rounding) and memory."""
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    evaluations = [
        Evaluation(evaluation["step"], LanguageScore(**evaluation["score"]))
        for evaluation in state["history"]["evaluations"]
    ]
    return History(state["history"]["losses"], evaluations), state["threads"], state["memory"]
