"""The classes of every rank, the agreement of the ranks on a problem, and sums over ranks in rank order."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from math import prod
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, distributed

from crossentropy._statistics.cpu.memory_torch import CPU

Value = TypeVar("Value")

REFUSED = -1


class Shard(NamedTuple):
    """The classes of this rank: [first, first + size), out of `classes` on all ranks."""

    first: int
    size: int
    classes: int
    rank: int
    group: Any


def agree(
    prepare: Callable[[], tuple[Value, int, Mapping[str, Any]]], names: Sequence[str], group: Any
) -> tuple[Value, Shard]:
    """Call `prepare` on every rank, compare its results over the ranks, and return this rank's value and shard.

    It checks the arguments of this rank, and returns a value, the number of this rank's classes, and by name what must
    be the same on all ranks; `names` are compared. If a rank refuses its arguments, or one of them differs, all ranks
    raise.
    """
    rank, world = _place(group)

    def exchanged(message: list[int]) -> Tensor:
        local = torch.tensor(message, dtype=torch.int64, device=CPU)
        received = [torch.empty_like(local) for _ in range(world)]
        distributed.all_gather(received, local, group=group)
        return torch.stack(received)

    try:
        value, size, same = prepare()
    except (TypeError, ValueError):
        exchanged([REFUSED] * (1 + len(names)))
        raise
    messages = exchanged([size, *(digest(same.get(name)) for name in names)])
    sizes = messages[:, 0].tolist()
    if REFUSED in sizes:
        raise ValueError(
            f"rank {sizes.index(REFUSED)} of the group refused its arguments; its own error says why"
        )
    different = (messages[:, 1:] != messages[:1, 1:]).any(0).tolist()
    if any(different):
        what = ", ".join(name for name, differs in zip(names, different, strict=True) if differs)
        raise ValueError(
            f"the ranks of the group differ in {what}; pass the same on every rank, and to each its own classes "
            "of whatever has a class axis"
        )
    first = list(accumulate(sizes, initial=0))
    return value, Shard(first[rank], size, first[-1], rank, group)


def _place(group: Any) -> tuple[int, int]:
    """Return the rank of this process in the group, and the group's size."""
    if not (distributed.is_available() and distributed.is_initialized()):
        raise RuntimeError(
            "there is no process group; call torch.distributed.init_process_group first, or for one process use "
            "the function of the same name in crossentropy"
        )
    rank = distributed.get_rank(group)
    if rank < 0:
        raise ValueError("this process is not in the group; call on its ranks alone")
    return rank, distributed.get_world_size(group)


def digest(value: Any) -> int:
    """Hash a value so that equal values give equal numbers on all ranks: a tensor's entries, an object's fields."""
    if isinstance(value, Tensor):
        x = value.detach().reshape(-1)
        bits = x.double().view(torch.int64) if x.is_floating_point() else x.to(torch.int64)
        odd = torch.arange(1, 2 * bits.numel() + 1, 2, device=CPU)
        return int((bits.cpu() * odd).sum()) ^ digest((str(value.dtype), tuple(value.shape)))
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if isinstance(value, (tuple, list)):
        return _of_text(",".join(str(digest(x)) for x in value))
    if value is None or isinstance(value, (str, bool, int, float, type)):
        return _of_text(repr(value))
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    return digest((kind, *vars(value).values())) if hasattr(value, "__dict__") else _of_text(kind)


def _of_text(text: str) -> int:
    """Hash a text; Python's own hash differs between processes."""
    return zlib.crc32(text.encode())


def gathered(arrays: Sequence[Tensor], group: Any) -> list[list[Tensor]]:
    """Gather float64 arrays of equal shapes from every rank, in rank order, by one collective."""
    message = torch.cat([x.reshape(-1) for x in arrays])
    received = [torch.empty_like(message) for _ in range(distributed.get_world_size(group))]
    distributed.all_gather(received, message, group=group)
    shapes = [x.shape for x in arrays]
    sizes = [prod(shape) for shape in shapes]
    return [[x.view(shape) for x, shape in zip(rank.split(sizes), shapes, strict=True)] for rank in received]


def total_over_ranks(x: Tensor, group: Any) -> Tensor:
    """Add `x` over the ranks in rank order, which gives the same bits on all of them."""
    parts = [arrays[0] for arrays in gathered([x], group)]
    return sum(parts[1:], parts[0])
