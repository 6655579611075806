"""Standard errors and intervals of a mean of losses, from exact moments."""

import math
from collections.abc import Sequence
from statistics import NormalDist

from crossentropy.evaluation._exact import UNIT, ExactSum
from crossentropy.evaluation._student import student_p

__all__ = [
    "bootstrap_interval",
    "check_confidence",
    "cluster_variance",
    "exp_or_infinity",
    "mean_of",
    "sandwich_variance",
    "student_interval",
    "student_quantile",
]


#: Up to so many degrees of freedom a quantile's expansion is improved, by so many steps.
ROUGH, STEPS = 50, 6


def check_confidence(confidence: float, name: str = "interval") -> None:
    """Check the confidence of intervals; `name` is what the caller calls the argument.

    Raises
    ------
    ValueError
        Unless it lies between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(
            f"{name} is {confidence:g}; pass the confidence of intervals, between 0 and 1, as 0.95"
        )


def exp_or_infinity(x: float) -> float:
    """Return exp x, infinite where that is too large for a float."""
    return math.exp(x) if x < 709.78 else math.inf


def mean_of(total: ExactSum, weight: ExactSum) -> float:
    """Divide exact sums; NaN without weight."""
    if not weight.scaled:
        return math.nan
    if total.nan or total.plus or total.minus:
        return float(total)
    return total.scaled / weight.scaled


def sandwich_variance(
    n: int,
    weight: ExactSum,
    weight_square: ExactSum,
    loss: ExactSum,
    loss_square: ExactSum,
    weight_loss: ExactSum,
) -> float | None:
    r"""Variance of a weighted mean of independent rows.

    .. math:: \frac{n}{n - 1}\, \frac{\sum_i w_i^2 (\ell_i - L)^2}{W^2}, \qquad L = \frac{\sum_i w_i \ell_i}{W}

    The sums are of ``w``, ``w²``, ``w ℓ``, ``(w ℓ)²`` and ``w² ℓ``. None for fewer than two rows.
    """
    if n < 2 or not weight.scaled or loss_square.plus or loss_square.nan:
        return None
    W, A = weight.scaled, loss.scaled  # integers in units of 2^-1074, of which one is left in the quotient
    square = W * W * loss_square.scaled - 2 * A * W * weight_loss.scaled + A * A * weight_square.scaled
    return ((n * square) << UNIT) / ((n - 1) * W**4)


def cluster_variance(weights: Sequence[int], losses: Sequence[int]) -> float | None:
    r"""Variance of a weighted mean of rows that are independent only between clusters.

    .. math:: \frac{G}{G - 1}\, \frac{\sum_g \bigl(\sum_{i \in g} w_i (\ell_i - L)\bigr)^2}{W^2}

    Of each of G clusters, the weight and the weighted loss, both in the same unit, which cancels. None for fewer than
    two clusters.
    """
    count, W, A = len(weights), sum(weights), sum(losses)
    if count < 2 or not W:
        return None
    square = sum((a * W - A * w) ** 2 for w, a in zip(weights, losses, strict=True))
    return count * square / ((count - 1) * W**4)


def student_interval(
    mean: float, standard_error: float | None, freedom: int, confidence: float
) -> tuple[float, float] | None:
    """Return the interval by Student's distribution; a mean of losses is not below 0."""
    if standard_error is None or not math.isfinite(mean) or not math.isfinite(standard_error):
        return None
    reach = student_quantile(0.5 + confidence / 2, freedom) * standard_error
    return max(0.0, mean - reach), mean + reach


def student_quantile(probability: float, freedom: int) -> float:
    """Return a quantile of Student's distribution, for a probability above ½.

    For ν > 2 it is that of its expansion in 1/ν (Abramowitz & Stegun 26.7.5), after Newton's steps where that is rough.

    Examples
    --------
    >>> round(student_quantile(0.975, 10), 3), round(student_quantile(0.975, 10**9), 3)
    (2.228, 1.96)
    """
    if freedom == 1:
        return math.tan(math.pi * (probability - 0.5))
    if freedom == 2:
        a = 4 * probability * (1 - probability)
        return 2 * (probability - 0.5) * math.sqrt(2 / a)
    x, v = NormalDist().inv_cdf(probability), float(freedom)
    terms = (
        (x**3 + x) / 4,
        (5 * x**5 + 16 * x**3 + 3 * x) / 96,
        (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / 384,
        (79 * x**9 + 776 * x**7 + 1482 * x**5 - 1920 * x**3 - 945 * x) / 92160,
    )
    t = x + sum(term / v ** (i + 1) for i, term in enumerate(terms))
    if freedom > ROUGH:
        return t
    log_peak = math.lgamma((v + 1) / 2) - math.lgamma(v / 2) - 0.5 * math.log(v * math.pi)
    for _ in range(STEPS):  # from below, where the tail is convex, so that no step goes too far
        density = math.exp(log_peak - 0.5 * (v + 1) * math.log1p(t * t / v))
        t += (0.5 * student_p(t, v) - (1 - probability)) / density
    return t


def bootstrap_interval(
    weights: Sequence[int], losses: Sequence[int], confidence: float
) -> tuple[float, tuple[float, float]] | None:
    """Return standard error and percentile interval of the replicates' means; None for fewer than two of them."""
    means = sorted(a / w for w, a in zip(weights, losses, strict=True) if w)
    if len(means) < 2:
        return None
    center = math.fsum(means) / len(means)
    error = math.sqrt(math.fsum((x - center) ** 2 for x in means) / (len(means) - 1))
    tail = (1 - confidence) / 2
    return error, (_quantile(means, tail), _quantile(means, 1 - tail))


def _quantile(ordered: Sequence[float], probability: float) -> float:
    """Interpolate between order statistics, as NumPy does by default."""
    place = probability * (len(ordered) - 1)
    low = min(int(place), len(ordered) - 2)
    return ordered[low] + (place - low) * (ordered[low + 1] - ordered[low])
