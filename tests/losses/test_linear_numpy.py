"""Losses and gradients of linear heads of NumPy arrays."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import crossentropy as ce
import oracle
from crossentropy._engine.linear import numpy_blocks, problem
from frameworks import NUMPY
from losses.catalogue.table import LINKS
from softmax_problems import Problem, problems

bounded = settings(derandomize=True, max_examples=120, deadline=None, database=None)
NAN = float("nan")
N, D, V = 11, 5, 41


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    """Of three rows and sixteen classes, so that small heads have many."""
    monkeypatch.setattr(problem, "MAX_BLOCK_ROWS", 3)
    monkeypatch.setattr(numpy_blocks, "TILE", 16)


def head(rows=(N,), D=D, V=V, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    hidden, weight = rng.normal(size=(*rows, D)), rng.normal(size=(V, D))
    return hidden.astype(dtype), weight.astype(dtype), rng.integers(0, V, size=rows)


def options_of_all_kinds(seed=1):
    rng = np.random.default_rng(seed)
    return {
        "label_smoothing": 0.1,
        "class_weight": rng.uniform(0.5, 2, V),
        "sample_weight": rng.uniform(0.5, 2, N),
        "temperature": rng.uniform(0.5, 2, N),
        "softcap": 5.0,
        "logit_bias": rng.normal(size=V),
        "z_loss": 0.01,
        "entropy_bonus": 0.1,
    }


def on_logits(hidden, weight, labels, **options):
    """Value and gradients by hidden and weight of the loss of the logits made whole, in float64."""
    hidden, weight = hidden.astype(np.float64), weight.astype(np.float64)
    value, dz = ce.loss_and_gradient(ce.softmax_cross_entropy, hidden @ weight.T, labels, **options)
    rows = range(hidden.ndim - 1)
    return value, dz @ weight, np.tensordot(dz, hidden, axes=(rows, rows))


def assert_same(found, truth, rtol=1e-12, atol=1e-13):
    value, gradients = found
    for x, y in zip((value, gradients.hidden, gradients.weight), truth, strict=True):
        assert np.shape(x) == np.shape(y)
        np.testing.assert_allclose(x, y, rtol=rtol, atol=atol)


def differences(f, x, h=1e-6):
    """The gradient of a scalar function of an array by central differences."""
    slopes = np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[i] = h
        slopes[i] = (f(x + step) - f(x - step)) / (2 * h)
    return slopes


# ------------------------------------------------------------------------------------------- values, gradients


@bounded
@given(problem=problems() | problems(shape=(7, 20)), features=st.integers(1, 4))
def test_any_composition_of_options_has_the_value_and_gradients_of_the_definition(problem, features):
    rows, classes = problem.logits.shape
    hidden, weight, _ = head((rows,), features, classes)
    of_head = Problem(hidden @ weight.T, problem.form, problem.arrays, problem.options, problem.gamma)
    given = hidden, weight, problem.labels(NUMPY)
    try:
        truth = of_head.truth()
    except oracle.NothingToAverage:
        with pytest.raises(ValueError, match="average"):
            ce.linear_cross_entropy(*given, **problem.keywords())
        return
    value, gradients = ce.losses.linear_loss_and_gradients(*given, **problem.keywords())
    near = {"rtol": 1e-11, "atol": 1e-11 * (1 + truth.scale)}
    assert value.shape == truth.value.shape
    np.testing.assert_allclose(value, truth.value, **near)
    np.testing.assert_allclose(gradients.hidden, truth.gradient @ weight, **near)
    np.testing.assert_allclose(gradients.weight, truth.gradient.T @ hidden, **near)
    np.testing.assert_array_equal(ce.linear_cross_entropy(*given, **problem.keywords()), value)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("case", LINKS, ids=lambda case: case.name)
def test_links_are_those_of_the_logits(case, smoothing):
    hidden, weight, y = head()
    options = {
        "link": getattr(ce.links, case.link)(**case.arguments),
        "label_smoothing": smoothing,
        "z_loss": 0.01,
    }
    assert_same(
        ce.losses.linear_loss_and_gradients(hidden, weight, y, **options),
        on_logits(hidden, weight, y, **options),
    )


@pytest.mark.parametrize("per_class", [False, True])
@pytest.mark.parametrize("name", ["array", "number", "count", "weight"])
def test_a_mean_may_be_divided_by_anything(name, per_class):
    hidden, weight, y = head()
    divisors = np.random.default_rng(7).uniform(1, 9, N) * (np.arange(N) != 5)  # nothing to divide by: 0
    options = {
        "normalizer": {"array": divisors, "number": 7.0}.get(name, name),
        "sample_weight": divisors + 1,
    }
    options |= {"link": ce.links.Focal(2.0), "label_smoothing": 0.1} if per_class else {}
    assert_same(
        ce.losses.linear_loss_and_gradients(hidden, weight, y, **options),
        on_logits(hidden, weight, y, **options),
    )


def test_a_link_may_hold_an_array_of_the_rows():
    hidden, weight, y = head()
    rng = np.random.default_rng(2)
    link = ce.links.ClippedPolicy(advantages=rng.normal(size=N), old_log_prob=-rng.exponential(size=N))
    assert_same(
        ce.losses.linear_loss_and_gradients(hidden, weight, y, link=link),
        on_logits(hidden, weight, y, link=link),
    )


@pytest.mark.parametrize("per_class", [False, True])
def test_every_part_of_a_head_has_its_gradient(per_class):
    hidden, weight, y = head((4,), 3, 7)
    rng = np.random.default_rng(3)
    parts = {
        "hidden": hidden,
        "weight": weight,
        "bias": rng.normal(size=7),
        "A": rng.normal(size=(2, 3)),
        "B": rng.normal(size=(7, 2)),
    }
    options = {"link": ce.links.Focal(2.0), "label_smoothing": 0.1} if per_class else {"z_loss": 0.1}

    def with_gradients(hidden, weight, bias, A, B):
        return ce.losses.linear_loss_and_gradients(hidden, weight, y, bias=bias, low_rank=(A, B), **options)

    _, found = with_gradients(**parts)
    found = {"hidden": found.hidden, "weight": found.weight, "bias": found.bias} | dict(
        zip("AB", found.low_rank, strict=True)
    )
    for name, x in parts.items():
        slopes = differences(lambda x, name=name: with_gradients(**parts | {name: x})[0], x)
        np.testing.assert_allclose(found[name], slopes, rtol=1e-6, atol=1e-9, err_msg=name)


def test_parts_that_are_not_given_have_no_gradient():
    _, gradients = ce.losses.linear_loss_and_gradients(*head())
    assert gradients.bias is None
    assert gradients.low_rank is None


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-6), ("float16", 2e-3)])
def test_gradients_have_the_dtype_of_what_they_are_by_and_the_accuracy_of_wider_sums(dtype, tolerance):
    hidden, weight, y = head((300,), 16, 50, dtype)
    bias = np.linspace(-1, 1, 50).astype(dtype)
    factors = weight[:2, :].copy(), weight[:, :2].copy()
    value, gradients = ce.losses.linear_loss_and_gradients(hidden, weight, y, bias=bias, low_rank=factors)
    exact = [x.astype(np.float64) for x in (hidden, weight, bias, *factors)]
    truth = ce.losses.linear_loss_and_gradients(*exact[:2], y, bias=exact[2], low_rank=tuple(exact[3:]))
    assert value.dtype == np.float32
    np.testing.assert_allclose(value, truth[0], rtol=2e-6)
    for x, t in zip((*gradients[:3], *gradients.low_rank), (*truth[1][:3], *truth[1].low_rank), strict=True):
        assert x.dtype == dtype
        assert x.shape == t.shape
        assert np.abs(x - t).max() <= tolerance * np.abs(t).max()


# ------------------------------------------------------------------------------------------- shapes, layouts


def test_float32_gradients_are_several_times_as_exact_as_products_of_the_whole(monkeypatch):
    """Labels' entries are not among the summands of a product."""
    monkeypatch.setattr(problem, "MAX_BLOCK_ROWS", 256)
    monkeypatch.setattr(numpy_blocks, "TILE", 512)
    hidden, weight, y = head((1024,), 64, 1024, "float32")
    weight /= 8
    _, *truth = on_logits(hidden, weight, y)
    _, dz = ce.loss_and_gradient(ce.softmax_cross_entropy, hidden @ weight.T, y)
    found = ce.losses.linear_loss_and_gradients(hidden, weight, y)[1]
    for a, whole, b in zip((found.hidden, found.weight), (dz @ weight, dz.T @ hidden), truth, strict=True):
        error, of_whole = (np.linalg.norm(x - b) / np.linalg.norm(b) for x in (a, whole))
        assert error < min(7e-8, of_whole / 2)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("rows", [(), (1,), (2, 5), (2, 1, 3), (0,), (2, 0)], ids=str)
def test_rows_may_have_any_shape(rows, reduction):
    hidden, weight, y = head(rows)
    w = np.random.default_rng(1).uniform(0.5, 2, rows)
    options = {"sample_weight": w, "temperature": w, "reduction": reduction}
    assert_same(
        ce.losses.linear_loss_and_gradients(hidden, weight, y, **options),
        on_logits(hidden, weight, y, **options),
    )


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 1, 2), (4, 2, 1), (7, 3, 16), (3, 2, 33)], ids=str)
def test_heads_may_have_any_size(shape):
    rows, features, classes = shape
    hidden, weight, y = head((rows,), features, classes)
    for options in ({}, {"label_smoothing": 0.1, "link": ce.links.Focal()}):
        assert_same(
            ce.losses.linear_loss_and_gradients(hidden, weight, y, **options),
            on_logits(hidden, weight, y, **options),
        )


def test_arrays_may_lie_in_any_way():
    hidden, weight, y = head()
    expected = ce.losses.linear_loss_and_gradients(hidden, weight, y)
    apart = np.zeros((2 * V, 3 * D))
    apart[::2, ::3] = weight
    for W in (np.asfortranarray(weight), apart[::2, ::3], weight[::-1][::-1]):
        h, fixed = np.asfortranarray(hidden), W.copy() if W.flags.owndata else W
        h.flags.writeable = fixed.flags.writeable = False
        got = ce.losses.linear_loss_and_gradients(h, fixed, y)
        assert_same(got, (expected[0], expected[1].hidden, expected[1].weight))


def test_no_array_of_the_size_of_the_logits_is_made(monkeypatch):
    monkeypatch.undo()
    hidden, weight, y = head(
        (512,), 4, 8192, "float32"
    )  # beside which NumPy's buffers for casts, 64 KiB, are small
    ce.losses.linear_loss_and_gradients(*head())  # what is imported for it is no part of its memory
    whole = 4 * 512 * 8192
    for budget, options in (
        (whole // 16, {"label_smoothing": 0.1}),
        (whole // 4, {}),
        (2 * whole, {"link": ce.links.Focal(), "label_smoothing": 0.1}),  # of which the formulas take many
    ):
        tracemalloc.start()
        ce.losses.linear_loss_and_gradients(hidden, weight, y, memory_budget=budget, **options)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < budget + 4 * weight.nbytes + hidden.nbytes + 64 * 512


@pytest.mark.parametrize("budget", [0, 1000, 10**9])
def test_a_budget_changes_the_blocks_and_not_the_loss(budget):
    hidden, weight, y = head()
    options = options_of_all_kinds()
    found = ce.losses.linear_loss_and_gradients(hidden, weight, y, memory_budget=budget, **options)
    assert_same(found, on_logits(hidden, weight, y, **options))


# ------------------------------------------------------------------------------------------- rows left out


@pytest.mark.parametrize("way", ["ignore_index", "sample_weight"])
@pytest.mark.parametrize("link", [None, ce.links.Focal(2.0)], ids=repr)
def test_a_row_left_out_counts_nothing_whatever_its_hidden_state(way, link):
    hidden, weight, y = head()
    hidden[[2, 7]] = [[NAN] * D, [np.inf] * D]
    kept = np.delete(np.arange(N), [2, 7])
    if way == "ignore_index":
        y[[2, 7]] = -1
        left_out = {"ignore_index": -1}
    else:
        left_out = {"sample_weight": np.isin(np.arange(N), kept).astype(float)}
    options = {"link": link, "label_smoothing": 0.1, "z_loss": 0.1}
    value, gradients = ce.losses.linear_loss_and_gradients(hidden, weight, y, **left_out, **options)
    expected, by_hidden, by_weight = on_logits(hidden[kept], weight, y[kept], **options)
    np.testing.assert_allclose(value, expected, rtol=1e-13)
    np.testing.assert_allclose(gradients.hidden[kept], by_hidden, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(gradients.hidden[[2, 7]], 0.0)
    np.testing.assert_allclose(gradients.weight, by_weight, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("link", [None, ce.links.Focal(0.5), ce.links.Unlikelihood()], ids=repr)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_class_of_bias_minus_infinity_is_not_there(link, smoothing):
    hidden, weight, y = head()
    y[y == 7] = 8
    others = np.arange(V) != 7
    prior = others / others.sum()
    options = {"link": link, "label_smoothing": smoothing, "z_loss": 0.1}
    value, gradients = ce.losses.linear_loss_and_gradients(
        hidden, weight, y, bias=np.where(others, 0.0, -np.inf), smoothing_prior=prior, **options
    )
    expected, by_hidden, by_weight = on_logits(
        hidden, weight[others], y - (y > 7), smoothing_prior=prior[others], **options
    )
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    np.testing.assert_allclose(gradients.hidden, by_hidden, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(gradients.weight[others], by_weight, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(gradients.weight[7], 0.0)
    assert gradients.bias[7] == 0


@pytest.mark.parametrize("senseless", [NAN, np.inf])
def test_a_row_that_makes_no_sense_is_nan_and_the_others_are_not(senseless):
    hidden, weight, y = head()
    hidden[4] = senseless
    losses, gradients = ce.losses.linear_loss_and_gradients(hidden, weight, y, reduction="none")
    alone = np.arange(N) == 4
    np.testing.assert_array_equal(np.isnan(losses), alone)
    np.testing.assert_array_equal(np.isnan(gradients.hidden), np.repeat(alone[:, None], D, axis=1))


@pytest.mark.parametrize("empty", ["zero", "nan", "raise"])
def test_where_all_rows_are_ignored_gradients_are_zero_and_the_mean_is_as_asked(empty):
    hidden, weight, y = head()
    options = {"ignore_index": -1, "empty": empty}
    if empty == "raise":
        with pytest.raises(ValueError, match="nothing to average"):
            ce.linear_cross_entropy(hidden, weight, np.full_like(y, -1), **options)
        return
    value, gradients = ce.losses.linear_loss_and_gradients(hidden, weight, np.full_like(y, -1), **options)
    np.testing.assert_array_equal(value, 0.0 if empty == "zero" else NAN)
    np.testing.assert_array_equal(gradients.weight, 0.0)
    np.testing.assert_array_equal(gradients.hidden, 0.0)


@pytest.mark.parametrize("form", ["indices", "Sparse"])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_a_shift_is_a_slice(form, reduction):
    hidden, weight, y = head((2, 6))
    rng = np.random.default_rng(4)
    y[0, 3] = -1
    w, T = rng.uniform(0.5, 2, (2, 6)), rng.uniform(0.5, 2, (2, 6))

    def labels(cut):
        if form == "indices":
            return y[:, cut]
        pairs = np.stack([y, np.roll(y, 1)], axis=-1)
        return ce.targets.Sparse(pairs[:, cut], np.stack([w, T], axis=-1)[:, cut])

    def options(cut):
        mean = {"normalizer": w[:, cut].tolist()} if reduction == "mean" else {}
        return mean | {
            "sample_weight": w[:, cut].tolist(),
            "temperature": T[:, cut],
            "ignore_index": -1,
            "reduction": reduction,
        }

    everything, ahead = slice(None), slice(2, None)
    value, gradients = ce.losses.linear_loss_and_gradients(
        hidden, weight, labels(everything), shift=2, **options(everything)
    )
    expected, by_hidden, by_weight = on_logits(hidden[:, :-2], weight, labels(ahead), **options(ahead))
    np.testing.assert_allclose(value, expected, rtol=1e-13)
    np.testing.assert_allclose(gradients.hidden[:, :-2], by_hidden, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(gradients.hidden[:, -2:], 0.0)
    np.testing.assert_allclose(gradients.weight, by_weight, rtol=1e-12, atol=1e-14)


def test_a_label_outside_the_classes_makes_its_own_row_nan_where_it_is_not_refused():
    hidden, weight, y = head()
    y[4] = V
    with pytest.raises(ValueError, match=f"label {V} at row 4"):
        ce.linear_cross_entropy(hidden, weight, y)
    losses = ce.linear_cross_entropy(hidden, weight, y, validate="none", reduction="none")
    np.testing.assert_array_equal(np.isnan(losses), np.arange(N) == 4)


# ------------------------------------------------------------------------------------------- what is refused


def test_numbers_of_rows_in_another_shape_are_refused_with_their_shape():
    hidden, weight, y = head((2, 3))
    for name in ("sample_weight", "normalizer", "temperature"):
        with pytest.raises(ValueError, match=rf"{name} has shape \(3,\).*shape \(2, 3\)"):
            ce.linear_cross_entropy(hidden, weight, y, **{name: np.ones(3)})
        with pytest.raises(ValueError, match=rf"{name} has shape \(3,\).*shape \(2, 3\)"):
            ce.linear_cross_entropy(hidden, weight, y, shift=1, **{name: np.ones(3)})


def test_gradients_are_refused_to_arrays_that_have_their_own_or_are_too_wide():
    torch = pytest.importorskip("torch")
    hidden, weight, y = head()
    with pytest.raises(TypeError, match=r"torch\.Tensor; linear_loss_and_gradients is for NumPy arrays"):
        ce.losses.linear_loss_and_gradients(
            torch.from_numpy(hidden), torch.from_numpy(weight), torch.from_numpy(y)
        )
    with pytest.raises(TypeError, match="arrays of one library"):
        ce.losses.linear_loss_and_gradients(hidden, torch.from_numpy(weight), y)
    if np.dtype(np.longdouble).itemsize > 8:
        with pytest.raises(TypeError, match="gradients are for float64 and narrower"):
            ce.losses.linear_loss_and_gradients(hidden.astype(np.longdouble), weight.astype(np.longdouble), y)


def test_an_option_of_logits_alone_is_refused():
    with pytest.raises(TypeError, match="linear_loss_and_gradients has no argument axis"):
        ce.losses.linear_loss_and_gradients(*head(), axis=0)


def test_a_link_that_holds_something_for_rows_of_any_shape():
    hidden, weight, y = head((3, 4))
    rng = np.random.default_rng(7)
    link = ce.links.ClippedPolicy(rng.normal(size=(3, 4)), rng.normal(size=(3, 4)) - 3)
    expected, dz = ce.loss_and_gradient(ce.softmax_cross_entropy, hidden @ weight.T, y, link=link)
    value, found = ce.losses.linear_loss_and_gradients(hidden, weight, y, link=link)
    np.testing.assert_allclose(value, expected, rtol=1e-13)
    np.testing.assert_allclose(found.hidden, dz @ weight, rtol=1e-12, atol=1e-14)
