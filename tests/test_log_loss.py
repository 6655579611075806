"""`log_loss`: from probabilities or their logarithms, exact, checked, in NumPy and PyTorch."""

import math
import warnings

import numpy as np
import pytest

import crossentropy as ce
import oracle
from crossentropy.targets import OneHot, Probabilities

INF = np.inf


def predictions(rows=50, classes=4, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(classes, 0.4), size=rows).astype(dtype)
    return p, rng.integers(0, classes, size=rows)


def true_loss(p, y):
    """−ln p_y in sixty digits."""
    return float(-oracle.ctx.log(oracle.mpf(float(p[y])))) if p[y] > 0 else INF


@pytest.mark.parametrize("classes", [1, 2, 3, 10, 129, 1000])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_every_row_is_minus_the_logarithm_of_its_labels_probability(dtype, classes):
    p, y = predictions(20, classes, dtype=dtype)
    p = (p / p.sum(axis=1, keepdims=True, dtype=np.float64)).astype(dtype)
    found = ce.log_loss(p, y, reduction="none", validate="none")
    assert found.dtype == (np.float64 if dtype == np.float64 else np.float32)
    expected = np.array([true_loss(row, label) for row, label in zip(p, y, strict=True)])
    np.testing.assert_allclose(found, expected, rtol=4 * float(np.finfo(found.dtype).eps))


def test_clean_data_have_the_loss_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    p, y = predictions(500)
    w = np.random.default_rng(1).uniform(0.1, 3, size=500)
    labels = np.arange(4)
    np.testing.assert_allclose(ce.log_loss(p, y), metrics.log_loss(y, p, labels=labels), rtol=1e-13)
    weighted = metrics.log_loss(y, p, labels=labels, sample_weight=w)
    np.testing.assert_allclose(ce.log_loss(p, y, sample_weight=w), weighted, rtol=1e-13)
    total = metrics.log_loss(y, p, labels=labels, normalize=False)
    np.testing.assert_allclose(ce.log_loss(p, y, reduction="sum"), total, rtol=1e-13)
    binary = metrics.log_loss(y % 2, p[:, 0], labels=[0, 1])
    np.testing.assert_allclose(ce.log_loss(p[:, 0], y % 2), binary, rtol=1e-13)


@pytest.mark.parametrize("p", [0.0, 1e-300, 1e-17, 0.25, 0.5, 1 - 2**-53, 1.0])
@pytest.mark.parametrize("label", [0, 1, False, True])
def test_one_dimensional_predictions_are_the_probability_of_label_one(p, label):
    x = oracle.mpf(p)
    certain_not = INF if p == (0 if label else 1) else None
    expected = certain_not or float(-oracle.ctx.log(x) if label else -oracle.ctx.log1p(-x))
    np.testing.assert_allclose(ce.log_loss(np.array([p]), np.array([label])), expected, rtol=4e-16)


@pytest.mark.parametrize("log_p", [-INF, -800.0, -1.0, -math.log(2), -1e-3, -1e-18, 0.0])
@pytest.mark.parametrize("label", [0, 1])
def test_one_dimensional_log_probabilities_keep_the_digits_of_the_other_label(log_p, label):
    with np.errstate(divide="ignore"):
        found = ce.log_loss(log_probabilities=np.array([log_p]), labels=np.array([label]))
    x = oracle.mpf(log_p)
    other = -oracle.ctx.log(-oracle.ctx.expm1(x)) if x < 0 else oracle.INF
    np.testing.assert_allclose(found, float(-x if label else other), rtol=1e-15, atol=1e-320)


def test_log_probabilities_reach_where_probabilities_are_zero():
    log_p = np.array([[-900.0, 0.0], [-1e5, 0.0]])
    np.testing.assert_array_equal(
        ce.log_loss(log_probabilities=log_p, labels=np.array([0, 0]), reduction="none"), [900.0, 1e5]
    )


def test_log_probabilities_and_probabilities_agree():
    p, y = predictions()
    np.testing.assert_allclose(
        ce.log_loss(log_probabilities=np.log(p), labels=y), ce.log_loss(p, y), rtol=1e-13
    )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_nothing_is_clipped_and_nothing_warned_of(reduction):
    p = np.array([[1.0, 0.0], [0.5, 0.5]])
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        found = ce.log_loss(p, np.array([1, 0]), reduction=reduction)
    assert np.ravel(found)[0] == INF
    assert ce.log_loss(p[:1], np.array([0])) == 0


def test_rows_may_have_any_shape_and_memory_any_order():
    p, y = predictions(24)
    expected = ce.log_loss(p, y, reduction="none").reshape(2, 3, 4)
    for placed in (
        p.reshape(2, 3, 4, 4),
        np.asfortranarray(p.reshape(2, 3, 4, 4)),
        p[::-1][::-1].reshape(2, 3, 4, 4),
    ):
        np.testing.assert_array_equal(ce.log_loss(placed, y.reshape(2, 3, 4), reduction="none"), expected)


# ---------------------------------------------------------------------------------------------- weights


def test_class_and_sample_weights_multiply_and_divide():
    p, y = predictions()
    rng = np.random.default_rng(2)
    w, c = rng.uniform(0, 2, size=50), rng.uniform(0.5, 2, size=4)
    rows = ce.log_loss(p, y, reduction="none")
    both = w * c[y]
    np.testing.assert_allclose(
        ce.log_loss(p, y, sample_weight=w, class_weight=c), (both * rows).sum() / both.sum(), rtol=1e-13
    )
    np.testing.assert_allclose(
        ce.log_loss(p, y, sample_weight=w, class_weight=c, normalizer="count"),
        (both * rows).mean(),
        rtol=1e-13,
    )


@pytest.mark.parametrize("fill", [np.nan, -1.0, 0.0, 7.0])
@pytest.mark.parametrize("how", ["ignored", "weight 0"])
def test_rows_left_out_count_nothing_whatever_was_predicted(fill, how):
    p, y = predictions()
    out = np.arange(50) % 5 == 2
    spoilt, labels, options = p.copy(), y.copy(), {}
    spoilt[out] = fill
    if how == "ignored":
        labels[out], options["ignore_index"] = -1, -1
    else:
        options["sample_weight"] = np.where(out, 0.0, 1.0)
    np.testing.assert_allclose(
        ce.log_loss(spoilt, labels, **options), ce.log_loss(p[~out], y[~out]), rtol=1e-14
    )
    np.testing.assert_array_equal(ce.log_loss(spoilt, labels, reduction="none", **options)[out], 0.0)


def test_boolean_weights_are_a_mask():
    p, y = predictions()
    mask = np.arange(50) % 3 > 0
    np.testing.assert_allclose(
        ce.log_loss(p, y, sample_weight=mask), ce.log_loss(p[mask], y[mask]), rtol=1e-14
    )


def test_the_mean_of_nothing_is_what_was_asked_for():
    p, y = predictions(3)
    left_out = {"ignore_index": -1}
    y[:] = -1
    assert ce.log_loss(p, y, empty="zero", **left_out) == 0
    with pytest.warns(UserWarning, match="log_loss has nothing to average"):
        assert np.isnan(ce.log_loss(p, y, **left_out))
    with pytest.raises(ValueError, match="nothing to average"):
        ce.log_loss(p, y, empty="raise", **left_out)


# ----------------------------------------------------------------------------------------------- errors


def test_a_distribution_that_does_not_sum_to_one_is_refused_with_its_row_and_sum():
    p, y = predictions()
    p[7] *= 1.5
    with pytest.raises(ValueError, match=r"row 7 sums to 1\.5"):
        ce.log_loss(p, y)
    with pytest.raises(ValueError, match=r"row \(3, 1\) sums to 1\.5"):
        ce.log_loss(p[:50].reshape(25, 2, 4), y.reshape(25, 2))
    with pytest.raises(ValueError, match=r"row 7 sums"), np.errstate(divide="ignore"):
        ce.log_loss(log_probabilities=np.log(p), labels=y)


@pytest.mark.parametrize(("dtype", "off"), [(np.float64, 1e-8), (np.float32, 1e-4), (np.float16, 1e-2)])
def test_sums_are_held_to_the_precision_of_their_dtype(dtype, off):
    p = np.array([[0.25, 0.75]])
    ce.log_loss(p.astype(dtype), np.array([0]))
    with pytest.raises(ValueError, match="row 0 sums"):
        ce.log_loss((p * (1 + off)).astype(dtype), np.array([0]))


@pytest.mark.parametrize("value", [-0.1, np.nan])
def test_a_negative_probability_and_nan_are_refused(value):
    p, y = predictions()
    p[3, 1], p[3, 2] = value, p[3, 2] + p[3, 1] - value
    with pytest.raises(ValueError, match="row 3 has an entry that is negative or NaN"):
        ce.log_loss(p, y)


@pytest.mark.parametrize("value", [-1e-9, 1.0 + 1e-9, 3.0, np.nan])
def test_a_single_probability_outside_zero_and_one_is_refused(value):
    with pytest.raises(ValueError, match="row 1 is"):
        ce.log_loss(np.array([0.5, value]), np.array([0, 1]))


def test_a_positive_log_probability_is_refused():
    with pytest.raises(ValueError, match="row 1 is"):
        ce.log_loss(log_probabilities=np.array([-0.5, 1e-9]), labels=np.array([0, 1]))


@pytest.mark.parametrize("label", [-1, 4, -100, 2**40])
def test_a_label_outside_the_classes_is_refused_with_its_row(label):
    p, y = predictions()
    y[11] = label
    with pytest.raises(ValueError, match=rf"label {label} at row 11 "):
        ce.log_loss(p, y)
    rows = ce.log_loss(p, y, validate="none", reduction="none")
    assert np.isnan(rows[11])
    assert np.isfinite(np.delete(rows, 11)).all()


@pytest.mark.parametrize("logits", [[3.0, 1.0, 0.5], [2.0, 1.0, -2.0], [0.0, 0.0, 0.0]])
def test_logits_by_mistake_are_refused_with_the_way_out(logits):
    with pytest.raises(ValueError, match="softmax_cross_entropy"):
        ce.log_loss(np.array([logits]), np.array([0]))


def test_predictions_must_be_said_to_be_one_thing():
    p, y = predictions(3)
    with pytest.raises(TypeError, match="either probabilities or log_probabilities"):
        ce.log_loss(p, y, log_probabilities=np.log(p))
    with pytest.raises(TypeError, match="either probabilities or log_probabilities"):
        ce.log_loss(labels=y)
    with pytest.raises(TypeError, match="floating"):
        ce.log_loss(np.array([[1, 0]]), np.array([0]))
    with pytest.raises(TypeError, match="labels"):
        ce.log_loss(p, y.astype(float))
    with pytest.raises(ValueError, match="shape"):
        ce.log_loss(p, y[:2])


# ---------------------------------------------------------------------------------------------- PyTorch


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("in_logs", [False, True])
def test_tensors_have_the_loss_of_arrays_and_its_gradient(binary, in_logs):
    torch = pytest.importorskip("torch")
    p, y = predictions(6)
    p, y = (p[:, 0], y % 2) if binary else (p, y)
    y = y.copy()
    y[2] = -1
    x = np.log(p) if in_logs else p
    tensor = torch.tensor(x, requires_grad=True)

    def loss(values, labels):
        named = {"log_probabilities": values} if in_logs else {"probabilities": values}
        return ce.log_loss(**named, labels=labels, ignore_index=-1, validate="none")

    value = loss(tensor, torch.tensor(y))
    assert value.dtype == torch.float64
    np.testing.assert_allclose(value.item(), loss(x, y), rtol=1e-14)
    assert torch.autograd.gradcheck(lambda v: loss(v, torch.tensor(y)), tensor)


def test_a_tensor_on_the_edge_has_an_infinite_loss_and_no_gradient_of_nan_elsewhere():
    torch = pytest.importorskip("torch")
    p = torch.tensor([[1.0, 0.0], [0.5, 0.5]], dtype=torch.float64, requires_grad=True)
    losses = ce.log_loss(p, torch.tensor([1, 0]), reduction="none")
    assert losses.tolist() == [INF, math.log(2)]
    (gradient,) = torch.autograd.grad(losses[1], p)
    assert gradient.tolist() == [[0.0, 0.0], [-2.0, 0.0]]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_narrow_tensors_have_a_float32_loss(dtype):
    torch = pytest.importorskip("torch")
    p = torch.tensor([[0.25, 0.75], [0.5, 0.5]], dtype=getattr(torch, dtype))
    value = ce.log_loss(p, torch.tensor([0, 1]))
    assert value.dtype == torch.float32
    np.testing.assert_allclose(value.item(), (math.log(4) + math.log(2)) / 2, rtol=1e-7)


@pytest.mark.parametrize("rows", [70_000, 300_000])
def test_the_mean_of_many_narrow_rows_is_that_of_their_values(rows):
    p = np.tile(np.array([[0.25, 0.75]], dtype=np.float32), (rows, 1))
    np.testing.assert_allclose(ce.log_loss(p, np.zeros(rows, dtype=int)), math.log(4), rtol=1e-7)


@pytest.mark.parametrize(
    "options",
    [
        {"class_weight": True, "ignore_index": -1},
        {"normalize": True},
        {"classes": (2, 0, 3, 1)},
    ],
    ids=lambda options: next(iter(options)),
)
@pytest.mark.filterwarnings("ignore:log_loss has nothing to average")
def test_an_exported_score_takes_batches_of_any_size(options):
    torch = pytest.importorskip("torch")
    options = {**options, "class_weight": torch.rand(4)} if "class_weight" in options else options

    class Score(torch.nn.Module):
        def forward(self, p, y, weight):
            return ce.log_loss(p, y, sample_weight=weight, **options)

    def batch(n):
        return torch.softmax(torch.randn(n, 4), -1), torch.randint(4, (n,)), torch.rand(n)

    rows = torch.export.Dim("rows", min=0)
    program = torch.export.export(
        Score(), batch(32), dynamic_shapes=({0: rows}, {0: rows}, {0: rows})
    ).module()
    for n in (32, 32, 7, 1, 0):
        arguments = batch(n)
        torch.testing.assert_close(program(*arguments), Score()(*arguments), equal_nan=True)


@pytest.mark.parametrize("rows", [0, 2])
@pytest.mark.parametrize(
    "label", [OneHot, Probabilities, lambda x: x.sum(-1)], ids=["one-hot", "soft", "index"]
)
@pytest.mark.parametrize("as_array", [np.asarray, pytest.param("torch", id="torch")])
def test_probabilities_of_no_classes_are_refused(rows, label, as_array):
    if as_array == "torch":
        as_array = pytest.importorskip("torch").as_tensor
    p, labels = np.empty((rows, 0)), np.empty((rows, 0), float if label is Probabilities else int)
    with pytest.raises(ValueError, match=rf"probabilities of shape \({rows}, 0\) have no classes"):
        ce.log_loss(as_array(p), label(as_array(labels)))
