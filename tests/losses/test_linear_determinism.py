"""What two evaluations of a linear head have in common: over runs, threads, budgets, and the places of its rows.

Where the products are our own, all bits: float32, on a processor with vectors of 512 bits, if the logits are made again
on the way back. Where they are PyTorch's, each is as near the truth as the dtype and the size of its sums allow. The
real blocks and tiles are used here, at shapes whose products run the kernels that a training step runs.
"""

import math

import pytest

import crossentropy as ce

torch = pytest.importorskip("torch")

from crossentropy._statistics.head import products  # noqa: E402
from linear_heads import head, labels, random  # noqa: E402

#: Neither rows nor classes nor sizes fill their blocks, tiles or vectors.
SHAPES = {"part of a block": (130, 257, 4200), "blocks": (600, 33, 4100), "one tile": (40, 96, 300)}
each_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
OPTIONS = {"mean": {"memory_budget": 0}, "rows": {"reduction": "none"}, "fast": {}}
each_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
PARTS = (slice(0, 1), slice(3, 20), slice(17, 40))


@pytest.fixture
def own():
    """The products are our own."""
    if not products.WIDE:
        pytest.skip("products are PyTorch's where there are no vectors of 512 bits")


@pytest.fixture(params=["float32", "bfloat16", "float64"])
def dtype(request, monkeypatch):
    """One of those whose products are PyTorch's somewhere, and are here."""
    monkeypatch.setattr(products, "WIDE", False)
    return getattr(torch, request.param)


def value_and_gradients(hidden, weight, y, **options):
    parts = [x.detach().requires_grad_() for x in (hidden, weight)]
    bias = random(weight.shape[0], seed=9, dtype=weight.dtype).requires_grad_()
    value = ce.linear_cross_entropy(*parts, y, bias=bias, **options)
    upstream = torch.linspace(0.5, 1.5, value.numel(), dtype=value.dtype).reshape(value.shape)
    return value.detach(), *torch.autograd.grad(value, [*parts, bias], upstream)


def on_threads(n, work):
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        return work()
    finally:
        torch.set_num_threads(before)


def rows_of(hidden, weight, y, **options):
    """The losses of rows and their gradients by the hidden states, before any denominator."""
    hidden = hidden.detach().requires_grad_()
    losses = ce.linear_cross_entropy(hidden, weight.detach(), y, reduction="none", **options)
    return losses.detach(), *torch.autograd.grad(losses.sum(), hidden)


def shuffled(n):
    return torch.randperm(n, generator=torch.Generator().manual_seed(1))


def assert_equal(*results):
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert torch.equal(a, b)


# ---- our own products: the same bits ------------------------------------------------------------------------------


@each_shape
@each_option
def test_a_second_run_and_any_number_of_threads_have_the_same_bits(options, shape, own):
    parts = head(*shape, dtype=torch.float32)
    counts = (
        (2, 2) if not options else (2, 2, 1, 4)
    )  # what is summed on the way forward is not promised for threads
    assert_equal(*(on_threads(n, lambda: value_and_gradients(*parts, **options)) for n in counts))


@each_shape
def test_any_budget_that_makes_logits_again_has_the_same_bits(shape, own):
    N, _, V = shape
    parts = head(*shape, dtype=torch.float32)
    too_little = 4 * V * min(N, 64) - 1
    assert_equal(*(value_and_gradients(*parts, memory_budget=b) for b in (0, 1000, too_little)))


@each_shape
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1, "z_loss": 0.01}], ids=["plain", "smoothed"])
def test_a_rows_loss_and_gradient_do_not_depend_on_its_place(options, shape, own):
    hidden, weight, y = head(*shape, dtype=torch.float32)
    order = shuffled(shape[0])
    found = rows_of(hidden, weight, y, **options)
    moved = rows_of(hidden[order], weight, y[order], **options)
    assert_equal(moved, [x[order] for x in found])


@each_shape
def test_a_rows_loss_and_gradient_do_not_depend_on_how_many_others_there_are(shape, own):
    hidden, weight, y = head(*shape, dtype=torch.float32)
    found = rows_of(hidden, weight, y)
    for part in PARTS:
        assert_equal(rows_of(hidden[part], weight, y[part]), [x[part] for x in found])


def test_a_row_that_makes_no_sense_changes_no_bit_of_its_neighbors(own):
    hidden, weight, y = head(130, 257, 4200, dtype=torch.float32)
    spoilt, keep = with_senseless_rows(hidden)
    for a, b in zip(rows_of(spoilt, weight, y), rows_of(hidden, weight, y), strict=True):
        assert torch.equal(a[keep], b[keep])
        assert a[~keep].isnan().any(-1).all()


def test_the_statistics_of_a_row_do_not_depend_on_its_place(own):
    hidden, weight, y = (x.detach() for x in head(130, 257, 4200, dtype=torch.float32))
    order = shuffled(130)
    found = ce.linear_target_statistics(hidden, weight, y, entropy=True, rank=True)
    moved = ce.linear_target_statistics(hidden[order], weight, y[order], entropy=True, rank=True)
    for name in ("log_prob", "logsumexp", "entropy", "argmax", "rank"):
        assert torch.equal(getattr(moved, name), getattr(found, name)[order]), name


def test_labels_of_the_last_tile_have_the_same_bits_as_any(own):
    """A label in a tile of few classes, or in one with the last rows, is treated like all others."""
    hidden, weight, _ = head(64, 33, 4100, dtype=torch.float32)
    y = labels(64, classes=4, seed=5) + 4096
    order = shuffled(64)
    found = rows_of(hidden, weight, y)
    assert_equal(rows_of(hidden[order], weight, y[order]), [x[order] for x in found])


def with_senseless_rows(hidden):
    """Hidden states with two rows that are not finite, and which rows are."""
    spoilt = hidden.detach().clone()
    spoilt[17] = torch.nan
    spoilt[100, 3] = torch.inf
    return spoilt, ~torch.isin(torch.arange(len(hidden)), torch.tensor([17, 100]))


# ---- PyTorch's products: as near the truth as they can be ---------------------------------------------------------


class Truth:
    """The losses of rows and their gradients in float64, and what rounding may make of each.

    A logit is stored with the unit roundoff ``u`` of the dtype and is a sum of D products, of float32 roundoff at the
    most, in whatever order: it is off by ``e``. So an entry of the logits' gradient is off by the factor ``exp(2e)``.
    It is rounded itself, and so are the sum that it enters, the product of a block, and the result.
    """

    def __init__(self, hidden, weight, y, bias=None, upstream=None):
        u, accumulated = torch.finfo(hidden.dtype).eps / 2, min(2.0**-24, torch.finfo(hidden.dtype).eps / 2)
        h, W = hidden.detach().double(), weight.detach().double()
        z = h @ W.T if bias is None else h @ W.T + bias.double()
        e = 2 * u * z.abs().max() + (W.shape[1] + 1) * accumulated * (h.abs() @ W.abs().T).max()
        dz = z.softmax(1)
        dz[torch.arange(len(y)), y] = torch.expm1(z.log_softmax(1)[torch.arange(len(y)), y])
        dz = dz if upstream is None else dz * upstream.double()[:, None]
        self.losses = -z.log_softmax(1)[torch.arange(len(y)), y]
        self.gradients = dz @ W, dz.T @ h, dz.sum(0)
        sizes = dz.abs() @ W.abs(), dz.abs().T @ h.abs(), dz.abs().sum(0)
        terms = W.shape[0], len(h), len(h)
        self.loss_bound = 2 * e + 2.0**-22 * self.losses.abs().max()
        self.bounds = [
            (math.expm1(2 * e) + 8 * u + (n + 8) * accumulated) * size
            for n, size in zip(terms, sizes, strict=True)
        ]

    def check(self, losses, *gradients, rows=slice(None)):
        """Refuse what rounding does not explain; of rows, only the gradient by the hidden states is theirs."""
        assert (losses.double() - self.losses[rows]).abs().max() <= self.loss_bound
        for i, found in enumerate(gradients):
            exact, bound = self.gradients[i], self.bounds[i]
            if i == 0:
                exact, bound = exact[rows], bound[rows]
            assert ((found.double() - exact).abs() <= bound).all()


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        pytest.param(OPTIONS[o], SHAPES[s], id=f"{o}-{s}", marks=() if i == j else pytest.mark.full)
        for i, o in enumerate(OPTIONS)
        for j, s in enumerate(SHAPES)
    ],
)
def test_every_run_on_any_number_of_threads_is_within_rounding_of_float64(options, shape, dtype):
    hidden, weight, y = head(*shape, dtype=dtype)
    N, V = shape[0], shape[2]
    wide = torch.promote_types(dtype, torch.float32)
    upstream = torch.linspace(0.5, 1.5, N, dtype=wide)
    if "reduction" not in options:
        upstream = torch.full((N,), 0.5 / N, dtype=torch.float64)
    truth = Truth(hidden, weight, y, random(V, seed=9, dtype=dtype), upstream)
    for threads in (1, 2, 4):
        value, *gradients = on_threads(threads, lambda: value_and_gradients(hidden, weight, y, **options))
        if value.ndim:
            truth.check(value, *gradients)
        else:
            assert abs(value.double() - truth.losses.mean()) <= truth.loss_bound
            truth.check(truth.losses, *gradients)


@each_shape
def test_rows_anywhere_among_any_others_are_within_rounding_of_float64(shape, dtype):
    hidden, weight, y = head(*shape, dtype=dtype)
    truth = Truth(hidden, weight, y)
    for rows in (shuffled(shape[0]), *PARTS):
        truth.check(*rows_of(hidden[rows], weight, y[rows]), rows=rows)


def test_a_row_that_makes_no_sense_leaves_its_neighbors_within_rounding_of_float64(dtype):
    hidden, weight, y = head(130, 257, 4200, dtype=dtype)
    spoilt, keep = with_senseless_rows(hidden)
    losses, by_hidden = rows_of(spoilt, weight, y)
    Truth(hidden, weight, y).check(losses[keep], by_hidden[keep], rows=keep)
    assert losses[~keep].isnan().all()
    assert by_hidden[~keep].isnan().any(-1).all()
