"""Losses of cosines: ArcFace's angle, its digits, its ends."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

import crossentropy as ce
from crossentropy.losses.margins import arcface_loss, cosface_loss
from losses.any_library import libraries

lib = libraries("numpy", "torch")
autodiff = libraries("torch")
each_autodiff = libraries("torch", "jax")
COSINES = np.array(
    [[0.8, 0.5, -0.2], [-0.95, 0.3, 0.1], [0.2, 0.999, -0.3], [0.1, 0.2, -0.85], [1 - 2**-40, -0.1, 0.3]]
)
LABELS = np.array([0, 0, 1, 2, 0])


def exact_arcface(row, y, margin=0.5, scale=64):
    """In mpmath, as the paper's code has it: cos(θ + m), past π − m cos θ − m sin m."""
    with mpmath.workdps(90):
        m = mpmath.mpf(margin)
        theta = mpmath.acos(row[y])
        logit = mpmath.cos(theta + m) if theta <= mpmath.pi - m else row[y] - m * mpmath.sin(m)
        rest = mpmath.fsum(mpmath.exp(scale * (c - logit)) for i, c in enumerate(row) if i != y)
        return mpmath.log1p(rest)


def exact_slope(row, y, c, **settings):
    def moved(x):
        return exact_arcface([x if i == c else v for i, v in enumerate(row)], y, **settings)

    with mpmath.workdps(90):
        h = mpmath.mpf(10) ** -40
        return (moved(row[c] + h) - moved(row[c] - h)) / (2 * h)


def rows_exactly(cosines):
    return [[mpmath.mpf(float(x)) for x in row] for row in cosines]


@pytest.mark.parametrize(("margin", "scale"), [(0.5, 64.0), (0.3, 5.0), (1.2, 20.0)])
def test_arcface_and_its_gradient_are_those_of_the_angle(each_autodiff, margin, scale):
    lib = each_autodiff
    settings = {"margin": margin, "scale": scale}
    exact = rows_exactly(COSINES)
    losses = arcface_loss(lib.array(COSINES), lib.array(LABELS), reduction="none", **settings)
    truth = [float(exact_arcface(row, y, **settings)) for row, y in zip(exact, LABELS, strict=True)]
    np.testing.assert_allclose(lib.numpy(losses), truth, rtol=2e-13)
    slopes = [
        [float(exact_slope(row, y, c, **settings)) for c in range(3)]
        for row, y in zip(exact, LABELS, strict=True)
    ]
    gradient = lib.gradient(
        lambda z: arcface_loss(z, lib.array(LABELS), reduction="none", **settings), COSINES
    )
    np.testing.assert_allclose(gradient, slopes, rtol=2e-12, atol=1e-300)


def test_a_confident_arcface_row_has_all_its_digits(lib):
    """As ``lse − u`` it would be 0 from a loss of 1e-16 on."""
    cosines = np.array([[0.999, -0.9, -0.95]])
    loss = lib.numpy(arcface_loss(lib.array(cosines), lib.array([0])))
    truth = float(exact_arcface(rows_exactly(cosines)[0], 0))
    assert 0 < truth < 1e-40
    assert float(loss) == pytest.approx(truth, rel=1e-12)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("cosine", [1.0, -1.0])
def test_aligned_and_opposed_cosines_have_finite_gradients(autodiff, dtype, cosine):
    lib = autodiff
    cosines = np.array([[cosine, 0.25, -cosine], [cosine, cosine, cosine]])
    labels = lib.array([0, 1])
    loss = lib.numpy(arcface_loss(lib.array(cosines, dtype), labels, reduction="none"))
    truth = [float(exact_arcface(row, y)) for row, y in zip(rows_exactly(cosines), (0, 1), strict=True)]
    np.testing.assert_allclose(loss, truth, rtol=1e-13 if dtype == "float64" else 1e-6)
    gradient = lib.gradient(lambda z: arcface_loss(z, labels), cosines, dtype)
    assert np.isfinite(gradient).all()
    assert gradient[1, 1] < 0


def test_a_cosine_that_rounding_took_past_one_is_aligned(autodiff):
    lib = autodiff
    cosines = np.array([[1 + 5e-7, 0.25, -0.5]])
    one = np.array([[1.0, 0.25, -0.5]])
    labels = lib.array([0])
    past, at = arcface_loss(lib.array(cosines), labels), arcface_loss(lib.array(one), labels)
    assert float(past) == pytest.approx(float(at), rel=1e-4)
    gradient = lib.gradient(lambda z: arcface_loss(z, labels), cosines)
    assert np.isfinite(gradient).all()


def test_bfloat16_may_round_a_cosine_past_one():
    torch = pytest.importorskip("torch")
    cosines = torch.tensor([[1.0078125, 0.25]], dtype=torch.bfloat16)
    loss = arcface_loss(cosines, torch.tensor([0]))
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)


def test_scaled_cosines_are_refused(lib):
    with pytest.raises(ValueError, match=r"cosine of row 2 with its label is 12.*before the scale"):
        arcface_loss(lib.array([[0.1, 0.2], [0.3, 0.4], [12.0, 3.0]]), lib.array([0, 1, 0]))


def test_rows_that_count_nothing_may_hold_anything(each_autodiff):
    lib = each_autodiff
    cosines = np.array([[0.8, 0.5], [50.0, 3.0], [np.nan, 0.2], [0.1, 0.7]])
    labels, weights = lib.array([0, -1, 0, 1]), lib.array([1.0, 1.0, 0.0, 2.0])

    def loss(z, **options):
        return arcface_loss(z, labels, ignore_index=-1, sample_weight=weights, **options)

    losses = lib.numpy(loss(lib.array(cosines), reduction="none"))
    plain = lib.numpy(arcface_loss(lib.array(cosines[[0, 3]]), lib.array([0, 1]), reduction="none"))
    np.testing.assert_allclose(losses, [plain[0], 0, 0, 2 * plain[1]], rtol=1e-14)
    assert float(loss(lib.array(cosines))) == pytest.approx((plain[0] + 2 * plain[1]) / 3, rel=1e-14)
    gradient = lib.gradient(loss, cosines)
    assert (gradient[[1, 2]] == 0).all()
    assert np.isfinite(gradient).all()


def test_without_a_margin_arcface_and_cosface_are_cross_entropy_of_scaled_cosines(lib):
    z, y = lib.array(COSINES), lib.array(LABELS)
    plain = ce.softmax_cross_entropy(z, y, temperature=1 / 64, reduction="none")
    for loss in (arcface_loss, cosface_loss):
        found = lib.numpy(loss(z, y, margin=0, reduction="none"))
        np.testing.assert_allclose(found, lib.numpy(plain), rtol=4e-16)


def test_arcface_takes_the_classes_along_any_axis_and_weights_of_classes(lib):
    cosines = np.moveaxis(np.stack([COSINES, -COSINES]), -1, 1)
    labels = lib.array(np.stack([LABELS, LABELS]))
    weights = np.array([0.5, 1.0, 3.0])
    found = arcface_loss(lib.array(cosines), labels, axis=1, class_weight=lib.array(weights))
    flat = np.concatenate([COSINES, -COSINES])
    both = np.concatenate([LABELS, LABELS])
    losses = lib.numpy(arcface_loss(lib.array(flat), lib.array(both), reduction="none"))
    assert float(found) == pytest.approx(np.average(losses, weights=weights[both]), rel=1e-13)


def test_a_margin_in_degrees_is_refused():
    with pytest.raises(ValueError, match=r"margin is 28\.6; it is an angle in radians"):
        arcface_loss(COSINES, LABELS, margin=28.6)


@pytest.mark.parametrize("loss", [arcface_loss, cosface_loss])
@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf])
def test_a_scale_is_positive(loss, scale):
    with pytest.raises(ValueError, match=r"scale is .* must be positive"):
        loss(COSINES, LABELS, scale=scale)


def test_arcface_needs_one_label_and_knows_its_options():
    with pytest.raises(TypeError, match="arcface_loss has one label in every row"):
        arcface_loss(COSINES, np.full((5, 3), 1 / 3))
    with pytest.raises(TypeError, match="arcface_loss has no argument label_smoothing"):
        arcface_loss(COSINES, LABELS, label_smoothing=0.1)
    with pytest.raises(ValueError, match=r"label 7 at row 1 is outside \[0, 3\)"):
        arcface_loss(COSINES[:2], np.asarray([0, 7]))


def test_second_derivatives_of_arcface_are_right():
    torch = pytest.importorskip("torch")
    z, y = torch.tensor(COSINES[:4], requires_grad=True), torch.tensor(LABELS[:4])
    assert torch.autograd.gradgradcheck(lambda z: arcface_loss(z, y, scale=4.0), z)
