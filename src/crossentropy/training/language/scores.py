"""The score of a model on texts, in windows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from crossentropy.evaluation import LanguageScore, LanguageState
from crossentropy.training.errors import InputError
from crossentropy.training.language.loss import DIVERGED, token_loss
from crossentropy.training.language.model import Transformer
from crossentropy.training.language.ranks import ALONE, Ranks
from crossentropy.training.language.tokenizer import BOUNDARY

NO_LABEL = -1


@dataclass(frozen=True)
class Windows:
    """Texts cut into windows, which share no context.

    Attributes
    ----------
    inputs, labels : Tensor (windows, context)
        Tokens, and the token that follows each; `NO_LABEL` behind the end of a text.
    """

    inputs: Tensor
    labels: Tensor


def cut_windows(texts: Sequence[np.ndarray], context: int) -> Windows:
    """Cut texts, each behind its boundary token, into windows in which every token of a text is a label once."""
    inputs, labels = [], []
    for tokens in texts:
        rest = -(len(tokens) - 1) % context
        inputs.append(np.pad(tokens[:-1], (0, rest)).reshape(-1, context))
        labels.append(np.pad(tokens[1:], (0, rest), constant_values=NO_LABEL).reshape(-1, context))
    return Windows(torch.from_numpy(np.concatenate(inputs)), torch.from_numpy(np.concatenate(labels)))


def score_windows(
    log_probs: np.ndarray, labels: np.ndarray, sizes: np.ndarray, documents: np.ndarray | None = None
) -> LanguageScore:
    """Score the log-probabilities of the labels of windows.

    Parameters
    ----------
    log_probs, labels : numpy.ndarray (windows, context)
    sizes : numpy.ndarray (vocabulary,)
        The bytes of each token.
    documents : numpy.ndarray (windows,) of int, optional
        The document that each window is of. By default the errors are by window, and the score has the number of
        `windows` in place of that of `documents`.
    """
    windows, context = labels.shape
    of_windows = np.arange(windows) if documents is None else documents
    wanted = labels != NO_LABEL
    state = LanguageState(context=context, stride=context, prefix=BOUNDARY)
    state.update(
        log_probs[wanted],
        bytes=sizes[labels[wanted]],
        document=np.broadcast_to(of_windows[:, None], labels.shape)[wanted],
    )
    score = state.finalize()
    return replace(score, documents=None, windows=score.documents) if documents is None else score


@torch.no_grad()
def token_losses(
    model: Transformer, windows: Windows, batch: int, logits: str, ranks: Ranks = ALONE
) -> np.ndarray:
    """Compute the loss of each label of the windows, `batch` windows at a time, in nats: float32 (windows, context).

    Raises
    ------
    InputError
        If a loss is NaN.
    """
    model.eval()
    losses = torch.zeros(windows.labels.shape)
    for i in range(ranks.rank * batch, len(losses), ranks.world * batch):
        part = slice(i, i + batch)
        losses[part] = token_loss(
            model(windows.inputs[part]),
            model.weight,
            windows.labels[part],
            logits,
            ignore_index=NO_LABEL,
            reduction="none",
        )
    ranks.add_up([losses])
    if losses.isnan().any():
        raise InputError(DIVERGED)
    return losses.numpy()


def score_text(
    model: Transformer, windows: Windows, sizes: np.ndarray, batch: int, logits: str, ranks: Ranks = ALONE
) -> LanguageScore:
    """Score a model on windows, `batch` at a time; `sizes` are the bytes of each token of the vocabulary.

    Raises
    ------
    InputError
        If a loss is NaN.
    """
    log_probs = -token_losses(model, windows, batch, logits, ranks)
    return score_windows(log_probs, windows.labels.numpy(), sizes)
