"""Cross-entropy for PyTorch, under torch's own names and arguments.

Replacing `torch.nn` by `crossentropy.torch` changes nothing but speed, memory and accuracy, with one difference: the
loss of half-precision logits is returned in float32.
"""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError(
        'crossentropy.torch needs PyTorch; install it with pip install "crossentropy[torch]"'
    ) from error

from crossentropy.torch.functional import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    focal_loss,
    nll_loss,
)
from crossentropy.torch.modules import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, FocalLoss, NLLLoss

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "FocalLoss",
    "NLLLoss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "focal_loss",
    "nll_loss",
]
