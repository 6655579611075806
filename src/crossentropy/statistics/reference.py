"""The statistics as array-API formulas: for every device, every framework and every order of derivative.

Slower and hungrier than the kernels, and the same to the last digits: here too the largest term of a sum of
exponentials is left out of it.
"""

from typing import Any

from crossentropy.backends import is_torch, namespace
from crossentropy.statistics.problem import Planes, Prior, Target, Transform, Wanted

Array = Any

INF = float("inf")


def statistics(
    logits: Array, axis: int, target: Target, transform: Transform, prior: Prior | None, wanted: Wanted
) -> Planes:
    """Target statistics of every row along `axis`, in float64 where the device has it."""
    xp = namespace(logits)
    z = class_last(widened(logits), axis)
    classes = xp.arange(z.shape[-1], device=z.device)
    on, ignored, bad = _on_target(xp, target, axis, classes)
    u, offset = transformed(z, transform, on)
    total = LogSum(xp, u)

    def settled(x: Array, when_ignored: float) -> Array:
        """`x` with ignored rows certain and bad ones NaN."""
        if ignored is None:
            return x
        x = xp.where(ignored, xp.full_like(x, when_ignored), x)
        return xp.where(bad, xp.full_like(x, float("nan")), x)

    planes = Planes()
    if target.indices is not None:
        if target.several:
            ours = [on[..., j, :] for j in range(on.shape[-2])]
            D = [_log_odds(xp, u, y, total) for y in ours]
            planes.log_odds = xp.stack([settled(x, -INF) for x in D], axis=-1)
        else:
            planes.log_odds = settled(_log_odds(xp, u, on, total), -INF)
    elif target.mask is not None:
        planes.log_odds = _log_odds(xp, u, on, total)
    if wanted.log_partition:
        planes.log_partition = settled(total.value() + offset, 0.0)
    if prior is not None:
        r = xp.full_like(u, 1.0 / u.shape[-1]) if prior.values is None else widened(prior.values, u)
        planes.prior_term = settled(_weighted(xp, r, u, total), 0.0)
    if target.dense is not None:
        a = class_last(widened(target.dense, u), axis)
        if target.class_weight is not None:
            a = a * widened(target.class_weight, u)
        planes.dense_term = _weighted(xp, a, u, total)
        planes.dense_total = xp.sum(a, axis=-1)
    if wanted.entropy:
        planes.entropy = settled(total.entropy(), 0.0)
    left_out = None if ignored is None else ignored | bad
    if wanted.argmax:
        planes.argmax = _settled_count(xp, xp.argmax(u, axis=-1), left_out)
    if wanted.rank:
        own = xp.sum(xp.where(on, u, xp.zeros_like(u)), axis=-1, keepdims=True)
        before = classes < xp.argmax(xp.astype(on, xp.int64), axis=-1, keepdims=True)
        rank = xp.sum(xp.astype((u > own) | ((u == own) & before), xp.int64), axis=-1)
        planes.rank = _settled_count(xp, rank, left_out)
    return planes


class LogSum:
    """``ln Σ e^u = top + ln(1 + rest)`` along the last axis, with the first of the largest kept out of `rest`."""

    def __init__(self, xp: Any, u: Array) -> None:
        self.xp = xp
        C = u.shape[-1]
        first = xp.argmax(xp.where(u == u, u, xp.full_like(u, -INF)), axis=-1, keepdims=True)
        is_top = xp.arange(C, device=u.device) == first
        top = xp.sum(xp.where(is_top, u, xp.zeros_like(u)), axis=-1, keepdims=True)
        self.empty = (top == -INF)[..., 0]
        self.overflow = (top == INF)[..., 0]
        self.top = xp.where(xp.abs(top) == INF, xp.zeros_like(top), top)
        self.is_top = is_top
        #: u − top, with 0 at the top itself
        self.depth = xp.where(is_top, xp.zeros_like(u), u - self.top)
        e = xp.exp(xp.where(is_top, xp.full_like(u, -INF), self.depth))
        self.e = e
        self.rest = xp.sum(e, axis=-1)

    def value(self) -> Array:
        """The logarithm of the sum; −∞ of nothing, NaN where a term is +∞."""
        xp = self.xp
        value = self.top[..., 0] + xp.log1p(self.rest)
        value = xp.where(self.empty, value - INF, value)
        return xp.where(self.overflow, xp.full_like(value, float("nan")), value)

    def entropy(self) -> Array:
        """``ln(1 + rest) − Σ e^d d / (1 + rest)``, every term of one sign."""
        xp = self.xp
        d = xp.where(self.e == 0, xp.zeros_like(self.depth), self.depth)
        H = xp.log1p(self.rest) - xp.sum(self.e * d, axis=-1) / (1 + self.rest)
        return xp.where(self.empty | self.overflow, xp.full_like(H, float("nan")), H)


def _log_odds(xp: Any, u: Array, on: Array, total: LogSum) -> Array:
    """``D = ln Σ_{off} e^u − ln Σ_{on} e^u``."""
    nothing = xp.full_like(u, -INF)
    against, own = LogSum(xp, xp.where(on, nothing, u)), LogSum(xp, xp.where(on, u, nothing))
    # tops first: at an offset of a million, whole sums would take each other's digits
    D = (against.top - own.top)[..., 0] + (xp.log1p(against.rest) - xp.log1p(own.rest))
    D = xp.where(against.empty, D - INF, xp.where(own.empty, D + INF, D))
    return xp.where(total.empty | total.overflow, xp.full_like(D, float("nan")), D)


def _weighted(xp: Any, w: Array, u: Array, total: LogSum) -> Array:
    """``Σ w (L − u)``, formed from the top; a weight of 0 is worth 0 whatever it weighs."""
    deep = xp.log1p(total.rest)[..., None] - total.depth
    deep = xp.where((w == 0) & (u == -INF), xp.zeros_like(deep), deep)
    value = xp.sum(w * deep, axis=-1)
    return xp.where(total.empty | total.overflow, xp.full_like(value, float("nan")), value)


def _on_target(xp: Any, target: Target, axis: int, classes: Array) -> tuple[Array, Array, Array]:
    """Where the targets are (labels of k indices: an axis before the classes), what is ignored, what is bad."""
    if target.mask is not None:
        return class_last(xp.astype(target.mask, xp.bool), axis), None, None
    if target.indices is None:
        return None, None, None
    y = xp.astype(target.indices, xp.int64)
    skip = xp.zeros_like(y, dtype=xp.bool) if target.ignore_index is None else y == target.ignore_index
    wrong = ~skip & ((y < 0) | (y >= classes.shape[0]))
    if target.several:
        skip, wrong = xp.any(skip, axis=-1), xp.any(wrong, axis=-1)
    return y[..., None] == classes, skip, wrong


def transformed(z: Array, transform: Transform, on: Array | None) -> tuple[Array, Any]:
    """``u − offset`` of logits ``z``, class axis last, and the offset; `on` marks the targets, for the margin.

    The row's largest logit is taken off before anything small is: rounding then costs no digits.
    """
    xp = namespace(z)
    if transform.is_plain:
        return z, 0.0
    if transform.softcap is not None:
        z = transform.softcap * xp.tanh(z / transform.softcap)
    top = xp.max(xp.where(z == z, z, xp.full_like(z, -INF)), axis=-1, keepdims=True)
    top = xp.where(xp.abs(top) == INF, xp.zeros_like(top), top)
    z = z - top
    if transform.margin is not None and on is not None:
        margin = widened(transform.margin, z)
        target = on if on.ndim == z.ndim else xp.any(on, axis=-2)
        z = z - xp.where(target, margin, xp.zeros_like(margin))
    temperature = transform.temperature
    if getattr(temperature, "ndim", 0):
        temperature = widened(temperature, z)[..., None]
    elif hasattr(temperature, "ndim"):
        temperature = widened(temperature, z)
    # −∞/T has a derivative of 0·∞ by T; a masked class has none.
    masked = z == -INF
    u = xp.where(masked, z, xp.where(masked, xp.zeros_like(z), z) / temperature)
    offset = (top / temperature)[..., 0]
    return (u if transform.logit_bias is None else u + widened(transform.logit_bias, z)), offset


def _settled_count(xp: Any, x: Array, ignored: Array | None) -> Array:
    return x if ignored is None else xp.where(ignored, xp.full_like(x, -1), x)


def class_last(x: Array, axis: int) -> Array:
    """`x` with its class axis behind the others."""
    if axis == x.ndim - 1:
        return x
    return namespace(x).permute_dims(x, (*(d for d in range(x.ndim) if d != axis), axis))


def widened(x: Array, like: Array | None = None) -> Array:
    """`x` in the widest floating dtype of its library and device; a number becomes an array beside `like`."""
    if like is not None and not hasattr(x, "dtype"):
        return namespace(like).asarray(x, dtype=like.dtype, device=like.device)
    xp = namespace(x)
    if is_torch(x):
        return x.to(xp.float32 if x.device.type == "mps" else xp.float64)
    has_float64 = "float64" in xp.__array_namespace_info__().dtypes(kind="real floating")
    return xp.astype(x, xp.float64 if has_float64 else xp.float32)
