"""How exact `softmax_cross_entropy` is: units in the last place, against sixty digits."""

import numpy as np
import pytest

import crossentropy as ce
import oracle
import oracle_rows
import ulps
from frameworks import TORCH, each_dtype, each_framework, loss_dtype
from sampling import full

LEVELS = 509  # distinct logits in a long row, so that its exact sum stays cheap


def logits_of(fw, dtype, values):
    """Framework logits of a dtype, and the float64 array of the values they hold."""
    logits = fw.array(np.asarray(values, dtype=np.float64), dtype)
    return logits, fw.numpy(logits)


def assert_row_exact(loss, gradient, z, label, dtype):
    """The contract: a loss within 4·max(1, −D) ulp, a gradient entry within 4·max(1, |D|, |log p_c|) ulp.

    A loss whose D is positive and large is about D: its own last digits are asked for, not D times as many.
    Narrow gradients are rounded once more, on store. A number below the normal ones may be one unit off.
    """
    wide = loss_dtype(dtype)
    row = oracle_rows.index_row(z, label)
    D = float(row.log_odds_against)
    limit = ulps.allowed(4 * max(1.0, -D), float(row.loss), wide)
    error = abs(ulps.errors(loss, row.loss)[0])
    assert error <= limit, f"the loss {loss} is {error / limit:.3g} limits off {float(row.loss)}"

    high, low = (part[row.which] for part in ulps.split(row.slopes))
    high[label], low[label] = (part[0] for part in ulps.split([row.target_slope]))
    largest = 110.0 if wide == "float32" else 750.0  # beyond this every entry is zero
    digits = 4 * np.maximum(1.0, np.minimum(np.maximum(abs(D), np.abs(row.log_p)), largest))
    limit = ulps.allowed(digits, high, wide)
    if dtype != wide:
        limit = limit + 0.5 * ulps.unit(high, dtype)
    errors = np.abs(ulps.difference(gradient, high, low))
    worst = int(np.argmax(errors / limit))
    assert (errors <= limit).all(), (
        f"gradient entry {worst} is {errors[worst] / limit[worst]:.3g} limits off {high[worst]}"
    )


def check_rows(fw, dtype, values, labels):
    logits, exact = logits_of(fw, dtype, values)
    losses = fw.loss(logits, labels, reduction="none")
    _, gradient = fw.loss_and_gradient(logits, labels, reduction="sum")
    for i, y in enumerate(labels):
        assert_row_exact(losses[i], gradient[i], exact[i], int(y), dtype)


@pytest.mark.parametrize(
    ("margin", "expected"), [(17, 4.1399377e-8), (20, 2.0611537e-9), (40, 4.2483543e-18), (100, 3.72e-44)]
)
@each_framework
def test_confident_float32_rows_keep_their_loss_and_their_target_gradient(fw, margin, expected):
    logits = fw.array([[float(margin), 0.0]], "float32")
    labels = np.array([0])
    loss = fw.loss(logits, labels, reduction="none")[0]
    _, gradient = fw.loss_and_gradient(logits, labels, reduction="sum")
    tolerance = 1.5e-45 if margin == 100 else 2e-7 * expected + 4 * margin * ulps.unit(expected, "float32")
    for number in (loss, -gradient[0, 0], gradient[0, 1]):
        assert number > 0
        assert abs(number - expected) <= tolerance
    assert_row_exact(loss, gradient[0], [float(margin), 0.0], 0, "float32")


@pytest.mark.parametrize("margin", [1, 17, 37, 40, 100, 300, 700])
@each_framework
def test_confident_float64_rows_keep_their_digits(fw, margin):
    check_rows(
        fw, "float64", [[0.0, margin, 0.0, -margin], [margin, 0.0, margin - 1.5, 0.0]], np.array([1, 0])
    )


@pytest.mark.parametrize("scale", [0.01, 1.0, 10.0, 60.0])
@pytest.mark.parametrize("classes", [2, 10, 130])
@each_dtype
def test_random_rows_are_exact_to_the_last_bits(fw, dtype, classes, scale):
    rng = np.random.default_rng(classes)
    z = rng.normal(size=(12, classes)) * scale
    labels = rng.integers(0, classes, size=12)
    labels[:6] = z[:6].argmax(axis=1)  # confident rows
    check_rows(fw, dtype, z, labels)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@each_framework
def test_focal_losses_of_confident_rows_keep_their_digits(fw, dtype, gamma):
    logits, z = logits_of(fw, dtype, [[m, 0.0, -1.0] for m in (-3.0, 0.5, 4.0, 8.0, 12.0)])
    losses, gradient = fw.loss_and_gradient(
        logits, np.zeros(5, dtype=np.int64), link=ce.links.Focal(gamma), reduction="none"
    )
    options = oracle.Options(link=oracle.Focal(gamma))
    target = oracle.index_targets([0], 3)[0]
    for i in range(5):
        u = oracle.numbers(z[i])
        row = oracle.row(u, target, options)
        D = abs(float(oracle.log_odds_against(u, {0})))
        log_p = np.array([abs(float(l)) for l in oracle.log_probabilities(u)])
        error = abs(ulps.errors(losses[i], row.loss)[0])
        assert error <= ulps.allowed(4 * max(1.0, D), float(row.loss), dtype)
        truth = np.array([float(g) for g in row.gradient])
        limit = ulps.allowed(4 * np.maximum(max(1.0, D), log_p), truth, dtype)
        assert (np.abs(ulps.errors(gradient[i], row.gradient)) <= limit).all()


@pytest.mark.parametrize("offset", [1e3, -1e6, 1e6, 1e10, 1e30, -1e30])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@each_framework
def test_an_offset_of_the_row_costs_no_digits(fw, dtype, offset):
    rng = np.random.default_rng(1)
    z = offset + rng.normal(size=(8, 12)) * 3
    labels = rng.integers(0, 12, size=8)
    labels[:4] = z[:4].argmax(axis=1)
    check_rows(fw, dtype, z, labels)


@pytest.mark.parametrize(("dtype", "offset"), [("bfloat16", 1e3), ("bfloat16", 1e30), ("float16", -6e4)])
def test_an_offset_of_a_half_precision_row_costs_no_digits(dtype, offset):
    rng = np.random.default_rng(2)
    z = offset + rng.normal(size=(6, 12)) * abs(offset) * 0.01
    check_rows(TORCH, dtype, z, rng.integers(0, 12, size=6))


@pytest.mark.parametrize("values", [[1e30, -1e30, 0.0], [-1e30, -1e30, -1e30], [1e30, 1e30, -1e30]])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@each_framework
def test_logits_at_the_ends_of_the_range_are_exact(fw, dtype, values):
    check_rows(fw, dtype, [values] * 3, np.array([0, 1, 2]))


@pytest.mark.parametrize("classes", [1, 2, 17, 1000, 4097, 2**17])
@each_dtype
def test_any_number_of_classes_is_exact(fw, dtype, classes):
    rng = np.random.default_rng(classes)
    levels = np.round(rng.normal(size=LEVELS) * 4, 3)
    z = levels[rng.integers(0, LEVELS, size=(2, classes))]
    labels = np.array([rng.integers(classes), z[1].argmax()])
    z[1, labels[1]] += 20
    check_rows(fw, dtype, z, labels)


@each_framework
def test_a_million_classes_are_exact(fw):
    rng = np.random.default_rng(3)
    z = np.round(rng.normal(size=LEVELS) * 4, 3)[rng.integers(0, LEVELS, size=(1, 2**20))]
    check_rows(fw, "float32", z, np.array([2**20 - 1]))


@pytest.mark.parametrize("temperature", [0.25, 4.0, 0.75])
@each_framework
def test_temperature_divides_after_the_maximum_is_subtracted(fw, temperature):
    rng = np.random.default_rng(4)
    z = (1e6 + rng.normal(size=(8, 9))).astype(np.float32).astype(np.float64)
    labels = rng.integers(0, 9, size=8)
    losses = fw.loss(fw.array(z, "float32"), labels, temperature=temperature, reduction="none")
    for i, y in enumerate(labels):
        u = oracle.Transform(oracle.mpf(temperature)).u(oracle.numbers(z[i]))
        D = oracle.log_odds_against(u, {int(y)})
        truth = -oracle.log_sigmoid(-D)
        limit = ulps.allowed(4 * max(1.0, -float(D)), float(truth), "float32")
        assert abs(ulps.errors(losses[i], truth)[0]) <= limit


@pytest.mark.parametrize("transform", [{"softcap": 30.0}, {"logit_bias": np.linspace(-6, 6, 9)}], ids=str)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@each_framework
def test_softcap_and_bias_lose_no_more_than_their_size(fw, dtype, transform):
    rng = np.random.default_rng(5)
    logits, z = logits_of(fw, dtype, rng.normal(size=(10, 9)) * 20)
    labels = rng.integers(0, 9, size=10)
    labels[:5] = z[:5].argmax(axis=1)
    losses = fw.loss(logits, labels, reduction="none", **transform)
    rule = oracle.Transform(**{k: oracle._vector(v) for k, v in transform.items()})
    for i, y in enumerate(labels):
        u = rule.u(oracle.numbers(z[i]))
        D = oracle.log_odds_against(u, {int(y)})
        truth = -oracle.log_sigmoid(-D)
        largest = max(1.0, max(abs(float(v)) for v in u))
        limit = ulps.allowed(4 * max(1.0, -float(D)) * largest, float(truth), dtype)
        assert abs(ulps.errors(losses[i], truth)[0]) <= limit


@pytest.mark.parametrize("offset", [*full([0.0]), 1e4])
@pytest.mark.parametrize("what", ["smoothing", "prior", "dense", "class_weight", "entropy_bonus", "z_loss"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@each_framework
def test_sums_over_classes_are_within_eight_ulp_of_their_terms_magnitudes(fw, dtype, what, offset):
    rng = np.random.default_rng(6)
    classes = 300
    logits, z = logits_of(fw, dtype, offset + rng.normal(size=(4, classes)) * 5)
    labels = rng.integers(0, classes, size=4)
    prior, masses = rng.dirichlet(np.ones(classes)), rng.dirichlet(np.ones(classes), size=4)
    weights = rng.uniform(0.5, 2.0, size=classes)
    targets, target = oracle.index_targets(labels, classes), labels
    if what == "dense":
        masses = fw.array(masses, dtype)
        target = fw.target("Probabilities", masses, normalized=False)
        targets = oracle.dense_targets(fw.numpy(masses))
    options = {
        "smoothing": {"label_smoothing": 0.125},
        "prior": {"label_smoothing": 0.125, "smoothing_prior": prior},
        "dense": {},
        "class_weight": {"label_smoothing": 0.125, "class_weight": weights},
        "entropy_bonus": {"entropy_bonus": 0.5},
        "z_loss": {"z_loss": 2.0**-10},
    }[what]
    losses = fw.loss(logits, target, reduction="none", **options)
    truth = oracle.solve(z, targets, reduction="none", **options).value
    for i in range(4):
        centered = z[i] - z[i].max()
        partition = np.log(np.exp(centered).sum())
        p = np.exp(centered - partition)
        a = np.array([float(t) for t in targets[i].masses])
        if "label_smoothing" in options:
            a = (0.875 * a + 0.125 * options.get("smoothing_prior", 1 / classes)) * options.get(
                "class_weight", 1
            )
        magnitude = (np.abs(a) * (np.abs(centered) + partition)).sum()
        magnitude += options.get("entropy_bonus", 0) * (p * (np.abs(centered) + partition)).sum()
        magnitude += options.get("z_loss", 0) * (abs(z[i].max()) + partition) ** 2
        assert abs(losses[i] - truth[i]) <= 8 * ulps.unit(magnitude, dtype)
