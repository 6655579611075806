"""Options that are numbers may be arrays of one: traced by JAX, PyTorch's tensors, or what NumPy differentiates by."""

from __future__ import annotations

import inspect
import typing

import numpy as np
import pytest

import crossentropy as ce
import oracle
from losses.catalogue.case import Case
from losses.catalogue.libraries import Library
from losses.catalogue.table import CASES

# By their value a formula is chosen, or a shape: they have to be Python numbers under a trace.
STATIC = {
    *(("bi_tempered_loss", name) for name in ("t1", "t2", "iterations")),
    ("arcface_loss", "margin"),
    ("generalized_cross_entropy", "truncation"),
    ("hard_example_loss", "keep"),
    ("sequence_cross_entropy", "shift"),
    ("sequence_log_prob", "shift"),
    ("sequence_perplexity", "shift"),
    ("taylor_cross_entropy", "order"),
    ("tsallis_loss", "t"),
}
# What softmax_cross_entropy and sigmoid_cross_entropy have, of losses that pass their options on.
PASSED_ON = {"label_smoothing": 0.1, "z_loss": 0.03, "entropy_bonus": 0.2, "softcap": 5.0, "temperature": 1.5}
PASSED_ON |= {"negative_shift": 0.05}
# Weights and targets that are constants, by their docstrings, and terms that are not there.
NO_GRADIENT = {
    ("bi_tempered_loss", "label_smoothing"),
    ("distillation_loss", "label_weight"),
    ("distribution_balanced_loss", "offset"),
    ("distribution_balanced_loss", "slope"),
    ("distribution_balanced_loss", "midpoint"),
    ("distribution_balanced_loss", "balance"),
    ("sigmoid_focal_loss", "alpha"),
    ("generator_loss", "negative_shift"),
}


def parameters_of(case: Case) -> dict[str, inspect.Parameter]:
    public = getattr(ce.losses, case.loss)
    return dict(inspect.signature(case.function(ce.losses) if case.make else public).parameters)


def numbers_of(case: Case) -> dict[str, float]:
    """The options of a case that are numbers, with their values there."""
    numbers = {}
    for name, parameter in parameters_of(case).items():
        value = case.given.get(name, parameter.default)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            numbers[name] = value
        if (
            parameter.kind is parameter.VAR_KEYWORD
            and typing.get_origin(parameter.annotation) is typing.Unpack
        ):
            known = typing.get_args(parameter.annotation)[0].__annotations__
            numbers |= {k: v for k, v in PASSED_ON.items() if k in known and k not in case.given}
    return {name: v for name, v in numbers.items() if name not in ("axis", "ignore_index", "blank")}


def first_cases(library: str) -> list[tuple[Case, str, float]]:
    """Each option of each loss, in the first case that has it."""
    found: dict[tuple[str, str], tuple[Case, str, float]] = {}
    for case in CASES:
        if library in case.libraries:
            for name, value in numbers_of(case).items():
                found.setdefault((case.loss, name), (case, name, value))
    return list(found.values())


def each(library: str, wanted=lambda key: key not in STATIC):
    chosen = [x for x in first_cases(library) if wanted((x[0].loss, x[1]))]
    ids = [f"{case.name}-{name}" for case, name, _ in chosen]
    return pytest.mark.parametrize(("case", "name", "value"), chosen, ids=ids)


def summed(case: Case, name: str, lib: Library):
    """The loss's sum as a function of the option."""
    inputs, rest = lib.arguments(case, {}, {})
    options = {"reduction": "sum"} if case.rows and name != "normalizer" else {}
    return lambda x: case.function(ce.losses)(*inputs, **{**rest, **options, name: x}).sum()


def slope_of(loss, at: float) -> float:
    """By a difference of fourth order; to one side at the end of a range."""
    h = 1e-4
    try:
        return float((8 * (loss(at + h) - loss(at - h)) - (loss(at + 2 * h) - loss(at - 2 * h))) / (12 * h))
    except ValueError:
        sign = 1 if at <= 0 else -1
        values = [float(loss(at + k * sign * h)) for k in range(5)]
        return sign * float(np.dot([-25, 48, -36, 16, -3], values)) / (12 * h)


@each("numpy")
def test_numpy_differentiates_by_it_and_the_value_is_that_of_the_number(case: Case, name, value):
    loss = summed(case, name, Library("numpy"))
    if (case.loss, name) in NO_GRADIENT:
        assert loss(np.asarray(float(value))) == pytest.approx(loss(float(value)), rel=1e-12)
        return
    found, gradient = ce.loss_and_gradient(loss, np.asarray(float(value)))
    assert found == pytest.approx(loss(float(value)), rel=1e-12)
    assert gradient == pytest.approx(slope_of(loss, float(value)), rel=1e-6, abs=1e-7)


@each("torch")
def test_pytorch_takes_a_tensor_of_one_number_and_differentiates_by_it(case: Case, name, value):
    torch = pytest.importorskip("torch")
    loss = summed(case, name, Library("torch"))
    expected = loss(float(value)).item()
    x = torch.tensor(float(value), dtype=torch.float64)
    assert loss(x).item() == pytest.approx(expected, rel=1e-12)
    x.requires_grad_()
    if name == "softcap":
        with pytest.raises(
            TypeError, match=r"softcap is a tensor that requires a gradient.*softcap=float\(softcap\)"
        ):
            loss(x)
    elif (case.loss, name) not in NO_GRADIENT:
        (gradient,) = torch.autograd.grad(loss(x), x)
        numbers = summed(case, name, Library("numpy"))
        assert gradient.item() == pytest.approx(slope_of(numbers, float(value)), rel=1e-6, abs=1e-7)


@each("torch")
def test_a_tensor_of_a_narrow_dtype_is_the_number_that_it_holds(case: Case, name, value):
    torch = pytest.importorskip("torch")
    loss, x = summed(case, name, Library("torch")), torch.tensor(float(value), dtype=torch.bfloat16)
    assert loss(x).item() == pytest.approx(loss(x.item()).item(), rel=1e-12)


ONE_OF_EACH = {case.loss: case for case in reversed(CASES) if "jax" in case.libraries}
del ONE_OF_EACH["EarlyLearningRegularization"]  # it writes to its state, which a trace cannot do


@pytest.mark.parametrize("case", ONE_OF_EACH.values(), ids=ONE_OF_EACH)
def test_jax_traces_every_option_that_is_a_number(case: Case):
    jax, lib = pytest.importorskip("jax"), Library("jax")
    named = {case.loss: case.name}
    numbers = {
        name: np.float64(value)
        for other, name, value in first_cases("jax")
        if named.get(other.loss) == other.name and (case.loss, name) not in STATIC
    }
    with lib():
        inputs, rest = lib.arguments(case, {}, {})
        function = case.function(ce.losses)
        value = jax.eval_shape(lambda options: function(*inputs, **{**rest, **options}), numbers)
        assert value.dtype == "float64"


@each("jax", lambda key: key in STATIC)
def test_jax_is_told_which_options_are_static(case: Case, name, value):
    jax, lib = pytest.importorskip("jax"), Library("jax")
    message = f"^{name} is traced, but which formula .* static_argnames='{name}'"
    with lib(), pytest.raises(TypeError, match=message):
        jax.eval_shape(summed(case, name, lib), value)


Z, Y = np.zeros((4, 3), np.float32), np.zeros(4, np.int32)
OTHERS = {
    "axis": lambda x: ce.softmax_cross_entropy(Z, Y, axis=x),
    "ignore_index": lambda x: ce.softmax_cross_entropy(Z, Y, ignore_index=x),
    "shift": lambda x: ce.linear_cross_entropy(Z, np.eye(3, dtype=np.float32), Y, shift=x),
    "memory_budget": lambda x: ce.linear_cross_entropy(Z, np.eye(3, dtype=np.float32), Y, memory_budget=x),
    "skip_below": lambda x: ce.linear_cross_entropy(Z, np.eye(3, dtype=np.float32), Y, skip_below=x),
    "rebalancing": lambda x: ce.losses.class_balanced_weights([3, 2, 1], rebalancing=x),
    "k": lambda x: ce.losses.top_k_teacher(Z, x).weights,
}


@pytest.mark.parametrize(("name", "function"), OTHERS.items(), ids=OTHERS)
def test_so_are_shapes_and_axes(name, function):
    jax = pytest.importorskip("jax")
    with pytest.raises(TypeError, match=f"^{name} is traced, but .* static_argnames='{name}'"):
        jax.eval_shape(function, 1)


def test_jax_traces_the_numbers_of_a_linear_head():
    jax = pytest.importorskip("jax")
    numbers = {**PASSED_ON, "margin": 0.2, "normalizer": 3.0}
    del numbers["negative_shift"]
    given = [jax.numpy.asarray(x) for x in (Z, np.eye(3, dtype=np.float32), Y)]
    loss = lambda hidden, options: ce.linear_cross_entropy(hidden, *given[1:], **options)  # noqa: E731
    assert jax.eval_shape(jax.grad(loss), given[0], numbers).shape == Z.shape


UNDER_JIT = {
    "label_smoothing": (lambda z, y, x: ce.softmax_cross_entropy(z, y, label_smoothing=x), -60.0),
    "gamma": (lambda z, y, x: ce.losses.focal_loss(z, y, gamma=x), -np.inf),
}


@pytest.mark.parametrize("at", [0.0, 0.3])
@pytest.mark.parametrize(("loss", "least"), UNDER_JIT.values(), ids=UNDER_JIT)
def test_under_jit_the_value_is_that_of_the_number_and_it_has_a_gradient(loss, least, at):
    jax = pytest.importorskip("jax")
    z = np.array(
        [[2.0, -1.0, 0.5], [least, 0.0, 1.0], [0.0, least, least]]
    )  # of the last label all is certain
    y = np.array([0, 2, 0])
    with jax.enable_x64(True):
        value, gradient = jax.jit(jax.value_and_grad(lambda x: loss(jax.numpy.asarray(z), y, x)))(at)
    assert float(value) == pytest.approx(float(loss(z, y, at)), rel=1e-13)
    assert float(gradient) == pytest.approx(slope_of(lambda x: loss(z, y, x), at), rel=1e-6)


@pytest.mark.parametrize("z", [-700.0, -30.0, 0.0, 2.0, 30.0, 680.0])
@pytest.mark.parametrize("m", [0.0, 1e-300, 1e-12, 0.05])
def test_a_shift_that_is_an_array_is_as_exact_as_a_number(z, m):
    loss = lambda m: ce.sigmoid_cross_entropy(np.array([z]), np.array([0]), negative_shift=m)  # noqa: E731
    value, gradient = ce.loss_and_gradient(loss, np.asarray(m))
    assert value == pytest.approx(loss(m), rel=1e-13)
    p, miss = oracle.ctx.mpf(1) / (1 + oracle.ctx.exp(-z)), oracle.ctx.mpf(1) / (1 + oracle.ctx.exp(z))
    assert gradient == pytest.approx(float(-1 / (miss + m)) if p > m else 0.0, rel=1e-12)
