"""What `crossentropy.torch.cross_entropy` and `nll_loss` mean: what PyTorch's do."""

import pytest

torch = pytest.importorskip("torch")
F = torch.nn.functional

import crossentropy.torch as ct  # noqa: E402

INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
CLASSES = 5
SHAPES = [(CLASSES,), (1, CLASSES), (4, CLASSES), (3, CLASSES, 2), (2, CLASSES, 3, 4), (2, CLASSES, 2, 1, 3)]

each_reduction = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def batch(shape=(6, CLASSES), dtype=torch.float64):
    """Logits and class indices."""
    generator = torch.Generator().manual_seed(len(shape))
    z = torch.randn(shape, generator=generator, dtype=torch.float64).mul(3).to(dtype)
    axis = 1 if len(shape) > 1 else 0
    y = torch.randint(0, shape[axis], shape[:axis] + shape[axis + 1 :], generator=generator)
    return z.requires_grad_(), y


def masses(shape=(6, CLASSES)):
    return torch.rand(shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64)


def class_weight():
    return torch.tensor([1.0, 0.5, 2.0, 0.25, 3.0], dtype=torch.float64)


def gradient(f, *inputs):
    value = f()
    return torch.autograd.grad(value, inputs, torch.ones_like(value))


def assert_same(ours, torchs, *inputs):
    """The same value and the same gradients, as far as PyTorch's own float64 goes."""
    close = {"rtol": 1e-12, "atol": 1e-14}
    torch.testing.assert_close(ours(), torchs(), **close)
    torch.testing.assert_close(gradient(ours, *inputs), gradient(torchs, *inputs), **close)


@each_shape
@each_reduction
def test_indices_of_every_shape(shape, reduction):
    z, y = batch(shape)
    assert_same(
        lambda: ct.cross_entropy(z, y, reduction=reduction),
        lambda: F.cross_entropy(z, y, reduction=reduction),
        z,
    )


@each_shape
@each_reduction
def test_log_probabilities_of_every_shape(shape, reduction):
    z, y = batch(shape)
    assert_same(
        lambda: ct.nll_loss(z, y, class_weight(), reduction=reduction),
        lambda: F.nll_loss(z, y, class_weight(), reduction=reduction),
        z,
    )


@each_shape
@each_reduction
def test_class_probabilities_of_every_shape(shape, reduction):
    z, _ = batch(shape)
    t = masses(shape).requires_grad_()
    assert_same(
        lambda: ct.cross_entropy(z, t, reduction=reduction),
        lambda: F.cross_entropy(z, t, reduction=reduction),
        *(z, t),
    )


@each_reduction
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("soft", [False, True])
def test_smoothing_with_class_weights(soft, weighted, smoothing, reduction):
    z, y = batch((3, CLASSES, 2))
    w = class_weight() if weighted else None
    t = masses(z.shape) if soft else y
    ignore = {} if soft else {"ignore_index": 2}
    assert_same(
        lambda: ct.cross_entropy(z, t, w, label_smoothing=smoothing, reduction=reduction, **ignore),
        lambda: F.cross_entropy(z, t, w, label_smoothing=smoothing, reduction=reduction, **ignore),
        z,
    )


def test_the_mean_of_indices_divides_by_their_weights_and_that_of_probabilities_by_their_number():
    z, w = torch.zeros(2, 3, dtype=torch.float64), torch.tensor([1.0, 10.0, 1.0], dtype=torch.float64)
    y = torch.tensor([0, 1])
    one_hot = F.one_hot(y, 3).double()
    rows = torch.log(torch.tensor(3.0)).item()
    assert ct.cross_entropy(z, y, w).item() == pytest.approx(rows)
    assert ct.cross_entropy(z, one_hot, w).item() == pytest.approx(rows * 11 / 2)


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
@pytest.mark.parametrize("weights", [(0.0, 1.0, 2.0, 1.0, 0.0), (-1.0, 4.0, -2.0, 3.0, 1.0)], ids=str)
@each_reduction
def test_class_weights_of_any_sign_are_taken_at_their_word(weights, reduction, name):
    z, y = batch()
    w = torch.tensor(weights, dtype=torch.float64)
    assert_same(
        lambda: getattr(ct, name)(z, y, w, reduction=reduction),
        lambda: getattr(F, name)(z, y, w, reduction=reduction),
        z,
    )


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_class_weights_may_be_of_another_precision_than_the_logits(name, dtype):
    z, y = batch(dtype=torch.float32)
    value = getattr(ct, name)(z, y, class_weight().to(dtype))
    expected = getattr(F, name)(z.double(), y, class_weight()).float()
    torch.testing.assert_close(value, expected)


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
@each_reduction
def test_labels_of_minus_100_are_left_out_unless_told_otherwise(name, reduction):
    z, y = batch()
    y[::2] = -100
    loss, torchs = getattr(ct, name), getattr(F, name)
    assert_same(lambda: loss(z, y, reduction=reduction), lambda: torchs(z, y, reduction=reduction), z)
    with pytest.raises(ValueError, match="-100"):
        loss(z, y, ignore_index=0)


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
@pytest.mark.parametrize("ignore_index", [-1, 2, 255])
def test_the_label_left_out_may_be_any(name, ignore_index):
    z, y = batch()
    y[1] = ignore_index
    loss, torchs = getattr(ct, name), getattr(F, name)
    assert_same(
        lambda: loss(z, y, class_weight(), ignore_index=ignore_index),
        lambda: torchs(z, y, class_weight(), ignore_index=ignore_index),
        z,
    )


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_every_integer_type_of_label(name, dtype):
    z, y = batch()
    loss = getattr(ct, name)
    assert loss(z, y.to(dtype)).equal(loss(z, y))
    assert gradient(lambda: loss(z, y.to(dtype)), z)[0].equal(gradient(lambda: loss(z, y), z)[0])


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_bool_labels_of_two_classes(name):
    z, y = batch((6, 2))
    loss = getattr(ct, name)
    assert loss(z, y.bool()).equal(loss(z, y))


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_unsigned_labels_may_be_left_out_too(name):
    z, y = batch()
    y[0] = 255
    assert getattr(ct, name)(z, y.to(torch.uint8), ignore_index=255).equal(
        getattr(ct, name)(z, y, ignore_index=255)
    )


@pytest.mark.parametrize("legacy", [(None, True), (None, False), (True, None), (False, None), (False, False)])
@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
@pytest.mark.filterwarnings("ignore:size_average and reduce args:UserWarning")
def test_the_old_words_for_a_reduction(name, legacy):
    z, y = batch()
    size_average, reduce = legacy
    assert_same(
        lambda: getattr(ct, name)(z, y, None, size_average, -100, reduce),
        lambda: getattr(F, name)(z, y, None, size_average, -100, reduce),
        z,
    )


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(0, CLASSES), (0, CLASSES, 3), (2, CLASSES, 0)], ids=str)
def test_the_mean_of_an_empty_batch_is_nan_and_its_gradient_empty(name, shape, weighted):
    z, y = batch(shape)
    w = class_weight() if weighted else None
    value = getattr(ct, name)(z, y, w)
    assert value.isnan()
    value.backward()
    assert z.grad.shape == shape


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_mean_of_rows_all_left_out_is_nan_and_its_gradient_zero(name, weighted):
    z, y = batch()
    value = getattr(ct, name)(z, torch.full_like(y, -100), class_weight() if weighted else None)
    assert value.isnan()
    assert torch.autograd.grad(value, z)[0].equal(torch.zeros_like(z))


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_the_mean_of_classes_without_weight_is_nan_and_its_gradient_zero(name):
    z, y = batch()
    value = getattr(ct, name)(z, y, torch.zeros(CLASSES))
    assert value.isnan()
    assert torch.autograd.grad(value, z)[0].equal(torch.zeros_like(z))


def test_the_mean_of_no_rows_of_probabilities_is_nan():
    z = torch.zeros(0, 3, requires_grad=True)
    value = ct.cross_entropy(z, torch.zeros(0, 3))
    assert value.isnan()
    assert torch.autograd.grad(value, z)[0].shape == (0, 3)


@pytest.mark.parametrize(
    ("name", "soft"), [("cross_entropy", False), ("cross_entropy", True), ("nll_loss", False)]
)
def test_the_sum_of_an_empty_batch_is_zero(name, soft):
    z = torch.zeros(0, 3)
    target = torch.zeros(0, 3) if soft else torch.zeros(0, dtype=torch.long)
    assert getattr(ct, name)(z, target, reduction="sum").item() == 0


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss", "focal_loss"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@each_reduction
def test_the_loss_of_half_precision_is_float32_and_its_gradient_half(name, dtype, reduction):
    z, y = batch(dtype=dtype)
    value = getattr(ct, name)(z, y, reduction=reduction)
    assert value.dtype == torch.float32
    assert torch.autograd.grad(value.sum(), z)[0].dtype == dtype


def test_a_large_half_precision_batch_does_not_overflow():
    z, y = torch.zeros(70_000, 3, dtype=torch.float16), torch.zeros(70_000, dtype=torch.long)
    assert ct.cross_entropy(z, y).item() == pytest.approx(1.0986123, rel=1e-6)
    assert ct.nll_loss(z - 2, y).item() == 2.0


def test_class_probabilities_without_mass_on_an_impossible_class_cost_nothing():
    z = torch.tensor([[0.0, 0.0, -torch.inf]], requires_grad=True)
    value = ct.cross_entropy(z, torch.tensor([[0.5, 0.5, 0.0]]))
    assert value.item() == pytest.approx(0.6931472)
    assert torch.autograd.grad(value, z)[0].isfinite().all()
