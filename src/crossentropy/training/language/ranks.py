"""The processes that `torchrun` starts, each of which has a share of every batch."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from torch import Tensor, distributed


class Ranks(NamedTuple):
    """This process's number, from 0, and how many there are."""

    rank: int = 0
    world: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that prints and writes."""
        return self.rank == 0

    def share(self, rows: int) -> slice:
        """Choose this process's part of a number of rows: every `world`-th."""
        return slice(self.rank, rows, self.world)

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its sum over the processes."""
        if self.world > 1:
            for x in tensors:
                distributed.all_reduce(x)


ALONE = Ranks()


@contextmanager
def joined_ranks() -> Iterator[Ranks]:
    """Join the other processes of `torchrun`, which names them in the environment; without it there is one."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield ALONE
        return
    distributed.init_process_group("gloo")
    try:
        yield Ranks(distributed.get_rank(), world)
    finally:
        distributed.destroy_process_group()
