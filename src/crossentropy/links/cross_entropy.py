"""Cross-entropy, and the focal loss, which differs from it by a factor."""

from dataclasses import dataclass
from typing import Any

from crossentropy._arguments.errors import number
from crossentropy._backends import INF, Array, namespace
from crossentropy._backends.conditions import is_false, is_zero
from crossentropy._statistics.log_sigmoid import log_sigmoid
from crossentropy.links._probabilities import variance

__all__ = ["CrossEntropy", "Focal", "focal_gamma"]

MOST_ODDS = 1e4  # log-odds beyond which p (1 − p) is 0 in every dtype


@dataclass(frozen=True)
class CrossEntropy:
    """The negative log-probability, ``φ = −log p = softplus(D)``.

    Examples
    --------
    >>> import numpy as np
    >>> float(CrossEntropy().loss(np.asarray(0.0)))  # p = 1/2
    0.6931471805599453
    """

    def loss(self, log_odds_against: Array) -> Array:
        """``softplus(D)``."""
        return -log_sigmoid(-log_odds_against)

    def gain(self, log_odds_against: Array) -> Array:
        """1 everywhere."""
        return namespace(log_odds_against).ones_like(log_odds_against)

    def curvature(self, log_odds_against: Array) -> Array:
        """``p (1 − p)``."""
        return variance(log_odds_against)


@dataclass(frozen=True)
class Focal:
    """The focal loss, ``φ = −(1 − p)^γ log p``, which spends less on targets that are already likely.

    Parameters
    ----------
    gamma : float, default 2.0
        Focusing exponent, ``γ ≥ 0``; 0 is cross-entropy. The paper's ``α`` is a class weight: pass it as
        `class_weight`, where it cannot leak into ``p``.

    Raises
    ------
    ValueError
        If `gamma` is negative or not finite.

    References
    ----------
    Lin, Goyal, Girshick, He, Dollár, "Focal Loss for Dense Object Detection", ICCV 2017.

    Examples
    --------
    >>> import numpy as np
    >>> float(Focal(gamma=2).loss(np.asarray(0.0)))  # p = 1/2: a quarter of ln 2
    0.17328679513998632
    """

    gamma: float = 2.0

    def __post_init__(self) -> None:
        if is_false((number(self.gamma, "gamma") >= 0) & (self.gamma < INF)):
            raise ValueError(f"gamma is {self.gamma}; the focal loss needs a finite exponent of at least 0")

    def loss(self, log_odds_against: Array) -> Array:
        """``(1 − p)^γ softplus(D)`` with ``1 − p = σ(D)``."""
        xp = namespace(log_odds_against)
        D = log_odds_against
        cross_entropy = -log_sigmoid(-D)
        if is_zero(self.gamma):
            return cross_entropy
        # At p = 0 the product rule gives 0 · ∞, where the derivative is that of cross-entropy; likewise at p = 1 if γ
        # is an array that may hold 0.
        end = (D == INF) | (D == -INF)
        D = xp.where(end, xp.zeros_like(D), D)
        focal = xp.exp(self.gamma * log_sigmoid(D)) * -log_sigmoid(-D)
        return xp.where(end, cross_entropy, focal)

    def gain(self, log_odds_against: Array) -> Array:
        """``(1 − p)^γ (1 + γ p ρ)`` with ``ρ = −log p / (1 − p)``."""
        xp = namespace(log_odds_against)
        D = log_odds_against
        if is_zero(self.gamma):
            return xp.ones_like(D)
        # p ρ = ln(1 + e^D)/e^D, by e^{-|D|} on either side; at the ends it is 1 and 0
        e = xp.exp(-xp.abs(D))
        end = e == 0
        safe = xp.where(end, xp.ones_like(e), e)
        likely = xp.where(end, xp.ones_like(e), xp.log1p(e) / safe)
        unlikely = xp.where(end, xp.zeros_like(e), (xp.where(end, xp.zeros_like(D), D) + xp.log1p(e)) * e)
        return xp.exp(self.gamma * log_sigmoid(D)) * (1 + self.gamma * xp.where(D > 0, unlikely, likely))

    def curvature(self, log_odds_against: Array) -> Array:
        """``p (1 − p)^γ ((1 − p)(1 + 2γ + γ log p) − γ² p log p)``, negative where ``p`` is small."""
        D, gamma, xp = log_odds_against, self.gamma, namespace(log_odds_against)
        log_likelier = -xp.log1p(xp.exp(-xp.abs(D)))
        log_p = log_likelier - xp.clip(D, 0.0, MOST_ODDS)
        log_rest = log_likelier + xp.clip(D, -MOST_ODDS, 0.0)
        bend = xp.exp(log_rest) * (1 + gamma * (2 + log_p)) - gamma * (gamma * (xp.exp(log_p) * log_p))
        return xp.exp(log_p + gamma * log_rest) * bend


def focal_gamma(link: Any) -> float | None:
    """Return the γ of a focal link, 0 for cross-entropy, None for any other link and for a γ that is an array.

    Examples
    --------
    >>> from crossentropy.links import Poly
    >>> focal_gamma(Focal(gamma=2.0)), focal_gamma(CrossEntropy()), focal_gamma(Poly(1.0))
    (2.0, 0.0, None)
    """
    if type(link) is CrossEntropy:
        return 0.0
    return float(link.gamma) if type(link) is Focal and isinstance(link.gamma, (int, float)) else None
