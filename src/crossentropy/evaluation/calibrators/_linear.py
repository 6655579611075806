"""Vector and matrix scaling: linear maps of the log-probabilities of more than two classes."""

from typing import Any

import numpy as np

from crossentropy.evaluation._newton import Quadratic, minimize
from crossentropy.evaluation.calibrators._base import Calibrator, restored
from crossentropy.evaluation.calibrators._rows import Rows

__all__ = ["MatrixScaling", "VectorScaling"]

Array = np.ndarray[Any, Any]
#: Numbers that are worked on at once.
CACHED = 1 << 19
#: The Hessian of so many parameters takes 32 MB.
MOST_PARAMETERS = 2000


class _Linear(Calibrator):
    """Scores ``u_k = θ_k · x_k`` of each class k from features x (C or 1, n, q) of the log-probabilities."""

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

    def _features(self, z: Array) -> Array:
        raise NotImplementedError

    def _fit(self, rows: Rows, near: Calibrator | None = None) -> None:
        z, classes, weight = rows.scores, rows.classes, rows.weights
        identity = self._identity(classes)
        shape = identity.shape
        step = max(1, CACHED // identity.size)

        def penalized_loss(flat: Array) -> Quadratic:
            away = flat - identity.reshape(-1)
            loss, gradient, hessian = 0.5 * float(away @ away), away, np.eye(flat.size)
            for start in range(0, len(z), step):
                here = slice(start, start + step)
                part = _loss_and_derivatives(
                    self._features(z[here]), flat.reshape(shape), rows.labels[here], weight[here]
                )
                loss, gradient, hessian = loss + part[0], gradient + part[1], hessian + part[2]
            return loss, gradient, hessian

        start = near.coefficients_ if isinstance(near, _Linear) else identity
        fit = minimize(penalized_loss, start.reshape(-1))
        assert fit is not None  # the prior makes the Hessian positive definite
        self.coefficients_ = fit.reshape(shape)

    def _map(self, scores: Array) -> Array:
        return _linear(self._features(scores), self.coefficients_).T

    def _to_dict(self) -> dict[str, Any]:
        return {"coefficients": self.coefficients_.tolist()}

    def _restore(self, fitted: dict[str, Any]) -> None:
        shape = self._identity(len(self._declaration.classes)).shape
        self.coefficients_ = restored(fitted["coefficients"], shape)


def _linear(x: Array, theta: Array) -> Array:
    """Return scores (C, n)."""
    return np.asarray(theta @ x[0].T) if len(x) == 1 else np.einsum("knq,kq->kn", x, theta)


def _loss_and_derivatives(x: Array, theta: Array, labels: Array, weight: Array) -> Quadratic:
    """Return the summed log loss of rows, its gradient and Hessian by the parameters."""
    classes, q = theta.shape
    u = _linear(x, theta)
    u -= u.max(axis=0)
    log_sum = np.log(np.exp(u).sum(axis=0))
    p = np.exp(u - log_sum)
    rows = np.arange(len(labels))
    loss = float(weight @ (log_sum - u[labels, rows]))
    residual = p.copy()
    residual[labels, rows] -= 1
    x = np.broadcast_to(x, (classes, *x.shape[1:]))
    gradient = np.einsum("kn,knq->kq", residual * weight, x).reshape(-1)
    spread = p[:, :, None] * x
    flat = spread.transpose(1, 0, 2).reshape(len(labels), classes * q)
    hessian = -(flat.T @ (flat * weight[:, None]))
    for k in range(classes):
        hessian[k * q : (k + 1) * q, k * q : (k + 1) * q] += spread[k].T @ (x[k] * weight[:, None])
    return loss, gradient, hessian


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

    def _features(self, z: Array) -> Array:
        return np.stack([z.T, np.ones_like(z.T)], axis=2)


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

    def _features(self, z: Array) -> Array:
        return np.concatenate([z, np.ones((len(z), 1))], axis=1)[None]
