"""Losses whose classes or rows `shard_map` splits over four devices, in a process that has them."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("jax")


def test_losses_over_four_devices_are_those_of_one():
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("sharded_losses.py"))],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
