"""Links: what a loss makes of a target's probability.

A link φ turns the log-probability of a target, ``log p = −softplus(D)``, into its loss. It is given as a
function of ``D``, the log-odds *against* the target, because ``p``, ``1 − p`` and their logarithms all keep
full relative precision there. Its ``gain`` is what its gradient is worth in units of cross-entropy's:
``∂loss/∂D = gain(D) · σ(D)``.
"""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from crossentropy.backends import namespace
from crossentropy.statistics.logistic import log_sigmoid

__all__ = ["CrossEntropy", "Focal", "Link"]

Array = Any


@runtime_checkable
class Link(Protocol):
    """A loss as a function of one target's probability."""

    def loss(self, log_odds_against: Array) -> Array:
        """``φ(log p)`` at ``D``, in nats."""
        ...

    def gain(self, log_odds_against: Array) -> Array:
        """``−dφ/d log p`` at ``D``: 1 for cross-entropy."""
        ...


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
        if not 0 <= self.gamma < float("inf"):
            raise ValueError(f"gamma is {self.gamma}; the focal loss needs a finite exponent of at least 0")

    def loss(self, log_odds_against: Array) -> Array:
        """``(1 − p)^γ softplus(D)`` with ``1 − p = σ(D)``."""
        xp = namespace(log_odds_against)
        cross_entropy = -log_sigmoid(-log_odds_against)
        if self.gamma == 0:
            return cross_entropy
        return xp.exp(self.gamma * log_sigmoid(log_odds_against)) * cross_entropy

    def gain(self, log_odds_against: Array) -> Array:
        """``(1 − p)^γ (1 + γ p ρ)`` with ``ρ = −log p / (1 − p)``."""
        xp = namespace(log_odds_against)
        D = log_odds_against
        if self.gamma == 0:
            return xp.ones_like(D)
        # p ρ = ln(1 + e^D)/e^D, by e^{-|D|} on either side; at the ends it is 1 and 0
        e = xp.exp(-xp.abs(D))
        end = e == 0
        safe = xp.where(end, xp.ones_like(e), e)
        likely = xp.where(end, xp.ones_like(e), xp.log1p(e) / safe)
        unlikely = xp.where(end, xp.zeros_like(e), (xp.where(end, xp.zeros_like(D), D) + xp.log1p(e)) * e)
        return xp.exp(self.gamma * log_sigmoid(D)) * (1 + self.gamma * xp.where(D > 0, unlikely, likely))
