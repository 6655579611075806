"""Linear heads of NumPy arrays, by the kernels: blocks of rows whose logits are made, used and forgotten.

The statistics of all rows are kept, and the loss is formed from them as if the logits were there. For the gradient the
logits of a block are made once more and become their own gradient, which is multiplied out.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from crossentropy._backends import Array, loss_dtype
from crossentropy._backends.numpy_products import without_gaps
from crossentropy._engine.linear.problem import LinearGradients, LinearProblem, rows_at_once, rows_of_problem
from crossentropy._engine.softmax import per_class
from crossentropy._engine.softmax.evaluate import Evaluation, evaluate, gradient, kernel_statistics
from crossentropy._engine.softmax.problem import SoftmaxProblem
from crossentropy._statistics import Planes, Wanted
from crossentropy._statistics.blocks import ALIGNED, slices, up
from crossentropy._statistics.cpu.memory import NumpyMemory
from crossentropy._statistics.problem import arrays, of_rows

TILE = 4096  # classes of a product: a half-precision weight is widened, and its gradient grows, by as many at once
PER_CLASS = 16  # float64 arrays of a block's size, at most, where a link acts on every class


def loss(given: LinearProblem, memory_budget: int | None) -> Array:
    """The loss of a linear head."""
    return loss_and_gradients(given, memory_budget)[0]


def loss_and_gradients(
    given: LinearProblem, memory_budget: int | None
) -> tuple[Array, Callable[[], LinearGradients]]:
    """The loss, and a function that computes its gradients by all that makes the logits."""
    with np.errstate(all="ignore"):  # infinities are results, as the kernels' are
        found = evaluate(
            given.problem,
            NumpyMemory,
            statistics=lambda problem: _statistics(given, problem, memory_budget),
            row_losses=lambda problem: _row_losses(given, problem, memory_budget),
        )
    dtype = loss_dtype(given.hidden)
    each = given.problem.reduction == "none"
    value = given.shaped(found.value).astype(dtype) if each else dtype(found.value)
    return value, lambda: _gradients(given, found, memory_budget)


@np.errstate(all="ignore")
def planes(given: LinearProblem, wanted: Wanted) -> Planes:
    """The statistics of its rows."""
    return _statistics(given, replace(given.problem, wanted=wanted), None)


def _statistics(given: LinearProblem, problem: SoftmaxProblem, memory_budget: int | None) -> Planes:
    found = [
        arrays(kernel_statistics(block, NumpyMemory)) for _, block in _blocks(given, problem, memory_budget)
    ]
    joined: dict[str, Any] = {name: np.concatenate([planes[name] for planes in found]) for name in found[0]}
    return Planes(**joined)


def _row_losses(
    given: LinearProblem, problem: SoftmaxProblem, memory_budget: int | None
) -> tuple[Array, Array]:
    found = [per_class.row_losses(block) for _, block in _blocks(given, problem, memory_budget)]
    losses, masses = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return losses, masses


def _blocks(
    given: LinearProblem, problem: SoftmaxProblem, memory_budget: int | None
) -> Iterator[tuple[slice, SoftmaxProblem]]:
    """Rows and their problem, whose logits lie in memory that the next ones use again."""
    wide = _wide(given)
    each = 8 * PER_CLASS if problem.acts_per_class else wide.itemsize
    N, V = problem.logits.shape
    height = rows_at_once(problem, each, memory_budget)
    buffer = np.zeros((height, up(V, ALIGNED)), wide)[:, :V]
    for rows in slices(N, height):
        z = buffer[: rows.stop - rows.start]
        (x, M), *others = _factors(given, rows)
        for classes in slices(V, TILE):
            tile = z[:, classes]
            np.matmul(x, _widened(M[classes], wide).T, out=tile)
            for y, update in others:
                tile += y @ _widened(update[classes], wide).T
            if given.bias is not None:
                tile += given.bias[classes]
        yield rows, rows_of_problem(problem, rows, z)


def _factors(given: LinearProblem, rows: slice) -> list[tuple[Array, Array]]:
    """The pairs whose products ``x Mᵀ`` add up to the logits of some rows, but for the bias."""
    wide = _wide(given)
    x = _widened(given.hidden[rows], wide)
    if given.low_rank is None:
        return [(x, given.weight)]
    down, update = given.low_rank
    return [(x, given.weight), (x @ _widened(down, wide).T, update)]


@np.errstate(all="ignore")
def _gradients(given: LinearProblem, found: Evaluation, memory_budget: int | None) -> LinearGradients:
    wide, dtype = _wide(given), given.hidden.dtype
    hidden = np.empty(given.hidden.shape, dtype)
    matrices = [given.weight] if given.low_rank is None else [given.weight, given.low_rank[1]]
    by_M = [np.zeros(M.shape, wide) for M in matrices]
    by_bias = np.zeros(given.weight.shape[0])
    by_down = None if given.low_rank is None else np.zeros(given.low_rank[0].shape, wide)
    entries = []
    for rows, block in _blocks(given, given.problem, memory_budget):
        dz = gradient(block, _of_rows(found, rows), 1.0, NumpyMemory, into=block.logits)
        labels, of_labels = _taken_out(dz, block.target.labels)
        entries.append((rows, labels, of_labels))
        factors = _factors(given, rows)
        by_x = [np.zeros_like(x) for x, _ in factors]
        for classes in slices(dz.shape[1], TILE):
            tile = dz[:, classes]
            for (x, M), dx, dM in zip(factors, by_x, by_M, strict=True):
                dx += tile @ _widened(M[classes], wide)
                dM[classes] += tile.T @ x
            by_bias[classes] += tile.sum(axis=0, dtype=np.float64)
        for (_, M), dx in zip(factors, by_x, strict=True):
            dx += of_labels * M[labels].astype(wide, copy=False)
        if given.low_rank is not None:
            by_x[0] += by_x[1] @ _widened(given.low_rank[0], wide)
            by_down += by_x[1].T @ factors[0][0]
        hidden[rows] = by_x[0]
    for rows, labels, of_labels in entries:
        for (x, _), dM in zip(_factors(given, rows), by_M, strict=True):
            np.add.at(dM, labels, of_labels * x)
        np.add.at(by_bias, labels, of_labels[:, 0])
    by_M = [d.astype(dtype, copy=False) for d in by_M]
    return LinearGradients(
        hidden.reshape((*given.rows, hidden.shape[1])),
        by_M[0],
        None if given.bias is None else by_bias.astype(dtype),
        None if by_down is None else (by_down.astype(dtype, copy=False), by_M[1]),
    )


def _taken_out(dz: Array, labels: Array | None) -> tuple[Array, Array]:
    """The labels and their entries in `dz`, (n,) and (n, 1), where 0 takes their place.

    Products do without them, for the reason that `HeadGradients` gives. Of a label that is not there, class 0 and 0;
    where rows do not have one label each, that of every row.
    """
    n, V = dz.shape
    labels = np.full(n, -1) if labels is None else labels
    here = (labels >= 0) & (labels < V)
    at = np.arange(n), np.where(here, labels, 0)
    found = dz[at]
    dz[at] = np.where(here, 0, found)
    return at[1], np.where(here, found, 0)[:, None]


def _of_rows(found: Evaluation, rows: slice) -> Evaluation:
    """What was found of some rows."""
    return Evaluation(
        None,
        of_rows(found.planes, rows),
        None if found.slope is None else found.slope[rows],
        found.share[rows] if getattr(found.share, "ndim", 0) else found.share,
    )


def _widened(x: Array, dtype: Any) -> Array:
    """A matrix in the dtype of the logits, as a product may have it."""
    return without_gaps(x.astype(dtype, copy=False))


def _wide(given: LinearProblem) -> Any:
    """The dtype of the logits and of sums."""
    return np.dtype(np.float64 if given.hidden.dtype == np.float64 else np.float32)
