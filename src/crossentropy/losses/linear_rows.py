"""Any loss of the logits of a linear head, a block of rows at a time."""

from collections.abc import Callable
from math import prod
from typing import Any

from crossentropy._arguments.arrays import as_arrays
from crossentropy._arguments.errors import argument_errors
from crossentropy._backends import Array, is_torch
from crossentropy._engine.linear.problem import check_head, factors_of
from crossentropy._statistics.products import product
from crossentropy.losses.distillation import distillation_loss

__all__ = ["linear_distillation_losses", "linear_row_losses"]


@argument_errors
def linear_row_losses(
    loss: Callable[[Array, slice], Array],
    hidden: Array,
    weight: Array,
    *,
    bias: Array | None = None,
    low_rank: tuple[Array, Array] | None = None,
) -> Array:
    r"""Losses of rows by any function of their logits, which are made for some hundred rows at a time.

    .. math:: z = h (W + BA)^\top + b, \qquad \ell_R = \mathrm{loss}(z_R, R) \text{ for every block of rows } R

    What `linear_cross_entropy` has no option for is lean all the same: soft targets that are read or computed a block
    at a time, a teacher's logits made beside the student's, a divergence, a hinge.

    Parameters
    ----------
    loss : callable
        ``loss(logits, rows)`` with the logits (n, V) of the rows ``slice(start, start + n)``, counted in one line;
        gives n losses. It is called once forward and once more for each block backward, so it has to give the same
        again.
    hidden : tensor (..., D), floating
        Hidden states ``h``.
    weight, bias, low_rank
        As in `crossentropy.linear_cross_entropy`.

    Returns
    -------
    tensor, ``hidden.shape[:-1]``
        What `loss` gave, in its unit (nats, of a cross-entropy) and dtype. Gradients flow to `hidden`, `weight`, `bias`
        and `low_rank`, summed in float32 or wider, and to nothing else that `loss` may use.

    Raises
    ------
    ValueError
        If shapes do not fit, or `loss` does not give one number for each row.
    TypeError
        If these are no PyTorch tensors, or dtypes differ.

    Examples
    --------
    >>> import torch
    >>> from crossentropy.losses import brier_loss
    >>> hidden, weight, labels = 2 * torch.eye(2, 3), torch.eye(4, 3), torch.tensor([0, 3])
    >>> linear_row_losses(lambda z, rows: brier_loss(z, labels[rows], reduction="none"), hidden, weight)
    tensor([0.1112, 1.3411])
    """
    _check_tensor(hidden, "linear_row_losses")
    from crossentropy._engine.linear import any_loss, autograd

    hidden, weight, bias, *factors = autograd.in_autocast(hidden, weight, bias, *factors_of(low_rank))
    low_rank = tuple(factors) or None  # type: ignore[assignment]
    check_head(hidden, weight, bias, low_rank)
    in_line = hidden.reshape(prod(hidden.shape[:-1]), hidden.shape[-1])
    found = any_loss.losses(loss, autograd.head_of(in_line, weight, bias, low_rank))
    return found.reshape(hidden.shape[:-1])


@argument_errors
def linear_distillation_losses(
    hidden: Array,
    weight: Array,
    teacher_hidden: Array,
    teacher_weight: Array,
    *,
    temperature: float = 1.0,
    direction: str = "forward",
) -> Array:
    """Divergences between a teacher's and a student's predictions, both from linear heads whose logits are never held.

    ``KL(teacher ‖ student)`` of every row, or another direction of `distillation_loss`, without its factor ``T²``.

    Parameters
    ----------
    hidden : tensor (..., D), floating
    weight : tensor (V, D)
        The student's head.
    teacher_hidden : tensor (..., E), floating
    teacher_weight : tensor (V, E)
        The teacher's, a constant: no gradient flows to it.
    temperature : float, default 1.0
        ``T``, of both.
    direction : {"forward", "reverse", "jensen-shannon"}
        As in `distillation_loss`.

    Returns
    -------
    tensor, ``hidden.shape[:-1]``
        The divergence of each row in nats: float64 for float64 hidden states, else float32. Gradients flow to `hidden`
        and `weight`.

    Raises
    ------
    ValueError
        If shapes do not fit, or an option is out of range.

    Examples
    --------
    >>> import torch
    >>> hidden, weight = torch.eye(2, 3), torch.eye(4, 3)
    >>> linear_distillation_losses(hidden, weight, 2 * hidden, weight, direction="reverse")
    tensor([0.1217, 0.1217])
    """
    _check_tensor(hidden, "linear_distillation_losses")
    given = {"weight": weight, "teacher_hidden": teacher_hidden, "teacher_weight": teacher_weight}
    _, (hidden, weight, teacher_hidden, teacher_weight) = as_arrays(hidden=hidden, **given)
    teacher = teacher_hidden.detach().reshape(prod(teacher_hidden.shape[:-1]), teacher_hidden.shape[-1])
    check_head(teacher, teacher_weight, None, None)
    if teacher_hidden.shape[:-1] != hidden.shape[:-1] or teacher_weight.shape[0] != weight.shape[0]:
        raise ValueError(
            f"the student has rows {tuple(hidden.shape[:-1])} and {weight.shape[0]} classes, the teacher "
            f"{tuple(teacher_hidden.shape[:-1])} and {teacher_weight.shape[0]}; they must have the same"
        )
    to_logits = teacher_weight.detach().T

    def divergence(z: Array, rows: slice) -> Array:
        return distillation_loss(
            z,
            product(teacher[rows], to_logits).to(z.dtype),
            temperature=temperature,
            direction=direction,
            squared_temperature=False,
            reduction="none",
        )

    return linear_row_losses(divergence, hidden, weight)


def _check_tensor(hidden: Any, function: str) -> None:
    """Refuse arrays of a library that computes a function of rows in blocks by itself, or differentiates nothing."""
    if not is_torch(hidden):
        raise TypeError(
            f"hidden is a {type(hidden).__module__}.{type(hidden).__name__}; {function} is for PyTorch tensors. "
            "In JAX, jax.lax.map over blocks of rows does the same"
        )
