"""A row problem in words: how logits become log-odds, what is known of the target, what is asked for."""

from dataclasses import dataclass, fields
from typing import Any, TypeVar

from crossentropy._backends import Array, loss_dtype, namespace


@dataclass(frozen=True, slots=True, eq=False)
class Transform:
    """``u_c = (softcap(z_c) − margin·[c ∈ target]) / temperature + logit_bias_c``.

    Attributes
    ----------
    temperature : float, or array of shape () or one for every row
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
        """Whether ``u`` is ``z``."""
        return (
            self.softcap is None
            and self.logit_bias is None
            and self.margin is None
            and isinstance(self.temperature, float)
            and self.temperature == 1.0
        )


PLAIN = Transform()


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """What is known of the right class; exactly one of the first three.

    Attributes
    ----------
    indices : integer array, shape rows, or rows + (k,) if `several`
        Labels. A row with a label equal to `ignore_index` is left out.
    mask : bool array, shape of the logits
        A set of classes, any of which is right.
    dense : floating array, shape of the logits
        A mass for every class, any sum, any sign.
    class_weight : array, shape (C,), or None
        Multiplies the masses of `dense`.
    """

    indices: Array | None = None
    mask: Array | None = None
    dense: Array | None = None
    several: bool = False
    ignore_index: int | None = None
    class_weight: Array | None = None

    @property
    def labels(self) -> Array | None:
        """The labels, where every row has one."""
        return None if self.several else self.indices


@dataclass(frozen=True, slots=True, eq=False)
class Prior:
    """A fixed vector ``r`` over the classes; ``values=None`` is 1/C each.

    `total` is its sum over all classes where the logits are only some of them, a number or an array of one; else None.
    """

    values: Array | None = None
    total: Any = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which statistics are asked for besides those that the target and the prior call for."""

    log_partition: bool = False
    entropy: bool = False
    argmax: bool = False
    rank: bool = False


NOTHING_MORE = Wanted()


@dataclass(slots=True)
class Planes:
    """Statistics of every row, each in the shape of the rows; None if not asked for.

    `log_odds` of k indices has the shape rows + (k,).

    `log_odds` is ``D``, `log_partition` ``L``, `prior_term` ``G_r``, `dense_term` ``G_a``, `dense_total` ``A``,
    `entropy` ``H``. What a gradient needs besides: `top`, the largest ``u`` off target before the scale,
    `rest` = ``Σ e^(u − top)`` over the others, the same two for a label set, and `lift` = ``L − top``.
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
    """Upstream gradients of the differentiable planes."""

    log_odds: Array = None
    log_partition: Array = None
    prior_term: Array = None
    dense_term: Array = None
    entropy: Array = None


Some = TypeVar("Some", Planes, Cotangents)


def arrays(planes: Planes | Cotangents) -> dict[str, Array]:
    """The planes or cotangents that are there, by name."""
    named = ((f.name, getattr(planes, f.name)) for f in fields(planes))
    return {name: x for name, x in named if hasattr(x, "ndim")}


def of_rows(planes: Some, rows: slice) -> Some:
    """Some rows of every plane or cotangent."""
    return type(planes)(**{name: x[rows] for name, x in arrays(planes).items()})


def row_planes(target: Target, has_prior: bool, wanted: Wanted) -> list[str]:
    """The floating planes of a problem that have one number for every row, those that a gradient needs among them."""
    several = target.indices is not None and target.several
    labelled = target.indices is not None or target.mask is not None
    present = {
        "top": True,
        "rest": True,
        "log_odds": labelled and not several,
        "log_partition": wanted.log_partition,
        "prior_term": has_prior,
        "dense_term": target.dense is not None,
        "dense_total": target.dense is not None,
        "entropy": wanted.entropy,
        "set_top": target.mask is not None,
        "set_rest": target.mask is not None,
        "lift": target.indices is None or several or has_prior or wanted.log_partition or wanted.entropy,
    }
    return [name for name, here in present.items() if here]


DIFFERENTIABLE = tuple(f.name for f in fields(Cotangents))


def within_range(slopes: Array, logits: Array) -> Array:
    """Finite slopes by the log-odds, moved to within the numbers that the kernels have for `logits`.

    They multiply a slope by shares of the probability, and the infinity beyond those numbers times 0 would be NaN.
    """
    xp, dtype = namespace(slopes), loss_dtype(logits)
    if dtype == slopes.dtype:
        return slopes
    most = float(xp.finfo(dtype).max)
    return xp.where(xp.isfinite(slopes), xp.clip(slopes, -most, most), slopes)


@dataclass(slots=True)
class Gradients:
    """Gradients by the inputs; `scale` is by 1/temperature, one for every row; `target` by ``u`` there."""

    logits: Array = None
    dense: Array = None
    scale: Array = None
    target: Array = None
