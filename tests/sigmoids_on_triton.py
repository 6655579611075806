"""Sigmoid losses by Triton's kernels, and the options they are tested with."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from crossentropy import sigmoid_cross_entropy  # noqa: E402
from crossentropy._engine.sigmoid import autograd, cuda  # noqa: E402
from crossentropy.links import Focal  # noqa: E402

INF, NAN = float("inf"), float("nan")
SHAPE = (4, 3, 5)  # with class axis 1

OPTIONS = {
    "plain": {},
    "smoothed": {"label_smoothing": 0.1},
    "focal": {"link": Focal(2.0)},
    "two gammas": {"link": Focal(0.5), "negative_link": Focal(3.0)},
    "positives focal": {"link": Focal(2.0), "negative_link": Focal(0.0)},
    "asymmetric": {"link": Focal(1.0), "negative_link": Focal(4.0), "negative_shift": 0.05},
    "shifted": {"negative_shift": 0.3},
    "class weights": {"class_weight": np.array([1.0, 0.5, 2.0])},
    "pos_weight": {"pos_weight": np.array([2.0, 3.0, 1.0])},
    "row weights": {"sample_weight": np.linspace(0, 2, 20).reshape(4, 5)},
    "element weights": {"sample_weight": np.linspace(0, 2, 60).reshape(SHAPE)},
    "everything": {
        "label_smoothing": 0.1,
        "pos_weight": np.array([2.0, 3.0, 1.0]),
        "class_weight": 0.5,
        "sample_weight": np.linspace(0, 2, 20).reshape(4, 5),
        "link": Focal(1.5),
        "negative_shift": 0.1,
    },
}
each_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
REDUCTIONS = {
    "mean": {},
    "count": {"normalizer": "count"},
    "number": {"normalizer": 7.0},
    "sum": {"reduction": "sum"},
}
# a result's rounding, and that of some operations before it; Triton's interpreter truncates to bfloat16
CLOSE = {"float64": 1e-13, "float32": 2e-6, "float16": 2.0**-10, "bfloat16": 2.0**-7}
CANCELED = {
    "float64": 1e-15,
    "float32": 5e-7,
    "float16": 5e-7,
    "bfloat16": 5e-7,
}  # of a soft label's two terms


def use_triton(monkeypatch):
    """Tensors take Triton's kernels wherever they are."""
    monkeypatch.setattr(autograd, "kernels", lambda device: cuda)


def batch(shape=SHAPE, seed=0):
    rng = np.random.default_rng(seed)
    return 4 * rng.normal(size=shape), rng.integers(0, 2, size=shape)


def on(device, options):
    """Options whose arrays are tensors there."""
    return {k: torch.tensor(v, device=device) if isinstance(v, np.ndarray) else v for k, v in options.items()}


def found(z, t, **options):
    """Loss and gradient of a tensor, as float64 arrays."""
    z = z.detach().requires_grad_()
    loss = sigmoid_cross_entropy(z, t, **options)
    (gradient,) = torch.autograd.grad(loss.sum(), z)
    assert gradient.dtype is z.dtype
    return loss.detach().double().cpu().numpy(), gradient.double().cpu().numpy()
