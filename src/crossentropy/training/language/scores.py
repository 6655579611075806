"""The code length of a text under a model, in bits per byte."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from crossentropy.training.language.loss import token_loss
from crossentropy.training.language.model import Transformer

NO_LABEL = -1


@dataclass(frozen=True)
class TextScore:
    """The code length of a text under a model of tokens; every score of a text without tokens or bytes is NaN.

    Attributes
    ----------
    nats : float
        Minus the log-probability of all tokens.
    tokens, bytes : int
        Length of the text.
    """

    nats: float
    tokens: int
    bytes: int

    @property
    def nats_per_token(self) -> float:
        """Mean of minus the log-probability of a token."""
        return self.nats / self.tokens if self.tokens else math.nan

    @property
    def bits_per_byte(self) -> float:
        """Length of the text in this code, in bits for each of its bytes; it does not depend on the tokens."""
        return self.nats / math.log(2) / self.bytes if self.bytes else math.nan

    @property
    def perplexity(self) -> float:
        """The number of equally likely tokens that would be as hard to guess."""
        return math.inf if self.nats_per_token >= 709 else math.exp(self.nats_per_token)


@dataclass(frozen=True)
class Windows:
    """Texts cut into windows.

    Attributes
    ----------
    inputs, labels : Tensor (windows, context)
        Tokens, and the token that follows each; `NO_LABEL` behind the end of a text.
    """

    inputs: Tensor
    labels: Tensor

    @property
    def tokens(self) -> int:
        """The number of tokens to predict."""
        return int((self.labels != NO_LABEL).sum())


def cut_windows(texts: Sequence[np.ndarray], context: int) -> Windows:
    """Cut texts, each behind its boundary token, into windows in which every token of a text is a label once."""
    inputs, labels = [], []
    for tokens in texts:
        rest = -(len(tokens) - 1) % context
        inputs.append(np.pad(tokens[:-1], (0, rest)).reshape(-1, context))
        labels.append(np.pad(tokens[1:], (0, rest), constant_values=NO_LABEL).reshape(-1, context))
    return Windows(torch.from_numpy(np.concatenate(inputs)), torch.from_numpy(np.concatenate(labels)))


@torch.no_grad()
def score_text(model: Transformer, windows: Windows, length: int, batch: int, logits: str) -> TextScore:
    """Score a model on a text of `length` bytes, `batch` windows at a time; windows share no context."""
    model.eval()
    nats = sum(
        token_loss(model(inputs), model.weight, labels, logits, ignore_index=NO_LABEL, reduction="sum").item()
        for inputs, labels in zip(windows.inputs.split(batch), windows.labels.split(batch), strict=True)
    )
    return TextScore(nats, windows.tokens, length)
