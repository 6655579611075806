"""What other libraries make of labels that are no labels, or not where they are looked for; see `test_peer_bugs`."""

import math

import numpy as np
import pytest

import crossentropy as ce

torch = pytest.importorskip("torch")
ct = pytest.importorskip("crossentropy.torch")

INF = math.inf


# --------------------------------------------------------------------------------- what logits and labels are


@pytest.mark.parametrize(("classes", "floor"), [(2, 0.313), (10, 1.461), (1000, 5.909), (50_000, 9.820)])
def test_probabilities_passed_for_logits_are_warned_of_for_their_loss_cannot_reach_zero(classes, floor):
    """keras#6636, Mask_RCNN#427: a second softmax is silent everywhere, and the least loss ln(e + C − 1) − 1."""
    certain = np.zeros((2, classes))
    certain[[0, 1], [1, 0]] = 1
    with pytest.warns(UserWarning, match="probabilities already"):
        value = ce.softmax_cross_entropy(certain, np.array([1, 0]))
    assert value == pytest.approx(floor, abs=1e-3)


@pytest.mark.parametrize("logits", [[[0.0, 0.0, 0.0]], [[-3.0, -1.0, -2.0]], [[4.0, 1.0, 0.0]]])
def test_logits_passed_for_probabilities_are_refused(logits):
    """keras-hub#1008, keras#19193: `from_logits` is False by default; zeros give NaN there, negatives a likely loss."""
    with pytest.raises(ValueError, match="row 0"):
        ce.log_loss(np.array(logits), np.array([0]))


@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int32, torch.uint8, torch.bool], ids=str)
def test_labels_of_every_integer_dtype_are_accepted(dtype):
    """MAML-Pytorch#45, Romanian-Transformers#6 (Windows): int32 is refused, "expected Long"; ours are labels."""
    y = torch.tensor([1, 0, 1])
    z = torch.tensor([[0.1, 0.9], [1.0, -1.0], [2.0, 0.0]])
    assert torch.equal(ce.softmax_cross_entropy(z, y.to(dtype)), ce.softmax_cross_entropy(z, y))


@pytest.mark.parametrize("face", [ce.softmax_cross_entropy, ct.cross_entropy])
def test_floating_labels_are_told_to_be_integers(face):
    """segmentation_models.pytorch#197 and #466: an error without the fix; pytorch#174943: on MPS they are taken."""
    with pytest.raises(TypeError, match=r"labels\.long\(\)"):
        face(torch.zeros(4, 3), torch.tensor([0.0, 2.0, 1.0, 1.0]))


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.bool], ids=str)
def test_an_integer_one_hot_is_told_its_name_and_taken_by_it(dtype):
    """deepethogram#88, E-ResGAT#5: "Expected floating point type for target with class probabilities, got Long"."""
    z, y = torch.tensor([[0.3, -1.0, 2.0], [1.0, 0.0, 0.5]]), torch.tensor([2, 0])
    one_hot = torch.eye(3)[y].to(dtype)
    with pytest.raises(TypeError, match=r"targets\.OneHot"):
        ce.softmax_cross_entropy(z, one_hot)
    assert ce.softmax_cross_entropy(z, ce.targets.OneHot(one_hot)) == ce.softmax_cross_entropy(z, y)


@pytest.mark.parametrize(
    ("dtype", "label"),
    [
        *((dtype, label) for dtype in (torch.bfloat16, torch.float16) for label in (257, 2049)),
        (torch.float32, 2**24 + 1),
    ],
    ids=str,
)
def test_a_large_label_keeps_its_value_beside_narrow_logits(dtype, label):
    """keras#15012, transformers#12898: cast to bfloat16, 257 is 256 and the loss 20; ours are integers throughout."""
    z = torch.zeros(1, max(3000, label + 1), dtype=dtype)
    z[0, label] = 40.0
    assert ce.softmax_cross_entropy(z, torch.tensor([label])).item() < 1e-4


@pytest.mark.parametrize("label", [2.0, -0.5])
def test_a_binary_label_outside_zero_and_one_is_refused(label):
    """torch: a target of 2.0 is accepted and gives −0.026; ours names the element."""
    with pytest.raises(ValueError, match=str(label)):
        ce.sigmoid_cross_entropy(np.array([0.5, 4.0]), np.array([1.0, label]))


# ----------------------------------------------------------------------------------------------------- shapes


def test_labels_of_as_many_steps_as_classes_are_read_along_the_class_axis():
    """pytorch#29754, #3947, Paddle#31705: (N, T, C) logits with (N, T) labels are silently wrong where T = C."""
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(2, 3, 3)), rng.integers(0, 3, size=(2, 3))
    for axis, last in ((-1, z), (1, np.moveaxis(z, 1, -1))):
        log_p = last - np.log(np.exp(last).sum(-1, keepdims=True))
        expected = -np.take_along_axis(log_p, y[..., None], -1).mean()
        assert ce.softmax_cross_entropy(z, y, axis=axis) == pytest.approx(expected, rel=1e-13)


def test_soft_targets_are_of_the_class_axis_and_never_of_another():
    """torch: (N, T, C) logits with (N, T, C) targets are silently normalized over T; ours have one class axis."""
    rng = np.random.default_rng(0)
    z, q = rng.normal(size=(2, 4, 3)), rng.dirichlet(np.ones(3), size=(2, 4))
    log_p = z - np.log(np.exp(z).sum(-1, keepdims=True))
    assert ce.softmax_cross_entropy(z, q) == pytest.approx(-(q * log_p).sum(-1).mean(), rel=1e-13)


def test_labels_of_the_rows_shape_are_not_broadcast():
    """optax: sigmoid BCE of (4, 1) against (4,) is (4, 4), silently; ours asks for equal shapes."""
    with pytest.raises(ValueError, match="shape"):
        ce.sigmoid_cross_entropy(np.zeros((4, 1)), np.zeros(4, dtype=int))
    with pytest.raises(ValueError, match="shape"):
        ce.softmax_cross_entropy(np.zeros((4, 3)), np.zeros(1, dtype=int))


def test_labels_expanded_over_the_batch_are_read_where_they_are():
    """pytorch#71550: an expanded target ended in a device assert."""
    z = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0))
    y = torch.tensor([2, 0, 3])
    assert ce.softmax_cross_entropy(z, y.expand(5, 3)) == ce.softmax_cross_entropy(z, y.repeat(5, 1))


# --------------------------------------------------------------------------------- labels outside the classes


@pytest.mark.parametrize("label", [255, -100])
def test_a_void_label_is_named_with_its_row_and_the_way_out(label):
    """pytorch#18014, #1204, #21825: a device assert that names nothing and takes the process with it."""
    y = np.zeros(8, dtype=int)
    y[7] = label
    message = rf"label {label} at row 7 is outside \[0, 21\); .* ignore_index={label}"
    with pytest.raises(ValueError, match=message):
        ce.softmax_cross_entropy(np.zeros((8, 21)), y)
    assert ce.softmax_cross_entropy(np.zeros((8, 21)), y, ignore_index=label) == pytest.approx(math.log(21))


@pytest.mark.parametrize("library", ["numpy", "torch", "jax.numpy", "array_api_strict"])
@pytest.mark.parametrize("label", [3, -1, -100])
def test_a_bad_label_means_the_same_in_every_library(library, label):
    """tensorflow#126005: an error on the CPU, NaN under XLA; pytorch#66872: silent on CUDA; #108148: 0 on MPS."""
    xp = pytest.importorskip(library)
    z, y = xp.zeros((2, 3)), xp.asarray([0, label])
    with pytest.raises(ValueError, match=f"label {label} at row 1 is outside"):
        ce.softmax_cross_entropy(z, y)
    unchecked = ce.softmax_cross_entropy(z, y, validate="none", reduction="none")
    np.testing.assert_allclose(np.asarray(unchecked), [math.log(3), math.nan], rtol=1e-6)
    ignored = ce.softmax_cross_entropy(z, y, ignore_index=label, reduction="none")
    np.testing.assert_allclose(np.asarray(ignored), [math.log(3), 0.0], rtol=1e-6)


@pytest.mark.parametrize("label", [1000, -1, -100])
def test_a_traced_label_outside_the_classes_is_nan_and_never_another_class(label):
    """optax#1185: −100 of 1000 classes trains class 900, and past the end the gradient is finite beside NaN."""
    jax = pytest.importorskip("jax")
    loss = jax.jit(lambda z, y: ce.softmax_cross_entropy(z, y, reduction="none"))
    z, y = jax.numpy.zeros((2, 1000)), jax.numpy.asarray([0, label])
    assert np.isnan(loss(z, y)).tolist() == [False, True]
    gradient = jax.grad(lambda z: loss(z, y).sum())(z)
    assert np.isnan(gradient).all(axis=1).tolist() == [False, True]


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
    """Keras on JAX: 0.0 for label 3 of 3; pytorch#108148 (MPS): 0; ours is an error, or NaN with its gradient."""
    z = torch.zeros(2, 3, requires_grad=True)
    with pytest.raises(ValueError, match="label 3 at row 1 is outside"):
        ce.softmax_cross_entropy(z, torch.tensor([0, 3]))
    losses = ce.softmax_cross_entropy(z, torch.tensor([0, 3]), validate="none", reduction="none")
    (gradient,) = torch.autograd.grad(losses.sum(), z)
    assert torch.isnan(losses).tolist() == [False, True]
    assert torch.isnan(gradient).all(1).tolist() == [False, True]


# ---------------------------------------------------------------------------------------------- rows left out


def test_an_ignored_class_stays_in_the_denominator_until_it_is_masked():
    """pytorch#63004: `ignore_index` is taken for a mask of classes; nanoGPT#334: nobody knows what −1 does."""
    z, y = np.zeros((3, 4)), np.array([0, 3, 1])
    losses = ce.softmax_cross_entropy(z, y, ignore_index=3, reduction="none")
    np.testing.assert_allclose(losses, [math.log(4), 0.0, math.log(4)])
    masked = np.array([0.0, 0.0, 0.0, -INF])
    losses = ce.softmax_cross_entropy(z, y, ignore_index=3, logit_bias=masked, reduction="none")
    np.testing.assert_allclose(losses, [math.log(3), 0.0, math.log(3)])


def test_rows_of_soft_targets_are_left_out_by_a_weight_of_zero():
    """vision#9222: MixUp has no `ignore_index`; keras#6118: a mask must keep the batch axis."""
    rng = np.random.default_rng(0)
    z, q = rng.normal(size=(4, 5, 3)), rng.dirichlet(np.ones(3), size=(4, 5))
    keep = rng.random((4, 5)) < 0.5
    expected = ce.softmax_cross_entropy(z[keep], q[keep])
    z[~keep] = np.nan
    assert ce.softmax_cross_entropy(z, q, sample_weight=keep) == pytest.approx(expected, rel=1e-14)


def test_ignored_pixels_are_those_that_are_not_there():
    """keras#19838: `ignore_class` fails on labels with a trailing axis; tf-keras#734: NaN where all are ignored."""
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(2, 4, 6, 3)), rng.integers(0, 3, size=(2, 4, 6))
    y[rng.random(y.shape) < 0.3] = 255
    expected = ce.softmax_cross_entropy(z[y != 255], y[y != 255])
    assert ce.softmax_cross_entropy(z, y, ignore_index=255) == pytest.approx(expected, rel=1e-14)
    with pytest.raises(ValueError, match=r"shape \(2, 4, 6, 1\).*shape \(2, 4, 6\)"):
        ce.softmax_cross_entropy(z, y[..., None], ignore_index=255)
