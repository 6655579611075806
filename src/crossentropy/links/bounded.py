"""Losses between cross-entropy and the mean absolute error: bounded, so that a wrong label has a limited cost."""

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

from crossentropy._arguments.errors import number
from crossentropy._backends import INF, Array, constant, expm1, namespace
from crossentropy._backends.conditions import check_static, is_false, is_zero
from crossentropy._statistics.formulas import widened
from crossentropy._statistics.log_sigmoid import log_sigmoid
from crossentropy.links._probabilities import (
    LARGE,
    ROOM,
    exp,
    filled,
    largest_exponent,
    log,
    one_minus_exp,
    one_minus_probability,
    probability,
    probability_difference,
    variance,
)

__all__ = ["GeneralizedCrossEntropy", "MeanAbsoluteError", "Taylor", "Tsallis"]


@dataclass(frozen=True)
class GeneralizedCrossEntropy:
    """Generalized cross-entropy, the L_q loss: ``φ = (1 − p^q)/q``, at most ``1/q``.

    Towards ``q = 0`` it is cross-entropy, and at ``q = 1`` half the mean absolute error. `Tsallis` with
    ``t = 1 − q`` is the same function.

    Parameters
    ----------
    q : float, default 0.7
        ``0 < q ≤ 1``. (Keras has 0.5 by default.)
    truncation : float, optional
        ``k`` between 0 and 1: where ``p ≤ k`` the loss is constant, ``(1 − k^q)/q``, and has no gradient; the paper
        takes ½. A row that begins under `k` then never learns, which is why the paper truncates after epochs of
        plain training and weighs the rows; that schedule is the caller's, with `sample_weight`.

    Raises
    ------
    ValueError
        If `q` or `truncation` is out of range.

    References
    ----------
    Zhang, Sabuncu, "Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels", NeurIPS
    2018.

    Examples
    --------
    >>> import numpy as np
    >>> GeneralizedCrossEntropy(q=0.5).loss(np.asarray([-np.inf, 0.0, np.inf])).round(4)  # p = 1, 1/2, 0
    array([0.    , 0.5858, 2.    ])
    """

    q: float = 0.7
    truncation: float | None = None

    def __post_init__(self) -> None:
        if is_false((number(self.q, "q") > 0) & (self.q <= 1)):
            raise ValueError(
                f"q is {self.q}; it lies above 0, where the loss would be links.CrossEntropy(), and is at most 1"
            )
        check_static(truncation=self.truncation)
        if self.truncation is not None and not 0 < number(self.truncation, "truncation") < 1:
            raise ValueError(f"truncation is {self.truncation}; it is a probability between 0 and 1, or None")

    def loss(self, log_odds_against: Array) -> Array:
        """``(1 − e^(q log p))/q``."""
        loss = _power_loss(self.q, log_odds_against)
        if self.truncation is None:
            return loss
        log_share = self.q * log(self.truncation)  # ln k^q
        most = one_minus_exp(log_share) if hasattr(log_share, "shape") else -math.expm1(log_share)
        return self._with_flat(log_odds_against, loss, most / self.q)

    def gain(self, log_odds_against: Array) -> Array:
        """``p^q``, and 0 where ``p ≤ k``."""
        gain = _power(self.q, log_odds_against)
        return gain if self.truncation is None else self._with_flat(log_odds_against, gain, 0.0)

    def curvature(self, log_odds_against: Array) -> Array:
        """``p^q (1 − p) (p − q (1 − p))``, and 0 where ``p ≤ k``."""
        curvature = _power_curvature(self.q, log_odds_against)
        return curvature if self.truncation is None else self._with_flat(log_odds_against, curvature, 0.0)

    def _with_flat(self, D: Array, values: Array, constant: Any) -> Array:
        """Replace `values` by the constant where ``p ≤ k``."""
        k, xp = widened(self.truncation or 0.0), namespace(D)
        where_p_is_k = log(1 - k) - log(k)
        return xp.where(where_p_is_k <= D, filled(values, constant), values)


@dataclass(frozen=True)
class Tsallis:
    """Cross-entropy of Tsallis's logarithm, ``φ = −log_t p = (1 − p^(1−t))/(1 − t)``.

    It is `GeneralizedCrossEntropy` with ``q = 1 − t``, for any ``t``: bounded by ``1/(1 − t)`` under 1, cross-entropy
    at 1, and above 1 steeper than cross-entropy.

    Parameters
    ----------
    t : float, default 0.3
        The order of the logarithm.

    Raises
    ------
    ValueError
        If `t` is not finite.

    Notes
    -----
    Above 1, where ``p^(1−t)`` is beyond the largest float, the loss is infinite and its gain a large finite number.

    References
    ----------
    Tsallis, "Possible Generalization of Boltzmann-Gibbs Statistics", Journal of Statistical Physics 52, 1988. As a
    loss: Amid, Warmuth, Anil, Koren, "Robust Bi-Tempered Logistic Loss Based on Bregman Divergences", NeurIPS 2019,
    whose loss tempers the softmax too.

    Examples
    --------
    >>> import numpy as np
    >>> float(Tsallis(t=0.5).loss(np.asarray(0.0)).round(4))  # p = 1/2
    0.5858
    """

    t: float = 0.3

    def __post_init__(self) -> None:
        check_static(t=self.t)
        if not -INF < number(self.t, "t") < INF:
            raise ValueError(f"t is {self.t}; pass a finite order of the logarithm, 1 for cross-entropy")

    def loss(self, log_odds_against: Array) -> Array:
        """``(1 − e^((1−t) log p))/(1 − t)``."""
        return _power_loss(1 - widened(self.t), log_odds_against)

    def gain(self, log_odds_against: Array) -> Array:
        """``p^(1−t)``."""
        return _power(1 - widened(self.t), log_odds_against)

    def curvature(self, log_odds_against: Array) -> Array:
        """``p^(1−t) (1 − p) (p − (1 − t)(1 − p))``."""
        return _power_curvature(1 - widened(self.t), log_odds_against)


@dataclass(frozen=True)
class MeanAbsoluteError:
    """The distance to a label in ℓ₁, ``φ = 2 (1 − p) = Σ_c |p_c − [c = y]|``.

    Its sum over all labels is the same for every prediction, which makes it robust to symmetric label noise, and slow
    to train.

    Notes
    -----
    A sum over the classes, as in the paper, not their mean: divide by ``C`` for that. Code of later papers drops the
    2. On soft targets the loss is the mean under the target, ``Σ_c q_c 2 (1 − p_c)``, and not ``Σ_c |p_c − q_c|``.

    References
    ----------
    Ghosh, Kumar, Sastry, "Robust Loss Functions under Label Noise for Deep Neural Networks", AAAI 2017.

    Examples
    --------
    >>> import numpy as np
    >>> float(MeanAbsoluteError().loss(np.asarray(0.0)))  # p = 1/2
    1.0
    """

    def loss(self, log_odds_against: Array) -> Array:
        """``2 σ(D)``."""
        return 2 * one_minus_probability(log_odds_against)

    def gain(self, log_odds_against: Array) -> Array:
        """``2 p``."""
        return 2 * probability(log_odds_against)

    def curvature(self, log_odds_against: Array) -> Array:
        """``2 p (1 − p) (p − (1 − p))``."""
        return 2 * variance(log_odds_against) * probability_difference(log_odds_against)


@dataclass(frozen=True)
class Taylor:
    """Taylor cross-entropy: the first terms of cross-entropy's series in ``1 − p``, ``φ = Σ_{j ≤ t} (1 − p)^j / j``.

    Order 1 is half the mean absolute error, and growing orders approach cross-entropy.

    Parameters
    ----------
    order : int, default 2
        ``t``, the number of terms; each costs an operation.

    Raises
    ------
    ValueError
        If `order` is not a whole number of at least 1.

    Notes
    -----
    Another loss goes by this name: the cross-entropy of a *Taylor softmax*, whose exponential is cut short.

    References
    ----------
    Feng, Shu, Lin, Lv, Li, An, "Can Cross Entropy Loss Be Robust to Label Noise?", IJCAI 2020.

    Examples
    --------
    >>> import numpy as np
    >>> float(Taylor(order=2).loss(np.asarray(0.0)))  # p = 1/2: 1/2 + 1/8
    0.625
    """

    order: int = 2

    def __post_init__(self) -> None:
        check_static(order=self.order)
        if isinstance(self.order, bool) or not isinstance(self.order, int) or self.order < 1:
            raise ValueError(
                f"order is {self.order!r}; it is how many terms of the series are kept, an integer of at least 1"
            )

    def loss(self, log_odds_against: Array) -> Array:
        """``Σ_{j ≤ t} σ(D)^j / j`` by Horner's rule: every term is positive."""
        s = one_minus_probability(log_odds_against)
        value = s / self.order
        for j in range(self.order - 1, 0, -1):
            value = s * (value + 1 / j)
        return value

    def gain(self, log_odds_against: Array) -> Array:
        """``1 − (1 − p)^t``."""
        return one_minus_exp(self.order * log_sigmoid(log_odds_against))

    def curvature(self, log_odds_against: Array) -> Array:
        """``p (1 − p) (1 − (1 + t)(1 − p)^t)``."""
        t, log_rest = self.order, log_sigmoid(log_odds_against)
        return variance(log_odds_against) * (1 - (1 + t) * namespace(log_rest).exp(t * log_rest))


def _power(q: float, D: Array) -> Array:
    """Compute ``p^q``."""
    return exp(q * log_sigmoid(-D)) if not is_zero(q) else namespace(D).ones_like(D)


def _power_curvature(q: float, D: Array) -> Array:
    """Compute ``p^q (1 − p) (p − q (1 − p))`` for any ``q``."""
    if is_zero(q):
        return variance(D)
    log_p, log_rest = log_sigmoid(-D), log_sigmoid(D)
    of_p = (
        log_rest if is_zero(1 + q) else (1 + q) * log_p + log_rest
    )  # 0 times the logarithm of 0 would be NaN
    return exp(of_p) - q * exp(q * log_p + 2 * log_rest)


def _power_loss(q: float, D: Array) -> Array:
    """Compute ``(1 − p^q)/q`` for any ``q``."""
    if is_zero(q):
        return -log_sigmoid(-D)
    if not isinstance(q, Real) or q > 0:  # a q that is an array is positive in every link
        return one_minus_exp(q * log_sigmoid(-D)) / q
    # For q < 0 the loss is unbounded. Where softplus(D) rounds to D its second derivative is 0, and a factor that
    # overflows would make that NaN.
    xp = namespace(D)
    zero = xp.zeros_like(D)
    unlikely = D > LARGE
    x = -q * xp.where(unlikely, D, -log_sigmoid(-xp.where(unlikely, zero, D)))
    largest = largest_exponent(x)
    overflows = x > largest + min(0.0, log(-q))  # or its derivative does
    impossible = D == INF
    moved = xp.where(overflows & ~impossible, D, zero)
    # 0, or ∞ of an impossible target, with a derivative of 1
    line = xp.where(impossible, D, moved - constant(moved))
    # Its derivative is large and finite. TorchScript's compiler would take a factor beyond float32 for ∞.
    rise = line / math.exp(ROOM - largest)
    return xp.where(overflows, rise + INF, expm1(xp.where(overflows, zero, x)) / -q)
