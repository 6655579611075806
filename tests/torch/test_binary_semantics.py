"""What the binary losses of `crossentropy.torch` mean: what PyTorch's do."""

import pytest

torch = pytest.importorskip("torch")
F = torch.nn.functional

import crossentropy.torch as ct  # noqa: E402
from crossentropy.links import Focal  # noqa: E402

SHAPE = (2, 4, 3)
WEIGHTS = [(), (1,), (3,), (1, 3), (4, 1), (4, 3), (1, 1, 1), (2, 1, 1), (1, 4, 1), (2, 1, 3), SHAPE]
NAMES = ("binary_cross_entropy", "binary_cross_entropy_with_logits")
INF = float("inf")

both = pytest.mark.parametrize("name", NAMES)
each_reduction = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
each_weight = pytest.mark.parametrize("weight", WEIGHTS, ids=str)


def random(shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=torch.float64).to(dtype)


def batch(name, shape=SHAPE, dtype=torch.float64):
    """What the loss of this name takes, and targets."""
    p = random(shape).mul(0.98).add(0.01)
    z = torch.logit(p) if name.endswith("logits") else p
    return z.to(dtype).requires_grad_(), random(shape, 1, dtype)


def gradient(value, *inputs):
    return torch.autograd.grad(value, inputs, torch.ones_like(value))


def assert_same(ours, torchs, *inputs):
    close = {"rtol": 1e-12, "atol": 1e-14}
    torch.testing.assert_close(ours, torchs, **close)
    torch.testing.assert_close(gradient(ours, *inputs), gradient(torchs, *inputs), **close)


@both
@each_reduction
@pytest.mark.parametrize("shape", [(), (1,), (7,), SHAPE, (2, 0)], ids=str)
def test_every_shape(name, shape, reduction):
    z, t = batch(name, shape)
    t.requires_grad_()
    ours = getattr(ct, name)(z, t, reduction=reduction)
    torchs = getattr(F, name)(z, t, reduction=reduction)
    if 0 in shape and reduction == "mean":
        assert ours.isnan()
        assert gradient(ours, z)[0].shape == shape
    else:
        assert_same(ours, torchs, z, t)


@pytest.mark.parametrize("place", ["input", "target"])
def test_probabilities_that_are_nan_are_an_error_as_in_pytorch(place):
    p = torch.tensor([0.2, float("nan")])
    pair = (p, torch.ones(2)) if place == "input" else (torch.full((2,), 0.5), p)
    with pytest.raises(RuntimeError, match="between 0 and 1"):
        F.binary_cross_entropy(*pair)
    with pytest.raises(ValueError, match=f"{place} has entries that are NaN"):
        ct.binary_cross_entropy(*pair)


@both
@each_weight
@each_reduction
def test_a_weight_of_every_shape_that_broadcasts(name, weight, reduction):
    z, t = batch(name)
    w = random(weight, 2)
    assert_same(
        getattr(ct, name)(z, t, w, reduction=reduction), getattr(F, name)(z, t, w, reduction=reduction), z
    )


@each_weight
@each_reduction
@pytest.mark.parametrize("weighted", [False, True])
def test_a_positive_weight_of_every_shape_that_broadcasts(weight, weighted, reduction):
    z, t = batch("logits")
    options = {"pos_weight": random(weight, 3).add(0.5), "weight": random((4, 1), 4) if weighted else None}
    assert_same(
        ct.binary_cross_entropy_with_logits(z, t, reduction=reduction, **options),
        F.binary_cross_entropy_with_logits(z, t, reduction=reduction, **options),
        z,
    )


def test_a_positive_weight_for_every_class_of_an_image():
    z, t = batch("logits", (2, 3, 4, 5))
    pos_weight = random((3, 1, 1), 5).mul(9)
    assert_same(
        ct.binary_cross_entropy_with_logits(z, t, pos_weight=pos_weight),
        F.binary_cross_entropy_with_logits(z, t, pos_weight=pos_weight),
        z,
    )


def test_a_positive_weight_for_every_entry_of_a_vector():
    z, t = batch("logits", (4,))
    pos_weight = random((4,), 5).mul(9)
    assert_same(
        ct.binary_cross_entropy_with_logits(z, t, pos_weight=pos_weight),
        F.binary_cross_entropy_with_logits(z, t, pos_weight=pos_weight),
        z,
    )


@pytest.mark.parametrize(
    "options",
    [
        {"label_smoothing": 0.3},
        {"link": Focal(2.0)},
        {"link": Focal(1.0), "negative_link": Focal(4.0)},
        {"negative_shift": 0.2},
    ],
    ids=str,
)
def test_our_options_hold_with_a_positive_weight_of_every_shape(options):
    z, t = batch("logits")
    by_class, everywhere = (
        ct.binary_cross_entropy_with_logits(z, t.round(), pos_weight=w, **options)
        for w in (torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0, 3.0]).expand(SHAPE))
    )
    torch.testing.assert_close(everywhere, by_class, rtol=1e-13, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("pos_weight", [None, (3,), (4, 1), SHAPE], ids=str)
def test_targets_keep_a_precision_above_the_logits(dtype, pos_weight):
    z, t = batch("logits", dtype=dtype)
    t = t.float()
    w = None if pos_weight is None else random(pos_weight, 5, torch.float32)
    ours = ct.binary_cross_entropy_with_logits(z, t, pos_weight=w)
    truth = F.binary_cross_entropy_with_logits(
        z.double(), t.double(), pos_weight=None if w is None else w.double()
    )
    torch.testing.assert_close(ours.double(), truth, rtol=4 * torch.finfo(torch.float32).eps, atol=0)


@both
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@each_reduction
def test_the_loss_of_half_precision_is_float32_and_its_gradient_half(name, dtype, reduction):
    z, t = batch(name, dtype=dtype)
    value = getattr(ct, name)(z, t, torch.ones(3, dtype=dtype), reduction=reduction)
    assert value.dtype == torch.float32
    assert gradient(value, z)[0].dtype == dtype


@pytest.mark.parametrize(
    ("name", "pos_weight"), [*((name, False) for name in NAMES), ("binary_cross_entropy_with_logits", True)]
)
def test_a_large_sum_in_float32_keeps_its_digits(name, pos_weight):
    z, t = batch(name, (1 << 20,), torch.float32)
    options = {"pos_weight": torch.linspace(0.5, 2, 1 << 20)} if pos_weight else {}
    ours = getattr(ct, name)(z, t, reduction="sum", **options)
    wide = {key: value.double() for key, value in options.items()}
    truth = getattr(F, name)(z.double(), t.double(), reduction="sum", **wide)
    torch.testing.assert_close(ours.double(), truth, rtol=2 * torch.finfo(torch.float32).eps, atol=0)


@both
@pytest.mark.parametrize("legacy", [(None, True), (None, False), (True, None), (False, None)])
@pytest.mark.filterwarnings("ignore:size_average and reduce args:UserWarning")
def test_the_old_words_for_a_reduction(name, legacy):
    z, t = batch(name)
    assert_same(getattr(ct, name)(z, t, None, *legacy), getattr(F, name)(z, t, None, *legacy), z)


@each_reduction
def test_targets_of_logits_may_lie_outside_the_unit_interval(reduction):
    z, t = batch("logits")
    t = t.mul(4).sub(1)
    assert_same(
        ct.binary_cross_entropy_with_logits(z, t, reduction=reduction),
        F.binary_cross_entropy_with_logits(z, t, reduction=reduction),
        z,
    )


def test_negative_weights_are_taken_at_their_word():
    z, t = batch("logits")
    w = torch.tensor([-1.0, 2.0, 0.5])
    assert_same(
        ct.binary_cross_entropy_with_logits(z, t, w),
        F.binary_cross_entropy_with_logits(z, t, w.double()),
        z,
    )


@pytest.mark.parametrize("pos_weight", [None, (2,), (1, 2), (2, 1), (2, 2)], ids=str)
def test_certain_answers_that_are_right_cost_nothing(pos_weight):
    z = torch.tensor([[INF, -INF], [INF, -INF]], requires_grad=True)
    w = None if pos_weight is None else torch.ones(pos_weight)
    value = ct.binary_cross_entropy_with_logits(z, torch.tensor([[1.0, 0.0]] * 2), pos_weight=w)
    assert value.item() == 0
    assert not gradient(value, z)[0].any()


@pytest.mark.parametrize(("p", "t"), [(0.0, 1.0), (1.0, 0.0)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_an_impossible_event_costs_100_and_its_slope_is_finite(p, t, dtype):
    x = torch.tensor([p], dtype=dtype, requires_grad=True)
    target = torch.tensor([t], dtype=dtype)
    value = ct.binary_cross_entropy(x, target)
    assert value.item() == 100
    expected = gradient(F.binary_cross_entropy(x, target), x)[0]
    torch.testing.assert_close(gradient(value, x)[0], expected)
    assert expected.isfinite().all()


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_a_certain_probability_that_is_right_costs_nothing(p):
    x = torch.tensor([p], requires_grad=True)
    value = ct.binary_cross_entropy(x, x.detach())
    assert value.item() == 0
    assert gradient(value, x)[0].item() == 0


def test_the_target_of_an_impossible_event_has_a_finite_slope():
    t = torch.tensor([1.0, 0.0, 0.5], requires_grad=True)
    value = ct.binary_cross_entropy(torch.tensor([0.0, 1.0, 0.0]), t, reduction="sum")
    assert value.item() == 250
    assert gradient(value, t)[0].tolist() == [100, -100, 100]


def test_the_logarithm_of_a_probability_is_bounded_where_torch_bounds_it():
    p = torch.tensor([1e-40, 1e-50, 1e-300], dtype=torch.float64, requires_grad=True)
    ours = ct.binary_cross_entropy(p, torch.ones_like(p), reduction="none")
    torchs = F.binary_cross_entropy(p, torch.ones_like(p), reduction="none")
    torch.testing.assert_close(ours, torchs, rtol=1e-15, atol=0)
    # torch holds its 1e-12 in float32
    torch.testing.assert_close(gradient(ours, p), gradient(torchs, p), rtol=1e-8, atol=0)


@both
@pytest.mark.parametrize("empty", ["zero", "nan", "raise"])
def test_what_the_mean_of_nothing_is_may_be_said(name, empty):
    def loss():
        return getattr(ct, name)(torch.zeros(0, 3), torch.zeros(0, 3), empty=empty)

    if empty == "raise":
        with pytest.raises(ValueError, match="nothing to average"):
            loss()
    else:
        assert str(loss().item()) == {"zero": "0.0", "nan": "nan"}[empty]


@both
def test_transposed_tensors(name):
    z, t = batch(name)
    z, t = z.detach().transpose(0, 2).requires_grad_(), t.transpose(0, 2)
    w = random((3, 1, 2), 6)
    assert_same(getattr(ct, name)(z, t, w), getattr(F, name)(z, t, w), z)
