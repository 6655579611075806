"""Groups of processes on this machine, each of which runs a function of a test module as one rank."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

# The ranks are forked from one process that has only imported what they need, which takes most of their time.
RANKS = """
import importlib.util
import json
import os
import sys
import time
import traceback
from datetime import timedelta

import torch
from torch import distributed

path, job, world, folder, seconds = sys.argv[1:]
spec = importlib.util.spec_from_file_location("job", path)
module = sys.modules["job"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
torch.set_num_threads(1)


def run(rank):
    os.dup2(os.open(f"{folder}/{rank}.err", os.O_CREAT | os.O_WRONLY), 2)
    try:
        distributed.init_process_group(
            "gloo",
            init_method=f"file://{folder}/meeting",
            rank=rank,
            world_size=int(world),
            timeout=timedelta(seconds=float(seconds)),
        )
        torch.save(getattr(module, job)(rank, int(world)), f"{folder}/{rank}.pt")
        distributed.barrier()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


ranks = {}
for rank in range(int(world)):
    pid = os.fork()
    if pid == 0:
        run(rank)
    ranks[pid] = rank
ends = {}
while len(ends) < len(ranks):
    pid, status = os.wait()
    ends[ranks[pid]] = (os.waitstatus_to_exitcode(status), time.monotonic())
with open(f"{folder}/ends", "w") as file:
    json.dump([ends[rank] for rank in range(int(world))], file)
"""


class End(NamedTuple):
    """How a rank ended: its exit code, or less the signal; when, in seconds; and what it wrote to stderr."""

    status: int
    at: float
    error: str


def ends(folder: Path, path: str, job: str, world: int, seconds: float = 60) -> list[End]:
    """Run ``job(rank, world)`` of the module at `path` on every rank; `seconds` is the group's timeout."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.path.dirname(__file__)}
    arguments = [path, job, str(world), str(folder), str(seconds)]
    subprocess.run([sys.executable, "-c", RANKS, *arguments], env=environment, check=True, timeout=300)
    found = json.loads((folder / "ends").read_text())
    return [End(*end, (folder / f"{rank}.err").read_text()) for rank, end in enumerate(found)]


def run(folder: Path, path: str, job: str, world: int) -> list[Any]:
    """What a job returned on every rank."""
    import torch

    found = ends(folder, path, job, world)
    assert [end.status for end in found] == [0] * world, "\n".join(end.error for end in found)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(world)]
