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

from crossentropy.losses import _linear_torch, _row_loss_torch, _softmax_torch  # noqa: E402

on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@contextmanager
def as_on_a_device():
    """Losses take the engine of devices."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_softmax_torch, "engine", _engine)
        patch.setattr(_linear_torch, "engine", _engine)
        patch.setattr(_row_loss_torch, "row_loss", lambda *arguments, **options: None)
        yield


def _engine(*tensors):
    return None if torch.compiler.is_compiling() else _softmax_torch.ON_DEVICE
