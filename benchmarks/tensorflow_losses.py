"""Losses of TensorFlow's tensors, value and gradient, beside TensorFlow's own.

TF_CPP_MIN_LOG_LEVEL=3 python benchmarks/tensorflow_losses.py

Three ways: eager, in a `tf.function`, and in one that XLA compiles. Sides take turns; the number is the median of the
turns' ratios, our time by TensorFlow's.
"""

from collections.abc import Callable
from functools import partial
from statistics import median
from time import perf_counter

import numpy as np
import tensorflow as tf

import crossentropy as ce
from machine import description
from table import grid

WAYS: dict[str, Callable] = {
    "eager": lambda f: f,
    "tf.function": tf.function,
    "XLA": lambda f: tf.function(f, jit_compile=True),
}
TURNS = 15


def of_labels(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """The mean as TensorFlow's users write it."""
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


def of_targets(logits: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """The mean of soft targets."""
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, logits))


def of_smoothed(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """The mean of labels of which a tenth is spread over all classes."""
    C = logits.shape[-1]
    return of_targets(logits, tf.one_hot(labels, C) * 0.9 + 0.1 / C)


def of_answers(logits: tf.Tensor, answers: tf.Tensor) -> tf.Tensor:
    """The mean of yes-or-no questions."""
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(answers, logits))


CASES = [
    ("labels", ce.softmax_cross_entropy, of_labels, (64, 10)),
    ("labels", ce.softmax_cross_entropy, of_labels, (65536, 10)),
    ("labels", ce.softmax_cross_entropy, of_labels, (8192, 1000)),
    ("labels", ce.softmax_cross_entropy, of_labels, (512, 32768)),
    ("smoothed labels", partial(ce.softmax_cross_entropy, label_smoothing=0.1), of_smoothed, (4096, 1000)),
    ("soft targets", ce.softmax_cross_entropy, of_targets, (4096, 1000)),
    ("yes or no", ce.sigmoid_cross_entropy, of_answers, (4096, 1000)),
]


def inputs_of(peer: Callable, shape: tuple[int, int]) -> tuple[tf.Tensor, tf.Tensor]:
    """Draw logits and what a loss compares them with."""
    r = np.random.default_rng(0)
    logits = tf.constant(r.standard_normal(shape), tf.float32)
    if peer is of_targets:
        return logits, tf.constant(r.dirichlet(np.ones(shape[1]), shape[0]), tf.float32)
    if peer is of_answers:
        return logits, tf.constant(r.integers(2, size=shape), tf.float32)
    return logits, tf.constant(r.integers(shape[1], size=shape[0]), tf.int32)


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


def ratio(way: Callable, loss: Callable, peer: Callable, shape: tuple[int, int]) -> float:
    """Return our time by TensorFlow's."""
    inputs = inputs_of(peer, shape)
    sides = [way(with_gradient(side)) for side in (loss, peer)]
    calls = max(1, 1_000_000 // (shape[0] * shape[1]))
    for side in sides:
        seconds(side, *inputs, calls=2)
    turns = [[seconds(side, *inputs, calls=calls) for side in sides] for _ in range(TURNS)]
    return median(ours / peer for ours, peer in turns)


if __name__ == "__main__":
    print(f"{description()['processor']}, TensorFlow {tf.__version__}: our time by TensorFlow's\n")
    rows = [
        [kind, str(shape), *(f"{ratio(way, loss, peer, shape):.1f}" for way in WAYS.values())]
        for kind, loss, peer, shape in CASES
    ]
    print(grid(["targets", "logits", *WAYS], rows, 2))
