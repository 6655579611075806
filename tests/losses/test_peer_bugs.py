"""What other libraries get wrong, with their numbers; each test says who, what, and what is right."""

import math

import numpy as np
import pytest

import crossentropy as ce
import oracle

torch = pytest.importorskip("torch")

INF = math.inf


def rows(n, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, classes)), rng.integers(0, classes, size=n)


# ------------------------------------------------------------------------------- means in half precision


@pytest.mark.parametrize("count", [40_000, 65_520, 70_000])
def test_a_float16_mean_does_not_overflow_with_its_sum_or_its_count(count):
    """torch: inf once the float16 sum of losses passes 65 504, NaN once the count does; ours is the mean."""
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
    """bfloat16 training loops: near 36 the loss moves in steps of 0.25; ours is given in float32."""
    z = torch.tensor([[0.0, 36.0], [0.0, 36.25]], dtype=torch.bfloat16)
    losses = ce.softmax_cross_entropy(z, torch.tensor([0, 0]))
    assert losses.dtype == torch.float32
    assert losses.item() == pytest.approx(36.125, abs=1e-5)


# ------------------------------------------------------------------------------------- digits of rows


@pytest.mark.parametrize(("margin", "loss"), [(16, 1.1253516e-7), (17, 4.1399377e-8), (25, 1.3887944e-11)])
def test_confident_float32_rows_have_a_loss_and_a_target_gradient(margin, loss):
    """torch: at a margin of 17 both are exactly 0 (at 16 6 % off) while the other class still has a gradient."""
    z = torch.tensor([[float(margin), 0.0]], requires_grad=True)
    value = ce.softmax_cross_entropy(z, torch.tensor([0]))
    (gradient,) = torch.autograd.grad(value, z)
    assert value.item() == pytest.approx(loss, rel=1e-6)
    assert gradient[0, 1].item() == pytest.approx(loss, rel=1e-6)
    assert gradient.sum().item() == 0.0


@pytest.mark.parametrize("offset", [1e6, 1e8, -1e6])
def test_a_large_offset_costs_no_digits(offset):
    """optax (integer labels): 1.3125 for 1.31326 at 1e6; MLX: 0 at 1e8; ours subtracts before it adds."""
    z = np.array([[1.0, 2.0]]) + offset
    assert ce.softmax_cross_entropy(z, np.array([0])) == pytest.approx(math.log1p(math.e), rel=1e-15)


def test_soft_and_index_targets_are_equally_exact_far_from_zero():
    """optax: two paths, two answers at an offset of 1e6; ours have one."""
    z = np.array([[1.0, 2.0, -1.0]], dtype=np.float32) + np.float32(1e6)
    one_hot = np.array([[1.0, 0.0, 0.0]], dtype=np.float32)
    assert ce.softmax_cross_entropy(z, one_hot) == pytest.approx(
        ce.softmax_cross_entropy(z, np.array([0])), rel=2e-7
    )


# ------------------------------------------------------------------------------------------ −∞ logits


def test_a_one_hot_target_on_masked_logits_is_not_nan():
    """torch, optax: 0·(−∞) = NaN with probabilities, though indices are fine; a mass of 0 is worth 0 here."""
    z = torch.tensor([[1.0, -INF, 0.0]], requires_grad=True)
    for target in (torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([0])):
        value = ce.softmax_cross_entropy(z, target)
        (gradient,) = torch.autograd.grad(value, z)
        assert value.item() == pytest.approx(math.log1p(math.exp(-1)), rel=1e-6)
        assert gradient[0, 1] == 0
        assert torch.isfinite(gradient).all()


def test_certain_and_right_costs_nothing():
    """torch's BCE with logits: NaN at ±inf with the right label; ours is 0, and the wrong label infinite."""
    z = torch.tensor([INF, -INF, INF, -INF], requires_grad=True)
    losses = ce.sigmoid_cross_entropy(z, torch.tensor([1, 0, 0, 1]), reduction="none")
    assert losses.tolist() == [0.0, 0.0, INF, INF]
    (gradient,) = torch.autograd.grad(losses.sum(), z)
    assert gradient.tolist() == [0.0, 0.0, 1.0, -1.0]


def test_a_chunk_of_masked_classes_before_the_first_finite_one_is_not_nan():
    """flash-attention and others: (−∞) − (−∞) where a whole first block is masked; ours starts where there is one."""
    z = np.full((1, 50_000), -INF, dtype=np.float32)
    z[0, 40_000:40_002] = [1.0, 0.0]
    assert ce.softmax_cross_entropy(z, np.array([40_000])) == pytest.approx(
        math.log1p(math.exp(-1)), rel=1e-6
    )


# ------------------------------------------------------------------------------------------- soft targets


def test_soft_targets_that_do_not_sum_to_one_have_the_gradient_of_their_loss():
    """TensorFlow: p − y even if Σy = 6, [−1.91, −1.76, −1.33] for S·p − y; torch and ours differentiate the loss."""
    a = np.array([[1.0, 2.0, 3.0]])
    z = np.array([[0.2, -0.3, 0.7]])
    target = ce.targets.Probabilities(a, normalized=False)
    _, gradient = ce.loss_and_gradient(ce.softmax_cross_entropy, z, target, reduction="sum")
    p = np.exp(z) / np.exp(z).sum()
    np.testing.assert_allclose(gradient, 6 * p - a, rtol=1e-13)
    with pytest.raises(ValueError, match="row 0 sum to 6"):
        ce.softmax_cross_entropy(z, a)


def test_indices_and_their_one_hot_have_one_weighted_mean():
    """torch: weight=[1, 10, 1] gives 1.2176 for indices and 6.6969 for the same labels as probabilities."""
    z, y = torch.tensor([[1.0, 2.0, 0.5], [0.1, 0.2, 0.3]]), torch.tensor([0, 1])
    weight = torch.tensor([1.0, 10.0, 1.0])
    by_index = ce.softmax_cross_entropy(z, y, class_weight=weight)
    by_mass = ce.softmax_cross_entropy(z, torch.eye(3)[y], class_weight=weight)
    assert by_mass.item() == pytest.approx(by_index.item(), rel=1e-6)
    assert by_index.item() == pytest.approx(torch.nn.functional.cross_entropy(z, y, weight).item(), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_float64_soft_targets_of_narrower_logits_are_taken_as_they_are(dtype):
    """Keras: labels are cast to the dtype of the loss; ours keep their own, and their sums are theirs."""
    q = np.random.default_rng(0).dirichlet(np.ones(7), size=20)
    z = torch.randn(20, 7, generator=torch.Generator().manual_seed(0)).to(dtype)
    value = ce.softmax_cross_entropy(z, torch.from_numpy(q))
    log_p = torch.log_softmax(z.double(), 1)
    assert value.item() == pytest.approx(-(torch.from_numpy(q) * log_p).sum(1).mean().item(), rel=1e-6)
    if dtype == torch.float32:
        assert ce.softmax_cross_entropy(z.numpy(), q) == pytest.approx(value.item(), rel=1e-6)


def test_soft_targets_are_of_the_class_axis_and_never_of_another():
    """torch: (N, T, C) logits with (N, T, C) targets are silently normalised over T; ours have one class axis."""
    rng = np.random.default_rng(0)
    z, q = rng.normal(size=(2, 4, 3)), rng.dirichlet(np.ones(3), size=(2, 4))
    log_p = z - np.log(np.exp(z).sum(-1, keepdims=True))
    assert ce.softmax_cross_entropy(z, q) == pytest.approx(-(q * log_p).sum(-1).mean(), rel=1e-13)


# ------------------------------------------------------------------------------------------------ labels


@pytest.mark.parametrize("label", [-1, -100])
def test_a_negative_label_is_no_index_from_the_end(label):
    """optax: −1 trains the last class, −100 of 1000 class 900; torch drops −100 unasked; ours refuses both."""
    z = np.zeros((2, 1000))
    with pytest.raises(ValueError, match=f"label {label} at row 1"):
        ce.softmax_cross_entropy(z, np.array([0, label]))
    unchecked = ce.softmax_cross_entropy(z, np.array([0, label]), validate="none", reduction="none")
    assert unchecked[0] == pytest.approx(math.log(1000))
    assert math.isnan(unchecked[1])


def test_a_label_outside_the_classes_is_never_free():
    """Keras on JAX: 0.0 for label 3 of 3; MPS: 0; ours is an error, or NaN with its gradient."""
    z = torch.zeros(2, 3, requires_grad=True)
    with pytest.raises(ValueError, match="label 3 at row 1 is outside"):
        ce.softmax_cross_entropy(z, torch.tensor([0, 3]))
    losses = ce.softmax_cross_entropy(z, torch.tensor([0, 3]), validate="none", reduction="none")
    (gradient,) = torch.autograd.grad(losses.sum(), z)
    assert torch.isnan(losses).tolist() == [False, True]
    assert torch.isnan(gradient).all(1).tolist() == [False, True]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("label", [257, 2049])
def test_a_large_label_keeps_its_value_beside_narrow_logits(dtype, label):
    """Keras: labels cast to bfloat16, 257 becomes 256 and the loss 20; ours are integers throughout."""
    z = torch.zeros(1, 3000, dtype=dtype)
    z[0, label] = 20.0
    assert ce.softmax_cross_entropy(z, torch.tensor([label])).item() < 1e-4


@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int32, torch.uint8, torch.bool], ids=str)
def test_labels_of_every_integer_dtype_are_accepted(dtype):
    """torch: int32, int16 and bool are refused, "expected target dtype to be Long or Byte"; ours are labels."""
    y = torch.tensor([1, 0, 1])
    z = torch.tensor([[0.1, 0.9], [1.0, -1.0], [2.0, 0.0]])
    assert torch.equal(ce.softmax_cross_entropy(z, y.to(dtype)), ce.softmax_cross_entropy(z, y))


def test_labels_of_the_rows_shape_are_not_broadcast():
    """optax: sigmoid BCE of (4, 1) against (4,) is (4, 4), silently; ours asks for equal shapes."""
    with pytest.raises(ValueError, match="shape"):
        ce.sigmoid_cross_entropy(np.zeros((4, 1)), np.zeros(4, dtype=int))
    with pytest.raises(ValueError, match="shape"):
        ce.softmax_cross_entropy(np.zeros((4, 3)), np.zeros(1, dtype=int))


@pytest.mark.parametrize("label", [2.0, -0.5])
def test_a_binary_label_outside_zero_and_one_is_refused(label):
    """torch: a target of 2.0 is accepted and gives −0.026; ours names the element."""
    with pytest.raises(ValueError, match=str(label)):
        ce.sigmoid_cross_entropy(np.array([0.5, 4.0]), np.array([1.0, label]))


# ---------------------------------------------------------------------------------- weights and smoothing


def test_label_smoothing_does_not_count_ignored_rows():
    """torch before 1.11: the smoothing term summed over ignored rows; ours leaves them out of everything."""
    z, y = rows(6)
    y[[1, 4]] = -100
    options = {"label_smoothing": 0.2, "class_weight": np.array([0.5, 1.0, 2.0])}
    value = ce.softmax_cross_entropy(z, y, ignore_index=-100, **options)
    assert value == pytest.approx(ce.softmax_cross_entropy(z[y >= 0], y[y >= 0], **options), rel=1e-14)
    spoilt = z.copy()
    spoilt[y < 0] = np.nan
    assert ce.softmax_cross_entropy(spoilt, y, ignore_index=-100, **options) == value


@pytest.mark.parametrize("smoothing", [-0.1, 1.5])
def test_a_share_that_is_none_is_refused(smoothing):
    """torch: a negative label_smoothing is taken as 0; ours says what a share is."""
    with pytest.raises(ValueError, match="label_smoothing"):
        ce.softmax_cross_entropy(*rows(3), label_smoothing=smoothing)


def test_everything_ignored_is_zero_with_gradients_of_zero():
    """torch: NaN, which poisons the optimizer; ours is 0, NaN only where it is asked for."""
    z = torch.randn(3, 4, requires_grad=True)
    value = ce.softmax_cross_entropy(z, torch.full((3,), -100), ignore_index=-100)
    (gradient,) = torch.autograd.grad(value, z)
    assert value.item() == 0
    assert (gradient == 0).all()


def test_the_default_focal_loss_is_not_four_times_too_small():
    """Keras: a scalar alpha of 0.25 multiplies every class, 0.1733 at γ = 0 for ln 2; ours is ln 2."""
    z, y = np.zeros((1, 2)), np.array([0])
    assert ce.softmax_cross_entropy(z, y, link=ce.links.Focal(0.0)) == math.log(2)


def test_micro_batches_with_one_normalizer_add_up():
    """transformers before 4.46: a token mean of 3.0 became the mean of micro-means 5.0; a number divides alike."""
    z, y = rows(12)
    parts = [(z[:2], y[:2]), (z[2:], y[2:])]
    whole = ce.softmax_cross_entropy(z, y)
    assert sum(ce.softmax_cross_entropy(a, b, normalizer=12) for a, b in parts) == pytest.approx(
        whole, rel=1e-14
    )


# ---------------------------------------------------------------------------- probabilities, information


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_an_impossible_event_costs_the_same_in_every_precision(dtype):
    """scikit-learn: clipped by dtype, the same mistake costs 36.04, 15.94 or 6.93; ours costs infinity."""
    p = np.array([[1.0, 0.0], [0.0, 1.0]], dtype=dtype)
    assert ce.log_loss(p, np.array([0, 0]), reduction="none").tolist() == [0.0, INF]
    unlikely = np.array([[1 - 2.0**-10, 2.0**-10]], dtype=dtype)
    assert ce.log_loss(unlikely, np.array([1])) == pytest.approx(10 * math.log(2), rel=1e-7)


def test_a_confident_mistake_is_not_capped_at_sixteen():
    """Keras: probabilities clipped to 1e-7, so 16.118 and no gradient beyond; ours goes on."""
    assert ce.log_loss(np.array([[1.0 - 1e-12, 1e-12]]), np.array([1])) == pytest.approx(
        12 * math.log(10), rel=1e-9
    )
    both = ce.log_loss(np.array([1e-12, 1 - 1e-12]), np.array([1, 0]), reduction="none")
    np.testing.assert_allclose(both, 12 * math.log(10), rtol=1e-5)


def test_entropy_does_not_normalise_what_it_is_given():
    """scipy: normalises both, and works along axis 0; ours refuses [2, 2] and reads the last axis."""
    with pytest.raises(ValueError, match="sum"):
        ce.entropy(np.array([2.0, 2.0]))
    p = np.array([[0.5, 0.5], [1.0, 0.0]])
    np.testing.assert_allclose(ce.entropy(p), [math.log(2), 0.0], rtol=1e-15)


def test_kl_divergence_has_a_finite_gradient_at_a_zero_of_p():
    """optax: the value is right and a gradient NaN; ours by the logits of q is q − p, zeros of p included."""
    p = torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64)
    w = torch.tensor([0.3, -0.2, 0.7], dtype=torch.float64, requires_grad=True)
    q = torch.softmax(w, 0)
    (gradient,) = torch.autograd.grad(ce.kl_divergence(p, q), w)
    torch.testing.assert_close(gradient, (q - p).detach(), rtol=1e-13, atol=1e-15)


def test_cross_entropy_of_a_zero_and_a_zero_is_zero():
    """scipy, dit: 0·ln 0 differs by function, and nansum hides real NaNs; ours is 0, and NaN stays NaN."""
    assert ce.cross_entropy([0.5, 0.5, 0.0], [0.5, 0.5, 0.0]) == pytest.approx(math.log(2))
    assert ce.cross_entropy([0.5, 0.5, 0.0], [0.5, 0.0, 0.5]) == INF
    assert ce.kl_divergence([1.0, 0.0], [0.5, 0.5]) == pytest.approx(math.log(2))


def test_the_entropy_of_a_certain_row_is_zero():
    """torch.distributions: 1.19e-7 for a point mass, its probabilities being clamped; ours is 0."""
    assert ce.entropy(np.array([1.0, 0.0], dtype=np.float32)) == 0
    found = ce.target_statistics(np.array([[0.0, -INF]]), np.array([0]), entropy=True)
    assert found.entropy[0] == 0


def test_the_entropy_of_a_confident_row_is_that_of_sixty_digits():
    """−Σ p log p by softmax loses all digits of a confident row; ours never forms 1 − p."""
    z = np.array([[60.0, 0.0, 1.0]])
    found = ce.target_statistics(z, np.array([0]), entropy=True)
    assert found.entropy[0] == pytest.approx(float(oracle.statistics(z[0], 0).entropy), rel=1e-14)


def test_weighted_smoothed_losses_work_under_vmap():
    """torch: cross_entropy with weight and label_smoothing fails under vmap (masked_select); ours runs."""
    z, y = rows(8)
    batches = torch.from_numpy(z.reshape(2, 4, 3)), torch.from_numpy(y.reshape(2, 4))
    weight = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)

    def loss(a, b):
        return ce.softmax_cross_entropy(a, b, class_weight=weight, label_smoothing=0.1)

    found = torch.func.vmap(loss)(*batches)
    for i in range(2):
        assert found[i].item() == pytest.approx(loss(batches[0][i], batches[1][i]).item(), rel=1e-13)
