"""A softmax problem whose classes are split over ranks: its check, the ranks' agreement on it, and its loss."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from crossentropy._arguments.errors import as_written
from crossentropy._backends import as_indices, total
from crossentropy._backends.conditions import first_true, is_true
from crossentropy._engine.options import LastAxisOptions
from crossentropy._engine.softmax.autodiff import loss_by_autodiff
from crossentropy._engine.softmax.autograd import link_learns
from crossentropy._engine.softmax.problem import SoftmaxProblem, make_problem
from crossentropy._engine.softmax.terms import check_whole
from crossentropy._rows import row_in_words
from crossentropy._statistics import Prior, Requested, RowStatistics, Target
from crossentropy._statistics.label_errors import check_labels
from crossentropy._statistics.torch.kernels import cpu_kernels_serve
from crossentropy._statistics.torch.problem import StaticArgs, TensorArgs, partition
from crossentropy.targets import OneHot
from crossentropy.torch.distributed._per_class import row_losses
from crossentropy.torch.distributed._rank_sums import total as sum_over_ranks
from crossentropy.torch.distributed._shards import Shard, agree
from crossentropy.torch.distributed._statistics import statistics

CLASS_VECTORS = ("class_weight", "smoothing_prior", "logit_bias")
SAME = (
    *("function", "dtype", "shape", "hidden", "requires_grad", "low_rank", "shift", "skip_below"),
    *("labels", "masses", *LastAxisOptions.__annotations__, "entropy", "rank"),
)
#: Computes the statistics of whole rows, and adds further arrays over the ranks in the same collective.
Statistics = Callable[[StaticArgs, TensorArgs, Sequence[Tensor], Shard], tuple[RowStatistics, list[Tensor]]]


def check_arguments(
    function: str,
    logits: Tensor,
    labels: Any,
    options: Mapping[str, Any],
    requested: Requested | None = None,
    classes: int | None = None,
) -> tuple[SoftmaxProblem, int, dict[str, Any]]:
    """Check this rank's part of a problem; return it, its number of classes, and what must equal on all ranks.

    With `classes`, `logits` are hidden states, as in `make_problem`. A row's label set may lie entirely on other ranks;
    `_check_sets` looks for an empty one.
    """
    for name in options:
        if name not in LastAxisOptions.__annotations__:
            raise TypeError(
                f"{name} is given; sharded classes, which are the last axis, take the options "
                f"{', '.join(LastAxisOptions.__annotations__)}"
            )
    if isinstance(labels, OneHot):
        raise TypeError(
            "labels are a OneHot, of which no rank sees the whole; pass indices, counted over the classes of all ranks"
        )
    if classes is None:
        check_tensors(logits=logits)
    problem = make_problem(logits, labels, axis=-1, classes=classes, checks_sets=False, **options)
    if requested is not None:
        problem.requested = requested
        if requested.rank and (problem.target.indices is None or problem.target.several):
            raise ValueError("rank=True needs one label for each row; these targets are several or soft")
    _check_supported(problem, logits)
    transform = problem.transform
    temperature, margin = transform.temperature, transform.margin
    same = {
        **options,
        "function": function,
        "dtype": str(problem.dtype),
        "shape": problem.rows,
        "labels": (type(labels), problem.normalized, problem.target.indices),
        "masses": problem.masses,
        "temperature": (temperature, learns(temperature)),
        "margin": "of the classes" if getattr(margin, "ndim", 0) else (margin, learns(margin)),
    }
    for name in CLASS_VECTORS:
        same[name] = options.get(name) is not None
    same["requires_grad"] = [learns(x) for x in (logits, problem.target.dense, transform.logit_bias)]
    if requested is not None:
        same |= {"entropy": requested.entropy, "rank": requested.rank}
    return problem, problem.classes, same


def learns(x: Any) -> bool:
    """Tell whether a gradient with respect to `x` is computed."""
    return isinstance(x, Tensor) and x.requires_grad and torch.is_grad_enabled()


def _check_supported(problem: SoftmaxProblem, logits: Tensor) -> None:
    """Raise for links and tensors that sharded classes do not support."""
    target, transform = problem.target, problem.transform
    if problem.acts_per_class and link_learns(problem):
        raise ValueError(
            f"link is {problem.link!r}, which with soft or smoothed targets acts on every class of a row, and holds a "
            "tensor that learns, of whose gradient a rank would have its part alone; detach the tensor, or use one "
            "label for each row without label_smoothing"
        )
    check_plain(
        *(logits, target.indices, target.mask, target.dense),
        *(problem.masses, problem.class_weight, problem.smoothing_prior, problem.sample_weight),
        *(transform.temperature, transform.logit_bias, transform.margin),
    )


def check_tensors(**values: Any) -> None:
    """Raise TypeError unless every value is a tensor: no other array has a rank's slice of anything."""
    for name, x in values.items():
        if not isinstance(x, Tensor):
            raise TypeError(
                f"{name} is {as_written(x)}; sharded classes need tensors: pass torch.as_tensor({name})"
            )


def check_plain(x: Tensor, *others: Any) -> None:
    """Raise TypeError unless the kernels of the CPU serve `x` and all tensors among the others."""
    if not cpu_kernels_serve(x, *(y for y in others if isinstance(y, Tensor))):
        raise TypeError(
            f"a {type(x).__name__} of {x.dtype} on {x.device} is given; sharded classes need plain tensors on the CPU "
            "(float64, float32, bfloat16 or float16), outside torch.compile and torch.func"
        )


def agree_on_problem(
    prepare: Callable[[], tuple[SoftmaxProblem, int, dict[str, Any]]],
    group: Any,
    given: Callable[[SoftmaxProblem], Target] = lambda problem: problem.target,
) -> tuple[SoftmaxProblem, Shard]:
    """Return the problem that `prepare` has `check_arguments`, and this rank's classes, once all ranks agree.

    `given` returns the target whose labels are checked: only now is the number of all classes known.
    """
    problem, shard = agree(prepare, SAME, group)
    if problem.validate:
        check_labels(given(problem), shard.classes)
    return problem, shard


def compute_loss(
    problem: SoftmaxProblem,
    shard: Shard,
    statistics: Statistics = statistics,
    logits: Callable[[], Tensor] | None = None,
) -> Tensor:
    """Compute the loss of the problem, the same on all ranks.

    `logits` computes this rank's logits if the problem has only their shape.
    """
    # A link that acts on every class needs the logits themselves, not the statistics alone.
    if not problem.acts_per_class:
        reduced_problem, stats = compute_statistics(problem, shard, statistics)
        return loss_by_autodiff(reduced_problem, statistics=lambda _: stats)
    problem.requested = replace(problem.requested, log_partition=True, argmax=True)
    reduced_problem, stats = compute_statistics(problem, shard, statistics)
    z: Any = problem.logits if logits is None else logits()
    rows = row_losses(problem, stats, z, shard)
    return loss_by_autodiff(reduced_problem, statistics=lambda _: stats, row_losses=lambda _: rows)


def compute_statistics(
    problem: SoftmaxProblem, shard: Shard, statistics: Statistics = statistics
) -> tuple[SoftmaxProblem, RowStatistics]:
    """Compute the statistics of whole rows, and replace what is local in the problem by its value over all ranks."""
    target, dense = problem.target, problem.target.dense
    prior = None if problem.prior is None else _prior(problem, shard)
    settings, tensors = partition(
        problem.logits, problem.axis, target, problem.transform, prior, problem.requested, False
    )
    stats, sums = statistics(settings, tensors, _shares(problem, shard), shard)
    weights = None
    if target.indices is not None and sums:
        weights = sums[0]
    elif target.mask is not None and sums:
        _check_sets(problem, sums[0])
    elif sums:
        check_whole(problem, sums[0])
    if dense is not None and dense.requires_grad:
        # The value is the sum over all ranks; the gradient flows to this rank's masses.
        a = dense.double() if problem.class_weight is None else dense.double() * problem.class_weight.double()
        stats.dense_total = sum_over_ranks(a.sum(-1), shard.group, found=stats.dense_total)
    target = target if dense is None else Target(dense=dense.detach())
    return replace(problem, target=target, class_weight=None, label_weight=weights, normalized=False), stats


def _shares(problem: SoftmaxProblem, shard: Shard) -> list[Tensor]:
    """Return further arrays to be added over the ranks: the labels' class weights, or sums that check the targets."""
    target = problem.target
    if target.indices is not None:
        return [] if problem.class_weight is None else [_own_label_weight(problem, shard)]
    if not problem.validate:
        return []
    if target.mask is not None:
        return [target.mask.any(-1).double()]
    return [total(target.dense, -1).detach()] if problem.normalized else []


def _prior(problem: SoftmaxProblem, shard: Shard) -> Prior:
    """Return this rank's part of the prior, times the class weights."""
    r, w = problem.smoothing_prior, problem.class_weight
    if r is None:
        r = torch.full((shard.size,), 1 / shard.classes, dtype=torch.float64, device=problem.device)
    return Prior(r if w is None else r.double() * w.double())


def _own_label_weight(problem: SoftmaxProblem, shard: Shard) -> Tensor:
    """Return the class weight of every label among this rank's classes, 0 for the others."""
    y = as_indices(problem.target.indices) - shard.first
    here = (y >= 0) & (y < shard.size)
    weights: Tensor = problem.class_weight.double()  # type: ignore[union-attr]
    return torch.where(here, weights[torch.where(here, y, 0)], 0.0)


def _check_sets(problem: SoftmaxProblem, ranks: Tensor) -> None:
    """Raise ValueError if a row's label set is empty on every rank; `ranks` counts those that have part of it."""
    empty = ranks == 0
    if problem.sample_weight is not None:
        empty &= problem.sample_weight != 0
    if is_true(empty.any()):
        row = first_true(empty)
        raise ValueError(
            f"{row_in_words(row)} of LabelSet has no class in its set, on any rank; "
            "to leave it out give it a sample_weight of 0"
        )
