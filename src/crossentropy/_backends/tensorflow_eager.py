"""Losses of TensorFlow's eager tensors in the CPU's memory, by the kernels for NumPy, as one step of its tapes."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from crossentropy._backends.tape import Taped, gradient_of
from crossentropy._backends.tensorflow import unwrapped, wrapped

__all__ = ["loss", "serves"]


def serves(logits: Any, labels: Any) -> bool:
    """Tell whether logits and labels can be computed with as NumPy's: no gradient flows to the labels."""
    of_numpy = isinstance(labels, np.ndarray)
    return tf.executing_eagerly() and _is_here(logits, True) and (of_numpy or _is_here(labels, False))


def _is_here(x: Any, floating: bool) -> bool:
    """Tell whether `x` is a tensor in the CPU's memory, of floats or of integers and bools."""
    return isinstance(x, tf.Tensor) and "CPU" in x.device and x.dtype.is_floating == floating


def loss(function: Callable[..., Any], logits: Any, labels: Any, options: Mapping[str, Any]) -> Any:
    """Compute a loss of logits and labels, differentiable by the logits; None if what is computed is no loss.

    Its first derivative is the kernels'; a derivative of that is the formulas'.
    """
    root = Taped(logits.numpy() if logits.dtype == tf.bfloat16 else np.asarray(memoryview(logits)))
    labels = labels if isinstance(labels, np.ndarray) else labels.numpy()
    value = function(root, labels, **options)
    if not isinstance(value, Taped):
        return None

    def by_formula(z: Any) -> Any:
        return unwrapped(function(wrapped(z), labels, **options))

    def slope_by_formula(z: Any, upstream: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(z)
            again = by_formula(z)
        return tape.gradient(again, z, upstream)

    def second_in_a_graph(z: Any, upstream: Any, v: Any) -> Any:
        return tf.gradients(tf.gradients(by_formula(z), z, upstream), [z, upstream], v)

    @tf.custom_gradient
    def slope(z: Any, upstream: Any) -> tuple[Any, Callable[..., Any]]:
        def second(v: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch([z, upstream])
                first = slope_by_formula(z, upstream)
            if first is None:  # differentiated forwards, TensorFlow pauses its tapes
                return tf.function(second_in_a_graph, autograph=False)(z, upstream, v)
            return tape.gradient(first, [z, upstream], v)

        return tf.convert_to_tensor(gradient_of(value * upstream.numpy(), root)), second

    @tf.custom_gradient
    def of(z: Any) -> tuple[Any, Callable[..., Any]]:
        def first(upstream: Any) -> Any:  # without a value in a traced Jacobian
            return slope(z, upstream) if hasattr(upstream, "numpy") else slope_by_formula(z, upstream)

        return tf.convert_to_tensor(value.value), first

    return of(logits)
