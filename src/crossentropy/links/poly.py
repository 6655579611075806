"""Cross-entropy with the first terms of its expansion changed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from crossentropy._arguments.errors import number
from crossentropy._backends import INF, Array, namespace
from crossentropy._backends.conditions import is_false, is_zero
from crossentropy._statistics.log_sigmoid import log_sigmoid
from crossentropy.links._probabilities import one_minus_probability, probability, variance

__all__ = ["Poly"]

SERIES = 28  # terms of Σ s^j/j that suffice for s < 1/4 in float64


@dataclass(frozen=True)
class Poly:
    """PolyLoss, cross-entropy with the first coefficients of its expansion changed: ``φ = −log p + Σ_j ε_j (1 − p)^j``.

    Cross-entropy is ``Σ_j (1 − p)^j / j``, so ``ε_j = −1/j`` takes a term away; then the small loss of a confident
    target still keeps its digits, for the terms that are left are added and none is subtracted.

    Parameters
    ----------
    epsilon : float or tuple of floats, default 1.0
        A number is ``ε₁`` (Poly-1); a tuple holds ``ε₁, …, ε_N`` (Poly-N). As in the paper ``ε_j ≥ −1/j``, so that no
        coefficient is negative. It recommends ``ε₁ = 2`` for ImageNet and −1 for detection and segmentation.

    Raises
    ------
    ValueError
        If there is no ``ε``, or one is not finite or under ``−1/j``.

    Notes
    -----
    On soft targets a link acts on every class and its loss is the mean under the target: ``Σ_c q_c (1 − p_c)^j`` for
    one power, as in optax, and not the power of ``1 − Σ_c q_c p_c``, which differs for ``j > 1``.

    References
    ----------
    Leng, Tan, Liu, Cubuk, Shi, Cheng, Anguelov, "PolyLoss: A Polynomial Expansion Perspective of Classification Loss
    Functions", ICLR 2022.

    Examples
    --------
    >>> import numpy as np
    >>> float(Poly(1.0).loss(np.asarray(0.0)))  # p = 1/2: ln 2 + 1/2
    1.1931471805599454
    """

    epsilon: float | tuple[float, ...] = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.epsilon, Sequence) and not isinstance(self.epsilon, str):
            object.__setattr__(self, "epsilon", tuple(self.epsilon))  # hashable, whatever sequence was given
        if not self._epsilons:
            raise ValueError("epsilon is empty; pass one number for each power of 1 − p that is to change")
        for j, epsilon in enumerate(self._epsilons, start=1):
            if is_false((-1 / j <= number(epsilon, "epsilon")) & (epsilon < INF)):
                raise ValueError(
                    f"epsilon of (1 − p)^{j} is {epsilon}; it has to be finite and at least −1/{j}, which takes that "
                    "term of cross-entropy away altogether"
                )

    @property
    def _epsilons(self) -> tuple[float, ...]:
        return self.epsilon if isinstance(self.epsilon, tuple) else (self.epsilon,)

    def loss(self, log_odds_against: Array) -> Array:
        """``softplus(D) + Σ ε_j σ(D)^j``."""
        D = log_odds_against
        s = one_minus_probability(D)
        whole = -log_sigmoid(-D) + _polynomial((0.0, *self._epsilons), s)
        if all(isinstance(e, (int, float)) and e >= 0 for e in self._epsilons):
            return whole
        # Σ (1/j + ε_j) s^j, and the rest of the series of −log(1 − s): no term is negative
        xp = namespace(D)
        N = len(self._epsilons)
        changed = [_exact(Fraction(1, j), 1, e) for j, e in enumerate(self._epsilons, start=1)]
        rest = [1 / j for j in range(N + 1, N + 1 + SERIES)]
        likely = s < 0.25
        return xp.where(
            likely, _polynomial((0.0, *changed, *rest), xp.where(likely, s, xp.zeros_like(s))), whole
        )

    def gain(self, log_odds_against: Array) -> Array:
        """``p Σ_j (1 + j ε_j) (1 − p)^(j−1) + (1 − p)^N``, which is ``1 + p Σ_j j ε_j (1 − p)^(j−1)``."""
        s = one_minus_probability(log_odds_against)
        slopes = [_exact(Fraction(1), j, e) for j, e in enumerate(self._epsilons, start=1)]
        return probability(log_odds_against) * _polynomial(slopes, s) + s ** len(slopes)

    def curvature(self, log_odds_against: Array) -> Array:
        """``p (1 − p) (1 + Σ_j j ε_j (1 − p)^(j−1) (j p − (1 − p)))``, the sum as one of ``b_k (1 − p)^k p^(N−k)``."""
        D = log_odds_against
        p, s = probability(D), one_minus_probability(D)
        first, *higher = self._curvature_coefficients()
        total, power = first + namespace(D).zeros_like(D), s
        for b in higher:
            total, power = total * p + b * power, power * s
        return variance(D) * total

    def _curvature_coefficients(self) -> list[Any]:
        """The ``b_k`` of `curvature`, rounded once if the ``ε`` are numbers."""
        exact = all(isinstance(e, (int, float)) for e in self._epsilons)
        e = [Fraction(x) if exact else x for x in self._epsilons]
        N = len(e)
        of_powers = [1 + e[0], *(k * k * e[k - 1] - (k - 1) * k * e[k - 2] for k in range(2, N + 1))]
        of_powers.append(-N * (N + 1) * e[N - 1])
        # (1 − p)^i times (p + (1 − p))^(N−i), which is 1
        found = [sum(math.comb(N - i, k - i) * of_powers[i] for i in range(k + 1)) for k in range(N + 1)]
        return [float(b) for b in found] if exact else found


def _exact(a: Fraction, j: int, epsilon: Any) -> Any:
    """Compute ``a + j ε``, rounded once if ε is a number."""
    return float(a + j * Fraction(epsilon)) if isinstance(epsilon, (int, float)) else float(a) + j * epsilon


def _polynomial(coefficients: Sequence[float], x: Array) -> Array:
    """Compute ``Σ_k c_k x^k`` by Horner's rule; a constant of 0 is not added, which keeps all digits near 0."""
    *lower, value = coefficients
    value = namespace(x).zeros_like(x) + value
    for c in reversed(lower):
        value = value * x if is_zero(c) else value * x + c
    return value
