"""Which rank has which classes, and what the ranks say to each other."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from math import prod
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, distributed

from crossentropy._statistics.cpu.memory_torch import CPU

Value = TypeVar("Value")

REFUSED = -1


class Shard(NamedTuple):
    """The classes of this rank: `size` of them from `first` on, of `classes` in all."""

    first: int
    size: int
    classes: int
    rank: int
    group: Any


def agree(
    prepare: Callable[[], tuple[Value, int, Mapping[str, Any]]], names: Sequence[str], group: Any
) -> tuple[Value, Shard]:
    """What `prepare` returns on this rank, and its shard, once all ranks have been heard.

    Parameters
    ----------
    prepare : callable
        Checks the arguments of this rank. It returns them, the number of this rank's classes, and what has to be
        the same on all ranks.
    names : sequence of str
        What has to be the same, by name, in one order on all ranks.
    group : ProcessGroup or None

    Raises
    ------
    ValueError
        On every rank, if one refuses its arguments or if they differ in what has to be the same.
    """
    rank, world = _place(group)

    def exchanged(message: list[int]) -> Tensor:
        own = torch.tensor(message, dtype=torch.int64, device=CPU)
        said = [torch.empty_like(own) for _ in range(world)]
        distributed.all_gather(said, own, group=group)
        return torch.stack(said)

    try:
        value, size, same = prepare()
    except (TypeError, ValueError):
        exchanged([REFUSED] * (1 + len(names)))
        raise
    heard = exchanged([size, *(digest(same.get(name)) for name in names)])
    sizes = heard[:, 0].tolist()
    if REFUSED in sizes:
        raise ValueError(
            f"rank {sizes.index(REFUSED)} of the group refused its arguments; its own error says why"
        )
    different = (heard[:, 1:] != heard[:1, 1:]).any(0).tolist()
    if any(different):
        what = ", ".join(name for name, differs in zip(names, different, strict=True) if differs)
        raise ValueError(
            f"the ranks of the group differ in {what}; pass the same on every rank, and to each its own classes "
            "of whatever has a class axis"
        )
    first = list(accumulate(sizes, initial=0))
    return value, Shard(first[rank], size, first[-1], rank, group)


def _place(group: Any) -> tuple[int, int]:
    """The rank of this process in the group, and the group's size."""
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
    """A number that is the same on two ranks if the value is: of a tensor its entries, of an object its fields."""
    if isinstance(value, Tensor):
        x = value.detach().reshape(-1)
        bits = x.double().view(torch.int64) if x.is_floating_point() else x.to(torch.int64)
        odd = torch.arange(1, 2 * bits.numel() + 1, 2, device=CPU)
        return int((bits.cpu() * odd).sum()) ^ digest((str(value.dtype), tuple(value.shape)))
    if isinstance(value, (tuple, list)):
        return _of_text(",".join(str(digest(x)) for x in value))
    if value is None or isinstance(value, (str, bool, int, float, type)):
        return _of_text(repr(value))
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    return digest((kind, *vars(value).values())) if hasattr(value, "__dict__") else _of_text(kind)


def _of_text(text: str) -> int:
    return zlib.crc32(text.encode())


def gathered(arrays: Sequence[Tensor], group: Any) -> list[list[Tensor]]:
    """The same arrays of every rank, in rank order, by one collective; float64, of equal shapes on all ranks."""
    message = torch.cat([x.reshape(-1) for x in arrays])
    said = [torch.empty_like(message) for _ in range(distributed.get_world_size(group))]
    distributed.all_gather(said, message, group=group)
    shapes = [x.shape for x in arrays]
    sizes = [prod(shape) for shape in shapes]
    return [[x.view(shape) for x, shape in zip(rank.split(sizes), shapes, strict=True)] for rank in said]


def total_over_ranks(x: Tensor, group: Any) -> Tensor:
    """``Σ x`` in rank order, the same bits on all of them."""
    parts = [arrays[0] for arrays in gathered([x], group)]
    return sum(parts[1:], parts[0])
