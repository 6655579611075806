"""The native object of a loss gives what statistics, link and sums in Python do, and the formula, with every option."""

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
checkpoint = pytest.importorskip("torch.utils.checkpoint").checkpoint


import crossentropy as ce  # noqa: E402
import crossentropy.torch as ct  # noqa: E402
from crossentropy._engine.softmax.autodiff import loss_by_autodiff  # noqa: E402
from crossentropy._engine.softmax.autograd import (  # noqa: E402
    FUSED,
    NATIVE,
    _SoftmaxLoss,
    engine_of,
    tensors_of,
)
from crossentropy._engine.softmax.problem import make_problem  # noqa: E402
from crossentropy._engine.softmax.statistics import find_statistics  # noqa: E402
from crossentropy._statistics.cpu.memory_torch import LOSSES, rounded  # noqa: E402
from crossentropy.links import CrossEntropy, Focal, Poly, Tsallis  # noqa: E402
from crossentropy.targets import LabelSet, Probabilities, Sparse  # noqa: E402

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
bounded = settings(derandomize=True, max_examples=100, deadline=None, database=None)


def laid_out(z, layout):
    """The same numbers, otherwise in memory."""
    if layout == "channels_last" and z.ndim == 4:
        return z.contiguous(memory_format=torch.channels_last)
    if layout == "transposed" and z.ndim > 1:
        return z.transpose(0, -1).contiguous().transpose(0, -1)
    if layout == "sliced":
        wide = torch.empty((*z.shape[:-1], 2 * z.shape[-1] + 1), dtype=z.dtype)
        wide[..., 1::2] = z
        return wide[..., 1::2]
    if layout == "reversed":
        return z.flip(0)[torch.arange(z.shape[0] - 1, -1, -1)] if z.shape[0] else z
    return z.clone()


@st.composite
def problems(draw):
    """Logits in some layout, labels, and the options of the commonest losses."""
    axes = draw(st.integers(1, 4))
    shape = tuple(draw(st.integers(1, 6)) for _ in range(axes))
    axis = draw(st.integers(-axes, axes - 1))
    classes = draw(st.sampled_from([1, 2, 3, 8, 10, 17, 64, 65, 130]))
    shape = (*shape[: axis % axes], classes, *shape[axis % axes + 1 :])
    rows = (*shape[: axis % axes], *shape[axis % axes + 1 :])
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    dtype = draw(st.sampled_from(DTYPES))
    z = torch.randn(shape, generator=generator, dtype=torch.float64)
    z = laid_out(z.mul(draw(st.sampled_from([0.0, 1.0, 8.0, 100.0]))).to(dtype), draw(layouts))
    y = torch.randint(0, min(classes, 100), rows, generator=generator)
    ignore_index = draw(st.sampled_from([None, -100, 0, 1]))
    if ignore_index == -100:
        y = torch.where(torch.rand(rows, generator=generator) < 0.3, -100, y)
        y = y.to(draw(st.sampled_from(INTEGERS[:3])))
    else:
        y = y.to(draw(st.sampled_from(INTEGERS)))
    return (
        z,
        y,
        axis,
        {
            "ignore_index": ignore_index,
            "link": draw(st.sampled_from([None, CrossEntropy(), Focal(0.0), Focal(0.5), Focal(2.0)])),
            "reduction": draw(st.sampled_from(["mean", "sum"])),
            "empty": draw(st.sampled_from(["zero", "nan"])),
        },
    )


layouts = st.sampled_from(["plain", "channels_last", "transposed", "sliced", "reversed"])


def engine_for(z, y, axis, options):
    problem = make_problem(z, y, axis=axis, **options)
    return engine_of(problem, tensors_of(problem))


def by(engine, z, y, axis, options):
    problem = make_problem(z, y, axis=axis, **options)
    if torch.is_grad_enabled() and z.requires_grad:
        return _SoftmaxLoss.apply(z, problem, engine, tensors_of(problem))
    return rounded(engine.evaluate(problem).value, LOSSES[z.dtype])


def short(z, y, axis, options):
    """By the native object, which takes the loss by itself."""
    assert engine_for(z, y, axis, options) is FUSED
    return by(FUSED, z, y, axis, options)


def long(z, y, axis, options):
    """By statistics, the link and sums, a call for each."""
    return by(NATIVE, z, y, axis, options)


@given(problems())
@bounded
def test_the_value_is_that_of_the_long_way(problem):
    z, y, axis, options = problem
    with torch.no_grad():
        torch.testing.assert_close(
            short(z, y, axis, options), long(z, y, axis, options), rtol=0, atol=0, equal_nan=True
        )


@given(problems(), st.floats(-3, 3, width=32))
@bounded
def test_the_gradient_is_that_of_the_long_way(problem, upstream):
    z, y, axis, options = problem
    found = []
    for loss in (short, long):
        x = z.detach().requires_grad_()
        value = loss(x, y, axis, options)
        (gradient,) = torch.autograd.grad(value, x, torch.tensor(upstream, dtype=value.dtype))
        assert gradient.dtype == z.dtype
        assert gradient.shape == z.shape
        found.append((value.detach(), gradient))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0, equal_nan=True)


@given(problems())
@bounded
def test_the_second_derivative_is_that_of_the_long_way(problem):
    z, y, axis, options = problem
    found = []
    for loss in (short, long):
        x = z.detach().double().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(x, y, axis, options), x, create_graph=True)
        found.append(torch.autograd.grad(gradient.square().sum(), x)[0])
    # Cross-entropy's is a kernel's, with roundings of its own; the others' are the same operations.
    is_native = options["link"] is None or type(options["link"]) is CrossEntropy
    rtol, atol = (1e-12, 1e-15) if is_native else (0, 0)
    torch.testing.assert_close(found[0], found[1], rtol=rtol, atol=atol, equal_nan=True)


@pytest.mark.parametrize("special", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("link", [None, Focal(2.0)], ids=repr)
@pytest.mark.parametrize("place", [0, 1], ids=["target", "other"])
def test_special_logits_are_what_they_are_the_long_way(special, link, place):
    options = {"ignore_index": None, "link": link, "reduction": "sum", "empty": "zero"}
    found = []
    for loss in (short, long):
        z = torch.tensor([[0.5, -1.0, 2.0], [1.0, 0.0, 3.0]])
        z[0, place] = special
        z.requires_grad_()
        value = loss(z, torch.tensor([0, 2]), 1, options)
        found.append((value.detach(), torch.autograd.grad(value, z)[0]))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0, equal_nan=True)


def test_an_expanded_row_is_taken_by_its_strides():
    z = torch.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    y = torch.tensor([0, 1, 2, 0])
    (expanded,) = torch.autograd.grad(ct.cross_entropy(z.expand(4, 3), y, reduction="sum"), z)
    (repeated,) = torch.autograd.grad(ct.cross_entropy(z.repeat(4, 1), y, reduction="sum"), z)
    assert expanded.equal(repeated)


def test_logits_of_negative_stride_views_in_labels_are_read_rightly():
    z = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    y = torch.tensor([0, 9, 1, 9, 2, 9, 0, 9, 1, 9, 2, 9])[::2]
    assert ct.cross_entropy(z, y).equal(ct.cross_entropy(z, y.contiguous()))


@st.composite
def weighted_problems(draw):
    """Labels, several labels or sets of them, with the options that weigh and regularize rows."""
    z, y, axis, options = draw(problems())
    z = z.to(draw(st.sampled_from([torch.float64, torch.float32, torch.bfloat16])))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))

    def numbers(*shape):
        found = torch.rand(
            shape, generator=generator, dtype=draw(st.sampled_from([torch.float64, torch.float32]))
        )
        return found * (torch.rand(shape, generator=generator) < 0.8)

    classes, rows = z.shape[axis], y.shape
    form = draw(st.sampled_from(["one", "several", "set"]))
    if form != "set" and draw(st.booleans()):
        options["class_weight"] = numbers(classes)
    if draw(st.booleans()):
        options["sample_weight"] = numbers(*rows)
    if draw(st.booleans()):
        options["z_loss"] = 0.25
    if form != "set" and draw(st.booleans()):
        options |= {"label_smoothing": draw(st.sampled_from([0.125, 1.0])), "link": None}
        if draw(st.booleans()):
            options["smoothing_prior"] = numbers(classes)
    if form == "several":
        k = draw(st.integers(1, 5))
        others = torch.randint(0, min(classes, 100), (*rows, k - 1), generator=generator).to(y.dtype)
        y = Sparse(torch.cat([y[..., None], others], dim=-1), numbers(*rows, k))
    elif form == "set":
        mask = (torch.rand(z.shape, generator=generator) < 0.4) | (z == z.amax(axis, keepdim=True))
        y, options = LabelSet(mask), options | {"ignore_index": None}
    return z, y, axis, options


def tolerance(dtype):
    """The prior's total is summed in another order."""
    return {"rtol": 0.0 if dtype == torch.bfloat16 else 4 * torch.finfo(dtype).eps, "atol": 1e-14}


@given(weighted_problems())
@bounded
def test_the_value_of_a_weighted_loss_is_that_of_the_long_way(problem):
    z, y, axis, options = problem
    with torch.no_grad():
        found, expected = short(z, y, axis, options), long(z, y, axis, options)
    torch.testing.assert_close(found, expected, **tolerance(found.dtype), equal_nan=True)


@given(weighted_problems(), st.floats(-3, 3, width=32))
@bounded
def test_the_gradient_of_a_weighted_loss_is_that_of_the_long_way(problem, upstream):
    z, y, axis, options = problem
    found = []
    for loss in (short, long):
        x = z.detach().requires_grad_()
        value = loss(x, y, axis, options)
        found.append(torch.autograd.grad(value, x, torch.tensor(upstream, dtype=value.dtype))[0])
    torch.testing.assert_close(*found, **tolerance(z.dtype), equal_nan=True)


@given(weighted_problems())
@bounded
def test_the_second_derivative_of_a_weighted_loss_is_that_of_the_long_way(problem):
    z, y, axis, options = problem
    found = []
    for loss in (short, long):
        x = z.detach().double().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(x, y, axis, options), x, create_graph=True)
        found.append(torch.autograd.grad(gradient.square().sum(), x)[0])
    torch.testing.assert_close(*found, rtol=1e-14, atol=1e-14, equal_nan=True)


@pytest.mark.parametrize("special", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("weigh", ["sample_weight", "ignore_index", "masses"])
def test_what_counts_for_nothing_may_hold_anything(special, weigh):
    z = torch.tensor([[0.5, -1.0, 2.0], [special, special, special]], requires_grad=True)
    y = torch.tensor([0, 2])
    options = {"label_smoothing": 0.1, "z_loss": 0.1, "class_weight": torch.tensor([1.0, 2.0, 3.0])}
    if weigh == "sample_weight":
        options["sample_weight"] = torch.tensor([1.0, 0.0])
    elif weigh == "ignore_index":
        options["ignore_index"] = 2
    else:
        options = {"sample_weight": torch.tensor([1.0, 0.0])}
        y = Sparse(torch.tensor([[0, 1], [2, 0]]), torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    value = short(z, y, 1, options)
    (gradient,) = torch.autograd.grad(value, z)
    (alone,) = torch.autograd.grad(long(z, y, 1, options), z)
    assert value.isfinite()
    assert gradient.isfinite().all()
    assert gradient[1].eq(0).all()
    torch.testing.assert_close(gradient, alone, rtol=1e-6, atol=0)


def test_rows_over_many_blocks_add_up_alike_for_any_number_of_threads():
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(5000, 70, generator=generator)
    y = torch.randint(0, 70, (5000,), generator=generator)
    options = {"label_smoothing": 0.1, "class_weight": torch.rand(70, generator=generator), "z_loss": 0.01}
    threads, found = torch.get_num_threads(), []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            x = z.clone().requires_grad_()
            value = short(x, y, 1, options)
            found.append((value.detach(), torch.autograd.grad(value, x)[0]))
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)


@st.composite
def problems_of_every_option(draw):
    """Weighted problems with transforms, the entropy bonus, every reduction and every normalizer."""
    z, y, axis, options = draw(weighted_problems())
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    axis %= z.ndim
    classes, rows = z.shape[axis], (*z.shape[:axis], *z.shape[axis + 1 :])

    def numbers(*shape):
        return torch.rand(
            shape, generator=generator, dtype=draw(st.sampled_from([torch.float64, torch.float32]))
        )

    margins = [None, 0.25, numbers(classes)]
    options |= {
        "temperature": draw(st.sampled_from([1.0, 2, 0.5, numbers(*rows) + 0.5, torch.tensor(2.0)])),
        "softcap": draw(st.sampled_from([None, 5.0, 30])),
        "logit_bias": draw(st.sampled_from([None, numbers(classes)])),
        "margin": draw(st.sampled_from(margins)),
        "entropy_bonus": draw(st.sampled_from([0.0, 0.125])),
        "reduction": draw(st.sampled_from(["mean", "mean", "sum", "none"])),
        "validate": draw(st.sampled_from(["raise", "none"])),
    }
    if options["reduction"] == "mean":
        divisors = numbers(*rows) * (torch.rand(rows, generator=generator) < 0.8)
        options["normalizer"] = draw(
            st.sampled_from(["weight", "count", 3, 0.0, torch.tensor(2.5), divisors])
        )
    return z, y, axis, options


def value_and_gradient(loss, z, y, axis, options):
    x = z.detach().requires_grad_()
    value = loss(x, y, axis, options)
    upstream = torch.linspace(-1, 2, value.numel(), dtype=value.dtype).reshape(value.shape)
    return value.detach(), torch.autograd.grad(value, x, upstream)[0]


@given(problems_of_every_option())
@bounded
def test_every_option_is_what_it_is_the_long_way(problem):
    value, gradient = value_and_gradient(short, *problem)
    expected, expected_gradient = value_and_gradient(long, *problem)
    torch.testing.assert_close(value, expected, **tolerance(value.dtype), equal_nan=True)
    torch.testing.assert_close(gradient, expected_gradient, **tolerance(gradient.dtype), equal_nan=True)


@given(problems_of_every_option())
@bounded
def test_every_option_is_what_the_formula_says(problem):
    z, y, axis, options = problem
    z = z.double()
    value, gradient = value_and_gradient(short, z, y, axis, options)

    def formula(x, y, axis, options):
        problem = make_problem(x, y, axis=axis, **options)
        return loss_by_autodiff(problem, statistics=partial(find_statistics, reference=True))

    expected, expected_gradient = value_and_gradient(formula, z, y, axis, options)
    torch.testing.assert_close(value, expected, rtol=1e-11, atol=1e-11, equal_nan=True)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-10, atol=1e-10, equal_nan=True)


@given(problems_of_every_option())
@bounded
def test_the_public_function_gives_the_bits_of_the_native_object(problem):
    def public(x, y, axis, options):
        return ce.softmax_cross_entropy(x, y, axis=axis, **options)

    found, expected = value_and_gradient(public, *problem), value_and_gradient(short, *problem)
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


@given(problems_of_every_option())
@bounded
def test_numpy_gives_the_same_bits(problem):
    z, y, axis, options = problem
    z = z.float() if z.dtype == torch.bfloat16 else z

    def array(x):
        return x.numpy() if isinstance(x, torch.Tensor) else x

    def as_numpy(y):
        return type(y)(*map(array, vars(y).values())) if isinstance(y, (Sparse, LabelSet)) else array(y)

    if options["reduction"] == "none":
        with torch.no_grad():
            value = short(z, y, axis, options)
        found = ce.softmax_cross_entropy(
            array(z), as_numpy(y), axis=axis, **{name: array(x) for name, x in options.items()}
        )
        torch.testing.assert_close(torch.as_tensor(found), value, rtol=0, atol=0, equal_nan=True)
        return
    x = z.detach().requires_grad_()
    value = short(x, y, axis, options)
    (gradient,) = torch.autograd.grad(value, x)
    found, by_logits = ce.loss_and_gradient(
        ce.softmax_cross_entropy,
        array(z),
        as_numpy(y),
        axis=axis,
        **{name: array(x) for name, x in options.items()},
    )
    torch.testing.assert_close(torch.as_tensor(found), value.detach(), rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(torch.as_tensor(by_logits), gradient, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize(
    "options",
    [
        {"label_smoothing": 0.1, "link": Focal(2.0), "z_loss": 0.1},
        {"label_smoothing": 0.1, "link": Poly(1.0)},
        {"link": Tsallis(1.5)},
        {"link": Focal(torch.tensor(2.0))},
        {"sample_weight": torch.ones(2, requires_grad=True)},
        {"temperature": torch.tensor(1.5, requires_grad=True)},
        {"margin": torch.zeros(3, requires_grad=True)},
        {"z_loss": torch.tensor(0.1)},
    ],
    ids=str,
)
def test_what_the_native_object_does_not_know_it_leaves_alone(options):
    assert engine_for(torch.zeros(2, 3), torch.tensor([0, 1]), -1, options) is not FUSED


@pytest.mark.parametrize(
    "labels",
    [
        torch.full((2, 3), 1 / 3, requires_grad=True),
        Probabilities(torch.ones(2, 3, requires_grad=True), normalized=False),
        Sparse(torch.tensor([[0], [1]]), torch.ones(2, 1, requires_grad=True)),
    ],
    ids=lambda labels: type(labels).__name__,
)
def test_targets_that_learn_are_left_to_the_long_way(labels):
    assert engine_for(torch.zeros(2, 3), labels, -1, {}) is not FUSED


@pytest.mark.parametrize(
    "options", [{"z_loss": 0.1}, {"softcap": 5.0}, {"logit_bias": torch.ones(3)}], ids=str
)
def test_soft_targets_are_the_native_objects_without_other_terms(options):
    labels = torch.full((2, 3), 1 / 3)
    assert engine_for(torch.zeros(2, 3), labels, -1, {}) is FUSED
    assert engine_for(torch.zeros(2, 3), labels, -1, options) is not FUSED


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"empty": "other"}, "empty is"),
        ({"reduction": "other"}, "reduction is"),
        ({"label_smoothing": 1.5}, "label_smoothing is 1.5"),
        ({"class_weight": torch.ones(2)}, r"class_weight has shape \(2,\)"),
        ({"class_weight": torch.tensor([1.0, -3.0, 1.0])}, "go down to -3.0"),
        ({"normalizer": torch.ones(3)}, r"normalizer has shape \(3,\)"),
        ({"empty": "raise", "ignore_index": 0, "labels": torch.tensor([0, 0])}, "nothing to average"),
        ({"labels": torch.tensor([0])}, r"labels have shape \(1,\)"),
        ({"labels": torch.tensor([0, 3])}, "label 3 at row 1 is outside"),
        (
            {"labels": LabelSet(torch.tensor([[True, False, False], [False, False, False]]))},
            "row 1 of LabelSet has no class",
        ),
    ],
    ids=str,
)
def test_what_is_wrong_is_said(options, message):
    options = {"labels": torch.tensor([0, 1]), **options}
    with pytest.raises(ValueError, match=message):
        ce.softmax_cross_entropy(torch.zeros(2, 3), **options)


def test_a_set_whose_logits_are_all_minus_infinity_costs_infinitely_much():
    z = torch.tensor([[0.0, 1.0, -torch.inf]], requires_grad=True)
    value = ce.softmax_cross_entropy(z, LabelSet(torch.tensor([[False, False, True]])))
    value.backward()
    assert value == torch.inf
    torch.testing.assert_close(z.grad[0, :2], z.detach()[0, :2].softmax(0))


def test_labels_of_python_are_served_too():
    assert engine_for(torch.zeros(2, 3), [0, 1], -1, {"sample_weight": [1.0, 2.0]}) is FUSED


def test_weights_changed_before_the_backward_pass_are_noticed():
    z, w = torch.zeros(2, 3, requires_grad=True), torch.ones(3, dtype=torch.float64)
    value = ct.cross_entropy(z, torch.tensor([0, 1]), weight=w, label_smoothing=0.1)
    w.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


def test_the_graph_may_be_kept_and_run_again():
    z = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    value = ct.cross_entropy(z, torch.tensor([0, 1, 2, 0, 1]))
    first = torch.autograd.grad(value, z, retain_graph=True)[0]
    assert torch.autograd.grad(value, z)[0].equal(first)


def test_logits_changed_before_the_backward_pass_are_noticed():
    z = torch.zeros(2, 3, requires_grad=True)
    scores = z * 1
    value = ct.cross_entropy(scores, torch.tensor([0, 1]))
    scores.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


def test_labels_changed_before_the_backward_pass_are_noticed():
    z, y = torch.zeros(2, 3, requires_grad=True), torch.tensor([0, 1])
    value = ct.cross_entropy(z, y)
    y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


def test_a_batch_of_upstream_gradients():
    z = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    value = ct.cross_entropy(z, torch.tensor([0, 1, 2, 0]))
    (one,) = torch.autograd.grad(value, z, retain_graph=True)
    (many,) = torch.autograd.grad(value, z, torch.tensor([1.0, 2.0]), is_grads_batched=True)
    torch.testing.assert_close(many, torch.stack([one, 2 * one]), rtol=1e-6, atol=0)


def of_copies(logits, y, weights):
    """The loss of weights that nobody else holds."""
    return ce.softmax_cross_entropy(logits, y.clone(), **{name: w.clone() for name, w in weights.items()})


def with_weights():
    torch.manual_seed(0)
    z, y = torch.randn(400, 50, requires_grad=True), torch.randint(0, 50, (400,))
    weights = {
        "sample_weight": torch.rand(400),
        "class_weight": torch.rand(50),
        "temperature": torch.rand(400) + 1,
    }
    (expected,) = torch.autograd.grad(of_copies(z, y, weights), z)
    return z, y, weights, expected


def test_saved_tensors_may_be_moved_before_the_backward_pass():
    z, y, weights, expected = with_weights()
    with torch.autograd.graph.saved_tensors_hooks(torch.clone, lambda x: x):
        loss = of_copies(z, y, weights)
    spoilt = [torch.full((n,), torch.nan, dtype=torch.float64) for n in (50, 400) for _ in range(100)]
    assert torch.equal(torch.autograd.grad(loss, z)[0], expected)
    assert len(spoilt) == 200


def test_a_checkpointed_loss_has_the_gradient_of_the_loss():
    z, y, weights, expected = with_weights()
    loss = checkpoint(lambda z: of_copies(z * 1, y, weights), z, use_reentrant=False)
    assert torch.equal(torch.autograd.grad(loss, z)[0], expected)
