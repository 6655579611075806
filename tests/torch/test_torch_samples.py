"""PyTorch's own sample inputs of the losses it shares with us: the same results, nearer the truth.

The truth is PyTorch in float64; an error may be PyTorch's own in that precision and a few units more.
"""

import copy

import numpy as np
import pytest

from ulps import allowed

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest")
from torch.testing._internal.common_methods_invocations import op_db  # noqa: E402
from torch.testing._internal.common_modules import module_db  # noqa: E402

import crossentropy.torch as ct  # noqa: E402
from sampling import full  # noqa: E402

FUNCTIONS = (
    "cross_entropy",
    "nll_loss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "multilabel_soft_margin_loss",
)
MODULES = ("CrossEntropyLoss", "NLLLoss", "BCELoss", "BCEWithLogitsLoss", "MultiLabelSoftMarginLoss")
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
OPERATORS = {
    op.name.removeprefix("nn.functional."): op for op in op_db if op.name.startswith("nn.functional.")
}
ULPS = 8

each_function = pytest.mark.parametrize("name", FUNCTIONS)


def samples(name, dtype, requires_grad):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield from OPERATORS[name].sample_inputs("cpu", dtype, requires_grad=requires_grad)


def anew(x, dtype=None):
    """Tensors that share nothing with those given, floating ones of `dtype`."""
    if isinstance(x, dict):
        return {key: anew(value, dtype) for key, value in x.items()}
    if isinstance(x, list | tuple):
        return [anew(value, dtype) for value in x]
    if not isinstance(x, torch.Tensor) or not x.is_floating_point():
        return copy.deepcopy(x)
    return x.detach().clone().to(dtype or x.dtype).requires_grad_(x.requires_grad)


def tensors(*values):
    """All tensors among arguments, those of dictionaries too."""
    for value in values:
        if isinstance(value, dict):
            yield from tensors(*value.values())
        elif isinstance(value, torch.Tensor):
            yield value


def value_and_gradients(f, arguments, keywords):
    """The result, and the gradients by every argument that asks for one, of a fixed combination of its entries."""
    value = f(*arguments, **keywords)
    learnable = [x for x in tensors(*arguments, keywords) if x.requires_grad]
    if not learnable:
        return value, []
    upstream = torch.linspace(0.5, 1.5, value.numel(), dtype=torch.float64).reshape(value.shape)
    return value, torch.autograd.grad(value, learnable, upstream.to(value.dtype))


def assert_as_near(ours, torchs, truth, size):
    """Every entry of ours is as near the truth as PyTorch's worst one, up to a few units in its last place.

    In float64 the truth is of that precision itself, with the error that logits of this `size` bring.
    """
    exact = truth.detach().numpy()
    assert np.isfinite(exact).all()
    assert ours.shape == exact.shape
    name = str(ours.dtype).removeprefix("torch.")
    error = np.abs(ours.detach().double().numpy() - exact)
    theirs = np.abs(torchs.detach().double().numpy() - exact).max(initial=0.0)
    if name == "float64":
        limit = allowed(ULPS * max(size, 1.0), np.full_like(exact, np.abs(exact).max(initial=0.0)), name)
    else:
        limit = theirs + allowed(ULPS, exact, name)
    assert (error <= limit).all(), f"{ours} should be {truth}: {(error / limit).max():.3g} times too far"


def compare(ours, torchs, truth, arguments, keywords):
    """Hold `ours` against `torchs`, and both against `truth`, which is given everything in float64."""
    dtype, size = arguments[0].dtype, float(arguments[0].detach().abs().max())
    value, gradients = value_and_gradients(ours, anew(arguments), anew(keywords))
    theirs, their_gradients = value_and_gradients(torchs, anew(arguments), anew(keywords))
    wide = anew(arguments, torch.float64), anew(keywords, torch.float64)
    exact, exact_gradients = value_and_gradients(truth, *wide)
    assert value.dtype == torch.promote_types(dtype, torch.float32)
    if exact.numel() == 1 and exact.isnan():  # the mean of nothing
        assert value.isnan()
        assert not any(g.any() for g in gradients)
        return
    assert_as_near(value, theirs, exact, size)
    for mine, other, true in zip(gradients, their_gradients, exact_gradients, strict=True):
        assert mine.dtype == dtype
        assert_as_near(mine, other, true, size)


@each_function
@pytest.mark.parametrize(
    "dtype",
    [
        torch.float32,
        torch.bfloat16,
        *full([torch.float64, torch.float16]),
    ],
    ids=lambda d: str(d).removeprefix("torch."),
)
@pytest.mark.parametrize("requires_grad", [True, *full([False])])
def test_values_and_gradients_of_its_samples(name, dtype, requires_grad):
    ours, torchs = getattr(ct, name), getattr(torch.nn.functional, name)
    for sample in samples(name, dtype, requires_grad):
        compare(ours, torchs, torchs, [sample.input, *sample.args], sample.kwargs)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_values_and_gradients_of_its_modules_samples(name, dtype):
    (info,) = (m for m in module_db if m.module_cls is getattr(torch.nn, name))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        inputs = info.module_inputs_func(info, "cpu", dtype, requires_grad=True, training=True)
    for sample in inputs:
        made = sample.constructor_input
        ours = getattr(ct, name)(*made.args, **made.kwargs)
        torchs = getattr(torch.nn, name)(*made.args, **made.kwargs)
        exact = copy.deepcopy(torchs).double()
        compare(ours, torchs, exact, list(sample.forward_input.args), sample.forward_input.kwargs)
