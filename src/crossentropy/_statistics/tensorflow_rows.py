"""Statistics of TensorFlow's tensors, each one step of its tapes: eager, in a `tf.function`, and under XLA.

The formulas widen every logit and differentiate each of their operations. Here the logits keep their dtype, what is
summed over the classes is float64, and a gradient is made of the exponentials that its value has left. TensorFlow
differentiates the gradients themselves.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from crossentropy._backends import INF, Array, as_indices
from crossentropy._backends.tensorflow import TensorFlowArray
from crossentropy._statistics import formulas
from crossentropy._statistics.label_errors import check_labels, outside_classes
from crossentropy._statistics.problem import (
    NONE_REQUESTED,
    Prior,
    Requested,
    RowStatistics,
    Target,
    Transform,
)

__all__ = ["statistics"]

WIDE = tf.float64


def statistics(
    logits: Array,
    axis: int,
    target: Target,
    transform: Transform,
    prior: Prior | None,
    requested: Requested,
    validate: bool,
    idle: Array | None,
) -> RowStatistics:
    """Compute the target statistics of every row along `axis`."""
    if target.several or target.mask is not None or not transform.is_plain or requested != NONE_REQUESTED:
        return formulas.statistics(
            logits, axis, target, transform, prior, requested, validate=validate, idle=idle
        )
    z, C = formulas.class_last(logits, axis), logits.shape[axis]
    y = bad = ignored = a = None
    if target.indices is not None:
        y = as_indices(target.indices)
        bad = outside_classes(target, C)
        if validate:
            check_labels(target, C, bad=bad)
        ignored = None if target.ignore_index is None else y == target.ignore_index
    if target.dense is not None:
        a = formulas.class_last(target.dense, axis).value
        if target.class_weight is not None:
            a = tf.cast(a, WIDE) * tf.cast(target.class_weight.value, WIDE)
    u = z.value
    if u.dtype != WIDE:
        u = tf.cast(u, WIDE if a is not None and a.dtype == WIDE else tf.float32)
    rows = _Rows(*(None if x is None else x.value for x in (bad, ignored, idle)))
    stats = RowStatistics()
    if y is not None:
        stats.log_odds = TensorFlowArray(_log_odds(u, y.value, rows))
    if prior is not None:
        size = tf.shape(u)[-1:]
        r = tf.ones(size, WIDE) / tf.cast(size, WIDE) if prior.values is None else prior.values.value
        stats.prior_term = TensorFlowArray(_weighted(u, tf.cast(r, u.dtype), rows))
    if a is not None:
        stats.dense_term = TensorFlowArray(_weighted(u, tf.cast(a, u.dtype), rows))
        stats.dense_total = TensorFlowArray(tf.reduce_sum(tf.cast(a, WIDE), axis=-1))
    return stats


class _Rows(NamedTuple):
    """Masks of the rows, or None: a label outside the classes; ignored; of weight 0."""

    bad: Any
    ignored: Any
    idle: Any

    def masked(self, invalid: Any) -> tuple[Any, Any]:
        """Return the masks of invalid rows, which are NaN, and of excluded ones, without a gradient."""
        invalid = invalid if self.bad is None else invalid | self.bad
        if self.idle is None:
            return invalid, self.ignored
        useless = self.idle & invalid
        return invalid, useless if self.ignored is None else self.ignored | useless


def _filled(x: Any, invalid: Any, excluded: Any, when_excluded: float) -> Any:
    """Set `x` to NaN in invalid rows and to a number in excluded ones."""
    x = tf.where(invalid, tf.constant(np.nan, x.dtype), x)
    return x if excluded is None else tf.where(excluded, tf.constant(when_excluded, x.dtype), x)


def _log_odds(u: Any, y: Any, rows: _Rows) -> Any:
    """Compute ``D = ln Σ_{c≠y} e^u − u_y``, with ``∂D/∂u_c = e^(u_c) / Σ_{k≠y} e^(u_k)``, and −1 at the label."""

    @tf.custom_gradient
    def log_odds(u: Any) -> tuple[Any, Callable[[Any], Any]]:
        C = tf.shape(u, out_type=y.dtype)[-1]
        on, low = y[..., None] == tf.range(C), tf.constant(-INF, u.dtype)
        others = tf.where(on, low, u)
        top = tf.stop_gradient(tf.reduce_max(others, axis=-1))
        of_label = tf.gather(u, tf.clip_by_value(y, 0, C - 1), axis=-1, batch_dims=y.shape.rank)
        e = tf.exp(others - tf.where(top == low, tf.zeros_like(top), top)[..., None])
        total = tf.reduce_sum(tf.cast(e, WIDE), axis=-1)
        infinite = (of_label == INF) | ((of_label == low) & (top == low))
        invalid, excluded = rows.masked(infinite | tf.math.is_nan(of_label) | tf.math.is_nan(total))
        # The tops are subtracted first: at logits near 10⁶ the difference of the whole logarithms would lose digits.
        D = (tf.cast(top, WIDE) - tf.cast(of_label, WIDE)) + tf.math.log(total)

        def gradient(upstream: Any) -> Any:
            g = _filled(upstream, invalid, excluded, 0.0)
            each = tf.cast(tf.where(total == 0, g, g / total), u.dtype)
            du = tf.where(on, -tf.cast(g, u.dtype)[..., None], e * each[..., None])
            return _without(du, excluded)

        return _filled(D, invalid, excluded, -INF), gradient

    return log_odds(u)


def _weighted(u: Any, w: Any, rows: _Rows) -> Any:
    """Compute ``G = Σ w (L − u)``, with ``∂G/∂u = (Σ w) p − w`` and ``∂G/∂w = L − u``.

    A masked class of weight 0 adds 0. The largest logits of a row are kept out of its sum of exponentials, and one
    minus their probability is computed from that sum, not from the probability.
    """

    @tf.custom_gradient
    def weighted(u: Any, w: Any) -> tuple[Any, Callable[[Any], Any]]:
        top = tf.stop_gradient(tf.reduce_max(u, axis=-1, keepdims=True))
        depth, is_top = top - u, tf.cast(u == top, u.dtype)
        others = tf.exp(-depth) - is_top
        tops = tf.cast(tf.reduce_sum(is_top, axis=-1), WIDE)
        rest = tf.reduce_sum(tf.cast(others, WIDE), axis=-1)
        weights = tf.reduce_sum(tf.cast(w, WIDE), axis=-1)
        log_total = tf.math.log(tops) + tf.math.log1p(rest / tops)
        below = tf.reduce_sum(tf.cast(tf.math.multiply_no_nan(depth, w), WIDE), axis=-1)
        invalid, excluded = rows.masked(tf.math.is_nan(rest) | (tops == 0))

        def gradient(upstream: Any) -> tuple[Any, Any]:
            g = _filled(upstream, invalid, excluded, 0.0)

            def of_rows(x: Any) -> Any:
                return tf.cast(x, u.dtype)[..., None]

            # At the largest logit, of weight w, the slope W p − w is (W − w) − W (1 − p).
            not_top, scale = of_rows(tops - 1 + rest), of_rows(g * weights / (tops + rest))
            du = (others - not_top * is_top) * scale + (of_rows(weights) * is_top - w) * of_rows(g)
            dw = tf.where(
                (w == 0) & (depth == INF), of_rows(log_total), of_rows(log_total) + depth
            ) * of_rows(g)
            dw = _without(dw, excluded)
            if w.shape.rank == 1:
                dw = tf.reduce_sum(dw, axis=tuple(range(u.shape.rank - 1)))
            return _without(du, excluded), dw

        return _filled(weights * log_total + below, invalid, excluded, 0.0), gradient

    return weighted(u, w)


def _without(gradient: Any, excluded: Any) -> Any:
    """Set the gradient of excluded rows to 0; what it was made of may be NaN there."""
    return gradient if excluded is None else tf.where(excluded[..., None], tf.zeros_like(gradient), gradient)
