"""Calibrators that take clusters of rows."""

from typing import Any, TypeVar

from crossentropy.evaluation.calibrators._base import Calibrator

__all__ = ["ClusteredCalibrator"]

Own = TypeVar("Own", bound="ClusteredCalibrator")


class ClusteredCalibrator(Calibrator):
    """A calibrator with errors of its own, which depend on what rows have in common."""

    def fit(
        self: Own,
        predictions: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        soft_labels: bool = False,
        cluster: Any = None,
    ) -> Own:
        """Fit to labels.

        Parameters
        ----------
        predictions : array (n,) or (n, C)
            As `kind` says; one column is of the positive class.
        y : array or list (n,) of labels; array, shape of `predictions`, of soft ones
        sample_weight : array (n,), optional
        soft_labels : bool, default False
            Whether labels are distributions: the probability of each class, of one column that of the positive one.
        cluster : array or list (n,), optional
            Intervals and standard errors do not take rows of equal values for independent, and cross-validation has
            them in one fold. What a method finds from all rows does not depend on them.

        Returns
        -------
        the calibrator itself

        Raises
        ------
        BadData
            If a row is not as declared: not a number, out of range, a label that is none of the classes; a ValueError.
        ValueError
            If there are too few rows.
        """
        self._fit_to_rows(predictions, y, sample_weight, soft_labels=soft_labels, cluster=cluster)
        return self
