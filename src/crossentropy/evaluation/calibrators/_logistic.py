"""Platt scaling and beta calibration: logistic regressions for two classes."""

from itertools import chain, combinations
from typing import Any

import numpy as np

from crossentropy.evaluation._newton import fit_logistic
from crossentropy.evaluation.calibrators._base import Calibrator, restored
from crossentropy.evaluation.calibrators._rows import Rows

__all__ = ["BetaCalibration", "PlattScaling"]

Array = np.ndarray[Any, Any]


class _TwoClasses(Calibrator):
    """A logistic regression on features (k, n) of the log-odds."""

    coefficients_: Array

    def _fits(self, classes: int) -> bool:
        return classes == 2

    def _wrong_classes(self, classes: int) -> str:
        return "VectorScaling or MatrixScaling, which are the same for more classes"

    def _coefficients(self, rows: Rows, used: list[int], near: Calibrator | None) -> Array | None:
        """Fit the logistic regression on some of the features; its last steps are on all rows."""
        start: Array | None = np.asarray([0.0, *(1.0 for _ in used[1:])])
        few = rows.condensed
        if isinstance(near, _TwoClasses):
            start, few = near.coefficients_[used], rows
        for part in (rows,) if few is rows else (few, rows):
            if start is not None:
                start = fit_logistic(
                    self._features(part.scores)[used], part.weights, self._positive(part), start
                )
        return start

    def _map(self, scores: Array) -> Array:
        return np.asarray(self.coefficients_ @ self._features(scores))

    def _features(self, z: Array) -> Array:
        raise NotImplementedError

    def _positive(self, rows: Rows) -> Array:
        """Return the weight on label 1; smoothed if a threshold on the predictions separates the labels."""
        one, zero = rows.scores[rows.targets > 0], rows.scores[rows.targets < 1]
        apart = not len(one) or not len(zero)
        if not apart and not _are_constant(rows):
            apart = bool(one.min() >= zero.max() or zero.min() >= one.max())
        return rows.weights * (rows.smoothed() if apart else rows.targets)

    def _to_dict(self) -> dict[str, Any]:
        return {"coefficients": self.coefficients_.tolist()}

    def _restore(self, fitted: dict[str, Any]) -> None:
        self.coefficients_ = restored(fitted["coefficients"], self._features(np.zeros(1)).shape[:1])


def _are_constant(rows: Rows) -> bool:
    """Tell whether all predictions are equal."""
    return bool(np.ptp(rows.scores) == 0)


class PlattScaling(_TwoClasses):
    r"""Scale and shift the log-odds of two classes.

    .. math:: \operatorname{logit} q = b + a \operatorname{logit} p

    The maximum of the likelihood, as Cox's slope and intercept (Platt 1999). If a threshold separates the labels, which
    has no maximum, each label keeps 1/(n + 2) for the other class. If all predictions are equal, the scale is 0.

    Parameters
    ----------
    kind : {"proba", "logits", "log_proba"}
        What predictions are.
    classes : sequence of labels, optional
        The label of each column, in their order; of one column, (negative, positive). Left out, labels are 0 and 1.

    Attributes
    ----------
    coefficients_ : float64 array (2,)
        The shift b and the scale a.
    classes_ : array (2,)

    Examples
    --------
    >>> import numpy as np
    >>> from crossentropy.evaluation.calibrators import PlattScaling
    >>> p, y = np.repeat([0.1, 0.9], 50), np.repeat([0, 1, 0, 1], [40, 10, 10, 40])
    >>> PlattScaling("proba").fit(p, y).predict_proba([0.9]).round(6).tolist()
    [[0.2, 0.8]]
    """

    method = "platt"

    def _least_rows(self, classes: int) -> int:
        return 20

    def _fit(self, rows: Rows, near: Calibrator | None = None) -> None:
        used = [0] if _are_constant(rows) else [0, 1]
        fit = self._coefficients(rows, used, near)
        self.coefficients_ = np.asarray([0.0, 1.0])
        if fit is not None:
            self.coefficients_ = np.zeros(2)
            self.coefficients_[used] = fit

    def _features(self, z: Array) -> Array:
        return np.stack([np.ones_like(z), z])


class BetaCalibration(_TwoClasses):
    r"""Scale log p and log(1 − p) of two classes apart, and shift.

    .. math:: \operatorname{logit} q = c + a \ln p - b \ln(1 - p), \qquad a, b \ge 0

    (Kull, Silva Filho & Flach 2017, https://proceedings.mlr.press/v54/kull17a.html.) The maximum of the likelihood with
    these bounds.

    Parameters
    ----------
    kind : {"proba", "logits", "log_proba"}
        What predictions are.
    classes : sequence of labels, optional
        The label of each column, in their order; of one column, (negative, positive). Left out, labels are 0 and 1.

    Attributes
    ----------
    coefficients_ : float64 array (3,)
        The shift c, and a and b.
    classes_ : array (2,)

    Examples
    --------
    >>> import numpy as np
    >>> from crossentropy.evaluation.calibrators import BetaCalibration
    >>> p, y = np.repeat([0.1, 0.5, 0.9], 40), np.tile([0, 0, 0, 1], 30)
    >>> BetaCalibration("proba").fit(p, y).predict_proba([0.3]).round(6).tolist()
    [[0.75, 0.25]]
    """

    method = "beta"

    def _least_rows(self, classes: int) -> int:
        return 30

    def _fit(self, rows: Rows, near: Calibrator | None = None) -> None:
        features, weight, positive = self._features(rows.scores), rows.weights, self._positive(rows)
        best, least = np.asarray([0.0, 1.0, 1.0]), np.inf
        for free in chain.from_iterable(combinations((1, 2), k) for k in (2, 1, 0)):
            used = [0, *free]
            fit = self._coefficients(rows, used, near)
            if fit is None or (fit[1:] < 0).any():
                continue
            u = fit @ features[used]
            loss = float((weight * np.logaddexp(0, u) - positive * u).sum())
            if loss < least:
                best, least = np.zeros(3), loss
                best[used] = fit
            if len(free) == 2:
                break  # the minimum without bounds is within them
        self.coefficients_ = best

    def _features(self, z: Array) -> Array:
        return np.stack([np.ones_like(z), -np.logaddexp(0, -z), np.logaddexp(0, z)])
