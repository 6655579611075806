"""What lies beside the operands of a linear head's products never enters a result.

Products are made by a library that reads past the ends of rows, and memory that was not written is NaN.
"""

import pytest

import crossentropy as ce

torch = pytest.importorskip("torch")

from crossentropy._statistics.head import products  # noqa: E402
from crossentropy.losses.contrastive import info_nce, nt_xent  # noqa: E402
from crossentropy.losses.linear_rows import linear_distillation_losses, linear_row_losses  # noqa: E402
from linear_heads import assert_close, blocks_of, labels, on_logits, random  # noqa: E402
from poison import poison  # noqa: E402, F401
from reading_past import products_that_read_past_rows  # noqa: E402

#: Of a sum of some hundred products and of their sum, each rounded to the dtype.
ROUNDING = {torch.bfloat16: 0.04, torch.float16: 0.005, torch.float32: 1e-4, torch.float64: 1e-11}
each_dtype = pytest.mark.parametrize("dtype", ROUNDING, ids=str)


@pytest.fixture(autouse=True)
def library(monkeypatch):
    """All products are the library's."""
    monkeypatch.setattr(products, "WIDE", False)
    with products_that_read_past_rows() as shapes:
        yield shapes


def beside_nan(x):
    """The same matrix as part of a larger one that is NaN elsewhere."""
    larger = torch.full((x.shape[0] + 2, x.shape[1] + 9), torch.nan, dtype=x.dtype)
    part = larger[1:-1, 4:-5]
    part.copy_(x)
    return part


def by_column(x):
    return beside_nan(x.T).T


LAYOUTS = {"dense": lambda x: x, "beside NaN": beside_nan, "by column": by_column}
each_layout = pytest.mark.parametrize("laid_out", LAYOUTS.values(), ids=LAYOUTS)
STRATEGIES = {
    "fast": {},
    "recomputing": {"memory_budget": 0},
    "rows": {"reduction": "none"},
    "rows left out": {"skip_below": 1e-30},
    "smoothed": {"label_smoothing": 0.1, "reduction": "sum"},
}


def inputs(N, D, V, dtype, laid_out=LAYOUTS["dense"]):
    """Hidden states, a weight, a bias, the two factors of an update, all of small numbers, and labels."""
    parts = (
        random(N, D, seed=1),
        random(V, D, seed=2) / D**0.5,
        random(3, D, seed=4) / D**0.5,
        random(V, 3, seed=5),
    )
    hidden, weight, down, up = (laid_out(x.to(dtype)).requires_grad_() for x in parts)
    bias = random(V, seed=6).to(dtype).requires_grad_()
    return hidden, weight, bias, (down, up), labels(N, classes=V, seed=3)


def gradients(value, parts):
    return torch.autograd.grad(value.double().sum(), parts)


def assert_as_in_float64(loss, parts):
    """A function of the parts and its gradients agree with those of the same numbers in float64."""
    value, wide = loss(*parts), [x.detach().double().contiguous().requires_grad_() for x in parts]
    truth, relative = loss(*wide), ROUNDING[parts[0].dtype]
    assert_close(value, truth, relative)
    for found, exact in zip(gradients(value, parts), gradients(truth, wide), strict=True):
        assert_close(found, exact, relative)


@each_dtype
@each_layout
@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
def test_a_loss_and_its_gradients_are_those_of_float64(strategy, laid_out, dtype, library):
    N, D, V = 40, 33, 131
    hidden, weight, bias, factors, y = inputs(N, D, V, dtype, laid_out)

    def loss(hidden, weight, bias, down, up):
        head = {"bias": bias, "low_rank": (down, up)}
        given = hidden, weight, y
        if hidden.dtype == dtype:
            return ce.linear_cross_entropy(*given, **head, **strategy)
        return on_logits(
            *given, **head, **{k: v for k, v in strategy.items() if k in ("reduction", "label_smoothing")}
        )

    with blocks_of(16, tile=48, forward_rows=24):
        assert_as_in_float64(loss, [hidden, weight, bias, *factors])
    assert library


@pytest.mark.parametrize("shape", [(64, 33, 512), (300, 257, 5000), (1100, 33, 4100)], ids=str)
@pytest.mark.parametrize(
    "strategy", [STRATEGIES[name] for name in ("fast", "recomputing")], ids=["fast", "recomputing"]
)
def test_real_blocks_and_tiles_in_bfloat16_are_those_of_float64(strategy, shape):
    hidden, weight, bias, _, y = inputs(*shape, torch.bfloat16)

    def loss(hidden, weight, bias):
        if hidden.dtype == torch.bfloat16:
            return ce.linear_cross_entropy(hidden, weight, y, bias=bias, **strategy)
        return on_logits(hidden, weight, y, bias=bias)

    assert_as_in_float64(loss, [hidden, weight, bias])


@each_dtype
@each_layout
@pytest.mark.parametrize("D", [33, 96, 64])
def test_a_row_that_makes_no_sense_changes_no_other(D, laid_out, dtype):
    """The end of a row is followed by the next row, where no gap is: that is not to be read either."""
    N, V = 40, 131
    hidden, weight, _, _, y = inputs(N, D, V, dtype, laid_out)
    spoilt = hidden.detach().clone(memory_format=torch.preserve_format)
    spoilt[[3, 20, 39]] = torch.nan
    spoilt[7, 0] = torch.inf
    keep = torch.ones(N, dtype=torch.bool)
    keep[[3, 7, 20, 39]] = False
    found = []
    for h in (hidden.detach(), spoilt):
        h.requires_grad_()
        with blocks_of(16, tile=48):
            rows = ce.linear_cross_entropy(h, weight, y, reduction="none")
            found.append((rows.detach(), *torch.autograd.grad(rows.sum(), h)))
    for clean, beside in zip(*found, strict=True):
        assert torch.equal(clean[keep], beside[keep])


@each_dtype
@each_layout
def test_statistics_are_those_of_float64(laid_out, dtype):
    hidden, weight, bias, _, y = inputs(40, 33, 131, dtype, laid_out)

    def log_prob(hidden, weight, bias):
        found = ce.linear_target_statistics(hidden, weight, y, bias=bias, entropy=True)
        return torch.stack([found.log_prob, found.logsumexp, found.entropy])

    assert_as_in_float64(log_prob, [hidden, weight, bias])


@each_dtype
@each_layout
def test_any_loss_of_rows_is_that_of_float64(laid_out, dtype):
    hidden, weight, bias, factors, y = inputs(40, 33, 131, dtype, laid_out)

    def loss(hidden, weight, bias, down, up):
        def of(z, rows):
            return ce.softmax_cross_entropy(z, y[rows], reduction="none")

        return linear_row_losses(of, hidden, weight, bias=bias, low_rank=(down, up))

    with blocks_of(16, tile=48):
        assert_as_in_float64(loss, [hidden, weight, bias, *factors])


@each_dtype
@each_layout
def test_distillation_between_heads_is_that_of_float64(laid_out, dtype):
    hidden, weight, *_ = inputs(40, 33, 131, dtype, laid_out)
    teacher, teacher_weight = (x.detach() for x in inputs(40, 35, 131, dtype, laid_out)[:2])

    def loss(hidden, weight):
        others = (x.to(hidden.dtype) for x in (teacher, teacher_weight))
        return linear_distillation_losses(hidden, weight, *others)

    assert_as_in_float64(loss, [hidden, weight])


@each_layout
def test_second_derivatives_are_those_of_dense_inputs(laid_out):
    hidden, weight, _, _, y = inputs(12, 5, 37, torch.float64, laid_out)

    def second(hidden, weight):
        value = ce.linear_cross_entropy(hidden, weight, y)
        by_hidden, by_weight = torch.autograd.grad(value, [hidden, weight], create_graph=True)
        return gradients((by_hidden**2).sum() + (by_weight**2).sum(), [hidden, weight])

    found = second(hidden, weight)
    dense = [x.detach().contiguous().requires_grad_() for x in (hidden, weight)]
    for a, b in zip(found, second(*dense), strict=True):
        assert_close(a, b)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@each_layout
@pytest.mark.parametrize("loss", [nt_xent, info_nce], ids=["nt_xent", "info_nce"])
def test_similarities_are_those_of_float64(loss, laid_out, dtype):
    features = [laid_out(random(20, 33, seed=i).to(dtype)).requires_grad_() for i in range(3)]

    def of(first, second, third):
        more = {} if loss is nt_xent else {"negatives": third}
        return loss(first, second, normalize=False, temperature=30.0, **more) + 0 * third.sum()

    assert_as_in_float64(of, features)
