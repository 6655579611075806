"""The log loss of a softmax of linear maps of scores, and its derivatives, by the native kernel."""

from typing import Any, NamedTuple

import numpy as np

from crossentropy._kernels import _native
from crossentropy._statistics.cpu.memory import NumpyMemory, large_array
from crossentropy.evaluation._row_scores import native_matrix

__all__ = ["SoftmaxTerms", "scaled_by", "softmax_hessian", "softmax_terms"]

Array = np.ndarray[Any, Any]
#: What can be computed for each row.
BY_ROW = ("loss", "slope", "curvature")


class SoftmaxTerms(NamedTuple):
    """What was asked for; see ``native/evaluation/linear_softmax.hpp`` for the formulas."""

    #: Float64 arrays (n,) by their names, of `BY_ROW`.
    by_row: dict[str, Array]
    #: The sum over rows, in the shape of the coefficients.
    gradient: Array | None


def scaled_by(power: float, classes: int) -> Array:
    """Return the coefficients (C, 2) that multiply all scores."""
    return np.tile([power, 0.0], (classes, 1))


def softmax_terms(
    scores: Array,
    targets: Array,
    coefficients: Array,
    *,
    by_row: tuple[str, ...] = (),
    gradient: bool = False,
    weight: Array | None = None,
) -> SoftmaxTerms:
    """Compute terms of rows whose scores are mapped linearly, on ``OMP_NUM_THREADS`` threads.

    Parameters
    ----------
    scores : float64 array (n, C), of any strides
    targets : int64 array (n,), or float64 array (n, C)
        Labels, or masses.
    coefficients : float64 array (C, 2) or (C, C + 1)
        A scale and a shift for each class; or a matrix, and the shifts as its last column.
    by_row : names of `BY_ROW`
    gradient : bool
    weight : float64 array (n,), optional
        Of rows in the gradient.

    Examples
    --------
    >>> z, labels = np.log(np.asarray([[0.2, 0.3, 0.5]])), np.asarray([1])
    >>> softmax_terms(z, labels, scaled_by(1.0, 3), gradient=True).gradient[:, 1].round(6).tolist()
    [0.2, -0.7, 0.5]
    """
    address = NumpyMemory.address
    out = {name: large_array((len(scores),)) for name in by_row}
    total = np.empty(coefficients.shape) if gradient else None
    kept, arguments = _arguments(scores, targets, coefficients, weight)
    loss, slope, curvature = (address(out[name]) if name in out else 0 for name in BY_ROW)
    gradients = 0 if total is None else address(total)
    _native.linear_softmax(*arguments, loss, slope, curvature, gradients, NumpyMemory.threads())
    del kept
    return SoftmaxTerms(out, total)


def softmax_hessian(scores: Array, targets: Array, coefficients: Array, weight: Array | None = None) -> Array:
    """Compute the Hessian of the summed loss by the coefficients, row by row.

    Parameters
    ----------
    scores, targets, coefficients, weight
        As `softmax_terms` takes them.

    Returns
    -------
    float64 array (coefficients.size, coefficients.size)

    Examples
    --------
    >>> z, labels = np.log(np.asarray([[0.5, 0.25, 0.25]])), np.asarray([1])
    >>> softmax_hessian(z, labels, scaled_by(1.0, 3))[1::2, 1::2].tolist()
    [[0.25, -0.125, -0.125], [-0.125, 0.1875, -0.0625], [-0.125, -0.0625, 0.1875]]
    """
    hessian = np.empty((coefficients.size, coefficients.size))
    kept, arguments = _arguments(scores, targets, coefficients, weight)
    _native.linear_softmax_hessian(*arguments, NumpyMemory.address(hessian), NumpyMemory.threads())
    del kept
    return hessian


def _arguments(
    scores: Array, targets: Array, coefficients: Array, weight: Array | None
) -> tuple[list[Array], tuple[_native.Matrix, int, bool, int, int, bool]]:
    """Return the arguments that the kernels share, and the arrays that they point to."""
    address = NumpyMemory.address
    kept = [
        np.ascontiguousarray(x) for x in (targets, coefficients, np.ones(0) if weight is None else weight)
    ]
    return kept, (
        native_matrix(scores),
        address(kept[0]),
        targets.dtype.kind == "f",
        0 if weight is None else address(kept[2]),
        address(kept[1]),
        coefficients.shape[1] == 2,
    )
