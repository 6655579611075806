"""Groups of threads of this process, each of which is a rank: no start-up, and what they work on needs no copying."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import distributed  # noqa: E402
from torch.testing._internal.distributed import multi_threaded_pg as threaded  # noqa: E402


def run(world: int, job: Callable[[int], Any]) -> list[Any]:
    """What ``job(rank)`` returns on every rank; the error of the first that ends with one."""
    store, found, errors = distributed.HashStore(), [None] * world, []

    def work(rank: int) -> None:
        distributed.init_process_group("threaded", rank=rank, world_size=world, store=store)
        try:
            found[rank] = job(rank)
        except BaseException as error:
            errors.append(error)
            threaded.ProcessLocalGroup.exception_handle(error)  # so that nobody waits for this rank
        finally:
            distributed.destroy_process_group()

    torch._C._distributed_c10d._set_thread_isolation_mode(True)
    threaded._install_threaded_pg()
    try:
        threads = [threading.Thread(target=work, args=(rank,)) for rank in range(world)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        threaded.ProcessLocalGroup.reset()
        threaded._uninstall_threaded_pg()
        torch._C._distributed_c10d._set_thread_isolation_mode(False)
    if errors:
        raise errors[0]
    return found
