"""The loss of a label that must not be predicted."""

from dataclasses import dataclass

from crossentropy._backends import Array
from crossentropy._statistics.log_sigmoid import log_sigmoid
from crossentropy.links._probabilities import exp, probability, variance

__all__ = ["Unlikelihood"]


@dataclass(frozen=True)
class Unlikelihood:
    """Unlikelihood, ``φ = −log(1 − p)``: the label is one that must *not* come.

    The gain ``−p/(1 − p) = −e^(−D)`` is minus the odds of the label and may overflow where the derivative with respect
    to ``D``, ``−p``, does not; so there is a `slope` as well.

    Notes
    -----
    One label a row has one unlikelihood. For several candidates a row, as in the paper's repetition penalty, pass
    `targets.Sparse` with a weight of 1 for each.

    References
    ----------
    Welleck, Kulikov, Roller, Dinan, Cho, Weston, "Neural Text Generation with Unlikelihood Training", ICLR 2020.

    Examples
    --------
    >>> import numpy as np
    >>> Unlikelihood().loss(np.asarray([0.0, 40.0]))  # p = 1/2, and nearly 0
    array([6.93147181e-01, 4.24835426e-18])
    """

    def loss(self, log_odds_against: Array) -> Array:
        """``softplus(−D)``."""
        return -log_sigmoid(log_odds_against)

    def gain(self, log_odds_against: Array) -> Array:
        """``−e^(−D)``."""
        return -exp(-log_odds_against)

    def slope(self, log_odds_against: Array) -> Array:
        """``−p``, which is ``gain(D) · σ(D)``."""
        return -probability(log_odds_against)

    def curvature(self, log_odds_against: Array) -> Array:
        """``p (1 − p)``."""
        return variance(log_odds_against)
