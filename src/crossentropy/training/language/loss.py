"""The loss of hidden states against the next tokens, with or without the logits in memory."""

from typing import Any

from torch import Tensor

import crossentropy

DIVERGED = "The training diverged: the loss is no longer a finite number. Try a lower --learning-rate."


def token_loss(hidden: Tensor, weight: Tensor, labels: Tensor, logits: str, **options: Any) -> Tensor:
    """Compute the cross-entropy of the next tokens, in nats.

    Parameters
    ----------
    hidden : Tensor (B, T, D)
    weight : Tensor (V, D)
        Output layer.
    labels : Tensor (B, T)
    logits : {"linear", "materialized"}
        The logits (B, T, V) are never written out, or are.
    **options
        Those of `crossentropy.softmax_cross_entropy`.
    """
    if logits == "linear":
        return crossentropy.linear_cross_entropy(hidden, weight, labels, **options)
    return crossentropy.softmax_cross_entropy(hidden @ weight.T, labels, **options)
