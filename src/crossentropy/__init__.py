"""Cross-entropy as working software: losses, scores and quantities from one algebra.

>>> import numpy as np
>>> import crossentropy as ce
>>> float(ce.softmax_cross_entropy(np.asarray([[2.0, 1.0, -1.0]]), np.asarray([0])).round(6))
0.349012
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from crossentropy import links, losses, targets
from crossentropy.losses import (
    TargetStatistics,
    log_loss,
    loss_and_gradient,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
    target_statistics,
)

if TYPE_CHECKING:
    from crossentropy import cross_entropy_method
    from crossentropy.information import (
        cross_entropy,
        entropy,
        js_divergence,
        kl_divergence,
        mutual_information,
        perplexity,
    )
    from crossentropy.losses.linear import (
        linear_cross_entropy,
        linear_loss_and_gradients,
        linear_target_statistics,
    )
    from crossentropy.losses.linear_rows import linear_distillation_losses, linear_row_losses

__version__ = "0.1.0"

__all__ = [
    "TargetStatistics",
    "cross_entropy",
    "cross_entropy_method",
    "entropy",
    "js_divergence",
    "kl_divergence",
    "linear_cross_entropy",
    "linear_distillation_losses",
    "linear_loss_and_gradients",
    "linear_row_losses",
    "linear_target_statistics",
    "links",
    "log_loss",
    "loss_and_gradient",
    "losses",
    "mutual_information",
    "perplexity",
    "sigmoid_cross_entropy",
    "softmax_cross_entropy",
    "target_statistics",
    "targets",
]


# Not everyone's, so imported when they are asked for.
LATER = {
    "crossentropy.information": (
        "cross_entropy",
        "entropy",
        "js_divergence",
        "kl_divergence",
        "mutual_information",
        "perplexity",
    ),
    "crossentropy.losses.linear": (
        "linear_cross_entropy",
        "linear_loss_and_gradients",
        "linear_target_statistics",
    ),
    "crossentropy.losses.linear_rows": ("linear_distillation_losses", "linear_row_losses"),
}


def __getattr__(name: str) -> Any:
    if name == "cross_entropy_method":
        return import_module("crossentropy.cross_entropy_method")
    for module, members in LATER.items():
        if name in members:
            value = getattr(import_module(module), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
