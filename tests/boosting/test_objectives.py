"""Objectives by themselves: their derivatives, losses, starts and refusals."""

import copy
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import crossentropy as ce
from crossentropy import links
from crossentropy.boosting import SigmoidObjective, SoftmaxObjective

RNG = np.random.default_rng(3)
SCORES = RNG.normal(size=(8, 3)) * 2
LABELS = np.array([0, 1, 2, 2, 1, 2, 2, 0])
WEIGHT = RNG.uniform(0.5, 2.0, size=8)
CLASSES = {
    "plain": SoftmaxObjective(),
    "focal": SoftmaxObjective(link=links.Focal(2.0), class_weight=[1.0, 2.0, 0.5]),
    "smoothed": SoftmaxObjective(label_smoothing=0.1, smoothing_prior=[0.2, 0.3, 0.5]),
    "adjusted": SoftmaxObjective(logit_bias=[-1.0, 0.5, 0.0], temperature=2.0, margin=0.3),
}
YES_NO = {
    "plain": SigmoidObjective(),
    "generalized": SigmoidObjective(link=links.GeneralizedCrossEntropy(0.7), pos_weight=2.0),
    "smoothed": SigmoidObjective(label_smoothing=0.1, logit_bias=0.5),
    "asymmetric": SigmoidObjective(
        link=links.Focal(1.0), negative_link=links.Focal(4.0), negative_shift=0.05
    ),
}
CASES = [
    *(pytest.param(objective, SCORES, LABELS, id=f"classes-{name}") for name, objective in CLASSES.items()),
    *(
        pytest.param(objective, SCORES[:, 0], LABELS % 2, id=f"yes-{name}")
        for name, objective in YES_NO.items()
    ),
]
each_objective = pytest.mark.parametrize(("objective", "scores", "labels"), CASES)


@each_objective
def test_derivatives_are_differences_of_the_loss(objective, scores, labels):
    total = objective.derivatives(scores, labels, WEIGHT)
    masses = WEIGHT  # the mean is over the weights of the rows and of their classes
    if getattr(objective, "class_weight", None) is not None:
        masses = WEIGHT * np.asarray(objective.class_weight)[labels]
    step = 1e-4
    for place in np.ndindex(scores.shape):
        move = np.zeros_like(scores)
        move[place] = step
        before, here, after = (
            objective.loss(x, labels, WEIGHT) * masses.sum() for x in (scores - move, scores, scores + move)
        )
        np.testing.assert_allclose(total[0][place], (after - before) / (2 * step), rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(
            total[1][place], (after - 2 * here + before) / step**2, rtol=1e-4, atol=1e-6
        )


@pytest.mark.parametrize(
    "objective",
    [
        SoftmaxObjective(),
        SoftmaxObjective(class_weight=[1.0, 2.0, 0.5], label_smoothing=0.2, smoothing_prior=[0.2, 0.3, 0.5]),
        SoftmaxObjective(logit_bias=[-1.0, 0.5, 0.0], temperature=2.0),
        SigmoidObjective(),
        SigmoidObjective(pos_weight=3.0, label_smoothing=0.1, logit_bias=0.7),
    ],
)
def test_no_constant_is_better_than_the_base_score(objective):
    labels = LABELS if isinstance(objective, SoftmaxObjective) else LABELS % 2
    start = np.broadcast_to(
        objective.base_score(labels, WEIGHT), (8, *np.shape(objective.base_score(labels)))
    )
    gradient, _ = objective.derivatives(start, labels, WEIGHT)
    np.testing.assert_allclose(gradient.sum(axis=0), 0.0, atol=1e-13)


def test_the_base_score_of_a_label_that_never_occurs_is_finite():
    assert np.isfinite(SoftmaxObjective(class_weight=[1.0, 1.0, 1.0]).base_score([0, 1, 1])).all()
    assert np.isfinite(SigmoidObjective().base_score([1, 1]))


def test_the_log_loss_is_that_of_the_probabilities_without_the_offsets_of_training():
    objective = CLASSES["adjusted"]
    p = objective.probabilities(SCORES)
    np.testing.assert_allclose(p.sum(axis=1), 1.0, rtol=1e-15)
    expected = np.average(-np.log(p[np.arange(8), LABELS]), weights=WEIGHT)
    np.testing.assert_allclose(objective.log_loss(SCORES, LABELS, WEIGHT), expected, rtol=1e-13)
    z, t = SCORES[:, 0], LABELS % 2
    p = YES_NO["smoothed"].probabilities(z)
    expected = np.average(-np.log(np.where(t == 1, p, 1 - p)), weights=WEIGHT)
    np.testing.assert_allclose(YES_NO["smoothed"].log_loss(z, t, WEIGHT), expected, rtol=1e-13)


def test_the_hessian_of_a_focal_loss_is_negative_where_the_label_is_missed_and_its_bound_is_not():
    missed = np.array([[6.0, 0.0, 0.0]]), [1]
    link = links.Focal(2.0)
    assert SoftmaxObjective(link=link).derivatives(*missed)[1].min() < 0
    assert SoftmaxObjective(link=link, hessian="positive").derivatives(*missed)[1].min() > 0


def test_labels_as_libraries_keep_them_are_class_indices():
    gradient, _ = CLASSES["plain"].derivatives(SCORES.astype(np.float32), LABELS.astype(np.float32))
    assert gradient.dtype == np.float32
    np.testing.assert_allclose(
        gradient, CLASSES["plain"].derivatives(SCORES, LABELS)[0], rtol=1e-5, atol=1e-7
    )


@each_objective
def test_an_objective_can_be_copied_and_pickled(objective, scores, labels):
    for same in (copy.deepcopy(objective), pickle.loads(pickle.dumps(objective))):
        np.testing.assert_array_equal(
            same.derivatives(scores, labels)[1], objective.derivatives(scores, labels)[1]
        )


class WithoutCurvature:
    def loss(self, D):
        return D**2

    def gain(self, D):
        return 2 * D * (1 + np.exp(-D))


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (
            lambda: SoftmaxObjective(link=WithoutCurvature()),
            TypeError,
            r"no second derivative.*curvature\(D\)",
        ),
        (lambda: SigmoidObjective(negative_link=WithoutCurvature()), TypeError, "no second derivative"),
        (lambda: SoftmaxObjective(link="focal"), TypeError, r"link is 'focal'.*Focal\(gamma=2.0\)"),
        (
            lambda: SoftmaxObjective(hessian="upper"),
            ValueError,
            'hessian is \'upper\'; write "exact" or "positive"',
        ),
        (lambda: SigmoidObjective(hessian=True), ValueError, "hessian is True"),
        (
            lambda: SigmoidObjective(pos_weight=-1.0),
            ValueError,
            "pos_weight is -1.0; a weight must be finite",
        ),
        (
            lambda: SigmoidObjective(pos_weight=np.inf),
            ValueError,
            "pos_weight is inf; a weight must be finite",
        ),
        (lambda: SigmoidObjective(logit_bias="2"), TypeError, "logit_bias is '2'; pass one number"),
        (
            lambda: SoftmaxObjective(class_weight=[-1, 1]),
            ValueError,
            r"class_weight is \[-1, 1\]; a weight must",
        ),
        (
            lambda: SoftmaxObjective(smoothing=0.1),
            TypeError,
            "SoftmaxObjective has no argument smoothing; pass label_smoothing=smoothing. Its arguments are link, "
            "label_smoothing, smoothing_prior, class_weight, temperature, logit_bias, margin, hessian",
        ),
        (
            lambda: SigmoidObjective(gamma=2.0),
            TypeError,
            "SigmoidObjective has no argument gamma. Its arguments are link, negative_link",
        ),
        (lambda: SoftmaxObjective(temperature=0.0), ValueError, "temperature is 0.0"),
        (
            lambda: SoftmaxObjective(class_weight=[1, 2], logit_bias=[1, 2, 3]),
            ValueError,
            "logit_bias has shape",
        ),
        (lambda: SigmoidObjective(label_smoothing=1.5), ValueError, "label_smoothing is 1.5"),
        (lambda: SigmoidObjective(negative_shift=1.0), ValueError, "negative_shift is 1.0"),
        (
            lambda: SoftmaxObjective().derivatives(np.zeros(3), [0, 1, 1]),
            ValueError,
            "there is SigmoidObjective",
        ),
        (lambda: SigmoidObjective().derivatives(SCORES, LABELS), ValueError, "there is SoftmaxObjective"),
        (lambda: SoftmaxObjective().derivatives(SCORES, LABELS + 0.5), ValueError, "label of row 0 is 0.5"),
        (
            lambda: SoftmaxObjective().derivatives(SCORES, LABELS + 1),
            ValueError,
            "label 3 at row 2 is outside",
        ),
        (lambda: SoftmaxObjective().derivatives(SCORES, np.eye(3)[LABELS]), ValueError, "one class index"),
        (
            lambda: SigmoidObjective().derivatives(SCORES[:, 0], LABELS),
            ValueError,
            "neither 0 nor 1|0 and 1|label",
        ),
    ],
)
def test_what_cannot_be_is_refused(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_class_weights_and_offsets_are_those_of_the_losses():
    counts = np.bincount(LABELS)
    objective = SoftmaxObjective(
        class_weight=ce.losses.class_balanced_weights(counts), logit_bias=ce.losses.logit_adjustment(counts)
    )
    expected = ce.softmax_cross_entropy(
        SCORES, LABELS, class_weight=objective.class_weight, logit_bias=objective.logit_bias
    )
    assert objective.loss(SCORES, LABELS) == expected


@pytest.mark.parametrize("link", [links.CrossEntropy(), links.Focal(2.0), links.Tsallis(0.3)])
def test_blocks_of_rows_have_the_derivatives_that_they_have_alone(link):
    """With weights and without, of labels of any type, one after another."""
    rng = np.random.default_rng(3)
    objective = SigmoidObjective(link=link, pos_weight=2.0, label_smoothing=0.1, logit_bias=0.5)
    for dtype in ("float32", "float64", "float32"):
        for rows in (5, 3):
            scores, labels = rng.normal(size=rows), rng.integers(0, 2, rows).astype(dtype)
            for weight in (None, rng.random(rows).astype(np.float32)):
                found = objective.derivatives_of_block(scores, labels, weight)
                expected = objective.derivatives(scores, labels, weight)
                np.testing.assert_array_equal(found, expected)


def test_rows_of_several_classes_may_be_asked_for_by_several_threads_at_once():
    objective, rng = SoftmaxObjective(), np.random.default_rng(4)
    scores, labels = rng.normal(size=(400, 3)), rng.integers(0, 3, 400)

    def of_row(i):
        gradient, hessian = objective.derivatives_of_row(scores[i], int(labels[i]))
        return gradient, list(hessian)

    one = [of_row(i) for i in range(400)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(of_row, range(400)))
    finally:
        sys.setswitchinterval(interval)
    assert found == one


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_of_an_objective_that_was_used_has_the_same_derivatives(copied):
    objective = SoftmaxObjective(label_smoothing=0.1)
    gradient, hessian = objective.derivatives_of_row(SCORES[0], 1)
    other = copied(objective)
    del objective
    found = other.derivatives_of_row(SCORES[0], 1)
    assert found[0] == gradient
    assert list(found[1]) == list(hessian)
