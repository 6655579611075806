"""What a link is."""

from typing import Any, Protocol, runtime_checkable

from crossentropy.backends import namespace
from crossentropy.statistics.logistic import log_sigmoid

__all__ = ["Link", "slope"]

Array = Any


@runtime_checkable
class Link(Protocol):
    """A loss as a function of one target's probability.

    A link whose ``gain`` is too large for a float where its gradient is not may have a third method,
    ``slope(D) = dφ/dD``; it is then used instead of ``gain(D) · σ(D)``.
    """

    def loss(self, log_odds_against: Array) -> Array:
        """``φ(log p)`` at ``D``, in nats."""
        ...

    def gain(self, log_odds_against: Array) -> Array:
        """``−dφ/d log p`` at ``D``: 1 for cross-entropy."""
        ...


def slope(link: Link, log_odds_against: Array) -> Array:
    """Derivative of a link by the log-odds, ``dφ/dD``: its own `slope` where it has one, else ``gain(D) · σ(D)``.

    Parameters
    ----------
    link : Link
    log_odds_against : array, floating
        ``D``.

    Returns
    -------
    array, shape of `log_odds_against`

    Examples
    --------
    >>> import numpy as np
    >>> from crossentropy.links import CrossEntropy
    >>> float(slope(CrossEntropy(), np.asarray(0.0)))  # p − 1 = −1/2, and D falls where the label's logit rises
    0.5
    """
    own = getattr(link, "slope", None)
    if own is not None:
        return own(log_odds_against)
    return link.gain(log_odds_against) * namespace(log_odds_against).exp(log_sigmoid(log_odds_against))
