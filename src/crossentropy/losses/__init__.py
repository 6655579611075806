"""Losses, framework-neutral: arrays of NumPy or PyTorch in, an array of the same library out."""

from crossentropy.losses.gradient import loss_and_gradient
from crossentropy.losses.log_loss import log_loss
from crossentropy.losses.sigmoid import sigmoid_cross_entropy
from crossentropy.losses.softmax import softmax_cross_entropy
from crossentropy.losses.target_statistics import TargetStatistics, target_statistics

__all__ = [
    "TargetStatistics",
    "log_loss",
    "loss_and_gradient",
    "sigmoid_cross_entropy",
    "softmax_cross_entropy",
    "target_statistics",
]
