"""One thread for PyTorch, OpenMP and BLAS."""

import contextlib
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec


@contextlib.contextmanager
def single_thread() -> Iterator[None]:
    """Limit to one thread what of these is installed.

    For small arrays more bring nothing, and they cost a hundredfold where other processes use the cores.
    """
    with contextlib.ExitStack() as stack:
        if find_spec("threadpoolctl"):
            stack.enter_context(import_module("threadpoolctl").threadpool_limits(1))
        if find_spec("torch"):
            torch = import_module("torch")
            stack.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(1)
        yield
