"""Cosines of TensorFlow's tensors; `tests/keras/test_backends.py` runs this file, in a process of its own."""

from __future__ import annotations

import numpy as np
import pytest

import cosines_truth as truth
from crossentropy._backends.tensorflow import TensorFlowArray
from crossentropy._statistics.cosines.rows import cosines
from ulps import errors, unit

tf = pytest.importorskip("tensorflow")


def values(x, y):
    return cosines(TensorFlowArray(x), TensorFlowArray(y)).value


@pytest.mark.parametrize("compiled", [False, True])
def test_cosines_and_gradients_have_their_digits(compiled):
    x, y, g = (tf.constant(a) for a in (truth.X, truth.Y, truth.G))

    def computed(x, y):
        with tf.GradientTape() as tape:
            tape.watch([x, y])
            found = values(x, y)
            total = tf.reduce_sum(g * found)
        return found, *tape.gradient(total, [x, y])

    found, by_x, by_y = tf.function(computed, jit_compile=True)(x, y) if compiled else computed(x, y)
    for got, expected in (
        (found, truth.cosines(truth.X, truth.Y)),
        (by_x, truth.gradient(truth.X, truth.Y, truth.G)),
        (by_y, truth.gradient(truth.Y, truth.X, truth.G.T)),
    ):
        off = np.abs(errors(got, expected.ravel())).reshape(got.shape)
        for row, size in zip(off, np.abs(expected).max(axis=-1), strict=True):
            assert row.max() <= 4 * unit(float(size), "float64")


def test_the_second_derivative_is_that_of_the_formula():
    x, y = tf.constant(truth.X), tf.constant(truth.Y[2:])

    def plain(x, y):
        return tf.linalg.l2_normalize(x, -1) @ tf.linalg.matrix_transpose(tf.linalg.l2_normalize(y, -1))

    def product(f):
        with tf.GradientTape() as outer:
            outer.watch([x, y])
            with tf.GradientTape() as inner:
                inner.watch([x, y])
                total = tf.reduce_sum(f(x, y) ** 3)
            slopes = inner.gradient(total, [x, y])
            along = sum(tf.reduce_sum(s * tf.cos(s)) for s in slopes)
        return outer.gradient(along, [x, y])

    for found, expected in zip(product(values), product(plain), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)
