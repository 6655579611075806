"""Shapes, strides and dtypes that a linear head takes, and labels a few places ahead of their rows."""

import pytest

import crossentropy as ce

torch = pytest.importorskip("torch")

from linear_heads import (  # noqa: E402
    assert_close,
    assert_same_loss,
    blocks_of,
    each_strategy,
    head,
    labels,
    on_logits,
    random,
)

V = 41
ROWS = {"one row": (), "a line": (7,), "a batch": (2, 5), "a batch of batches": (2, 3, 4)}
each_rows = pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
each_reduction = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])


def sequences(B=3, T=7):
    """Hidden states of sequences, a weight, and labels some of which are 3."""
    hidden, weight = random(B, T, 5, seed=1).requires_grad_(), random(V, 5, seed=2).requires_grad_()
    y = labels(B, T, classes=V, seed=3)
    y[0, 2] = y[2, 5] = 3
    return hidden, weight, y


@each_strategy
@each_reduction
@each_rows
def test_rows_of_any_shape(rows, reduction, budget):
    hidden, weight = random(*rows, 5, seed=1).requires_grad_(), random(V, 5, seed=2).requires_grad_()
    y, w = labels(*rows, classes=V), random(*rows, seed=4).exp()
    options = {"sample_weight": w, "temperature": w + 0.5, "reduction": reduction}
    with blocks_of(4):
        found = ce.linear_cross_entropy(hidden, weight, y, memory_budget=budget, **options)
        assert found.shape == (rows if reduction == "none" else ())
        assert_same_loss(found, on_logits(hidden, weight, y, **options), [hidden, weight])


@pytest.mark.parametrize("target", ["Probabilities", "Sparse", "LabelSet"])
def test_soft_targets_of_rows_of_any_shape(target):
    hidden, weight, _ = sequences()
    given = {
        "Probabilities": lambda: random(3, 7, V).softmax(-1).requires_grad_(),
        "Sparse": lambda: ce.targets.Sparse(labels(3, 7, 2, classes=V), random(3, 7, 2).exp()),
        "LabelSet": lambda: ce.targets.LabelSet(random(3, 7, V) > 1),
    }[target]()
    more = [given] if target == "Probabilities" else []
    with blocks_of(4):
        found = ce.linear_cross_entropy(hidden, weight, given, reduction="none")
        assert_same_loss(found, on_logits(hidden, weight, given, reduction="none"), [hidden, weight, *more])


@each_strategy
@pytest.mark.parametrize("shape", [(0, 5), (2, 0, 5)])
def test_no_rows_at_all(shape, budget):
    hidden, weight = torch.zeros(shape, requires_grad=True), torch.zeros(V, 5, requires_grad=True)
    value = ce.linear_cross_entropy(
        hidden, weight, torch.zeros(shape[:-1], dtype=torch.long), memory_budget=budget
    )
    value.backward()
    assert value.item() == 0
    assert hidden.grad.shape == shape
    assert not weight.grad.any()


@each_strategy
@pytest.mark.parametrize(("N", "D", "classes"), [(1, 1, 1), (5, 1, 1), (1, 3, 2), (2, 3, 1)])
def test_the_smallest_heads(N, D, classes, budget):
    hidden, weight, _ = head(N, D, classes)
    y = labels(N, classes=classes)
    found = ce.linear_cross_entropy(hidden, weight, y, memory_budget=budget)
    assert_same_loss(found, on_logits(hidden, weight, y), [hidden, weight])


@each_strategy
@pytest.mark.parametrize("N", [1, 3, 4, 5, 8, 12, 13])
@pytest.mark.parametrize("classes", [15, 16, 17, 33])
def test_rows_and_classes_that_fill_their_blocks_or_do_not(N, classes, budget):
    hidden, weight, y = head(N, 3, classes)
    with blocks_of(4, tile=16, groups=2, forward_rows=4):
        found = ce.linear_cross_entropy(hidden, weight, y, memory_budget=budget, label_smoothing=0.1)
        assert_same_loss(found, on_logits(hidden, weight, y, label_smoothing=0.1), [hidden, weight])


STRIDES = {
    "columns first": lambda x: x.mT.contiguous().mT,
    "every other row": lambda x: x.repeat_interleave(2, 0)[::2],
    "every other column": lambda x: x.repeat_interleave(2, 1)[:, ::2],
    "part of a wider one": lambda x: torch.cat([x, x], 1)[:, : x.shape[1]],
    "one row for all": lambda x: x[:1].expand_as(x),
}


@each_strategy
@pytest.mark.parametrize("laid_out", STRIDES.values(), ids=STRIDES)
def test_any_strides(laid_out, budget):
    hidden, weight, y = head()
    factors = random(3, 5, seed=5).requires_grad_(), random(41, 3, seed=6).requires_grad_()
    views = [laid_out(x) for x in (hidden, weight, *factors)]
    with blocks_of(4):
        found = ce.linear_cross_entropy(*views[:2], y, low_rank=views[2:], memory_budget=budget)
        truth = on_logits(*views[:2], y, low_rank=views[2:])
        assert_same_loss(found, truth, [hidden, weight, *factors])


@each_strategy
@pytest.mark.parametrize(
    "dtype",
    [torch.int8, torch.int16, torch.int32, torch.uint8, torch.uint16, torch.uint32, torch.uint64],
    ids=str,
)
def test_labels_of_any_integer_dtype(dtype, budget):
    hidden, weight, y = head()
    with blocks_of(4):
        for shift in (0, 1):
            found = ce.linear_cross_entropy(hidden, weight, y.to(dtype), shift=shift, memory_budget=budget)
            truth = on_logits(hidden[: 11 - shift], weight, y[shift:])
            assert_same_loss(found, truth, [hidden, weight])


def test_labels_and_weights_may_be_lists():
    hidden, weight, y = sequences()
    w = random(3, 7).exp()
    found = ce.linear_cross_entropy(hidden, weight, y.tolist(), sample_weight=w.tolist(), shift=1)
    assert_close(found, ce.linear_cross_entropy(hidden, weight, y, sample_weight=w, shift=1))


def test_a_shift_of_true_is_one_place():
    hidden, weight, y = sequences()
    expected = ce.linear_cross_entropy(hidden, weight, y, shift=1)
    assert_close(ce.linear_cross_entropy(hidden, weight, y, shift=True), expected)
    parts = (x.detach().numpy() for x in (hidden, weight, y))
    assert float(ce.linear_cross_entropy(*parts, shift=True)) == pytest.approx(expected.item(), rel=1e-12)


@each_strategy
def test_an_update_of_low_rank_is_the_weight_with_it_added(budget):
    hidden, weight, y = head()
    down, up = random(2, 5, seed=5).requires_grad_(), random(41, 2, seed=6).requires_grad_()
    with blocks_of(4):
        found = ce.linear_cross_entropy(hidden, weight, y, low_rank=(down, up), memory_budget=budget)
        merged = ce.linear_cross_entropy(hidden, weight + up @ down, y, memory_budget=budget)
        assert_same_loss(found, merged, [hidden, weight, down, up])


# ------------------------------------------------------------------------------------------------- shift


@each_strategy
@each_reduction
@pytest.mark.parametrize("shift", [1, 2, 6])
@pytest.mark.parametrize("ignore_index", [None, 3])
def test_a_shift_is_a_slice(shift, ignore_index, reduction, budget):
    hidden, weight, y = sequences()
    w, T = random(3, 7, seed=4).exp(), random(3, 7, seed=5).exp()
    divisors = {"normalizer": random(3, 7, seed=6).exp()} if reduction == "mean" else {}
    options = {"ignore_index": ignore_index, "reduction": reduction, "label_smoothing": 0.1}
    moved = {"sample_weight": w, "temperature": T, **divisors}
    cut = {name: x[:, shift:] for name, x in moved.items()}
    with blocks_of(4):
        found = ce.linear_cross_entropy(
            hidden, weight, y, shift=shift, memory_budget=budget, **options, **moved
        )
        truth = on_logits(hidden[:, :-shift], weight, y[:, shift:], **options, **cut)
        assert_same_loss(found, truth, [hidden, weight])


@pytest.mark.parametrize("normalizer", ["weight", "count", 3.5])
def test_a_shift_leaves_its_rows_out_of_the_mean(normalizer):
    hidden, weight, y = sequences()
    found = ce.linear_cross_entropy(hidden, weight, y, shift=2, normalizer=normalizer)
    assert_same_loss(
        found, on_logits(hidden[:, :-2], weight, y[:, 2:], normalizer=normalizer), [hidden, weight]
    )


@each_reduction
def test_a_shift_of_several_labels_for_each_row(reduction):
    hidden, weight, _ = sequences()
    y, t = labels(3, 7, 2, classes=V, seed=7), random(3, 7, 2, seed=8).exp().requires_grad_()
    found = ce.linear_cross_entropy(hidden, weight, ce.targets.Sparse(y, t), shift=1, reduction=reduction)
    truth = on_logits(hidden[:, :-1], weight, ce.targets.Sparse(y[:, 1:], t[:, 1:]), reduction=reduction)
    assert_same_loss(found, truth, [hidden, weight, t])


def test_rows_that_a_shift_leaves_over_may_be_anything():
    hidden, weight, y = sequences()
    spoilt = hidden.detach().clone()
    spoilt[:, -1] = torch.nan
    spoilt.requires_grad_()
    value = ce.linear_cross_entropy(spoilt, weight, y, shift=1)
    by_hidden, by_weight = torch.autograd.grad(value, (spoilt, weight))
    truth = torch.autograd.grad(on_logits(hidden[:, :-1], weight, y[:, 1:]), (hidden, weight))
    assert_close(by_hidden, truth[0])
    assert_close(by_weight, truth[1])


def test_a_shift_of_every_row_leaves_nothing():
    hidden, weight, y = sequences()
    assert ce.linear_cross_entropy(hidden, weight, y, shift=7).item() == 0
    assert ce.linear_cross_entropy(hidden, weight, y, shift=7, reduction="none").shape == (3, 0)


def test_the_first_labels_of_a_shift_are_nobodys():
    hidden, weight, y = sequences()
    y[:, 0] = -5
    assert ce.linear_cross_entropy(hidden, weight, y, shift=1).isfinite()


# ---------------------------------------------------------------------------------------------- autocast


@each_strategy
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_autocast_takes_the_product_in_its_dtype(dtype, budget):
    hidden, weight, y = head(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        found = ce.linear_cross_entropy(hidden.to(dtype), weight, y, memory_budget=budget)
    truth = ce.linear_cross_entropy(hidden.bfloat16(), weight.bfloat16(), y, memory_budget=budget)
    assert found.dtype == torch.float32
    assert_same_loss(found, truth, [hidden, weight], 0.0)


def test_autocast_leaves_float64_alone():
    hidden, weight, y = head()
    with torch.autocast("cpu", torch.bfloat16):
        found = ce.linear_cross_entropy(hidden, weight, y)
    assert found.dtype == torch.float64
    assert_same_loss(found, on_logits(hidden, weight, y), [hidden, weight])


# -------------------------------------------------------------------------------------------- statistics


@pytest.mark.parametrize("options", [{}, {"temperature": 2.0, "softcap": 3.0}, {"margin": 0.4}], ids=str)
def test_the_statistics_of_targets_are_those_of_the_logits(options):
    hidden, weight, y = sequences()
    asked = {"ignore_index": 3, "entropy": True, "rank": True} | options
    with blocks_of(4):
        found = ce.linear_target_statistics(hidden, weight, y, **asked)
        truth = ce.target_statistics(hidden @ weight.mT, y, **asked)
        for name in ("log_prob", "prob", "log_odds", "logsumexp", "entropy"):
            assert_same_loss(getattr(found, name), getattr(truth, name), [hidden, weight])
    assert found.rank.equal(truth.rank)
    assert found.argmax.equal(truth.argmax)


@pytest.mark.parametrize("target", ["Probabilities", "Sparse", "LabelSet"])
def test_the_statistics_of_several_labels(target):
    hidden, weight, _ = sequences()
    given = {
        "Probabilities": lambda: random(3, 7, V).softmax(-1),
        "Sparse": lambda: ce.targets.Sparse(labels(3, 7, 2, classes=V), random(3, 7, 2).exp()),
        "LabelSet": lambda: ce.targets.LabelSet(random(3, 7, V) > 1),
    }[target]()
    with blocks_of(4):
        found = ce.linear_target_statistics(hidden, weight, given)
        truth = ce.target_statistics(hidden @ weight.mT, given)
        for name in ("log_prob", "logsumexp"):
            assert_same_loss(getattr(found, name), getattr(truth, name), [hidden, weight])


def test_the_statistics_of_shifted_labels():
    hidden, weight, y = sequences()
    bias, factors = random(V, seed=5), (random(2, 5, seed=6), random(V, 2, seed=7))
    found = ce.linear_target_statistics(hidden, weight, y, bias=bias, low_rank=factors, shift=2, rank=True)
    merged = weight + factors[1] @ factors[0]
    truth = ce.target_statistics((hidden @ merged.mT + bias)[:, :-2], y[:, 2:], rank=True)
    assert_same_loss(found.log_prob, truth.log_prob, [hidden, weight])
    assert found.rank.equal(truth.rank)
