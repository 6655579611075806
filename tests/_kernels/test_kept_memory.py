"""Memory of large results, kept for the next (native/common/memory.hpp)."""

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from crossentropy._kernels import _native

MIB = 1 << 20
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="how Linux keeps and counts pages")


@pytest.fixture(autouse=True)
def nothing_kept():
    _native.release_kept_memory()
    yield
    _native.release_kept_memory()


def take(mib: int) -> np.ndarray:
    return np.frombuffer(_native.acquire_memory(mib * MIB), np.uint8)


def address(x: np.ndarray) -> int:
    return x.__array_interface__["data"][0]


def lazily_free() -> int:
    """Bytes of this process that the system may take without asking."""
    found = re.search(r"LazyFree:\s+(\d+) kB", Path("/proc/self/smaps_rollup").read_text())
    assert found is not None
    return 1024 * int(found[1])


@LINUX
def test_a_result_lies_where_the_last_one_lay():
    first = take(8)
    where = address(first)
    del first
    assert address(take(8)) == where


def test_results_alive_at_once_lie_apart():
    results = [take(3) for _ in range(5)]
    for i, result in enumerate(results):
        result[:] = i
    for i, result in enumerate(results):
        assert (result == i).all()


def test_a_view_keeps_the_memory_from_being_used_again():
    view = take(8)[5 * MIB :]
    view[:] = 7
    others = [take(8) for _ in range(3)]
    for other in others:
        other[:] = 1
    assert (view == 7).all()


@LINUX
def test_a_smaller_result_uses_what_is_kept_and_a_larger_one_gives_it_back():
    large = take(16)
    where = address(large)
    large[:] = 1
    del large
    small = take(4)
    assert address(small) == where
    del small
    before = _resident()
    larger = take(64)
    assert _resident() < before - 12 * MIB
    del larger


@LINUX
def test_the_smallest_that_is_large_enough_is_used():
    large, small = take(16), take(8)
    where = address(small)
    del large, small
    assert address(take(6)) == where


@LINUX
def test_the_system_may_have_the_pages_that_are_kept():
    before = lazily_free()
    result = take(32)
    result[:] = 1
    assert lazily_free() - before < 2 * MIB
    del result
    assert lazily_free() - before >= 30 * MIB


@LINUX
def test_no_more_than_two_are_kept():
    before = _resident()
    results = [take(16) for _ in range(6)]
    for result in results:
        result[:] = 1
    del result
    results.clear()
    assert _resident() - before < 36 * MIB


def test_threads_never_share_a_result():
    wrong = []

    def work(mark: int) -> None:
        for _ in range(200):
            result = take(2)
            result[::4096] = mark
            if not (result[::4096] == mark).all():
                wrong.append(mark)

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_writes_to_pages_of_its_own():
    script = """
import os, numpy as np
from crossentropy._kernels import _native
first = np.frombuffer(_native.acquire_memory(8 << 20), np.uint8)
kept = np.frombuffer(_native.acquire_memory(8 << 20), np.uint8)
first[:] = 1
del kept
child = os.fork()
if child == 0:
    again = np.frombuffer(_native.acquire_memory(8 << 20), np.uint8)
    again[:] = 2
    first[:] = 3
    os._exit(0 if (again == 2).all() else 1)
_, status = os.waitpid(child, 0)
assert status == 0 and (first == 1).all()
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_more_than_there_is_raises_memory_error():
    with pytest.raises(MemoryError):
        _native.acquire_memory(1 << 62)


def _resident() -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])
