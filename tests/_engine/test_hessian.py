"""Second derivatives of softmax and sigmoid losses: against differences in a hundred digits, and bounds of them."""

import math

import numpy as np
import pytest

from crossentropy import links
from crossentropy._engine.sigmoid.hessian import element_derivatives
from crossentropy._engine.softmax.hessian import RowHessian, row_derivatives
from links.table import Case, one_of_each
from oracle import ctx, mpf

STEP = mpf(10) ** -40

SCORES = np.array([[0.3, -1.2, 2.1], [4.0, -3.5, 0.25], [-0.75, -0.5, -0.6]])
LABELS = np.array([1, 0, 2])
OFFSETS = {
    "temperature": 1.5,
    "margin": 0.5,
    "logit_bias": [0.5, -1.0, 0.25],
    "class_weight": [1.0, 2.0, 0.5],
}
SMOOTHED = {"label_smoothing": 0.25, "smoothing_prior": [0.2, 0.3, 0.5], "class_weight": [1.0, 2.0, 0.5]}
each_form = pytest.mark.parametrize("options", [OFFSETS, SMOOTHED], ids=["offsets", "smoothed"])


def phi(case: Case, p):
    """φ at the probability p, in mpmath."""
    return case.phi(p, 1 - p, ctx.log(p), ctx.log(1 - p))


def row_loss(
    case,
    label,
    temperature=1.0,
    margin=0.0,
    logit_bias=None,
    class_weight=None,
    label_smoothing=0.0,
    smoothing_prior=None,
):
    """A row's loss as a function of its scores, in mpmath."""
    bias, w, r = logit_bias or [0.0] * 3, class_weight or [1.0] * 3, smoothing_prior or [0.0] * 3

    def loss(z):
        u = [(x - (margin if c == label else 0)) / mpf(temperature) + mpf(bias[c]) for c, x in enumerate(z)]
        e = [ctx.exp(x) for x in u]
        p = [x / ctx.fsum(e) for x in e]
        q = [(1 - label_smoothing) * (c == label) + mpf(label_smoothing) * r[c] for c in range(3)]
        return ctx.fsum(w[c] * q[c] * phi(case, p[c]) for c in range(3) if q[c])

    return loss


def hessian_of_row(z, label, positive=False, **options):
    """One row's gradient and whole Hessian, as arrays."""
    gradient, hessian = RowHessian(len(z), positive, options).derivatives(z, label, 1.0)
    return np.array(gradient), np.array(list(hessian))


def differences(loss, z):
    """The gradient and the Hessian of a function of mpmath numbers."""
    z, n = [mpf(float(x)) for x in z], len(z)

    def moved(*places):
        return loss([x + sum(sign * STEP for place, sign in places if place == c) for c, x in enumerate(z)])

    with ctx.workdps(130):
        gradient = [(moved((i, 1)) - moved((i, -1))) / (2 * STEP) for i in range(n)]
        hessian = [
            [
                (
                    moved((i, 1), (j, 1))
                    - moved((i, 1), (j, -1))
                    - moved((i, -1), (j, 1))
                    + moved((i, -1), (j, -1))
                )
                / (4 * STEP**2)
                for j in range(n)
            ]
            for i in range(n)
        ]
    return np.array(gradient, dtype=float), np.array(hessian, dtype=float)


@each_form
@one_of_each
def test_softmax_derivatives_are_those_of_the_loss(case, options):
    gradients, diagonals = row_derivatives(SCORES, LABELS, link=case.link, **options)
    for row, (z, label) in enumerate(zip(SCORES, LABELS, strict=True)):
        gradient, hessian = differences(row_loss(case, label, **options), z)
        np.testing.assert_allclose(gradients[row], gradient, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(diagonals[row], np.diag(hessian), rtol=1e-11, atol=1e-14)
        own_gradient, own_hessian = hessian_of_row(z, label, link=case.link, **options)
        np.testing.assert_allclose(own_gradient, gradient, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(own_hessian, hessian, rtol=1e-11, atol=1e-14)


@each_form
@one_of_each
def test_the_bound_of_a_softmax_hessian_is_larger_in_every_direction_and_never_negative(case, options):
    for z, label in zip(SCORES, LABELS, strict=True):
        _, exact = hessian_of_row(z, label, link=case.link, **options)
        _, bound = hessian_of_row(z, label, positive=True, link=case.link, **options)
        assert np.linalg.eigvalsh(bound).min() > -1e-15
        assert np.linalg.eigvalsh(bound - exact).min() > -1e-15
        _, (diagonal,) = row_derivatives(z[None], np.array([label]), positive=True, link=case.link, **options)
        np.testing.assert_allclose(diagonal, np.diag(bound), rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("label", [0, 1], ids=["right", "wrong"])
def test_a_confident_row_keeps_the_digits_of_its_whole_hessian(label, gamma):
    z = np.array([45.0, 1.0, 0.0])
    link = links.Focal(gamma)
    gradient, hessian = hessian_of_row(z, label, link=link, temperature=1.25)
    case = Case(link, lambda p, q, log_p, log_q: -(q**gamma) * log_p, None, None)
    of_loss = differences(row_loss(case, label, temperature=1.25), z)
    np.testing.assert_allclose(gradient, of_loss[0], rtol=1e-13)
    np.testing.assert_allclose(hessian, of_loss[1], rtol=1e-12)


@pytest.mark.parametrize("gap", [800.0, 1e6])
def test_a_row_whose_other_classes_vanish_has_a_finite_hessian(gap):
    for label in (0, 1):
        for link in (links.CrossEntropy(), links.Focal(2.0)):
            gradient, hessian = hessian_of_row(np.array([gap, 0.0]), label, link=link)
            np.testing.assert_array_equal(hessian, np.zeros((2, 2)))
            np.testing.assert_array_equal(gradient, [1.0, -1.0] if label else [0.0, 0.0])


def test_a_factor_multiplies_both_derivatives_of_a_row():
    for link in (links.CrossEntropy(), links.Focal(2.0), links.GeneralizedCrossEntropy(0.7)):
        row = RowHessian(3, False, {"link": link})
        once, scaled = (row.derivatives(SCORES[0], 1, factor) for factor in (1.0, -2.5))
        for part in (0, 1):
            of_once, of_scaled = (np.array(list(x[part])) for x in (once, scaled))
            np.testing.assert_allclose(of_scaled, -2.5 * of_once, rtol=1e-15)


@pytest.mark.parametrize("link", [links.Focal(2.0), links.GeneralizedCrossEntropy(0.7)])
def test_scores_of_a_row_may_be_any_sequence_of_numbers(link):
    row = RowHessian(3, False, {"link": link})
    scores = np.array([0.5, -1.25, 2.0])
    gradient, hessian = row.derivatives(scores, 1, 1.0)
    lines = list(hessian)
    pieces = np.repeat(scores, 2)[::2]
    for others in (scores.tolist(), tuple(scores), pieces, scores.astype(np.float32), scores.astype(">f8")):
        found = row.derivatives(others, 1, 1.0)
        assert (found[0], list(found[1])) == (gradient, lines)


def test_a_hessian_is_that_of_the_scores_when_its_gradient_was_computed():
    """CatBoost's scores are memory that changes later."""
    row, scores = RowHessian(3, False, {}), SCORES[0].copy()
    _, hessian = row.derivatives(scores, 1, 1.0)
    expected = list(row.derivatives(SCORES[0], 1, 1.0)[1])
    scores[:] = 0.0
    assert list(hessian) == expected
    assert list(hessian) == expected


def test_lists_that_are_held_keep_their_numbers():
    """Lists are filled again for the next row once nobody holds them."""
    row = RowHessian(3, False, {})

    def numbers(i):
        gradient, hessian = RowHessian(3, False, {}).derivatives(SCORES[i], 1, 1.0)
        return gradient, list(hessian)

    gradient, hessian = row.derivatives(SCORES[0], 1, 1.0)
    others, lines = row.derivatives(SCORES[1], 1, 1.0)
    all_lines, line = list(hessian), list(lines)[1]
    for i in range(len(SCORES)):
        assert list(row.derivatives(SCORES[i], 1, 1.0)[1]) == numbers(i)[1]
    assert (gradient, all_lines) == numbers(0)
    assert (others, line) == (numbers(1)[0], numbers(1)[1][1])
    assert (list(hessian), list(lines)) == (numbers(0)[1], numbers(1)[1])


def test_a_list_that_a_caller_changed_is_not_filled_again():
    row = RowHessian(3, False, {})
    gradient, hessian = row.derivatives(SCORES[0], 1, 1.0)
    expected = gradient.copy(), [line.copy() for line in hessian]
    for line in hessian:
        line.clear()
    for changed in (gradient, hessian := list(hessian)):
        changed.append("more")
    del gradient, changed, hessian
    gradient, hessian = row.derivatives(SCORES[0], 1, 1.0)
    assert (gradient, list(hessian)) == expected


@pytest.mark.parametrize("link", [links.CrossEntropy(), links.GeneralizedCrossEntropy(0.7)])
def test_a_label_of_a_row_may_be_a_float_that_is_whole(link):
    row = RowHessian(3, False, {"link": link})
    (gradient, hessian), (found, lines) = (row.derivatives(SCORES[0], x, 1.0) for x in (1, 1.0))
    assert (found, list(lines)) == (gradient, list(hessian))
    for label in (0.5, math.nan):
        with pytest.raises(ValueError, match=rf"label {label} is not an index in \[0, 3\)"):
            row.derivatives(SCORES[0], label, 1.0)


def test_a_row_of_other_classes_is_refused():
    with pytest.raises(ValueError, match="the row has 2 scores, and its loss 3 classes"):
        RowHessian(3, False, {}).derivatives(np.zeros(2), 1, 1.0)


def test_a_row_of_a_label_outside_the_classes_is_refused():
    for label in (-1, 3):
        with pytest.raises(ValueError, match=rf"label {label} is not an index in \[0, 3\)"):
            hessian_of_row(SCORES[0], label)


def test_the_bound_of_cross_entropy_is_exact():
    for options in (OFFSETS, SMOOTHED):
        exact, bound = (row_derivatives(SCORES, LABELS, positive=x, **options)[1] for x in (False, True))
        np.testing.assert_allclose(bound, exact, rtol=1e-14)


@pytest.mark.parametrize("label", [0, 2], ids=["right", "wrong"])
@pytest.mark.parametrize("smoothing", [0.0, 1e-6])
def test_a_confident_row_keeps_the_digits_of_its_curvature(label, smoothing):
    z = np.array([[45.0, 1.0, 0.0]])
    _, (diagonal,) = row_derivatives(z, np.array([label]), label_smoothing=smoothing)
    e = np.exp(z[0] - 45)
    rest = np.array([e[1] + e[2], 1 + e[2], 1 + e[1]]) / e.sum()
    np.testing.assert_allclose(diagonal, e / e.sum() * rest, rtol=1e-13)


def test_rows_of_several_blocks_are_those_of_one():
    rng = np.random.default_rng(0)
    z, y, weight = rng.normal(size=(40_000, 3)), rng.integers(0, 3, 40_000), rng.random(40_000)
    link = links.Focal(2.0)
    whole = row_derivatives(z, y, link=link, sample_weight=weight)
    last = row_derivatives(z[-5:], y[-5:], link=link, sample_weight=weight[-5:])
    for all_rows, of_last in zip(whole, last, strict=True):
        np.testing.assert_array_equal(all_rows[-5:], of_last)
    whole = element_derivatives(z[:, 0], y > 1, link=link, sample_weight=weight)
    last = element_derivatives(z[-5:, 0], y[-5:] > 1, link=link, sample_weight=weight[-5:])
    for all_rows, of_last in zip(whole, last, strict=True):
        np.testing.assert_allclose(all_rows[-5:], of_last, rtol=1e-14)


@pytest.mark.parametrize(
    "options", [{}, {"link": links.Focal(2.0)}, SMOOTHED], ids=["plain", "focal", "smoothed"]
)
def test_a_weight_multiplies_both_derivatives_and_0_silences_a_row_of_nan(options):
    z = np.vstack([SCORES, [[np.nan, 1.0, 0.0]]])
    weight, labels = np.array([2.0, 0.5, 3.0, 0.0]), np.append(LABELS, 0)
    plain = row_derivatives(SCORES, LABELS, **options)
    for found, unweighted in zip(
        row_derivatives(z, labels, sample_weight=weight, **options), plain, strict=True
    ):
        np.testing.assert_allclose(found[:3], weight[:3, None] * unweighted, rtol=1e-14)
        np.testing.assert_array_equal(found[3], 0.0)


def test_float32_scores_give_float32_derivatives_with_their_digits():
    z = SCORES.astype(np.float32)
    for link in (links.CrossEntropy(), links.Focal(2.0), links.Taylor(3)):
        for narrow, wide in zip(
            row_derivatives(z, LABELS, link=link),
            row_derivatives(z.astype(np.float64), LABELS, link=link),
            strict=True,
        ):
            assert narrow.dtype == np.float32
            np.testing.assert_allclose(narrow, wide, rtol=1e-6)


def test_a_label_outside_the_classes_is_named_with_its_row():
    labels = np.zeros(50_000, dtype=int)
    labels[-1] = 3
    with pytest.raises(ValueError, match="label 3 at row 49999 is outside"):
        row_derivatives(np.zeros((50_000, 3)), labels)


# ------------------------------------------------------------------------------------------------- sigmoid

ODDS = np.array([0.3, -1.2, 2.1, -4.0, 5.5])
ANSWERS = np.array([1, 0, 0, 1, 1])
SOFT = np.array([1.0, 0.25, 0.0, 0.8, 0.5])
ASYMMETRIC = {"negative_link": links.Focal(4.0), "negative_shift": 0.05}


def element_loss(case, t, pos_weight=1.0, label_smoothing=0.0, negative_link=None, negative_shift=0.0):
    """The loss of one element as a function of its score, in mpmath."""
    negative = case
    if negative_link is not None:  # focal
        negative = Case(negative_link, lambda p, q, log_p, _: -log_p * q**negative_link.gamma, None, None)
    q = (1 - mpf(label_smoothing)) * float(t) + mpf(label_smoothing) / 2

    def loss(z):
        p = 1 / (1 + ctx.exp(-z[0]))
        p_m = p - mpf(negative_shift)
        no = 0 if p_m <= 0 else phi(negative, 1 - p_m)
        return mpf(pos_weight) * q * phi(case, p) + (1 - q) * no

    return loss


@pytest.mark.parametrize(
    ("labels", "options"),
    [
        (ANSWERS, {"pos_weight": 3.0}),
        (SOFT, {"label_smoothing": 0.1}),
        (ANSWERS, ASYMMETRIC),
    ],
    ids=["weighted", "soft", "asymmetric"],
)
@one_of_each
def test_sigmoid_derivatives_are_those_of_the_loss(case, labels, options):
    first, second = element_derivatives(ODDS, labels, link=case.link, **options)
    _, bound = element_derivatives(ODDS, labels, link=case.link, positive=True, **options)
    for i, z in enumerate(ODDS):
        gradient, hessian = differences(element_loss(case, labels[i], **options), [z])
        np.testing.assert_allclose(first[i], gradient[0], rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(second[i], hessian[0, 0], rtol=1e-11, atol=1e-14)
    assert (bound >= 0).all()
    assert (bound >= second - 1e-16).all()


def test_several_questions_and_weights_of_rows_are_those_of_each_question():
    scores, answers = np.stack([ODDS, -ODDS], axis=1), np.stack([ANSWERS, 1 - ANSWERS], axis=1)
    weight = np.array([2.0, 0.0, 1.0, 0.5, 3.0])
    link = links.GeneralizedCrossEntropy(0.7)
    both = element_derivatives(scores, answers, link=link, sample_weight=weight)
    for found, column in zip(both, element_derivatives(ODDS, ANSWERS, link=link), strict=True):
        np.testing.assert_allclose(found[:, 0], weight * column, rtol=1e-14)
    np.testing.assert_allclose(both[0][:, 1], -both[0][:, 0], rtol=1e-14)


def test_an_answer_that_is_neither_0_nor_1_is_refused():
    with pytest.raises(ValueError, match="labels"):
        element_derivatives(np.zeros(2), np.array([0, 2]))
