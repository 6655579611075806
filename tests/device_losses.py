"""Losses that take the engine of devices, whatever device their tensors are on."""

from contextlib import contextmanager

import pytest

pytest.importorskip("torch")

from crossentropy.losses import _linear_torch, _row_loss_torch, _softmax_torch


@contextmanager
def as_on_a_device():
    """Losses take the engine of devices."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_softmax_torch, "engine", lambda *tensors: _softmax_torch.ON_DEVICE)
        patch.setattr(_linear_torch, "engine", lambda *tensors: _softmax_torch.ON_DEVICE)
        patch.setattr(_row_loss_torch, "row_loss", lambda *arguments: None)
        yield
