"""Scores of every form of prediction, against NumPy, SciPy, scikit-learn and mpmath."""

import json
import math

import mpmath
import numpy as np
import pytest
from scipy import optimize, special

from crossentropy.evaluation import evaluate


def many(n=500, classes=5, seed=0):
    r = np.random.default_rng(seed)
    u = 2 * r.normal(size=(n, classes))
    y = (u / 1.5 + r.gumbel(size=u.shape)).argmax(axis=1)
    return u, special.softmax(u, axis=1), y


@pytest.mark.parametrize("kind", ["proba", "logits", "log_proba"])
@pytest.mark.parametrize("weighted", [False, True])
def test_scores_of_many_classes_are_those_of_their_formulas(kind, weighted):
    u, p, y = many()
    w = np.random.default_rng(1).lognormal(size=len(y)) if weighted else np.ones(len(y))
    x = {"proba": p, "logits": u, "log_proba": np.log(p)}[kind]
    e = evaluate(labels=y, weight=w if weighted else None, **{kind: x})
    hot = np.eye(5)[y]
    loss, entropy = -np.log((p * hot).sum(axis=1)), -(p * np.log(p)).sum(axis=1)
    variance = (p * (np.log(p) + entropy[:, None]) ** 2).sum(axis=1)
    brier, square = ((p - hot) ** 2).sum(axis=1), (p**2).sum(axis=1)
    excess = brier - (1 - square)
    brier_variance = (p * ((square[:, None] - 2 * p + 1) - (1 - square)[:, None]) ** 2).sum(axis=1)
    rank = (p > (p * hot).sum(axis=1, keepdims=True)).sum(axis=1)
    top, correct = p.max(axis=1), p.argmax(axis=1) == y
    place = np.minimum((top * 15).astype(int), 14)

    def mean(a):
        return (w * a).sum() / w.sum()

    expected = {
        "log_loss": mean(loss),
        "mean_entropy": mean(entropy),
        "brier": mean(brier),
        "accuracy": mean(correct),
        "log_score_z": (w * (loss - entropy)).sum() / math.sqrt((w**2 * variance).sum()),
        "spiegelhalter_z": (w * excess).sum() / math.sqrt((w**2 * brier_variance).sum()),
        "ece": sum(abs((w * (correct - top))[place == k].sum()) for k in range(15)) / w.sum(),
    }
    for name, value in expected.items():
        assert getattr(e, name) == pytest.approx(value, rel=1e-12), name
    assert e.top_k == {k: pytest.approx(mean(rank < k), rel=1e-12) for k in (2, 3, 4)}
    assert e.miscalibration - e.discrimination + e.uncertainty == pytest.approx(e.log_loss, rel=1e-14)
    assert e.brier_miscalibration - e.brier_discrimination + e.brier_uncertainty == pytest.approx(
        e.brier, rel=1e-13
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_the_temperature_of_many_classes_is_found_to_three_digits(weighted):
    u, _, y = many(3000)
    w = np.random.default_rng(2).lognormal(size=len(y)) if weighted else np.ones(len(y))
    for scale in (0.6, 1.0, 1.5, 2.4):

        def loss(beta, scale=scale):
            v = special.log_softmax(beta * scale * u, axis=1)
            return -(w * v[np.arange(len(y)), y]).sum() / w.sum()

        best = optimize.minimize_scalar(loss, bounds=(0.1, 6), method="bounded", options={"xatol": 1e-10})
        e = evaluate(labels=y, logits=scale * u, weight=w if weighted else None)
        assert e.temperature == pytest.approx(1 / best.x, rel=4e-4)
        assert e.temperature_log_loss == pytest.approx(best.fun, abs=1e-5)


@pytest.mark.parametrize("n", [300, 20_000])
def test_temperature_and_cox_make_the_derivatives_zero(n):
    """Of 300 rows exactly; of more distinct predictions than are told apart, on the grid."""
    r = np.random.default_rng(3)
    z = 2 * r.normal(size=n)
    y = (r.random(n) < special.expit(0.4 + 0.7 * z)).astype(int)
    e = evaluate(labels=y, logits=z)
    tolerance = 1e-13 if n == 300 else 1e-5
    assert abs((z * (special.expit(z / e.temperature) - y)).mean()) < tolerance
    p = special.expit(e.cox_intercept + e.cox_slope * z)
    assert abs((p - y).mean()) < tolerance
    assert abs((z * (p - y)).mean()) < tolerance


@pytest.mark.parametrize(
    "p",
    [
        np.asarray([0.0, 1.0, 1.0]),
        np.asarray([0.5, 1.0, 0.5]),
        np.eye(3),
        np.full((3, 3), 1 / 3),
        np.full((3, 1000), 1e-3),
    ],
)
def test_where_no_temperature_changes_anything_it_is_1(p):
    e = evaluate(labels=[0, 1, 1 if p.ndim == 1 else 2], proba=p)
    assert e.temperature == 1
    assert e.temperature_log_loss == e.log_loss


def test_scores_of_one_class_are_not_minus_0():
    e = evaluate(labels=[1, 1], proba=[1.0, 1.0])
    assert "-0" not in str(e)
    assert "-0.0" not in e.to_json()


def test_a_probability_that_was_rounded_to_one_and_missed_has_the_log_odds_of_the_other_one():
    p = np.asarray([[1e-20, 1.0], *[[0.1, 0.9]] * 60])
    y, z = np.asarray([0] + [1] * 60), np.asarray([-np.log(1e-20), *[np.log(9)] * 60])
    e = evaluate(labels=y, proba=p)
    assert e.n_infinite == 0
    assert abs((z * (special.expit(z / e.temperature) - y)).sum()) < 1e-12


@pytest.mark.parametrize("score", ["log", "brier"])
def test_on_the_grid_a_decomposition_is_within_its_error_of_the_exact_one(score):
    r = np.random.default_rng(4)
    p = r.beta(0.5, 0.5, 30_000)
    y = (r.random(30_000) < p**1.3).astype(int)
    from sklearn.isotonic import IsotonicRegression

    g = IsotonicRegression(y_min=0, y_max=1).fit_transform(p, y)
    e = evaluate(labels=y, proba=p)
    if score == "log":
        exact = e.log_loss + (special.xlogy(y, g) + special.xlogy(1 - y, 1 - g)).mean()
        assert 0 < e.decomposition_error < 2e-3
        assert -1e-12 <= exact - e.miscalibration <= e.decomposition_error + 1e-12
    else:
        exact = e.brier - ((g - y) ** 2).mean()
        assert 0 <= exact - e.brier_miscalibration + 1e-12 < 1e-3


@pytest.mark.parametrize("logit", [-800.0, -745.2, -40.0, -1e-9, 0.0, 3.0, 37.5, 800.0, 1e5])
@pytest.mark.parametrize("label", [0, 1])
def test_the_loss_of_a_logit_keeps_its_digits(logit, label):
    e = evaluate(labels=[label], logits=np.asarray([logit]))
    with mpmath.workdps(60):
        truth = mpmath.log1p(mpmath.exp(-mpmath.mpf(logit) if label else mpmath.mpf(logit)))
    assert e.log_loss == pytest.approx(float(truth), rel=4e-16, abs=0)
    three = evaluate(labels=[label], logits=np.asarray([[0.0, logit, -2000.0 - abs(logit)]]))
    assert three.log_loss == pytest.approx(float(truth), rel=4e-16, abs=0)


@pytest.mark.parametrize("p", [5e-324, 1e-300, 1e-17, 0.1, 0.5, 0.7071, 1 - 1e-9, 1 - 2.0**-53, 1.0])
def test_the_loss_of_a_probability_keeps_its_digits(p):
    with mpmath.workdps(400):
        own, other = -mpmath.log(mpmath.mpf(p)), -mpmath.log1p(-mpmath.mpf(p)) if p < 1 else mpmath.inf
    for label, truth in ((1, own), (0, other)):
        e = evaluate(labels=[label], proba=np.asarray([p]))
        assert e.log_loss == pytest.approx(float(truth), rel=4e-16, abs=5e-324)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("columns", [1, 4])
def test_clip_sklearn_is_scikit_learns_log_loss(dtype, columns):
    metrics = pytest.importorskip("sklearn.metrics")
    r = np.random.default_rng(5)
    if columns == 1:
        p = r.random(200).astype(dtype)
        p[:4] = [0, 1, 1e-30, 1]
        y = r.integers(0, 2, 200)
    else:
        p = r.dirichlet(np.ones(4), 200).astype(dtype)
        p[:4] = np.eye(4)
        y = r.integers(0, 4, 200)
    e = evaluate(labels=y, proba=p, clip="sklearn")
    theirs = metrics.log_loss(y, p, labels=range(max(columns, 2)))  # float32 losses are added in float32
    assert e.log_loss == pytest.approx(theirs, rel=1e-14 if dtype == "float64" else 1e-7, abs=0)


def test_clip_sklearn_of_float16_is_refused_since_its_epsilon_is_that_of_float16():
    with pytest.raises(ValueError, match="pass float32 or float64"):
        evaluate(labels=[0], proba=np.zeros(1, np.float16), clip="sklearn")


def test_clips_of_kaggle_and_spark():
    p = np.asarray([[0.0, 1.0], [1.0, 0.0], [0.25, 0.75]])
    low, high = -math.log(1e-15), -math.log1p(-1e-15)
    for clip in ("kaggle", "spark"):
        e = evaluate(labels=[0, 0, 1], proba=p, clip=clip)
        assert e.log_loss == pytest.approx((low + high - math.log(0.75)) / 3, rel=1e-14)
        assert e.n_infinite == 0
    doubled = evaluate(labels=[0, 0, 1], proba=2 * np.clip(p, 0, 0.5), clip="kaggle")
    assert doubled.log_loss == pytest.approx((low + high - math.log(2 / 3)) / 3, rel=1e-14)


def test_spark_takes_the_loss_next_to_a_probability_of_1_by_log1p():
    e = evaluate(labels=[0], proba=np.asarray([[1.0, 0.0]]), clip="spark")
    assert e.log_loss == -math.log1p(-1e-15)


def test_kaggles_sums_do_not_depend_on_how_the_predictions_lie_in_memory():
    p = np.random.default_rng(0).dirichlet(np.ones(30), 200) * 0.9
    in_columns = evaluate(labels=[0] * 200, proba=np.asfortranarray(p), clip="kaggle")
    assert evaluate(labels=[0] * 200, proba=p, clip="kaggle") == in_columns


def test_a_row_of_zeros_has_no_sum_that_kaggle_could_divide_by():
    p = np.asarray([[0.0, 0.0], [0.5, 1.0]])
    with pytest.raises(ValueError, match="row 0: the probabilities sum to 0"):
        evaluate(labels=[0, 1], proba=p, clip="kaggle")
    assert evaluate(labels=[0, 1], proba=p, clip="kaggle", on_bad_rows="skip").brier == pytest.approx(1 / 9)


def test_an_impossible_label_makes_the_loss_infinite_and_is_named():
    p = np.asarray([[0.5, 0.5, 0.0], [0.2, 0.2, 0.6], [0.1, 0.9, 0.0]])
    e = evaluate(labels=["c", "c", "b"], proba=p, classes=["a", "b", "c"], key=["x", "y", "z"])
    assert e.log_loss == e.perplexity == math.inf
    assert e.n_infinite == 1
    assert e.standard_error is e.interval is e.temperature is None
    assert (e.worst_rows[0]["row"], e.worst_rows[0]["label"]) == ("x", "c")
    clipped = [-math.log(float(eps)) for eps in e.clip_ladder]
    rest = -math.log(0.6) - math.log(0.9)
    assert list(e.clip_ladder.values()) == pytest.approx([(c + rest) / 3 for c in clipped], rel=1e-14)
    assert json.loads(e.to_json())["log_loss"] == "Infinity"
    assert "rows of infinite loss" in str(e)


def test_binary_predictions_of_0_on_label_1_leave_discrimination_known():
    e = evaluate(labels=[1, 0, 1, 0], proba=np.asarray([0.0, 0.2, 0.9, 1.0]))
    assert e.miscalibration == math.inf
    assert math.isfinite(e.discrimination)


def test_the_ladder_clips_finite_losses_too():
    p = np.asarray([1e-10, 5e-4, 2e-3, 0.5])
    e = evaluate(labels=[1, 1, 1, 1], proba=p)
    expected = [-np.log(np.maximum(p, float(eps))).mean() for eps in e.clip_ladder]
    assert list(e.clip_ladder.values()) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("columns", [1, 3])
def test_soft_labels_have_cross_entropy_and_divergence(columns):
    r = np.random.default_rng(6)
    if columns == 1:
        p, t = r.random(50), r.random(50)
        loss = -(t * np.log(p) + (1 - t) * np.log1p(-p))
        entropy = -(t * np.log(t) + (1 - t) * np.log1p(-t))
        brier = (p - t) ** 2
    else:
        p, t = r.dirichlet(np.ones(3), (2, 50))
        loss, entropy = -(t * np.log(p)).sum(axis=1), -(t * np.log(t)).sum(axis=1)
        brier = ((p - t) ** 2).sum(axis=1)
    e = evaluate(labels=t, proba=p, soft_labels=True)
    assert e.log_loss == pytest.approx(loss.mean(), rel=1e-13)
    assert e.kl_divergence == pytest.approx((loss - entropy).mean(), rel=1e-12)
    assert e.brier == pytest.approx(brier.mean(), rel=1e-13)
    assert e.brier_miscalibration - e.brier_discrimination + e.brier_uncertainty == pytest.approx(
        e.brier, rel=1e-12
    )
    assert e.spiegelhalter_z is None


def test_zeros_of_a_soft_label_cost_nothing_where_the_prediction_is_zero():
    e = evaluate(
        labels=np.asarray([[0.5, 0.5, 0.0]]), proba=np.asarray([[0.25, 0.75, 0.0]]), soft_labels=True
    )
    assert e.log_loss == pytest.approx(-(math.log(0.25) + math.log(0.75)) / 2, rel=1e-15)


def test_skill_against_a_prior():
    e = evaluate(labels=[0, 1, 1, 1], proba=np.asarray([0.2, 0.7, 0.8, 0.9]), prior=0.5)
    assert e.normalized_entropy == pytest.approx(e.log_loss / math.log(2), rel=1e-15)
    one_class = evaluate(labels=[1, 1], proba=np.asarray([0.2, 0.7]))
    assert one_class.skill is None


def test_the_smooth_calibration_error_is_the_fixed_point_of_its_integral():
    r = np.random.default_rng(7)
    p, y = r.random(40).round(1), r.integers(0, 2, 40)  # some are 0 or 1
    sigma = evaluate(labels=y, proba=p).smooth_ece
    t = np.linspace(0, 1, 20_001)
    images = np.concatenate([p + 2 * k for k in range(-2, 3)] + [2 * k - p for k in range(-2, 3)])
    residual = np.tile(y - p, 10)
    kernel = np.exp(-0.5 * ((t[:, None] - images) / sigma) ** 2) / (sigma * math.sqrt(2 * math.pi))
    heights = np.abs(kernel @ residual) / 40
    assert (heights[1:] + heights[:-1]).sum() / 2 / 20_000 == pytest.approx(sigma, rel=1e-6)


def test_the_worst_thousandth_of_the_rows_has_its_share_of_the_loss():
    r = np.random.default_rng(8)
    p = r.beta(0.3, 0.3, 10_000)
    y = (r.random(10_000) < 0.9 * p + 0.05).astype(int)
    loss = -np.log(np.where(y == 1, p, 1 - p))
    keep = np.isfinite(loss)
    e = evaluate(labels=y[keep], proba=p[keep])
    ordered = np.sort(loss[keep])[::-1]
    count = keep.sum() / 1000
    share = (ordered[: int(count)].sum() + (count % 1) * ordered[int(count)]) / ordered.sum()
    assert e.worst_share == pytest.approx(share, rel=0.01)
    assert [row["log_loss"] for row in e.worst_rows] == pytest.approx(ordered[:20].tolist(), rel=1e-14)


@pytest.mark.parametrize("scale", [1e-6, 1e6, 1e-12, 1e15])
def test_the_share_of_the_worst_rows_does_not_depend_on_the_unit_of_weights_or_is_unknown(scale):
    r = np.random.default_rng(8)
    p, w = r.beta(1, 1, 5000), r.random(5000)
    share = evaluate(labels=np.ones(5000, int), proba=p, weight=w).worst_share
    scaled = evaluate(labels=np.ones(5000, int), proba=p, weight=w * scale).worst_share
    assert scaled == (pytest.approx(share, rel=0.01) if 1e-7 < scale < 1e7 else None)


def test_rows_without_weight_count_nothing_whatever_is_predicted():
    p = np.asarray([0.5, np.nan, 0.25])
    e = evaluate(labels=[1, 1, 0], proba=p, weight=[1.0, 0.0, 2.0])
    assert e == evaluate(labels=[1, 0], proba=p[[0, 2]], weight=[1.0, 2.0], key=[0, 2])
    assert e.n == 2


def test_certain_predictions_that_are_right_cost_nothing_and_own_nothing():
    p = np.ones(1000)
    p[3] = 0.5
    e = evaluate(labels=np.ones(1000, int), proba=p)
    assert e.worst_share == pytest.approx(1, rel=1e-12)
    assert str(e.worst_rows[1]["log_loss"]) == "0.0"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", ["proba", "logits"])
def test_predictions_of_any_strides_have_the_same_bits(dtype, kind):
    u, p, y = many(101)
    x = (p if kind == "proba" else u).astype(dtype)
    wide = np.zeros((202, 15), dtype)
    wide[::2, ::3] = x
    expected = evaluate(labels=y, **{kind: x})
    for same in (np.asfortranarray(x), wide[::2, ::3], x[::-1][::-1], np.stack([c.copy() for c in x.T]).T):
        assert evaluate(labels=y, **{kind: same}) == expected
