"""Linear heads of NumPy arrays, by the kernels, a block of rows at a time.

The statistics of all rows are kept, and the loss is computed from them. For the gradient the logits of a block are
recomputed, overwritten in-place by their own gradient, and multiplied out.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from crossentropy._backends import Array
from crossentropy._backends.numpy_products import without_gaps
from crossentropy._engine.linear.problem import (
    LinearGradients,
    LinearProblem,
    rows_of_problem,
    rows_per_block,
)
from crossentropy._engine.softmax import per_class
from crossentropy._engine.softmax.arithmetic import on_host
from crossentropy._engine.softmax.evaluate import ForwardResult, evaluate, gradient, kernel_statistics
from crossentropy._engine.softmax.problem import SoftmaxProblem
from crossentropy._statistics import Requested, RowStatistics
from crossentropy._statistics.blocks import ALIGNED, round_up, slices
from crossentropy._statistics.cpu.memory import NumpyMemory
from crossentropy._statistics.problem import arrays, of_rows

ARITHMETIC = on_host(NumpyMemory)
TILE = 4096  # classes in a product, of which a half-precision weight is widened at a time
PER_CLASS = 16  # most float64 arrays of a block's size that a link acting on every class takes


def loss(linear: LinearProblem, memory_budget: int | None) -> Array:
    """Compute the loss of a linear head: 0-d, or with reduction "none" in the shape of the rows."""
    return loss_and_gradients(linear, memory_budget)[0]


def loss_and_gradients(
    linear: LinearProblem, memory_budget: int | None
) -> tuple[Array, Callable[[], LinearGradients]]:
    """Compute the loss, and return with it a function that computes the gradients with respect to the head."""
    with np.errstate(all="ignore"):  # infinities are valid results, as they are in the kernels
        evaluation = evaluate(
            ARITHMETIC,
            linear.problem,
            statistics=lambda problem: _statistics(linear, problem, memory_budget),
            row_losses=lambda problem: _row_losses(linear, problem, memory_budget),
        )
    dtype = linear.problem.loss_dtype
    each = linear.problem.reduction == "none"
    value = linear.unflatten_rows(evaluation.value).astype(dtype) if each else dtype(evaluation.value)
    return value, lambda: _gradients(linear, evaluation, memory_budget)


@np.errstate(all="ignore")
def statistics(linear: LinearProblem, requested: Requested) -> RowStatistics:
    """Compute the statistics of a head's rows."""
    return _statistics(linear, replace(linear.problem, requested=requested), None)


def _statistics(linear: LinearProblem, problem: SoftmaxProblem, memory_budget: int | None) -> RowStatistics:
    """Compute the statistics block by block, and concatenate them."""
    blocks = [
        arrays(kernel_statistics(ARITHMETIC, block)) for _, block in _blocks(linear, problem, memory_budget)
    ]
    joined: dict[str, Any] = {
        name: np.concatenate([statistics[name] for statistics in blocks]) for name in blocks[0]
    }
    return RowStatistics(**joined)


def _row_losses(
    linear: LinearProblem, problem: SoftmaxProblem, memory_budget: int | None
) -> tuple[Array, Array]:
    """Compute losses and masses of the rows, each (N,), for a link that acts on every class."""
    blocks = [per_class.row_losses(block) for _, block in _blocks(linear, problem, memory_budget)]
    losses, masses = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return losses, masses


def _blocks(
    linear: LinearProblem, problem: SoftmaxProblem, memory_budget: int | None
) -> Iterator[tuple[slice, SoftmaxProblem]]:
    """Yield blocks of rows and their problems, whose logits share one buffer that every block overwrites."""
    wide = _wide(linear)
    each = 8 * PER_CLASS if problem.acts_per_class else wide.itemsize
    N, V = problem.shape
    height = rows_per_block(problem, each, memory_budget)
    buffer = np.zeros((height, round_up(V, ALIGNED)), wide)[:, :V]
    for rows in slices(N, height):
        z = buffer[: rows.stop - rows.start]
        (x, M), *others = _factors(linear, rows)
        for classes in slices(V, TILE):
            tile = z[:, classes]
            np.matmul(x, _widened(M[classes], wide).T, out=tile)
            for y, update in others:
                tile += y @ _widened(update[classes], wide).T
            if linear.bias is not None:
                tile += linear.bias[classes]
        yield rows, rows_of_problem(problem, rows, z)


def _factors(linear: LinearProblem, rows: slice) -> list[tuple[Array, Array]]:
    """Return the pairs ``(x, M)`` whose products ``x Mᵀ`` add up to the logits of some rows, without the bias."""
    wide = _wide(linear)
    x = _widened(linear.hidden[rows], wide)
    if linear.low_rank is None:
        return [(x, linear.weight)]
    down, update = linear.low_rank
    return [(x, linear.weight), (x @ _widened(down, wide).T, update)]


@np.errstate(all="ignore")
def _gradients(
    linear: LinearProblem, evaluation: ForwardResult, memory_budget: int | None
) -> LinearGradients:
    """Compute the gradients of the evaluated loss with respect to the head, recomputing the logits by blocks."""
    wide, dtype = _wide(linear), linear.hidden.dtype
    hidden = np.empty(linear.hidden.shape, dtype)
    matrices = [linear.weight] if linear.low_rank is None else [linear.weight, linear.low_rank[1]]
    by_M = [np.zeros(M.shape, wide) for M in matrices]
    by_bias = np.zeros(linear.weight.shape[0])
    by_down = None if linear.low_rank is None else np.zeros(linear.low_rank[0].shape, wide)
    entries = []
    for rows, block in _blocks(linear, linear.problem, memory_budget):
        dz = gradient(ARITHMETIC, block, block.logits, _of_rows(evaluation, rows), 1.0, into=block.logits)
        labels, of_labels = _taken_out(dz, block.target.labels)
        entries.append((rows, labels, of_labels))
        factors = _factors(linear, rows)
        by_x = [np.zeros_like(x) for x, _ in factors]
        for classes in slices(dz.shape[1], TILE):
            tile = dz[:, classes]
            for (x, M), dx, dM in zip(factors, by_x, by_M, strict=True):
                dx += tile @ _widened(M[classes], wide)
                dM[classes] += tile.T @ x
            by_bias[classes] += tile.sum(axis=0, dtype=np.float64)
        for (_, M), dx in zip(factors, by_x, strict=True):
            dx += of_labels * M[labels].astype(wide, copy=False)
        if linear.low_rank is not None:
            by_x[0] += by_x[1] @ _widened(linear.low_rank[0], wide)
            by_down += by_x[1].T @ factors[0][0]
        hidden[rows] = by_x[0]
    for rows, labels, of_labels in entries:
        for (x, _), dM in zip(_factors(linear, rows), by_M, strict=True):
            np.add.at(dM, labels, of_labels * x)
        np.add.at(by_bias, labels, of_labels[:, 0])
    by_M = [d.astype(dtype, copy=False) for d in by_M]
    return LinearGradients(
        hidden.reshape((*linear.rows, hidden.shape[1])),
        by_M[0],
        None if linear.bias is None else by_bias.astype(dtype),
        None if by_down is None else (by_down.astype(dtype, copy=False), by_M[1]),
    )


def _taken_out(dz: Array, labels: Array | None) -> tuple[Array, Array]:
    """Pop the labels' entries from `dz` (n, V): return labels (n,) and entries (n, 1), and set them to 0 in `dz`.

    The products go without them, for the reason that `HeadGradients` gives. A row without a label in range, or with
    other than one label, gives class 0 and an entry of 0.
    """
    n, V = dz.shape
    labels = np.full(n, -1) if labels is None else labels
    here = (labels >= 0) & (labels < V)
    at = np.arange(n), np.where(here, labels, 0)
    entries = dz[at]
    dz[at] = np.where(here, 0, entries)
    return at[1], np.where(here, entries, 0)[:, None]


def _of_rows(evaluation: ForwardResult, rows: slice) -> ForwardResult:
    """Select an evaluation's values for some rows."""
    return ForwardResult(
        None,
        of_rows(evaluation.stats, rows),
        None if evaluation.slope is None else evaluation.slope[rows],
        evaluation.share[rows] if getattr(evaluation.share, "ndim", 0) else evaluation.share,
    )


def _widened(x: Array, dtype: Any) -> Array:
    """Convert a matrix to `dtype`, without gaps between its rows, for a product."""
    return without_gaps(x.astype(dtype, copy=False))


def _wide(linear: LinearProblem) -> Any:
    """Return the dtype of the logits and of sums, float32 or float64."""
    return np.dtype(np.float64 if linear.hidden.dtype == np.float64 else np.float32)
