"""Standardize numbers, such that no single cell decides what the others become."""

from dataclasses import dataclass

import numpy as np

#: a number is extreme if it is farther from the median than this many times the typical distance
REACH = 100.0
_LARGEST = 1e300


@dataclass(frozen=True)
class Scaling:
    """How the numbers of a column become an input: ``(clip(x, low, high) − center) / scale``, 0 where missing."""

    center: float
    scale: float
    low: float
    high: float

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Standardize numbers (rows,), float64; infinite ones are the nearest limit."""
        scaled = (np.clip(values, self.low, self.high) - self.center) / self.scale
        return np.where(np.isnan(scaled), 0.0, scaled)


def reach(values: np.ndarray) -> tuple[float, float]:
    """Find the limits beyond which numbers are extreme.

    They are ``median ± REACH s``, where ``s`` is the median of the distances ``|x − median|`` that are not 0. It is
    independent of how large the extreme numbers are, up to half of them.
    """
    known = np.clip(values[~np.isnan(values)], -_LARGEST, _LARGEST)
    if not len(known):
        return 0.0, 0.0
    median = float(np.median(known))
    distances = np.abs(known - median)
    distances = distances[distances > 0]
    spread = float(np.median(distances)) if len(distances) else 0.0
    return max(median - REACH * spread, -_LARGEST), min(median + REACH * spread, _LARGEST)


def fit_scaling(values: np.ndarray) -> Scaling:
    """Learn mean and standard deviation of the training numbers within `reach`, and the limits for all numbers.

    The limits are one range of these numbers below the least and above the largest of them. So an extreme number has
    no part in what the others become, and does not become extreme itself.
    """
    low, high = reach(values)
    known = values[(values >= low) & (values <= high)]
    if not len(known):
        return Scaling(0.0, 1.0, 0.0, 0.0)
    middle = float(np.median(known))
    offsets = known - middle
    size = float(np.abs(offsets).max()) or 1.0  # squares of offsets / size neither overflow nor vanish
    center = middle + float((offsets / size).mean()) * size
    deviation = float((offsets / size).std()) * size
    least, most = float(known.min()), float(known.max())
    return Scaling(center, deviation or 1.0, least - (most - least), most + (most - least))
