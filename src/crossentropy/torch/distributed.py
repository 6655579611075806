"""Cross-entropy over a vocabulary whose classes are spread over the ranks of a `torch.distributed` group.

Every rank has a slice of the classes, in rank order and of any size, and the same rows. What has a class axis (logits,
class vectors, soft targets, the masks of label sets) is this rank's slice; labels are counted over the classes of all
ranks, and they and everything else are the same on all of them.

The loss is one number that all ranks have, with the same bits where they run alike, and the gradient on each rank is
that of this one number by what the rank has: its logits, its biases. Where all ranks have a share in it, as a
temperature, it is the whole gradient on every rank; so nothing is to be summed or averaged over this group
afterwards. Forward, the ranks exchange a few numbers for every row, in two collectives; backward they exchange the
gradients of what they share, of the logits nothing.
"""

from dataclasses import replace
from functools import partial
from math import prod
from typing import Any, Unpack

from torch import Tensor

from crossentropy.backends import loss_dtype
from crossentropy.losses._linear_problem import check_head, in_one_line, shape_alone, usable_hidden
from crossentropy.losses._linear_torch import in_autocast
from crossentropy.losses._softmax_problem import SoftmaxProblem
from crossentropy.losses.target_statistics import TargetStatistics
from crossentropy.statistics import Wanted
from crossentropy.statistics._head_torch import Head
from crossentropy.torch import _sharded_head
from crossentropy.torch._dtensor import local, sharded
from crossentropy.torch._sharded_problem import (
    ShardedOptions,
    agreed,
    check_plain,
    checked,
    learns,
    solved,
    worked_out,
)

__all__ = ["linear_cross_entropy", "softmax_cross_entropy", "target_statistics"]


def softmax_cross_entropy(
    logits: Tensor, labels: Any, *, group: Any = None, **options: Unpack[ShardedOptions]
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
        Those of `crossentropy.softmax_cross_entropy`. `class_weight`, `smoothing_prior`, `logit_bias` and a `margin`
        for every class are this rank's slice.

    Returns
    -------
    Tensor () or the rows' shape
        The loss on every rank, and nothing that a rank has to sum up.

    Raises
    ------
    ValueError, TypeError
        As `crossentropy.softmax_cross_entropy` does, on every rank; and if the ranks differ in labels or options.
    RuntimeError
        If there is no process group, or a rank has died: within the group's timeout.

    Notes
    -----
    The statistics of every rank's part are merged in rank order by the same formulas on every rank, so a confident row
    keeps its digits. It runs on the kernels, on the CPU, and has first derivatives alone.

    Examples
    --------
    In each of two processes, with the classes 0 to 2 on the first rank and 3 to 7 on the second::

        torch.distributed.init_process_group("gloo")
        loss = softmax_cross_entropy(logits, labels, label_smoothing=0.1)
        loss.backward()
    """
    logits, group = sharded(logits, -1, "logits", group)
    labels, own = local(labels), {name: local(x) for name, x in options.items()}
    return solved(*agreed(lambda: checked("softmax_cross_entropy", logits, labels, own), group))


def linear_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    labels: Any,
    *,
    bias: Tensor | None = None,
    group: Any = None,
    **options: Unpack[ShardedOptions],
) -> Tensor:
    """`crossentropy.linear_cross_entropy` of a head whose classes are spread over ranks.

    No rank ever holds its logits. The gradient of `hidden` is summed over the ranks once, in the backward pass, which
    every rank has to run; those of `weight` and `bias` are each rank's own.

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
    group : ProcessGroup, optional
        The ranks that share the classes; all, if left out. That of a `DTensor` is its own.
    **options
        As in `softmax_cross_entropy`.

    Returns
    -------
    Tensor () or the rows' shape
        The loss on every rank.

    Raises
    ------
    ValueError, TypeError, RuntimeError
        As `softmax_cross_entropy` does, and if the shapes or dtypes of the head do not fit.

    Examples
    --------
    In each of two processes, with the first half of the vocabulary on one and the second on the other::

        torch.distributed.init_process_group("gloo")
        loss = linear_cross_entropy(hidden, weight, labels, ignore_index=-100)
        loss.backward()
    """
    weight, group = sharded(weight, 0, "weight", group)
    parts: list[Any] = in_autocast(local(hidden), weight, local(bias))
    hidden, weight, bias = parts
    labels, own = local(labels), {name: local(x) for name, x in options.items()}

    def prepare() -> tuple[SoftmaxProblem, int, dict[str, Any]]:
        check_head(hidden, weight, bias, None)
        check_plain(hidden, weight, bias)
        logits = shape_alone(hidden, (*hidden.shape[:-1], weight.shape[0]))
        problem, size, same = checked("linear_cross_entropy", logits, labels, own)
        return problem, size, {**same, "hidden": (tuple(hidden.shape), learns(hidden))}

    problem, shard = agreed(prepare, group)
    N = prod(problem.rows)
    in_line = in_one_line(problem, shape_alone(hidden, (N, shard.size)), N)
    in_line = replace(in_line, validate=problem.validate, normalized=problem.normalized)
    head = Head((usable_hidden(hidden.reshape(N, -1), in_line), weight), bias)
    loss = solved(in_line, shard, partial(_sharded_head.statistics, head))
    return loss.reshape(problem.rows) if problem.reduction == "none" else loss


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
) -> TargetStatistics:
    """`crossentropy.target_statistics` of logits whose class axis is spread over ranks, but for the rank of the labels.

    Parameters
    ----------
    logits, labels, group
        As in `softmax_cross_entropy`.
    temperature, softcap, logit_bias, margin, ignore_index, validate, entropy
        As in `crossentropy.target_statistics`; `logit_bias` and a `margin` for every class are this rank's slice.

    Returns
    -------
    TargetStatistics
        The same on every rank. `argmax` is counted over the classes of all ranks.

    Raises
    ------
    ValueError, TypeError, RuntimeError
        As `softmax_cross_entropy` does.
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
    labels, own = local(labels), {name: local(x) for name, x in options.items()}
    wanted = Wanted(log_partition=True, entropy=entropy, argmax=True)
    problem, planes = worked_out(
        *agreed(lambda: checked("target_statistics", logits, labels, own, wanted), group)
    )
    return TargetStatistics(planes, problem.masses, loss_dtype(logits))
