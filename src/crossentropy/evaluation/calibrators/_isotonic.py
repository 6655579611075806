"""Isotonic calibration."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from crossentropy.evaluation._decomposition import pool_adjacent_violators
from crossentropy.evaluation._row_scores import logistic_loss
from crossentropy.evaluation.calibrators._base import Calibrator, restored
from crossentropy.evaluation.calibrators._folds import Folds
from crossentropy.evaluation.calibrators._rows import Rows

__all__ = ["IsotonicCalibration"]

Array = np.ndarray[Any, Any]
#: Beyond it log-odds are as good as infinite.
FARTHEST = 750.0
#: Of more rows, log-odds are rounded to such parts of 1.
MOST_EXACT, PLACES = 1 << 16, 128


class _Curve(NamedTuple):
    """An increasing function: the log-odds of the first and last prediction of each block, and their new log-odds."""

    at: Array
    to: Array

    def __call__(self, z: Array) -> Array:
        return np.interp(z, self.at, self.to)


class IsotonicCalibration(Calibrator):
    r"""The best increasing function of the probability, by pooling adjacent violators.

    Between the blocks it is linear in the log-odds. Half a row of label 1 below all predictions and half a row of label
    0 above them keep probabilities off 0 and 1, which the next row could prove wrong at infinite cost. Of more than two
    classes, each is calibrated against the rest and the results are divided by their sum (Zadrozny & Elkan 2002).

    Of more than 65536 rows, log-odds are rounded to multiples of 1/128, which changes p and 1 − p by less than 0.4 %.

    Parameters
    ----------
    kind : {"proba", "logits", "log_proba"}
        What predictions are.
    classes : sequence of labels, optional
        The label of each column, in their order; of one column, (negative, positive). Left out, labels are the integers
        0, 1, … that number the columns.

    Attributes
    ----------
    classes_ : array (C,)

    Examples
    --------
    >>> import numpy as np
    >>> from crossentropy.evaluation.calibrators import IsotonicCalibration
    >>> p, y = np.repeat([0.1, 0.2, 0.9], 400), np.tile([1, 0, 0, 0], 300)
    >>> IsotonicCalibration("proba").fit(p, y).predict_proba([0.5]).round(2).tolist()
    [[0.75, 0.25]]
    """

    method = "isotonic"

    def _least_rows(self, classes: int) -> int:
        return 1000

    def _fit(self, rows: Rows, near: Calibrator | None = None) -> None:
        if rows.classes == 2:
            self._curves = [_fit_curve(rows.scores, rows.targets, rows.weight)]
            return
        self._curves = [
            _fit_curve(z, rows.masses_of(k), rows.weight) for k, z in enumerate(_against_rest(rows.scores))
        ]

    def _fit_without(self, folds: Folds) -> Iterator[Calibrator]:
        """Yield fits without each fold; of many rows of many classes, all from one count of them."""
        if folds.rows.classes == 2 or len(folds.rows) <= MOST_EXACT:
            yield from super()._fit_without(folds)
            return
        fits = [IsotonicCalibration(self.kind, classes=self.classes) for _ in folds.parts]
        for fit in fits:
            fit._curves = []
        odds = [_against_rest(part.scores) for part in folds.parts]
        for k in range(folds.rows.classes):
            counts = [
                _count_on_grid(z[k], part.masses_of(k), part.weight)
                for z, part in zip(odds, folds.parts, strict=True)
            ]
            whole = np.sum(counts, axis=0)
            for fit, own in zip(fits, counts, strict=True):
                fit._curves.append(_curve_of_counts(whole - own))
        yield from fits

    def _map(self, scores: Array) -> Array:
        if len(self._curves) == 1:
            return self._curves[0](scores)
        ones = np.ones(len(scores), np.int64)
        columns = zip(self._curves, _against_rest(scores), strict=True)
        return -np.stack([logistic_loss(curve(z), ones) for curve, z in columns]).T

    def _to_dict(self) -> dict[str, Any]:
        return {"curves": [{"at": curve.at.tolist(), "to": curve.to.tolist()} for curve in self._curves]}

    def _restore(self, fitted: dict[str, Any]) -> None:
        classes, curves = len(self._declaration.classes), fitted["curves"]
        if len(curves) != (1 if classes == 2 else classes):
            raise ValueError(f"there are {len(curves)} curves for {classes} classes")
        self._curves = [
            _Curve(restored(curve["at"], (len(curve["at"]),)), restored(curve["to"], (len(curve["at"]),)))
            for curve in curves
        ]
        if not all(len(at) and (np.diff(at) >= 0).all() for at, _ in self._curves):
            raise ValueError("the predictions of a curve are none, or not in increasing order")


def _against_rest(scores: Array) -> Array:
    """Return the log-odds (C, n) of each class against the others."""
    z = scores.T
    p = np.exp(z)
    rest, high = 1 - p, p > 0.5
    rest[high] = -np.expm1(z[high])
    with np.errstate(divide="ignore"):
        return np.clip(z - np.log(rest), -FARTHEST, FARTHEST)


def _fit_curve(z: Array, masses: Array, weight: Array | None) -> _Curve:
    if len(z) > MOST_EXACT:
        return _curve_of_counts(_count_on_grid(z, masses, weight))
    at, place = np.unique(z, return_inverse=True)
    place = place.reshape(-1)
    total = np.bincount(place, weight, len(at))
    positive = np.bincount(place, masses if weight is None else masses * weight, len(at))
    return _curve(at, total, positive)


def _count_on_grid(z: Array, masses: Array, weight: Array | None) -> Array:
    """Return the weight of the rows at each multiple of 1/128, and the part of it that has label 1."""
    size = 2 * round(FARTHEST * PLACES) + 1
    place = (np.rint(z * PLACES) + FARTHEST * PLACES).astype(np.int64)
    weighted = masses if weight is None else masses * weight
    return np.stack([np.bincount(place, weight, size), np.bincount(place, weighted, size)])


def _curve_of_counts(counts: Array) -> _Curve:
    (used,) = np.nonzero(counts[0] > 0)
    total, positive = counts[:, used]
    return _curve(used / PLACES - FARTHEST, total, np.clip(positive, 0.0, total))


def _curve(at: Array, total: Array, positive: Array) -> _Curve:
    """Fit the curve to distinct log-odds with their weight, and the part of it that has label 1."""
    blocks = pool_adjacent_violators(
        np.concatenate([[0.5], total, [0.5]]), np.concatenate([[0.5], positive, [0.0]])
    )
    at = np.concatenate([at[:1], at, at[-1:]])
    last = blocks.predictions.cumsum() - 1
    first = last - blocks.predictions + 1
    value = np.log(blocks.positive) - np.log(blocks.weight - blocks.positive)
    return _Curve(np.stack([at[first], at[last]], axis=1).reshape(-1), np.repeat(value, 2))
