r"""The smooth calibration error: no bins, and no width to choose.

.. math:: \mathrm{smECE}_\sigma = \int_0^1 \Bigl\lvert \frac1W \sum_i w_i K_\sigma(t, p_i)\,(y_i - p_i) \Bigr\rvert dt,
   \qquad \mathrm{smECE} = \sigma^* \ \text{where}\ \mathrm{smECE}_{\sigma^*} = \sigma^*

with the Gaussian kernel reflected at 0 and 1 (Błasiok & Nakkiran 2023, https://arxiv.org/abs/2309.12236).
"""

from typing import Any

import numpy as np

from crossentropy.evaluation._prediction_table import Entries

__all__ = ["smooth_error"]

Array = np.ndarray[Any, Any]
STEPS = 1 << 13
EXACT = 1e-15  # the integral less σ falls at least as fast as σ grows
LEAST = 1e-3  # as relplot: below, the kernel would show the grid


def smooth_error(entries: Entries) -> float:
    """Compute the smooth calibration error, on a mesh of 8192 steps."""
    waves = _waves(entries)
    low, high = LEAST, 1.0
    above, below = _smoothed(waves, low) - low, _smoothed(waves, high) - high
    if above <= 0:
        return above + low
    last = 0.0
    for _ in range(60):  # regula falsi; the value at an end that stays counts half (Illinois)
        middle = (low * below - high * above) / (below - above)
        found = _smoothed(waves, middle) - middle
        if abs(found) <= EXACT:
            break
        if found > 0:
            low, above, below = middle, found, below / 2 if last > 0 else below
        else:
            high, below, above = middle, found, above / 2 if last < 0 else above
        last = found
    return middle


def _waves(entries: Entries) -> Array:
    """Return the residuals on the mesh, reflected at both ends, as waves."""
    residual = (entries.positive - entries.weight * entries.probability) / entries.weight.sum()
    place = entries.probability * STEPS
    left = np.minimum(place.astype(np.int64), STEPS - 1)
    part = place - left
    mesh = np.bincount(left, residual * (1 - part), minlength=STEPS + 1)
    mesh += np.bincount(left + 1, residual * part, minlength=STEPS + 1)
    mesh[0] *= 2  # at an end a point and its reflection are one
    mesh[-1] *= 2
    return np.fft.rfft(np.concatenate([mesh, mesh[-2:0:-1]]))


def _smoothed(waves: Array, sigma: float) -> float:
    """Integrate the absolute value of the residuals after smoothing."""
    damped = waves * np.exp(-0.5 * (sigma * np.pi * np.arange(len(waves))) ** 2)
    values = np.abs(np.fft.irfft(damped, 2 * STEPS)[: STEPS + 1])
    return float(values.sum() - (values[0] + values[-1]) / 2)
