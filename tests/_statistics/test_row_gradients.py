"""Gradients of every statistic by every input: by finite differences, and kernels against the reference."""

from dataclasses import replace

import numpy as np
import pytest

from crossentropy._statistics import Requested, Target, Transform, formulas, row_statistics
from crossentropy._statistics.problem import DIFFERENTIABLE
from row_problems import DIFFERENTIATED, FORMS, TRANSFORMS, as_function, tensors
from sampling import named, sampled

torch = pytest.importorskip("torch")


@sampled({"prior": ["none", "vector"], "transform": TRANSFORMS, "form": FORMS}, pairs=True)
def test_every_statistic_has_its_gradient_by_every_input(rows_of, form, transform, prior):
    problem = rows_of.make(form, transform, prior, 3, 4, scale=1.0)
    statistics, inputs = as_function(problem.with_logits(problem.logits % 3))
    assert torch.autograd.gradcheck(statistics, inputs)


@sampled({"classes": [65, 131, 4100], "form": FORMS})
def test_long_rows_have_their_gradients_too(rows_of, form, classes):
    problem = rows_of.make(form, "all", "vector", 2, classes, scale=1.0)
    statistics, inputs = as_function(problem.with_logits(problem.logits % 3))
    assert torch.autograd.gradcheck(statistics, inputs, fast_mode=True)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("form", FORMS)
def test_gradients_follow_the_class_axis(rows_of, form, axis):
    problem = rows_of.make(form, "all", "vector", 6, 4, scale=1.0)

    def place(x):
        return None if x is None else np.ascontiguousarray(np.moveaxis(x.reshape(2, 3, 4), -1, axis))

    target, transform = problem.target, problem.transform
    indices = None if target.indices is None else target.indices.reshape(2, 3, *target.indices.shape[1:])
    target = replace(target, indices=indices, mask=place(target.mask), dense=place(target.dense))
    transform = replace(transform, temperature=transform.temperature.reshape(2, 3))
    problem = replace(problem, logits=place(problem.logits % 3), target=target, transform=transform)
    statistics, inputs = as_function(problem, axis)
    assert torch.autograd.gradcheck(statistics, inputs)


UNITS = {torch.float64: 2.0**-53, torch.float32: 2.0**-24, torch.bfloat16: 2.0**-8, torch.float16: 2.0**-11}


@sampled({"classes": [1, 2, 10, 128, 129, 8300], "form": FORMS, "dtype": named(UNITS, str)}, pairs=True)
def test_kernel_gradients_are_the_derivatives_of_the_reference(rows_of, dtype, form, classes):
    """With other gradients upstream for every row and statistic; narrow dtypes up to their own rounding."""
    for transform in ("plain", "row temperature", "all"):
        problem = rows_of.make(form, transform, "vector", 66 if classes < 129 else 3, classes)
        z = torch.from_numpy(problem.logits).to(dtype)
        found = []
        for how, logits in ((row_statistics, z), (formulas.statistics, z.double())):
            logits = logits.detach().requires_grad_()
            own = tensors(problem.target), tensors(problem.transform), tensors(problem.prior)
            stats = how(logits, 1, *own, DIFFERENTIATED)
            loss, size = 0.0, 0.0
            for i, name in enumerate(DIFFERENTIABLE):
                plane = getattr(stats, name)
                if plane is not None:
                    g = torch.linspace(-1, 2, plane.numel(), dtype=torch.float64).reshape(plane.shape).roll(i)
                    finite = torch.where(torch.isfinite(plane), plane, 0.0)
                    loss, size = loss + (g * finite).sum(), size + 2.0
            found.append(torch.autograd.grad(loss, logits)[0].double())
        kernel, truth = found
        # a row's entries add up terms of the upstream's size, over the temperature
        scale = 8 if transform == "plain" else 8 / 0.3
        wide = min(UNITS[dtype], 2.0**-24)
        unit = wide * np.abs(problem.logits).max() * size * scale
        off = (kernel - truth).abs() - UNITS[dtype] * truth.abs()
        assert (off <= unit).all(), f"{transform}: {float(off.max() / unit):.3g} limits off"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("classes", [6, 140])
def test_masked_classes_have_gradients_of_zero_and_spoil_no_others(rows_of, form, classes):
    problem = rows_of.make(form, "plain", "none", 5, classes)
    z = problem.logits.copy()
    target = problem.target
    on = np.zeros(z.shape, dtype=bool)
    if target.indices is not None:
        on = (target.indices.reshape(5, -1, 1) == np.arange(classes)).any(axis=1)
    elif target.mask is not None:
        on = target.mask
    masked = ~on & (np.arange(classes) % 3 == 1)
    if target.dense is not None:
        target = replace(target, dense=np.where(masked, 0.0, target.dense))
    z[masked] = -np.inf
    logits = torch.tensor(z, requires_grad=True)
    stats = row_statistics(logits, 1, tensors(target), requested=DIFFERENTIATED)
    loss = sum(
        (getattr(stats, n).nan_to_num() ** 2).sum() for n in DIFFERENTIABLE if getattr(stats, n) is not None
    )
    (gradient,) = torch.autograd.grad(loss, logits)
    assert torch.isfinite(gradient).all()
    assert (gradient[torch.from_numpy(masked)] == 0).all()
    deep = torch.tensor(np.where(masked, -1e4, z), requires_grad=True)  # so low that it changes nothing
    stats = row_statistics(deep, 1, tensors(target), requested=DIFFERENTIATED)
    loss = sum(
        (getattr(stats, n).nan_to_num() ** 2).sum() for n in DIFFERENTIABLE if getattr(stats, n) is not None
    )
    (expected,) = torch.autograd.grad(loss, deep)
    torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=1e-14)


def test_a_masked_label_has_the_gradient_of_a_certain_mistake():
    z = torch.tensor([[-np.inf, 0.0, np.log(3.0)]], dtype=torch.float64, requires_grad=True)
    stats = row_statistics(z, 1, Target(indices=torch.tensor([0])))
    (gradient,) = torch.autograd.grad(stats.log_odds.sum(), z)
    torch.testing.assert_close(gradient, torch.tensor([[-1.0, 0.25, 0.75]], dtype=torch.float64))


@pytest.mark.parametrize("learned", ["temperature", "logit_bias", "margin"])
def test_gradients_flow_to_what_is_learned_while_the_logits_are_frozen(rows_of, learned):
    problem = rows_of.make("label", "all", "none", 5, 6)
    transform = tensors(problem.transform, (learned,))
    stats = row_statistics(torch.from_numpy(problem.logits), 1, tensors(problem.target), transform)
    parameter = getattr(transform, learned)
    (alone,) = torch.autograd.grad(stats.log_odds.sum(), parameter)
    logits = torch.tensor(problem.logits, requires_grad=True)
    stats = row_statistics(logits, 1, tensors(problem.target), transform)
    assert torch.equal(alone, torch.autograd.grad(stats.log_odds.sum(), [parameter, logits])[0])


@pytest.mark.parametrize(
    "dtype", [torch.int8, torch.uint8, torch.uint16, torch.uint32, torch.uint64], ids=str
)
def test_a_margin_of_every_class_learns_from_labels_of_any_integer_dtype(dtype):
    z, y = torch.randn(4, 3, dtype=torch.float64), torch.tensor([0, 2, 2, 1])
    margin = torch.rand(3, dtype=torch.float64).requires_grad_()
    D = row_statistics(z, 1, Target(indices=y.to(dtype)), Transform(margin=margin)).log_odds
    (gradient,) = torch.autograd.grad(D.sum(), margin)
    torch.testing.assert_close(gradient, torch.tensor([1.0, 1.0, 2.0], dtype=torch.float64))


def test_ranks_and_maxima_have_no_gradient():
    z = torch.randn(4, 5, requires_grad=True)
    stats = row_statistics(
        z, 1, Target(indices=torch.tensor([0, 1, 2, 3])), requested=Requested(argmax=True, rank=True)
    )
    assert not stats.argmax.requires_grad
    assert not stats.rank.requires_grad


def test_a_temperature_of_every_row_has_a_gradient_of_every_row():
    z = torch.randn(2, 3, 5, dtype=torch.float64)
    T = torch.rand(2, 3, dtype=torch.float64).add_(0.5).requires_grad_()
    stats = row_statistics(
        z, 2, Target(indices=torch.zeros(2, 3, dtype=torch.long)), Transform(temperature=T)
    )
    (gradient,) = torch.autograd.grad(stats.log_odds.sum(), T)
    D = stats.log_odds.detach()
    p = torch.softmax(torch.where(torch.arange(5) == 0, -torch.inf, z) / T[..., None], -1).detach()
    slope = -((p * z.nan_to_num()).sum(-1) - z[..., 0]) / T.detach() ** 2
    assert D.shape == gradient.shape
    torch.testing.assert_close(gradient, slope)


def poison(*shapes):
    """Leaves NaN in the memory that the next tensors of these shapes are likely to get."""
    for shape in shapes:
        kept = [torch.full(shape, torch.nan, dtype=torch.float64) for _ in range(8)]
        del kept


@pytest.mark.parametrize("form", ["label", "set", "soft"])
@pytest.mark.parametrize("classes", [16, 128, 256, 8192])
def test_a_bfloat16_gradient_between_two_neighbors_goes_to_the_even_one(classes, form):
    """All classes are as likely, so an entry off target is half a unit off a number, over a power of two."""
    z = torch.zeros(2, classes, dtype=torch.bfloat16, requires_grad=True)
    first = (torch.arange(classes) == 0).repeat(2, 1)
    target = {
        "label": Target(indices=torch.tensor([0, 0])),
        "set": Target(mask=first),
        "soft": Target(dense=first.bfloat16()),
    }[form]
    stats = row_statistics(z, 1, target)
    upstream = torch.tensor([1 + 2.0**-8, 1 + 3 * 2.0**-8], dtype=torch.float64)
    if form == "soft":  # ∂G/∂u = 1/C off target, ∂D/∂u = 1/(C − 1)
        value = stats.dense_term
    else:
        value, upstream = stats.log_odds, upstream * (classes - 1) / classes
    (gradient,) = torch.autograd.grad(value, z, upstream)
    even = torch.tensor([1.0, 1 + 2.0**-6], dtype=torch.float64) / classes
    assert (gradient[:, 1:].double() == even[:, None]).all()


@pytest.mark.parametrize("classes", [6, 140])
@pytest.mark.parametrize(
    ("silent", "learned"),
    [
        *(
            ("ignored", x) for x in ("temperature", "margin", "class margin")
        ),  # soft targets have no label to ignore
        *(("no upstream", x) for x in ("temperature", "margin", "class margin", "dense")),
    ],
)
def test_a_row_that_counts_for_nothing_adds_nothing_to_any_gradient(learned, classes, silent):
    rng = np.random.default_rng(classes)
    z = torch.tensor(rng.normal(size=(7, classes)), requires_grad=True)
    y = torch.tensor(rng.integers(0, classes, size=7))
    row = torch.arange(7) == 4
    counts = torch.where(row & (silent == "no upstream"), 0.0, 1.0).double()
    value = {
        "temperature": torch.rand(7).double() + 0.5,
        "margin": torch.tensor(0.3).double(),
        "class margin": torch.rand(classes).double(),
        "dense": torch.rand(7, classes).double(),
    }[learned].requires_grad_()

    def gradient(rows):
        labels = torch.where(row & (silent == "ignored"), -1, y)[rows]
        if learned == "dense":
            stats = row_statistics(z[rows], 1, Target(dense=value[rows]))
            loss = (stats.dense_term * counts[rows]).sum()
        else:
            own = value[rows] if value.shape == (7,) and learned == "temperature" else value
            transform = Transform(temperature=own) if learned == "temperature" else Transform(margin=own)
            stats = row_statistics(z[rows], 1, Target(indices=labels, ignore_index=-1), transform)
            loss = torch.where(labels == -1, 0.0, stats.log_odds * counts[rows]).sum()
        poison((len(labels), 1), (len(labels),), (len(labels), classes))
        return torch.autograd.grad(loss, [value, z])

    everything, others = gradient(torch.arange(7)), gradient(torch.arange(7)[~row])
    for whole, part in zip(everything, others, strict=True):
        torch.testing.assert_close(whole, part, rtol=1e-13, atol=1e-15)
