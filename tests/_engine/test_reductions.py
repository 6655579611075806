"""From rows to one number: what is summed, what it is divided by, and what happens when that is nothing."""

import math

import numpy as np
import pytest

from crossentropy._engine.reductions import check_reduction, fixed_divisor, mean_of_totals, reduce_rows

L = np.array([1.0, 2.0, 4.0, 0.0])
W = np.array([1.0, 0.5, 2.0, 0.0])
COUNTED = np.array([True, True, True, False])


def frameworks():
    yield pytest.param(np.asarray, id="numpy")
    yield pytest.param(lambda x: pytest.importorskip("torch").as_tensor(x), id="torch")


each_framework = pytest.mark.parametrize("array", list(frameworks()))


def reduced(array, losses=L, weights=W, counted=COUNTED, **options):
    signed = options.pop("signed", False)
    options = {"reduction": "mean", "normalizer": "weight", "empty": "zero", **options}
    check_reduction(**options)
    counted = counted if counted is None or isinstance(counted, int) else array(counted)
    weights = None if weights is None else array(weights)
    return reduce_rows(array(losses), weights, counted, signed=signed, **options)[0]


@each_framework
def test_none_is_the_rows_and_sum_is_their_sum(array):
    assert reduced(array, reduction="none").tolist() == L.tolist()
    assert float(reduced(array, reduction="sum")) == 7.0


@each_framework
@pytest.mark.parametrize(
    ("normalizer", "expected"),
    [("weight", 7 / 3.5), ("count", 7 / 3), (2, 3.5), (0.5, 14.0), (np.array(4.0), 1.75), (-2.0, -3.5)],
    ids=str,
)
def test_a_mean_divides_by_what_it_is_told(array, normalizer, expected):
    own = array(normalizer) if isinstance(normalizer, np.ndarray) else normalizer
    assert float(reduced(array, normalizer=own)) == pytest.approx(expected, rel=1e-15)


@each_framework
def test_the_count_may_be_known_already(array):
    assert float(reduced(array, counted=3, normalizer="count")) == pytest.approx(7 / 3, rel=1e-15)


@each_framework
def test_an_array_divides_row_by_row(array):
    value = reduced(array, normalizer=array(np.array([2.0, 1.0, 4.0, 8.0])))
    assert float(value) == 0.5 + 2.0 + 1.0 + 0.0


@each_framework
def test_an_array_of_another_shape_is_refused(array):
    with pytest.raises(ValueError, match=r"shape \(3,\).*shape \(4,\)"):
        reduced(array, normalizer=array(np.ones(3)))


@each_framework
@pytest.mark.parametrize("normalizer", ["weight", "count", 0.0])
def test_nothing_to_average_is_zero_nan_or_an_error_as_asked(array, normalizer):
    nothing = {"losses": np.zeros(4), "weights": np.zeros(4), "counted": np.zeros(4, dtype=bool)}
    assert float(reduced(array, **nothing, normalizer=normalizer)) == 0.0
    assert math.isnan(float(reduced(array, **nothing, normalizer=normalizer, empty="nan")))
    with pytest.raises(ValueError, match="nothing to average"):
        reduced(array, **nothing, normalizer=normalizer, empty="raise")


@each_framework
def test_no_rows_at_all_are_nothing_to_average(array):
    none = {"losses": np.zeros(0), "weights": np.zeros(0), "counted": np.zeros(0, dtype=bool)}
    assert float(reduced(array, **none)) == 0.0
    assert float(reduced(array, **none, reduction="sum")) == 0.0
    assert tuple(reduced(array, **none, reduction="none").shape) == (0,)


@each_framework
def test_a_row_divided_by_zero_is_nothing_and_leaves_the_others(array):
    N = array(np.array([0.0, 1.0, 4.0, 1.0]))
    assert float(reduced(array, normalizer=N)) == 3.0
    assert math.isnan(float(reduced(array, normalizer=N, empty="nan")))
    with pytest.raises(ValueError, match="nothing to average"):
        reduced(array, normalizer=N, empty="raise")


@pytest.mark.parametrize("empty", ["zero", "nan"])
@pytest.mark.parametrize("normalizer", ["weight", "count"])
def test_the_mean_of_nothing_has_a_gradient_of_zero(normalizer, empty):
    torch = pytest.importorskip("torch")
    losses = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    zeros = torch.zeros(3, dtype=torch.float64)
    value, _ = reduce_rows(losses, zeros, zeros.bool(), reduction="mean", normalizer=normalizer, empty=empty)
    (gradient,) = torch.autograd.grad(value, losses)
    assert gradient.tolist() == [0.0, 0.0, 0.0]


def test_a_mean_moves_with_its_weights():
    """∂(Σℓ/ΣW) by W is −mean/ΣW: the denominator has a gradient too."""
    torch = pytest.importorskip("torch")
    losses, weights = torch.tensor(L), torch.tensor(W, requires_grad=True)
    value, _ = reduce_rows(losses, weights, weights != 0, reduction="mean", normalizer="weight", empty="zero")
    (gradient,) = torch.autograd.grad(value, weights)
    torch.testing.assert_close(gradient, torch.full((4,), -2.0 / 3.5, dtype=torch.float64))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@each_framework
def test_the_mean_keeps_the_dtype_of_the_losses(array, dtype):
    for normalizer in ("weight", "count", 3, np.float64(3.0), array(np.ones(4))):
        value = reduced(array, L.astype(dtype), W.astype(dtype), normalizer=normalizer)
        assert str(value.dtype).endswith(dtype)


@pytest.mark.parametrize(
    "wrong",
    [
        {"reduction": "average"},
        {"reduction": "batchmean"},
        {"normalizer": "weights"},
        {"empty": "ignore"},
        {"reduction": "sum", "normalizer": "count"},
        {"reduction": "none", "normalizer": 3.0},
        {"reduction": "sum", "normalizer": np.ones(3)},
    ],
    ids=str,
)
def test_words_that_mean_nothing_here_are_refused_with_those_that_do(wrong):
    with pytest.raises(ValueError, match="write"):
        check_reduction(**{"reduction": "mean", "normalizer": "weight", "empty": "zero", **wrong})


def test_other_libraries_of_arrays_are_reduced_too():
    xp = pytest.importorskip("array_api_strict")
    value = reduced(xp.asarray, normalizer="count")
    assert float(value) == pytest.approx(7 / 3, rel=1e-15)


@each_framework
def test_float32_rows_are_summed_in_float64(array):
    losses = np.full(4097, 1.0, dtype=np.float32)
    losses[0] = 2.0**24  # of which float32 knows no successor
    assert float(reduced(array, losses, None, None, normalizer=1)) == 2.0**24 + 4096
    assert float(reduced(array, losses, None, None, reduction="sum")) == 2.0**24 + 4096


@each_framework
def test_rows_without_weights_weigh_one_each(array):
    assert float(reduced(array, weights=None, counted=None)) == 7 / 4
    assert float(reduced(array, weights=None, counted=None, normalizer="count")) == 7 / 4
    assert float(reduced(array, weights=None, counted=COUNTED)) == pytest.approx(7 / 3, rel=1e-15)


@each_framework
def test_negative_weights_are_refused_only_where_their_sum_is_divided_by(array):
    weights = np.array([1.0, -0.5, 2.0, 0.0])
    with pytest.raises(ValueError, match=r'go down to -0\.5.*pass normalizer="count"'):
        reduced(array, weights=weights)
    assert float(reduced(array, weights=weights, signed=True)) == 7 / 2.5
    assert float(reduced(array, weights=weights, normalizer="count")) == pytest.approx(7 / 3, rel=1e-15)
    assert float(reduced(array, weights=weights, reduction="sum")) == 7


@pytest.mark.parametrize(
    ("reduction", "normalizer", "weighted", "expected"),
    [
        ("mean", "weight", True, None),
        ("mean", "weight", False, 5),
        ("mean", "count", True, 5),
        ("mean", 3.0, True, 3.0),
        ("sum", "weight", True, 1.0),
        ("none", "weight", True, 1.0),
    ],
)
def test_a_divisor_is_known_before_the_weights_are_summed_unless_it_is_their_sum(
    reduction, normalizer, weighted, expected
):
    assert fixed_divisor(reduction, normalizer, 5, weighted=weighted) == expected


def test_a_mean_of_totals_of_nothing_is_what_empty_says_and_its_gradient_is_divided_by_infinity():
    assert mean_of_totals(7.0, 2.0, "raise") == (3.5, 2.0)
    assert mean_of_totals(0.0, 0.0, "zero") == (0.0, math.inf)
    value, divisor = mean_of_totals(0.0, 0.0, "nan")
    assert math.isnan(value)
    assert divisor == math.inf
    with pytest.raises(ValueError, match="nothing to average"):
        mean_of_totals(0.0, 0.0, "raise")
