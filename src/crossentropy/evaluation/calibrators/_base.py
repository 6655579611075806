"""What all calibrators share: scikit-learn's protocol, checks of predictions, JSON."""

import inspect
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from crossentropy._files import replace_file
from crossentropy.evaluation._columns import make_batch
from crossentropy.evaluation._declaration import KINDS, Declaration, Label
from crossentropy.evaluation._faults import BadData, without_skipping
from crossentropy.evaluation._scoring import Columns, Request
from crossentropy.evaluation.calibrators._folds import FOLDS, Folds
from crossentropy.evaluation.calibrators._rows import Rows, probabilities, row_losses, rows_of, scores_of

__all__ = ["FORMAT", "VERSION", "Calibrator", "checked_rows", "restored"]

Array = np.ndarray[Any, Any]
FORMAT, VERSION = "crossentropy calibrator", 1


class Calibrator:
    """A map from predictions to calibrated probabilities, fitted to labels.

    Parameters
    ----------
    kind : {"proba", "logits", "log_proba"}
        What predictions are.
    classes : sequence of labels, optional
        The label of each column, in their order; of one column, (negative, positive). Left out, labels are the integers
        0, 1, … that number the columns.
    """

    #: What `crossentropy calibrate --method` and files call it.
    method: ClassVar[str]

    def __init__(self, kind: str, *, classes: Sequence[Label] | None = None) -> None:
        self.kind = kind
        self.classes = classes

    # ------------------------------------------------------------------------------------- for each method to say

    def _fit(self, rows: Rows, near: "Calibrator | None" = None) -> None:
        """Fit; `near` is a calibrator of this class for nearly the same rows, to start from."""
        raise NotImplementedError

    def _fit_to_folds(self, folds: Folds, rows: Rows) -> Iterator["Calibrator"]:
        """Fit to rows, which are those of all folds, and yield for each fold a calibrator fitted to the others."""
        self._fit(rows)
        yield from self._fit_without(folds)

    def _fit_without(self, folds: Folds) -> Iterator["Calibrator"]:
        """Yield for each fold a calibrator fitted to the others; this one is fitted to all of them."""
        for k in range(FOLDS):
            part = self._unfitted()
            part._fit(folds.training(k), self)
            yield part

    def _map(self, scores: Array) -> Array:
        """Return calibrated scores, which need not be normalized."""
        raise NotImplementedError

    def _least_rows(self, classes: int) -> int:
        """Return how many rows the method needs."""
        raise NotImplementedError

    def _fits(self, classes: int) -> bool:
        """Tell whether the method is for so many classes."""
        return True

    def _wrong_classes(self, classes: int) -> str:
        """Return what to use for so many classes that the method is not for."""
        raise NotImplementedError

    def _to_dict(self) -> dict[str, Any]:
        """Return the fitted numbers, for JSON."""
        raise NotImplementedError

    def _restore(self, fitted: dict[str, Any]) -> None:
        """Take the numbers that `_to_dict` returned, or raise a ValueError if they cannot be such."""
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------------ the protocol

    def fit(
        self, predictions: Any, y: Any, sample_weight: Any = None, *, soft_labels: bool = False
    ) -> "Calibrator":
        """Fit to labels.

        Parameters
        ----------
        predictions : array (n,) or (n, C)
            As `kind` says; one column is of the positive class.
        y : array or list (n,) of labels; array, shape of `predictions`, of soft ones
        sample_weight : array (n,), optional
        soft_labels : bool, default False
            Whether labels are distributions: the probability of each class, of one column that of the positive one.

        Returns
        -------
        the calibrator itself

        Raises
        ------
        BadData
            If a row is not as declared: not a number, out of range, a label that is none of the classes; a ValueError.
        ValueError
            If there are too few rows for the method, or it is for another number of classes.
        """
        self._fit_to_rows(predictions, y, sample_weight, soft_labels=soft_labels, cluster=None)
        return self

    def _fit_to_rows(self, predictions: Any, y: Any, weight: Any, *, soft_labels: bool, cluster: Any) -> None:
        declaration = self._declared(predictions, y, soft=soft_labels, clustered=cluster is not None)
        self._fit_to(checked_rows(declaration, predictions, y, weight, cluster), declaration)

    def _fit_to(self, rows: Rows, declaration: Declaration) -> None:
        """Fit to rows that were checked already."""
        self._check_size(rows.n, rows.classes)
        self._declare(declaration)
        self._fit(rows)

    def _declare(self, declaration: Declaration) -> None:
        self._declaration = replace(declaration, soft=False, clustered=False, slices=())
        self.classes_ = np.asarray(declaration.classes)

    def _restore_all(self, declaration: Declaration, fitted: dict[str, Any]) -> None:
        """Make this the fitted calibrator that `_to_dict` described."""
        if not self._fits(len(declaration.classes)):
            raise ValueError(f"{type(self).__name__} is not for {len(declaration.classes)} classes")
        self._declare(declaration)
        self._restore(fitted)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted calibrator as JSON; `load` reads it.

        Parameters
        ----------
        path : str or path
            The file is complete or, if it cannot be written, as it was.

        Raises
        ------
        ValueError
            If it is not fitted.
        OSError
            If the file cannot be written.
        """
        text = self.to_json()
        replace_file(lambda unfinished: unfinished.write_text(text, encoding="utf-8"), Path(path))

    def to_json(self) -> str:
        """Return the fitted calibrator as JSON.

        Returns
        -------
        str

        Raises
        ------
        ValueError
            If it is not fitted.
        """
        self._check_fitted()
        d = self._declaration
        tree = {
            "format": FORMAT,
            "version": VERSION,
            "method": self.method,
            "kind": d.kind,
            "classes": list(d.classes),
            "one_column": d.one_column,
            "fitted": self._to_dict(),
        }
        return json.dumps(tree, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def _unfitted(self) -> "Calibrator":
        """Return a calibrator of the same parameters."""
        return type(self)(**self.get_params())

    def _declared(
        self, predictions: Any, labels: Any, *, soft: bool = False, clustered: bool = False
    ) -> Declaration:
        if self.kind not in KINDS:
            raise ValueError(
                f"kind is {self.kind!r}; pass 'proba', 'logits' or 'log_proba', what predictions are"
            )
        request = Request(
            self.kind, soft_labels=soft, classes=self.classes, weighted=True, clustered=clustered
        )
        return request.declaration(Columns(predictions, labels))

    def _check_size(self, n: int, classes: int) -> None:
        name, least = type(self).__name__, self._least_rows(classes)
        if not self._fits(classes):
            raise ValueError(f"{name} is not for {classes} classes; use {self._wrong_classes(classes)}")
        if n < least:
            other = ", or use TemperatureScaling, which needs 10" if least > 10 else ""
            raise BadData(
                f"{name} of {classes} classes needs {least:,} rows, and there are {n:,}: it would fit "
                f"their noise; pass more rows{other}"
            )

    def predict_proba(self, predictions: Any) -> Array:
        """Return the calibrated probability of each class.

        Parameters
        ----------
        predictions : array (n,) or (n, C)
            As `fit` takes them.

        Returns
        -------
        float64 array (n, C)
            Dimensionless, in the order of `classes_`.

        Raises
        ------
        BadData
            If a row is not as declared.
        """
        return probabilities(self._map(self._scores(predictions)))

    def _scores(self, predictions: Any, **where: Any) -> Array:
        """Check predictions and return their scores; `where` says in messages where they are from."""
        self._check_fitted()
        d = self._declaration
        with without_skipping():
            batch, _ = make_batch(d, predictions, np.full(len(predictions), d.classes[0]), **where)
        return scores_of(batch.predictions, d, np.asarray(predictions).dtype)

    def predict(self, predictions: Any) -> Array:
        """Return the most probable label of each row.

        Parameters
        ----------
        predictions : array (n,) or (n, C)

        Returns
        -------
        array (n,) of labels
            Dimensionless.
        """
        return np.asarray(self.classes_[self.predict_proba(predictions).argmax(axis=1)])

    def _losses(self, rows: Rows) -> Array:
        """Return the calibrated loss of each row."""
        return row_losses(self._map(rows.scores), rows.targets)

    def _check_fitted(self) -> None:
        if not hasattr(self, "_declaration"):
            raise ValueError(f"this {type(self).__name__} is not fitted; call fit(predictions, y) first")

    # -------------------------------------------------------------------------------------------- for scikit-learn

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters of the constructor.

        Parameters
        ----------
        deep : bool, default True
            Of no effect; scikit-learn passes it.

        Returns
        -------
        dict
        """
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **parameters: Any) -> "Calibrator":
        """Set parameters of the constructor.

        Returns
        -------
        the calibrator itself

        Raises
        ------
        ValueError
            If there is no such parameter.
        """
        for name, value in parameters.items():
            if name not in self.get_params():
                raise ValueError(
                    f"{type(self).__name__} has no parameter {name!r}; it has {', '.join(self.get_params())}"
                )
            setattr(self, name, value)
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_declaration")

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags(),
            input_tags=InputTags(one_d_array=True),
        )

    def __repr__(self) -> str:
        given = ", ".join(
            f"{name}={value!r}" for name, value in self.get_params().items() if value is not None
        )
        return f"{type(self).__name__}({given})"


def checked_rows(
    declaration: Declaration, predictions: Any, y: Any, weight: Any, cluster: Any = None
) -> Rows:
    """Check and convert rows."""
    with without_skipping():
        batch, _ = make_batch(declaration, predictions, y, weight=weight, cluster=cluster)
    return rows_of(batch, declaration, np.asarray(predictions).dtype)


def restored(numbers: Any, shape: tuple[int, ...]) -> Array:
    """Return numbers of a file as a float64 array; a ValueError if they have another shape or are not finite."""
    array = np.asarray(numbers, np.float64)
    if array.shape != shape:
        raise ValueError(f"numbers have shape {array.shape} in place of {shape}")
    if not np.isfinite(array).all():
        raise ValueError("a number is not finite")
    return array
