"""The sigmoid family by Triton's kernels: the native kernels' numbers, the truth's, and every layout."""

from contextlib import contextmanager

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from crossentropy import loss_and_gradient, sigmoid_cross_entropy  # noqa: E402
from crossentropy.kernels._triton import layout, means, sigmoid  # noqa: E402
from crossentropy.links import Focal, Poly  # noqa: E402
from crossentropy.losses import _sigmoid_torch, _sigmoid_triton  # noqa: E402
from oracle import ctx, derivative, log_sigmoid, mpf  # noqa: E402
from triton_compiler import compiled_kernels  # noqa: E402
from ulps import allowed, errors  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.* encountered in:RuntimeWarning:triton")
on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

INF, NAN = float("inf"), float("nan")
SHAPE = (4, 3, 5)  # with class axis 1

OPTIONS = {
    "plain": {},
    "smoothed": {"label_smoothing": 0.1},
    "focal": {"link": Focal(2.0)},
    "two gammas": {"link": Focal(0.5), "negative_link": Focal(3.0)},
    "positives focal": {"link": Focal(2.0), "negative_link": Focal(0.0)},
    "asymmetric": {"link": Focal(1.0), "negative_link": Focal(4.0), "negative_shift": 0.05},
    "shifted": {"negative_shift": 0.3},
    "class weights": {"class_weight": np.array([1.0, 0.5, 2.0])},
    "pos_weight": {"pos_weight": np.array([2.0, 3.0, 1.0])},
    "row weights": {"sample_weight": np.linspace(0, 2, 20).reshape(4, 5)},
    "element weights": {"sample_weight": np.linspace(0, 2, 60).reshape(SHAPE)},
    "everything": {
        "label_smoothing": 0.1,
        "pos_weight": np.array([2.0, 3.0, 1.0]),
        "class_weight": 0.5,
        "sample_weight": np.linspace(0, 2, 20).reshape(4, 5),
        "link": Focal(1.5),
        "negative_shift": 0.1,
    },
}
each_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
REDUCTIONS = {
    "mean": {},
    "count": {"normalizer": "count"},
    "number": {"normalizer": 7.0},
    "sum": {"reduction": "sum"},
}
# a result's rounding, and that of some operations before it; Triton's interpreter truncates to bfloat16
CLOSE = {"float64": 1e-13, "float32": 2e-6, "float16": 2.0**-10, "bfloat16": 2.0**-7}
CANCELLED = {
    "float64": 1e-15,
    "float32": 5e-7,
    "float16": 5e-7,
    "bfloat16": 5e-7,
}  # of a soft label's two terms


@pytest.fixture(autouse=True)
def triton_kernels(monkeypatch):
    """Tensors take Triton's kernels wherever they are."""
    monkeypatch.setattr(_sigmoid_torch, "kernels", lambda device: _sigmoid_triton)


def batch(shape=SHAPE, seed=0):
    rng = np.random.default_rng(seed)
    return 4 * rng.normal(size=shape), rng.integers(0, 2, size=shape)


def on(device, options):
    """Options whose arrays are tensors there."""
    return {k: torch.tensor(v, device=device) if isinstance(v, np.ndarray) else v for k, v in options.items()}


def found(z, t, **options):
    """Loss and gradient of a tensor, as float64 arrays."""
    z = z.detach().requires_grad_()
    loss = sigmoid_cross_entropy(z, t, **options)
    (gradient,) = torch.autograd.grad(loss.sum(), z)
    assert gradient.dtype is z.dtype
    return loss.detach().double().cpu().numpy(), gradient.double().cpu().numpy()


# ---------------------------------------------------------------------------------------------- numbers


def compare_with_native(dtype, device, **options):
    """By the numbers of the same logits."""
    values, labels = batch()
    z = torch.tensor(values).to(getattr(torch, dtype))
    exact = z.double().numpy() if dtype == "float64" else z.float().numpy()
    loss, gradient = loss_and_gradient(sigmoid_cross_entropy, exact, labels, axis=1, **options)
    got = found(z.to(device), torch.tensor(labels, device=device), axis=1, **on(device, options))
    single = (
        4 if device.type == "cuda" and dtype != "float64" else 1
    )  # a GPU's own exponential of some −40 is less exact
    np.testing.assert_allclose(
        got[0], loss, rtol=single * CLOSE["float64" if dtype == "float64" else "float32"]
    )
    np.testing.assert_allclose(got[1], gradient, rtol=single * CLOSE[dtype], atol=CANCELLED[dtype])


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@each_option
def test_every_option_gives_what_the_native_kernels_give(options, dtype, device):
    compare_with_native(dtype, device, reduction="none", **options)


@pytest.mark.parametrize("reduction", REDUCTIONS.values(), ids=REDUCTIONS.keys())
@each_option
def test_every_reduction_gives_what_the_native_kernels_give(options, reduction, device):
    compare_with_native("float32", device, **options, **reduction)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("label", [0, 1])
def test_loss_and_gradient_are_within_4_ulp_times_the_log_odds(dtype, label, device):
    exponents = 10.0 ** np.arange(-30, 31, 3)
    values = np.concatenate([np.linspace(-100, 100, 101), exponents, -exponents]).astype(dtype)
    z = torch.tensor(values, device=device)
    losses, gradient = found(z, torch.full(z.shape, label, device=device), reduction="none")
    against = [mpf(float(x)) * (1 - 2 * label) for x in values]  # D: the log-odds against the label
    truths = [-log_sigmoid(-D) for D in against], [(1 - 2 * label) * ctx.exp(log_sigmoid(D)) for D in against]
    bound = 4 * np.maximum(1, np.abs(values.astype("float64")))
    for got, truth in zip((losses, gradient), truths, strict=True):
        as_floats = np.array([float(x) for x in truth])
        assert (np.abs(errors(got, truth)) <= allowed(bound, as_floats, dtype)).all()


def definition(z, t, smoothing, gammas, shift):
    """An element's loss as it is written down."""
    q = (1 - mpf(smoothing)) * t + mpf(smoothing) / 2
    p_m = ctx.exp(log_sigmoid(z)) - mpf(shift)
    yes = ctx.exp(gammas[0] * log_sigmoid(-z)) * -log_sigmoid(z)
    no = p_m ** mpf(gammas[1]) * -(ctx.log(1 - p_m) if shift else log_sigmoid(-z)) if p_m > 0 else 0
    return q * yes + (1 - q) * no


@pytest.mark.parametrize("shift", [0.0, 0.05, 1e-310])
@pytest.mark.parametrize("gammas", [(0.0, 0.0), (0.1, 4.0)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_losses_and_slopes_are_those_of_the_definition(smoothing, gammas, shift, device):
    z = np.repeat(np.arange(-28.0, 29, 7), 3) + 1 / 64  # away from the shift's kink
    t = np.tile([0.0, 0.3, 1.0], 9)
    options = {"link": Focal(gammas[0]), "negative_link": Focal(gammas[1]), "negative_shift": shift}
    losses, gradient = found(
        *(torch.tensor(x, device=device) for x in (z, t)),
        label_smoothing=smoothing,
        reduction="none",
        **options,
    )
    truth = [
        (lambda x, y=y: definition(x, mpf(y), smoothing, gammas, shift), mpf(x))
        for x, y in zip(z, t, strict=True)
    ]
    np.testing.assert_allclose(losses, [float(f(x)) for f, x in truth], rtol=1e-13)
    np.testing.assert_allclose(
        gradient, [float(derivative(f, x)) for f, x in truth], rtol=1e-12, atol=1e-15 * (smoothing > 0)
    )


def test_an_element_does_not_depend_on_its_place(device):
    z, t = (torch.tensor(x, device=device) for x in batch((2000,)))
    together = found(z.float(), t, reduction="none", link=Focal(2.0))
    for i in (0, 3, 1023, 1024, 1999):
        alone = found(z.float()[i : i + 1], t[i : i + 1], reduction="none", link=Focal(2.0))
        assert (alone[0][0], alone[1][0]) == (together[0][i], together[1][i])


@pytest.mark.parametrize("size", [1, 1023, 1024, 1025, 5000])
@pytest.mark.parametrize("programs", [2, 4096])
def test_blocks_are_summed_whole(size, programs, device, monkeypatch):
    monkeypatch.setattr(means, "PROGRAMS", programs)
    values, labels = batch((size,))
    weight = np.linspace(0, 1, size) + 1
    expected = loss_and_gradient(sigmoid_cross_entropy, values, labels, sample_weight=weight)
    z, t, omega = (torch.tensor(x, device=device) for x in (values, labels, weight))
    got = found(z, t, sample_weight=omega)
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-14)
    np.testing.assert_allclose(got[1], expected[1], rtol=1e-13)


# ---------------------------------------------------------------------------------------------- labels


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int16", "uint16", "int32", "int64", "uint64"])
def test_labels_of_any_integer_type(dtype, device):
    z, t = (torch.tensor(x, device=device) for x in batch())
    np.testing.assert_array_equal(found(z, t.to(getattr(torch, dtype)))[0], found(z, t)[0])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_labels_that_are_probabilities(dtype, device):
    values, _ = batch()
    t = torch.tensor(np.linspace(0, 1, values.size).reshape(SHAPE)).to(dtype)
    expected = sigmoid_cross_entropy(values, t.double().numpy())
    assert found(torch.tensor(values, device=device), t.to(device))[0] == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("bad", [2, -1, 255])
def test_an_integer_that_is_no_label_makes_its_element_nan_and_is_not_waited_for(bad, device):
    z = torch.tensor([0.5, -1.0, 3.0], device=device)
    losses, gradient = found(z, torch.tensor([1, bad, 0], device=device), reduction="none")
    np.testing.assert_array_equal(np.isnan(losses), [False, True, False])
    np.testing.assert_array_equal(np.isnan(gradient), [False, True, False])


# ----------------------------------------------------------------------------------------------- edges


@pytest.mark.parametrize("options", [OPTIONS[k] for k in ("plain", "focal", "asymmetric")])
def test_certainty_that_is_right_costs_nothing(options, device):
    z, t = torch.tensor([-INF, INF], device=device), torch.tensor([0, 1], device=device)
    for got in found(z, t, reduction="none", **options):
        np.testing.assert_array_equal(got, 0.0)


@pytest.mark.parametrize("options", [OPTIONS[k] for k in ("plain", "focal", "two gammas")])
def test_certainty_that_is_wrong_costs_infinity_with_a_finite_gradient(options, device):
    z, t = torch.tensor([INF, -INF], device=device), torch.tensor([0, 1], device=device)
    losses, gradient = found(z, t, reduction="none", **options)
    np.testing.assert_array_equal(losses, INF)
    np.testing.assert_array_equal(gradient, [1.0, -1.0])


def test_a_shifted_no_stays_finite_where_a_yes_is_certain(device):
    z = torch.tensor([INF, 1e30], device=device)
    for shift in (0.05, 5e-324):
        losses, gradient = found(z, torch.zeros(2, device=device), reduction="none", negative_shift=shift)
        np.testing.assert_allclose(losses, -np.log(shift), rtol=1e-6)
        np.testing.assert_array_equal(gradient, 0.0)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 4.0])
@pytest.mark.parametrize("shift", [5e-324, 1e-310, 1e-300])
def test_a_shift_whose_inverse_is_infinite_is_a_shift_like_any_other(shift, gamma, device):
    z, t = np.array([-745.0, -730.0, -710.0, -100.0, 30.0, 700.0, 900.0]), np.zeros(7, dtype=int)
    options = {"negative_link": Focal(gamma), "negative_shift": shift, "reduction": "none"}
    expected = loss_and_gradient(sigmoid_cross_entropy, z, t, **options)
    got = found(torch.tensor(z, device=device), torch.tensor(t, device=device), **options)
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-12, atol=1e-322)
    np.testing.assert_allclose(got[1], expected[1], rtol=1e-12, atol=1e-322)


@pytest.mark.parametrize("options", [OPTIONS[k] for k in ("plain", "focal", "asymmetric")])
def test_nan_spoils_its_element_only(options, device):
    z, t = (torch.tensor(x, device=device) for x in batch((70,)))
    z[3] = NAN
    for got in found(z, t, reduction="none", **options):
        np.testing.assert_array_equal(np.isnan(got), np.arange(70) == 3)


@pytest.mark.parametrize("label", [-100, NAN])
@pytest.mark.parametrize("options", [OPTIONS[k] for k in ("plain", "smoothed", "asymmetric")])
def test_weight_zero_silences_logit_and_label(options, label, device):
    z = torch.tensor([NAN, INF, -INF, 1.0, 2.0], device=device)
    t = torch.tensor([1, 0, 1, label, 1], device=device)
    weight = torch.tensor([0.0, 0, 0, 0, 1], device=device)
    losses, gradient = found(z, t, sample_weight=weight, reduction="none", **options)
    np.testing.assert_array_equal(losses[:4], 0.0)
    np.testing.assert_array_equal(gradient[:4], 0.0)
    assert losses[4] > 0
    assert found(z, t, sample_weight=weight, **options)[0] == pytest.approx(losses[4])


@pytest.mark.parametrize(("z", "t", "weight"), [([], [], None), ([1.0, NAN], [1, 0], [0.0, 0.0])])
def test_nothing_to_average(z, t, weight, device):
    z, t = torch.tensor(z, device=device), torch.tensor(t, dtype=torch.int64, device=device)
    weight = None if weight is None else torch.tensor(weight, device=device)
    for empty, mean in (("zero", 0.0), ("nan", NAN)):
        loss, gradient = found(z, t, sample_weight=weight, empty=empty)
        np.testing.assert_array_equal(loss, mean)
        np.testing.assert_array_equal(gradient, np.zeros(len(z)))
    with pytest.raises(ValueError, match="nothing to average"):
        sigmoid_cross_entropy(z, t, sample_weight=weight, empty="raise")


def test_a_divisor_of_zero_divides_nothing(device):
    z, t = (torch.tensor(x, device=device) for x in batch())
    loss, gradient = found(z, t, normalizer=0.0)
    assert loss == 0
    np.testing.assert_array_equal(gradient, 0.0)


def test_nothing_has_no_losses(device):
    losses, gradient = found(
        torch.empty(0, 3, device=device), torch.empty(0, 3, device=device), reduction="none"
    )
    assert losses.shape == gradient.shape == (0, 3)


# --------------------------------------------------------------------------------------------- layouts


def strided(x, kind):
    """Equal numbers, otherwise laid out."""
    if kind == "channels last":
        return x.movedim(1, -1).contiguous().movedim(-1, 1)
    if kind == "transposed":
        return x.permute(2, 1, 0).contiguous().permute(2, 1, 0)
    if kind == "every other":
        return x.repeat_interleave(2, -1)[..., ::2]
    return x.contiguous()


LAYOUTS = ("contiguous", "channels last", "transposed", "every other")


@pytest.mark.parametrize("labels_are", LAYOUTS)
@pytest.mark.parametrize("logits_are", LAYOUTS)
def test_strides_do_not_matter(logits_are, labels_are, device):
    values, labels = batch()
    options = {
        "axis": 1,
        "class_weight": [1.0, 0.5, 2.0],
        "sample_weight": np.linspace(0, 2, 20).reshape(4, 5),
    }
    expected = loss_and_gradient(sigmoid_cross_entropy, values, labels, reduction="none", **options)
    z = strided(torch.tensor(values, device=device), logits_are)
    t = strided(torch.tensor(labels, device=device), labels_are)
    got = found(z, t, reduction="none", **on(device, options))
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-13)
    np.testing.assert_allclose(got[1], expected[1], rtol=1e-13)


def test_a_gradient_is_laid_out_as_the_logits(device):
    z = strided(torch.tensor(batch()[0], device=device), "channels last").requires_grad_()
    sigmoid_cross_entropy(z, torch.zeros(SHAPE, device=device), axis=1).backward()
    assert z.grad.stride() == z.stride()


@pytest.mark.parametrize("shape", [(), (1,), (5,), (1, 1), (5, 1), (1, 5), (2, 3, 1, 4)])
def test_any_number_of_axes(shape, device):
    values, labels = batch(shape)
    expected = loss_and_gradient(sigmoid_cross_entropy, values, labels, class_weight=3.0, reduction="none")
    z, t = (torch.tensor(x, device=device) for x in (values, labels))
    got = found(z, t, class_weight=3.0, reduction="none")
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-13)
    np.testing.assert_allclose(got[1], expected[1], rtol=1e-13)


def test_logits_that_are_expanded(device):
    values, _ = batch((4, 1, 5))
    z = torch.tensor(values, device=device).expand(SHAPE)
    t = torch.tensor(batch()[1], device=device)
    expected = loss_and_gradient(
        sigmoid_cross_entropy, np.broadcast_to(values, SHAPE).copy(), t.cpu().numpy()
    )
    np.testing.assert_allclose(found(z, t)[1], expected[1], rtol=1e-13)


def test_layouts_with_more_axes_than_the_kernels_walk_are_copied(device):
    values, labels = batch((2, 3, 2, 3, 2))
    z, t = torch.tensor(values, device=device), torch.tensor(labels, device=device)
    t = t.permute(4, 3, 2, 1, 0).contiguous().permute(4, 3, 2, 1, 0)
    assert layout.laid_out([z, t], None)[0][1] is not t
    expected = loss_and_gradient(sigmoid_cross_entropy, z.cpu().numpy(), t.cpu().numpy(), reduction="none")
    got = found(z, t, reduction="none")
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-13)
    np.testing.assert_allclose(got[1], expected[1], rtol=1e-13)


def test_layouts_the_kernels_can_walk_are_not_copied(device):
    for kind in LAYOUTS:
        z = strided(torch.zeros(SHAPE, device=device), kind)
        weights = torch.zeros(3, 1, device=device).expand(SHAPE)
        assert layout.laid_out([z, weights, None], z.dtype)[0][0] is z


def test_offsets_are_not_cut_to_32_bits(device):
    """Rows of labels that lie 2³¹ bytes apart; nothing between them is ever touched."""
    far = torch.empty(2**31 + 3, dtype=torch.uint8, device=device)
    t = far.as_strided((2, 3), (2**31, 1))
    t.copy_(torch.tensor([[0, 1, 0], [1, 1, 0]]))
    values, _ = batch((2, 3))
    expected = loss_and_gradient(sigmoid_cross_entropy, values, t.cpu().numpy())
    got = found(torch.tensor(values, device=device), t)
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-13)
    np.testing.assert_allclose(got[1], expected[1], rtol=1e-13)


def test_axes_too_long_for_32_bits_are_counted_in_64(device, monkeypatch):
    monkeypatch.setattr(layout, "INT32", 2)
    test_strides_do_not_matter("channels last", "transposed", device)


# --------------------------------------------------------------------------------------- differentiation


@pytest.mark.parametrize(
    "options", [OPTIONS[k] for k in ("smoothed", "two gammas", "asymmetric", "everything")]
)
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_first_and_second_derivatives_are_right(options, reduction, device):
    values, labels = batch((2, 3))
    z, t = torch.tensor(values, device=device, requires_grad=True), torch.tensor(labels, device=device)
    options = on(device, options)
    if "sample_weight" in options:
        options["sample_weight"] = torch.rand(2, dtype=torch.float64, device=device)

    def loss(z):
        return sigmoid_cross_entropy(z, t, axis=1, reduction=reduction, **options)

    assert torch.autograd.gradcheck(loss, (z,))
    assert torch.autograd.gradgradcheck(loss, (z,))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_any_upstream_gradient_scales_and_a_graph_can_be_walked_twice(reduction, device):
    values, labels = batch()
    z, t = torch.tensor(values, device=device, requires_grad=True), torch.tensor(labels, device=device)
    loss = sigmoid_cross_entropy(z, t, reduction=reduction)
    once = torch.autograd.grad(loss, z, torch.ones_like(loss), retain_graph=True)[0]
    upstream = torch.rand_like(loss).mT if loss.ndim else torch.rand_like(loss)
    upstream = upstream.contiguous().mT if loss.ndim else upstream
    again = torch.autograd.grad(loss, z, upstream)[0]
    torch.testing.assert_close(again, once * upstream, rtol=1e-14, atol=0)


def test_a_divisor_on_the_device_is_read_there(device):
    z, t = (torch.tensor(x, device=device) for x in batch())
    N = torch.tensor(5.0, device=device)
    for got, expected in zip(found(z, t, normalizer=N), found(z, t, normalizer=5.0), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_inputs_are_left_alone(device):
    z, t = (torch.tensor(x, device=device) for x in batch())
    before = z.clone(), t.clone()
    found(z, t, link=Focal(2.0))
    assert torch.equal(z, before[0])
    assert torch.equal(t, before[1])


# -------------------------------------------------------------------------------------------- dispatch


def test_links_without_a_kernel_take_the_formula(device):
    z, t = (torch.tensor(x, device=device) for x in batch())
    expected = loss_and_gradient(sigmoid_cross_entropy, z.cpu().numpy(), t.cpu().numpy(), link=Poly(0.5))
    np.testing.assert_allclose(found(z, t, link=Poly(0.5))[1], expected[1], rtol=1e-12)


def test_which_kernels_serve_a_device(monkeypatch):
    monkeypatch.undo()
    assert _sigmoid_torch.kernels(torch.device("cuda", 1)) is _sigmoid_triton
    assert _sigmoid_torch.kernels(torch.device("meta")) is None
    assert isinstance(_sigmoid_torch.kernels(torch.device("cpu")), _sigmoid_torch.NativeKernels)


def test_kernels_are_launched_on_the_device_of_their_tensors(monkeypatch, device):
    entered, inside = [], []

    @contextmanager
    def recorded(x):
        entered.append(x.device)
        yield
        entered.append(None)

    class Watched:
        def __init__(self, kernel):
            self.kernel = kernel

        def __getitem__(self, grid):
            inside.append(entered[-1])
            return self.kernel[grid]

    for module, names in ((sigmoid, ("_loss_kernel", "_gradient_kernel")), (means, ("_mean_kernel",))):
        monkeypatch.setattr(module, "on_device_of", recorded)
        for name in names:
            monkeypatch.setattr(module, name, Watched(getattr(module, name)))
    z, t = (torch.tensor(x, device=device) for x in batch())
    found(z, t)
    assert [place.type for place in inside] == [device.type] * 3


def test_nothing_is_read_back(device, monkeypatch):
    """A host that reads a value waits for all that the device has yet to do."""

    def read(*_):
        raise AssertionError("a value was read")

    values, labels = batch()
    z, t = torch.tensor(values, device=device, requires_grad=True), torch.tensor(labels, device=device)
    weight, N = torch.rand(z.shape, device=device), torch.tensor(3.0, device=device)
    for name in ("item", "__bool__", "__float__", "__int__", "tolist"):
        monkeypatch.setattr(torch.Tensor, name, read)
    for options in ({}, {"normalizer": N}, {"reduction": "sum"}, {"empty": "nan"}):
        loss = sigmoid_cross_entropy(z, t, sample_weight=weight, pos_weight=2.0, **options)
        torch.autograd.grad(loss, z)


@on_a_gpu
@each_option
def test_a_step_can_be_captured_in_a_graph(options, device):
    values, labels = batch()
    z, t = torch.tensor(values, device=device, requires_grad=True), torch.tensor(labels, device=device)
    options = {"axis": 1, **on(device, options)}
    expected = found(z, t, **options)
    graph = torch.cuda.CUDAGraph()
    z = z.detach().zero_().requires_grad_()
    with torch.cuda.graph(graph):
        loss = sigmoid_cross_entropy(z, t, **options)
        (gradient,) = torch.autograd.grad(loss, z)
    z.detach().copy_(torch.tensor(values))
    graph.replay()
    np.testing.assert_array_equal(loss.item(), expected[0])
    np.testing.assert_array_equal(gradient.cpu().numpy(), expected[1])


STEPS = """
    from crossentropy.kernels._triton import sigmoid
    from crossentropy.kernels._triton.means import Mean

    def step(logits, labels, weights, divisor, formula):
        elements = sigmoid.Elements(logits, labels, *[weights] * 3)
        value, used = sigmoid.mean_loss(elements, formula, Mean(divisor, 0.0))
        sigmoid.gradient(elements, formula, value, used)
        sigmoid.gradient(elements, formula, sigmoid.element_losses(elements, formula), None)

    z, plain, soft = torch.randn(4, 3, 5), sigmoid.Formula(0.0, 0.0, 0.0, 0.0), sigmoid.Formula(0.1, 2.0, 1.0, 0.1)
    step(z, z, None, 2.0, plain)
    step(z.bfloat16(), z.byte(), z[0].expand(4, 3, 5), None, soft._replace(negative_shift=0.0))
    step(z.double(), z.long().mT.contiguous().mT, z[:, :1].expand(4, 3, 5), torch.ones(()), soft)
"""


def test_the_kernels_compile_for_a_gpu(tmp_path):
    assert compiled_kernels(STEPS, tmp_path) == (15, False)
