"""Losses of ordered classes: what each ambiguous point means, and what peers get wrong."""

import itertools

import mpmath
import numpy as np
import pytest

import crossentropy as ce
from crossentropy.losses.ordinal import coral_loss, coral_probabilities, corn_loss, corn_probabilities
from losses.catalogue.libraries import Library

ctx = mpmath.mp.clone()
ctx.dps = 50
each_library = pytest.mark.parametrize("library", ["numpy", "torch", "jax"])

Z = np.array([[2.0, 0.5, -1.5], [0.25, -0.5, -3.0], [4.0, 3.0, 30.0], [-1.0, -2.0, 0.125]])
Y = np.array([1, 0, 3, 2])
WEIGHTS = np.array([0.5, 2.0, 1.25, 3.0])
IMPORTANCE = np.array([1.0, 0.5, 2.0])
PUBLISHED = np.array([[2.1, 1.8, -2.1, -1.8], [1.9, -1.0, -1.5, -1.3], [1.9, 1.8, 1.7, 1.6]])


def softplus(x):
    return ctx.log1p(ctx.exp(ctx.mpf(float(x))))


def questions(z, y, importance=(1, 1, 1, 1)):
    """Losses of every question of a row."""
    return [w * softplus(-x if y > k else x) for k, (x, w) in enumerate(zip(z, importance, strict=False))]


def coral(z, y, importance=(1, 1, 1, 1)):
    return np.array([float(sum(questions(*row, importance))) for row in zip(z, y, strict=True)])


def corn(z, y, importance=(1, 1, 1, 1)):
    return np.array([float(sum(questions(a, b, importance)[: b + 1])) for a, b in zip(z, y, strict=True)])


ASKED = np.minimum(Y + 1, 3)


def value(library, loss, *arrays, **options):
    lib = Library(library)
    with lib():
        return lib.numpy(loss(*map(lib.array, arrays), **{n: lib.array(x) for n, x in options.items()}))


# ----------------------------------------------------------------------------------------- coral-pytorch


def test_the_example_of_coral_pytorch():
    """coral_loss's docstring: 0.6920 for the levels of the labels 2, 1 and 4."""
    y = np.array([2, 1, 4])
    assert np.mean(coral(PUBLISHED, y)) == pytest.approx(0.6920, abs=5e-5)
    assert coral_loss(PUBLISHED, y) == pytest.approx(np.mean(coral(PUBLISHED, y)), rel=1e-14)


def test_the_probabilities_of_coral_pytorch_are_those_of_being_above():
    """proba_to_label's docstring: labels 2, 0 and 5, from the number of P(y > k) above one half."""
    above = np.array(
        [
            [0.934, 0.861, 0.323, 0.492, 0.295],
            [0.496, 0.485, 0.267, 0.124, 0.058],
            [0.985, 0.967, 0.92, 0.819, 0.506],
        ]
    )
    classes = coral_probabilities(np.log(above / (1 - above)))
    np.testing.assert_allclose(1 - np.cumsum(classes, axis=-1)[:, :-1], above, rtol=1e-14)
    assert np.sum(above > 0.5, axis=-1).tolist() == [2, 0, 5]


def test_a_sure_no_keeps_its_digits():
    """coral-pytorch forms log σ(z) − z, which cancels: 0 instead of 2.06e-9 at −20 in float32."""
    z, y = np.full((1, 3), -20.0, "float32"), np.array([0])
    assert coral_loss(z, y) == np.float32(3 * 2.0611536e-09)
    assert corn_loss(z, y) == np.float32(2.0611536e-09)


def test_a_batch_of_nothing_is_no_error():
    """coral-pytorch's corn_loss divides by a count of 0: ZeroDivisionError."""
    assert corn_loss(np.zeros((0, 3)), np.zeros(0, int)) == 0
    with pytest.raises(ValueError, match="nothing to average"):
        corn_loss(np.zeros((0, 3)), np.zeros(0, int), empty="raise")


# -------------------------------------------------------------------------------------------- reductions


@each_library
def test_coral_sums_questions_and_averages_rows(library):
    rows = coral(Z, Y)
    np.testing.assert_allclose(value(library, coral_loss, Z, Y, reduction="none"), rows, rtol=1e-14)
    assert value(library, coral_loss, Z, Y) == pytest.approx(np.mean(rows), rel=1e-14)
    found = value(library, coral_loss, Z, Y, sample_weight=WEIGHTS)
    assert found == pytest.approx(np.sum(WEIGHTS * rows) / np.sum(WEIGHTS), rel=1e-14)
    found = value(library, coral_loss, Z, Y, sample_weight=WEIGHTS, normalizer="count")
    assert found == pytest.approx(np.mean(WEIGHTS * rows), rel=1e-14)
    found = value(library, coral_loss, Z, Y, normalizer=WEIGHTS)
    assert found == pytest.approx(np.sum(rows / WEIGHTS), rel=1e-14)


@each_library
def test_importance_weighs_questions_and_is_in_no_denominator(library):
    rows = coral(Z, Y, IMPORTANCE)
    assert value(library, coral_loss, Z, Y, importance=IMPORTANCE) == pytest.approx(np.mean(rows), rel=1e-14)


@each_library
def test_corn_averages_the_questions_that_are_asked(library):
    rows = corn(Z, Y)
    np.testing.assert_allclose(value(library, corn_loss, Z, Y, reduction="none"), rows, rtol=1e-14)
    assert value(library, corn_loss, Z, Y) == pytest.approx(np.sum(rows) / np.sum(ASKED), rel=1e-14)
    weighted = np.sum(WEIGHTS * rows)
    found = value(library, corn_loss, Z, Y, sample_weight=WEIGHTS)
    assert found == pytest.approx(weighted / np.sum(WEIGHTS * ASKED), rel=1e-14)
    found = value(library, corn_loss, Z, Y, sample_weight=WEIGHTS, normalizer="count")
    assert found == pytest.approx(weighted / np.sum(ASKED), rel=1e-14)
    assert value(library, corn_loss, Z, Y, normalizer=4.0) == pytest.approx(np.mean(rows), rel=1e-14)


def test_an_array_normalizer_has_the_rows_shape():
    with pytest.raises(ValueError, match=r"one for each row, shape \(4,\)"):
        coral_loss(Z, Y, normalizer=np.ones(3))


@pytest.mark.parametrize("loss", [coral_loss, corn_loss])
def test_numpy_has_the_gradient_of_means_and_sums(loss):
    torch = pytest.importorskip("torch")
    for options in ({}, {"reduction": "sum"}, {"sample_weight": WEIGHTS}):
        found, gradient = ce.loss_and_gradient(loss, Z, Y, **options)
        z = torch.from_numpy(Z.copy()).requires_grad_()
        options = {n: torch.from_numpy(x) if n == "sample_weight" else x for n, x in options.items()}
        same = loss(z, torch.from_numpy(Y), **options)
        same.backward()
        assert found == pytest.approx(same.item(), rel=1e-14)
        np.testing.assert_allclose(gradient, z.grad.numpy(), rtol=1e-14)


@pytest.mark.parametrize("loss", [coral_loss, corn_loss])
def test_the_derivative_is_that_of_the_formula(loss):
    torch = pytest.importorskip("torch")
    z, y, w = (
        torch.from_numpy(np.clip(Z, -5, 5)).requires_grad_(),
        torch.from_numpy(Y),
        torch.from_numpy(WEIGHTS),
    )
    assert torch.autograd.gradcheck(lambda z: loss(z, y, sample_weight=w), z)
    assert torch.autograd.gradcheck(lambda z: loss(z, y, reduction="none"), z)
    assert torch.autograd.gradgradcheck(lambda z: loss(z, y), z)


# ------------------------------------------------------------------------------------------ rows left out


@pytest.mark.parametrize(
    ("loss", "truth", "counted"), [(coral_loss, coral, np.ones(4)), (corn_loss, corn, ASKED)]
)
@each_library
def test_ignored_rows_and_those_without_weight_count_nothing(library, loss, truth, counted):
    z, y, weights = Z.copy(), Y.copy(), WEIGHTS.copy()
    z[1], y[1] = np.nan, -100
    rows, kept = truth(Z, Y), np.array([1, 0, 1, 1])
    found = value(library, loss, z, y, ignore_index=-100)
    assert found == pytest.approx(np.sum(kept * rows) / np.sum(kept * counted), rel=1e-14)
    found = value(library, loss, z, y, ignore_index=-100, normalizer="count")
    assert found == pytest.approx(np.sum(kept * rows) / np.sum(kept * counted), rel=1e-14)
    weights[1] = 0
    found = value(library, loss, z, y, sample_weight=weights)
    assert found == pytest.approx(np.sum(weights * rows) / np.sum(weights * counted), rel=1e-14)


def test_corn_does_not_look_at_questions_it_does_not_ask():
    torch = pytest.importorskip("torch")
    z = torch.tensor([[0.5, np.nan, np.nan], [0.5, 0.25, np.nan]], dtype=torch.float64, requires_grad=True)
    loss = corn_loss(z, torch.tensor([0, 1]))
    loss.backward()
    clean = np.nan_to_num(z.detach().numpy())
    assert loss.item() == pytest.approx(np.sum(corn(clean, [0, 1])) / 3, rel=1e-14)
    assert (z.grad[np.isnan(z.detach().numpy())] == 0).all()


# ------------------------------------------------------------------------------------------------ labels


@pytest.mark.parametrize("loss", [coral_loss, corn_loss])
@pytest.mark.parametrize("label", [-1, 4, 255])
def test_a_label_outside_the_classes_is_refused(loss, label):
    with pytest.raises(ValueError, match=rf"label {label} at row 2 is outside \[0, 4\)"):
        loss(Z, np.array([0, 1, label, 3]))


@pytest.mark.parametrize("loss", [coral_loss, corn_loss])
@pytest.mark.parametrize("label", [-1, 4])
def test_unchecked_or_under_a_trace_its_row_is_nan(loss, label):
    y = np.array([0, 1, label, 3])
    found = loss(Z, y, reduction="none", validate="none")
    assert np.isnan(found).tolist() == [False, False, True, False]
    jax = pytest.importorskip("jax")
    z = jax.numpy.asarray(Z, "float32")
    found = jax.jit(lambda z, y: loss(z, y, reduction="none"))(z, y)
    assert np.isnan(found).tolist() == [False, False, True, False]
    clean = jax.jit(lambda z, y: loss(z, y))(z, Y)
    np.testing.assert_allclose(clean, loss(Z, Y), rtol=1e-6)


@pytest.mark.parametrize("loss", [coral_loss, corn_loss])
def test_levels_and_floats_are_refused_with_the_cure(loss):
    levels = (Y[:, None] > np.arange(3)).astype(int)
    with pytest.raises(ValueError, match=r"levels\.sum\(-1\)"):
        loss(Z, levels)
    with pytest.raises(TypeError, match="astype"):
        loss(Z, Y.astype(float))
    with pytest.raises(ValueError, match="pass rows"):
        loss(Z[0], Y[0])


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "bool"])
def test_labels_may_be_of_any_integer_type(dtype):
    y = (Y > 1).astype(int)
    assert coral_loss(Z, y.astype(dtype)) == coral_loss(Z, y)


# ----------------------------------------------------------------------------------------- probabilities


@each_library
def test_corns_rows_are_minus_the_logarithms_of_its_probabilities(library):
    p = value(library, corn_probabilities, Z)
    np.testing.assert_allclose(-np.log(p[np.arange(4), Y]), corn(Z, Y), rtol=1e-13)
    np.testing.assert_allclose(p.sum(axis=-1), 1, rtol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@each_library
def test_differences_of_sigmoids_keep_their_digits(library, dtype):
    """σ(40) − σ(41) is 0 in both types, if it is formed so."""
    z = [41.0, 40.0, 0.5, -40.0, -40.0]
    sigma = [ctx.mpf(1), *(1 / (1 + ctx.exp(-ctx.mpf(x))) for x in z), ctx.mpf(0)]
    expected = [float(a - b) for a, b in itertools.pairwise(sigma)]
    lib = Library(library, dtype)
    with lib():
        found = lib.numpy(coral_probabilities(lib.array(np.array([z]))))[0]
    np.testing.assert_allclose(found, expected, rtol=1e-5 if dtype == "float32" else 1e-14)


def test_rising_logits_have_a_negative_probability_and_a_sum_of_one():
    p = coral_probabilities(np.array([-1.0, 2.0]))
    np.testing.assert_allclose(p, [0.7310585786, -0.6118556566, 0.8807970780], rtol=1e-9)
    assert p.sum() == pytest.approx(1, rel=1e-15)


@pytest.mark.parametrize("probabilities", [coral_probabilities, corn_probabilities])
def test_probabilities_of_certain_answers_are_certain_and_their_gradients_finite(probabilities):
    torch = pytest.importorskip("torch")
    inf = float("inf")
    z = torch.tensor(
        [[inf, inf, -inf], [inf, inf, inf], [-inf, -inf, -inf], [inf, 0.0, 0.0]], requires_grad=True
    )
    p = probabilities(z)
    assert p[:3].tolist() == [[0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0]]
    p[:, 1].sum().backward()
    assert torch.isfinite(z.grad).all()


@pytest.mark.parametrize("probabilities", [coral_probabilities, corn_probabilities])
def test_probabilities_have_the_derivative_of_their_formula(probabilities):
    torch = pytest.importorskip("torch")
    z = torch.tensor([[1.0, 0.25, -2.0], [0.5, -1.0, 1.5]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(probabilities, z)
    tie = torch.tensor([0.5, 0.5], dtype=torch.float64, requires_grad=True)
    coral_probabilities(tie)[1].backward()
    slope = torch.sigmoid(tie[0]).item() * torch.sigmoid(-tie[0]).item()
    np.testing.assert_allclose(tie.grad.numpy(), [slope, -slope], rtol=1e-12)


@each_library
@pytest.mark.parametrize("normalizer", ["weight", "count", 5.0])
def test_importance_weighs_the_questions_of_corn_and_not_its_denominator(library, normalizer):
    options = {"importance": IMPORTANCE, "sample_weight": WEIGHTS}
    losses = WEIGHTS * corn(Z, Y, IMPORTANCE)
    asked = {"weight": np.sum(WEIGHTS * ASKED), "count": ASKED.sum(), 5.0: 5.0}[normalizer]
    found = value(library, corn_loss, Z, Y, **options, normalizer=normalizer)
    np.testing.assert_allclose(found, np.sum(losses) / asked, rtol=1e-12)
    found = value(library, corn_loss, Z, Y, **options, reduction="none")
    np.testing.assert_allclose(found, losses, rtol=1e-12)


@each_library
@pytest.mark.parametrize("loss", [coral_loss, corn_loss])
@pytest.mark.parametrize("importance", [np.ones(5), np.ones((4, 3)), np.ones(4)], ids=["5", "4x3", "4"])
def test_importance_of_another_shape_is_refused_under_its_name(library, loss, importance):
    with pytest.raises(ValueError, match=r"^importance has shape .* 3 questions of 4 classes, shape \(3,\)"):
        value(library, loss, Z, Y, importance=importance)
