"""Cross-entropy over a vocabulary whose classes are spread over the ranks of a `torch.distributed` group.

Every rank has a slice of the classes, in rank order and of any size, and the same rows. What has a class axis (logits,
class vectors, soft targets, the masks of label sets) is this rank's slice; labels are counted over the classes of all
ranks, and they and everything else are the same on all of them.

The loss is one number that all ranks have, with the same bits where they run alike, and the gradient on each rank is
that of this one number by what the rank has: its logits, its biases. Where all ranks have a share in it, as a
temperature, it is the whole gradient on every rank; so nothing is to be summed or averaged over this group
afterwards. Forward, the ranks exchange a few numbers for every row, in two collectives, or four where a link acts on
every class; backward they exchange the gradients of what they share, of the logits nothing.
"""

from typing import Any

from torch import Tensor

from crossentropy._arguments.errors import argument_errors
from crossentropy._engine.options import LastAxisOptions
from crossentropy._statistics import Requested, RowStatistics
from crossentropy._statistics.problem import arrays
from crossentropy._versions import Unpack
from crossentropy.losses.target_statistics import TargetStatistics
from crossentropy.torch.distributed._dtensor import local, sharded
from crossentropy.torch.distributed._linear import agreed_head
from crossentropy.torch.distributed._problem import (
    agree_on_problem,
    check_arguments,
    compute_loss,
    compute_statistics,
)

__all__ = ["linear_cross_entropy", "linear_target_statistics", "softmax_cross_entropy", "target_statistics"]


@argument_errors
def softmax_cross_entropy(
    logits: Tensor, labels: Any, *, group: Any = None, **options: Unpack[LastAxisOptions]
) -> Tensor:
    """`crossentropy.softmax_cross_entropy` of logits whose class axis is spread over ranks.

    Parameters
    ----------
    logits : Tensor (..., C), floating
        This rank's slice of the class axis, the last one; ranks may have different numbers of classes. Or a `DTensor`
        that is sharded along it.
    labels : integer Tensor (...), floating Tensor (..., C), or one of `crossentropy.targets`
        Indices, those of `targets.Sparse` too, are counted over the classes of all ranks, rank 0's first. Soft targets
        and the masks of `targets.LabelSet` are this rank's slice.
    group : ProcessGroup, optional
        The ranks that share the classes; all, if left out. That of a `DTensor` is its own.
    **options
        Those of `crossentropy.softmax_cross_entropy` but for `axis` and `inplace`. `class_weight`, `smoothing_prior`,
        `logit_bias` and a `margin` for every class are this rank's slice.

    Returns
    -------
    Tensor () or the rows' shape
        The loss in nats on every rank, with nothing left for a rank to sum up: float64 for float64 logits, else
        float32.

    Raises
    ------
    ValueError, TypeError
        As `crossentropy.softmax_cross_entropy` does, on every rank; and if the ranks differ in labels or options.
    RuntimeError
        If there is no process group, or a rank has died: within the group's timeout.

    Notes
    -----
    The statistics of every rank's part are merged in rank order by the same formulas on every rank, so a confident row
    keeps its digits. It runs on the kernels, on the CPU. Second derivatives are those of formulas around sums over the
    ranks: every rank has to ask for them, and what the ranks make of their parts of a gradient adds up.

    Examples
    --------
    In each of two processes, with the classes 0 to 2 on the first rank and 3 to 7 on the second::

        torch.distributed.init_process_group("gloo")
        loss = softmax_cross_entropy(logits, labels, label_smoothing=0.1)
        loss.backward()
    """
    logits, group = sharded(logits, -1, "logits", group)
    labels, local_options = local(labels), {name: local(x) for name, x in options.items()}
    return compute_loss(
        *agree_on_problem(
            lambda: check_arguments("softmax_cross_entropy", logits, labels, local_options), group
        )
    )


@argument_errors
def linear_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    labels: Any,
    *,
    bias: Tensor | None = None,
    low_rank: tuple[Tensor, Tensor] | None = None,
    shift: int = 0,
    memory_budget: int | None = None,
    skip_below: float = 0.0,
    group: Any = None,
    **options: Unpack[LastAxisOptions],
) -> Tensor:
    """`crossentropy.linear_cross_entropy` of a head whose classes are spread over ranks.

    No rank is ever sent logits. The gradients of `hidden` and of ``A`` come from one sum over the ranks, in the
    backward pass, which every rank has to run; those of `weight`, `bias` and ``B`` are each rank's own.

    Parameters
    ----------
    hidden : Tensor (..., D), floating
        Hidden states, the same on every rank.
    weight : Tensor (V, D), dtype of `hidden`
        This rank's rows of the head's matrix, one for each of its classes. Or a `DTensor` that is sharded along them.
    labels : integer Tensor (...), floating Tensor (..., V), or one of `crossentropy.targets`
        As in `softmax_cross_entropy`.
    bias : Tensor (V,), dtype of `hidden`, optional
        This rank's slice.
    low_rank : (A, B), Tensors (r, D) and (V, r), optional
        An update of the weight that is never added to it. ``A`` is the same on every rank, ``B`` this rank's rows.
    shift : int, default 0
        As in `crossentropy.linear_cross_entropy`.
    memory_budget : int, optional
        Bytes that this rank's logits may take between the forward and the backward pass. If they fit in they are kept,
        else made once more on the way back, a tile at a time; what is exchanged is the same. By default 256 MiB.
    skip_below : float, default 0.0
        As in `crossentropy.linear_cross_entropy`; each rank leaves out tiles of its own.
    group : ProcessGroup, optional
        The ranks that share the classes; all, if left out. That of a `DTensor` is its own.
    **options
        As in `softmax_cross_entropy`. A `link` other than cross-entropy takes this rank's logits at once where targets
        are soft or smoothed.

    Returns
    -------
    Tensor () or the rows' shape
        The loss in nats on every rank: float64 for float64 hidden states, else float32.

    Raises
    ------
    ValueError, TypeError, RuntimeError
        As `softmax_cross_entropy` does, and as `crossentropy.linear_cross_entropy`.

    Examples
    --------
    In each of two processes, with the first half of the vocabulary on one and the second on the other::

        torch.distributed.init_process_group("gloo")
        loss = linear_cross_entropy(hidden, weight, tokens, shift=1, ignore_index=-100)
        loss.backward()
    """
    head = agreed_head(
        "linear_cross_entropy",
        *(hidden, weight, labels, bias, low_rank, shift, group, options),
        memory_budget=memory_budget,
        skip_below=skip_below,
    )
    loss = compute_loss(head.problem, head.shard, head.statistics, head.logits)
    return head.kept(loss) if head.problem.reduction == "none" else loss


@argument_errors
def target_statistics(
    logits: Tensor,
    labels: Any,
    *,
    group: Any = None,
    temperature: Any = 1.0,
    softcap: float | None = None,
    logit_bias: Tensor | None = None,
    margin: Any = None,
    ignore_index: int | None = None,
    validate: str = "raise",
    entropy: bool = False,
    rank: bool = False,
) -> TargetStatistics:
    """`crossentropy.target_statistics` of logits whose class axis is spread over ranks.

    Parameters
    ----------
    logits, labels, group
        As in `softmax_cross_entropy`.
    temperature, softcap, logit_bias, margin, ignore_index, validate
        As in `crossentropy.softmax_cross_entropy`; `logit_bias` and a `margin` for every class are this rank's slice.
    entropy, rank : bool, default False
        Whether the entropy of the rows, and the rank of the labels, are wanted. The rank takes one exchange more, once
        all ranks have heard of the labels' logits.

    Returns
    -------
    TargetStatistics
        The same on every rank: log-probabilities and entropies in nats, float64 for float64 logits, else float32.
        `argmax` is counted over the classes of all ranks.

    Raises
    ------
    ValueError, TypeError, RuntimeError
        As `softmax_cross_entropy` does.

    Examples
    --------
    In each of two processes, with the classes 0 to 2 on the first rank and 3 to 7 on the second::

        torch.distributed.init_process_group("gloo")
        statistics = target_statistics(logits, labels, rank=True)
        accuracy = (statistics.rank == 0).float().mean()
    """
    logits, group = sharded(logits, -1, "logits", group)
    options = {
        "temperature": temperature,
        "softcap": softcap,
        "logit_bias": logit_bias,
        "margin": margin,
        "ignore_index": ignore_index,
        "validate": validate,
    }
    labels, local_options = local(labels), {name: local(x) for name, x in options.items()}
    requested = Requested(log_partition=True, entropy=entropy, argmax=True, rank=rank)
    problem, stats = compute_statistics(
        *agree_on_problem(
            lambda: check_arguments("target_statistics", logits, labels, local_options, requested), group
        )
    )
    return TargetStatistics(stats, problem.masses, problem.loss_dtype)


@argument_errors
def linear_target_statistics(
    hidden: Tensor,
    weight: Tensor,
    labels: Any,
    *,
    bias: Tensor | None = None,
    low_rank: tuple[Tensor, Tensor] | None = None,
    shift: int = 0,
    memory_budget: int | None = None,
    group: Any = None,
    temperature: Any = 1.0,
    softcap: float | None = None,
    logit_bias: Tensor | None = None,
    margin: Any = None,
    ignore_index: int | None = None,
    validate: str = "raise",
    entropy: bool = False,
    rank: bool = False,
) -> TargetStatistics:
    """`crossentropy.linear_target_statistics` of a head whose classes are spread over ranks.

    Parameters
    ----------
    hidden, weight, bias, low_rank, memory_budget, group
        As in `linear_cross_entropy`.
    labels
        As in `softmax_cross_entropy`, for rows of the shape ``hidden.shape[:-1]``.
    shift
        As in `crossentropy.linear_cross_entropy`.
    temperature, softcap, logit_bias, margin, ignore_index, validate
        As in `crossentropy.softmax_cross_entropy`; `logit_bias` and a `margin` for every class are this rank's slice.
    entropy, rank : bool, default False
        Whether the entropy of the rows, and the rank of the labels, are wanted. For the rank the logits are made once
        more.

    Returns
    -------
    TargetStatistics
        The same on every rank: log-probabilities and entropies in nats, float64 for float64 hidden states, else
        float32, in the shape of the labels; with a `shift` shorter by that.

    Raises
    ------
    ValueError, TypeError, RuntimeError
        As `linear_cross_entropy` does.

    Examples
    --------
    In each of two processes, with the rows of the head's matrix for its own classes::

        torch.distributed.init_process_group("gloo")
        log_prob = linear_target_statistics(hidden, weight, labels, shift=1).log_prob
    """
    options: LastAxisOptions = {
        "temperature": temperature,
        "softcap": softcap,
        "logit_bias": logit_bias,
        "margin": margin,
        "ignore_index": ignore_index,
        "validate": validate,
    }
    head = agreed_head(
        "linear_target_statistics",
        *(hidden, weight, labels, bias, low_rank, shift, group, options),
        memory_budget=memory_budget,
        requested=Requested(log_partition=True, entropy=entropy, argmax=True, rank=rank),
    )
    problem, stats = compute_statistics(head.problem, head.shard, head.statistics)
    kept: dict[str, Any] = {name: head.kept(x) for name, x in arrays(stats).items()}
    masses = None if problem.masses is None else head.kept(problem.masses)
    return TargetStatistics(RowStatistics(**kept), masses, problem.loss_dtype)
