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

FUNCTIONS = ("cross_entropy", "nll_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits")
MODULES = ("CrossEntropyLoss", "NLLLoss", "BCELoss", "BCEWithLogitsLoss")
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
OPERATORS = {op.name.removeprefix("nn.functional."): op for op in op_db if op.name.startswith("nn.functional.")}
ULPS = 4

each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: str(d).removeprefix("torch."))
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


def assert_as_near(ours, torchs, truth):
    """Ours is as near the truth as PyTorch's, up to a few units in the last place."""
    assert ours.shape == truth.shape
    exact = truth.detach().numpy()
    name = str(ours.dtype).removeprefix("torch.")
    error = np.abs(ours.detach().double().numpy() - exact)
    limit = np.abs(torchs.detach().double().numpy() - exact) + allowed(ULPS, exact, name)
    assert np.isfinite(exact).all()
    assert (error <= limit).all(), f"{ours} should be {truth}: {(error / limit).max():.3g} times too far"


def compare(ours, torchs, arguments, keywords):
    dtype = arguments[0].dtype
    value, gradients = value_and_gradients(ours, anew(arguments), anew(keywords))
    theirs, their_gradients = value_and_gradients(torchs, anew(arguments), anew(keywords))
    truth, true_gradients = value_and_gradients(
        torchs, anew(arguments, torch.float64), anew(keywords, torch.float64)
    )
    assert value.dtype == torch.promote_types(dtype, torch.float32)
    assert_as_near(value, theirs, truth)
    for mine, other, exact in zip(gradients, their_gradients, true_gradients, strict=True):
        assert mine.dtype == dtype
        assert_as_near(mine, other, exact)


@each_function
@each_dtype
def test_values_and_gradients_of_its_samples(name, dtype):
    for sample in samples(name, dtype, requires_grad=True):
        compare(
            getattr(ct, name),
            getattr(torch.nn.functional, name),
            [sample.input, *sample.args],
            sample.kwargs,
        )


@each_function
@each_dtype
def test_samples_without_a_gradient_give_the_values_of_those_with_one(name, dtype):
    loss = getattr(ct, name)
    pairs = zip(samples(name, dtype, True), samples(name, dtype, False), strict=True)
    for learnable, frozen in pairs:
        expected = loss(learnable.input, *learnable.args, **learnable.kwargs)
        value = loss(frozen.input, *frozen.args, **frozen.kwargs)
        assert not value.requires_grad
        torch.testing.assert_close(value, expected.detach(), rtol=4 * torch.finfo(value.dtype).eps, atol=0)


@pytest.mark.parametrize("name", MODULES)
@each_dtype
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
        compare(ours, lambda *a, t=torchs, e=exact: (e if a[0].dtype == torch.float64 else t)(*a),
                list(sample.forward_input.args), sample.forward_input.kwargs)


@each_function
def test_results_are_of_the_shape_and_layout_of_its_own(name):
    for sample in samples(name, torch.float64, False):
        ours = getattr(ct, name)(sample.input, *sample.args, **sample.kwargs)
        torchs = getattr(torch.nn.functional, name)(sample.input, *sample.args, **sample.kwargs)
        assert ours.shape == torchs.shape
