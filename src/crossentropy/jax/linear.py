"""The loss of a linear head, whose logits are never there as a whole, in optax's manner."""

from typing import Any

import jax

from crossentropy._arguments.errors import argument_errors
from crossentropy._backends import Array
from crossentropy._engine.options import ExampleOptions, check_names
from crossentropy._versions import Unpack
from crossentropy.jax._rows import check_floating
from crossentropy.losses import linear

__all__ = ["linear_cross_entropy"]


@argument_errors
def linear_cross_entropy(
    hidden: Array,
    weight: Array,
    labels: Any,
    *,
    bias: Array | None = None,
    memory_budget: int | None = None,
    **options: Unpack[ExampleOptions],
) -> jax.Array:
    """The loss of each example of a linear head, ``softmax_cross_entropy(hidden @ weight.T + bias, labels)``.

    The head is computed by blocks of rows, in a scan, and again for the gradient, so that the logits are never there as
    a whole. optax has no such loss.

    Parameters
    ----------
    hidden : array (..., d), floating
    weight : array (C, d), floating
        As PyTorch has it; transpose the kernel of a Flax `Dense`.
    labels : integer array (...), floating array (..., C), or one of `crossentropy.targets`
    bias : array (C,), optional
    memory_budget : int, optional
        How many bytes a block's logits may take.
    **options
        Those of `softmax_cross_entropy_with_integer_labels`.

    Returns
    -------
    array (...)
        The loss of each example in nats: float64 for float64 hidden states, else float32.

    Raises
    ------
    ValueError, TypeError
        As `crossentropy.linear_cross_entropy` does.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> hidden, weight = jnp.ones((2, 3)), jnp.eye(4, 3)
    >>> [round(x, 4) for x in linear_cross_entropy(hidden, weight, jnp.array([0, 3])).tolist()]
    [1.2143, 2.2143]
    """
    check_names(options, ExampleOptions)
    hidden, weight = check_floating(hidden=hidden, weight=weight)
    return linear.linear_cross_entropy(
        hidden, weight, labels, bias=bias, memory_budget=memory_budget, reduction="none", **options
    )
