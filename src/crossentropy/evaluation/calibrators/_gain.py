"""What a calibrator gains on rows that it was not fitted to."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from crossentropy.evaluation._intervals import check_confidence
from crossentropy.evaluation._paired import mean_over_rows
from crossentropy.evaluation.calibrators._base import Calibrator, checked_rows
from crossentropy.evaluation.calibrators._folds import Folds, Losses
from crossentropy.evaluation.calibrators._rows import Rows

__all__ = ["Gain", "cross_validated_gain", "fit_and_hold_out", "gain_of"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Gain:
    """How much a calibrator lowers the log loss of rows that it was not fitted to, in nats."""

    #: As `crossentropy calibrate --method` calls it.
    method: str
    #: The mean log loss of the predictions as they are, and of calibrated ones; in nats.
    log_loss: float
    calibrated_log_loss: float
    #: The first less the second; its standard error and interval, by Student's distribution.
    gain: float
    standard_error: float | None
    interval: tuple[float, float] | None
    confidence: float

    @property
    def is_beyond_chance(self) -> bool:
        """Whether the whole interval is above 0."""
        return self.interval is not None and self.interval[0] > 0


def cross_validated_gain(
    calibrator: Calibrator,
    predictions: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    soft_labels: bool = False,
    cluster: Any = None,
    interval: float = 0.95,
) -> Gain:
    """Estimate by cross-validation what a calibrator gains: fitted to four fifths of the rows, judged on the others.

    Folds are drawn by a hash of the row's number, or of its cluster. Weights count as in `fit`.

    Parameters
    ----------
    calibrator : Calibrator
        It need not be fitted, and is not changed.
    predictions : array (n,) or (n, C)
    y : array or list (n,) of labels; array, shape of `predictions`, of soft ones
    sample_weight : array (n,), optional
    soft_labels : bool, default False
        Whether labels are distributions.
    cluster : array or list (n,), optional
        Rows of equal values are in one fold, and the standard error does not take them for independent.
    interval : float, default 0.95
        The confidence of the interval.

    Returns
    -------
    Gain
        In nats.

    Raises
    ------
    BadData
        If a row is not as declared.
    ValueError
        If four fifths of the rows are too few for the method.

    Examples
    --------
    >>> import numpy as np
    >>> from crossentropy.evaluation.calibrators import TemperatureScaling, cross_validated_gain
    >>> r = np.random.default_rng(0)
    >>> z = r.normal(size=2000)
    >>> y = (r.random(2000) < 1 / (1 + np.exp(-z))).astype(int)
    >>> gain = cross_validated_gain(TemperatureScaling("logits"), 3 * z, y)
    >>> round(gain.gain, 2), gain.is_beyond_chance
    (0.17, True)
    >>> cross_validated_gain(TemperatureScaling("logits"), z, y).is_beyond_chance
    False
    """
    check_confidence(interval)
    declaration = calibrator._declared(predictions, y, soft=soft_labels, clustered=cluster is not None)
    rows = checked_rows(declaration, predictions, y, sample_weight, cluster)
    parts, fitted = Folds(rows), calibrator._unfitted()
    fitted._check_size(parts.least(), rows.classes)
    fitted._declare(declaration)
    losses = fit_and_hold_out(fitted, parts, rows.condensed)
    return gain_of(fitted, parts, parts.before, losses, interval)


def fit_and_hold_out(calibrator: Calibrator, folds: Folds, rows: Rows) -> Losses:
    """Fit to the rows of all folds, and return the calibrated loss of each row by a fit without its fold."""
    losses = np.empty(len(folds.rows))
    fits = calibrator._fit_to_folds(folds, rows)
    for here, held_out, part in zip(folds.places, folds.parts, fits, strict=True):
        losses[here] = part._losses(held_out)
    return folds.losses(losses)


def gain_of(calibrator: Calibrator, folds: Folds, before: Losses, after: Losses, interval: float) -> Gain:
    """Return the mean difference of two losses of each row."""
    mean = mean_over_rows(before.by_row - after.by_row, folds.rows.weight, folds.rows.cluster)
    return Gain(
        calibrator.method,
        before.mean,
        after.mean,
        mean.value,
        mean.standard_error,
        mean.interval(interval),
        interval,
    )
