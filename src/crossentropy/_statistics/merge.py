"""Merge the statistics of a row's parts, when its classes are split into tiles or over several devices.

Every part holds a sum of exponentials as a pair ``(top, rest)`` and its other statistics relative to its own top. They
are merged relative to the highest top, never as differences of whole logarithms, so that a confident row keeps its
digits at any distance from zero.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from crossentropy._backends import INF, Array, as_indices, namespace
from crossentropy._statistics.log_sum import LogSum, LogSumExp, finite_or_zero, logaddexp
from crossentropy._statistics.problem import RowStatistics, Target

NAN = float("nan")


@dataclass(slots=True)
class ShardStatistics:
    """Statistics of every row over a part of its classes; a field that the row problem does not call for is None.

    Attributes
    ----------
    top, rest : array, shape of the rows
        Sum of exponentials over the part's non-target classes, before the scale.
    set_top, set_rest : array, shape of the rows
        Sum of exponentials over the part's classes in the label set, before the scale.
    own, margin : array, shape rows + (k,)
        ``u`` of each of k labels before scale and margin, and the margin in the same units; 0 where the class belongs
        to another part.
    peak, L_above_peak : array, shape of the rows
        The largest ``u`` of the part, 0 if that is infinite, and ``L − scale·peak`` of the part, targets included: −∞
        where all its logits are −∞.
    prior_term, dense_term, dense_total, entropy : array, shape of the rows
        Statistics of the part as if there were no other classes. The entropy of a part that is all −∞ is not read.
    prior_total : array ()
        ``Σ r`` over the part.
    best, argmax : array, shape of the rows
        The largest ``u`` minus the margin, and its index among the classes of the whole row.
    """

    top: Array
    rest: Array
    set_top: Array = None
    set_rest: Array = None
    own: Array = None
    margin: Array = None
    peak: Array = None
    L_above_peak: Array = None
    prior_term: Array = None
    prior_total: Array = None
    dense_term: Array = None
    dense_total: Array = None
    entropy: Array = None
    best: Array = None
    argmax: Array = None


def merge(
    parts: Sequence[ShardStatistics],
    target: Target,
    classes: int,
    scale: Any = 1.0,
    *,
    log_partition: bool = False,
) -> RowStatistics:
    """Merge the parts of every row, in the order of their classes; the same parts give the same bits everywhere.

    Parameters
    ----------
    parts : sequence of ShardStatistics
        All with the same fields.
    target : Target
        Of the whole row, of `classes`. Of a mask or a dense target only the presence is read.
    scale : float, or array, shape of the rows
        Factor still to be applied to ``u``: 1/temperature, or 1 where a bias was added after the temperature.
    log_partition : bool
        Whether to return the log-partition, besides what the parts have a contribution to and what the gradient needs.
    """
    xp = namespace(parts[0].top)
    off = _over_parts([LogSumExp(part.top, part.rest) for part in parts], scale)
    base = finite_or_zero(off.top)
    stats = RowStatistics(top=off.top, rest=off.rest)
    # From here on sums are relative to the base, after the scale.
    whole = LogSumExp((off.top - base) * scale, off.rest)
    if target.indices is not None:
        whole = _add_labels(stats, parts, target, base, scale, whole)
    elif target.mask is not None:
        on = _over_parts([LogSumExp(part.set_top, part.set_rest) for part in parts], scale)
        stats.set_top, stats.set_rest = on
        on = LogSumExp((on.top - base) * scale, on.rest)
        stats.log_odds = whole.value() - on.value()
        whole = logaddexp(whole, on)
    stats.L_above_top = xp.where(whole.top == -INF, xp.full_like(base, NAN), whole.value())
    if log_partition:
        stats.log_partition = base * scale + stats.L_above_top
    if parts[0].L_above_peak is not None:
        _add_weighted(stats, parts, scale)
    if parts[0].argmax is not None:
        stats.argmax = _first_highest(parts)
    if target.indices is not None:
        _fill_excluded(stats, target, classes)
    return stats


def is_repeat(y: Array, j: int) -> Array:
    """Mark the rows whose j-th label repeats an earlier one; `y` has shape rows + (k,)."""
    return reduce(lambda a, b: a | b, [y[..., i] == y[..., j] for i in range(j)], y[..., j] != y[..., j])


def _over_parts(sums: Sequence[LogSumExp], scale: Any) -> LogSumExp:
    """Add the sums of all parts; a top of +∞ gives NaN."""
    top, rest = reduce(lambda a, b: logaddexp(a, b, scale), sums)
    xp = namespace(top)
    return LogSumExp(top, xp.where(top == INF, xp.full_like(rest, NAN), rest))


def _add_labels(
    stats: RowStatistics,
    parts: Sequence[ShardStatistics],
    target: Target,
    base: Array,
    scale: Any,
    off: LogSumExp,
) -> LogSumExp:
    """Set the log-odds against each label, and return the sum of exponentials over all classes."""
    xp = namespace(base)
    y = as_indices(target.indices)
    y = y if target.several else y[..., None]
    k = y.shape[-1]
    own, margin = _added(part.own for part in parts), _added(part.margin for part in parts)
    u = xp.where(own == INF, xp.full_like(own, NAN), own) - base[..., None]
    u = (u if margin is None else u - margin) * (scale[..., None] if hasattr(scale, "ndim") else scale)
    nothing, zero = xp.full_like(base, -INF), xp.zeros_like(base)
    labels = [LogSumExp(xp.where(is_repeat(y, j), nothing, u[..., j]), zero) for j in range(k)]
    # The sum over all but the j-th label is formed from those before it and those behind it: subtracting its term from
    # the whole sum would cancel.
    before, behind = [off], [LogSumExp(nothing, zero)]
    for j in range(k):
        before.append(logaddexp(before[-1], labels[j]))
        behind.append(logaddexp(labels[k - 1 - j], behind[-1]))
    D: list[Array] = []
    for j in range(k):
        others = logaddexp(before[j], behind[k - 1 - j])
        odds = others.value() - u[..., j]
        for i in reversed(range(j)):
            odds = xp.where(y[..., i] == y[..., j], D[i], odds)
        D.append(odds)
    stats.log_odds = xp.stack(D, axis=-1) if target.several else D[0]
    # A row whose log-odds are NaN saves NaN, so that its gradient is NaN too.
    wrong = reduce(lambda a, b: a | b, [odds != odds for odds in D])
    stats.rest = xp.where(wrong, xp.full_like(base, NAN), stats.rest)
    return before[k]


def _add_weighted(stats: RowStatistics, parts: Sequence[ShardStatistics], scale: Any) -> None:
    """Set the weighted sums of ``L − u``: each part's sum, plus its weight times the step from its L to the whole L."""
    xp = namespace(parts[0].peak)
    # Relative to the highest class of all, for a row whose classes are all labels has no top but −∞.
    peaks = [xp.where(part.L_above_peak == -INF, part.L_above_peak, part.peak) for part in parts]
    base = finite_or_zero(xp.max(xp.stack(peaks, axis=-1), axis=-1))
    total = LogSum(xp, xp.stack([(part.peak - base) * scale + part.L_above_peak for part in parts], axis=-1))
    ways = xp.log1p(total.rest)[..., None] - total.depth
    ways = xp.where(total.empty[..., None], xp.full_like(ways, NAN), ways)

    def moved(term: Array, weight: Any, way: Array) -> Array:
        return term + xp.where(weight == 0, xp.zeros_like(way), weight * way)

    each = [(part, ways[..., i]) for i, part in enumerate(parts)]
    if parts[0].prior_term is not None:
        stats.prior_term = _added(moved(part.prior_term, part.prior_total, way) for part, way in each)
    if parts[0].dense_term is not None:
        stats.dense_term = _added(moved(part.dense_term, part.dense_total, way) for part, way in each)
        stats.dense_total = _added(part.dense_total for part in parts)
    if parts[0].entropy is not None:
        shares = total.e / (1 + total.rest)[..., None]
        zero = xp.zeros_like(base)
        stats.entropy = _added(
            xp.where(shares[..., i] == 0, zero, shares[..., i] * (part.entropy + way))
            for i, (part, way) in enumerate(each)
        )


def _first_highest(parts: Sequence[ShardStatistics]) -> Array:
    """Return the argmax of the first part that holds the maximum."""
    xp = namespace(parts[0].best)
    best, place = parts[0].best, parts[0].argmax
    for part in parts[1:]:
        higher = part.best > best
        best, place = xp.where(higher, part.best, best), xp.where(higher, part.argmax, place)
    return place


def _fill_excluded(stats: RowStatistics, target: Target, classes: int) -> None:
    """Set ignored rows to the statistics of a certain row, and rows with a label out of range to NaN."""
    xp, y = namespace(stats.top), as_indices(target.indices)
    bad = (y < 0) | (y >= classes)
    ignored = y != y if target.ignore_index is None else y == target.ignore_index
    bad = bad & ~ignored
    if target.several:
        bad, ignored = xp.any(bad, axis=-1), xp.any(ignored, axis=-1)
    for name in (
        "log_odds",
        "top",
        "rest",
        "L_above_top",
        "log_partition",
        "prior_term",
        "entropy",
        "argmax",
    ):
        x = getattr(stats, name)
        if x is None:
            continue
        wide = name == "log_odds" and target.several
        no_row, skipped = (bad[..., None], ignored[..., None]) if wide else (bad, ignored)
        if name == "argmax":
            x = xp.where(no_row | skipped, xp.full_like(x, -1), x)
        else:
            x = xp.where(no_row, xp.full_like(x, NAN), x)
            x = xp.where(skipped, xp.full_like(x, -INF if name == "log_odds" else 0), x)
        setattr(stats, name, x)


def _added(terms: Iterable[Array]) -> Array:
    """Add the terms in their order; None if they are None."""
    values = list(terms)
    return None if values[0] is None else reduce(lambda a, b: a + b, values)
