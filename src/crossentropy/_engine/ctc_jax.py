"""The CTC loss of JAX arrays: the forward recursion over the steps, in a scan, which JAX differentiates.

Between, before and behind the labels of a sequence stand blanks. The score of a place after a step is the log of the
sum over all paths that have come there: by staying, from the place before, and past a blank between two labels that
differ.
"""

import jax
import jax.numpy as jnp

from crossentropy._backends import Array
from crossentropy._engine.divergence.formulas import log_probabilities


def loss(
    logits: Array,
    logit_paddings: Array,
    labels: Array,
    label_paddings: Array,
    blank: int,
    log_zero: Array | float,
) -> Array:
    """Compute the loss of every sequence.

    Parameters
    ----------
    logits : array (N, T, C), floating
    logit_paddings : array (N, T)
        1 at a step that is not there.
    labels : integer array (N, S)
        A label outside the classes makes its sequence NaN.
    label_paddings : array (N, S)
        1 behind a sequence's labels.
    blank : int
    log_zero : float or array ()
        The score of a place that no path has come to.
    """
    N, _, C = logits.shape
    log_p = log_probabilities(logits)
    there = label_paddings == 0
    outside = jnp.any(there & ((labels < 0) | (labels >= C)), axis=-1)
    places = jnp.full((N, 2 * labels.shape[1] + 1), blank, labels.dtype).at[:, 1::2].set(labels)
    before = jnp.roll(places, 2, axis=-1)
    skips = (places != blank) & (places != before) & (jnp.arange(places.shape[1]) > 1)
    # Blanks and labels of each step, whose classes are the same at every step.
    emitted = jnp.take_along_axis(log_p, jnp.clip(places, 0, C - 1)[:, None, :], axis=-1)
    start = jnp.full(places.shape, log_zero, log_p.dtype).at[:, 0].set(0)

    def step(scores: Array, x: tuple[Array, Array, Array]) -> tuple[Array, None]:
        log_p, padding, is_first = x

        def moved(by: int) -> Array:
            return jnp.pad(scores, ((0, 0), (by, 0)), constant_values=log_zero)[:, :-by]

        # Before the first step all paths are at the first place, from which the label behind it can be reached.
        came = jnp.logaddexp(scores, moved(1))
        came = jnp.where(skips & ~is_first, jnp.logaddexp(came, moved(2)), came)
        return jnp.where(padding[:, None] != 0, scores, came + log_p), None

    first = jnp.arange(logits.shape[1]) == 0
    scores, _ = jax.lax.scan(
        step, start, (jnp.moveaxis(emitted, 1, 0), jnp.moveaxis(logit_paddings, 1, 0), first)
    )
    last = 2 * jnp.sum(there, axis=-1)
    ends = jnp.take_along_axis(scores, jnp.stack([last, jnp.maximum(last - 1, 0)], axis=-1), axis=-1)
    total = jnp.where(last == 0, ends[:, 0], jnp.logaddexp(ends[:, 0], ends[:, 1]))
    return -total * jnp.where(outside, jnp.nan, 1)
