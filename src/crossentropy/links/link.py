"""The protocol of links, and the derivative of any link."""

from collections.abc import Callable
from functools import partial
from typing import Protocol, runtime_checkable

from crossentropy._backends import Array, namespace
from crossentropy._statistics.log_sigmoid import log_sigmoid

__all__ = ["FlattenedLink", "Link", "curvature", "has_no_arrays", "loss_beside_nothing", "slope"]

FAR = 1e30  # log-odds where a loss is as good as its limit
MOST = 1e6  # a loss that is larger there has no limit


@runtime_checkable
class Link(Protocol):
    """A loss as a function of one target's probability.

    A link whose ``gain`` is too large for a float where its gradient is not may have a third method,
    ``slope(D) = dφ/dD``; it is then used instead of ``gain(D) · σ(D)``. For second derivatives, which Newton's steps
    take, a link has a method ``curvature(D) = d²φ/dD²``, as all links of this package do.
    """

    def loss(self, log_odds_against: Array) -> Array:
        """``φ(log p)`` at ``D``, in nats."""
        ...

    def gain(self, log_odds_against: Array) -> Array:
        """``−dφ/d log p`` at ``D``: 1 for cross-entropy."""
        ...


def slope(link: Link, log_odds_against: Array) -> Array:
    """Compute a link's derivative with respect to the log-odds, ``dφ/dD``: its `slope`, or else ``gain(D) · σ(D)``.

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
    own_slope = getattr(link, "slope", None)
    if own_slope is not None:
        return own_slope(log_odds_against)
    return link.gain(log_odds_against) * namespace(log_odds_against).exp(log_sigmoid(log_odds_against))


def curvature(link: Link, log_odds_against: Array) -> Array:
    """Compute a link's second derivative with respect to the log-odds, ``d²φ/dD²``.

    Parameters
    ----------
    link : Link
    log_odds_against : array, floating
        ``D``.

    Returns
    -------
    array, shape of `log_odds_against`

    Raises
    ------
    TypeError
        If the link has no method `curvature`.

    Examples
    --------
    >>> import numpy as np
    >>> from crossentropy.links import CrossEntropy
    >>> float(curvature(CrossEntropy(), np.asarray(0.0)))  # p (1 − p)
    0.25
    """
    own_curvature = getattr(link, "curvature", None)
    if own_curvature is None:
        raise TypeError(
            f"the link {link!r} has no second derivative; give it a method curvature(D), d²φ/dD² as a function of the "
            "log-odds against the target, or pass curvature= to links.Custom"
        )
    return own_curvature(log_odds_against)


def loss_beside_nothing(link: Link, log_odds_against: Array, void: Array) -> Array:
    """Compute a link's loss, which where `void` is its limit, or 0 if that is infinite, and has no derivative.

    There the log-odds are infinite or NaN, and the loss is multiplied by a weight of 0: 0 · ∞ would be NaN, in the
    derivative as well. The loss is the derivative by that weight.

    Parameters
    ----------
    link : Link
    log_odds_against : array, floating
        ``D``.
    void : array of bool, shape of `log_odds_against`
        The entries that are infinite or NaN and have no weight.

    Returns
    -------
    array, shape of `log_odds_against`

    Examples
    --------
    >>> import numpy as np
    >>> from crossentropy.links import CrossEntropy, MeanAbsoluteError
    >>> D = np.asarray([-np.inf, np.inf, np.nan, 0.0])
    >>> loss_beside_nothing(MeanAbsoluteError(), D, ~np.isfinite(D))
    array([0., 2., 0., 1.])
    >>> abs(loss_beside_nothing(CrossEntropy(), D, ~np.isfinite(D)).round(4))
    array([0.    , 0.    , 0.    , 0.6931])
    """
    xp, D = namespace(log_odds_against), log_odds_against
    zero, known = xp.zeros_like(D), D == D
    far = xp.where(D > 0, xp.full_like(D, FAR), xp.full_like(D, -FAR))  # where links have finite derivatives
    losses = link.loss(xp.where(void, xp.where(known, far, zero), D))
    bounded = known & (xp.abs(losses) < MOST)
    return xp.where(void & ~bounded, zero, losses)


def has_no_arrays(link: Link) -> bool:
    """Tell whether a link is one of this package without arrays or functions, so that it treats all rows alike."""
    built_in = type(link).__module__.startswith("crossentropy.links.") and not isinstance(link, FlattenedLink)
    return built_in and not any(hasattr(x, "shape") or callable(x) for x in vars(link).values())


class FlattenedLink:
    """A link whose arrays have the shape of the rows, applied to log-odds with the rows flattened.

    Examples
    --------
    >>> import numpy as np
    >>> from crossentropy.links import ClippedPolicy
    >>> link = FlattenedLink(ClippedPolicy(np.ones((2, 2)), np.zeros((2, 2))), (2, 2))
    >>> link.loss(np.zeros(4)).shape
    (4,)
    """

    def __init__(self, link: Link, rows: tuple[int, ...]) -> None:
        self.link, self.rows = link, rows

    def loss(self, log_odds_against: Array) -> Array:
        """Compute the wrapped link's loss for flattened rows."""
        return self._in_one_line(self.link.loss, log_odds_against)

    def gain(self, log_odds_against: Array) -> Array:
        """Compute the wrapped link's gain for flattened rows."""
        return self._in_one_line(self.link.gain, log_odds_against)

    def slope(self, log_odds_against: Array) -> Array:
        """Compute the wrapped link's slope for flattened rows."""
        return self._in_one_line(partial(slope, self.link), log_odds_against)

    def _in_one_line(self, of_rows: Callable[[Array], Array], D: Array) -> Array:
        """Apply a function of log-odds in the shape of the rows to flattened ones."""
        reshape = namespace(D).reshape
        return reshape(of_rows(reshape(D, (*self.rows, *D.shape[1:]))), tuple(D.shape))
