"""What holds for the tests of the face for scikit-learn."""

from collections.abc import Iterator

import pytest

pytest.importorskip("sklearn")
torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small batches are not faster on more threads, and far slower where other processes use the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
