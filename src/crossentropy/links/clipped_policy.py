"""The clipped objective of proximal policy optimization."""

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

from crossentropy._arguments.arrays import as_arrays
from crossentropy._arguments.errors import number
from crossentropy._backends import Array, is_torch, namespace
from crossentropy._backends.conditions import is_false
from crossentropy._statistics.formulas import widened
from crossentropy._statistics.log_sigmoid import log_sigmoid
from crossentropy.links._probabilities import exp, one_minus_probability, probability_difference

__all__ = ["ClippedPolicy"]


@dataclass(frozen=True, eq=False)
class ClippedPolicy:
    """PPO's clipped surrogate of an action: ``φ = −min(r Â, clip(r, 1 − c, 1 + c) Â)`` with ``r = p/p_old``.

    The labels are the actions that were taken. Where clipping is what bounds the objective, ``Â > 0`` and
    ``r > 1 + c`` or ``Â < 0`` and ``r < 1 − c``, the loss is constant and has no gradient; otherwise the gain is
    ``r Â``.

    Parameters
    ----------
    advantages : array, shape of the rows
        ``Â``, of any sign.
    old_log_prob : array, shape of the rows
        ``log p`` of the actions under the policy that took them. Both are constants: no gradient flows to them.
    clip : float, default 0.2
        ``c > 0``; from 1 on there is no lower bound.

    Raises
    ------
    ValueError
        If `clip` is not positive, the two shapes differ, a PyTorch tensor requires a gradient, or the link is used on
        anything but one label for every row: smoothed or soft targets have no one ratio.

    References
    ----------
    Schulman, Wolski, Dhariwal, Radford, Klimov, "Proximal Policy Optimization Algorithms", arXiv 1707.06347, 2017.

    Examples
    --------
    >>> import numpy as np
    >>> link = ClippedPolicy(advantages=np.asarray([1.0, 1.0]), old_log_prob=np.log([0.5, 0.25]))
    >>> link.loss(np.asarray([0.0, 0.0])), link.gain(np.asarray([0.0, 0.0]))  # p = 1/2: ratios of 1 and 2
    (array([-1. , -1.2]), array([1., 0.]))
    """

    advantages: Array
    old_log_prob: Array
    clip: float = 0.2

    def __post_init__(self) -> None:
        if is_false((number(self.clip, "clip") > 0) & (self.clip < math.inf)):
            raise ValueError(
                f"clip is {self.clip}; the ratio may move by as much from 1, so it is finite and positive"
            )
        _, arrays = as_arrays(advantages=self.advantages, old_log_prob=self.old_log_prob)
        for name, array in zip(("advantages", "old_log_prob"), arrays, strict=True):
            if is_torch(array) and array.requires_grad:
                raise ValueError(
                    f"{name} require a gradient, but are constants of the loss; pass {name}.detach()"
                )
            object.__setattr__(self, name, array)  # lists become arrays
        if tuple(self.advantages.shape) != tuple(self.old_log_prob.shape):
            raise ValueError(
                f"advantages have shape {tuple(self.advantages.shape)} and old_log_prob has shape "
                f"{tuple(self.old_log_prob.shape)}; pass one of each for every row"
            )

    def loss(self, log_odds_against: Array) -> Array:
        """``−Â r``, with ``r`` at the bound where clipping holds."""
        advantages, log_ratio, clipped = self._ratio(log_odds_against)
        xp = namespace(log_ratio)
        zero = xp.zeros_like(log_ratio)
        bound = 1 + xp.where(advantages > 0, zero + self.clip, zero - self.clip)
        return -advantages * xp.where(clipped, bound, exp(xp.where(clipped, zero, log_ratio)))

    def gain(self, log_odds_against: Array) -> Array:
        """``Â r``, and 0 where clipping holds."""
        advantages, log_ratio, clipped = self._ratio(log_odds_against)
        xp = namespace(log_ratio)
        zero = xp.zeros_like(log_ratio)
        return xp.where(clipped, zero, advantages * exp(xp.where(clipped, zero, log_ratio)))

    def curvature(self, log_odds_against: Array) -> Array:
        """``Â r (1 − p) (p − (1 − p))``, and 0 where clipping holds."""
        D = log_odds_against
        return self.gain(D) * one_minus_probability(D) * probability_difference(D)

    def _bounds(self) -> tuple[Any, Any]:
        """Return ``log(1 + clip)``, and ``log(1 − clip)``, −∞ if the clip is 1 or more."""
        if isinstance(self.clip, Real):
            return math.log1p(self.clip), math.log1p(-self.clip) if self.clip < 1 else -math.inf
        clip, xp = widened(self.clip), namespace(self.clip)
        return xp.log1p(clip), xp.where(clip < 1, xp.log1p(-clip), -math.inf)

    def _ratio(self, D: Array) -> tuple[Array, Array, Array]:
        """Return ``Â``, ``log r``, and the mask of rows whose loss is constant."""
        if tuple(D.shape) != tuple(self.advantages.shape):
            raise ValueError(
                f"advantages have shape {tuple(self.advantages.shape)}, but the log-odds of the targets "
                f"{tuple(D.shape)}; pass one advantage for every row, integer labels, and no label_smoothing"
            )
        _, (advantages, old_log_prob, D) = as_arrays(
            advantages=self.advantages, old_log_prob=self.old_log_prob, logits=D
        )
        log_ratio = log_sigmoid(-D) - old_log_prob
        above, below = self._bounds()
        clipped = ((advantages > 0) & (log_ratio > above)) | ((advantages < 0) & (log_ratio < below))
        # an advantage of 0 gives 0 even times an infinite ratio; NaN passes
        worthless = (advantages == 0) & (log_ratio == log_ratio)
        return advantages, log_ratio, clipped | worthless
