"""The sigmoid family by Triton's kernels: the native kernels' numbers and the truth's."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from crossentropy import loss_and_gradient, sigmoid_cross_entropy  # noqa: E402
from crossentropy._kernels.triton import means  # noqa: E402
from crossentropy.links import Focal  # noqa: E402
from oracle import ctx, derivative, log_sigmoid, mpf  # noqa: E402
from sigmoids_on_triton import (  # noqa: E402
    CANCELED,
    CLOSE,
    INF,
    NAN,
    OPTIONS,
    REDUCTIONS,
    SHAPE,
    batch,
    each_option,
    found,
    on,
    use_triton,
)
from ulps import allowed, errors  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.* encountered in:RuntimeWarning:triton")


@pytest.fixture(autouse=True)
def _triton_kernels(monkeypatch):
    use_triton(monkeypatch)


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
    np.testing.assert_allclose(got[1], gradient, rtol=single * CLOSE[dtype], atol=CANCELED[dtype])


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
    z[0, 0, 0] = NAN
    loss, gradient = found(z, t, normalizer=0.0)
    assert loss == 0
    np.testing.assert_array_equal(gradient, 0.0)


def test_nothing_has_no_losses(device):
    losses, gradient = found(
        torch.empty(0, 3, device=device), torch.empty(0, 3, device=device), reduction="none"
    )
    assert losses.shape == gradient.shape == (0, 3)
