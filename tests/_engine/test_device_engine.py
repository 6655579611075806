"""What losses do on a device that may not be waited for: the numbers of the CPU's engine, and nothing read back.

Where there is no such device, tensors of the CPU go that way, and tensors that are but shapes on one.
"""

import array_api_compat.torch
import numpy as np
import pytest
from hypothesis import given, settings

import crossentropy as ce
from frameworks import TORCH
from softmax_problems import problems

torch = pytest.importorskip("torch")


from crossentropy._statistics.problem import Gradients, RowStatistics, statistic_names  # noqa: E402
from crossentropy._statistics.torch import kernels as rowwise  # noqa: E402
from device_losses import as_on_a_device  # noqa: E402
from linear_heads import assert_as_on_logits, heads  # noqa: E402

bounded = settings(derandomize=True, max_examples=150, deadline=None, database=None)


def outcome(problem):
    """Value and gradient, or the error."""
    try:
        return TORCH.loss_and_gradient(problem.logits, problem.labels(TORCH), **problem.keywords())
    except ValueError as error:
        return str(error)


@given(problems())
@bounded
def test_losses_and_gradients_are_those_of_the_cpu(problem):
    expected = outcome(problem)
    with as_on_a_device():
        found = outcome(problem)
    if isinstance(expected, str):
        assert found == expected
    else:
        for x, y in zip(found, expected, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-14)


@given(heads())
@settings(bounded, max_examples=15)
def test_linear_heads_are_those_of_whole_logits(drawn):
    with as_on_a_device():
        assert_as_on_logits(drawn)


@pytest.mark.full
@given(heads())
@bounded
def test_many_linear_heads_are_those_of_whole_logits(drawn):
    with as_on_a_device():
        assert_as_on_logits(drawn)


class ShapeKernel:
    """A row kernel for tensors that are only shapes."""

    def __init__(self, logits, axis, target, transform, prior):
        self.logits, self.prior = logits, prior

    def statistics(self, target, rows, wanted):
        names = statistic_names(target, self.prior is not None, wanted)
        stats = RowStatistics(**{name: self._new(rows) for name in names})
        if target.several:
            stats.log_odds = self._new(target.indices.shape)
        return stats

    def pullback(self, saved, upstream, rows, *, into=None, **options):
        return Gradients(logits=self._new(self.logits.shape) if into is None else into)

    def _new(self, shape):
        return self.logits.new_empty(shape, dtype=torch.float64)


@pytest.fixture
def shapes(monkeypatch):
    """A device whose tensors are only shapes: whoever asks for a number of one gets an error."""
    monkeypatch.setattr(rowwise, "row_kernel", lambda device: ShapeKernel)
    return torch.device("meta")


@pytest.fixture
def copies(shapes, monkeypatch):
    """Numbers that are copied to the device in a test, for which a graph that is captured there has no place."""
    found = []

    def watched(make):
        def made(data, *args, **kwargs):
            x = make(data, *args, **kwargs)
            if x.device == shapes and not isinstance(data, torch.Tensor):
                found.append(data)
            return x

        return made

    for library in (torch, array_api_compat.torch):
        for name in ("asarray", "as_tensor", "tensor"):
            monkeypatch.setattr(library, name, watched(getattr(library, name)))
    return found


WEIGHTED = {"sample_weight": (6,), "class_weight": (5,)}
OPTIONS = {
    "plain": {},
    "ignored": {"ignore_index": -100},
    "smoothed": {"label_smoothing": 0.1, "z_loss": 0.1, "entropy_bonus": 0.1},
    "sum": {"reduction": "sum"},
    "none": {"reduction": "none"},
    "count": {"normalizer": "count", "ignore_index": 0},
    "number": {"normalizer": 3.0},
    "focal": {"link": ce.links.Focal(2.0)},
}
each_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
each_weight = pytest.mark.parametrize("weights", [{}, WEIGHTED], ids=["plain", "weighted"])


def test_a_number_of_a_shape_cannot_be_had(shapes):
    with pytest.raises(RuntimeError, match=r"item\(\) cannot be called on meta tensors"):
        float(torch.zeros((), device=shapes))


@each_option
@each_weight
def test_nothing_is_read_from_a_device_or_copied_there_for_rows(shapes, copies, options, weights):
    logits = torch.empty(6, 5, device=shapes, requires_grad=True)
    y = torch.zeros(6, dtype=torch.int64, device=shapes)
    weights = {name: torch.empty(shape, device=shapes) for name, shape in weights.items()}
    value = ce.softmax_cross_entropy(logits, y, **options, **weights)
    assert type(value.grad_fn).__name__ == "_SoftmaxLossBackward"
    value.backward(torch.ones_like(value))
    assert logits.grad.shape == logits.shape
    assert copies == []


@each_option
@each_weight
@pytest.mark.parametrize("budget", [None, 0], ids=["fast", "recomputing"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_nothing_is_read_from_a_device_or_copied_there_for_heads(
    shapes, copies, options, weights, budget, dtype
):
    parts = [
        torch.empty(shape, dtype=dtype, device=shapes, requires_grad=True) for shape in ((6, 4), (5, 4), (5,))
    ]
    hidden, weight, bias = parts
    y = torch.zeros(6, dtype=torch.int64, device=shapes)
    weights = {name: torch.empty(shape, device=shapes) for name, shape in weights.items()}
    value = ce.linear_cross_entropy(hidden, weight, y, bias=bias, memory_budget=budget, **options, **weights)
    value.backward(torch.ones_like(value))
    assert copies == []
    for x in parts:
        assert x.grad.shape == x.shape
        assert x.grad.dtype == dtype
