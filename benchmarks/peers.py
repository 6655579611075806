"""What people write today: the losses that ours are measured against."""

from typing import Any

import numpy as np
from sklearn import metrics
from torch import Tensor
from torch.nn import LinearCrossEntropyOptions
from torch.nn import functional as F

Loss = Tensor


def cross_entropy(logits: Tensor, target: Tensor) -> Loss:
    """PyTorch's own, for class indices and for probabilities."""
    return F.cross_entropy(logits, target)


def smoothed_cross_entropy(logits: Tensor, target: Tensor) -> Loss:
    """PyTorch's own, with label smoothing of 0.1."""
    return F.cross_entropy(logits, target, label_smoothing=0.1)


def focal_loss(logits: Tensor, target: Tensor) -> Loss:
    """The usual composition over the cross-entropy of each row, with γ = 2."""
    ce = F.cross_entropy(logits, target, reduction="none")
    pt = (-ce).exp()
    return ((1 - pt) ** 2.0 * ce).mean()


def binary_cross_entropy(logits: Tensor, target: Tensor) -> Loss:
    """PyTorch's own."""
    return F.binary_cross_entropy_with_logits(logits, target)


def sigmoid_focal_loss(logits: Tensor, target: Tensor) -> Loss:
    """The formula of `torchvision.ops.sigmoid_focal_loss`, with its defaults α = 1/4 and γ = 2."""
    alpha, gamma = 0.25, 2.0
    p = logits.sigmoid()
    ce = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    pt = p * target + (1 - p) * (1 - target)
    loss = ce * (1 - pt) ** gamma
    return ((alpha * target + (1 - alpha) * (1 - target)) * loss).mean()


def linear_cross_entropy(hidden: Tensor, weight: Tensor, labels: Tensor) -> Loss:
    """PyTorch's own, which makes all the logits."""
    return F.linear_cross_entropy(hidden, weight, labels)


def chunked_linear_cross_entropy(
    hidden: Tensor, weight: Tensor, labels: Tensor, rows: int | None = None
) -> Loss:
    """PyTorch's own by blocks of rows, with what its options pick by themselves but for the rows of a block.

    On the CPU that is `accurate` and `aspect_ratio` in half precision, else `compact` and `aspect_ratio:2`.
    """
    return F.linear_cross_entropy(
        hidden, weight, labels, options=LinearCrossEntropyOptions(batch_chunk_size=rows)
    )


def log_loss(probabilities: Any, labels: Any) -> float:
    """Scikit-learn's."""
    return metrics.log_loss(labels, probabilities, labels=np.arange(probabilities.shape[1]))
