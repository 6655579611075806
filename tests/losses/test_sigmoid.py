"""The sigmoid family on NumPy arrays, against mpmath."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossentropy import loss_and_gradient, sigmoid_cross_entropy
from crossentropy.links import CrossEntropy, Focal

INF, NAN = float("inf"), float("nan")
ctx = mpmath.mp.clone()
ctx.prec = 400


def log_sigmoid(x):
    return -ctx.log1p(ctx.exp(-x)) if x > 0 else x - ctx.log1p(ctx.exp(x))


def element(z, t, *, smoothing=0.0, pos=1.0, weight=1.0, gammas=(0.0, 0.0), shift=0.0):
    """One element's loss, written from its definition."""
    z, t, smoothing, pos, weight, shift = map(ctx.mpf, (z, t, smoothing, pos, weight, shift))
    q = (1 - smoothing) * t + smoothing / 2
    p_m = ctx.exp(log_sigmoid(z)) - shift
    loss = ctx.mpf(0)
    if q != 0:
        loss += pos * q * ctx.exp(gammas[0] * log_sigmoid(-z)) * -log_sigmoid(z)
    if q != 1 and p_m > 0:
        log_rest = log_sigmoid(-z) if shift == 0 else ctx.log(1 - p_m)
        loss += (1 - q) * p_m ** ctx.mpf(gammas[1]) * -log_rest
    return weight * loss


def slope(z, t, **options):
    h = ctx.mpf(10) ** -50
    return (element(z + h, t, **options) - element(z - h, t, **options)) / (2 * h)


def links(gammas):
    return {"link": Focal(gammas[0]), "negative_link": Focal(gammas[1])}


def distance(got, truth):
    """|got − truth| in units in the last place of `got`'s type."""
    unit = ctx.mpf(float(np.spacing(np.abs(np.asarray(float(truth), got.dtype)))))
    return float(abs(ctx.mpf(float(got)) - truth) / unit)


def none(z, t, **options):
    return loss_and_gradient(sigmoid_cross_entropy, z, t, reduction="none", **options)


def batch(shape, seed=0, dtype="float64"):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=shape) * 4).astype(dtype), rng.integers(0, 2, size=shape)


# ---------------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@settings(max_examples=200, deadline=None)
@given(exponent=st.floats(-30, 30), up=st.booleans(), label=st.integers(0, 1))
def test_the_loss_is_within_4_ulp_at_any_logit(dtype, exponent, up, label):
    z = np.asarray([(1 if up else -1) * 10.0**exponent], dtype)
    losses, _ = none(z, np.asarray([label]))
    assert distance(losses[0], element(z[0].item(), label)) <= 4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@settings(max_examples=200, deadline=None)
@given(z=st.floats(-100, 100), label=st.integers(0, 1))
def test_the_gradient_is_within_4_ulp_in_both_tails(dtype, z, label):
    z = np.asarray([z], dtype)
    _, gradient = none(z, np.asarray([label]))
    truth = ctx.exp(log_sigmoid(-z[0].item())) * -1 if label else ctx.exp(log_sigmoid(z[0].item()))
    assert distance(gradient[0], truth) <= 4


def test_a_margin_of_20_in_float32_keeps_its_digits():
    losses, gradient = none(np.asarray([20.0], "float32"), np.asarray([1]))
    assert losses[0] == np.float32(2.0611537e-9)
    assert gradient[0] == np.float32(-2.0611537e-9)


@settings(max_examples=150, deadline=None)
@given(
    z=st.floats(-30, 30),
    t=st.floats(0, 1),
    smoothing=st.sampled_from([0.0, 0.1]),
    gammas=st.sampled_from([(0.0, 0.0), (2.0, 2.0), (0.5, 3.0), (0.0, 4.0)]),
    shift=st.sampled_from([0.0, 0.05]),
    weight=st.sampled_from([0.25, 1.0, 3.0]),
)
def test_loss_and_gradient_are_those_of_the_definition(z, t, smoothing, gammas, shift, weight):
    z = np.round(z * 64) / 64  # away from the shift's kink
    options = {"smoothing": smoothing, "gammas": gammas, "shift": shift, "weight": weight, "pos": 2.0}
    losses, gradient = none(
        np.asarray([z]),
        np.asarray([t]),
        label_smoothing=smoothing,
        negative_shift=shift,
        sample_weight=np.asarray([weight]),
        pos_weight=2.0,
        **links(gammas),
    )
    np.testing.assert_allclose(losses[0], float(element(z, t, **options)), rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(gradient[0], float(slope(z, t, **options)), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
def test_focal_keeps_relative_precision_in_float32(gamma):
    z = np.linspace(-15, 15, 61).astype("float32")
    losses, _ = none(z, np.ones(61, int), link=Focal(gamma))
    truth = [float(element(x, 1, gammas=(gamma, gamma))) for x in z.tolist()]
    np.testing.assert_allclose(losses, truth, rtol=(4 + gamma * 15) * 2**-23)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_the_loss_is_never_narrower_than_float32_and_the_gradient_has_the_logits_type(dtype):
    z, t = batch((3, 4), dtype=dtype)
    losses, gradient = none(z, t)
    assert (losses.dtype, gradient.dtype) == (np.float32, z.dtype)
    exact = none(z.astype("float64"), t)[1]
    np.testing.assert_allclose(gradient, exact, rtol=2e-3 if dtype == "float16" else 1e-6)


def test_half_precision_logits_give_the_loss_of_their_exact_values():
    z, t = batch((200,), dtype="float16")
    np.testing.assert_array_equal(none(z, t)[0], none(z.astype("float32"), t)[0])


@pytest.mark.parametrize("shift", [0.0, 0.1])
@pytest.mark.parametrize("gammas", [(0.0, 0.0), (2.0, 2.0)])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_an_elements_result_does_not_depend_on_its_place(gammas, shift, dtype):
    z, t = batch((200,), dtype=dtype)
    together = none(z, t, negative_shift=shift, **links(gammas))
    for i in (0, 63, 64, 190, 199):
        alone = none(z[i : i + 1], t[i : i + 1], negative_shift=shift, **links(gammas))
        assert (alone[0][0], alone[1][0]) == (together[0][i], together[1][i])


def test_weights_of_one_change_no_bit():
    z, t = batch((5, 77), dtype="float32")
    plain, weighted = none(z, t), none(z, t, sample_weight=np.ones(z.shape))
    np.testing.assert_array_equal(plain[0], weighted[0])
    np.testing.assert_array_equal(plain[1], weighted[1])


def test_a_long_sum_is_accurate():
    z, t = batch((300_001,), dtype="float32")
    truth = np.mean(np.logaddexp(0, np.where(t, -1, 1) * z.astype("float64")))
    assert sigmoid_cross_entropy(z, t) == pytest.approx(truth, rel=1.5e-7)


# ---------------------------------------------------------------------------------------------- links


class Halved:
    """A link the kernel does not know."""

    def __init__(self, link):
        self.link = link

    def loss(self, D):
        return self.link.loss(D) / 2

    def gain(self, D):
        return self.link.gain(D) / 2


@pytest.mark.parametrize("shift", [0.0, 0.2])
@pytest.mark.parametrize("link", [CrossEntropy(), Focal(2.0)])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_any_link_takes_the_reference_formula(link, shift, reduction):
    z, t = batch((6, 5))
    options = {
        "negative_shift": shift,
        "label_smoothing": 0.1,
        "reduction": reduction,
        "class_weight": [1.0, 2, 3, 0.5, 1],
        "sample_weight": np.arange(6.0),
    }
    loss, gradient = loss_and_gradient(sigmoid_cross_entropy, z, t, link=link, **options)
    halves = loss_and_gradient(sigmoid_cross_entropy, z, t, link=Halved(link), **options)
    np.testing.assert_allclose(2 * halves[0], loss, rtol=1e-12)
    np.testing.assert_allclose(2 * halves[1], gradient, rtol=1e-10, atol=1e-14)


# ---------------------------------------------------------------------------------------------- weights


def test_weights_follow_their_axes():
    z, t = batch((2, 3, 4))
    class_weight, pos_weight = np.asarray([1.0, 2.0, 0.5]), np.asarray([3.0, 1.0, 2.0])
    rows = np.arange(1.0, 9.0).reshape(2, 4)
    losses, gradient = none(
        z, t, axis=1, class_weight=class_weight, pos_weight=pos_weight, sample_weight=rows
    )
    plain = none(z, t)
    factor = rows[:, None, :] * class_weight[:, None] * np.where(t, pos_weight[:, None], 1.0)
    np.testing.assert_allclose(losses, factor * plain[0], rtol=1e-14)
    np.testing.assert_allclose(gradient, factor * plain[1], rtol=1e-14)


def test_a_weight_for_every_element_scales_it():
    z, t = batch((3, 70))
    weight = np.random.default_rng(1).uniform(size=z.shape)
    np.testing.assert_allclose(none(z, t, sample_weight=weight)[0], weight * none(z, t)[0], rtol=1e-14)


def test_the_mean_divides_by_the_weight_without_pos_weight():
    z, t = batch((4, 3))
    w, omega = np.asarray([1.0, 2.0, 3.0]), np.asarray([1.0, 0.0, 2.0, 1.0])
    options = {"class_weight": w, "sample_weight": omega, "pos_weight": 5.0}
    losses = none(z, t, **options)[0]
    mean, gradient = loss_and_gradient(sigmoid_cross_entropy, z, t, **options)
    assert mean == pytest.approx(losses.sum() / (omega[:, None] * w).sum(), rel=1e-14)
    np.testing.assert_allclose(gradient, none(z, t, **options)[1] / 24, rtol=1e-14)


@pytest.mark.parametrize(("normalizer", "divisor"), [("count", 12), (7.0, 7), (3, 3)])
def test_the_mean_divides_by_what_it_is_told(normalizer, divisor):
    z, t = batch((4, 3))
    options = {"sample_weight": np.asarray([1.0, 0.0, 2.0, 1.0])}
    mean, gradient = loss_and_gradient(sigmoid_cross_entropy, z, t, normalizer=normalizer, **options)
    losses, slopes = none(z, t, **options)
    assert mean == pytest.approx(losses.sum() / divisor, rel=1e-14)
    np.testing.assert_allclose(gradient, slopes / divisor, rtol=1e-14)


def test_an_array_divides_element_by_element():
    z, t = batch((4, 3))
    N = np.arange(12.0).reshape(4, 3)  # a divisor of 0 counts nothing
    mean, gradient = loss_and_gradient(sigmoid_cross_entropy, z, t, normalizer=N)
    losses, slopes = none(z, t)
    inverse = np.divide(1, N, out=np.zeros_like(N), where=N > 0)
    assert mean == pytest.approx((losses * inverse).sum(), rel=1e-14)
    np.testing.assert_allclose(gradient, slopes * inverse, rtol=1e-12)


@pytest.mark.parametrize("shape", [(), (5,), (5, 1)])
def test_one_question_takes_a_number_as_pos_weight(shape):
    z, t = batch(shape)
    expected = none(z, t)[0] * np.where(t, 3.0, 1.0)
    np.testing.assert_allclose(none(z, t, pos_weight=3.0)[0], expected, rtol=1e-14)
    mean = sigmoid_cross_entropy(z, t, pos_weight=3.0, class_weight=2.0)
    assert mean == pytest.approx(expected.mean(), rel=1e-14)


# ---------------------------------------------------------------------------------------------- edges


@pytest.mark.parametrize(
    "options", [{}, links((2.0, 2.0)), {"negative_shift": 0.1}, {"link": Halved(CrossEntropy())}]
)
@pytest.mark.parametrize(("z", "t"), [(-INF, 0), (INF, 1)])
def test_certainty_that_is_right_costs_nothing(z, t, options):
    losses, gradient = none(np.asarray([z, 0.0]), np.asarray([t, t]), **options)
    assert losses[0] == gradient[0] == 0
    assert np.isfinite(losses[1])


@pytest.mark.parametrize("options", [{}, links((2.0, 2.0)), links((0.0, 0.5))])
@pytest.mark.parametrize(("z", "t"), [(INF, 0), (-INF, 1)])
def test_certainty_that_is_wrong_costs_infinity_with_a_finite_gradient(z, t, options):
    losses, gradient = none(np.asarray([z]), np.asarray([t]), **options)
    assert losses[0] == INF
    assert gradient[0] == (1 if t == 0 else -1)


@pytest.mark.parametrize("options", [{}, links((2.0, 2.0)), {"negative_shift": 0.1}])
def test_nan_spoils_its_element_only(options):
    z, t = batch((70,))
    z[3] = NAN
    losses, gradient = none(z, t, **options)
    np.testing.assert_array_equal(np.isnan(losses), np.arange(70) == 3)
    np.testing.assert_array_equal(np.isnan(gradient), np.arange(70) == 3)


@pytest.mark.parametrize("options", [{}, {"link": Halved(CrossEntropy())}, {"label_smoothing": 0.1}])
@pytest.mark.parametrize("dtype", [int, float])
def test_weight_zero_silences_logit_and_label(options, dtype):
    z = np.asarray([NAN, INF, -INF, 1.0, 2.0])
    t = np.asarray([1, 0, 1, -100, 1], dtype)
    losses, gradient = none(z, t, sample_weight=np.asarray([0.0, 0, 0, 0, 1]), **options)
    np.testing.assert_array_equal(losses[:4], 0.0)
    np.testing.assert_array_equal(gradient[:4], 0.0)
    assert losses[4] > 0


@pytest.mark.parametrize(
    ("z", "t", "weight"), [([], [], None), ([1.0, NAN], [1, 0], [0.0, 0.0])], ids=["empty", "weights of 0"]
)
def test_nothing_to_average(z, t, weight):
    z, t = np.asarray(z), np.asarray(t, int)
    weight = None if weight is None else np.asarray(weight)
    loss, gradient = loss_and_gradient(sigmoid_cross_entropy, z, t, sample_weight=weight)
    assert loss == 0
    np.testing.assert_array_equal(gradient, np.zeros_like(z))
    loss, gradient = loss_and_gradient(sigmoid_cross_entropy, z, t, sample_weight=weight, empty="nan")
    assert np.isnan(loss)
    np.testing.assert_array_equal(gradient, np.zeros_like(z))
    with pytest.raises(ValueError, match="nothing to average"):
        sigmoid_cross_entropy(z, t, sample_weight=weight, empty="raise")


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
)
def test_any_integer_type_will_do_for_labels(dtype):
    z, t = batch((100,))
    np.testing.assert_array_equal(none(z, t.astype(dtype))[0], none(z, t)[0])


def test_strides_do_not_matter():
    z, t = batch((64, 6), dtype="float32")
    expected = none(np.ascontiguousarray(z[::2, ::-1]), np.ascontiguousarray(t[::2, ::-1]))
    got = none(z[::2, ::-1], t[::2, ::-1])
    np.testing.assert_array_equal(got[0], expected[0])
    np.testing.assert_array_equal(got[1], expected[1])


# ---------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("label", "dtype", "message"),
    [
        (2, int, r"labels\[1, 2\] is 2, but an integer label is 0 or 1"),
        (-1, int, r"labels\[1, 2\] is -1.*sample_weight=\(labels >= 0\)"),
        (1.5, float, r"labels\[1, 2\] is 1\.5.*between 0 and 1"),
        (NAN, float, r"labels\[1, 2\] is nan"),
    ],
)
@pytest.mark.parametrize("link", [None, Halved(CrossEntropy())])
def test_a_label_that_is_none_is_named(label, dtype, message, link):
    z, t = batch((3, 4))
    t = t.astype(dtype)
    t[1, 2] = t[2, 0] = label
    with pytest.raises(ValueError, match=message):
        sigmoid_cross_entropy(z, t, link=link)


@pytest.mark.parametrize("link", [None, Halved(CrossEntropy())])
def test_without_validation_a_bad_integer_gives_nan_and_a_float_is_taken_at_its_word(link):
    z = np.asarray([0.5, 0.5])
    factor = 1 if link is None else 2
    losses, gradient = none(z, np.asarray([2, 1]), validate="none", link=link)
    np.testing.assert_array_equal(np.isnan(losses), [True, False])
    np.testing.assert_array_equal(np.isnan(gradient), [True, False])
    losses, gradient = none(z, np.asarray([2.0, 1.0]), validate="none", link=link)
    assert factor * losses[0] == pytest.approx(np.logaddexp(0, 0.5) - 2 * 0.5, rel=1e-14)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pos_weight": np.ones(4)}, r"pos_weight has shape \(4,\).*shape \(3,\)"),
        ({"class_weight": np.ones((2, 3))}, r"class_weight has shape \(2, 3\)"),
        ({"sample_weight": np.ones(3)}, r"sample_weight has shape \(3,\); pass shape \(2, 3\) or \(2,\)"),
        ({"axis": 2}, "axis is 2"),
        ({"label_smoothing": 1.5}, "label_smoothing is 1.5"),
        ({"negative_shift": 1.0}, "negative_shift is 1.0"),
        ({"validate": "maybe"}, "validate is 'maybe'"),
        ({"reduction": "avg"}, "reduction is 'avg'"),
        ({"sample_weight": np.asarray([1.0, -1.0])}, "count"),
        ({"sample_weight": np.asarray([1.0, -1.0]), "link": Halved(CrossEntropy())}, "count"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        sigmoid_cross_entropy(*batch((2, 3)), **options)


def test_labels_are_not_broadcast():
    with pytest.raises(ValueError, match=r"labels have shape \(4,\) but logits have shape \(4, 1\)"):
        sigmoid_cross_entropy(np.zeros((4, 1)), np.zeros(4, int))


def test_logits_must_be_floating():
    with pytest.raises(TypeError, match="logits have dtype int64"):
        sigmoid_cross_entropy(np.zeros(4, "int64"), np.zeros(4, int))


def test_weights_of_both_signs_can_be_divided_by_the_count():
    z, t = batch((2, 3))
    omega = np.asarray([1.0, -1.0])
    mean = sigmoid_cross_entropy(z, t, sample_weight=omega, normalizer="count")
    assert mean == pytest.approx((none(z, t)[0] * omega[:, None]).mean(), rel=1e-12)


def test_class_weights_may_be_strided_views():
    z, t = batch((2, 3))
    strided, reverse = np.arange(6.0)[::2], np.asarray([1.0, 2.0, 3.0])[::-1]
    expected = none(z, t, class_weight=[0.0, 2.0, 4.0], pos_weight=[3.0, 2.0, 1.0])[0]
    np.testing.assert_array_equal(none(z, t, class_weight=strided, pos_weight=reverse)[0], expected)
