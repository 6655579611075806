"""The choice of a calibrator, or of none."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from crossentropy.evaluation.calibrators._base import Calibrator
from crossentropy.evaluation.calibrators._clustered import ClusteredCalibrator
from crossentropy.evaluation.calibrators._folds import FOLDS, Folds
from crossentropy.evaluation.calibrators._gain import Gain, fit_and_hold_out, gain_of
from crossentropy.evaluation.calibrators._isotonic import IsotonicCalibration
from crossentropy.evaluation.calibrators._linear import MatrixScaling, VectorScaling
from crossentropy.evaluation.calibrators._logistic import BetaCalibration, PlattScaling
from crossentropy.evaluation.calibrators._rows import Rows
from crossentropy.evaluation.calibrators._temperature import TemperatureScaling

__all__ = ["METHODS", "AutoCalibration"]

Array = np.ndarray[Any, Any]
#: From few parameters to many.
METHODS: tuple[type[Calibrator], ...] = (
    TemperatureScaling,
    PlattScaling,
    BetaCalibration,
    VectorScaling,
    MatrixScaling,
    IsotonicCalibration,
)
ERROR_RATE = 0.05


class AutoCalibration(ClusteredCalibrator):
    """Choose a calibrator by what it gains on rows that it was not fitted to, or none.

    Methods are tried from few parameters to many: temperature; then Platt and beta for two classes, vector and matrix
    for more; isotonic. A method takes the place of the one before, at first of the predictions as they are, if the
    interval of its cross-validated gain over it is above 0; the intervals of all m methods hold together with 95 %
    (Bonferroni, 1 − 0.05/m each). Methods for which there are too few rows are left out.

    Parameters
    ----------
    kind : {"proba", "logits", "log_proba"}
        What predictions are.
    classes : sequence of labels, optional
        The label of each column, in their order; of one column, (negative, positive). Left out, labels are the integers
        0, 1, … that number the columns.

    Attributes
    ----------
    calibrator_ : Calibrator, or None
        The one that was chosen, fitted to all rows; None if none is better than the predictions beyond chance, which
        `predict_proba` then returns as they are.
    gains_ : tuple of Gain
        What each method gains over the predictions as they are.
    classes_ : array (C,)

    Examples
    --------
    >>> import numpy as np
    >>> from crossentropy.evaluation.calibrators import AutoCalibration
    >>> r = np.random.default_rng(0)
    >>> z = r.normal(size=2000)
    >>> y = (r.random(2000) < 1 / (1 + np.exp(-z))).astype(int)
    >>> AutoCalibration("logits").fit(3 * z, y).calibrator_
    TemperatureScaling(kind='logits')
    >>> print(AutoCalibration("logits").fit(z, y).calibrator_)
    None
    """

    method = "auto"

    def _least_rows(self, classes: int) -> int:
        return 20

    def _fit(self, rows: Rows, near: Calibrator | None = None) -> None:
        folds = Folds(rows)
        each = [method(self.kind, classes=self.classes) for method in METHODS]
        candidates = [
            c for c in each if c._fits(rows.classes) and c._least_rows(rows.classes) <= folds.least()
        ]
        confidence = 1 - ERROR_RATE / max(1, len(candidates))
        current = folds.before
        self.calibrator_: Calibrator | None = None
        gains = []
        for candidate in candidates:
            candidate._declare(self._declaration)
            losses = fit_and_hold_out(candidate, folds, rows.condensed)
            gain = gain_of(candidate, folds, folds.before, losses, confidence)
            gains.append(gain)
            if self.calibrator_ is not None:
                gain = gain_of(candidate, folds, current, losses, confidence)
            if gain.is_beyond_chance:
                self.calibrator_, current = candidate, losses
        self.gains_: tuple[Gain, ...] = tuple(gains)
        if self.calibrator_ is not None and rows.condensed is not rows:
            self.calibrator_._fit(rows)

    def _fit_without(self, folds: Folds) -> Iterator[Calibrator]:
        for k in range(FOLDS):
            part = self._unfitted()
            part._declare(self._declaration)
            part._fit(folds.without(k))
            yield part

    def _map(self, scores: Array) -> Array:
        return scores if self.calibrator_ is None else self.calibrator_._map(scores)

    def _to_dict(self) -> dict[str, Any]:
        chosen = self.calibrator_
        return {
            "gains": [vars(gain) for gain in self.gains_],
            "method": None if chosen is None else chosen.method,
            "fitted": None if chosen is None else chosen._to_dict(),
        }

    def _restore(self, fitted: dict[str, Any]) -> None:
        self.gains_ = tuple(_restored_gain(**gain) for gain in fitted["gains"])
        self.calibrator_ = None
        if fitted["method"] is not None:
            (method,) = (m for m in METHODS if m.method == fitted["method"])
            self.calibrator_ = method(self.kind, classes=self.classes)
            self.calibrator_._restore_all(self._declaration, fitted["fitted"])


def _restored_gain(*, interval: list[float] | None, **others: Any) -> Gain:
    """Return a gain as it was before it was written as JSON."""
    if interval is None:
        return Gain(interval=None, **others)
    low, high = interval
    return Gain(interval=(low, high), **others)
