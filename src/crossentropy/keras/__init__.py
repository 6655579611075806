"""Cross-entropy for Keras 3, under Keras's own names and arguments, on each of its backends.

Replacing `keras.losses` by `crossentropy.keras` changes nothing but accuracy and the answer to wrong input. Each loss
is reduced as Keras reduces it.
"""

try:
    import keras as _keras  # noqa: F401
except ImportError as error:
    raise ImportError(
        'crossentropy.keras needs Keras; install it with pip install "crossentropy[keras]", and one of its backends'
    ) from error

from crossentropy.keras.any_loss import CrossEntropyLoss
from crossentropy.keras.binary import binary_crossentropy, binary_focal_crossentropy
from crossentropy.keras.categorical import (
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_generalized_cross_entropy,
    kl_divergence,
    sparse_categorical_crossentropy,
)
from crossentropy.keras.losses import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
    KLDivergence,
    SparseCategoricalCrossentropy,
)

__all__ = [
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy",
    "CrossEntropyLoss",
    "KLDivergence",
    "SparseCategoricalCrossentropy",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy",
    "kl_divergence",
    "sparse_categorical_crossentropy",
]


def __dir__() -> list[str]:
    return sorted(__all__)
