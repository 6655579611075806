"""Cross-entropy as working software: losses, scores and quantities from one algebra.

>>> import numpy as np
>>> import crossentropy as ce
>>> float(ce.softmax_cross_entropy(np.asarray([[2.0, 1.0, -1.0]]), np.asarray([0])).round(6))
0.349012
"""

from typing import TYPE_CHECKING

from crossentropy import links, losses, targets
from crossentropy._lazy import attach
from crossentropy.losses import (
    log_loss,
    loss_and_gradient,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
    target_statistics,
)

if TYPE_CHECKING:
    from crossentropy import cross_entropy_method, doctor, evaluation, information
    from crossentropy._config import show_config
    from crossentropy._explain.explain import explain
    from crossentropy.information import (
        cross_entropy,
        entropy,
        js_divergence,
        kl_divergence,
        mutual_information,
        perplexity,
    )
    from crossentropy.losses.linear import linear_cross_entropy, linear_target_statistics

__version__ = "0.1.0"

__all__ = [
    "cross_entropy",
    "cross_entropy_method",
    "doctor",
    "entropy",
    "evaluation",
    "explain",
    "information",
    "js_divergence",
    "kl_divergence",
    "linear_cross_entropy",
    "linear_target_statistics",
    "links",
    "log_loss",
    "loss_and_gradient",
    "losses",
    "mutual_information",
    "perplexity",
    "show_config",
    "sigmoid_cross_entropy",
    "softmax_cross_entropy",
    "target_statistics",
    "targets",
]

LAZY = {
    "_explain.explain": ("explain",),
    "information": (
        "cross_entropy",
        "entropy",
        "js_divergence",
        "kl_divergence",
        "mutual_information",
        "perplexity",
    ),
    "_config": ("show_config",),
    "losses.linear": ("linear_cross_entropy", "linear_target_statistics"),
}

# Faces import their framework, so `from crossentropy import *` leaves them out.
FACES = ("boosting", "jax", "keras", "sklearn", "torch", "transformers")

__getattr__, __dir__ = attach(
    __name__, __all__, LAZY, ("cross_entropy_method", "doctor", "evaluation", "information", *FACES)
)
