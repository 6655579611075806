"""Cosines of TensorFlow's tensors as one step of its tapes, which differentiate the gradients themselves."""

from typing import Any

import tensorflow as tf

from crossentropy._backends.tensorflow import TensorFlowArray
from crossentropy._statistics.cosines import formulas


def cosines(x: TensorFlowArray, y: TensorFlowArray) -> TensorFlowArray:
    """The cosines of the rows of two matrices."""
    return TensorFlowArray(_cosines(x.value, y.value))


@tf.custom_gradient
def _cosines(x: Any, y: Any) -> tuple[Any, Any]:
    a, b = TensorFlowArray(x), TensorFlowArray(y)

    def pull(upstream: Any) -> tuple[Any, Any]:
        g = TensorFlowArray(upstream)
        transposed = TensorFlowArray(tf.linalg.matrix_transpose(upstream))
        return formulas.pulled_back(a, b, g).value, formulas.pulled_back(b, a, transposed).value

    return formulas.cosines(a, b).value, pull
