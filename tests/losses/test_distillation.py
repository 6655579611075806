"""Distillation: what the literature leaves open, digits near agreement, and memory."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

import crossentropy as ce
import oracle
from crossentropy.losses.distillation import augmix_loss, distillation_loss, jsd_consistency, top_k_teacher

DIRECTIONS = ("forward", "reverse", "jensen-shannon")
each_direction = pytest.mark.parametrize("direction", DIRECTIONS)
RNG = np.random.default_rng(3)
STUDENT, TEACHER = 2 * RNG.normal(size=(2, 6, 5))
LABELS = np.array([0, 4, 2, 2, 1, 3])


def exact_log_probabilities(z, temperature):
    u = [oracle.mpf(float(x)) / temperature for x in z]
    L = oracle.ctx.log(sum(map(oracle.ctx.exp, u)))
    return [x - L for x in u]


def exact_divergence(student, teacher, direction, temperature):
    """Of one row, in sixty digits."""

    def kl(a, b):
        return sum(oracle.ctx.exp(x) * (x - y) for x, y in zip(a, b, strict=True))

    s, t = exact_log_probabilities(student, temperature), exact_log_probabilities(teacher, temperature)
    if direction != "jensen-shannon":
        return kl(t, s) if direction == "forward" else kl(s, t)
    exp = oracle.ctx.exp
    m = [oracle.ctx.log((exp(x) + exp(y)) / 2) for x, y in zip(s, t, strict=True)]
    return (kl(s, m) + kl(t, m)) / 2


# ----------------------------------------------------------------------------- agreement and its digits


@each_direction
def test_a_student_that_agrees_costs_exactly_nothing(direction):
    for temperature in (1.0, 4.0):
        value = distillation_loss(TEACHER, TEACHER, temperature=temperature, direction=direction)
        assert float(value) == 0.0


@each_direction
@pytest.mark.parametrize("distance", [1e-1, 1e-3, 1e-6, 1e-9])
def test_a_student_that_nearly_agrees_keeps_the_digits_of_its_difference(direction, distance):
    """CE − H would have an error of 1e-15 whatever the divergence, which here falls to 1e-19."""
    teacher = 3 * RNG.normal(size=50)
    student = teacher + distance * RNG.normal(size=50)
    found = distillation_loss(
        student[None], teacher[None], temperature=2.0, direction=direction, squared_temperature=False
    )
    truth = exact_divergence(student, teacher, direction, 2)
    # ln p is right to an ulp of its size, some 10; the divergence is the square of its difference
    allowed = 1e-15 + 4 * 10 * 2**-53 / distance
    assert abs(float(oracle.mpf(float(found)) / truth - 1)) <= allowed


@each_direction
def test_half_precision_and_float32_logits_are_compared_in_float64(direction):
    torch = pytest.importorskip("torch")
    teacher = torch.tensor(3 * RNG.normal(size=(1, 50)), dtype=torch.float32)
    student = teacher + torch.tensor(1e-4 * RNG.normal(size=(1, 50)), dtype=torch.float32)
    found = distillation_loss(student, teacher, direction=direction, squared_temperature=False)
    truth = exact_divergence(student[0].numpy(), teacher[0].numpy(), direction, 4)
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(float(truth), rel=2e-7)


def test_the_divergence_is_never_negative():
    teacher = RNG.normal(size=(500, 7)) * 10.0 ** RNG.integers(-2, 3, size=(500, 1))
    student = teacher + RNG.normal(size=(500, 7)) * 10.0 ** RNG.integers(-12, 1, size=(500, 1))
    for direction in DIRECTIONS:
        assert (distillation_loss(student, teacher, direction=direction, reduction="none") >= 0).all()


# -------------------------------------------------------------------------------------- what it is made of


def test_the_squared_temperature_is_the_factor_of_the_paper():
    """Hinton, Vinyals & Dean 2015, equation 2: the gradient is (p − q)/T, and T times that with the factor."""
    torch = pytest.importorskip("torch")
    T = 3.0
    for squared, factor in ((True, T), (False, 1 / T)):
        student = torch.tensor(STUDENT, requires_grad=True)
        teacher = torch.tensor(TEACHER)
        loss = distillation_loss(
            student, teacher, temperature=T, squared_temperature=squared, reduction="sum"
        )
        (gradient,) = torch.autograd.grad(loss, student)
        expected = factor * (softmax(STUDENT / T, axis=1) - softmax(TEACHER / T, axis=1))
        np.testing.assert_allclose(gradient.numpy(), expected, rtol=0, atol=1e-15)


def test_at_a_high_temperature_it_matches_logits():
    """Equation 4 of the paper: then it is half the mean square of the difference of centered logits."""
    difference = STUDENT - TEACHER
    expected = np.mean((difference - difference.mean(axis=1, keepdims=True)) ** 2, axis=1) / 2
    found = distillation_loss(STUDENT, TEACHER, temperature=1e5, reduction="none")
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_the_label_weight_is_the_share_of_the_labels():
    hard = ce.softmax_cross_entropy(STUDENT, LABELS)
    soft = distillation_loss(STUDENT, TEACHER)
    for alpha in (0.0, 0.3, 1.0):
        found = distillation_loss(STUDENT, TEACHER, LABELS, label_weight=alpha)
        assert float(found) == pytest.approx(alpha * hard + (1 - alpha) * soft, rel=1e-14)
    assert float(distillation_loss(STUDENT, TEACHER, label_weight=0.9)) == float(soft)  # no labels, no share


def test_the_mean_is_over_rows_and_not_over_classes():
    """kl_div's own "mean" is C times smaller; its "batchmean" is this."""
    torch = pytest.importorskip("torch")
    from torch.nn.functional import kl_div

    logs = (torch.log_softmax(torch.tensor(z) / 4, dim=1) for z in (STUDENT, TEACHER))
    expected = 16 * kl_div(*logs, reduction="batchmean", log_target=True)
    assert float(distillation_loss(STUDENT, TEACHER)) == pytest.approx(float(expected), rel=1e-13)


def test_an_ignored_label_leaves_the_row_out_of_both_terms():
    labels = LABELS.copy()
    labels[[1, 4]] = -100
    keep = labels >= 0
    spoilt = np.where(keep[:, None], STUDENT, np.nan)
    found = distillation_loss(spoilt, TEACHER, labels, ignore_index=-100)
    expected = distillation_loss(STUDENT[keep], TEACHER[keep], LABELS[keep])
    assert float(found) == pytest.approx(float(expected), rel=1e-14)


def test_an_axis_of_classes_may_stand_anywhere():
    student, teacher = (np.moveaxis(z.reshape(2, 3, 5), -1, 1) for z in (STUDENT, TEACHER))
    found = distillation_loss(student, teacher, LABELS.reshape(2, 3), axis=1)
    assert float(found) == pytest.approx(float(distillation_loss(STUDENT, TEACHER, LABELS)), rel=1e-14)


def test_a_class_that_the_teacher_rules_out_costs_the_student_what_it_gives_it():
    teacher = np.log([[0.5, 0.5, 1.0]])
    teacher[0, 2] = -np.inf
    found = distillation_loss(np.log([[0.25, 0.25, 0.5]]), teacher, temperature=1.0)
    assert float(found) == pytest.approx(np.log(2), rel=1e-15)


def test_a_teacher_gets_no_gradient():
    torch = pytest.importorskip("torch")
    teacher = torch.tensor(TEACHER, requires_grad=True)
    student = torch.tensor(STUDENT, requires_grad=True)
    for direction in DIRECTIONS:
        distillation_loss(student, teacher, direction=direction).backward()
    assert teacher.grad is None

    jax = pytest.importorskip("jax")
    slope = jax.grad(lambda t: distillation_loss(jax.numpy.asarray(STUDENT), t))(jax.numpy.asarray(TEACHER))
    assert (np.asarray(slope) == 0).all()


@each_direction
def test_the_temperature_can_be_learnt(direction):
    torch = pytest.importorskip("torch")
    student, teacher = torch.tensor(STUDENT, requires_grad=True), torch.tensor(TEACHER)
    temperature = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    loss = lambda s, T: distillation_loss(s, teacher, temperature=T, direction=direction)  # noqa: E731
    assert torch.autograd.gradcheck(loss, (student, temperature))
    assert torch.autograd.gradgradcheck(loss, (student, temperature))


def test_the_gradient_of_a_large_tensor_takes_its_own_memory_and_no_more():
    torch = pytest.importorskip("torch")
    student = torch.randn(512, 2048, requires_grad=True)
    teacher = torch.randn(512, 2048)
    with torch.profiler.profile(profile_memory=True) as found:
        distillation_loss(student, teacher).backward()
    largest = sorted(event.self_cpu_memory_usage for event in found.events())[-2:]
    size = student.numel() * 4
    assert largest[1] <= size * 1.01  # the gradient
    assert largest[0] <= size / 4


def test_it_maps():
    torch = pytest.importorskip("torch")
    student, teacher = torch.tensor(STUDENT), torch.tensor(TEACHER)
    mapped = torch.func.vmap(lambda s, t: distillation_loss(s, t))(student, teacher)
    np.testing.assert_allclose(mapped, distillation_loss(student, teacher, reduction="none"), rtol=1e-13)


@pytest.mark.full
def test_it_compiles():
    torch = pytest.importorskip("torch")
    student, teacher, labels = (torch.tensor(x) for x in (STUDENT, TEACHER, LABELS))
    expected = distillation_loss(student, teacher, labels, reduction="none")
    compiled = torch.compile(distillation_loss, fullgraph=True)(student, teacher, labels, reduction="none")
    np.testing.assert_allclose(compiled, expected, rtol=1e-13)


# ------------------------------------------------------------------------------------- the top of a teacher


def test_the_top_of_a_teacher_with_all_classes_is_the_teacher():
    top = top_k_teacher(TEACHER, 5, temperature=2.0)
    found = ce.softmax_cross_entropy(STUDENT, top, temperature=2.0)
    expected = ce.softmax_cross_entropy(STUDENT, softmax(TEACHER / 2, axis=1), temperature=2.0)
    assert float(found) == pytest.approx(float(expected), rel=1e-14)


def test_the_top_of_a_teacher_is_renormalized_unless_asked_not_to_be():
    p = softmax(TEACHER, axis=1)
    order = np.argsort(-p, axis=1)[:, :2]
    kept = np.take_along_axis(p, order, axis=1)
    raw = top_k_teacher(TEACHER, 2, renormalize=False)
    np.testing.assert_array_equal(raw.indices, order)
    np.testing.assert_allclose(raw.weights, kept, rtol=1e-14)
    np.testing.assert_allclose(top_k_teacher(TEACHER, 2).weights.sum(axis=1), 1, rtol=1e-15)
    # what it costs then is divided by the mass that is left, unless by rows
    cost = np.sum(-kept * np.take_along_axis(log_softmax(STUDENT, axis=1), order, axis=1))
    assert float(ce.softmax_cross_entropy(STUDENT, raw)) == pytest.approx(cost / kept.sum(), rel=1e-14)
    by_rows = ce.softmax_cross_entropy(STUDENT, raw, normalizer="count")
    assert float(by_rows) == pytest.approx(cost / len(p), rel=1e-14)


def test_the_top_of_a_teacher_is_a_constant():
    torch = pytest.importorskip("torch")
    top = top_k_teacher(torch.tensor(TEACHER, requires_grad=True), 3)
    assert not top.weights.requires_grad


# ------------------------------------------------------------------------------------------ consistency


def test_the_divergence_of_two_predictions_is_that_of_their_probabilities():
    found = jsd_consistency(STUDENT, TEACHER, reduction="none")
    expected = ce.js_divergence(softmax(STUDENT, axis=1), softmax(TEACHER, axis=1))
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_the_divergence_of_k_certain_predictions_is_the_logarithm_of_k():
    certain = 1000 * np.eye(4)
    found = jsd_consistency(*(row[None] for row in certain))
    assert float(found) == pytest.approx(np.log(4), rel=1e-15)


def test_the_divergence_does_not_depend_on_the_order():
    views = (STUDENT, TEACHER, STUDENT - 2 * TEACHER)
    one = jsd_consistency(*views)
    assert float(jsd_consistency(*views[::-1])) == pytest.approx(float(one), rel=1e-14)


def test_unlikely_classes_have_the_gradient_that_a_clamp_at_1e_7_would_take():
    torch = pytest.importorskip("torch")
    logits = [np.array([[0.0, 1.0, -20.0]]), np.array([[0.5, 0.0, -22.0]]), np.array([[0.2, 0.3, -24.0]])]
    views = [torch.tensor(z, requires_grad=True) for z in logits]
    found = torch.autograd.grad(jsd_consistency(*views), views)
    p = [softmax(z, axis=1) for z in logits]
    m = sum(p) / 3
    for gradient, own in zip(found, p, strict=True):
        d = np.log(own / m)
        expected = own * (d - np.sum(own * d)) / 3
        assert gradient[0, 2] != 0
        np.testing.assert_allclose(gradient, expected, rtol=1e-6)


def test_augmix_is_the_clean_loss_and_twelve_times_the_divergence():
    views = (STUDENT, TEACHER, STUDENT + 0.1)
    expected = ce.softmax_cross_entropy(STUDENT, LABELS) + 12 * jsd_consistency(*views)
    assert float(augmix_loss(*views, labels=LABELS)) == pytest.approx(float(expected), rel=1e-14)


def test_an_ignored_label_leaves_the_row_out_of_augmix():
    labels = np.where(np.arange(6) == 3, -1, LABELS)
    keep = labels >= 0
    found = augmix_loss(STUDENT, TEACHER, labels=labels, ignore_index=-1)
    expected = augmix_loss(STUDENT[keep], TEACHER[keep], labels=LABELS[keep])
    assert float(found) == pytest.approx(float(expected), rel=1e-14)


# ----------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: distillation_loss(STUDENT, TEACHER, direction="backward"), '"forward", "reverse"'),
        (lambda: distillation_loss(STUDENT, TEACHER, LABELS, label_weight=1.5), "a share of the label"),
        (lambda: distillation_loss(STUDENT, TEACHER, temperature=0), "temperature is 0"),
        (lambda: distillation_loss(STUDENT, TEACHER, temperature=np.ones(6)), "one number for all rows"),
        (lambda: distillation_loss(STUDENT, TEACHER, ignore_index=-100), "there are none"),
        (lambda: distillation_loss(STUDENT, TEACHER[:, :4]), r"teacher has shape \(6, 4\)"),
        (lambda: distillation_loss(STUDENT, TEACHER, sample_weight=-np.ones(6)), 'normalizer="count"'),
        (lambda: top_k_teacher(TEACHER, 6), "of the 5 classes"),
        (lambda: jsd_consistency(STUDENT), "two or more"),
        (lambda: augmix_loss(STUDENT, labels=LABELS), "no augmented view"),
        (lambda: augmix_loss(STUDENT, TEACHER[:3], labels=LABELS), r"augmented\[0\] has shape"),
    ],
)
def test_what_cannot_be_meant_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_integers_are_no_logits():
    with pytest.raises(TypeError, match="floating-point numbers"):
        distillation_loss(STUDENT, LABELS)
