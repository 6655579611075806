"""Entropy and its kin against their definitions in fifty digits, in every array library at hand."""

import importlib
import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossentropy.information import (
    cross_entropy,
    entropy,
    js_divergence,
    kl_divergence,
    mutual_information,
    perplexity,
)

ctx = mpmath.MPContext()
ctx.dps = 50
PAIRWISE = [cross_entropy, kl_divergence, js_divergence, perplexity]
LIBRARIES = ["numpy", "torch", "array_api_strict", "jax.numpy"]


# ------------------------------------------------------------------------------------ the definitions


def exact(p):
    return [ctx.mpf(float(x)) for x in np.asarray(p, dtype=np.float64).ravel()]


def true_entropy(p):
    return ctx.fsum(-x * ctx.log(x) for x in exact(p) if x)


def true_cross_entropy(p, q):
    return ctx.fsum(-x * ctx.log(y) for x, y in zip(exact(p), exact(q), strict=True) if x)


def kl_of_numbers(p, q):
    return ctx.fsum((x * ctx.log(x / y) if x else 0) - x + y for x, y in zip(p, q, strict=True))


def true_kl(p, q):
    return kl_of_numbers(exact(p), exact(q))


def true_js(p, q):
    p, q = exact(p), exact(q)
    m = [(x + y) / 2 for x, y in zip(p, q, strict=True)]
    return (kl_of_numbers(p, m) + kl_of_numbers(q, m)) / 2


def true_mutual_information(joint):
    """Of the joint distribution that `joint`, rounded numbers, is a multiple of."""
    P = np.array(exact(joint), dtype=object).reshape(np.shape(joint))
    P = P / P.sum()
    product = P.sum(1, keepdims=True) * P.sum(0, keepdims=True)
    return ctx.fsum(x * ctx.log(x / y) for x, y in zip(P.ravel(), product.ravel(), strict=True) if x)


def relative_error(value, truth):
    return abs(float((ctx.mpf(float(value)) - truth) / truth)) if truth else abs(float(value))


# ---------------------------------------------------------------------------------------------- distributions

weights = st.one_of(
    st.just(0.0), st.floats(1e-3, 1.0), st.floats(-290.0, 0.0).map(lambda exponent: 10.0**exponent)
)


@st.composite
def distributions(draw, count=1, entry=weights):
    """`count` distributions over the same classes, the last of them without a zero."""
    C = draw(st.integers(1, 6))
    rows = [draw(st.lists(entry, min_size=C, max_size=C)) for _ in range(count)]
    rows[-1] = [max(x, 1e-290) for x in rows[-1]]
    rows = [np.asarray(row) if sum(row) else np.ones(C) for row in rows]
    return [row / row.sum() for row in rows]


def close_pair(C=4, shift=1e-7, dtype=np.float64):
    """Two distributions whose entries differ by about `shift`, relatively."""
    rng = np.random.default_rng(C)
    p = rng.uniform(0.5, 1.5, C)
    step = p * rng.uniform(0.5, 1.0, C) * shift
    p, q = p / p.sum(), (p + step - step.mean()) / p.sum()
    return p.astype(dtype), q.astype(dtype)


def nearly_independent(shift, dtype=np.float64):
    rng = np.random.default_rng(3)
    a, b = rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(4))
    return (np.outer(a, b) * (1 + shift * rng.uniform(-1, 1, (3, 4)))).astype(dtype)


def array(library, values, dtype="float64"):
    pytest.importorskip(library)
    xp = importlib.import_module(library)
    return xp.asarray(values, dtype=getattr(xp, dtype))


# ----------------------------------------------------------------------------------------------------- values


@given(distributions())
def test_entropy_and_perplexity_are_what_they_are_defined_to_be(ps):
    (p,) = ps
    assert relative_error(entropy(p), true_entropy(p)) < 2e-15
    assert relative_error(perplexity(p), ctx.exp(true_entropy(p))) < 4e-15


@given(distributions(count=2))
def test_cross_entropy_is_what_it_is_defined_to_be(pq):
    truth = true_cross_entropy(*pq)
    assert relative_error(cross_entropy(*pq), truth) < 2e-15
    if truth < 700:
        assert relative_error(perplexity(*pq), ctx.exp(truth)) < 2e-15 * max(1, truth)


@given(distributions(count=2))
def test_kl_divergence_is_what_it_is_defined_to_be(pq):
    assert relative_error(kl_divergence(*pq), true_kl(*pq)) < 1e-14


@given(distributions(count=2))
def test_js_divergence_is_what_it_is_defined_to_be(pq):
    assert relative_error(js_divergence(*pq), true_js(*pq)) < 1e-14


@given(st.lists(st.lists(weights, min_size=3, max_size=3), min_size=1, max_size=4))
def test_mutual_information_is_what_it_is_defined_to_be(rows):
    joint = np.asarray(rows) if np.sum(rows) else np.ones((len(rows), 3))
    joint /= joint.sum()
    truth = true_mutual_information(joint)
    assert abs(float(mutual_information(joint)) - truth) <= 1e-14 * truth + 1e-28


@pytest.mark.parametrize("shift", [1e-14, 1e-12, 1e-9, 1e-7, 1e-4, 1e-2, 0.1, 0.5])
@pytest.mark.parametrize(("measure", "truth"), [(kl_divergence, true_kl), (js_divergence, true_js)])
def test_close_distributions_keep_their_digits(measure, truth, shift):
    for C in (2, 3, 10, 100):
        p, q = close_pair(C, shift)
        assert relative_error(measure(p, q), truth(p, q)) < 1e-15


@pytest.mark.parametrize("shift", [1e-10, 1e-7, 1e-4, 1e-2, 0.5])
def test_nearly_independent_variables_keep_their_digits(shift):
    joint = nearly_independent(shift)
    joint /= joint.sum()
    truth = true_mutual_information(joint)
    squared_rounding = 2.0**-105
    assert abs(mutual_information(joint) - truth) < 2e-15 * truth + squared_rounding


def test_a_sum_a_little_off_does_not_hide_a_small_mutual_information():
    joint = nearly_independent(1e-3)
    joint = (joint * (1 + 8e-6) / joint.sum()).astype(np.float32)
    assert relative_error(mutual_information(joint), true_mutual_information(joint)) < 1e-5


@pytest.mark.parametrize("shift", [1e-4, 1e-2])
def test_close_distributions_keep_their_digits_in_float32(shift):
    p, q = close_pair(shift=shift, dtype=np.float32)
    assert relative_error(kl_divergence(p, q), true_kl(p, q)) < 5e-7
    assert relative_error(js_divergence(p, q), true_js(p, q)) < 5e-7
    joint = nearly_independent(shift, np.float32)
    joint /= joint.sum()
    truth = true_mutual_information(joint)
    assert abs(float(mutual_information(joint)) - truth) < 1e-6 * truth + 2.0**-47


@given(st.floats(1e-6, 1.0 - 1e-6), st.floats(1e-6, 1.0 - 1e-6))
def test_two_classes_at_any_distance_keep_their_digits(x, y):
    p, q = np.asarray([x, 1 - x]), np.asarray([y, 1 - y])
    assert relative_error(kl_divergence(p, q), true_kl(p, q)) < 6e-15
    assert relative_error(js_divergence(p, q), true_js(p, q)) < 6e-15


def test_an_isolated_rare_pair_keeps_its_information():
    joint = np.asarray([[1.0, 0.0], [0.0, 1e-25]], dtype=np.float32)  # whose square underflows
    assert relative_error(mutual_information(joint), true_mutual_information(joint)) < 1e-6


def test_a_ratio_beyond_the_range_of_floats_is_not_infinite():
    p, q = np.asarray([0.5, 0.5]), np.asarray([5e-324, 1.0])
    assert relative_error(kl_divergence(p, q), true_kl(p, q)) < 1e-15


@given(distributions(count=2))
def test_divergences_are_never_negative(pq):
    p, q = pq
    assert kl_divergence(p, q) >= 0
    assert 0 <= js_divergence(p, q) <= math.log(2) * (1 + 1e-15)


@given(distributions())
def test_a_distribution_diverges_by_exactly_0_from_itself(ps):
    (p,) = ps
    assert kl_divergence(p, p) == 0
    assert js_divergence(p, p) == 0


def test_js_divergence_is_symmetric_to_the_bit():
    p, q = close_pair(50, 0.5)
    assert js_divergence(p, q) == js_divergence(q, p)


def test_certainty_has_entropy_positive_zero_and_perplexity_1():
    p = np.asarray([0.0, 1.0, 0.0])
    for zero in (entropy(p), cross_entropy(p, p), kl_divergence(p, p), js_divergence(p, p)):
        assert zero == 0
        assert math.copysign(1.0, zero) == 1.0
    assert perplexity(p) == 1.0


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_class_without_support_costs_nothing_if_it_does_not_occur_and_infinity_if_it_does(library):
    p, q = array(library, [0.5, 0.5, 0.0]), array(library, [1.0, 0.0, 0.0])
    for measure in (cross_entropy, kl_divergence, perplexity):
        assert math.isfinite(float(measure(q, p)))
        assert float(measure(p, q)) == math.inf
    assert math.isfinite(float(js_divergence(p, q)))


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_library_gives_the_same_numbers_in_its_own_arrays(library):
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.ones(6), (2, 3)), rng.dirichlet(np.ones(6), (2, 3))
    ours = [array(library, x) for x in (p, q)]
    tolerance = 1e-13 if "64" in str(ours[0].dtype) else 1e-5
    for measure in PAIRWISE:
        value = measure(*ours)
        assert type(value) is type(ours[0])
        assert value.dtype == ours[0].dtype
        np.testing.assert_allclose(np.asarray(value), measure(p, q), rtol=tolerance)
    for measure, options in [(entropy, {"base": 2}), (mutual_information, {"normalize": True})]:
        value = np.asarray(measure(ours[0], **options))
        np.testing.assert_allclose(value, measure(p, **options), rtol=tolerance)


# ---------------------------------------------------------------------------------------------- units, axes


@pytest.mark.parametrize("base", [2, 10, math.e, 0.5, np.float32(3)])
def test_base_is_the_unit(base):
    p, q = close_pair(shift=0.5)
    for measure in (cross_entropy, kl_divergence, js_divergence):
        units = float(measure(p, q)) / math.log(base)
        assert float(measure(p, q, base=base)) == pytest.approx(units, rel=1e-15)
    joint = np.outer(p, q) / 2 + np.diag(p) / 2
    units = float(mutual_information(joint)) / math.log(base)
    assert float(mutual_information(joint, base=base)) == pytest.approx(units, rel=1e-15)


@pytest.mark.parametrize("base", [0, -2, 1, 1.0, math.inf, math.nan, "e", [2]])
def test_a_base_that_has_no_logarithm_is_refused(base):
    with pytest.raises(ValueError, match=r"^base is .*; pass a finite number above 0 but not 1"):
        entropy([0.5, 0.5], base=base)


@pytest.mark.parametrize("axis", [0, 1, -1, -3])
def test_any_axis_can_hold_the_classes(axis):
    rng = np.random.default_rng(0)
    p, q = (np.moveaxis(rng.dirichlet(np.ones(4), (2, 3)), -1, axis) for _ in range(2))
    for measure in PAIRWISE:
        last = measure(np.moveaxis(p, axis, -1).copy(), np.moveaxis(q, axis, -1).copy())
        np.testing.assert_allclose(measure(p, q, axis=axis), last, rtol=1e-14)


def test_any_two_axes_can_hold_the_variables():
    joint = np.random.default_rng(0).dirichlet(np.ones(12), 5).reshape(5, 3, 4)
    expected = mutual_information(joint)
    assert expected.shape == (5,)
    moved = np.moveaxis(joint, 0, 1)
    np.testing.assert_allclose(mutual_information(moved, axes=(0, 2)), expected, rtol=1e-13)
    np.testing.assert_allclose(mutual_information(moved, axes=(-1, 0)), expected, rtol=1e-13)


@pytest.mark.parametrize("shape", [(4,), (1, 4), (3, 4), (2, 1, 4), (2, 3, 4)])
@pytest.mark.parametrize("measure", PAIRWISE)
def test_the_other_axes_broadcast(measure, shape):
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.ones(4), (2, 3)), rng.dirichlet(np.ones(4), shape[:-1])
    np.testing.assert_array_equal(measure(p, q), measure(p, np.broadcast_to(q, p.shape)))
    np.testing.assert_array_equal(measure(q, p), measure(np.broadcast_to(q, p.shape), p))


@pytest.mark.parametrize(("shape", "axis"), [((4, 0), 0), ((4, 0, 3), 0), ((0, 2, 4), (1, 2))])
def test_an_empty_batch_gives_an_empty_result_along_any_axes(shape, axis):
    p = np.zeros(shape)
    rows = tuple(np.delete(shape, axis))
    assert (
        entropy(p, axis=axis).shape
        == perplexity(p, axis=axis).shape
        == js_divergence(p, p, axis=axis).shape
        == rows
    )


def test_an_empty_batch_gives_an_empty_result():
    assert entropy(np.ones((0, 3))).shape == (0,)
    assert kl_divergence(np.ones((0, 3)), np.ones((0, 3))).shape == (0,)


def test_axes_are_counted_in_the_broadcast_shape():
    p, q = np.full((4, 3), 0.25), np.full((2, 4, 3), 0.25)
    assert cross_entropy(p, q, axis=1).shape == (2, 3)
    with pytest.raises(ValueError, match=r"p has shape \(3,\) and q has shape \(2, 3\): along axis -2"):
        cross_entropy(np.full(3, 0.5), np.full((2, 3), 0.5), axis=0)


@pytest.mark.parametrize("sizes", [(3, 2), (1, 3), (3, 1)])
def test_classes_never_broadcast(sizes):
    p, q = (np.full((2, C), 1 / C) for C in sizes)
    with pytest.raises(ValueError, match=r"p has shape .* along axis -1 the numbers of classes differ"):
        kl_divergence(p, q)


def test_shapes_that_do_not_broadcast_are_named():
    with pytest.raises(ValueError, match=r"p has shape \(3, 2\) and q has shape \(4, 2\), which do not"):
        kl_divergence(np.full((3, 2), 0.5), np.full((4, 2), 0.5))


@pytest.mark.parametrize("axis", [1, -2, None, 0.0, (1,), (0, 1)])
def test_an_axis_that_is_not_there_is_refused(axis):
    with pytest.raises(ValueError, match=r"^axis is .* but p has shape \(2,\); pass the number of one"):
        entropy([0.5, 0.5], axis=axis)


def test_a_number_is_no_distribution():
    with pytest.raises(ValueError, match=r"axis is -1 but p has shape \(\)"):
        entropy(1.0)


@pytest.mark.parametrize(
    ("axes", "error"), [(0, TypeError), ((0, 1, 2), TypeError), ((0, -2), ValueError), ((0, 2), ValueError)]
)
def test_axes_that_are_not_two_different_ones_are_refused(axes, error):
    with pytest.raises(error, match=r"ax[ei]s is"):
        mutual_information(np.full((2, 2), 0.25), axes=axes)


# ------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize("measure", [entropy, perplexity, *PAIRWISE])
def test_nothing_is_normalized_in_silence(measure):
    rows = [np.asarray([[0.5, 0.5], [0.5, 0.25]])] * (2 if measure in PAIRWISE else 1)
    with pytest.raises(ValueError, match=r"^p\[1, :\] sums to 0\.75, not to 1 .* pass normalize=True"):
        measure(*rows)
    expected = measure(*[row / row.sum(-1, keepdims=True) for row in rows])
    np.testing.assert_array_equal(measure(*rows, normalize=True), expected)


def test_a_joint_distribution_sums_to_one_over_both_axes():
    with pytest.raises(ValueError, match=r"^joint\[1, :, :\] sums to 2\.0, not to 1"):
        mutual_information(np.stack([np.full((2, 2), 0.25), np.full((2, 2), 0.5)]))
    counts = np.asarray([[30.0, 10.0], [10.0, 50.0]])
    expected = float(mutual_information(counts / 100))
    assert float(mutual_information(counts, normalize=True)) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-5), ("float16", 1e-3), ("bfloat16", 3e-3)]
)
def test_the_tolerance_of_a_sum_is_that_of_the_precision(dtype, tolerance):
    torch = pytest.importorskip("torch")
    # a row of a power of two and small change, so that half precision can be a little off
    row = torch.tensor([0.5, 0.5, tolerance / 2], dtype=torch.float64)
    entropy(row.to(getattr(torch, dtype)))
    row[-1] = 2 * tolerance
    with pytest.raises(ValueError, match=f"not to 1 within {tolerance:g} .torch.{dtype}."):
        entropy(row.to(getattr(torch, dtype)))


def test_a_long_row_in_float32_is_not_refused_for_rounding():
    p = np.full((100_000, 2), 1e-5, dtype=np.float32)
    assert abs(float(np.sum(p, axis=0)[0]) - 1) > 1e-5  # in float32, row by row
    np.testing.assert_allclose(entropy(p, axis=0), math.log(1e5), rtol=1e-6)


@pytest.mark.parametrize("bad", [-0.25, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("library", LIBRARIES)
def test_an_entry_that_is_no_probability_is_named_with_its_place(library, normalize, bad):
    p = array(library, [[0.5, 0.5], [0.5, 0.5], [bad, 1.25]])
    good = array(library, [0.5, 0.5])
    with pytest.raises(ValueError, match=rf"^q\[2, 0\] is {bad}, but probabilities are finite"):
        kl_divergence(good, p, normalize=normalize)


def test_a_row_of_zeros_cannot_be_normalized():
    with pytest.raises(ValueError, match=r"^p\[:, 1\] sums to 0\.0, which nothing can divide to 1"):
        entropy(np.asarray([[0.5, 0.0], [0.5, 0.0]]), axis=0, normalize=True)


@pytest.mark.parametrize(
    "p", [[1, 0], np.asarray([True, False]), np.asarray([0, 1], dtype="uint8")], ids=repr
)
def test_integers_that_sum_to_one_are_probabilities(p):
    value = entropy(p)
    assert value == 0
    assert value.dtype == np.float64


def test_counts_are_divided_by_their_sum():
    assert float(entropy([1, 1, 2], base=2, normalize=True)) == 1.5
    with pytest.raises(ValueError, match=r"^p\[:\] sums to 4.*pass normalize=True"):
        entropy([1, 1, 2])


def test_complex_numbers_are_refused():
    with pytest.raises(TypeError, match=r"^p has dtype complex128, .*numpy\.real\(p\)"):
        entropy(np.asarray([1j, 1.0]))


MEASURES = {
    "entropy": lambda p, q, **options: entropy(p, **options),
    "cross_entropy": cross_entropy,
    "kl_divergence": kl_divergence,
    "js_divergence": js_divergence,
    "perplexity": perplexity,
}


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("measure", MEASURES)
def test_several_axes_hold_one_distribution(measure, library):
    p, q = np.random.default_rng(5).dirichlet(np.ones(6), (2, 4)).reshape(2, 4, 2, 3)
    flat = MEASURES[measure](array(library, p.reshape(4, 6)), array(library, q.reshape(4, 6)))
    moved = [array(library, np.moveaxis(x, 1, 0)) for x in (p, q)]
    several = MEASURES[measure](*moved, axis=(0, -1))
    np.testing.assert_allclose(np.asarray(several), np.asarray(flat), rtol=1e-5)
    kept = MEASURES[measure](*moved, axis=(0, -1), keepdims=True)
    assert tuple(kept.shape) == (1, 4, 1)
    np.testing.assert_array_equal(np.asarray(kept)[0, :, 0], np.asarray(several))


def test_mutual_information_keeps_its_axes():
    joint = np.full((3, 2, 2), 0.25)
    assert mutual_information(joint, keepdims=True).shape == (3, 1, 1)


@pytest.mark.parametrize("axis", [(), (0, 0), (0, -2)])
def test_an_axis_is_named_once(axis):
    with pytest.raises(ValueError, match=r"^axis is .*; pass the axes of the classes, each once"):
        entropy(np.full((2, 2), 0.25), axis=axis)


def test_arrays_of_two_libraries_are_refused():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="pass arrays of one library"):
        kl_divergence(np.asarray([0.5, 0.5]), torch.tensor([0.5, 0.5]))


# ------------------------------------------------------------------------------------------------- precision


@pytest.mark.parametrize(
    ("given_dtype", "expected"),
    [("bfloat16", "float32"), ("float16", "float32"), ("float32", "float32"), ("float64", "float64")],
)
def test_results_are_in_float32_or_wider(given_dtype, expected):
    torch = pytest.importorskip("torch")
    p = torch.tensor([[0.25, 0.75], [0.5, 0.5]], dtype=getattr(torch, given_dtype))
    q = p.flip(0)
    assert {measure(p, q).dtype for measure in PAIRWISE} == {getattr(torch, expected)}
    assert entropy(p).dtype == mutual_information(p / 2).dtype == getattr(torch, expected)
    assert float(kl_divergence(p, q)[0]) == pytest.approx(float(true_kl([0.25, 0.75], [0.5, 0.5])), rel=2e-7)


def test_the_wider_of_two_precisions_wins():
    p = np.asarray([0.25, 0.75])
    assert kl_divergence(p.astype(np.float32), p).dtype == np.float64


# ------------------------------------------------------------------------------------------------- gradients


def gradients(measure, *arrays, **options):
    torch = pytest.importorskip("torch")
    tensors = [torch.tensor(x).requires_grad_() for x in arrays]
    return [g.numpy() for g in torch.autograd.grad(measure(*tensors, **options).sum(), tensors)]


def test_gradients_are_the_derivatives_where_there_is_one():
    p, q = close_pair(shift=0.5)
    m = (p + q) / 2
    expected = {
        cross_entropy: (-np.log(q), -p / q),
        kl_divergence: (np.log(p / q), 1 - p / q),
        js_divergence: (np.log(p / m) / 2, np.log(q / m) / 2),
    }
    for measure, formulas in expected.items():
        for ours, formula in zip(gradients(measure, p, q), formulas, strict=True):
            np.testing.assert_allclose(ours, formula, rtol=1e-12)
    np.testing.assert_allclose(gradients(entropy, p)[0], -np.log(p) - 1, rtol=1e-14)
    np.testing.assert_allclose(gradients(entropy, p, base=2)[0], (-np.log(p) - 1) / math.log(2), rtol=1e-14)


@pytest.mark.parametrize("shift", [1e-9, 1e-4])
def test_gradients_of_close_distributions_keep_their_digits(shift):
    p, q = close_pair(shift=shift)
    (gradient, _) = gradients(kl_divergence, p, q)
    truth = [ctx.log(x / y) for x, y in zip(exact(p), exact(q), strict=True)]
    assert max(relative_error(g, t) for g, t in zip(gradient, truth, strict=True)) < 1e-15


def test_gradients_are_finite_at_zeros_and_right_where_the_derivative_is_finite():
    p, q = np.asarray([0.0, 0.5, 0.5, 0.0]), np.asarray([0.25, 0.75, 0.0, 0.0])
    np.testing.assert_allclose(gradients(entropy, p)[0], [0, math.log(2) - 1, math.log(2) - 1, 0])
    by_p, by_q = gradients(cross_entropy, p, q)
    np.testing.assert_allclose(by_p, [math.log(4), math.log(4 / 3), 0, 0])
    np.testing.assert_allclose(by_q, [0, -2 / 3, 0, 0])
    by_p, by_q = gradients(kl_divergence, p, q)
    np.testing.assert_allclose(by_p, [0, math.log(2 / 3), 0, 0], rtol=1e-14)
    np.testing.assert_allclose(by_q, [1, 1 / 3, 0, 1], rtol=1e-14)
    assert all(np.isfinite(g).all() for g in gradients(js_divergence, p, q))
    assert np.isfinite(gradients(mutual_information, np.diag(p))[0]).all()


def test_gradients_of_subnormal_probabilities_are_finite():
    tiny = np.float32(1e-44)
    p, q = np.asarray([tiny, 1.0], np.float32), np.asarray([3 * tiny, 1.0], np.float32)
    by_p, by_q = gradients(kl_divergence, p, q)
    np.testing.assert_allclose(by_p, [np.log(p[0].astype(float) / q[0]), 0], rtol=0.02)
    np.testing.assert_allclose(by_q, [1 - p[0].astype(float) / q[0], 0], rtol=0.02)
    assert all(np.isfinite(g).all() for g in gradients(js_divergence, p, q))


def test_first_and_second_derivatives_pass_gradcheck():
    torch = pytest.importorskip("torch")
    logits = torch.randn(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    logits.requires_grad_()
    for measure in PAIRWISE:
        assert torch.autograd.gradcheck(lambda z, f=measure: f(*z.softmax(-1)), logits)
        assert torch.autograd.gradgradcheck(lambda z, f=measure: f(*z.softmax(-1)), logits[:, :1])
    assert torch.autograd.gradcheck(lambda z: entropy(z.exp(), normalize=True), logits)
    assert torch.autograd.gradcheck(lambda z: mutual_information(z.exp(), normalize=True), logits)


# --------------------------------------------------------------------------------------------------- tracing


def test_vmap_and_grad_of_torch_func_apply():
    torch = pytest.importorskip("torch")
    p, q = (torch.randn(5, 4, dtype=torch.float64).softmax(-1) for _ in range(2))
    for measure in PAIRWISE:
        torch.testing.assert_close(torch.func.vmap(measure)(p, q), measure(p, q), rtol=1e-14, atol=0)
    per_row = torch.func.vmap(torch.func.grad(kl_divergence))(p, q)
    torch.testing.assert_close(per_row, torch.log(p / q), rtol=1e-12, atol=1e-14)


@pytest.mark.filterwarnings("error")
def test_compilation_gives_one_graph_and_the_same_values_to_eight_units_of_the_last_place():
    torch = pytest.importorskip("torch")
    p, q = (torch.randn(4, 4, dtype=torch.float64).softmax(-1) for _ in range(2))

    def everything(p, q):
        pairs = [measure(p, q) for measure in PAIRWISE]
        return [*pairs, entropy(p, base=2), mutual_information(p, normalize=True)]

    compiled = torch.compile(everything, fullgraph=True, backend="eager")
    for ours, eager in zip(compiled(p, q), everything(p, q), strict=True):
        # One by the kernel, one by formulas, each within some units of the last place of the truth.
        torch.testing.assert_close(ours, eager, rtol=8 * 2**-52, atol=0)


def test_a_meta_tensor_gives_the_shape():
    torch = pytest.importorskip("torch")
    assert entropy(torch.ones(3, 4, device="meta")).shape == (3,)


def test_jax_can_trace_map_and_differentiate():
    jax = pytest.importorskip("jax")
    p, q = (jax.nn.softmax(jax.random.normal(jax.random.key(k), (5, 4))) for k in range(2))
    np.testing.assert_allclose(jax.jit(kl_divergence)(p, q), kl_divergence(p, q), rtol=1e-6)
    by_row = jax.vmap(jax.grad(kl_divergence))(p, q)
    np.testing.assert_allclose(by_row, np.log(p / q), rtol=1e-5)


# ------------------------------------------------------------------------------------ the loss, called by its name

ONE_HOT = np.asarray([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
SOFT = np.asarray([[0.2, 0.5, 0.3], [0.7, 0.2, 0.1]])
SCORES = np.asarray([[2.0, -1.0, 0.5], [0.0, 3.0, 1.0]])


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("p", "q", "error"),
    [
        (SCORES, np.asarray([0, 1]), TypeError),
        (SOFT, np.asarray([0, 1]), TypeError),
        (SOFT[:, :2] / SOFT[:, :2].sum(1, keepdims=True), np.asarray([0, 1]), TypeError),  # which broadcasts
        (SCORES, ONE_HOT.astype(np.int64), TypeError),
        (SCORES, ONE_HOT, ValueError),
        (SOFT, SCORES, ValueError),
        (ONE_HOT, 3 * SOFT, ValueError),
        (SCORES, np.asarray([0.0, 1.0]), ValueError),
    ],
)
def test_a_call_of_the_loss_is_answered_with_its_name(library, p, q, error):
    make = pytest.importorskip(library).asarray
    with pytest.raises(error, match=r"crossentropy\.softmax_cross_entropy\(logits, labels\)"):
        cross_entropy(make(p), make(q))


def test_a_refusal_of_other_kinds_does_not_speak_of_the_loss():
    for p, q in ((SOFT, SOFT[:, :2]), (SOFT, SOFT / 2), (SOFT, SOFT.astype(str))):
        with pytest.raises((TypeError, ValueError)) as caught:
            cross_entropy(p, q)
        assert "softmax_cross_entropy" not in str(caught.value)


def test_counts_are_no_labels():
    expected = float(true_cross_entropy([0.25, 0.75], [0.75, 0.25]))
    assert cross_entropy([1, 3], [3, 1], normalize=True) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("prediction", "truth", "axis"),
    [
        (SOFT, ONE_HOT, -1),
        (SOFT.T, ONE_HOT.T, 0),
        (SOFT[0], ONE_HOT[0], 0),
        (SOFT[:1] / 2 + np.zeros((2, 1)), np.stack([ONE_HOT[0], 0 * ONE_HOT[0]]), (0, 1)),  # one distribution
    ],
)
def test_a_one_hot_prediction_of_a_soft_truth_warns_that_the_order_is_the_other(
    library, prediction, truth, axis
):
    make = pytest.importorskip(library).asarray
    with pytest.warns(UserWarning, match=r"the order is \(labels, predictions\)") as caught:
        assert np.isinf(np.asarray(cross_entropy(make(prediction), make(truth), axis=axis))).all()
    assert caught[0].filename == __file__


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("p", "q"),
    [
        (ONE_HOT, SOFT),  # the right order
        (ONE_HOT, ONE_HOT),
        (SOFT, SOFT),
        (SOFT, np.asarray([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]])),  # infinite, but not one-hot
    ],
)
def test_other_predictions_warn_of_no_order(library, p, q, recwarn):
    make = pytest.importorskip(library).asarray
    cross_entropy(make(p), make(q))
    assert not [warning for warning in recwarn if "order" in str(warning.message)]


def test_a_traced_prediction_warns_of_no_order(recwarn):
    jax = pytest.importorskip("jax")
    assert np.isinf(jax.jit(cross_entropy)(SOFT, ONE_HOT)).all()
    assert not [warning for warning in recwarn if "order" in str(warning.message)]
