"""Tensors on the CPU stay there whatever PyTorch makes by default, and no mode of PyTorch changes a loss."""

import contextlib

import pytest

torch = pytest.importorskip("torch")

from torch._subclasses.fake_tensor import FakeTensorMode  # noqa: E402

from losses.catalogue.table import CASES  # noqa: E402
from losses.programs import OTHERS, Loss  # noqa: E402

EVERY = pytest.mark.parametrize("case", CASES + OTHERS, ids=lambda case: case.name)
FIRST = {case.loss: case for case in reversed(CASES + OTHERS)}
ONE_OF_EACH = pytest.mark.parametrize("case", FIRST.values(), ids=lambda case: case.name)
# The shape of what PyTorch's ctc_loss keeps depends on the values of the lengths.
ONE_OF_EACH_WITH_SHAPES = pytest.mark.parametrize(
    "case", [case for loss, case in FIRST.items() if loss != "ctc_loss"], ids=lambda case: case.name
)


@contextlib.contextmanager
def default_device(name):
    torch.set_default_device(name)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextlib.contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


def found(case, dtype, mode=contextlib.nullcontext):
    """The loss and its gradients, worked out in a mode from tensors made outside it."""
    loss = Loss(case)
    arguments = loss.arguments(loss.rows, dtype)
    learning = [x.requires_grad_() for x in loss.learning(arguments)]
    with mode():
        value = loss(*arguments)
        if not value.requires_grad:
            return [value]
        slopes = torch.autograd.grad(value.sum(), learning, allow_unused=True)
    return [value.detach(), *slopes]


def assert_same(got, expected):
    for x, y in zip(got, expected, strict=True):
        assert (x is None) == (y is None)
        if y is not None:
            assert (x.device, x.dtype) == (y.device, y.dtype)
            assert torch.equal(x, y)


@EVERY
def test_a_default_device_or_dtype_is_not_that_of_the_loss(case):
    expected = found(case, torch.float32)
    assert_same(found(case, torch.float32, lambda: default_device("meta")), expected)
    assert_same(found(case, torch.float32, lambda: torch.device("meta")), expected)
    assert_same(found(case, torch.float32, lambda: default_dtype(torch.float64)), expected)


@ONE_OF_EACH
@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled:UserWarning")
def test_modes_of_pytorch_change_no_bit(case):
    expected = found(case, torch.float32)
    assert_same(found(case, torch.float32, deterministic), expected)
    assert_same(found(case, torch.float32, torch.autograd.detect_anomaly), expected)
    assert_same(found(case, torch.float32, torch.inference_mode), found(case, torch.float32, torch.no_grad))


@ONE_OF_EACH_WITH_SHAPES
def test_a_loss_of_shapes_alone_has_the_shape_and_the_dtype_of_one_of_values(case):
    expected = found(case, torch.float32)[0]
    loss = Loss(case)
    with FakeTensorMode() as mode:
        value = loss(*(mode.from_tensor(x) for x in loss.arguments(loss.rows, torch.float32)))
    assert (value.shape, value.dtype, value.device) == (expected.shape, expected.dtype, expected.device)
