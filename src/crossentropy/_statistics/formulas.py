"""The statistics as array-API formulas: for every device, every framework and every order of derivative.

Slower and hungrier than the kernels, and the same to the last digits: here too the largest term of a sum of
exponentials is left out of it.
"""

from typing import Any, NamedTuple

from crossentropy._backends import (
    INF,
    Array,
    as_indices,
    constant,
    device,
    index_dtype,
    is_torch,
    namespace,
    widest_dtype,
)
from crossentropy._statistics.label_errors import check_labels, outside_classes
from crossentropy._statistics.log_sum import LogSum
from crossentropy._statistics.problem import NOTHING_MORE, PLAIN, Planes, Prior, Target, Transform, Wanted


def statistics(
    logits: Array,
    axis: int,
    target: Target,
    transform: Transform = PLAIN,
    prior: Prior | None = None,
    wanted: Wanted = NOTHING_MORE,
    *,
    validate: bool = False,
    idle: Array | None = None,
) -> Planes:
    """Target statistics of every row along `axis`, in float64 where the device has it.

    The arguments are those of `crossentropy._statistics.row_statistics`.
    """
    xp = namespace(logits)
    rows = prepared(logits, axis, target, transform, validate=validate, idle=idle)
    u, on = rows.u, rows.on
    whole = prior is not None or target.dense is not None or wanted.log_partition or wanted.entropy
    total: Any = LogSum(xp, u) if whole else None

    def settled(x: Array, when_left_out: float) -> Array:
        """`x` with rows that are left out certain."""
        return x if rows.left_out is None else xp.where(rows.left_out, xp.full_like(x, when_left_out), x)

    planes = Planes()
    if target.indices is not None:
        if target.several:
            D = [_log_odds(xp, u, on[..., j, :]) for j in range(on.shape[-2])]
            planes.log_odds = xp.stack([settled(x, -INF) for x in D], axis=-1)
        else:
            planes.log_odds = settled(_log_odds(xp, u, on), -INF)
    elif target.mask is not None:
        planes.log_odds = settled(_log_odds_of_set(xp, u, on), -INF)
    if wanted.log_partition:
        planes.log_partition = settled(total.value() + rows.offset, 0.0)
    if prior is not None:
        r = xp.ones_like(u) / u.shape[-1] if prior.values is None else widened(prior.values, u)
        planes.prior_term = settled(_weighted(xp, r, u, total), 0.0)
    if target.dense is not None:
        a = class_last(widened(target.dense, u), axis)
        if target.class_weight is not None:
            a = a * widened(target.class_weight, u)
        planes.dense_term = settled(_weighted(xp, a, u, total), 0.0)
        planes.dense_total = xp.sum(a, axis=-1)
    if wanted.entropy:
        planes.entropy = settled(total.entropy(), 0.0)
    if wanted.argmax or wanted.rank:
        _count(xp, planes, wanted, rows)
    return planes


class Rows(NamedTuple):
    """Rows of logits made ready for formulas, class axis last."""

    #: Transformed logits, less `offset`: 0 in a row that is left out, NaN in one that makes no sense.
    u: Array
    offset: Any
    #: Where the targets are; of k indices with an axis for them before the classes. None for soft targets.
    on: Any
    #: The rows that count for nothing whatever is in them; None for none.
    left_out: Any
    #: The rows with a label outside the classes; None for none.
    bad: Any
    #: `u` before that.
    raw: Array


def prepared(
    logits: Array,
    axis: int,
    target: Target,
    transform: Transform,
    *,
    validate: bool = False,
    idle: Array | None = None,
) -> Rows:
    """Rows of logits, transformed, with every hazard to a gradient put out of the way.

    What a formula does to a NaN or an infinity, its derivative does too, and 0 · NaN is no 0. So a row that counts
    for nothing is put to 0 before anything is computed of it, and one that makes no sense (a NaN, +∞, −∞ alone, a
    label outside the classes) is multiplied by NaN, which makes its whole gradient NaN as well.
    """
    xp = namespace(logits)
    z = class_last(widened(logits), axis)
    on, ignored, bad = _on_target(xp, target, axis, xp.arange(z.shape[-1], device=device(z)))
    if validate and bad is not None:
        check_labels(target, z.shape[-1], bad=bad)
    left_out = ignored
    if idle is not None:
        useless = senseless(xp, z) if bad is None else senseless(xp, z) | bad
        left_out = idle & useless if ignored is None else ignored | (idle & useless)
    if left_out is not None:
        z = xp.where(left_out[..., None], xp.zeros_like(z), z)
    raw, offset = transformed(z, transform, on)
    wrong = senseless(xp, raw) if bad is None else senseless(xp, raw) | bad
    wrong = wrong if left_out is None else wrong & ~left_out
    one = xp.ones_like(raw[..., :1])
    u = raw * xp.where(wrong[..., None], xp.full_like(one, float("nan")), one)
    return Rows(u, offset, on, left_out, bad, raw)


def senseless(xp: Any, u: Array) -> Array:
    """Which rows of logits are no distribution: with a NaN or +∞ in them, or with −∞ alone."""
    return xp.any((u != u) | (u == INF), axis=-1) | xp.all(u == -INF, axis=-1)


def _count(xp: Any, planes: Planes, wanted: Wanted, rows: Rows) -> None:
    """Set the argmax and the rank, which have no gradient; a NaN is below everything."""
    dtype, u = index_dtype(rows.raw), xp.where(rows.raw == rows.raw, rows.raw, xp.full_like(rows.raw, -INF))
    left_out = rows.left_out if rows.bad is None or rows.left_out is None else rows.left_out | rows.bad

    def settled(x: Array) -> Array:
        x = xp.astype(x, dtype)
        return x if left_out is None else xp.where(left_out, xp.full_like(x, -1), x)

    if wanted.argmax:
        planes.argmax = settled(xp.argmax(u, axis=-1))
    if wanted.rank:
        on, u = rows.on, rows.raw
        own = xp.sum(xp.where(on, u, xp.zeros_like(u)), axis=-1, keepdims=True)
        place = xp.argmax(xp.astype(on, dtype), axis=-1, keepdims=True)
        before = xp.arange(u.shape[-1], device=device(u)) < place
        planes.rank = settled(xp.sum(xp.astype((u > own) | ((u == own) & before), dtype), axis=-1))


def _log_odds(xp: Any, u: Array, on: Array) -> Array:
    """``D = ln Σ_{c≠y} e^u − u_y``; `on` marks the label."""
    against = LogSum(xp, xp.where(on, xp.full_like(u, -INF), u))
    own = xp.sum(xp.where(on, u, xp.zeros_like(u)), axis=-1)
    # tops first: at an offset of a million, whole sums would take each other's digits
    D = (against.top[..., 0] - own) + xp.log1p(against.rest)
    return xp.where(against.empty, D - INF, D)


def _log_odds_of_set(xp: Any, u: Array, on: Array) -> Array:
    """``D = ln Σ_{off} e^u − ln Σ_{on} e^u``; `on` marks a set of classes."""
    nothing = xp.full_like(u, -INF)
    against, own = LogSum(xp, xp.where(on, nothing, u)), LogSum(xp, xp.where(on, u, nothing))
    D = (against.top - own.top)[..., 0] + (xp.log1p(against.rest) - xp.log1p(own.rest))
    return xp.where(against.empty, D - INF, xp.where(own.empty, D + INF, D))


def _weighted(xp: Any, w: Array, u: Array, total: LogSum) -> Array:
    """``Σ w (L − u)``, formed from the top; a weight of 0 is worth 0 whatever it weighs."""
    deep = xp.log1p(total.rest)[..., None] - total.depth
    deep = xp.where((w == 0) & (u == -INF), xp.zeros_like(deep), deep)
    return xp.sum(w * deep, axis=-1)


def _on_target(
    xp: Any, target: Target, axis: int, classes: Array
) -> tuple[Array | None, Array | None, Array | None]:
    """Where the targets are (labels of k indices: an axis before the classes), what is ignored, what is bad."""
    if target.mask is not None:
        return class_last(xp.astype(target.mask, xp.bool), axis), None, None
    if target.indices is None:
        return None, None, None
    y = as_indices(target.indices)
    ignored = None if target.ignore_index is None else y == target.ignore_index
    if ignored is not None and target.several:
        ignored = xp.any(ignored, axis=-1)
    return y[..., None] == classes, ignored, outside_classes(target, classes.shape[0])


def transformed(z: Array, transform: Transform, on: Array | None) -> tuple[Array, Any]:
    """``u − offset`` of logits ``z``, class axis last, and the offset; `on` marks the targets, for the margin.

    The row's largest logit is taken off before anything small is, as a constant: rounding then costs no digits.
    """
    xp = namespace(z)
    if transform.is_plain:
        return z, 0.0
    if transform.softcap is not None:
        z = transform.softcap * xp.tanh(z / transform.softcap)
    top = constant(xp.max(xp.where(z == z, z, xp.full_like(z, -INF)), axis=-1, keepdims=True))
    top = xp.where(xp.abs(top) == INF, xp.zeros_like(top), top)
    z = z - top
    if transform.margin is not None and on is not None:
        margin = widened(transform.margin, z)
        target = on if on.ndim == z.ndim else xp.any(on, axis=-2)
        z = z - xp.where(target, margin, xp.zeros_like(margin))
    temperature = transform.temperature
    if hasattr(temperature, "ndim"):
        temperature = widened(temperature, z)
        temperature = temperature[..., None] if temperature.ndim else temperature
        # −∞/T has a derivative of 0·∞ by T; a masked class has none.
        masked = z == -INF
        u = xp.where(masked, z, xp.where(masked, xp.zeros_like(z), z) / temperature)
    else:
        u = z / temperature
    offset = (top / temperature)[..., 0]
    return (u if transform.logit_bias is None else u + widened(transform.logit_bias, z)), offset


def class_last(x: Array, axis: int) -> Array:
    """`x` with its class axis behind the others."""
    if axis == x.ndim - 1:
        return x
    return namespace(x).permute_dims(x, (*(d for d in range(x.ndim) if d != axis), axis))


def widened(x: Array, like: Array | None = None) -> Array:
    """`x` in the widest floating dtype of its library and device; a number becomes an array beside `like`."""
    if like is not None and not hasattr(x, "dtype"):
        return namespace(like).asarray(x, dtype=like.dtype, device=device(like))
    return x.to(widest_dtype(x)) if is_torch(x) else namespace(x).astype(x, widest_dtype(x))
