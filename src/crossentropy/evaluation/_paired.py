"""The mean of numbers of rows, as differences of losses, with its error."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from crossentropy.evaluation._clusters import ClusterSums
from crossentropy.evaluation._exact import UNIT, ExactSum, exact_sums
from crossentropy.evaluation._intervals import cluster_variance, mean_of, sandwich_variance, student_quantile
from crossentropy.evaluation._student import student_p

__all__ = ["Mean", "mean_over_rows"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Mean:
    """A mean over rows."""

    value: float
    #: None for fewer than two rows or clusters, and if the mean is not finite.
    standard_error: float | None
    #: Degrees of freedom of Student's distribution.
    freedom: int

    @property
    def t(self) -> float | None:
        """The mean in standard errors; None if there is no error."""
        if self.standard_error is None:
            return None
        if self.standard_error == 0:
            return math.copysign(math.inf, self.value) if self.value else 0.0
        return self.value / self.standard_error

    @property
    def p_value(self) -> float | None:
        """The probability of a mean as far from 0 by chance; None if there is no error."""
        return None if self.t is None else student_p(self.t, self.freedom)

    def interval(self, confidence: float) -> tuple[float, float] | None:
        """Return the interval by Student's distribution."""
        if self.standard_error is None:
            return None
        reach = student_quantile(0.5 + confidence / 2, self.freedom) * self.standard_error
        return self.value - reach, self.value + reach


def mean_over_rows(values: Array, weight: Array | None = None, cluster: Array | None = None) -> Mean:
    """Average a number of each row; sums are exact, so that the order of rows makes no difference.

    Parameters
    ----------
    values : float64 array (n,), contiguous
    weight : float64 array (n,), optional
    cluster : uint64 array (n,), optional
        The hash of each row's cluster; without it rows are independent.

    Examples
    --------
    >>> import numpy as np
    >>> mean = mean_over_rows(np.asarray([1.0, 2.0, 4.0]))
    >>> round(mean.value, 6), round(mean.standard_error, 6), mean.freedom
    (2.333333, 0.881917, 2)
    """
    n = len(values)
    weighted = values if weight is None else values * weight
    terms = [weighted, (weighted, weighted)]
    if weight is None:
        total, square = exact_sums(terms)
        units = ExactSum(n << UNIT)
        moments = (units, units, total, square, total)
    else:
        moments = _reordered(exact_sums([*terms, weight, (weight, weight), (weight, weighted)]))
    mean, variance, freedom = mean_of(moments[2], moments[0]), None, n - 1
    if math.isfinite(mean) and cluster is None:
        variance = sandwich_variance(n, *moments)
    elif math.isfinite(mean) and cluster is not None:
        clusters = ClusterSums()
        clusters.add(cluster, np.ones(n) if weight is None else weight, weighted)
        weights, losses = clusters.sums()
        variance, freedom = cluster_variance(weights, losses), len(weights) - 1
    return Mean(mean, None if variance is None else math.sqrt(max(0.0, variance)), max(1, freedom))


def _reordered(sums: list[ExactSum]) -> tuple[ExactSum, ExactSum, ExactSum, ExactSum, ExactSum]:
    """Put the moments of weighted rows into the order of `sandwich_variance`."""
    loss, loss_square, weight, weight_square, weight_loss = sums
    return weight, weight_square, loss, loss_square, weight_loss
