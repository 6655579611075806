"""What chance does to calibration: the interval of the calibration error, and tests of the predictions."""

import math
from collections.abc import Sequence
from statistics import NormalDist

from crossentropy.evaluation import _reliability as reliability
from crossentropy.evaluation._exact import UNIT, ExactSum
from crossentropy.evaluation._intervals import cluster_variance, student_interval
from crossentropy.evaluation._part import Part
from crossentropy.evaluation._reliability_bins import Bin

__all__ = ["ece_interval", "surprises"]

NORMAL = NormalDist()


def ece_interval(part: Part, interval: float) -> tuple[float, float] | None:
    r"""Return the interval of the calibration error of bins that more rows would show, given the predictions.

    .. math:: \Bigl[\mathrm{ECE} - \sum_b c_b - t s,\; \mathrm{ECE} + t s\Bigr], \qquad s^2 = \sum_b s_b^2

    The error is above 0 by chance, by ``c`` in each bin, of which `gap_errors` gives the standard error. Clusters make
    all of these larger, as they make the standard error of the sum, and never smaller.

    None of fewer than two clusters, and where an earlier release has not kept the sums.
    """
    totals, bins, clusters = part.totals, part.bins.bins(), part.clusters
    design = totals.n * ((totals["weight_square"].scaled << UNIT) / totals["weight"].scaled ** 2)
    errors, freedom = gap_errors(bins, design), max(1, totals.n - 1)
    variance, effect = math.fsum(s * s for s in errors), 1.0
    if clusters is not None:
        if not clusters.is_complete:
            return None
        gaps = (b.positive - b.probability for b in bins)
        weights, sums = clusters.gaps_of_groups([(gap > 0) - (gap < 0) for gap in gaps])
        by_cluster, freedom = cluster_variance(weights, sums), len(weights) - 1
        if by_cluster is None:
            return None
        effect = max(1.0, by_cluster / variance)
    total = sum(b.weight for b in bins)
    chance = math.fsum(
        chance_gap(abs(b.positive - b.probability) / total, s * math.sqrt(effect))
        for b, s in zip(bins, errors, strict=True)
    )
    ends = student_interval(reliability.expected_error(bins), math.sqrt(variance * effect), freedom, interval)
    return None if ends is None else (max(0.0, ends[0] - chance), ends[1])


def gap_errors(bins: Sequence[Bin], design: float) -> list[float]:
    r"""Return the standard errors of what bins contribute to the calibration error, given the predictions.

    .. math:: s_b = \frac{W_b}{W} \sqrt{d\, \frac{f_b (1 - f_b)}{n_b}}, \qquad
       f_b = \frac{n_b \bar y_b + 2}{n_b + 4}, \qquad d = \frac{n \sum_i w_i^2}{W^2}

    The frequency f has two more rows of each label, so that a few rows of one label are no proof that all are (Agresti
    & Coull 1998, https://doi.org/10.1080/00031305.1998.10480550). The design effect d is that of the weights of all
    rows. Labels in a bin vary at most as much as if they had one probability, so that this is too large rather than too
    small. 0 for bins without rows.
    """
    total = sum(b.weight for b in bins)
    errors = []
    for b in bins:
        f = (b.n * (b.positive / b.weight) + 2) / (b.n + 4) if b.weight else 0.0
        errors.append(b.weight / total * math.sqrt(design * f * (1 - f) / b.n) if b.n else 0.0)
    return errors


def chance_gap(gap: float, error: float) -> float:
    r"""Return how much larger the mean of ``|gap|`` is than a true gap θ, which is two standard errors below it, or 0.

    .. math:: E|X| - \theta = 2 s \bigl(\varphi(\theta / s) - \tfrac{\theta}{s}\, \Phi(-\theta / s)\bigr), \qquad
       X \sim N(\theta, s^2), \qquad \theta = \max(0, |\mathrm{gap}| - 2 s)

    Examples
    --------
    >>> round(chance_gap(0.0, 0.01), 6), round(chance_gap(0.1, 0.01), 6)
    (0.007979, 0.0)
    """
    if not error:
        return 0.0
    t = max(0.0, gap / error - 2)
    return 2 * error * (NORMAL.pdf(t) - t * NORMAL.cdf(-t))


def surprises(part: Part) -> dict[str, float | None]:
    r"""Return how far scores are from what the predictions expect, in standard deviations.

    .. math:: z = \frac{\sum_i w_i e_i}{\sqrt{\max(V, V_G)}}, \qquad V = \sum_i w_i^2 v_i, \qquad
       V_G = \frac{G}{G - 1} \sum_g \Bigl(\sum_{i \in g} w_i e_i\Bigr)^2

    The excess e of a row has the expectation 0 and the variance v if its label is drawn from its prediction. Of G
    clusters the sums have the expectation 0 too, so that no mean is taken off; without clusters there is V alone. If
    predictions are right, z is beyond ±1.96 in 5 % of data sets; of 10 to 200 clusters of uneven sizes, in 5 to 8 %.

    None for soft labels and one cluster, and where an earlier release has not kept the sums.
    """
    clusters, totals = part.clusters, part.totals
    if part.declaration.soft or (clusters is not None and not clusters.is_complete):
        return {"spiegelhalter_z": None, "log_score_z": None}
    log_excesses, brier_excesses = (None, None) if clusters is None else clusters.excesses()
    log_excess = totals["loss"].scaled - totals["entropy"].scaled
    return {
        "spiegelhalter_z": _z(totals["brier_excess"].scaled, totals["brier_variance"], brier_excesses),
        "log_score_z": math.inf if totals.n_infinite else _z(log_excess, totals["variance"], log_excesses),
    }


def _z(excess: int, variance: ExactSum, of_clusters: Sequence[int] | None) -> float | None:
    spread = float(variance)
    if of_clusters is not None:
        count = len(of_clusters)
        if count < 2:
            return None
        square = sum(x * x for x in of_clusters)
        spread = max(spread, float(ExactSum((count * square // (count - 1)) >> UNIT)))
    return float(ExactSum(excess)) / math.sqrt(spread) if spread > 0 else None
