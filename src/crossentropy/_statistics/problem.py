"""The description of a row problem: transform, target, prior, and the statistics requested."""

from dataclasses import dataclass, fields
from typing import Any, TypeVar

from crossentropy._backends import Array, namespace


@dataclass(frozen=True, slots=True, eq=False)
class Transform:
    """``u_c = (softcap(z_c) − margin·[c ∈ target]) / temperature + logit_bias_c``.

    Attributes
    ----------
    temperature : float, or array, shape () or shape of the rows
    softcap : float or None
        ``κ`` of ``κ tanh(z/κ)``.
    logit_bias : array, shape (C,), or None
    margin : float, array of shape (C,), or None
    """

    temperature: Any = 1.0
    softcap: float | None = None
    logit_bias: Array | None = None
    margin: Any = None

    @property
    def is_plain(self) -> bool:
        """Tell whether the transform is the identity, ``u = z``."""
        return (
            self.softcap is None
            and self.logit_bias is None
            and self.margin is None
            and isinstance(self.temperature, float)
            and self.temperature == 1.0
        )


PLAIN = Transform()


@dataclass(slots=True, eq=False)
class Target:
    """The target of every row, given by exactly one of `indices`, `mask` and `dense`.

    Attributes
    ----------
    indices : integer array, shape rows, or rows + (k,) if `several`
        Labels. A row with a label equal to `ignore_index` is ignored.
    mask : bool array, shape of the logits
        Label set: any of the classes marked is right.
    dense : floating array, shape of the logits
        Soft target: a mass for every class, of any sum and sign.
    class_weight : array, shape (C,), or None
        Multiplies the masses of `dense`.
    foreign : bool
        Whether labels outside the classes belong to another part of the row, a tile or a shard. Such a label is no
        target here, and its log-odds have no meaning. If False, it makes the row invalid. For the kernels alone.
    """

    indices: Array | None = None
    mask: Array | None = None
    dense: Array | None = None
    several: bool = False
    ignore_index: int | None = None
    class_weight: Array | None = None
    foreign: bool = False

    @property
    def labels(self) -> Array | None:
        """Return the labels if every row has one, else None."""
        return None if self.several else self.indices


@dataclass(frozen=True, slots=True, eq=False)
class Prior:
    """A fixed vector ``r`` over the classes; ``values=None`` is uniform, 1/C each.

    `total` is the sum of ``r`` over all classes, needed where the logits cover only some of them: a number or an array
    of one entry; else None.
    """

    values: Array | None = None
    total: Any = None


@dataclass(frozen=True, slots=True)
class Requested:
    """Flags of the statistics requested besides those that the target and the prior call for."""

    log_partition: bool = False
    entropy: bool = False
    argmax: bool = False
    rank: bool = False


NONE_REQUESTED = Requested()


@dataclass(slots=True)
class RowStatistics:
    """Statistics of every row, each in the shape of the rows, in nats; None if not requested.

    `log_odds` is ``D``, of shape rows + (k,) for k labels a row, `log_partition` ``L``, `prior_term` ``G_r``,
    `dense_term` ``G_a``, `dense_total` ``A = Σ a_c``, `entropy` ``H``; `argmax` and `rank` are integers.

    The gradient needs besides: `top`, the largest non-target ``u`` before the scale; `rest` = ``Σ e^(u − top)`` over
    the other non-target classes; `set_top` and `set_rest`, the same over a label set; `lift` = ``L − top``.

    `bad_row` is the flat index of the first row with a label out of range, −1 if there is none or it is not known.
    """

    log_odds: Array = None
    top: Array = None
    rest: Array = None
    set_top: Array = None
    set_rest: Array = None
    log_partition: Array = None
    lift: Array = None
    prior_term: Array = None
    dense_term: Array = None
    dense_total: Array = None
    entropy: Array = None
    argmax: Array = None
    rank: Array = None
    bad_row: int = -1


@dataclass(slots=True)
class Cotangents:
    """Upstream gradients (cotangents) of the differentiable statistics, each in its statistic's shape."""

    log_odds: Array = None
    log_partition: Array = None
    prior_term: Array = None
    dense_term: Array = None
    entropy: Array = None


Some = TypeVar("Some", RowStatistics, Cotangents)


def arrays(stats: RowStatistics | Cotangents) -> dict[str, Array]:
    """Return the statistics or cotangents that are present, by name."""
    named = ((f.name, getattr(stats, f.name)) for f in fields(stats))
    return {name: x for name, x in named if hasattr(x, "ndim")}


def of_rows(stats: Some, rows: slice) -> Some:
    """Select some rows of every statistic or cotangent."""
    return type(stats)(**{name: x[rows] for name, x in arrays(stats).items()})


def statistic_names(target: Target, has_prior: bool, requested: Requested) -> list[str]:
    """List the floating statistics of a problem with one number a row, with those that only the gradient needs."""
    several = target.indices is not None and target.several
    labeled = target.indices is not None or target.mask is not None
    present = {
        "top": True,
        "rest": True,
        "log_odds": labeled and not several,
        "log_partition": requested.log_partition,
        "prior_term": has_prior,
        "dense_term": target.dense is not None,
        "dense_total": target.dense is not None,
        "entropy": requested.entropy,
        "set_top": target.mask is not None,
        "set_rest": target.mask is not None,
        "lift": target.indices is None
        or several
        or has_prior
        or requested.log_partition
        or requested.entropy,
    }
    return [name for name, here in present.items() if here]


DIFFERENTIABLE = tuple(f.name for f in fields(Cotangents))


def clip_to_dtype(slopes: Array, dtype: Any) -> Array:
    """Clip finite slopes ∂φ/∂D to the range of `dtype`, in which the kernels compute; ±∞ and NaN pass.

    The kernels multiply a slope by probabilities: one that overflowed to ∞ would give NaN where a probability is 0.
    """
    xp = namespace(slopes)
    if dtype == slopes.dtype:
        return slopes
    most = float(xp.finfo(dtype).max)
    return xp.where(xp.isfinite(slopes), xp.clip(slopes, -most, most), slopes)


@dataclass(slots=True)
class Gradients:
    """Gradients with respect to the inputs of a row problem; None if not requested.

    `logits` and `dense` have the shape of the logits, `scale` (of 1/temperature) the shape of the rows, `target` (of
    ``u`` at each label) the shape rows + (k,).
    """

    logits: Array = None
    dense: Array = None
    scale: Array = None
    target: Array = None
