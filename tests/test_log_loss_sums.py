"""`log_loss`: what the sum of a distribution may miss one by, given what its numbers have gone through."""

from __future__ import annotations

import math

import numpy as np
import pytest

import crossentropy as ce
from advice import message_of, typed
from crossentropy._arguments.unit_sums import find_misfit
from frameworks import TORCH, each_framework


def softmax(rows, classes, scale=2.0, seed=0):
    z = scale * np.random.default_rng(seed).normal(size=(rows, classes))
    p = np.exp(z - z.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def labels(rows, classes):
    return np.arange(rows) % classes


def written(p, form):
    """Numbers as a file has them."""
    return np.array([[float(format(x, form)) for x in row] for row in p])


def is_right(p, y, fw=None):
    """The loss is that of the numbers as they are."""
    found = (
        ce.log_loss(p, y, reduction="none")
        if fw is None
        else ce.log_loss(fw.own(p), fw.own(y), reduction="none")
    )
    with np.errstate(divide="ignore"):
        expected = -np.log(p[np.arange(len(p)), y].astype(float))
    np.testing.assert_allclose(
        np.asarray(found, dtype=float), expected, rtol=2e-7 if p.dtype == "f4" else 1e-13
    )


@pytest.mark.parametrize("classes", [2, 10, 1000, 20_000])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@each_framework
def test_a_narrow_softmax_widened_to_float64_is_taken(fw, dtype, classes):
    p = softmax(20, classes).astype(dtype).astype(float)
    assert np.abs(p.sum(axis=1) - 1).max() > 1e-9
    is_right(p, labels(20, classes), fw)


@pytest.mark.parametrize("classes", [120, 1000])
@pytest.mark.parametrize("wide", ["bfloat16", "float32", "float64"])
def test_a_bfloat16_softmax_is_taken_in_whatever_it_is_kept(wide, classes):
    torch = pytest.importorskip("torch")
    even = torch.full((3, classes), 1 / classes, dtype=torch.bfloat16)  # all entries are rounded the same way
    drawn = torch.tensor(softmax(50, classes)).to(torch.bfloat16)
    p = torch.cat([even, drawn]).to(getattr(torch, wide))
    y = torch.arange(len(p)) % classes
    np.testing.assert_allclose(
        ce.log_loss(p, y, reduction="none"), -np.log(p.double().numpy()[np.arange(len(p)), y]), rtol=1e-6
    )


def test_a_float32_softmax_that_was_summed_one_by_one_is_taken():
    """Over many classes the divisor itself is off, by up to a rounding for each of them."""
    classes = 50_000
    e = np.full((2, classes), 0.1, dtype="f4")
    p = e / np.add.accumulate(e, axis=1, dtype="f4")[:, -1:]
    assert np.abs(p.sum(axis=1, dtype=float) - 1).max() > 1e-5
    is_right(p, np.array([0, 1]))
    is_right(p.astype(float), np.array([0, 1]))


@pytest.mark.parametrize("places", range(2, 9))
@pytest.mark.parametrize("classes", [2, 3, 10, 100])
def test_probabilities_written_with_two_to_eight_decimals_are_taken(classes, places):
    p = written(softmax(200, classes), f".{places}f")
    assert classes == 2 or np.abs(p.sum(axis=1) - 1).max() > 1e-9
    is_right(p, labels(200, classes))


@pytest.mark.parametrize("form", [".3g", ".4g", ".6g", ".8g", ".9g", ".3e", ".5e"])
def test_probabilities_written_with_few_significant_digits_are_taken(form):
    p = written(softmax(200, 10, scale=5.0), form)
    is_right(p, labels(200, 10))


@pytest.mark.parametrize("form", ["", ".7f", ".8f", ".9g"])
def test_a_float32_softmax_that_was_written_and_read_is_taken(form):
    p = softmax(50, 30).astype("f4")
    text = [[str(x) if not form else format(float(x), form) for x in row] for row in p]
    p = np.array(text, dtype=float)
    assert np.abs(p.sum(axis=1) - 1).max() > 1e-9
    is_right(p, labels(50, 30))


@each_framework
def test_decimals_read_into_float32_are_taken(fw):
    p = written(softmax(200, 10), ".3f").astype("f4")
    assert np.abs(p.sum(axis=1) - 1).max() > 1e-3
    is_right(p, labels(200, 10), fw)


@pytest.mark.parametrize("places", [2, 3, 4])
def test_decimals_are_off_by_half_a_unit_each_and_no_more(places):
    """Three entries may miss 1 by 1.5 units: by one they are taken, by two they are not."""
    unit = 10.0**-places
    first = round(1 / 3, places)
    ce.log_loss(np.array([[first, first, round(1 - 2 * first - unit, places)]]), [0])
    with pytest.raises(ValueError, match=rf"not to 1 within .* \({places} decimals\)"):
        ce.log_loss(np.array([[first, first, round(1 - 2 * first - 3 * unit, places)]]), [0])


def test_the_places_are_those_of_all_numbers_together():
    fine, short = softmax(1, 3), np.array([[0.5, 0.3, 0.19]])
    ce.log_loss(short, [0])
    with pytest.raises(ValueError, match=r"row 0 sums to 0\.99, not to 1 within 1e-09 \(float64\)"):
        ce.log_loss(np.concatenate([short, fine]), [0, 0])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("wide", [False, True])
def test_log_probabilities_of_narrow_dtypes_are_taken(dtype, wide):
    """Rounding ln p moves p by |ln p| times as much."""
    torch = pytest.importorskip("torch")
    z = torch.randn(200, 1000, generator=torch.Generator().manual_seed(0))
    log_p = torch.log_softmax(z, -1).to(getattr(torch, dtype))
    log_p = log_p.double() if wide else log_p
    y = torch.arange(200)
    found = ce.log_loss(log_probabilities=log_p, labels=y, reduction="none")
    np.testing.assert_allclose(found, -log_p.double()[y, y], rtol=1e-7)


@pytest.mark.parametrize("form", [".2f", ".4f", ".4g"])
def test_written_log_probabilities_are_taken(form):
    log_p = written(np.log(softmax(100, 10)), form)
    found = ce.log_loss(log_probabilities=log_p, labels=labels(100, 10), reduction="none")
    np.testing.assert_allclose(found, -log_p[np.arange(100), labels(100, 10)], rtol=1e-14)
    with pytest.raises(ValueError, match="not to 1 within"):
        ce.log_loss(log_probabilities=log_p - 0.2, labels=labels(100, 10))


@pytest.mark.parametrize("off", [1e-3, -1e-3, 3e-5, -1e-7, 1e-8])
@each_framework
def test_what_nothing_explains_is_refused_with_the_digits_that_differ(fw, off):
    p = softmax(5, 4)
    p[3] *= 1 + off
    with pytest.raises(ValueError, match="row 3 sums to") as caught:
        ce.log_loss(fw.own(p), fw.own(labels(5, 4)))
    said = float(str(caught.value).split("sums to ")[1].split(",")[0])
    assert said != 1
    np.testing.assert_allclose(said - 1, off, rtol=0.02)


def test_the_digits_that_differ_are_printed():
    p = softmax(1, 4) * 1.0000305
    with pytest.raises(ValueError, match=r"sums to 1\.0000305, not to 1 within 1e-09 \(float64\)"):
        ce.log_loss(p, [0])
    with pytest.raises(ValueError, match=r"probability of row 0 is 1\.000000001; it must be"):
        ce.log_loss(np.array([1 + 1e-9]), [0])


def test_widened_numbers_are_held_to_what_they_were():
    p = softmax(5, 4).astype("f4")
    with pytest.raises(ValueError, match=r"sums to 1\.000\d+, not to 1 within 1e-05 \(float32\)"):
        ce.log_loss((p * np.float32(1.0002)).astype(float), labels(5, 4))


def test_rows_that_do_not_count_say_nothing_of_the_others():
    p = written(softmax(5, 4), ".3f")
    p[1], p[4] = np.pi / 4, np.nan
    weight = np.array([1.0, 0.0, 1.0, 1.0, 0.0])
    counted = weight > 0
    p[3] = [0.3, 0.3, 0.3, 0.101]
    expected = -np.log(p[counted, labels(5, 4)[counted]]).mean()
    np.testing.assert_allclose(ce.log_loss(p, labels(5, 4), sample_weight=weight), expected, rtol=1e-14)


# --------------------------------------------------------------------------------------------------- normalize


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "uint8", "bool"])
@each_framework
def test_normalize_divides_by_the_sum(fw, dtype):
    counts = np.array([[3, 1, 6], [1, 1, 0], [1, 0, 200]]).astype(dtype)
    y = np.array([2, 0, 2])
    share = counts.astype(float) / counts.sum(axis=1, dtype=float, keepdims=True)
    expected = -np.log(share[np.arange(3), y])
    found = fw.numpy(ce.log_loss(fw.own(counts), fw.own(y), normalize=True, reduction="none"))
    np.testing.assert_allclose(found, expected, rtol=1e-6 if dtype == "float32" else 1e-13, atol=1e-300)
    soft = np.random.default_rng(1).dirichlet(np.ones(3), size=3)
    soft[share == 0] = 0
    soft /= soft.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        terms = soft * np.where(share > 0, np.log(share), 0)
    found = fw.numpy(ce.log_loss(fw.own(counts), fw.own(soft), normalize=True, reduction="none"))
    np.testing.assert_allclose(found, -terms.sum(axis=1), rtol=1e-6 if dtype == "float32" else 1e-13)


def test_normalize_has_the_gradient_of_the_quotient():
    torch = pytest.importorskip("torch")
    p = torch.tensor(3 * softmax(5, 4), requires_grad=True)
    y, t = torch.tensor(labels(5, 4)), torch.tensor(softmax(5, 4, seed=1))
    for truth in (y, t):
        assert torch.autograd.gradcheck(lambda p, truth=truth: ce.log_loss(p, truth, normalize=True), p)


def test_the_advice_to_normalize_works():
    p = 2 * softmax(3, 4)
    message = message_of(ValueError, "ce.log_loss(p, [0, 1, 2])", ce=ce, p=p)
    found = ce.log_loss(p, [0, 1, 2], normalize=typed(message, "normalize=(True)"), reduction="none")
    np.testing.assert_allclose(found, -np.log(p[range(3), range(3)] / 2), rtol=1e-13)
    message = message_of(TypeError, "ce.log_loss(p, [0])", ce=ce, p=np.array([[3, 1]]))
    found = ce.log_loss(np.array([[3, 1]]), [0], normalize=typed(message, "normalize=(True)"))
    np.testing.assert_allclose(found, -math.log(0.75), rtol=1e-14)


def test_what_cannot_be_normalized_is_refused():
    with pytest.raises(ValueError, match=r"row 1 sums to 0\.0, which nothing can divide to 1"):
        ce.log_loss(np.array([[1.0, 2.0], [0.0, 0.0]]), [0, 0], normalize=True)
    with pytest.raises(ValueError, match="row 0 has an entry that is negative or NaN"):
        ce.log_loss(np.array([[-1.0, 2.0]]), [0], normalize=True)
    with pytest.raises(ValueError, match=r"probabilities of shape \(1,\); one-dimensional"):
        ce.log_loss(np.array([0.5]), [0], normalize=True)
    message = message_of(
        ValueError,
        "ce.log_loss(log_probabilities=z, labels=[0], normalize=True)",
        ce=ce,
        z=np.array([[2.0, 1.0]]),
    )
    found = typed(
        message,
        r"softmax_cross_entropy\(log_probabilities, labels\)",
        softmax_cross_entropy=ce.softmax_cross_entropy,
        log_probabilities=np.array([[2.0, 1.0]]),
        labels=[0],
    )
    np.testing.assert_allclose(found, math.log1p(math.exp(-1)), rtol=1e-14)


# --------------------------------------------------------------------------------------------------- the search


@pytest.mark.parametrize("rows", [1, 70_000])
def test_digits_are_looked_for_in_all_rows(rows):
    """One long number among many short ones: they are no decimals."""
    p = np.tile([0.5, 0.3, 0.19], (rows, 1))
    assert find_misfit(p, p.sum(axis=1)) is None
    p[-1] = [0.123456789123, 0.5, 1 - 0.623456789123]
    found = find_misfit(p, p.sum(axis=1))
    assert (found is None) == (rows == 1)


def test_a_distribution_without_classes_is_no_distribution():
    with pytest.raises(ValueError, match=r"probabilities of shape \(1, 0\) have no classes"):
        ce.log_loss(np.zeros((1, 0)), np.zeros((1, 0)))


def test_values_that_cannot_be_read_are_not_checked():
    torch = TORCH.torch
    p, y = torch.rand(5, 3), torch.zeros(5, dtype=torch.int64)
    compiled = torch.compile(ce.log_loss, fullgraph=True, backend="eager")
    np.testing.assert_allclose(compiled(p, y), -torch.log(p[:, 0]).mean(), rtol=1e-6)
