"""Train a language model step by step; a step depends on the seed and its number alone."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from crossentropy.evaluation import LanguageScore
from crossentropy.training.errors import InputError
from crossentropy.training.language.loss import DIVERGED, token_loss
from crossentropy.training.language.model import Transformer, share_rows
from crossentropy.training.language.options import LanguageOptions
from crossentropy.training.language.ranks import ALONE, Ranks

WARM_UP = 0.1
LAST_RATE = 0.1
BETAS = (0.9, 0.95)
WEIGHT_DECAY = 0.1
LARGEST_GRADIENT = 1.0


@dataclass(frozen=True)
class Evaluation:
    """The score of the held-out text after a step, counted from 1."""

    step: int
    score: LanguageScore


@dataclass
class History:
    """The mean loss of every step so far, in nats per token, and every evaluation."""

    losses: list[float] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)


def build_optimizer(model: nn.Module) -> torch.optim.AdamW:
    """Make an AdamW with weight decay for matrices, but not for biases and norms."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    others = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, betas=BETAS, fused=True)


def learning_rate(step: int, options: LanguageOptions) -> float:
    """Compute the step size: linear warm-up over a tenth of the steps, then cosine decay to a tenth of the peak."""
    warm_up = max(1, round(WARM_UP * options.steps))
    if step < warm_up:
        return options.learning_rate * (step + 1) / warm_up
    done = (step - warm_up) / max(1, options.steps - 1 - warm_up)
    return options.learning_rate * (LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * done)) / 2)


def draw_batch(tokens: np.ndarray, step: int, options: LanguageOptions) -> tuple[Tensor, Tensor]:
    """Draw windows of the training tokens, and the tokens that follow each position, both (batch, context)."""
    random = np.random.default_rng([options.seed, step])
    starts = random.integers(len(tokens) - options.context, size=(options.batch, 1))
    windows = torch.from_numpy(tokens[starts + np.arange(options.context + 1)])
    return windows[:, :-1], windows[:, 1:]


def fit(
    model: Transformer,
    optimizer: torch.optim.Optimizer,
    history: History,
    tokens: np.ndarray,
    options: LanguageOptions,
    evaluate: Callable[[], LanguageScore],
    on_step: Callable[[History], None],
    on_checkpoint: Callable[[], None],
    ranks: Ranks = ALONE,
) -> None:
    """Take the steps that are not in `history` yet.

    Parameters
    ----------
    tokens : numpy.ndarray of int64
        The training texts in a row.
    evaluate : callable
        Scores the held-out text, every `options.checkpoint_every` steps and after the last.
    on_step : callable
        Called after each step.
    on_checkpoint : callable
        Called after each evaluation, when `model`, `optimizer` and `history` are the whole state.
    ranks : Ranks
        The processes, each of which calls this with the same arguments and takes a share of every batch.

    Raises
    ------
    InputError
        If the loss stops being finite.
    """
    if ranks.world > 1:
        share_rows(model, ranks.share(options.batch), options.batch)
    with torch.random.fork_rng(devices=[]):
        while (step := len(history.losses)) < options.steps:
            history.losses.append(_take_step(model, optimizer, tokens, step, options, ranks))
            done = step + 1
            checkpoint = done % options.checkpoint_every == 0 or done == options.steps
            if checkpoint:
                history.evaluations.append(Evaluation(done, evaluate()))
            on_step(history)
            if checkpoint:
                on_checkpoint()


def _take_step(
    model: Transformer,
    optimizer: torch.optim.Optimizer,
    tokens: np.ndarray,
    step: int,
    options: LanguageOptions,
    ranks: Ranks,
) -> float:
    """Take one step, and return the batch's loss before it, in nats per token."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(step, options)
    inputs, labels = draw_batch(tokens, step, options)
    # Dropout is seeded by the step too, so that resuming needs no random state.
    torch.default_generator.manual_seed(
        int(np.random.SeedSequence([options.seed, step]).generate_state(1)[0])
    )
    model.train()
    optimizer.zero_grad()
    share = ranks.share(options.batch)
    loss = token_loss(
        model(inputs[share]), model.weight, labels[share], options.logits, normalizer=labels.numel()
    )
    loss.backward()
    mean = loss.detach()
    ranks.add_up([mean, *(p.grad for p in model.parameters() if p.grad is not None)])
    nn.utils.clip_grad_norm_(model.parameters(), LARGEST_GRADIENT)
    optimizer.step()
    value = mean.item()
    if not math.isfinite(value):
        raise InputError(DIVERGED)
    return value
