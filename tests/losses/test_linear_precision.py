"""Half precision of a linear head: no further from float64 than PyTorch's own head and loss, in however many blocks."""

import pytest

import crossentropy as ce

torch = pytest.importorskip("torch")
from torch.nn import functional as F  # noqa: E402

from linear_heads import assert_same_loss, blocks_of, each_strategy, labels, on_logits, random  # noqa: E402

HALVES = (torch.bfloat16, torch.float16)
each_half = pytest.mark.parametrize("dtype", HALVES, ids=str)
OPTIONS = {
    "plain": {},
    "sum": {"reduction": "sum"},
    "smoothed": {"label_smoothing": 0.1},
    "some ignored": {"ignore_index": 3},
}


def problem(dtype, N=200, D=64, V=500):
    hidden, weight = random(N, D, seed=1).to(dtype), (random(V, D, seed=2) / D**0.5).to(dtype)
    return hidden.requires_grad_(), weight.requires_grad_(), labels(N, classes=V, seed=3)


def norm_errors(value, inputs, truth, exact_inputs):
    """Of the value, and of its gradients by each input, relative to their norms."""
    found = [value, *torch.autograd.grad(value, inputs)]
    exact = [truth, *torch.autograd.grad(truth, exact_inputs, retain_graph=True)]
    return [((a.double() - b).norm() / b.norm()).item() for a, b in zip(found, exact, strict=True)]


@each_strategy
@each_half
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_errors_are_no_larger_than_those_of_torchs_linear_and_cross_entropy(options, dtype, budget):
    hidden, weight, y = problem(dtype)
    exact = [x.detach().double().requires_grad_() for x in (hidden, weight)]
    truth = on_logits(*exact, y, **options)
    ours = ce.linear_cross_entropy(hidden, weight, y, memory_budget=budget, **options)
    theirs = F.cross_entropy(F.linear(hidden, weight), y, **options)
    assert ours.dtype == torch.float32
    mine = norm_errors(ours, [hidden, weight], truth, exact)
    other = norm_errors(theirs, [hidden, weight], truth, exact)
    for a, b in zip(mine, other, strict=True):
        assert a <= 1.05 * b + 1e-6


@each_strategy
@pytest.mark.parametrize("rows", [16, 512])
def test_float32_gradients_are_several_times_as_exact_as_products_of_the_whole(rows, budget):
    """In few blocks and in many: labels' entries are not among the summands of a product."""
    hidden, weight, y = problem(torch.float32, 1024, 64, 1024)
    exact = [x.detach().double().requires_grad_() for x in (hidden, weight)]
    truth = on_logits(*exact, y)
    theirs = F.cross_entropy(F.linear(hidden, weight), y)
    with blocks_of(rows, tile=256, groups=1, forward_rows=rows):
        ours = ce.linear_cross_entropy(hidden, weight, y, memory_budget=budget)
        _, *mine = norm_errors(ours, [hidden, weight], truth, exact)
    _, *other = norm_errors(theirs, [hidden, weight], truth, exact)
    assert max(mine) < 7e-8
    for a, b in zip(mine, other, strict=True):
        assert a <= b / 2


@each_strategy
@each_half
def test_gradients_of_inputs_in_half_precision_have_their_dtype(dtype, budget):
    hidden, weight, y = problem(dtype, 20, 8, 30)
    bias = random(30).to(dtype).requires_grad_()
    factors = random(2, 8).to(dtype).requires_grad_(), random(30, 2).to(dtype).requires_grad_()
    value = ce.linear_cross_entropy(hidden, weight, y, bias=bias, low_rank=factors, memory_budget=budget)
    parts = (hidden, weight, bias, *factors)
    for x, g in zip(parts, torch.autograd.grad(value, parts), strict=True):
        assert g.dtype == dtype
        assert g.shape == x.shape


@each_strategy
def test_a_loss_scale_saves_small_float16_gradients(budget):
    """What a mean of many rows leaves of a gradient is too small for float16 before the loss is scaled."""
    N, D, V = 1024, 16, 2000
    hidden, weight, y = problem(torch.float16, N, D, V)
    exact = [x.detach().double().requires_grad_() for x in (hidden, weight)]
    truth = on_logits(*exact, y) * 2.0**12
    ours = ce.linear_cross_entropy(hidden, weight, y, memory_budget=budget) * 2.0**12
    assert max(norm_errors(ours, [hidden, weight], truth, exact)) < 5e-4


@each_strategy
@pytest.mark.parametrize("rows", [4, 16, 64])
def test_the_error_of_a_bfloat16_weight_gradient_does_not_grow_with_the_blocks(rows, budget):
    """With 512 blocks as with one: sums are in float32, so that the errors of the blocks' products add as those do.

    They and the rounding of the sum are alike and independent, hence no more than √2 times the one error alone.
    """
    hidden, weight, y = problem(torch.bfloat16, 1024, 16, 128)
    exact = [x.detach().double().requires_grad_() for x in (hidden, weight)]
    truth = on_logits(*exact, y)
    one = norm_errors(ce.linear_cross_entropy(hidden, weight, y), [hidden, weight], truth, exact)
    with blocks_of(rows, tile=32, groups=1, forward_rows=rows // 2):
        value = ce.linear_cross_entropy(hidden, weight, y, memory_budget=budget)
        many = norm_errors(value, [hidden, weight], truth, exact)
    for a, b in zip(many, one, strict=True):
        assert a <= 1.45 * b


@each_strategy
@pytest.mark.parametrize("label_smoothing", [0.0, 0.25])
def test_what_masses_and_weights_of_classes_add_up_to_is_summed_in_float64(label_smoothing, budget):
    """Both are exact in bfloat16, their products are not."""
    N, D, V = 130, 3, 7
    hidden, weight = random(N, D, seed=1).requires_grad_(), random(V, D, seed=2).requires_grad_()
    masses, class_weight = (random(*shape, seed=3).exp().bfloat16() for shape in ((N, V), (V,)))
    value = ce.linear_cross_entropy(
        hidden,
        weight,
        ce.targets.Probabilities(masses, normalized=False),
        class_weight=class_weight,
        label_smoothing=label_smoothing,
        memory_budget=budget,
    )
    t, w = masses.double(), class_weight.double()
    a = w * ((1 - label_smoothing) * t + label_smoothing / V)
    truth = -(a * (hidden @ weight.T).log_softmax(-1)).sum() / (w * t).sum()
    assert_same_loss(value, truth, [hidden, weight])
