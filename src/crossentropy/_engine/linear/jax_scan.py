"""Linear heads of JAX arrays: a scan over blocks of rows, each of which is recomputed in the backward pass.

A block goes through the formulas, so that JAX forms derivatives of every kind and order, and nothing of the size of
all the logits is kept for them.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from crossentropy._backends import Array, widest_dtype
from crossentropy._engine.linear.problem import LinearProblem, row_parts, rows_per_block, with_rows
from crossentropy._engine.softmax import per_class
from crossentropy._engine.softmax.autodiff import loss_by_autodiff
from crossentropy._engine.softmax.problem import SoftmaxProblem
from crossentropy._engine.softmax.statistics import find_statistics
from crossentropy._engine.softmax.terms import is_plain
from crossentropy._statistics import Requested, RowStatistics
from crossentropy._statistics.problem import arrays


def loss(linear: LinearProblem, memory_budget: int | None) -> Array:
    """Compute the loss of a linear head, differentiably: 0-d, or with reduction "none" in the shape of the rows."""
    value = loss_by_autodiff(
        linear.problem,
        statistics=lambda problem: _statistics(linear, problem, memory_budget),
        row_losses=lambda problem: _of_blocks(linear, problem, memory_budget, per_class.row_losses),
    )
    return linear.unflatten_rows(value) if linear.problem.reduction == "none" else value


def statistics(linear: LinearProblem, requested: Requested) -> RowStatistics:
    """Compute the statistics of a head's rows, differentiably."""
    return _statistics(linear, replace(linear.problem, requested=requested), None)


def _statistics(linear: LinearProblem, problem: SoftmaxProblem, memory_budget: int | None) -> RowStatistics:
    """Compute the statistics by a scan over blocks of rows."""
    statistics = _of_blocks(linear, problem, memory_budget, lambda block: arrays(find_statistics(block)))
    return RowStatistics(**statistics)


def _arrays_at_once(problem: SoftmaxProblem) -> int:
    """Return the number of arrays of a block's size that the compiled formulas and gradient take, as measured."""
    if problem.acts_per_class:
        return 16
    k = 1 if problem.masses is None else int(problem.masses.shape[-1])
    plain = is_plain(problem) and problem.transform.is_plain and problem.target.mask is None
    return 3 * k + (0 if plain else 5)


def _of_blocks(
    linear: LinearProblem,
    problem: SoftmaxProblem,
    memory_budget: int | None,
    work: Callable[[SoftmaxProblem], Any],
) -> Any:
    """Apply `work` to every block of rows, and concatenate the arrays of its result.

    The weights are widened to float32 or more before the scan, for it adds their gradient in their dtype.
    """
    wide = jnp.promote_types(linear.hidden.dtype, jnp.float32)
    weight, bias, low_rank = jax.tree.map(
        lambda x: x.astype(wide), (linear.weight, linear.bias, linear.low_rank)
    )

    def of_block(hidden: Array, parts: dict[str, Array]) -> Any:
        x = hidden.astype(wide)
        z = x @ weight.T
        if low_rank is not None:
            down, up = low_rank
            z = z + (x @ down.T) @ up.T
        block = with_rows(problem, parts, len(hidden))
        return work(block.with_logits(z if bias is None else z + bias))

    N = problem.shape[0]
    each = _arrays_at_once(problem) * jnp.dtype(widest_dtype(linear.hidden)).itemsize
    blocks = -(-N // rows_per_block(problem, each, memory_budget))
    height = -(-N // max(blocks, 1))

    def filled(x: Array, mode: str) -> Array:
        x = jnp.pad(x, [(0, blocks * height - N)] + [(0, 0)] * (x.ndim - 1), mode=mode)
        return jnp.reshape(x, (blocks, height, *x.shape[1:]))

    # The last block is padded with hidden states of 0, which have finite logits, and with the last row's options.
    rows = filled(linear.hidden, "constant"), {k: filled(x, "edge") for k, x in row_parts(problem).items()}
    again = jax.checkpoint(of_block, prevent_cse=False)
    _, result = jax.lax.scan(lambda _, block: (None, again(*block)), None, rows)
    return jax.tree.map(lambda x: jnp.reshape(x, (blocks * height, *x.shape[2:]))[:N], result)
