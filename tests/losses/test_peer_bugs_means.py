"""What other libraries divide by, weigh and smooth, with their numbers; see `test_peer_bugs`."""

import math

import numpy as np
import pytest

import crossentropy as ce

torch = pytest.importorskip("torch")
ct = pytest.importorskip("crossentropy.torch")

INF = math.inf


def rows(n, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, classes)), rng.integers(0, classes, size=n)


# ------------------------------------------------------------------------- means in half and single precision


@pytest.mark.parametrize("count", [40_000, 65_520, 70_000])
def test_a_float16_mean_does_not_overflow_with_its_sum_or_its_count(count):
    """pytorch#29429, #61523, #85791: inf once the sum passes 65 504, NaN once the count does; ours is the mean."""
    z = torch.tensor([[0.0, 1.25, 1.0]], dtype=torch.float16).expand(count, 3)
    y = torch.zeros(count, dtype=torch.long)
    one = ce.softmax_cross_entropy(z[:1].double(), y[:1]).item()
    value = ce.softmax_cross_entropy(z, y)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(one, rel=1e-6)
    bce = ce.sigmoid_cross_entropy(z[:, 1], torch.zeros(count, dtype=torch.long))
    assert bce.item() == pytest.approx(math.log1p(math.exp(1.25)), rel=1e-6)


def test_a_bfloat16_mean_of_a_million_rows_is_not_one_percent_off():
    """torch: 1.7422 for a mean of 1.7229; ours keeps the digits of float32."""
    z, y = rows(1_000_000)
    logits = torch.from_numpy(z).to(torch.bfloat16)
    exact = ce.softmax_cross_entropy(logits.double(), torch.from_numpy(y)).item()
    assert ce.softmax_cross_entropy(logits, torch.from_numpy(y)).item() == pytest.approx(exact, rel=3e-7)


def test_a_bfloat16_loss_is_not_rounded_to_a_grid_of_a_quarter():
    """Modalities#464: near 36 the loss moves in steps of 0.25; ours is given in float32."""
    z = torch.tensor([[0.0, 36.0], [0.0, 36.25]], dtype=torch.bfloat16)
    losses = ce.softmax_cross_entropy(z, torch.tensor([0, 0]))
    assert losses.dtype == torch.float32
    assert losses.item() == pytest.approx(36.125, abs=1e-5)


def test_the_mean_of_float32_rows_is_exact_however_many_they_are():
    """pytorch#55657: long float32 sums on the CPU lose digits; #61523: the mean is not that of the rows."""
    z = torch.tensor([[0.0, 1.25, 1.0]]).expand(5_000_000, 3)
    y = torch.zeros(5_000_000, dtype=torch.long)
    one = ce.softmax_cross_entropy(z[:1].double(), y[:1]).item()
    assert ce.softmax_cross_entropy(z, y).item() == pytest.approx(one, rel=1.2e-7)


# ----------------------------------------------------------------------------------------- nothing to average


def test_everything_ignored_is_zero_with_gradients_of_zero():
    """pytorch#70348, #116349, #75181: NaN, which poisons the optimizer; ours is 0, NaN only where it is asked for."""
    z = torch.randn(3, 4, requires_grad=True)
    value = ce.softmax_cross_entropy(z, torch.full((3,), -100), ignore_index=-100)
    (gradient,) = torch.autograd.grad(value, z)
    assert value.item() == 0
    assert (gradient == 0).all()


def test_a_shard_without_tokens_adds_nothing_to_the_mean_of_the_others():
    """OpenRLHF#583, cosmos-rl#155: a ring-attention shard of ignored tokens alone makes the whole loss NaN."""
    z, y = rows(6)
    y[3:] = -100
    shards = [(z[:3], y[:3]), (z[3:], y[3:])]
    found = [ce.softmax_cross_entropy(*shard, ignore_index=-100, normalizer=3) for shard in shards]
    assert found[1] == 0
    assert sum(found) == pytest.approx(ce.softmax_cross_entropy(z[:3], y[:3]), rel=1e-14)


# ---------------------------------------------------------------------------------------------------- weights


def test_a_weighted_mean_is_the_sum_of_the_rows_over_their_weights_and_another_divisor_is_asked_for():
    """pytorch#8062, #15259, #25571, #65329: a weighted mean is not the mean of `reduction="none"`."""
    z, y = rows(7)
    weight = np.array([0.5, 1.0, 4.0])
    losses = ce.softmax_cross_entropy(z, y, class_weight=weight, reduction="none")
    for normalizer, N in (("weight", weight[y].sum()), ("count", 7), (10.0, 10)):
        found = ce.softmax_cross_entropy(z, y, class_weight=weight, normalizer=normalizer)
        assert found == pytest.approx(losses.sum() / N, rel=1e-14)


def test_indices_and_their_one_hot_have_one_weighted_mean():
    """torch: weight=[1, 10, 1] gives 1.2176 for indices and 6.6969 for the same labels as probabilities."""
    z, y = torch.tensor([[1.0, 2.0, 0.5], [0.1, 0.2, 0.3]]), torch.tensor([0, 1])
    weight = torch.tensor([1.0, 10.0, 1.0])
    by_index = ce.softmax_cross_entropy(z, y, class_weight=weight)
    by_mass = ce.softmax_cross_entropy(z, torch.eye(3)[y], class_weight=weight)
    assert by_mass.item() == pytest.approx(by_index.item(), rel=1e-6)
    assert by_index.item() == pytest.approx(torch.nn.functional.cross_entropy(z, y, weight).item(), rel=1e-6)


def test_class_and_sample_weights_have_names_of_their_own_and_multiply():
    """Liger-Kernel#420 asks for both; `weight` of torch is by class, `weights` of MLX by row."""
    z, y = rows(5)
    c, s = np.array([0.5, 1.0, 4.0]), np.array([1.0, 2.0, 0.0, 3.0, 0.25])
    losses = ce.softmax_cross_entropy(z, y, reduction="none")
    found = ce.softmax_cross_entropy(z, y, class_weight=c, sample_weight=s)
    assert found == pytest.approx((s * c[y] * losses).sum() / (s * c[y]).sum(), rel=1e-14)
    for name in ("weight", "weights"):
        with pytest.raises(TypeError, match=name):
            ce.softmax_cross_entropy(z, y, **{name: c})


def test_mixed_labels_of_k_entries_are_the_mix_of_k_losses():
    """pytorch#141177: MixUp's soft targets cost 0.198 s a step, two losses of indices 0.120; keras#22169: one-hot."""
    z, y = rows(6)
    other, share = np.roll(y, 1), np.random.default_rng(1).random(6)
    mixed = ce.targets.Sparse(np.stack([y, other], -1), np.stack([share, 1 - share], -1))
    one, two = (ce.softmax_cross_entropy(z, labels, reduction="none") for labels in (y, other))
    found = ce.softmax_cross_entropy(z, mixed, reduction="none")
    np.testing.assert_allclose(found, share * one + (1 - share) * two, rtol=1e-14)


@pytest.mark.parametrize(("label", "share"), [(1, 0.25), (0, 0.75)])
def test_alpha_weighs_a_yes_against_a_no_and_has_no_meaning_for_classes(label, share):
    """MONAI#8601, smp#808, kornia#551 and #493: "alpha has no effect", weighs the background, or every class."""
    z = np.array([[0.0]])
    found = ce.losses.sigmoid_focal_loss(z, np.array([[label]]), alpha=0.25, gamma=2.0)
    assert found == pytest.approx(share * 0.25 * math.log(2), rel=1e-14)
    with pytest.raises(TypeError, match="alpha"):
        ce.losses.focal_loss(np.zeros((1, 3)), np.array([0]), alpha=0.25)


def test_the_default_focal_loss_is_not_four_times_too_small():
    """Keras: a scalar alpha of 0.25 multiplies every class, 0.1733 at γ = 0 for ln 2; ours is ln 2."""
    z, y = np.zeros((1, 2)), np.array([0])
    assert ce.softmax_cross_entropy(z, y, link=ce.links.Focal(0.0)) == math.log(2)


# --------------------------------------------------------------------------------------------- means of parts


def test_accumulated_micro_batches_are_not_the_mean_of_their_means():
    """transformers#34191, trl#2175, axolotl#1100, OpenNMT-py#2209: a token mean of 3.0 becomes 5.0."""
    losses = np.array([9.0, 1.0, 1.0, 1.0])
    z = np.stack([np.zeros(4), np.log(np.expm1(losses))], axis=1)
    y, parts = np.zeros(4, dtype=int), [slice(0, 1), slice(1, 4)]
    assert ce.softmax_cross_entropy(z, y) == pytest.approx(3.0, rel=1e-14)
    means = [ce.softmax_cross_entropy(z[part], y[part]) for part in parts]
    assert np.mean(means) == pytest.approx(5.0, rel=1e-14)
    assert sum(ce.softmax_cross_entropy(z[part], y[part], normalizer=4) for part in parts) == pytest.approx(
        3.0
    )


def test_a_mean_over_sequences_is_told_from_one_over_tokens():
    """transformers#34510, prime-rl#102, direct-preference-optimization#67: which of the two a mean is, is unsaid."""
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(2, 4, 3)), rng.integers(0, 3, size=(2, 4))
    y[0, 1:] = -100
    losses = ce.softmax_cross_entropy(z, y, ignore_index=-100, reduction="none")
    lengths = np.array([[1.0], [4.0]])
    by_sequence = ce.softmax_cross_entropy(
        z, y, ignore_index=-100, normalizer=np.broadcast_to(2 * lengths, (2, 4))
    )
    assert by_sequence == pytest.approx((losses[0, 0] + losses[1].mean()) / 2, rel=1e-14)
    assert ce.softmax_cross_entropy(z, y, ignore_index=-100) == pytest.approx(losses.sum() / 5, rel=1e-14)


def test_a_smoothed_loss_of_the_trainer_divides_by_the_tokens_it_is_told():
    """transformers' LabelSmoother divides by the tokens of its own micro-batch, whatever num_items_in_batch says."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(3, 6, 7, generator=generator, dtype=torch.float64)
    y = torch.randint(0, 7, (3, 6), generator=generator)
    y[0, 2:] = -100  # 2, 6 and 6 tokens are left
    options = {"num_items_in_batch": 14, "label_smoothing": 0.1, "shift": 0}
    parts = [ct.causal_lm_loss((z[i : i + 1],), y[i : i + 1], **options) for i in range(3)]
    expected = torch.nn.functional.cross_entropy(z.reshape(-1, 7), y.reshape(-1), label_smoothing=0.1)
    assert sum(parts).item() == pytest.approx(expected.item(), rel=1e-13)


# -------------------------------------------------------------------------------------------------- smoothing


def test_label_smoothing_does_not_count_ignored_rows():
    """pytorch#73205: the smoothing term summed over ignored rows; ours leaves them out of everything."""
    z, y = rows(6)
    y[[1, 4]] = -100
    options = {"label_smoothing": 0.2, "class_weight": np.array([0.5, 1.0, 2.0])}
    value = ce.softmax_cross_entropy(z, y, ignore_index=-100, **options)
    assert value == pytest.approx(ce.softmax_cross_entropy(z[y >= 0], y[y >= 0], **options), rel=1e-14)
    spoilt = z.copy()
    spoilt[y < 0] = np.nan
    assert ce.softmax_cross_entropy(spoilt, y, ignore_index=-100, **options) == value


def test_weights_smoothing_and_ignored_rows_together_are_those_of_the_kept_rows():
    """pytorch#69339, #72056, #91383: `weight` with smoothing looked −100 up, "index −100 is out of bounds"."""
    z, y = rows(6)
    y[[0, 3]] = -100
    z, y, weight = torch.tensor(z), torch.tensor(y), torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    found = ct.cross_entropy(z, y, weight, label_smoothing=0.2)
    expected = torch.nn.functional.cross_entropy(z[y >= 0], y[y >= 0], weight, label_smoothing=0.2)
    assert found.item() == pytest.approx(expected.item(), rel=1e-14)


def test_a_weight_of_a_whole_row_leaves_the_smoothed_label_where_it_is():
    """pytorch#104776: class weights enter the smoothing mass, "training accuracy drops to 0.0008".

    Here as there a class weight is that of a class with mass; a weight by label of the whole row is a sample weight,
    and then the smoothed label itself has no gradient.
    """
    y, weight = np.array([0, 1]), np.array([1.0, 1000.0, 1.0])
    z = np.log(0.9 * np.eye(3)[y] + 0.1 / 3)
    gradients = [
        ce.loss_and_gradient(ce.softmax_cross_entropy, z, y, label_smoothing=0.1, **options)[1]
        for options in ({"sample_weight": weight[y]}, {"class_weight": weight})
    ]
    np.testing.assert_allclose(gradients[0], 0.0, atol=1e-15)
    assert gradients[1][0, 1] < -0.01  # towards the heavy class, though the label is another


@pytest.mark.parametrize("classes", [2, 5])
def test_smoothing_has_one_convention_and_the_other_is_a_prior_away(classes):
    """pytorch#148884, ConvE#55, mlx#166, mmpretrain#285: ε/C on every class, ε/(C−1) on the others, or half of it."""
    epsilon, z = 0.1, np.random.default_rng(0).normal(size=(1, classes))
    log_p, label = z[0] - np.log(np.exp(z).sum()), np.array([1])
    expected = -(1 - epsilon) * log_p[1] - epsilon * log_p.mean()
    assert ce.softmax_cross_entropy(z, label, label_smoothing=epsilon) == pytest.approx(expected, rel=1e-14)
    others = np.full(classes, epsilon / (classes - 1))
    others[1] = 1 - epsilon
    wider = epsilon * classes / (classes - 1)
    found = ce.softmax_cross_entropy(z, label, label_smoothing=wider)
    assert found == pytest.approx(-(others * log_p).sum(), rel=1e-14)


def test_smoothing_of_indices_has_an_axis_and_a_mask():
    """optax#1486, #902, #1164: smoothing of one-hot labels alone, on the last axis, of masked classes too."""
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(2, 3, 5)), rng.integers(0, 2, size=(2, 5))
    masked, allowed = np.array([0.0, 0.0, -INF]), np.array([0.5, 0.5, 0.0])
    found = ce.softmax_cross_entropy(
        z, y, axis=1, label_smoothing=0.1, smoothing_prior=allowed, logit_bias=masked
    )
    two = np.moveaxis(z, 1, -1)[..., :2]
    log_p = two - np.log(np.exp(two).sum(-1, keepdims=True))
    assert found == pytest.approx(-((0.9 * np.eye(2)[y] + 0.05) * log_p).sum(-1).mean(), rel=1e-13)


@pytest.mark.parametrize("smoothing", [-0.1, 1.5])
def test_a_share_that_is_none_is_refused(smoothing):
    """torch: a negative label_smoothing is taken as 0; ours says what a share is."""
    with pytest.raises(ValueError, match="label_smoothing"):
        ce.softmax_cross_entropy(*rows(3), label_smoothing=smoothing)
