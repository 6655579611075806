"""The mean of the largest losses of a batch."""

from math import floor
from numbers import Integral

from crossentropy._backends import INF, Array, constant, device, namespace, number_of
from crossentropy._engine.reductions import reduce_rows
from crossentropy._statistics import formulas


def mean_of_hardest(losses: Array, weights: Array | None, keep: float, empty: str) -> Array:
    """Average so many of the largest losses of rows that have a weight, an integer, or such a share of them.

    `losses` are weighted, of any shape; NaN is the largest of all, and of equal losses the first count.
    """
    xp = namespace(losses)
    wide = xp.reshape(formulas.widened(losses), (-1,))
    depth = -constant(wide)
    depth = xp.where(depth == depth, depth, xp.full_like(depth, -INF))
    counted = isinstance(keep, Integral)
    known = number_of(losses.shape, losses) if weights is None else None
    if isinstance(known, float):  # how many are kept is known before they are
        k = min(int(known), int(keep) if counted else max(1, floor(keep * known + 0.5)))
        hardest = xp.take(wide, xp.argsort(depth, stable=True)[:k], axis=0)
        return reduce_rows(hardest, None, None, reduction="mean", normalizer="weight", empty=empty)[0]
    eligible = xp.ones_like(wide, dtype=xp.bool) if weights is None else xp.reshape(weights != 0, (-1,))
    rows = xp.sum(xp.astype(eligible, wide.dtype))
    if counted:
        k = xp.where(rows < keep, rows, xp.full_like(rows, float(keep)))
    else:
        k = xp.where(rows > 0, xp.maximum(xp.ones_like(rows), xp.floor(keep * rows + 0.5)), rows)
    depth = xp.where(eligible, depth, xp.full_like(wide, INF))
    ordered = xp.take(wide, xp.argsort(depth, stable=True), axis=0)
    chosen = xp.arange(wide.shape[0], dtype=wide.dtype, device=device(wide)) < k
    ordered = xp.where(chosen, ordered, xp.zeros_like(ordered))
    return reduce_rows(ordered, ordered, chosen, reduction="mean", normalizer=k, empty=empty)[0]
