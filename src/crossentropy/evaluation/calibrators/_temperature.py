"""Temperature scaling."""

import math
from typing import Any

import numpy as np

from crossentropy.evaluation._intervals import student_quantile
from crossentropy.evaluation._newton import minimize_from_zero, sigmoid
from crossentropy.evaluation.calibrators._base import Calibrator, restored
from crossentropy.evaluation.calibrators._rows import Rows

__all__ = ["TemperatureScaling"]

Array = np.ndarray[Any, Any]
#: Numbers that are worked on at once, so that they stay in a cache.
CACHED = 1 << 17


class TemperatureScaling(Calibrator):
    r"""Divide logits by one number, the temperature, that makes the labels most likely.

    .. math:: q = \operatorname{softmax}(z / T)

    The log loss is convex in 1/T, and is minimized by Newton's method in a bracket (Guo et al. 2017,
    https://arxiv.org/abs/1706.04599). T is infinite, and the probabilities uniform, if predictions say less than
    nothing about labels. If every row's label has the highest probability, no temperature is the best: then each label
    keeps 1/(n + 2) for other classes.

    Parameters
    ----------
    kind : {"proba", "logits", "log_proba"}
        What predictions are.
    classes : sequence of labels, optional
        The label of each column, in their order; of one column, (negative, positive). Left out, labels are the integers
        0, 1, … that number the columns.

    Attributes
    ----------
    temperature_ : float
    temperature_interval_ : (float, float), or None
        The interval of 95 % by the sandwich, on the scale of log T. None if the labels do not bound T.
    classes_ : array (C,)

    Examples
    --------
    Of ten coins that were given logits of 2, eight fell so: the best temperature is 2 / ln 4.

    >>> import numpy as np
    >>> from crossentropy.evaluation.calibrators import TemperatureScaling
    >>> logits, y = np.tile([2.0, 0.0], (10, 1)), [0] * 8 + [1] * 2
    >>> scaling = TemperatureScaling("logits").fit(logits, y)
    >>> round(scaling.temperature_, 9), scaling.predict_proba(logits[:1]).round(9).tolist()
    (1.442695041, [[0.8, 0.2]])
    """

    method = "temperature"

    def _least_rows(self, classes: int) -> int:
        return 10

    def _fit(self, rows: Rows, near: Calibrator | None = None) -> None:
        likelihood = _Likelihood(rows)
        self._power, self.temperature_interval_ = 0.0, None
        if likelihood(0.0)[0] < 0:
            bounded = likelihood.is_bounded()
            if not bounded:
                likelihood.smooth()
            self._power = minimize_from_zero(likelihood, self._start(rows, near) if bounded else 1.0)
            if bounded:
                self.temperature_interval_ = likelihood.interval(self._power)
        self.temperature_ = 1 / self._power if self._power else math.inf

    def _start(self, rows: Rows, near: Calibrator | None) -> float:
        """Return a power to start from."""
        if isinstance(near, TemperatureScaling):
            return near._power or 1.0
        few = rows.condensed()
        return 1.0 if few is rows else minimize_from_zero(_Likelihood(few))

    def _map(self, scores: Array) -> Array:
        return scores * self._power

    def _to_dict(self) -> dict[str, Any]:
        return {"power": self._power, "interval": self.temperature_interval_}

    def _restore(self, fitted: dict[str, Any]) -> None:
        self._power = float(restored(fitted["power"], ()))
        if self._power < 0:
            raise ValueError(f"the power is {self._power}, below 0")
        self.temperature_ = 1 / self._power if self._power else math.inf
        self.temperature_interval_ = None
        if fitted["interval"] is not None:
            low, high = restored(fitted["interval"], (2,)).tolist()
            self.temperature_interval_ = (low, high)


class _Likelihood:
    """Slope and curvature of the log loss by the power β = 1/T, summed over rows."""

    def __init__(self, rows: Rows) -> None:
        self.rows, z = rows, rows.scores
        if z.ndim == 1:
            self._below = z
            self._of_label = np.where(rows.labels == 1, z, 0.0)
        else:
            self._below = np.ascontiguousarray(
                (z - z.max(axis=1, keepdims=True)).T
            )  # (C, n), the highest are 0
            self._of_label = self._below[rows.labels, np.arange(len(z))]

    def smooth(self) -> None:
        """Let each label keep a little for other classes."""
        masses = self.rows.smoothed()
        self._of_label = masses * self._below if masses.ndim == 1 else (masses.T * self._below).sum(axis=0)

    def is_bounded(self) -> bool:
        """Tell whether a label has a lower score than another class."""
        highest = np.maximum(self._below, 0.0) if self._below.ndim == 1 else 0.0
        return bool((self._of_label < highest).any())

    def moments(self, beta: float) -> tuple[Array, Array]:
        """Return each row's slope and curvature."""
        z = self._below
        if z.ndim == 1:
            p = sigmoid(beta * z)
            return p * z - self._of_label, p * (1 - p) * z * z
        slopes, curvatures = np.empty(z.shape[1]), np.empty(z.shape[1])
        step = max(1, CACHED // len(z))
        for start in range(0, z.shape[1], step):
            here = slice(start, start + step)
            part = z[:, here]
            p = np.exp(beta * part)
            p /= p.sum(axis=0)
            mean = (p * part).sum(axis=0)
            slopes[here] = mean - self._of_label[here]
            curvatures[here] = (p * (part - mean) ** 2).sum(axis=0)
        return slopes, curvatures

    def __call__(self, beta: float) -> tuple[float, float]:
        slopes, curvatures = self.moments(beta)
        return self.rows.total(slopes), self.rows.total(curvatures)

    def interval(self, beta: float) -> tuple[float, float] | None:
        """Return the interval of 95 % of the temperature; None if an end of it is 0 or infinite."""
        slopes, curvatures = self.moments(beta)
        weight, n = self.rows.weights, len(slopes)
        total = self.rows.total(curvatures)
        if not total:
            return None
        spread = math.sqrt(n / (n - 1) * float(np.square(weight * slopes).sum())) / total
        reach = student_quantile(0.975, n - 1) * spread / beta
        with np.errstate(over="ignore", under="ignore"):
            low, high = (np.exp([-reach, reach]) / beta).tolist()
        return (low, high) if low > 0 and math.isfinite(high) else None
