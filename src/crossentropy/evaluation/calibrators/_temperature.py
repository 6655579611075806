"""Temperature scaling."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from crossentropy.evaluation._intervals import student_quantile
from crossentropy.evaluation._newton import CLOSE, minimize_from_zero, sigmoid
from crossentropy.evaluation.calibrators._base import Calibrator, restored
from crossentropy.evaluation.calibrators._clustered import ClusteredCalibrator
from crossentropy.evaluation.calibrators._folds import Folds
from crossentropy.evaluation.calibrators._rows import MANY, Rows
from crossentropy.evaluation.calibrators._softmax import scaled_by, softmax_terms

__all__ = ["TemperatureScaling"]

Array = np.ndarray[Any, Any]
#: After a relative step as small as this, the error is about its square.
SMALL = 1e-2


class TemperatureScaling(ClusteredCalibrator):
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
        The interval of 95 % by the sandwich, on the scale of log T; of rows in clusters, by the sums of their clusters.
        None if the labels do not bound T, or there is one cluster.
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
        if likelihood.is_flat():
            self._power = 1.0
        elif likelihood(0.0)[0] < 0:
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
        few = rows.condensed if rows.classes == 2 else rows.sample(MANY)
        return 1.0 if few is rows else minimize_from_zero(_Likelihood(few))

    def _fit_without(self, folds: Folds) -> Iterator[Calibrator]:
        """Yield fits without each fold; of many rows of many classes, one step of Newton's from the fit to all."""
        steps = self._steps_without(folds)
        if steps is None:
            yield from super()._fit_without(folds)
            return
        for power in steps:
            part = TemperatureScaling(self.kind, classes=self.classes)
            part._power = power
            yield part

    def _steps_without(self, folds: Folds) -> list[float] | None:
        """Return the power after a step for each fold; None where a step is not near enough to the minimum."""
        rows = folds.rows
        if rows.classes == 2 or rows.sample(MANY) is rows or not _Likelihood(rows).is_bounded():
            return None
        slopes, curvatures = (np.asarray(x) for x in zip(*map(self._derivatives, folds.parts), strict=True))
        steps = (slopes.sum() - slopes) / (curvatures.sum() - curvatures)
        return None if (np.abs(steps) > SMALL * self._power).any() else (self._power - steps).tolist()

    def _derivatives(self, rows: Rows) -> tuple[float, float]:
        return _Likelihood(rows)(self._power)

    def _losses(self, rows: Rows) -> Array:
        if rows.classes == 2:
            return super()._losses(rows)
        power = scaled_by(self._power, rows.classes)
        return softmax_terms(rows.scores, rows.targets, power, by_row=("loss",)).by_row["loss"]

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
        self.rows, self._targets = rows, rows.targets
        self._last: tuple[float, Array, Array] | None = None

    def smooth(self) -> None:
        """Let each label keep a little for other classes."""
        self._targets, self._last = self.rows.smoothed(), None

    def is_flat(self) -> bool:
        """Tell whether all classes of a row have one score, in each row: no temperature changes that."""
        z = self.rows.scores
        return not (z if z.ndim == 1 else z != z[:, :1]).any()

    def is_bounded(self) -> bool:
        """Tell whether a label, or some of its mass, has a lower score than another class."""
        z, targets, n = self.rows.scores, self.rows.targets, len(self.rows)
        for start in range(0, n, MANY):
            part, own = z[start : start + MANY], targets[start : start + MANY]
            if z.ndim == 1:
                highest, of_label = np.maximum(part, 0.0), own * part
            else:
                highest = part.max(axis=1)
                of_label = (own * part).sum(axis=1) if self.rows.is_soft else part[np.arange(len(part)), own]
            if (of_label < highest).any():
                return True
        return False

    def moments(self, beta: float) -> tuple[Array, Array]:
        """Return each row's slope and curvature."""
        z = self.rows.scores
        if z.ndim == 1:
            p = sigmoid(beta * z)
            return (p - self._targets) * z, p * (1 - p) * z * z
        power = scaled_by(beta, self.rows.classes)
        terms = softmax_terms(z, self._targets, power, by_row=("slope", "curvature"))
        return terms.by_row["slope"], terms.by_row["curvature"]

    def moments_near(self, beta: float) -> tuple[Array, Array]:
        """Return what `moments` returns for this power, or for one that differs by less than it is known."""
        if self._last is None or abs(self._last[0] - beta) > 2 * CLOSE * beta:
            return self.moments(beta)
        return self._last[1:]

    def __call__(self, beta: float) -> tuple[float, float]:
        slopes, curvatures = self.moments(beta)
        self._last = beta, slopes, curvatures
        return self.rows.total(slopes), self.rows.total(curvatures)

    def interval(self, beta: float) -> tuple[float, float] | None:
        """Return the interval of 95 % of the temperature; None if an end of it is 0 or infinite."""
        slopes, curvatures = self.moments_near(beta)
        total = self.rows.total(curvatures)
        scores = slopes if self.rows.weight is None else slopes * self.rows.weight
        if self.rows.cluster is not None:
            scores = np.bincount(np.unique(self.rows.cluster, return_inverse=True)[1].reshape(-1), scores)
        n = len(scores)
        if not total or n < 2:
            return None
        spread = math.sqrt(n / (n - 1) * float(np.square(scores).sum())) / total
        reach = student_quantile(0.975, n - 1) * spread / beta
        with np.errstate(over="ignore", under="ignore"):
            low, high = (np.exp([-reach, reach]) / beta).tolist()
        return (low, high) if low > 0 and math.isfinite(high) else None
