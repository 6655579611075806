"""Cross-entropy joined with a loss that is linear in the probability, by a sum or by a switch."""

import math
from dataclasses import dataclass

from crossentropy._arguments.errors import number
from crossentropy._backends import Array, namespace
from crossentropy._backends.conditions import is_false, is_zero
from crossentropy._statistics.log_sigmoid import log_sigmoid
from crossentropy.links._probabilities import (
    log,
    one_minus_exp,
    one_minus_probability,
    probability,
    probability_difference,
    variance,
)

__all__ = ["PartiallyHuberized", "SymmetricCrossEntropy"]


@dataclass(frozen=True)
class SymmetricCrossEntropy:
    """Symmetric cross-entropy, ``φ = −α log p + β |A| (1 − p)``.

    The second term is the reverse cross-entropy ``−Σ_c p_c log t_c`` of a label ``t``, with ``log 0`` put at ``A``.
    Divided by ``α`` the loss is `Poly` with ``ε₁ = β|A|/α``.

    Parameters
    ----------
    forward_weight, reverse_weight : float, default 0.1 and 1.0
        ``α`` and ``β``, the weights of cross-entropy and of its reverse; the paper's for CIFAR-10. For
        CIFAR-100 it has 6 and 0.1.
    log_zero : float, default -4.0
        ``A < 0``, as in the paper. Code that clamps the label at ``1e-4`` has ``A = log 1e-4 = −9.21`` instead, so its
        `reverse_weight` means 2.3 times as much: pass ``log_zero=math.log(1e-4)`` to have the same.

    Raises
    ------
    ValueError
        If a weight is negative, both are 0, or `log_zero` is not a negative number.

    Notes
    -----
    On soft targets the loss is the mean under the target of the losses for each label.

    References
    ----------
    Wang, Ma, Chen, Luo, Yi, Bailey, "Symmetric Cross Entropy for Robust Learning with Noisy Labels", ICCV 2019.

    Examples
    --------
    >>> import numpy as np
    >>> link = SymmetricCrossEntropy(forward_weight=1, reverse_weight=0.5)
    >>> float(link.loss(np.asarray(0.0)))  # p = 1/2: ln 2 + 0.5 · 4 · 1/2
    1.6931471805599454
    """

    forward_weight: float = 0.1
    reverse_weight: float = 1.0
    log_zero: float = -4.0

    def __post_init__(self) -> None:
        for name in ("forward_weight", "reverse_weight"):
            weight = number(getattr(self, name), name)
            if is_false((weight >= 0) & (weight < math.inf)):
                raise ValueError(f"{name} is {weight}; it weighs a loss, so it is finite and at least 0")
        if is_zero(self.forward_weight) and is_zero(self.reverse_weight):
            raise ValueError(
                "forward_weight and reverse_weight are both 0, which leaves no loss; make one of them positive"
            )
        if is_false((-math.inf < number(self.log_zero, "log_zero")) & (self.log_zero < 0)):
            raise ValueError(
                f"log_zero is {self.log_zero}; it stands for the logarithm of 0, so it is a finite negative number"
            )

    def loss(self, log_odds_against: Array) -> Array:
        """``α softplus(D) + β |A| σ(D)``."""
        reverse = -self.reverse_weight * self.log_zero * one_minus_probability(log_odds_against)
        return (
            reverse
            if is_zero(self.forward_weight)
            else reverse - self.forward_weight * log_sigmoid(-log_odds_against)
        )

    def gain(self, log_odds_against: Array) -> Array:
        """``α + β |A| p``."""
        return self.forward_weight - self.reverse_weight * self.log_zero * probability(log_odds_against)

    def curvature(self, log_odds_against: Array) -> Array:
        """``p (1 − p) (α + β |A| (p − (1 − p)))``."""
        reverse = -self.reverse_weight * self.log_zero * probability_difference(log_odds_against)
        return variance(log_odds_against) * (self.forward_weight + reverse)


@dataclass(frozen=True)
class PartiallyHuberized:
    """Partially Huberized cross-entropy: ``φ = −log p``, and under ``p = 1/τ`` its tangent, ``log τ + 1 − τ p``.

    It is equivalent to clipping the gradient with respect to the log-probability of a composite loss, and is at most
    ``log τ + 1``.

    Parameters
    ----------
    tau : float, default 10.0
        ``τ ≥ 1``. The paper has 2 for CIFAR-10 and 10 for CIFAR-100; 1 is half the mean absolute error.

    Raises
    ------
    ValueError
        If `tau` is under 1 or not finite.

    References
    ----------
    Menon, Rawat, Reddi, Kumar, "Can Gradient Clipping Mitigate Label Noise?", ICLR 2020.

    Examples
    --------
    >>> import numpy as np
    >>> link = PartiallyHuberized(tau=4)
    >>> link.loss(np.asarray([0.0, np.inf])).round(4), link.gain(np.asarray([0.0, np.inf]))  # p = 1/2, 0
    (array([0.6931, 2.3863]), array([1., 0.]))
    """

    tau: float = 10.0

    def __post_init__(self) -> None:
        if is_false((number(self.tau, "tau") >= 1) & (self.tau < math.inf)):
            raise ValueError(
                f"tau is {self.tau}; the loss is linear under p = 1/tau, so tau is finite and at least 1"
            )

    def loss(self, log_odds_against: Array) -> Array:
        """``softplus(D)``; where ``τp ≤ 1``, ``log τ + (1 − τp)`` with ``τp = e^(log τ + log p)``."""
        log_p = log_sigmoid(-log_odds_against)
        xp = namespace(log_p)
        log_share = log(self.tau) + log_p
        linear = log_share <= 0
        tangent = log(self.tau) + one_minus_exp(xp.where(linear, log_share, xp.zeros_like(log_p)))
        return xp.where(linear, tangent, -log_p)

    def gain(self, log_odds_against: Array) -> Array:
        """``min(1, τ p)``."""
        log_share = log(self.tau) + log_sigmoid(-log_odds_against)
        xp = namespace(log_share)
        return xp.exp(xp.where(log_share > 0, xp.zeros_like(log_share), log_share))

    def curvature(self, log_odds_against: Array) -> Array:
        """``p (1 − p)``, and ``τ p (1 − p) (p − (1 − p))`` where ``τp ≤ 1``."""
        D, xp = log_odds_against, namespace(log_odds_against)
        linear = log(self.tau) + log_sigmoid(-D) <= 0
        return variance(D) * xp.where(linear, self.tau * probability_difference(D), xp.ones_like(D))
