"""Features whose cosines and gradients nearly cancel, and both in mpmath."""

from __future__ import annotations

import numpy as np

from oracle import ctx

RNG = np.random.default_rng(8)
X = RNG.normal(size=(6, 5))
#: The first rows nearly along rows of X and against them, the others anywhere.
Y = np.concatenate([X[:2] * [[3.0], [-0.5]] + 1e-3 * RNG.normal(size=(2, 5)), RNG.normal(size=(5, 5))])
#: The derivatives by these cosines: large where they are nearly ±1 and so have hardly a gradient.
G = 1e-3 * RNG.normal(size=(6, 7))
G[0, 0], G[1, 1] = 1.7, -0.6


def exact(values):
    return np.vectorize(ctx.mpf, otypes=[object])(values)


def units(x):
    norms = np.vectorize(ctx.sqrt, otypes=[object])(np.sum(x * x, axis=-1, keepdims=True))
    return x / norms, norms


def cosines(x, y):
    """``x_i · y_j / (|x_i| |y_j|)``."""
    return units(exact(x))[0] @ units(exact(y))[0].T


def gradient(x, y, g):
    """``Σ_j g_ij (ŷ_j − cos_ij x̂_i)/|x_i|``."""
    (a, norms), (b, _), g = units(exact(x)), units(exact(y)), exact(g)
    return (g @ b - np.sum(g * (a @ b.T), axis=-1, keepdims=True) * a) / norms
