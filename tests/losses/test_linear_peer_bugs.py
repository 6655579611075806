"""What other fused linear heads get wrong, with their numbers; each test says who, where, and what is right."""

import math

import pytest

import crossentropy as ce

torch = pytest.importorskip("torch")
from torch.nn import functional as F  # noqa: E402

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

INF = math.inf


# --------------------------------------------------------------------------------------------- gradients


@each_strategy
def test_everything_ignored_has_gradients_of_zero(budget):
    """torch's chunked head, quack: NaN gradients, 0/0 in the denominator; CCE: ZeroDivisionError; ours are 0."""
    hidden, weight, y = head()
    bias = random(41).requires_grad_()
    for empty in ("zero", "nan"):
        value = ce.linear_cross_entropy(
            hidden,
            weight,
            torch.full_like(y, -100),
            bias=bias,
            ignore_index=-100,
            empty=empty,
            memory_budget=budget,
        )
        assert value.isnan() if empty == "nan" else value == 0
        for g in torch.autograd.grad(value, (hidden, weight, bias)):
            assert (g == 0).all()


@each_strategy
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("left_out", ["label", "weight"])
def test_a_row_that_counts_nothing_may_hold_anything(left_out, reduction, budget):
    """Padding rows with NaN in them: 0 · NaN in the products of the gradients; ours leaves no trace of the row."""
    hidden, weight, y = head()
    spoilt = hidden.detach().clone()
    spoilt[3], spoilt[7] = torch.nan, INF
    spoilt.requires_grad_()
    keep = torch.ones(11, dtype=torch.bool)
    keep[[3, 7]] = False
    plain = {"label_smoothing": 0.1, "reduction": reduction}
    if left_out == "label":
        options, y = plain | {"ignore_index": -100}, torch.where(keep, y, -100)
    else:
        options = plain | {"sample_weight": keep.double()}
    with blocks_of(4):
        found = ce.linear_cross_entropy(spoilt, weight, y, memory_budget=budget, **options)
        by_hidden, by_weight = torch.autograd.grad(found.sum(), (spoilt, weight))
    truth = on_logits(hidden[keep], weight, y[keep], **plain)
    expected = torch.autograd.grad(truth.sum(), (hidden, weight))
    assert_close(found[keep] if reduction == "none" else found, truth)
    assert_close(by_hidden, expected[0])
    assert_close(by_weight, expected[1])


@each_strategy
def test_a_head_learns_on_frozen_features(budget):
    """Liger: no weight gradient unless the input has one, so a probe on frozen features never moves; ours does."""
    hidden, weight, y = head()
    found = ce.linear_cross_entropy(hidden.detach(), weight, y, memory_budget=budget)
    assert_same_loss(found, on_logits(hidden.detach(), weight, y), [weight])


@each_strategy
def test_features_learn_below_a_frozen_head(budget):
    """fla: all gradients are worked out even for a frozen head; ours has the one of the features alone."""
    hidden, weight, y = head()
    found = ce.linear_cross_entropy(hidden, weight.detach(), y, memory_budget=budget)
    assert_same_loss(found, on_logits(hidden, weight.detach(), y), [hidden])


@each_strategy
def test_a_second_backward_pass_is_not_multiplied_again(budget):
    """Liger, quack: the saved gradient is scaled in place, so a second pass scales it twice; torch's raises."""
    hidden, weight, y = head()
    value = ce.linear_cross_entropy(hidden, weight, y, memory_budget=budget)
    passes = [torch.autograd.grad(3 * value, (hidden, weight), retain_graph=True) for _ in range(2)]
    for a, b in zip(*passes, strict=True):
        assert_close(a, b)


@each_strategy
def test_the_upstream_gradient_of_a_mean_is_not_taken_for_one(budget):
    """torchtitan: the chunked loss ignores what is made of it, so that loss · k trains as the loss; ours scales."""
    hidden, weight, y = head()
    plain = torch.autograd.grad(ce.linear_cross_entropy(hidden, weight, y), weight)[0]
    value = ce.linear_cross_entropy(hidden, weight, y, memory_budget=budget)
    assert_close(torch.autograd.grad(value / 8, weight)[0], plain / 8)


def test_every_row_has_an_upstream_gradient_of_its_own():
    """Liger #968, #488, TransformerEngine #2476: grad_output[0] for all rows, or 0; ours has one for each."""
    hidden, weight, y = head()
    upstream = random(11, seed=9)
    upstream[0] = 0.0
    with blocks_of(4):
        losses = ce.linear_cross_entropy(hidden, weight, y, reduction="none")
        found = torch.autograd.grad(losses, (hidden, weight), upstream)
    truth = torch.autograd.grad(on_logits(hidden, weight, y, reduction="none"), (hidden, weight), upstream)
    for a, b in zip(found, truth, strict=True):
        assert_close(a, b)


def test_an_upstream_gradient_may_be_one_number_expanded():
    """quack tests it, others read a stride of 0 as a row: a sum of losses has such a gradient."""
    hidden, weight, y = head()
    losses = ce.linear_cross_entropy(hidden, weight, y, reduction="none")
    upstream = torch.ones((), dtype=torch.float64).expand(11)
    found = torch.autograd.grad(losses, weight, upstream)[0]
    assert_close(found, torch.autograd.grad(on_logits(hidden, weight, y, reduction="sum"), weight)[0])


@each_strategy
def test_inputs_keep_their_values(budget):
    """Liger #272, #1251: the gradient is written where others still read; ours writes on memory of its own."""
    hidden, weight, y = head(dtype=torch.float32)
    x = hidden * 1.0
    value = ce.linear_cross_entropy(x, weight, y, memory_budget=budget) + (x**2).sum()
    (found,) = torch.autograd.grad(value, hidden)
    (truth,) = torch.autograd.grad(on_logits(hidden, weight, y) + (hidden**2).sum(), hidden)
    assert_close(found, truth, 1e-6)


# ---------------------------------------------------------------------------------------- the product


@each_strategy
@pytest.mark.parametrize("D", [256, 257, 600])
def test_a_bias_is_added_once_whatever_the_size(D, budget):
    """CCE #52: subtracted once for every 256 columns of the hidden states; losses go negative."""
    hidden, weight, y = head(7, D, 41)
    bias = random(41, seed=4).requires_grad_()
    found = ce.linear_cross_entropy(hidden, weight, y, bias=bias, memory_budget=budget)
    assert_same_loss(found, on_logits(hidden, weight, y, bias=bias), [hidden, weight, bias])


@each_strategy
@pytest.mark.parametrize("V", [17, 31, 33, 47])
def test_a_small_softcap_has_no_padded_classes(V, budget):
    """CCE: −∞ is put in for classes that pad a tile before tanh makes −softcap of it: they leak into the sum."""
    hidden, weight, y = head(9, 5, V)
    with blocks_of(4, tile=16):
        found = ce.linear_cross_entropy(hidden, weight, y, softcap=0.5, memory_budget=budget)
        assert_same_loss(found, on_logits(hidden, weight, y, softcap=0.5), [hidden, weight])


@each_strategy
@pytest.mark.parametrize("name", ["bias", "logit_bias"])
@pytest.mark.parametrize("masked", [slice(0, 16), slice(16, 32), slice(32, 41), slice(0, 40)], ids=str)
def test_a_tile_of_impossible_classes_is_no_nan(masked, name, budget):
    """flash-attention #1930, and the same code in Liger, fla, Unsloth: (−∞) − (−∞) in a block of masked classes."""
    hidden, weight, _ = head()
    bias = random(41, seed=4)
    bias[masked] = -INF
    y = bias.argmax().expand(11)
    with blocks_of(4, tile=16):
        found = ce.linear_cross_entropy(hidden, weight, y, memory_budget=budget, **{name: bias})
        truth = on_logits(hidden, weight, y, **{name: bias})
        assert found.isfinite()
        assert_same_loss(found, truth, [hidden, weight])


@each_strategy
def test_a_label_on_an_impossible_class_has_an_infinite_loss_and_finite_gradients(budget):
    """Peers have NaN where a label is masked; a loss of ∞ has the gradient (p, −1)."""
    hidden, weight, y = head()
    bias = torch.zeros(41, dtype=torch.float64)
    bias[y[0]] = -INF
    losses = ce.linear_cross_entropy(hidden, weight, y, bias=bias, reduction="none")
    assert losses[0] == INF
    value = ce.linear_cross_entropy(hidden, weight, y, bias=bias, memory_budget=budget)
    for g in torch.autograd.grad(value, (hidden, weight)):
        assert g.isfinite().all()


def test_an_update_of_low_rank_is_not_left_out():
    """TRL #4612, Unsloth #9331: fused heads read .weight alone, and the adapter on the head never trains."""
    hidden, weight, y = head()
    down, up = random(2, 5, seed=5).requires_grad_(), random(41, 2, seed=6).requires_grad_()
    found = ce.linear_cross_entropy(hidden, weight.detach(), y, low_rank=(down, up))
    assert_same_loss(found, on_logits(hidden, weight.detach() + up @ down, y), [hidden, down, up])


# ----------------------------------------------------------------------------------------- low precision


def bfloat16_problem(N=1024, D=32, V=512):
    hidden, weight = random(N, D, seed=1).bfloat16(), random(V, D, seed=2).bfloat16()
    return hidden.requires_grad_(), weight.requires_grad_(), labels(N, classes=V, seed=3)


@each_strategy
def test_a_bfloat16_loss_is_not_summed_in_bfloat16(budget):
    """torch's chunked head: 8.0 for 8.825 after 256 chunks, as the sum of chunks no longer moves; ours is exact."""
    hidden, weight, y = bfloat16_problem()
    with blocks_of(16, tile=128, groups=1, forward_rows=4):
        value = ce.linear_cross_entropy(hidden, weight, y, memory_budget=budget)
    logits = F.linear(hidden, weight).double()
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(F.cross_entropy(logits, y).item(), rel=1e-6)


@each_strategy
def test_a_bfloat16_weight_gradient_is_not_summed_in_bfloat16(budget):
    """Liger #512 and four more, torch's chunked head: 3.6 % after 256 chunks for 0.17 %; training diverges."""
    hidden, weight, y = bfloat16_problem()
    with blocks_of(16, tile=128, groups=1, forward_rows=4):
        value = ce.linear_cross_entropy(hidden, weight, y, memory_budget=budget)
        (found,) = torch.autograd.grad(value, weight)
    exact = weight.detach().double().requires_grad_()
    (truth,) = torch.autograd.grad(on_logits(hidden.detach().double(), exact, y), exact)
    (whole,) = torch.autograd.grad(F.cross_entropy(F.linear(hidden, weight), y), weight)
    error, theirs = ((g.double() - truth).norm() / truth.norm() for g in (found, whole))
    assert error <= 1.05 * theirs


# ---------------------------------------------------------------------------------------------- sizes


@pytest.mark.full
def test_places_beyond_two_to_the_thirtyone_are_counted_in_64_bits():
    """torch #111484, #108345, CCE #39: wrong or failing from 2³¹ logits on; here a label's place is 2³¹ and more."""
    V, N = 1 << 20, 2050
    hidden = torch.ones(N, 1)
    weight = torch.zeros(V, 1)
    weight[-1] = 20.0
    y = torch.full((N,), V - 1)
    y[0] = 0
    with torch.no_grad():
        losses = ce.linear_cross_entropy(hidden, weight, y, reduction="none")
    right = math.log1p((V - 1) * math.exp(-20.0))
    assert losses[0].item() == pytest.approx(20.0 + right, rel=1e-6)
    assert losses[1:].equal(losses[-1].expand(N - 1))
    assert losses[-1].item() == pytest.approx(right, rel=1e-5)


@each_strategy
def test_a_vocabulary_of_a_million_has_its_gradient_where_it_belongs(budget):
    """The last class and the first, the last tile and the first: places are offsets from the start of the weight."""
    V, N = (1 << 20) + 3, 20
    hidden, weight = torch.ones(N, 1), torch.zeros(V, 1, requires_grad=True)
    y = torch.arange(N) * 7 + V - 140
    y[0] = 0
    value = ce.linear_cross_entropy(hidden, weight, y, memory_budget=budget)
    (g,) = torch.autograd.grad(value, weight)
    truth = torch.full((V,), 1 / V, dtype=torch.float64)
    truth[y] -= 1 / N
    assert value.item() == pytest.approx(math.log(V), rel=1e-6)
    torch.testing.assert_close(g[:, 0].double(), truth, rtol=1e-5, atol=0)


# ----------------------------------------------------------------------------------------- denominators


@each_strategy
def test_micro_batches_with_one_count_of_tokens_add_up(budget):
    """Liger #802, fla #539: the mean of means of micro-batches is not their mean; a number divides alike."""
    hidden, weight, y = head()
    y[:4] = -100
    options = {"ignore_index": -100, "normalizer": 7.0, "memory_budget": budget}
    parts = [slice(0, 5), slice(5, 11)]
    found = sum(ce.linear_cross_entropy(hidden[part], weight, y[part], **options) for part in parts)
    truth = on_logits(hidden, weight, y, ignore_index=-100)
    assert_same_loss(found, truth, [hidden, weight])


@each_strategy
def test_tokens_have_weights(budget):
    """Liger #338: no weight for each token; its token scaling makes the softmax of a chunk once more."""
    hidden, weight, y = head()
    with torch.no_grad():
        p = ce.linear_target_statistics(hidden, weight, y).prob
    found = ce.linear_cross_entropy(
        hidden, weight, y, sample_weight=p, normalizer="count", memory_budget=budget
    )
    losses = F.cross_entropy(hidden @ weight.mT, y, reduction="none")
    assert_same_loss(found, (p * losses).mean(), [hidden, weight])


@each_strategy
@pytest.mark.parametrize("N", [1, 2, 13, 127])
def test_any_number_of_rows(N, budget):
    """torchtitan: the length must be a multiple of the number of chunks; quack: of 8; ours is any."""
    hidden, weight, y = head(N, 3, 19)
    with blocks_of(8, tile=8):
        found = ce.linear_cross_entropy(hidden, weight, y, memory_budget=budget)
        assert_same_loss(found, on_logits(hidden, weight, y), [hidden, weight])


@each_strategy
def test_smoothing_and_class_weights_have_torchs_denominator(budget):
    """torch's chunked head falls back to whole logits for smoothing; others refuse class weights beside it."""
    hidden, weight, y = head()
    w = random(41, seed=4).exp()
    found = ce.linear_cross_entropy(
        hidden, weight, y, class_weight=w, label_smoothing=0.1, memory_budget=budget
    )
    assert_same_loss(found, F.cross_entropy(hidden @ weight.mT, y, w, label_smoothing=0.1), [hidden, weight])


@each_strategy
def test_a_row_with_a_label_outside_the_classes_does_not_pass_for_another(budget):
    """CCE #59, torch #135546: such a label matches a padded class, or none; unchecked, ours makes the row NaN."""
    hidden, weight, y = head()
    y[5] = 41
    value = ce.linear_cross_entropy(hidden, weight, y, validate="none", memory_budget=budget)
    assert value.isnan()
    (g,) = torch.autograd.grad(value, hidden)
    assert g[5].isnan().all()
    with pytest.raises(ValueError, match="label 41 at row 5"):
        ce.linear_cross_entropy(hidden, weight, y, memory_budget=budget)
