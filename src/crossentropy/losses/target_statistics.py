"""What a model says of each target: its log-probability, log-odds, rank, and the entropy of the row."""

from collections.abc import Callable
from typing import Any

from crossentropy._arguments.errors import argument_errors
from crossentropy._arguments.warnings import LAST_AXIS, warn_of_axis
from crossentropy._backends import Array, is_torch, namespace
from crossentropy._engine.softmax.problem import make_problem
from crossentropy._engine.softmax.statistics import find_statistics
from crossentropy._engine.softmax.terms import check_sums
from crossentropy._statistics import Requested, RowStatistics
from crossentropy._statistics.log_sigmoid import log_sigmoid

__all__ = ["TargetStatistics", "target_statistics"]


class TargetStatistics:
    """Statistics of every row's target, in the shape of the labels; see `target_statistics`.

    Each is worked out when it is asked for, and is differentiable where the framework is.
    """

    def __init__(
        self,
        stats: RowStatistics,
        masses: Array | None,
        dtype: Any,
        returned: Callable[[Array], Array] = lambda x: x,
    ) -> None:
        self._planes, self._masses, self._dtype, self._returned = stats, masses, dtype, returned

    def mapped(self, returned: Callable[[Array], Array]) -> "TargetStatistics":
        """Return the same statistics, each passed through a function when it is asked for."""
        return TargetStatistics(self._planes, self._masses, self._dtype, returned)

    @property
    def log_prob(self) -> Array:
        """Log-probability of the target in nats; of soft targets ``Σ q log p``."""
        if self._planes.dense_term is not None:
            return self._rounded(-self._planes.dense_term)
        return self._rounded(self._log_prob())

    @property
    def prob(self) -> Array:
        """Probability of the target."""
        self._of_one_target("prob")
        log_prob = self._log_prob()
        return self._rounded(namespace(log_prob).exp(log_prob))

    @property
    def log_odds(self) -> Array:
        """Log-odds of the target in nats, ``ln p − ln(1 − p) = −D``."""
        self._of_one_target("log_odds")
        return self._rounded(-self._planes.log_odds)

    @property
    def logsumexp(self) -> Array:
        """``L``, the logarithm of the row's partition sum, in nats."""
        return self._rounded(self._planes.log_partition)

    @property
    def entropy(self) -> Array:
        """``H = −Σ p log p`` of the row in nats."""
        return self._rounded(self._asked("entropy"))

    @property
    def argmax(self) -> Array:
        """The first class of the largest logit; −1 where the row is ignored."""
        return self._returned(self._planes.argmax)

    @property
    def rank(self) -> Array:
        """How many classes come before the target: those above it, and equal ones of a smaller index."""
        self._of_one_target("rank")
        return self._returned(self._asked("rank"))

    def _log_prob(self) -> Array:
        log_prob = log_sigmoid(-self._planes.log_odds)
        if self._masses is None:
            return log_prob
        xp = namespace(log_prob)
        zero = self._masses == 0
        terms = xp.where(zero, xp.zeros_like(log_prob), self._masses * xp.where(zero, 0.0, log_prob))
        return xp.sum(terms, axis=-1)

    def _asked(self, name: str) -> Array:
        plane = getattr(self._planes, name)
        if plane is None:
            raise AttributeError(f"the {name} was not asked for; pass target_statistics(..., {name}=True)")
        return plane

    def _of_one_target(self, name: str) -> None:
        if self._planes.log_odds is None or self._masses is not None:
            raise AttributeError(
                f"{name} is of one label; soft targets have a log_prob, logsumexp and entropy"
            )

    def _rounded(self, x: Array) -> Array:
        return self._returned(x.to(self._dtype) if is_torch(x) else namespace(x).astype(x, self._dtype))


@argument_errors
def target_statistics(
    logits: Array,
    labels: Any,
    *,
    axis: int = LAST_AXIS,
    temperature: Any = 1.0,
    softcap: float | None = None,
    logit_bias: Array | None = None,
    margin: Any = None,
    ignore_index: int | None = None,
    validate: str = "raise",
    entropy: bool = False,
    rank: bool = False,
) -> TargetStatistics:
    """Log-probability, log-odds and more of every row's target, from one pass over the logits.

    Any loss that is a function of these is differentiable through them, with one more pass for its gradient.

    Parameters
    ----------
    logits, labels, axis, temperature, softcap, logit_bias, margin, ignore_index, validate
        As in `crossentropy.softmax_cross_entropy`.
    entropy : bool, default False
        Whether the entropy of the rows is wanted.
    rank : bool, default False
        Whether the rank of the labels is wanted.

    Returns
    -------
    TargetStatistics
        ``log_prob``, ``log_odds``, ``logsumexp`` and ``entropy`` in nats, ``prob``, ``argmax`` and ``rank``, each in
        the shape of the labels: float64 for float64 logits, else float32; integers for the last two. An ignored row has
        the log-probability 0.

    Raises
    ------
    ValueError, TypeError
        As `crossentropy.softmax_cross_entropy` does.

    Warns
    -----
    UserWarning
        If `axis` is left out where axis 1 would fit as well as the last.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.asarray([[2.0, 1.0, -1.0], [0.0, 2.0, -2.0]])
    >>> found = target_statistics(logits, np.asarray([0, 2]), rank=True)
    >>> found.log_prob.round(4), found.rank
    (array([-0.349 , -4.1429]), array([0, 2]))
    """
    if axis is LAST_AXIS and getattr(logits, "ndim", 2) > 2:
        warn_of_axis(logits, labels)
    problem = make_problem(
        logits,
        labels,
        axis=axis,
        temperature=temperature,
        softcap=softcap,
        logit_bias=logit_bias,
        margin=margin,
        ignore_index=ignore_index,
        validate=validate,
    )
    if rank and problem.target.labels is None:
        raise ValueError("rank=True needs one label for each row; these targets are several or soft")
    problem.requested = Requested(log_partition=True, entropy=entropy, argmax=True, rank=rank)
    stats = find_statistics(problem)
    check_sums(problem, stats.dense_total)
    return TargetStatistics(stats, problem.masses, problem.loss_dtype)
