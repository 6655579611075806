"""Losses that take the engine of devices, whatever device their tensors are on, and tests that need a device."""

from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, settings

#: For kernels that Triton's interpreter runs.
interpreted = settings(
    derandomize=True,
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

torch = pytest.importorskip("torch")

from crossentropy._engine.linear import autograd as linear_autograd  # noqa: E402
from crossentropy._engine.softmax import autograd  # noqa: E402
from crossentropy._statistics.cpu import memory_torch  # noqa: E402

on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@contextmanager
def as_on_a_device():
    """Losses take the engine of devices."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(autograd, "kernels_for", _engine)
        patch.setattr(linear_autograd, "kernels_for", _engine)
        patch.setattr(memory_torch, "ready_tensors", lambda *arguments: None)
        yield


def _engine(*tensors):
    return None if torch.compiler.is_compiling() else autograd.ON_DEVICE
