"""Isotonic calibration."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from crossentropy._kernels import _native
from crossentropy._statistics.cpu.memory import NumpyMemory, large_array
from crossentropy.evaluation._decomposition import pool_adjacent_violators
from crossentropy.evaluation.calibrators._base import Calibrator, restored
from crossentropy.evaluation.calibrators._folds import Folds
from crossentropy.evaluation.calibrators._rows import FARTHEST, Rows, odds_against_rest, row_losses

__all__ = ["IsotonicCalibration"]

Array = np.ndarray[Any, Any]
#: Of more rows, log-odds are rounded to such parts of 1.
MOST_EXACT, PLACES = 1 << 16, 128


class _Curve(NamedTuple):
    """An increasing function: the log-odds of the first and last prediction of each block, and their new log-odds."""

    at: Array
    to: Array


class _Grid(NamedTuple):
    """Multiples of 1/128, at most `FARTHEST` from 0: those from `low` / 128 on, `size` of them."""

    low: int
    size: int

    @classmethod
    def of(cls, parts: Sequence[Array]) -> "_Grid":
        """Return the multiples that the log-odds of parts are rounded to."""
        ends = (float(f([f(z) for z in parts if len(z)])) for f in (np.min, np.max))
        low, high = (round(max(-FARTHEST, min(FARTHEST, z)) * PLACES) for z in ends)
        return cls(low, high - low + 1)

    def counts(self, z: Array, masses: Array, weight: Array | None) -> Array:
        """Return the weight of the rows at each multiple, and the part of it that has label 1."""
        place = (np.clip(np.rint(z * PLACES), self.low, self.low + self.size - 1) - self.low).astype(np.int64)
        weighted = masses if weight is None else masses * weight
        return np.stack([np.bincount(place, weight, self.size), np.bincount(place, weighted, self.size)])

    def curve(self, counts: Array) -> _Curve:
        """Return the best increasing function."""
        (used,) = np.nonzero(counts[0] > 0)
        total, positive = counts[:, used]
        return _curve((used + self.low) / PLACES, total, np.clip(positive, 0.0, total))


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
        else:
            self._curves = [_fit_curve(z, rows.masses_of(k), rows.weight) for k, z in enumerate(rows.odds)]

    def _fit_to_folds(self, folds: Folds, rows: Rows) -> Iterator[Calibrator]:
        """Fit to rows, and yield fits without each fold; of many rows of many classes, all from one count of them."""
        if rows.classes == 2 or len(rows) <= MOST_EXACT:
            yield from super()._fit_to_folds(folds, rows)
            return
        fits = [IsotonicCalibration(self.kind, classes=self.classes) for _ in folds.parts]
        for calibrator in (self, *fits):
            calibrator._curves = []
        for k in range(rows.classes):
            grid = _Grid.of([part.odds[k] for part in folds.parts])
            counts = [grid.counts(part.odds[k], part.masses_of(k), part.weight) for part in folds.parts]
            whole = np.sum(counts, axis=0)
            self._curves.append(grid.curve(whole))
            for fit, own in zip(fits, counts, strict=True):
                fit._curves.append(grid.curve(whole - own))
        yield from fits

    def _map(self, scores: Array) -> Array:
        if len(self._curves) == 1:
            return _at(self._curves, scores[None])[0]
        return self._map_odds(odds_against_rest(scores))

    def _map_odds(self, odds: Array) -> Array:
        return _at(self._curves, odds, log_sigmoid=True).T

    def _losses(self, rows: Rows) -> Array:
        if rows.classes == 2:
            return super()._losses(rows)
        return row_losses(self._map_odds(rows.odds), rows.targets)

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


def _at(curves: list[_Curve], x: Array, *, log_sigmoid: bool = False) -> Array:
    """Return the values of curves, each at its row of numbers; or the logarithms of their logistic sigmoids."""
    x, y, address = np.ascontiguousarray(x), large_array(x.shape), NumpyMemory.address
    kept = [(np.ascontiguousarray(at), np.ascontiguousarray(to)) for at, to in curves]
    knots = [(address(at), address(to), len(at)) for at, to in kept]
    _native.interpolate(knots, address(x), x.shape[1], log_sigmoid, address(y), NumpyMemory.threads())
    return y


def _fit_curve(z: Array, masses: Array, weight: Array | None) -> _Curve:
    if len(z) > MOST_EXACT:
        grid = _Grid.of([z])
        return grid.curve(grid.counts(z, masses, weight))
    at, place = np.unique(z, return_inverse=True)
    place = place.reshape(-1)
    total = np.bincount(place, weight, len(at))
    positive = np.bincount(place, masses if weight is None else masses * weight, len(at))
    return _curve(at, total, positive)


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
