"""The independent truth: softmax cross-entropy losses by their definition, in sixty digits, row by row.

Plain and slow on purpose, and sharing no code with the package. A row of logits `z` becomes

    u_c = (softcap(z_c) − margin_c·[c in target]) / temperature + bias_c

with p = softmax(u), L = logsumexp(u), H its entropy; the loss of a row with target masses t is

    ω·(Σ_c w_c q_c φ(log p_c) + z_loss·L² − entropy_bonus·H),      q = (1 − ε)·t + ε·r,

its weight is W = ω·Σ_c w_c t_c, and the mean is Σ loss / N. For a set of labels the sum is φ(log P(set)) and
W is ω.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from mpmath.ctx_mp import MPContext

ctx = MPContext()
ctx.dps = 60
mpf = ctx.mpf
INF = ctx.inf


class NothingToAverage(Exception):
    """The normalizer is zero."""


# ---------------------------------------------------------------------------------------------- numbers


def numbers(values: Any) -> list:
    """The exact values of an array, as mpf."""
    return [mpf(float(v)) for v in np.asarray(values).ravel()]


def logsumexp(values: Iterable) -> Any:
    """ln Σ e^v."""
    values = list(values)
    top = max(values, default=-INF)
    return top + ctx.log(ctx.fsum(ctx.exp(v - top) for v in values)) if top > -INF else top


def log_odds_against(u: Sequence, members: set[int]) -> Any:
    """D = ln of the mass outside `members` minus ln of the mass inside."""
    rest = logsumexp(v for c, v in enumerate(u) if c not in members)
    return rest - logsumexp(u[c] for c in members)


def log_sigmoid(x: Any) -> Any:
    return -ctx.log1p(ctx.exp(-x)) if x > -INF else x


def log_probability(u: Sequence, members: set[int]) -> Any:
    """ln P(members); the mass outside is summed by itself, so that a tiny loss keeps all its digits."""
    return log_sigmoid(-log_odds_against(u, members))


def log_probabilities(u: Sequence) -> list:
    """ln p of every class; only the largest can be so near 0 that the mass outside is summed by itself."""
    total, top = logsumexp(u), u.index(max(u))
    return [log_probability(u, {c}) if c == top else v - total for c, v in enumerate(u)]


def derivative(f: Callable[[Any], Any], x: Any) -> Any:
    """df/dx by central differences, right to some thirty digits."""
    h = mpf(10) ** -18
    return (f(x + h) - f(x - h)) / (2 * h)


# ------------------------------------------------------------------------------------------------ links


@dataclass(frozen=True)
class CrossEntropy:
    """φ(ℓ) = −ℓ."""

    def loss(self, l: Any) -> Any:
        return -l

    def gain(self, l: Any) -> Any:
        return mpf(1)


@dataclass(frozen=True)
class Focal:
    """φ(ℓ) = −(1 − p)^γ ℓ with p = e^ℓ; gain −dφ/dℓ = (1 − p)^γ − γ p (1 − p)^(γ−1) ℓ."""

    gamma: float = 2.0

    def loss(self, l: Any) -> Any:
        return -l * self._power(l, self.gamma)

    def gain(self, l: Any) -> Any:
        if l == -INF or self.gamma == 0:
            return mpf(1)
        if l == 0:
            return mpf(0)
        p = ctx.exp(l)
        return self._power(l, self.gamma) - self.gamma * p * self._power(l, self.gamma - 1) * l

    def _power(self, l: Any, exponent: float) -> Any:
        return (-ctx.expm1(l)) ** mpf(exponent) if l > -INF else mpf(1)


# ---------------------------------------------------------------------------------------------- targets


@dataclass(frozen=True)
class Target:
    """One row's target: masses over the classes, the classes named by it, or nothing at all (ignored)."""

    masses: Sequence | None = None
    members: frozenset[int] = frozenset()
    is_set: bool = False
    ignored: bool = False


def index_targets(labels: Any, classes: int, ignore_index: int | None = None) -> list[Target]:
    rows = []
    for y in map(int, np.ravel(labels)):
        if y == ignore_index:
            rows.append(Target(ignored=True))
        else:
            rows.append(Target([mpf(c == y) for c in range(classes)], frozenset([y])))
    return rows


def dense_targets(masses: Any) -> list[Target]:
    return [Target(numbers(row)) for row in masses]


def sparse_targets(indices: Any, weights: Any, classes: int) -> list[Target]:
    """Weighted indices; the weights of an index named twice add up."""
    rows = []
    for index_row, weight_row in zip(indices, weights, strict=True):
        masses = [mpf(0)] * classes
        for c, weight in zip(map(int, index_row), numbers(weight_row), strict=True):
            masses[c] += weight
        rows.append(Target(masses, frozenset(map(int, index_row))))
    return rows


def set_targets(masks: Any) -> list[Target]:
    return [Target(members=frozenset(np.flatnonzero(row).tolist()), is_set=True) for row in masks]


# ------------------------------------------------------------------------------------------------- rows


@dataclass(frozen=True)
class Transform:
    """How logits become u; margin is a number or one number per class."""

    temperature: Any = 1
    softcap: Any = None
    logit_bias: Any = None
    margin: Any = None

    def u(self, z: Sequence, members: Iterable[int] = ()) -> list:
        capped = z if self.softcap is None else [self.softcap * ctx.tanh(v / self.softcap) for v in z]
        members = set(members)
        return [
            (v - (_at(self.margin, c, 0) if c in members else 0)) / mpf(self.temperature)
            + _at(self.logit_bias, c, 0)
            for c, v in enumerate(capped)
        ]

    def slope(self, z: Sequence) -> list:
        """du/dz."""
        if self.softcap is None:
            return [1 / mpf(self.temperature)] * len(z)
        return [(1 - ctx.tanh(v / self.softcap) ** 2) / self.temperature for v in z]


@dataclass(frozen=True)
class Options:
    """Everything that is the same for each row, except sample weight and temperature."""

    transform: Transform = field(default_factory=Transform)
    link: Any = field(default_factory=CrossEntropy)
    label_smoothing: Any = 0
    smoothing_prior: Sequence | None = None
    class_weight: Sequence | None = None
    z_loss: Any = 0
    entropy_bonus: Any = 0


@dataclass(frozen=True)
class Row:
    loss: Any
    weight: Any
    gradient: list


def row(z: Sequence, target: Target, options: Options, sample_weight: Any = 1) -> Row:
    """Loss, weight and d loss / d z of one row."""
    classes = len(z)
    if target.ignored or sample_weight == 0:
        return Row(mpf(0), mpf(0), [mpf(0)] * classes)
    u = options.transform.u(z, target.members)
    log_p = log_probabilities(u)
    p = [ctx.exp(l) for l in log_p]
    total = logsumexp(u)
    entropy = -ctx.fsum(p[c] * log_p[c] for c in range(classes) if p[c] > 0)

    if target.is_set:
        inside = logsumexp(u[c] for c in target.members)
        log_set = log_probability(u, set(target.members))
        loss, gain, weight = options.link.loss(log_set), options.link.gain(log_set), mpf(1)
        share = [ctx.exp(u[c] - inside) if c in target.members else mpf(0) for c in range(classes)]
        slope = [gain * (p[c] - share[c]) for c in range(classes)]
    else:
        a = [_at(options.class_weight, c, 1) * q for c, q in enumerate(_smoothed(target.masses, options))]
        weight = ctx.fsum(_at(options.class_weight, c, 1) * target.masses[c] for c in range(classes))
        loss = ctx.fsum(a[c] * options.link.loss(log_p[c]) for c in range(classes) if a[c] != 0)
        pull = [a[c] * options.link.gain(log_p[c]) if a[c] != 0 else mpf(0) for c in range(classes)]
        slope = [ctx.fsum(pull) * p[c] - pull[c] for c in range(classes)]

    loss += options.z_loss * total**2 - options.entropy_bonus * entropy
    for c in range(classes):
        if p[c] > 0:
            slope[c] += p[c] * (2 * options.z_loss * total + options.entropy_bonus * (log_p[c] + entropy))
    gradient = [
        sample_weight * s * d if s != 0 else mpf(0)
        for s, d in zip(slope, options.transform.slope(z), strict=True)
    ]
    return Row(sample_weight * loss, sample_weight * weight, gradient)


def _smoothed(masses: Sequence, options: Options) -> list:
    epsilon = options.label_smoothing
    if epsilon == 0:
        return list(masses)
    uniform = mpf(1) / len(masses)
    return [
        (1 - epsilon) * t + epsilon * _at(options.smoothing_prior, c, uniform) for c, t in enumerate(masses)
    ]


def _at(value: Any, c: int, default: Any) -> Any:
    if value is None:
        return mpf(default)
    return value[c] if isinstance(value, Sequence) else value


# ------------------------------------------------------------------------------------------- reductions


@dataclass(frozen=True)
class Solution:
    """A reduced loss; `gradient` is that of the value's sum, `scale` the size of what was summed."""

    value: np.ndarray
    gradient: np.ndarray
    scale: float


def solve(
    logits: np.ndarray,
    targets: Sequence[Target],
    *,
    sample_weight: Any = None,
    temperature: Any = 1.0,
    softcap: float | None = None,
    logit_bias: Any = None,
    margin: Any = None,
    link: Any = None,
    label_smoothing: float = 0.0,
    smoothing_prior: Any = None,
    class_weight: Any = None,
    z_loss: float = 0.0,
    entropy_bonus: float = 0.0,
    reduction: str = "mean",
    normalizer: Any = "weight",
    empty: str = "zero",
) -> Solution:
    """The reduced loss of logits (rows, classes) and its gradient, rounded to float64 at the end."""
    count = len(logits)
    temperatures = numbers(np.broadcast_to(temperature, (count,)))
    weights = [mpf(1)] * count if sample_weight is None else numbers(sample_weight)
    rows = []
    for z, target, T, omega in zip(logits, targets, temperatures, weights, strict=True):
        transform = Transform(T, _number(softcap), _vector(logit_bias), _vector(margin))
        options = Options(
            transform,
            link or CrossEntropy(),
            mpf(label_smoothing),
            _vector(smoothing_prior),
            _vector(class_weight),
            mpf(z_loss),
            mpf(entropy_bonus),
        )
        rows.append(row(numbers(z), target, options, omega))

    losses = [r.loss for r in rows]
    if reduction == "mean":
        divisors = _divisors(rows, targets, normalizer)
        if not isinstance(normalizer, np.ndarray) and divisors is None:
            if empty == "raise":
                raise NothingToAverage
            value = 0.0 if empty == "zero" else np.nan
            return Solution(np.array(value), np.zeros(np.shape(logits)), 0.0)
    else:
        divisors = [mpf(1)] * count
    scaled = [loss / d for loss, d in zip(losses, divisors, strict=True)]
    value = scaled if reduction == "none" else ctx.fsum(scaled)
    gradient = [[g / d for g in r.gradient] for r, d in zip(rows, divisors, strict=True)]
    return Solution(
        np.asarray(value, dtype=np.float64),
        np.asarray(gradient, dtype=np.float64).reshape(np.shape(logits)),
        float(ctx.fsum(abs(s) for s in scaled)),
    )


def _divisors(rows: Sequence[Row], targets: Sequence[Target], normalizer: Any) -> list | None:
    if isinstance(normalizer, np.ndarray):
        return numbers(normalizer)
    if normalizer == "weight":
        total = ctx.fsum(r.weight for r in rows)
    elif normalizer == "count":
        total = mpf(sum(not t.ignored for t in targets))
    else:
        total = mpf(normalizer)
    return None if total == 0 else [total] * len(rows)


def _number(value: Any) -> Any:
    return None if value is None else mpf(float(value))


def _vector(value: Any) -> Any:
    if value is None or np.ndim(value) == 0:
        return _number(value)
    return numbers(value)


# ------------------------------------------------------------------------------------------- statistics


@dataclass(frozen=True)
class Statistics:
    log_prob: Any
    prob: Any
    log_odds: Any
    logsumexp: Any
    entropy: Any
    argmax: int
    rank: int


def statistics(z: Any, label: int, transform: Transform | None = None) -> Statistics:
    """The target statistics of one row and one label."""
    u = (transform or Transform()).u(numbers(z), [label])
    D = log_odds_against(u, {label})
    p = [ctx.exp(l) for l in log_probabilities(u)]
    return Statistics(
        log_prob=log_sigmoid(-D),
        prob=ctx.exp(log_sigmoid(-D)),
        log_odds=-D,
        logsumexp=logsumexp(u),
        entropy=-ctx.fsum(v * ctx.log(v) for v in p if v > 0),
        argmax=u.index(max(u)),
        rank=sum(v > u[label] for v in u) + sum(v == u[label] for v in u[:label]),
    )
