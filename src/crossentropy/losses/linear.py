"""Cross-entropy of a linear head, from hidden states to the loss without the logits in between."""

from typing import Any

from crossentropy._arguments.arrays import as_array
from crossentropy._arguments.errors import argument_errors
from crossentropy._backends import Array, is_jax, is_numpy, is_torch
from crossentropy._backends.conditions import check_static
from crossentropy._backends.tape import Taped
from crossentropy._engine.linear.problem import (
    LinearGradients,
    LinearProblem,
    check_memory_budget,
    check_skip_below,
    factors_of,
    make_linear_problem,
)
from crossentropy._engine.options import LastAxisOptions, LinearOptions, check_names
from crossentropy._statistics import Requested, RowStatistics
from crossentropy._statistics.cpu.memory import is_for_kernels
from crossentropy._statistics.problem import arrays
from crossentropy._versions import Unpack
from crossentropy.losses.target_statistics import TargetStatistics

__all__ = ["linear_cross_entropy", "linear_loss_and_gradients", "linear_target_statistics"]


@argument_errors
def linear_cross_entropy(
    hidden: Array,
    weight: Array,
    labels: Any,
    *,
    bias: Array | None = None,
    low_rank: tuple[Array, Array] | None = None,
    shift: int = 0,
    memory_budget: int | None = None,
    skip_below: float = 0.0,
    **options: Unpack[LastAxisOptions],
) -> Array:
    r"""Cross-entropy between labels and the softmax of ``hidden weightᵀ + bias``, whose logits are never held.

    .. math:: z = h (W + BA)^\top + b, \qquad \ell = \texttt{softmax\_cross\_entropy}(z, \mathrm{labels})

    For a language model the logits are the largest array of a step. Here those of some hundred rows at a time are made,
    used and forgotten; the loss and its gradients are those of `crossentropy.softmax_cross_entropy` with any of its
    options.

    Parameters
    ----------
    hidden : array (..., D), floating
        Hidden states ``h``, one for each row.
    weight : array (V, D), dtype of `hidden`
        The matrix ``W`` of the head, a row for each class, of any strides. It may be an embedding's.
    labels : array, or one of `crossentropy.targets`
        As in `crossentropy.softmax_cross_entropy`, for rows of the shape ``hidden.shape[:-1]``.
    bias : array (V,), dtype of `hidden`, optional
        ``b``.
    low_rank : (A, B), arrays (r, D) and (V, r), optional
        An update of the weight that is never added to it, as LoRA trains one.
    shift : int, default 0
        How many places ahead on the last axis of the rows a row's label stands: 1 for the next token. The last `shift`
        rows are left without a label and out of the loss; `sample_weight`, `temperature` and `normalizer` move with the
        labels, and with ``reduction="none"`` the last axis is shorter by `shift`. Hidden states are not copied.
    memory_budget : int, optional
        Bytes that may be used beyond the inputs and the gradients. A large one lets the gradient be worked out on the
        way forward, from logits that are made once; a small one makes the logits again on the way back, a tile at a
        time, which takes up to a third longer. The least is a few tiles. By default the faster way is taken, with a
        few hundred MiB of logits at a time.
    skip_below : float, default 0.0
        A probability, the threshold below which gradients are skipped. The classes are processed in tiles and the rows
        in blocks of a few hundred. Where no class of a tile but the labels has more than this probability in any row of
        a block, only the labels' entries have a gradient there, which saves three of four matrix products. Each skipped
        entry of the logits' gradient is smaller than `skip_below` times the derivative of the result with respect to
        its row's loss. The logits are computed again in the backward pass, so this pays where a trained model is sure
        of most labels. PyTorch only; `labels` are indices then, without label smoothing, softcap or entropy bonus.
    **options
        Those of `crossentropy.softmax_cross_entropy` but `axis` and `inplace`.

    Returns
    -------
    array () or the rows' shape
        The loss in nats: float64 for float64 inputs, else float32. Gradients flow to `hidden`, `weight`, `bias`,
        `low_rank`, and to what `crossentropy.softmax_cross_entropy` has a gradient for.

    Raises
    ------
    ValueError
        If shapes do not fit, a label is outside the classes, or an option is out of range.
    TypeError
        If dtypes do not fit one another.

    Notes
    -----
    Gradients are summed in float32 or wider whatever the dtype. For NumPy, `linear_loss_and_gradients` gives them. JAX
    scans over blocks of rows and works each out again for any derivative, half precision in float32; call it under
    ``jax.jit``. A `memory_budget` makes the blocks of both smaller, and their gradients always take a second set of
    logits. In PyTorch under functional transforms and on devices other than the CPU and CUDA the logits are made whole,
    and in second derivatives too; so they are for arrays of other libraries. What is compiled recomputes, and does
    without `skip_below`. On CUDA nothing waits for the device but `skip_below`, which has to know what to skip.

    Examples
    --------
    >>> import torch
    >>> hidden, weight = torch.eye(2, 3, requires_grad=True), torch.eye(4, 3, requires_grad=True)
    >>> loss = linear_cross_entropy(hidden, weight, torch.tensor([0, 3]))
    >>> loss.backward()
    >>> round(loss.item(), 4), weight.grad.shape
    (1.2437, torch.Size([4, 3]))
    """
    given = _linear_problem(hidden, weight, labels, bias=bias, low_rank=low_rank, shift=shift, **options)
    _check_budgets(given, memory_budget, skip_below)
    if skip_below:
        from crossentropy._engine.linear import autograd

        return autograd.loss(given, memory_budget, skip_below)
    return _strategies(given).loss(given, memory_budget)


@argument_errors
def linear_loss_and_gradients(
    hidden: Array, weight: Array, labels: Any, **options: Unpack[LinearOptions]
) -> tuple[Array, LinearGradients]:
    """A linear head's loss and its gradients, of NumPy arrays, which have no automatic differentiation.

    The logits of a block of rows are made twice, once for the loss and once for the gradients.

    Parameters
    ----------
    hidden, weight
        As in `linear_cross_entropy`.
    labels
        As in `crossentropy.softmax_cross_entropy`, for rows of the shape ``hidden.shape[:-1]``.
    **options
        Those of `linear_cross_entropy`. With ``reduction="none"`` the gradients are those of the losses' sum.

    Returns
    -------
    value : array
        The loss in nats, as `linear_cross_entropy` returns it: float64 for float64 hidden states, else float32.
    gradients : named tuple
        ``hidden``, ``weight``, ``bias`` and ``low_rank``, a pair, each in the shape and dtype of what it is the
        gradient by; None where that was not given. They are summed in float32 or wider.

    Raises
    ------
    TypeError
        If `hidden` is not a NumPy array of float64 or narrower, and as `linear_cross_entropy` does.
    ValueError
        As `linear_cross_entropy` does.

    Examples
    --------
    >>> import numpy as np
    >>> hidden, weight = np.eye(2, 3), np.eye(4, 3)
    >>> loss, gradients = linear_loss_and_gradients(hidden, weight, np.asarray([0, 3]))
    >>> float(loss.round(4)), gradients.weight.round(2)[0], gradients.bias
    (1.2437, array([-0.26,  0.09,  0.  ]), None)
    """
    hidden = as_array(hidden, "hidden")
    if not is_numpy(hidden):
        raise TypeError(
            f"hidden is a {type(hidden).__module__}.{type(hidden).__name__}; linear_loss_and_gradients is for NumPy "
            "arrays. PyTorch and JAX differentiate linear_cross_entropy themselves"
        )
    memory_budget, skip_below = options.pop("memory_budget", None), options.pop("skip_below", 0.0)
    given = _linear_problem(hidden, weight, labels, **options)
    _check_budgets(given, memory_budget, skip_below)
    if hidden.dtype.itemsize > 8:
        raise TypeError(f"hidden has dtype {hidden.dtype}; gradients are for float64 and narrower")
    if not is_for_kernels(hidden):
        from crossentropy._engine.linear import whole

        return whole.loss_and_gradients(given)
    from crossentropy._engine.linear import numpy_blocks

    value, gradients = numpy_blocks.loss_and_gradients(given, memory_budget)
    return value, gradients()


@argument_errors
def linear_target_statistics(
    hidden: Array,
    weight: Array,
    labels: Any,
    *,
    bias: Array | None = None,
    low_rank: tuple[Array, Array] | None = None,
    shift: int = 0,
    temperature: Any = 1.0,
    softcap: float | None = None,
    logit_bias: Array | None = None,
    margin: Any = None,
    ignore_index: int | None = None,
    validate: str = "raise",
    entropy: bool = False,
    rank: bool = False,
) -> TargetStatistics:
    """What `crossentropy.target_statistics` says of ``hidden weightᵀ + bias``, whose logits are never held.

    Any loss that is a function of these (DPO, PPO, distillation by sequences) is lean through them: its gradient makes
    the logits once more, a tile at a time.

    Parameters
    ----------
    hidden, weight, bias, low_rank, shift
        As in `linear_cross_entropy`.
    labels, temperature, softcap, logit_bias, margin, ignore_index, validate
        As in `crossentropy.softmax_cross_entropy`, for rows of the shape ``hidden.shape[:-1]``.
    entropy, rank : bool, default False
        Whether the entropy of the rows, and the rank of the labels, are wanted.

    Returns
    -------
    TargetStatistics
        As `target_statistics` of the logits: log-probabilities and entropies in nats, float64 for float64 hidden
        states, else float32, in the shape of the labels; with a `shift` shorter by that.

    Raises
    ------
    ValueError, TypeError
        As `linear_cross_entropy` does.

    Examples
    --------
    >>> import torch
    >>> said = linear_target_statistics(torch.eye(2, 3), torch.eye(4, 3), torch.tensor([0, 3]), rank=True)
    >>> said.log_prob, said.rank
    (tensor([-0.7437, -1.7437]), tensor([0, 3]))
    """
    given = _linear_problem(
        hidden,
        weight,
        labels,
        bias=bias,
        low_rank=low_rank,
        shift=shift,
        temperature=temperature,
        softcap=softcap,
        logit_bias=logit_bias,
        margin=margin,
        ignore_index=ignore_index,
        validate=validate,
    )
    if rank and given.problem.target.labels is None:
        raise ValueError("rank=True needs one label for each row; these targets are several or soft")
    requested = Requested(log_partition=True, entropy=entropy, argmax=True, rank=rank)
    stats, masses = _strategies(given).statistics(given, requested), given.problem.masses
    in_rows = RowStatistics(**{name: given.unflatten_rows(x) for name, x in arrays(stats).items()})
    return TargetStatistics(
        in_rows, None if masses is None else given.unflatten_rows(masses), given.problem.loss_dtype
    )


def _linear_problem(
    hidden: Array,
    weight: Array,
    labels: Any,
    *,
    bias: Array | None = None,
    low_rank: tuple[Array, Array] | None = None,
    shift: int = 0,
    **options: Any,
) -> LinearProblem:
    """The problem, with what goes into the product in the dtype of autocast if that is on."""
    check_names(options, LastAxisOptions)
    check_static(shift=shift)
    if is_torch(hidden):
        from crossentropy._engine.linear import autograd

        parts = (hidden, weight, bias, *factors_of(low_rank))
        hidden, weight, bias, *rest = autograd.in_autocast(*parts)
        low_rank = tuple(rest) or None  # type: ignore[assignment]
    return make_linear_problem(hidden, weight, labels, bias=bias, low_rank=low_rank, shift=shift, **options)


def _check_budgets(given: LinearProblem, memory_budget: int | None, skip_below: float) -> None:
    """Refuse a budget or a bound that is none, or not for these arrays."""
    check_static(memory_budget=memory_budget, skip_below=skip_below)
    check_memory_budget(memory_budget)
    check_skip_below(skip_below, given.problem)
    if skip_below and not is_torch(given.hidden):
        raise ValueError("skip_below is for PyTorch tensors; leave it out for arrays of other libraries")


def _strategies(given: LinearProblem) -> Any:
    """The module with the functions ``loss`` and ``statistics`` that fit its arrays."""
    hidden = given.hidden
    if is_torch(hidden):
        from crossentropy._engine.linear import autograd, whole
        from crossentropy._statistics.torch.kernels import row_kernel

        return whole if row_kernel(hidden.device.type) is None else autograd
    others = (given.weight, given.bias, *(given.low_rank or ()))
    is_taped = Taped in map(type, others) or given.problem.is_taped_beside_logits
    if is_numpy(hidden) and is_for_kernels(hidden) and not is_taped:
        from crossentropy._engine.linear import numpy_blocks

        return numpy_blocks
    if is_jax(hidden):
        from crossentropy._engine.linear import jax_scan

        return jax_scan
    from crossentropy._engine.linear import whole

    return whole
