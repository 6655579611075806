"""The statistics as array-API formulas: for every device, every framework and every order of derivative.

They take more time and memory than the kernels and agree with them to the last digits: here too a sum of exponentials
is held relative to its largest term, which is kept out of the sum.
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
from crossentropy._statistics.problem import (
    DIFFERENTIABLE,
    NONE_REQUESTED,
    PLAIN,
    Prior,
    Requested,
    RowStatistics,
    Target,
    Transform,
)


def statistics(
    logits: Array,
    axis: int,
    target: Target,
    transform: Transform = PLAIN,
    prior: Prior | None = None,
    requested: Requested = NONE_REQUESTED,
    *,
    validate: bool = False,
    idle: Array | None = None,
) -> RowStatistics:
    """Compute the target statistics of every row along `axis`, in float64 where the device has it.

    The arguments are documented at `crossentropy._statistics.row_statistics`.
    """
    xp = namespace(logits)
    rows = prepare(logits, axis, target, transform, validate=validate, idle=idle)
    u, on = rows.u, rows.on
    whole = prior is not None or target.dense is not None or requested.log_partition or requested.entropy
    total: Any = LogSum(xp, u) if whole else None

    stats = RowStatistics()
    if target.indices is not None:
        if target.several:
            D = [_log_odds(xp, u, on[..., j, :]) for j in range(on.shape[-2])]
            stats.log_odds = xp.stack(D, axis=-1)
        else:
            stats.log_odds = _log_odds(xp, u, on)
    elif target.mask is not None:
        stats.log_odds = _log_odds_of_set(xp, u, on)
    if requested.log_partition:
        stats.log_partition = total.value() + rows.offset
    if prior is not None:
        r = xp.ones_like(u) / u.shape[-1] if prior.values is None else widened(prior.values, u)
        stats.prior_term = _weighted(xp, r, u, total, idle)
    if target.dense is not None:
        a = class_last(widened(target.dense, u), axis)
        if target.class_weight is not None:
            a = a * widened(target.class_weight, u)
        stats.dense_term = _weighted(xp, a, u, total, idle)
        stats.dense_total = xp.sum(a, axis=-1)
    if requested.entropy:
        stats.entropy = total.entropy()
    if rows.left_out is not None:
        fill_excluded(stats, rows.left_out)
    if requested.argmax or requested.rank:
        _count(xp, stats, requested, rows)
    return stats


def fill_excluded(stats: RowStatistics, left_out: Array) -> None:
    """Set the statistics of excluded rows to those of a row that is certain, in place."""
    for name in DIFFERENTIABLE:
        x = getattr(stats, name)
        if x is not None:
            out = left_out[..., None] if x.ndim > left_out.ndim else left_out
            certain = -INF if name == "log_odds" else 0.0
            setattr(stats, name, namespace(x).where(out, namespace(x).full_like(x, certain), x))


class Rows(NamedTuple):
    """Transformed rows of logits, class axis last, safe for formulas and their derivatives."""

    #: Transformed logits minus `offset`, shape rows + (C,): 0 in an excluded row, NaN in an invalid one.
    u: Array
    #: What was subtracted from each row, a number or the shape of the rows.
    offset: Any
    #: Mask of the target classes, rows + (C,), or rows + (k, C) for k labels a row. None for soft targets.
    on: Any
    #: Mask of the excluded rows: ignored, or invalid with a weight of 0. None if there can be none.
    left_out: Any
    #: Mask of the rows with a label outside the classes. None without labels.
    bad: Any
    #: `u` before the invalid rows were set to NaN.
    raw: Array


def prepare(
    logits: Array,
    axis: int,
    target: Target,
    transform: Transform,
    *,
    validate: bool = False,
    idle: Array | None = None,
) -> Rows:
    """Transform the rows of logits and mask the excluded and the invalid ones.

    A derivative of a NaN or an infinity is NaN, and 0 · NaN is NaN. So the logits of an excluded row are set to 0
    before anything is computed from them, and those of an invalid row (NaN, +∞, all −∞, a label out of range) are
    multiplied by NaN, which makes its whole gradient NaN as well.
    """
    xp = namespace(logits)
    z = class_last(widened(logits), axis)
    on, ignored, bad = _on_target(xp, target, axis, xp.arange(z.shape[-1], device=device(z)))
    if validate and bad is not None:
        check_labels(target, z.shape[-1], bad=bad)
    left_out = ignored
    if idle is not None:
        # Infinities under a cap are numbers.
        useless = invalid_rows(xp, z) if transform.softcap is None else xp.any(z != z, axis=-1)
        useless = useless if bad is None else useless | bad
        left_out = idle & useless if ignored is None else ignored | (idle & useless)
    if left_out is not None:
        z = xp.where(left_out[..., None], xp.zeros_like(z), z)
    raw, offset = transformed(z, transform, on)
    wrong = invalid_rows(xp, raw) if bad is None else invalid_rows(xp, raw) | bad
    if idle is not None:  # a bias of −∞ may have left no class
        left_out = left_out | (idle & wrong)
        raw = xp.where(left_out[..., None], xp.zeros_like(raw), raw)
    wrong = wrong if left_out is None else wrong & ~left_out
    one = xp.ones_like(raw[..., :1])
    u = raw * xp.where(wrong[..., None], xp.full_like(one, float("nan")), one)
    return Rows(u, offset, on, left_out, bad, raw)


def invalid_rows(xp: Any, u: Array) -> Array:
    """Find the rows whose logits are invalid: with a NaN or +∞ among them, or all −∞."""
    return xp.any((u != u) | (u == INF), axis=-1) | xp.all(u == -INF, axis=-1)


def _count(xp: Any, stats: RowStatistics, requested: Requested, rows: Rows) -> None:
    """Set the argmax and the rank, −1 for excluded rows; NaN ranks below every number. They have no gradient."""
    dtype, u = index_dtype(rows.raw), xp.where(rows.raw == rows.raw, rows.raw, xp.full_like(rows.raw, -INF))
    left_out = rows.left_out if rows.bad is None or rows.left_out is None else rows.left_out | rows.bad

    def fill_excluded(x: Array) -> Array:
        x = xp.astype(x, dtype)
        return x if left_out is None else xp.where(left_out, xp.full_like(x, -1), x)

    if requested.argmax:
        stats.argmax = fill_excluded(xp.argmax(u, axis=-1))
    if requested.rank:
        on, u = rows.on, rows.raw
        target_logit = xp.sum(xp.where(on, u, xp.zeros_like(u)), axis=-1, keepdims=True)
        place = xp.argmax(xp.astype(on, dtype), axis=-1, keepdims=True)
        before = xp.arange(u.shape[-1], device=device(u)) < place
        stats.rank = fill_excluded(
            xp.sum(xp.astype((u > target_logit) | ((u == target_logit) & before), dtype), axis=-1)
        )


def _log_odds(xp: Any, u: Array, on: Array) -> Array:
    """Compute ``D = ln Σ_{c≠y} e^u − u_y``, shape of the rows; `on` marks the label."""
    against = LogSum(xp, xp.where(on, xp.full_like(u, -INF), u))
    target_logit = xp.sum(xp.where(on, u, xp.zeros_like(u)), axis=-1)
    # The tops are subtracted first: at logits near 10⁶ the difference of the whole logarithms would lose six digits.
    D = (against.top[..., 0] - target_logit) + xp.log1p(against.rest)
    return xp.where(against.empty, D - INF, D)


def _log_odds_of_set(xp: Any, u: Array, on: Array) -> Array:
    """Compute ``D = ln Σ_{off} e^u − ln Σ_{on} e^u``, shape of the rows; `on` marks a set of classes."""
    nothing = xp.full_like(u, -INF)
    against, within = LogSum(xp, xp.where(on, nothing, u)), LogSum(xp, xp.where(on, u, nothing))
    D = (against.top - within.top)[..., 0] + (xp.log1p(against.rest) - xp.log1p(within.rest))
    return xp.where(against.empty, D - INF, xp.where(within.empty, D + INF, D))


def _weighted(xp: Any, w: Array, u: Array, total: LogSum, idle: Array | None) -> Array:
    """Compute ``Σ w (L − u)`` relative to the top; a class of weight 0 at −∞ contributes 0.

    So does an idle row whose sum is infinite: the derivative by ``w`` would be 0 · ∞.
    """
    deep = xp.log1p(total.rest)[..., None] - total.depth
    void = (w == 0) & (u == -INF)
    if idle is not None:
        void = void | (idle & xp.any(~void & (u == -INF), axis=-1))[..., None]
    return xp.sum(w * xp.where(void, xp.zeros_like(deep), deep), axis=-1)


def _on_target(
    xp: Any, target: Target, axis: int, classes: Array
) -> tuple[Array | None, Array | None, Array | None]:
    """Mark the target classes (rows + (C,), or rows + (k, C)), the ignored rows and those with labels out of range."""
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
    """Transform logits ``z``, class axis last, to ``u − offset`` and the offset; the margin applies where `on` is true.

    The row's largest logit is subtracted first, as a constant: margin and temperature then round numbers near 0.
    """
    if transform.is_plain:
        return z, 0.0
    xp = namespace(z)
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
        # The derivative of −∞/T with respect to T is 0·∞; that of a masked class is 0.
        masked = z == -INF
        u = xp.where(masked, z / constant(temperature), xp.where(masked, xp.zeros_like(z), z) / temperature)
    else:
        u = z / temperature
    offset = (top / temperature)[..., 0]
    return (u if transform.logit_bias is None else u + widened(transform.logit_bias, z)), offset


def class_last(x: Array, axis: int) -> Array:
    """Move the class axis of `x` last."""
    if axis == x.ndim - 1:
        return x
    return namespace(x).permute_dims(x, (*(d for d in range(x.ndim) if d != axis), axis))


def widened(x: Array, like: Array | None = None) -> Array:
    """Convert `x` to the widest floating dtype of its library and device, which is that of `like` if it is given.

    A number becomes an array like `like`, or stays one.
    """
    if not hasattr(x, "dtype"):
        if like is None:
            return x
        return namespace(like).asarray(x, dtype=like.dtype, device=device(like))
    dtype = widest_dtype(x) if like is None else like.dtype
    return x.to(dtype) if is_torch(x) else namespace(x).astype(x, dtype)
