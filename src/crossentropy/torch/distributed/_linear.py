"""A linear head whose classes are split over ranks: its check, and the ranks' agreement on it."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from math import prod
from typing import Any, NamedTuple

from torch import Tensor

from crossentropy._engine.checks import check_floating
from crossentropy._engine.linear.autograd import check_fixed, head_of, in_autocast
from crossentropy._engine.linear.problem import (
    check_head,
    check_memory_budget,
    check_skip_below,
    factors_of,
    zero_excluded_hidden,
)
from crossentropy._engine.linear.shift import apply_shift, drop_shifted_rows
from crossentropy._engine.softmax.problem import SoftmaxProblem
from crossentropy._statistics import Requested
from crossentropy._statistics.head.head import Head
from crossentropy.torch.distributed._dtensor import local, sharded
from crossentropy.torch.distributed._head import KEPT, MemoryOptions, statistics
from crossentropy.torch.distributed._problem import (
    Statistics,
    agree_on_problem,
    check_arguments,
    check_plain,
    check_tensors,
    learns,
)
from crossentropy.torch.distributed._rank_sums import shared
from crossentropy.torch.distributed._shards import Shard


class ShardedHead(NamedTuple):
    """A head, its row problem, which has no logits, and this rank's classes."""

    problem: SoftmaxProblem
    shard: Shard
    head: Head
    shift: int
    thrift: MemoryOptions

    @property
    def statistics(self) -> Statistics:
        """The function that computes the statistics of its rows."""
        return partial(statistics, self.head, self.thrift, self.problem.rows)

    def logits(self) -> Tensor:
        """Compute this rank's logits, differentiably."""
        factors: list[Any] = list(self.head.factors)
        factors[::2] = shared(factors[::2], self.shard.group)
        return self.head._replace(factors=tuple(factors)).whole().view(*self.problem.rows, self.shard.size)

    def kept(self, x: Tensor) -> Tensor:
        """Drop from `x`, in the shape of the rows, the positions at the end that a shift leaves without a label."""
        rows = self.problem.rows
        return x.narrow(len(rows) - 1, 0, rows[-1] - self.shift) if self.shift else x


def agreed_head(
    function: str,
    hidden: Tensor,
    weight: Tensor,
    labels: Any,
    bias: Tensor | None,
    low_rank: tuple[Tensor, Tensor] | None,
    shift: int,
    group: Any,
    options: Mapping[str, Any],
    *,
    memory_budget: int | None = None,
    skip_below: float = 0.0,
    requested: Requested | None = None,
) -> ShardedHead:
    """Check the arguments of `function` on this rank, and return its head once all ranks agree."""
    weight, group = sharded(weight, 0, "weight", group)
    hidden, bias = local(hidden), local(bias)
    labels, options = local(labels), {name: local(x) for name, x in options.items()}

    def prepare() -> tuple[SoftmaxProblem, int, dict[str, Any]]:
        nonlocal hidden, weight, bias, low_rank
        pair = [local(x) for x in factors_of(low_rank)]
        given = {"hidden": hidden, "weight": weight} | ({} if bias is None else {"bias": bias})
        check_tensors(**given, **{f"low_rank[{i}]": x for i, x in enumerate(pair)})
        parts: list[Any] = in_autocast(hidden, weight, bias, *pair)
        hidden, weight, bias, *pair = parts
        low_rank = tuple(pair) or None
        check_head(hidden, weight, bias, low_rank)
        check_floating(hidden, "hidden")
        check_plain(hidden, weight, bias, *pair)
        check_memory_budget(memory_budget)
        moved, row_options = apply_shift(hidden, labels, shift, options)
        problem, size, same = check_arguments(
            function, hidden, moved, row_options, requested, weight.shape[0]
        )
        check_skip_below(skip_below, problem)
        if skip_below:
            check_fixed(problem, skip_below)
            problem.requested = replace(problem.requested, log_partition=True)
        same |= {
            "hidden": tuple(hidden.shape),
            "low_rank": low_rank and tuple(low_rank[0].shape),
            "shift": shift,
            "skip_below": skip_below,
            "requires_grad": [same["requires_grad"], *(learns(x) for x in parts)],
        }
        return problem, size, same

    ignore_index = options.get("ignore_index")
    problem, shard = agree_on_problem(
        prepare, group, lambda problem: drop_shifted_rows(problem, shift, ignore_index)
    )
    line = zero_excluded_hidden(hidden, problem).reshape(prod(problem.rows), hidden.shape[-1])
    thrift = MemoryOptions(KEPT if memory_budget is None else memory_budget, skip_below)
    return ShardedHead(problem, shard, head_of(line, weight, bias, low_rank), shift, thrift)
