"""Losses of JAX arrays that act on every class, and divergences of logits: each, and its definition for every row."""

from __future__ import annotations

import numpy as np
import pytest

import crossentropy as ce
from crossentropy import losses
from crossentropy.links import Focal, GeneralizedCrossEntropy, MeanAbsoluteError, Tsallis
from sampling import full

jax = pytest.importorskip("jax")
jnp = jax.numpy

INF, NAN = float("inf"), float("nan")
N, C = 6, 7
RNG = np.random.default_rng(0)
Z, TEACHER, VIEW = (2 * RNG.normal(size=(N, C)) for _ in range(3))
Y, SOFT = RNG.integers(0, C, N), RNG.dirichlet(np.ones(C), N)
W, PRIOR = np.linspace(0.5, 2, C), np.arange(1.0, C + 1) / (C * (C + 1) / 2)
NOISE = 0.75 * np.eye(C) + 0.25 * np.roll(np.eye(C), 1, axis=1)

# ------------------------------------------------------------------- each loss as its definition, for every row
# Written for JAX in float64, whose derivatives of it are the truth.


def log_p(z):
    return z - jnp.log(jnp.sum(jnp.exp(z), axis=-1, keepdims=True))


def p(z):
    return jnp.exp(log_p(z))


def hot(y):
    return (y[..., None] == jnp.arange(C)) * 1.0


def brier(z, t):
    return jnp.sum((p(z) - t) ** 2, axis=-1)


def linked(phi, z, a):
    return jnp.sum(a * phi(p(z)), axis=-1)


def leads(z, y):
    """By how much each other class is ahead of the label, with a margin of 1."""
    own = jnp.sum(hot(y) * z, axis=-1, keepdims=True)
    return jnp.where(hot(y) == 1, 0.0, jnp.maximum(0.0, 1 + z - own))


def kl(log_a, log_b):
    return jnp.sum(jnp.exp(log_a) * (log_a - log_b), axis=-1)


def js(*z):
    m = jnp.log(sum(p(x) for x in z) / len(z))
    return sum(kl(log_p(x), m) for x in z) / len(z)


def focal(gamma):
    return lambda p: -((1 - p) ** gamma) * jnp.log(p)


def exp_t(x, t):
    return (1 + (1 - t) * x) ** (1 / (1 - t))


def log_t(x, t):
    return (x ** (1 - t) - 1) / (1 - t)


def bi_tempered(z, q, t1=0.8, t2=1.2):
    """With λ by Newton's method from below, where the sum of probabilities is convex."""

    def step(top, _):
        p = exp_t(z - top, t2)
        return top + (jnp.sum(p, axis=-1, keepdims=True) - 1) / jnp.sum(p**t2, axis=-1, keepdims=True), None

    top, _ = jax.lax.scan(step, jnp.max(z, axis=-1, keepdims=True), length=40)
    p, some = exp_t(z - top, t2), jnp.where(q > 0, q, 1.0)
    own = jnp.where(q > 0, q * (log_t(some, t1) - log_t(p, t1)) - some ** (2 - t1) / (2 - t1), 0.0)
    return jnp.sum(own + p ** (2 - t1) / (2 - t1), axis=-1)


def smoothed(y, prior=1 / C):
    return 0.9 * hot(y) + 0.1 * prior


def link_loss(link, **options):
    return lambda z, t, **more: ce.softmax_cross_entropy(z, t, link=link, **options, **more)


#: The loss, its definition, and what else they are of, row by row.
CASES = {
    "brier": (losses.brier_loss, lambda z, y: brier(z, hot(y)), (Y,)),
    "brier, soft": (losses.brier_loss, brier, (SOFT,)),
    "brier, weights of classes": (
        lambda z, y, **more: losses.brier_loss(z, y, class_weight=jnp.asarray(W), **more),
        lambda z, y: W[y] * brier(z, hot(y)),
        (Y,),
    ),
    "hinge": (losses.hinge_loss, lambda z, y: jnp.max(leads(z, y), axis=-1), (Y,)),
    "hinge, Weston-Watkins": (
        lambda z, y, **more: losses.hinge_loss(z, y, kind="weston-watkins", **more),
        lambda z, y: jnp.sum(leads(z, y), axis=-1),
        (Y,),
    ),
    "focal, smoothed": (
        link_loss(Focal(2.0), label_smoothing=0.1, temperature=2.0),
        lambda z, y: linked(focal(2.0), z / 2, smoothed(y)),
        (Y,),
    ),
    "focal, smoothed by a prior, weights of classes": (
        lambda z, y, **more: link_loss(
            Focal(1.5), label_smoothing=0.1, smoothing_prior=jnp.asarray(PRIOR), class_weight=jnp.asarray(W)
        )(z, y, **more),
        lambda z, y: linked(focal(1.5), z, W * smoothed(y, PRIOR)),
        (Y,),
    ),
    "focal, soft": (link_loss(Focal(2.0)), lambda z, t: linked(focal(2.0), z, t), (SOFT,)),
    "generalized, soft": (
        link_loss(GeneralizedCrossEntropy(0.7)),
        lambda z, t: linked(lambda p: (1 - p**0.7) / 0.7, z, t),
        (SOFT,),
    ),
    "Tsallis, soft": (
        link_loss(Tsallis(0.5)),
        lambda z, t: linked(lambda p: (1 - p**0.5) / 0.5, z, t),
        (SOFT,),
    ),
    "absolute error, soft": (
        link_loss(MeanAbsoluteError()),
        lambda z, t: linked(lambda p: 2 * (1 - p), z, t),
        (SOFT,),
    ),
    "cross-entropy, soft": (ce.softmax_cross_entropy, lambda z, t: -jnp.sum(t * log_p(z), axis=-1), (SOFT,)),
    "cross-entropy, soft, smoothed": (
        lambda z, t, **more: ce.softmax_cross_entropy(
            z, t, label_smoothing=0.1, smoothing_prior=PRIOR, temperature=2.0, **more
        ),
        lambda z, t: -jnp.sum((0.9 * t + 0.1 * PRIOR) * log_p(z / 2), axis=-1),
        (SOFT,),
    ),
    "backward correction": (
        lambda z, y, **more: losses.backward_corrected_loss(z, y, NOISE, **more),
        lambda z, y: -jnp.sum(jnp.asarray(np.linalg.inv(NOISE))[y] * log_p(z), axis=-1),
        (Y,),
    ),
    "bi-tempered": (losses.bi_tempered_loss, lambda z, y: bi_tempered(z, hot(y)), (Y,)),
    "bi-tempered, soft": (losses.bi_tempered_loss, bi_tempered, (SOFT,)),
    "bi-tempered, smoothed": (
        lambda z, y, **more: losses.bi_tempered_loss(z, y, label_smoothing=0.12, **more),
        lambda z, y: bi_tempered(z, 0.86 * hot(y) + 0.02),
        (Y,),
    ),
    "distillation": (
        losses.distillation_loss,
        lambda z, t: 16 * kl(log_p(t / 4), log_p(z / 4)),
        (TEACHER,),
    ),
    "distillation, reverse": (
        lambda z, t, **more: losses.distillation_loss(z, t, direction="reverse", **more),
        lambda z, t: 16 * kl(log_p(z / 4), log_p(t / 4)),
        (TEACHER,),
    ),
    "distillation, Jensen-Shannon": (
        lambda z, t, **more: losses.distillation_loss(z, t, direction="jensen-shannon", **more),
        lambda z, t: 16 * js(z / 4, t / 4),
        (TEACHER,),
    ),
    "consistency": (losses.jsd_consistency, js, (TEACHER, VIEW)),
    "AugMix": (
        lambda z, a, b, y, **more: losses.augmix_loss(z, a, b, labels=y, **more),
        lambda z, a, b, y: 12 * js(z, a, b) - jnp.sum(hot(y) * log_p(z), axis=-1),
        (TEACHER, VIEW, Y),
    ),
}
OF_LOGITS = [name for name in CASES if name.startswith(("distillation", "consistency", "AugMix"))]
OF_CLASSES = [name for name in CASES if name not in OF_LOGITS]
VARIANTS = ["bi-tempered, soft", "bi-tempered, smoothed", "focal, smoothed by a prior, weights of classes"]
each_case = pytest.mark.parametrize(
    "name", [*[name for name in CASES if name not in VARIANTS], *full(VARIANTS)]
)


def arrays(name, dtype="float64"):
    """Logits, and what else the loss is of, floating arrays in this dtype."""
    return [jnp.asarray(x, dtype if x.dtype == float else None) for x in (Z, *CASES[name][2])]


def truth(name, z, others):
    """The losses of rows by the definition, and the gradient of their sum, in float64 from numbers as they are."""
    z, *others = (
        jnp.asarray(x, float if jnp.issubdtype(x.dtype, jnp.floating) else None) for x in (z, *others)
    )
    definition = CASES[name][1]
    return definition(z, *others), jax.grad(lambda z: jnp.sum(definition(z, *others)))(z)


def weighted(name, *others, weights=None):
    """The sum of the losses of rows times numbers, as a function of the logits."""
    weights = jnp.ones(N) if weights is None else weights
    return lambda z: jnp.sum(weights * CASES[name][0](z, *others, reduction="none"))


def alike(got, expected, tolerance=1e-11):
    got, expected = np.asarray(got, float), np.asarray(expected, float)
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())
