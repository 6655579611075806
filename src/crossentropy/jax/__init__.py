"""Cross-entropy for JAX, under optax's names and arguments.

Every loss is returned for each example, as optax has it, and divides by nothing: take the mean yourself. Replacing
`optax.losses` by `crossentropy.jax` changes speed and accuracy, and four things:

- a label outside the classes is a NaN in loss and gradient, also a negative one, which optax counts from the end;
- labels are never broadcast: a shape that does not fit is a `ValueError`;
- the loss of half-precision logits is returned in float32;
- a label whose class `where` leaves out has an infinite loss.

Keywords of `crossentropy.softmax_cross_entropy` may follow optax's, `label_smoothing` or `z_loss` for example.
"""

try:
    import jax as _jax  # noqa: F401
except ImportError as error:
    raise ImportError(
        'crossentropy.jax needs JAX; install it with pip install "crossentropy[jax]"'
    ) from error

from crossentropy.jax.binary import sigmoid_binary_cross_entropy, sigmoid_focal_loss
from crossentropy.jax.classification import (
    poly_loss_cross_entropy,
    safe_softmax_cross_entropy,
    softmax_cross_entropy,
    softmax_cross_entropy_with_integer_labels,
)
from crossentropy.jax.contrastive import ntxent
from crossentropy.jax.divergence import (
    generalized_kl_divergence,
    kl_divergence,
    kl_divergence_with_log_targets,
    smooth_labels,
)
from crossentropy.jax.linear import linear_cross_entropy
from crossentropy.jax.sequences import ctc_loss

__all__ = [
    "ctc_loss",
    "generalized_kl_divergence",
    "kl_divergence",
    "kl_divergence_with_log_targets",
    "linear_cross_entropy",
    "ntxent",
    "poly_loss_cross_entropy",
    "safe_softmax_cross_entropy",
    "sigmoid_binary_cross_entropy",
    "sigmoid_focal_loss",
    "smooth_labels",
    "softmax_cross_entropy",
    "softmax_cross_entropy_with_integer_labels",
]


def __dir__() -> list[str]:
    return sorted(__all__)
