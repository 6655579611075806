"""Cross-entropy of TensorFlow's tensors, value and gradient, beside `tf.nn.sparse_softmax_cross_entropy_with_logits`.

TF_CPP_MIN_LOG_LEVEL=3 python benchmarks/tensorflow_losses.py

Three ways: eager, in a `tf.function`, and in one that XLA compiles. Sides take turns; the number is the median of the
turns' ratios, our time by TensorFlow's.
"""

from collections.abc import Callable
from statistics import median
from time import perf_counter

import numpy as np
import tensorflow as tf

import crossentropy as ce
from machine import description
from table import grid

SHAPES = ((64, 10), (65536, 10), (8192, 1000), (512, 32768))
WAYS: dict[str, Callable] = {
    "eager": lambda f: f,
    "tf.function": tf.function,
    "XLA": lambda f: tf.function(f, jit_compile=True),
}
TURNS = 7


def theirs(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """The mean as TensorFlow's users write it."""
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


def with_gradient(loss: Callable) -> Callable:
    """Make a function of the value and the gradient by the logits."""

    def value_and_gradient(logits: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = loss(logits, labels)
        return value, tape.gradient(value, logits)

    return value_and_gradient


def seconds(function: Callable, *inputs: tf.Tensor, calls: int) -> float:
    """Measure the time of so many calls."""
    start = perf_counter()
    for _ in range(calls):
        function(*inputs)[0].numpy()
    return perf_counter() - start


def ratio(way: Callable, shape: tuple[int, int]) -> float:
    """Return our time by TensorFlow's."""
    r = np.random.default_rng(0)
    inputs = (
        tf.constant(r.standard_normal(shape), tf.float32),
        tf.constant(r.integers(shape[1], size=shape[0]), tf.int32),
    )
    sides = [way(with_gradient(ce.softmax_cross_entropy)), way(with_gradient(theirs))]
    calls = max(1, 1_000_000 // (shape[0] * shape[1]))
    for side in sides:
        seconds(side, *inputs, calls=2)
    turns = [[seconds(side, *inputs, calls=calls) for side in sides] for _ in range(TURNS)]
    return median(ours / peer for ours, peer in turns)


if __name__ == "__main__":
    print(f"{description()['processor']}, TensorFlow {tf.__version__}: our time by TensorFlow's\n")
    rows = [[str(shape), *(f"{ratio(way, shape):.1f}" for way in WAYS.values())] for shape in SHAPES]
    print(grid(["logits", *WAYS], rows, 1))
