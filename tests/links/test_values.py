"""What links make of a probability: against hundreds of digits, at the ends, and against one another."""

import numpy as np
import pytest

import ulps
from crossentropy import links
from links.table import HUGE, LIBRARIES, ODDS, array, back, each_link, each_link_in, loss_gain_slope, wide


def assert_digits(found, expected, factor):
    """Within units in proportion to |D|, by as much as an error of log p shows."""
    limit = ulps.allowed(4 * np.maximum(1, np.abs(ODDS)) * factor, [float(x) for x in expected], "float64")
    off = np.abs(ulps.errors(found, expected))
    assert (off <= limit).all(), f"{(off / limit).max():.3g} limits off at D = {ODDS[np.argmax(off / limit)]}"


@each_link_in(*LIBRARIES)
def test_loss_gain_and_slope_keep_their_digits_in_both_tails(case, library):
    """The slope is the gain times what is missed."""
    truth = [case.truth(D) for D in ODDS]
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        values = loss_gain_slope(case.link, ODDS, library)
    for column, value in enumerate(values):
        assert_digits(value, [t[column] for t in truth], case.factor)


@each_link_in(*LIBRARIES)
def test_at_certainty_and_at_impossibility_a_link_has_its_limits(case, library):
    (sure, sure_gain), (never, never_gain) = case.ends
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        loss, gain, _ = loss_gain_slope(case.link, [-np.inf, np.inf], library)
    np.testing.assert_allclose(loss, [sure, never], rtol=1e-15)
    np.testing.assert_allclose(gain, [sure_gain, never_gain], rtol=1e-12)


@each_link_in(*LIBRARIES)
def test_log_odds_beyond_all_measure_are_no_nan_and_no_overflow(case, library):
    D = [-1e300, -1e30, -1000.0, 1000.0, 1e30, 1e300]
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        values = loss_gain_slope(case.link, D, library)
    assert not np.isnan(values).any()
    bounded = np.isfinite([case.ends[0][0], case.ends[1][0]])
    np.testing.assert_allclose(
        values[0][[0, -1]][bounded], np.array([e[0] for e in case.ends])[bounded], rtol=1e-15
    )


@each_link_in(*LIBRARIES)
def test_nan_is_answered_with_nan_and_nothing_else_is(case, library):
    loss, *_ = loss_gain_slope(case.link, [np.nan, 1.0], library)
    assert np.isnan(loss[0])
    assert np.isfinite(loss[1])


@each_link
def test_float32_stays_float32_and_keeps_its_digits(case):
    D = np.array([-60.0, -20.0, -3.25, 0.5, 9.5, 60.0], dtype=np.float32)
    for found, column in ((case.link.loss(D), 0), (case.link.gain(D), 1)):
        assert found.dtype == np.float32
        expected = np.array([float(case.truth(float(d))[column]) for d in D])
        close = np.isclose(found, expected, rtol=1e-6 * 8 * case.factor * np.abs(D), atol=0)
        assert (close | (np.abs(expected) > 3e38) | (np.abs(expected) < 1e-37)).all()


@each_link_in("numpy", "torch", "array_api_strict")
def test_the_curvature_is_the_second_derivative_in_both_tails(case, library):
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        found = back(links.link.curvature(case.link, array(library, ODDS)))
    expected = np.array([float(case.curvature(D)) for D in ODDS])
    # It passes through 0 where a link turns from convex to concave: there its size is that nearby.
    nearby = [abs(float(case.curvature(D + move))) for D in ODDS for move in (-0.5, 0.5)]
    size = np.maximum(np.abs(expected), np.reshape(nearby, (-1, 2)).max(axis=1))
    limit = 2.0**-53 * 8 * np.maximum(1, np.abs(ODDS)) * case.factor
    np.testing.assert_array_less(np.abs(found - expected), limit * size + 1e-305)


@each_link_in(*LIBRARIES)
def test_at_certainty_and_at_impossibility_the_curvature_is_0_or_large_and_finite(case, library):
    with np.errstate(divide="raise", invalid="raise", over="raise"), wide(library):
        found = back(links.link.curvature(case.link, array(library, [-np.inf, -1e300, 1e300, np.inf])))
    never = case.ends[1][1]
    steep = never == HUGE or not np.isfinite(never)
    np.testing.assert_array_equal(found[:2], 0.0)
    assert ((found[2:] > 1e290) & np.isfinite(found[2:]) if steep else found[2:] == 0).all()


def test_a_link_without_a_curvature_says_how_to_give_it_one():
    with pytest.raises(TypeError, match=r"Custom.*has no second derivative.*curvature\(D\), d²φ/dD²"):
        links.link.curvature(links.Custom(np.square, lambda D: 2 * D * (1 + np.exp(-D))), np.zeros(2))


# ------------------------------------------------------------------------------- one another's relations

D = np.linspace(-30, 30, 61)


@pytest.mark.parametrize(
    ("one", "other", "times"),
    [
        (links.Tsallis(0.25), links.GeneralizedCrossEntropy(0.75), 1),
        (links.Tsallis(1.0), links.CrossEntropy(), 1),
        (links.MeanAbsoluteError(), links.GeneralizedCrossEntropy(1.0), 2),
        (links.MeanAbsoluteError(), links.Taylor(1), 2),
        (links.MeanAbsoluteError(), links.PartiallyHuberized(1.0), 2),
        (links.SymmetricCrossEntropy(0.5, 0.25, -4.0), links.Poly(2.0), 0.5),
        (links.Poly((0.0, 0.0)), links.CrossEntropy(), 1),
        (links.SymmetricCrossEntropy(1.0, 0.0), links.CrossEntropy(), 1),
        (links.Focal(0.0), links.CrossEntropy(), 1),
    ],
    ids=str,
)
def test_links_coincide_where_their_papers_say_so(one, other, times):
    np.testing.assert_allclose(one.loss(D), times * other.loss(D), rtol=1e-13)
    np.testing.assert_allclose(one.gain(D), times * other.gain(D), rtol=1e-13)


def test_taylor_approaches_cross_entropy_from_below():
    likely = np.linspace(-30, 0, 31)
    truth = links.CrossEntropy().loss(likely)
    orders = [links.Taylor(order).loss(likely) for order in (1, 2, 8, 60)]
    assert (np.diff(orders, axis=0) >= 0).all()
    np.testing.assert_allclose(orders[-1], truth, rtol=1e-14)


def test_small_q_approaches_cross_entropy():
    np.testing.assert_allclose(
        links.GeneralizedCrossEntropy(1e-14).loss(D), links.CrossEntropy().loss(D), rtol=1e-12
    )


def test_a_huberized_loss_and_its_slope_have_no_jump():
    link = links.PartiallyHuberized(10.0)
    switch = np.log(9.0)  # p = 1/10
    around = switch + np.array([-1e-9, 1e-9])
    np.testing.assert_allclose(*link.loss(around), rtol=1e-8)
    np.testing.assert_allclose(*link.gain(around), rtol=1e-8)


def test_a_truncated_loss_is_flat_at_its_threshold_and_below():
    link = links.GeneralizedCrossEntropy(0.7, truncation=0.5)
    D = np.array([-1e-9, 0.0, 5.0, np.inf])
    assert link.gain(D)[0] > 0
    np.testing.assert_array_equal(link.gain(D)[1:], 0.0)
    np.testing.assert_allclose(link.loss(D), (1 - 0.5**0.7) / 0.7, rtol=1e-8)


# ------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: links.Poly(float("nan")), "epsilon"),
        (lambda: links.Poly(float("inf")), "epsilon"),
        (lambda: links.Poly(-1.5), r"at least −1/1"),
        (lambda: links.Poly((1.0, -0.75)), r"\(1 − p\)\^2 is -0.75.*−1/2"),
        (lambda: links.Poly(()), "empty"),
        (lambda: links.GeneralizedCrossEntropy(0.0), "CrossEntropy"),
        (lambda: links.GeneralizedCrossEntropy(1.1), "q is 1.1"),
        (lambda: links.GeneralizedCrossEntropy(float("nan")), "q is nan"),
        (lambda: links.GeneralizedCrossEntropy(0.7, truncation=0.0), "truncation"),
        (lambda: links.GeneralizedCrossEntropy(0.7, truncation=1.0), "truncation"),
        (lambda: links.SymmetricCrossEntropy(forward_weight=-0.1), "forward_weight is -0.1"),
        (lambda: links.SymmetricCrossEntropy(reverse_weight=float("inf")), "reverse_weight is inf"),
        (lambda: links.SymmetricCrossEntropy(0.0, 0.0), "no loss"),
        (lambda: links.SymmetricCrossEntropy(log_zero=4.0), "negative"),
        (lambda: links.Taylor(0), "order is 0"),
        (lambda: links.Taylor(2.0), "order is 2.0"),
        (lambda: links.Taylor(True), "order is True"),
        (lambda: links.PartiallyHuberized(0.5), "tau is 0.5"),
        (lambda: links.PartiallyHuberized(float("inf")), "tau is inf"),
        (lambda: links.Tsallis(float("inf")), "t is inf"),
    ],
)
def test_parameters_out_of_range_are_refused_by_name(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_every_exported_link_is_one():
    for name in set(links.__all__) - {"Link", "Custom", "ClippedPolicy"}:
        assert isinstance(getattr(links, name)(), links.Link)


def test_a_list_of_epsilons_makes_a_hashable_link():
    assert links.Poly([1.0, 2.0]) == links.Poly((1.0, 2.0))
    assert len({links.Poly([1.0, 2.0]), links.Poly((1.0, 2.0))}) == 1
