"""The never-materialized forward of a linear head in Triton: the planes of the logits that are made block by block.

Where a test is about anything but a product's rounding, hidden states and weights are small multiples of 1/8: products
are then exact in whatever order they are summed, and both ways see the same logits.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from crossentropy._statistics import Prior, Requested, Target, Transform, row_statistics  # noqa: E402
from crossentropy._statistics.cuda import head as head_kernel  # noqa: E402
from crossentropy._statistics.cuda.head import Tile, shares_of  # noqa: E402
from crossentropy._statistics.head.head import Head  # noqa: E402
from linear_on_triton import (  # noqa: E402
    ALL,
    DTYPES,
    EDGE,
    EPS,
    INF,
    NAN,
    bits,
    check,
    compare,
    equal,
    found,
    head_of,
    problem_of,
    random_labels,
    share,
    use_small_tiles,
    widened,
)
from row_problems import TRANSFORMS, make, narrowed, tensors  # noqa: E402
from sampling import full  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


@pytest.fixture(autouse=True)
def _small_tiles(monkeypatch):
    use_small_tiles(monkeypatch)


# -------------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("transform", "prior"),
    [("plain", "none"), ("all", "uniform"), *((transform, "vector") for transform in TRANSFORMS)],
)
@pytest.mark.parametrize("dtype", [DTYPES[0], *full(DTYPES[1:])], ids=str)
def test_every_option_gives_what_blocks_of_logits_give(dtype, transform, prior, device):
    N, V = 18, 37
    rows = narrowed(make("ignored", transform, prior, N, V))
    target, transform, prior = (tensors(x) for x in (rows.target, rows.transform, rows.prior))
    compare(problem_of(head_of(N, V, 20, dtype), target, transform, prior), device)


def test_logits_in_half_precision_are_rounded_as_stored_ones_are(device):
    """Once by the product and once with the bias: the planes are those of the rounded logits, and of no others."""
    for dtype in (torch.float16, torch.bfloat16):
        head = head_of(17, 33, 300, dtype)
        stored = head.whole()
        assert not torch.equal(stored.double(), widened(head).whole())
        target = Target(random_labels(17, 33))
        got = found(problem_of(head, target), device)
        check(got, row_statistics(stored, 1, target, requested=ALL), 16 * EPS[dtype])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_a_product_keeps_the_digits_of_its_dtype(dtype, device):
    """Against float64 for float32, and extended precision for float64: no operand is rounded to a shorter format."""
    generator = torch.Generator().manual_seed(0)
    x, M = (torch.randn(s, 70, generator=generator, dtype=torch.float64).to(dtype) for s in (20, 40))
    y = random_labels(20, 40)
    requested = Requested(log_partition=True)
    got = found(problem_of(Head((x, M), None), Target(y), requested=requested), device)
    z = x.numpy().astype(np.longdouble) @ M.numpy().astype(np.longdouble).T
    L = np.log(np.exp(z).sum(axis=1))
    size = (x.abs().double() @ M.abs().double().T).max().item()
    bound = (70**0.5 + 8) * EPS[dtype] * size
    assert np.abs(got.log_partition.cpu().numpy() - L).max() <= bound


@pytest.mark.parametrize(
    "shape",
    [
        (1, 1, 1),
        (15, 17, 16),
        (16, 16, 15),
        (17, 33, 17),
        (33, 15, 31),
        (32, 48, 32),
        (2, 100, 1),
        (50, 2, 3),
    ],
    ids=str,
)
def test_shapes_around_the_edges_of_tiles(shape, device):
    N, V, D = shape
    rows = make("label", "all", "vector", N, V)
    target, transform, prior = (tensors(x) for x in (rows.target, rows.transform, rows.prior))
    for dtype in (torch.float64, torch.bfloat16):
        compare(problem_of(head_of(N, V, D, dtype), target, transform, prior), device, digits=32)


@pytest.mark.parametrize("shares", [1, 2, 3, 5, 8])
def test_any_number_of_shares_gives_the_same_to_rounding(shares, device, monkeypatch):
    rows = make("label", "all", "vector", 5, 75)
    target, transform, prior = (tensors(x) for x in (rows.target, rows.transform, rows.prior))
    problem = problem_of(head_of(5, 75, 9, torch.float64), target, transform, prior)
    share(monkeypatch, shares)
    assert shares_of(5, 75, Tile(EDGE, EDGE, EDGE, 4, 2))[0] == min(shares, 5)
    compare(problem, device)


def test_shares_are_whole_tiles_that_cover_the_classes(monkeypatch):
    monkeypatch.undo()
    tile = head_kernel.HALF
    for N in (1, 128, 129, 4096, 10**6):
        for V in (0, 1, 127, 128, 129, 50257, 128256):
            shares, classes = shares_of(N, V, tile)
            assert classes % tile.classes == 0
            assert shares * classes >= V > (shares - 1) * classes or V == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_row_has_the_same_bits_wherever_it_stands(dtype, device, products_in_order):
    """Though its products are rounded: those of real states."""
    generator = torch.Generator().manual_seed(0)
    x, M = (torch.randn(s, 40, generator=generator).to(dtype) for s in (50, 40))
    y, order = random_labels(50, 40), torch.randperm(50, generator=generator)
    once = found(problem_of(Head((x, M), None), Target(y), prior=Prior()), device)
    again = found(problem_of(Head((x[order], M), None), Target(y[order]), prior=Prior()), device)
    assert equal(bits(once, order.to(device)), bits(again))


def test_a_bias_is_added_once_however_deep_the_product(device):
    compare(problem_of(head_of(9, 20, 300, torch.float64), Target(random_labels(9, 20))), device)


def test_ties_are_counted_and_the_argmax_is_the_first_of_them(device, monkeypatch):
    share(monkeypatch, 4)
    head = Head((torch.ones(2, 3), torch.ones(61, 3)), None)
    got = found(problem_of(head, Target(torch.tensor([60, 5]))), device)
    assert got.rest.tolist() == [59.0, 59.0]
    assert got.argmax.tolist() == [0, 0]


@pytest.mark.parametrize("best", [0, 15, 16, 31, 32, 70])
def test_a_confident_row_keeps_its_digits_wherever_its_label_is(best, device):
    """At a margin of 40, where 1 − p has none left."""
    M = torch.zeros(75, 1, dtype=torch.float64)
    M[best] = 40.0
    got = found(
        problem_of(Head((torch.ones(1, 1, dtype=torch.float64), M), None), Target(torch.tensor([best]))),
        device,
    )
    assert got.log_odds.item() == pytest.approx(np.log(74) - 40, rel=1e-15)
    assert got.argmax.item() == best


# ----------------------------------------------------------------------------------------------- edges


@pytest.mark.parametrize("first", [0, 16, 32, 64], ids=lambda n: f"from {n}")
def test_a_tile_whose_logits_are_all_minus_infinity_adds_nothing(first, device, monkeypatch):
    share(monkeypatch, 5)  # which is a share then
    head = head_of(6, 75, 9, torch.float32)
    head.bias[first : first + EDGE] = -INF
    y = torch.tensor([first, 40, 0, 74, 5, 50])
    got = compare(problem_of(head, Target(y)), device)
    assert not any(got.log_odds.isnan())
    assert (got.log_odds.cpu() == INF).equal((y >= first) & (y < first + EDGE))


def test_rows_whose_logits_are_all_minus_infinity_are_nan(device):
    head = head_of(3, 40, 9, torch.float32)
    head.bias[:] = -INF
    got = compare(problem_of(head, Target(torch.tensor([0, 20, 39]))), device)
    assert got.log_odds.isnan().all()


@pytest.mark.parametrize("classes", [1, 15, 17, 33, 47])
def test_classes_beyond_the_last_do_not_leak_through_a_small_softcap(classes, device):
    """What pads a tile is capped at −0.25 like everything else, and would count."""
    head = head_of(5, classes, 9, torch.float64)
    compare(problem_of(head, Target(random_labels(5, classes)), Transform(softcap=0.25)), device)


@pytest.mark.parametrize("value", [NAN, INF])
def test_what_is_no_number_spoils_its_row_only(value, device):
    head, target = head_of(20, 40, 9, torch.float32), Target(random_labels(20, 40))
    clean = found(problem_of(head, target, prior=Prior()), device)
    head.factors[0][18, 3] = value
    got = found(problem_of(head, target, prior=Prior()), device)
    others = torch.arange(20, device=device) != 18
    assert got.log_odds[18].isnan()
    assert got.entropy[18].isnan()
    assert equal(bits(got, others), bits(clean, others))


@pytest.mark.parametrize("label", [0, 40], ids=["on it", "elsewhere"])
def test_a_row_with_an_infinite_logit_is_nan(label, device):
    """Also where the label is certain not to be it, and the log-odds would be infinite."""
    M = torch.full((75, 1), -1.0)
    M[0] = 1.0
    head = Head((torch.tensor([[1.0], [INF]]), M), None)
    got = compare(problem_of(head, Target(torch.tensor([label, label])), prior=Prior()), device)
    assert got.log_odds.isnan().tolist() == [False, True]


def test_ignored_rows_count_nothing_whatever_is_in_them(device):
    head, y = head_of(20, 40, 9, torch.float32), random_labels(20, 40)
    clean = found(problem_of(head, Target(y), prior=Prior()), device)
    y[::3] = -100
    head.factors[0][::3] = NAN
    got = compare(problem_of(head, Target(y, ignore_index=-100), prior=Prior()), device)
    ignored = (y == -100).to(device)
    assert (got.log_odds[ignored] == -INF).all()
    assert (got.prior_term[ignored] == 0).all()
    assert (got.argmax[ignored] == -1).all()
    assert equal(bits(got, ~ignored), bits(clean, ~ignored))


def test_a_batch_of_ignored_rows_counts_nothing_whatever_the_weight(device):
    head = head_of(20, 40, 9, torch.float32)
    head.factors[1][:] = NAN
    compare(problem_of(head, Target(torch.full((20,), 3), ignore_index=3), prior=Prior()), device)


@pytest.mark.parametrize("label", [-1, 40, 47, 2**31, 2**32 + 1])
def test_a_label_outside_the_classes_makes_its_row_nan_and_no_other(label, device):
    head, y = head_of(20, 40, 9, torch.float32), random_labels(20, 40)
    clean = found(problem_of(head, Target(y), prior=Prior()), device)
    y[7] = label
    got = compare(problem_of(head, Target(y), prior=Prior()), device)
    others = torch.arange(20, device=device) != 7
    assert got.log_odds[7].isnan()
    assert got.argmax[7] == -1
    assert equal(bits(got, others), bits(clean, others))


@pytest.mark.parametrize("shape", [(0, 5, 3), (0, 0, 0), (3, 5, 0), (3, 0, 2)], ids=str)
def test_nothing_of_something(shape, device):
    """No rows, no classes (every label is outside of them), hidden states of no width (every logit is the bias)."""
    N, V, D = shape
    head, target = head_of(N, V, D, torch.float32), Target(torch.zeros(N, dtype=torch.int64))
    got = found(problem_of(head, target, prior=Prior()), device)
    check(got, row_statistics(head.whole(), 1, target, prior=Prior(), requested=ALL, validate=False), 1e-6)


def test_a_prior_that_sums_to_nothing_in_a_share_is_scaled_as_any_other(device):
    head, y = head_of(4, 48, 9, torch.float64, bias=False), torch.tensor([20, 21, 40, 47])
    r = torch.zeros(48, dtype=torch.float64)
    r[3], r[9], r[35] = 1.0, -1.0, 0.5
    got = found(problem_of(head, Target(y), Transform(temperature=2.0), Prior(r)), device)
    truth = -(r * (head.whole() / 2).log_softmax(1)).sum(1)
    torch.testing.assert_close(got.prior_term.cpu(), truth)
