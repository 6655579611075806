"""Vector and matrix scaling: linear maps of the log-probabilities of more than two classes."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from crossentropy.evaluation._newton import CLOSE, Cholesky, Quadratic, minimize, minimize_near
from crossentropy.evaluation.calibrators._base import Calibrator, restored
from crossentropy.evaluation.calibrators._folds import Folds
from crossentropy.evaluation.calibrators._rows import Rows
from crossentropy.evaluation.calibrators._softmax import softmax_hessian, softmax_terms

__all__ = ["MatrixScaling", "VectorScaling"]

Array = np.ndarray[Any, Any]
#: The Hessian of so many parameters takes 32 MB.
MOST_PARAMETERS = 2000
#: The Hessian is that of so many rows for each parameter, and of at least so many.
SOME, LEAST_SOME = 64, 1 << 14
#: The relative step at which a fit with that Hessian ends.
NEAR = 1e-6
#: That at which the fit to some of the rows ends, which it starts from.
ROUGH = 1e-2


class _Linear(Calibrator):
    """Linear maps of the log-probabilities, in coefficients as `softmax_terms` takes them."""

    coefficients_: Array

    def _fits(self, classes: int) -> bool:
        return classes > 2 and self._parameters(classes) <= MOST_PARAMETERS

    def _wrong_classes(self, classes: int) -> str:
        if classes == 2:
            return "PlattScaling, which is the same for two classes"
        return f"a method with fewer than its {self._parameters(classes):,} parameters, as TemperatureScaling"

    def _least_rows(self, classes: int) -> int:
        return 10 * self._parameters(classes)

    def _parameters(self, classes: int) -> int:
        return int(self._identity(classes).size)

    def _identity(self, classes: int) -> Array:
        """Return the parameters that leave predictions as they are (C, q)."""
        raise NotImplementedError

    def _fit(self, rows: Rows, near: Calibrator | None = None) -> None:
        """Fit; of many rows, the Hessian is that of some of them, near the minimum."""
        start = near.coefficients_ if isinstance(near, _Linear) else self._identity(rows.classes)
        few = self._some(rows)
        if few is rows:
            self.coefficients_ = self._minimum(rows, start, CLOSE).reshape(start.shape)
        else:
            self._fit_to_parts([rows], few, start)

    def _fit_to_folds(self, folds: Folds, rows: Rows) -> Iterator[Calibrator]:
        """Fit to rows, and yield fits without each fold; of many rows, one step of Newton's from the fit to all."""
        few = self._some(folds.rows)
        if few is folds.rows:
            yield from super()._fit_to_folds(folds, rows)
            return
        at, gradients = self._fit_to_parts(folds.parts, few, self._identity(few.classes))
        whole = folds.rows.weights.sum()
        away = at - self._identity(few.classes).reshape(-1)
        hessian = self._hessian(few, at, share=whole / few.weights.sum())
        for part, own in zip(folds.parts, gradients, strict=True):
            rest = np.eye(len(at)) + (1 - part.weights.sum() / whole) * (hessian - np.eye(len(at)))
            fit = self._unfitted()
            assert isinstance(fit, _Linear)  # for type checkers
            step = Cholesky(rest).solve(away + gradients.sum(axis=0) - own)
            fit.coefficients_ = (at - step).reshape(self.coefficients_.shape)
            yield fit

    def _minimum(self, rows: Rows, start: Array, close: float) -> Array:
        """Return the best parameters for rows that are not many, by Newton's method."""

        def by_hessian(at: Array) -> Quadratic:
            loss, gradient = self._terms(rows, at)
            away = at - self._identity(rows.classes).reshape(-1)
            return loss + 0.5 * float(away @ away), gradient + away, self._hessian(rows, at)

        fit = minimize(by_hessian, start.reshape(-1), solve=lambda a, b: Cholesky(a).solve(b), close=close)
        assert fit is not None  # the prior makes the Hessian positive definite
        return fit

    def _fit_to_parts(self, parts: Sequence[Rows], few: Rows, start: Array) -> tuple[Array, Array]:
        """Fit to the rows of all parts by the Hessian of some.

        Returns the last point but one, and the gradient of each part there.
        """
        at = self._minimum(few, start, ROUGH)
        whole = sum(part.weights.sum() for part in parts)
        hessian = self._hessian(few, at, share=whole / few.weights.sum())
        gradients = np.empty((len(parts), len(at)))

        def by_parts(point: Array) -> tuple[float, Array]:
            nonlocal at
            at = point
            away = at - self._identity(few.classes).reshape(-1)
            loss = 0.5 * float(away @ away)
            for i, part in enumerate(parts):
                own, gradients[i] = self._terms(part, at)
                loss += own
            return loss, away + gradients.sum(axis=0)

        self.coefficients_ = minimize_near(by_parts, at, hessian, close=NEAR).reshape(start.shape)
        return at, gradients

    def _some(self, rows: Rows) -> Rows:
        """Return enough rows to know the Hessian within some percent; all, if there are not many more."""
        return rows.sample(max(LEAST_SOME, SOME * self._parameters(rows.classes)))

    def _terms(self, rows: Rows, flat: Array) -> tuple[float, Array]:
        """Return the loss and its gradient."""
        at = flat.reshape(self._identity(rows.classes).shape)
        terms = softmax_terms(
            rows.scores, rows.targets, at, by_row=("loss",), gradient=True, weight=rows.weight
        )
        assert terms.gradient is not None  # for type checkers
        return rows.total(terms.by_row["loss"]), terms.gradient.reshape(-1)

    def _hessian(self, rows: Rows, flat: Array, share: float = 1.0) -> Array:
        """Return the Hessian of the penalized loss of so many times the rows."""
        theta = flat.reshape(self._identity(rows.classes).shape)
        hessian = softmax_hessian(rows.scores, rows.targets, theta, rows.weight)
        return np.asarray(np.eye(flat.size) + share * hessian)

    def _losses(self, rows: Rows) -> Array:
        terms = softmax_terms(rows.scores, rows.targets, self.coefficients_, by_row=("loss",))
        return terms.by_row["loss"]

    def _to_dict(self) -> dict[str, Any]:
        return {"coefficients": self.coefficients_.tolist()}

    def _restore(self, fitted: dict[str, Any]) -> None:
        shape = self._identity(len(self._declaration.classes)).shape
        self.coefficients_ = restored(fitted["coefficients"], shape)


class VectorScaling(_Linear):
    r"""Scale and shift the log-probability of each class.

    .. math:: q = \operatorname{softmax}(a \odot \ln p + b)

    (Guo et al. 2017, https://arxiv.org/abs/1706.04599.) The likelihood has a normal prior of standard deviation 1
    around a = 1 and b = 0, which shrinks what few rows do not determine. For two classes this is `PlattScaling`.

    Parameters
    ----------
    kind : {"proba", "logits", "log_proba"}
        What predictions are; logits give their log-softmax.
    classes : sequence of labels, optional
        The label of each column, in their order. Left out, labels are the integers 0, 1, … that number the columns.

    Attributes
    ----------
    coefficients_ : float64 array (C, 2)
        The scale a and the shift b of each class.
    classes_ : array (C,)

    Examples
    --------
    >>> import numpy as np
    >>> from crossentropy.evaluation.calibrators import VectorScaling
    >>> p, y = np.full((90, 3), 1 / 3), np.repeat([0, 1, 2], [45, 30, 15])
    >>> VectorScaling("proba").fit(p, y).predict_proba(p[:1]).round(2).tolist()
    [[0.5, 0.33, 0.17]]
    """

    method = "vector"

    def _identity(self, classes: int) -> Array:
        return np.tile([1.0, 0.0], (classes, 1))

    def _map(self, scores: Array) -> Array:
        scale, shift = self.coefficients_.T
        return scores * scale + shift


class MatrixScaling(_Linear):
    r"""Map the log-probabilities of all classes linearly.

    .. math:: q = \operatorname{softmax}(W \ln p + b)

    This is Dirichlet calibration (Kull et al. 2019, https://arxiv.org/abs/1910.12656), matrix scaling of the
    log-softmax (Guo et al. 2017). The likelihood has a normal prior of standard deviation 1 around W = I and b = 0,
    which shrinks what few rows do not determine. It needs 10 rows for each of its C (C + 1) parameters.

    Parameters
    ----------
    kind : {"proba", "logits", "log_proba"}
        What predictions are; logits give their log-softmax.
    classes : sequence of labels, optional
        The label of each column, in their order. Left out, labels are the integers 0, 1, … that number the columns.

    Attributes
    ----------
    coefficients_ : float64 array (C, C + 1)
        The matrix W, and the shift b as its last column.
    classes_ : array (C,)

    Examples
    --------
    Two of three classes are mistaken for each other:

    >>> import numpy as np
    >>> from crossentropy.evaluation.calibrators import MatrixScaling
    >>> p, y = np.tile(np.eye(3) * 0.7 + 0.1, (300, 1)), np.tile([1, 0, 2], 300)
    >>> MatrixScaling("proba").fit(p, y).predict_proba(p[:1]).round(1).tolist()
    [[0.0, 1.0, 0.0]]
    """

    method = "matrix"

    def _identity(self, classes: int) -> Array:
        return np.eye(classes, classes + 1)

    def _map(self, scores: Array) -> Array:
        return np.asarray(scores @ self.coefficients_[:, :-1].T + self.coefficients_[:, -1])
