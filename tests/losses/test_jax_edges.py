"""JAX where logits are infinite or NaN, rows are left out, labels are wrong, and values cannot be read."""

from __future__ import annotations

import numpy as np
import pytest

import crossentropy as ce
from frameworks import JAX
from sampling import full, named, sampled

jax = pytest.importorskip("jax")
jnp = jax.numpy

INF, NAN = float("inf"), float("nan")
LINKS = [None, ce.links.Focal(2.0), ce.links.Focal(0.5), ce.links.Unlikelihood()]
each_link = pytest.mark.parametrize("link", LINKS, ids=repr)


@pytest.fixture(autouse=True)
def _wide():
    with JAX().wide():
        yield


def gradient(z, y, **options):
    """Of the rows' losses, added up by hand."""
    return jax.grad(lambda z: jnp.sum(ce.softmax_cross_entropy(z, y, reduction="none", **options)))(z)


# ------------------------------------------------------------------------------- logits that are no numbers


@each_link
@pytest.mark.parametrize("smoothing", [*full([0.0]), 0.1])
def test_masked_classes_have_derivatives_of_zero_and_the_others_theirs(link, smoothing):
    prior = jnp.asarray([0.5, 0.0, 0.25, 0.25])
    options = {"link": link, "label_smoothing": smoothing}
    masked, y = jnp.asarray([[1.0, -INF, 0.0, 2.0]]), jnp.asarray([2])
    got = gradient(masked, y, smoothing_prior=prior, **options)
    others, kept = jnp.asarray([1.0, 0.0, 2.0])[None], jnp.asarray([0.5, 0.25, 0.25])
    without = gradient(others, jnp.asarray([1]), smoothing_prior=kept, **options)
    np.testing.assert_allclose(got[:, [0, 2, 3]], without, rtol=1e-12)
    np.testing.assert_array_equal(got[:, 1], 0.0)
    loss = lambda z: ce.softmax_cross_entropy(z, y, smoothing_prior=prior, **options)  # noqa: E731
    second = jax.jit(jax.hessian(loss))(masked)[0, :, 0, :]
    assert np.isfinite(second).all()
    np.testing.assert_array_equal(second[1], 0.0)
    np.testing.assert_array_equal(second[:, 1], 0.0)


@sampled({"link": named([None, ce.links.Focal(2.0), ce.links.Focal(0.5)], repr), "temperature": [1.0, 2.0]})
def test_an_impossible_label_costs_infinity_and_pulls_with_its_whole_weight(link, temperature):
    z, y = jnp.asarray([[-INF, 0.0, np.log(3.0) * temperature]]), jnp.asarray([0])
    options = {"link": link, "temperature": temperature}
    np.testing.assert_array_equal(ce.softmax_cross_entropy(z, y, reduction="none", **options), [INF])
    expected = np.array([[-1.0, 0.25, 0.75]]) / temperature
    np.testing.assert_allclose(gradient(z, y, **options), expected, rtol=1e-15)


@each_link
def test_extreme_logits_have_finite_derivatives(link):
    y = jnp.asarray([0, 0])
    loss = lambda z: ce.softmax_cross_entropy(z, y, link=link, z_loss=0.0, entropy_bonus=0.1)  # noqa: E731
    first, second = jax.jit(jax.grad(loss)), jax.jit(jax.hessian(loss))
    for scale in (1e3, 1e30, 1e300):
        z = jnp.asarray([[scale, 0.0, -scale], [0.0, scale, 1.0]])
        assert np.isfinite(first(z)).all(), scale
        assert np.isfinite(second(z)).all(), scale


@sampled(
    {
        "senseless": named([[NAN, 0.0, 1.0], [INF, 0.0, 1.0], [-INF, -INF, -INF]], repr),
        "options": named(
            [
                {},
                {"label_smoothing": 0.1, "z_loss": 0.1, "entropy_bonus": 0.1},
                {"label_smoothing": 0.1, "link": ce.links.Focal()},
            ],
            repr,
        ),
    }
)
def test_a_row_that_makes_no_sense_is_nan_in_value_and_gradient_and_the_others_are_not(senseless, options):
    z, y = jnp.asarray([[1.0, 2.0, 0.0], senseless]), jnp.asarray([0, 1])
    losses = ce.softmax_cross_entropy(z, y, reduction="none", **options)
    np.testing.assert_array_equal(np.isnan(losses), [False, True])
    slopes = gradient(z, y, **options)
    np.testing.assert_array_equal(np.isnan(slopes), [[False] * 3, [True] * 3])
    np.testing.assert_allclose(slopes[0], gradient(z[:1], y[:1], **options)[0], rtol=1e-14)


# ----------------------------------------------------------------------------------------- rows left out


@sampled(
    {
        "junk": named([[NAN, 0.0, 1.0], [INF, 0.0, 1.0], [-INF, -INF, -INF], [0.0, 1.0, -INF]], repr),
        "way": ["ignore_index", "sample_weight"],
        "options": named(
            [
                {},
                {"link": ce.links.Unlikelihood()},
                {"link": ce.links.Focal(), "label_smoothing": 0.1, "z_loss": 0.1},
                {"softcap": 5.0, "logit_bias": np.arange(3.0), "margin": 0.3, "entropy_bonus": 0.1},
            ],
            repr,
        ),
    }
)
def test_a_row_left_out_counts_nothing_whatever_its_logits(junk, way, options):
    z = jnp.asarray([[1.0, 2.0, 0.0], junk])
    if way == "ignore_index":
        y, left_out = jnp.asarray([0, -1]), {"ignore_index": -1}
    else:
        y, left_out = jnp.asarray([0, 2]), {"sample_weight": jnp.asarray([1.0, 0.0])}
    temperature = jnp.asarray([1.0, 2.0])

    def loss(z, temperature):
        return ce.softmax_cross_entropy(z, y, temperature=temperature, **options, **left_out)

    value, (by_logits, by_temperature) = jax.value_and_grad(loss, argnums=(0, 1))(z, temperature)
    expected, alone = jax.value_and_grad(
        lambda z: ce.softmax_cross_entropy(z, y[:1], temperature=temperature[:1], **options)
    )(z[:1])
    np.testing.assert_allclose(value, expected, rtol=1e-14)
    np.testing.assert_allclose(by_logits[0], alone[0], rtol=1e-13)
    np.testing.assert_array_equal(by_logits[1], 0.0)
    assert by_temperature[1] == 0


def test_a_weight_of_zero_still_has_a_derivative():
    z, y = jnp.asarray([[1.0, 2.0, 0.0], [0.0, 1.0, 0.0]]), jnp.asarray([0, 1])
    rows = ce.softmax_cross_entropy(z, y, reduction="none")
    by_weight = jax.grad(lambda w: ce.softmax_cross_entropy(z, y, sample_weight=w, reduction="sum"))
    np.testing.assert_allclose(by_weight(jnp.asarray([1.0, 0.0])), rows, rtol=1e-15)


@sampled({"form": ["Probabilities", "Sparse"], "link": named([None, ce.links.Focal()], repr)})
def test_a_target_mass_of_zero_on_a_masked_class_counts_nothing(form, link):
    z = jnp.asarray([[1.5, 0.0, -INF]])
    if form == "Sparse":
        target = ce.targets.Sparse(jnp.asarray([[0, 2, 1]]), jnp.asarray([[0.25, 0.0, 0.75]]))
        other = ce.targets.Sparse(jnp.asarray([[0, 1]]), jnp.asarray([[0.25, 0.75]]))
    else:
        target, other = jnp.asarray([[0.25, 0.75, 0.0]]), jnp.asarray([[0.25, 0.75]])
    np.testing.assert_allclose(
        gradient(z, target, link=link), [[*gradient(z[:, :2], other, link=link)[0], 0.0]], rtol=1e-13
    )


@pytest.mark.parametrize("way", ["ignore_index", "sample_weight"])
def test_nothing_to_average_is_zero_with_a_gradient_of_zero(way):
    z, y = jnp.asarray([[1.0, 2.0, NAN]]), jnp.asarray([0])
    left_out = {"ignore_index": 0} if way == "ignore_index" else {"sample_weight": jnp.zeros(1)}
    value, slopes = jax.value_and_grad(lambda z: ce.softmax_cross_entropy(z, y, **left_out))(z)
    assert value == 0
    np.testing.assert_array_equal(slopes, 0.0)
    with pytest.raises(ValueError, match="nothing to average"):
        ce.softmax_cross_entropy(z, y, empty="raise", **left_out)
    traced = jax.jit(lambda z: ce.softmax_cross_entropy(z, y, empty="raise", **left_out))
    assert np.isnan(traced(z))


# ------------------------------------------------------------------------------- labels, read and unread


@sampled(
    {"label": [-1, 3, 255], "options": named([{}, {"link": ce.links.Focal(), "label_smoothing": 0.1}], repr)}
)
def test_a_label_outside_the_classes_is_refused_where_it_can_be_read(label, options):
    z, y = jnp.zeros((2, 3)), jnp.asarray([0, label])
    with pytest.raises(ValueError, match=f"label {label} at row 1 is outside"):
        ce.softmax_cross_entropy(z, y, **options)
    with pytest.raises(ValueError, match=f"label {label} at row 1"):
        jax.grad(lambda z: ce.softmax_cross_entropy(z, y, **options))(z)
    with pytest.raises(ValueError, match=f"label {label} at row 1"):
        ce.target_statistics(z, y)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"link": ce.links.Focal(), "label_smoothing": 0.1},
        {"link": ce.links.Focal()},
        {"class_weight": [1.0, 2.0, 3.0]},
    ],
    ids=repr,
)
def test_a_traced_label_outside_the_classes_makes_its_row_nan_and_no_other(options):
    z = jnp.asarray([[0.0, 1.0, 2.0]] * 3)
    losses = jax.jit(lambda z, y: ce.softmax_cross_entropy(z, y, reduction="none", **options))
    slopes = jax.jit(lambda z, y: gradient(z, y, **options))
    for label in (-1, 3, 255, -4):
        y = jnp.asarray([0, label, 2])
        np.testing.assert_array_equal(np.isnan(losses(z, y)), [False, True, False], f"label {label}")
        expected = [[False] * 3, [True] * 3, [False] * 3]
        np.testing.assert_array_equal(np.isnan(slopes(z, y)), expected, f"label {label}")


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint32", "int64", "bool"])
def test_labels_of_any_integer_type_are_labels(dtype):
    z = jnp.asarray([[0.0, 1.0], [3.0, 1.0]])
    y = jnp.asarray([1, 0], dtype=dtype)
    expected = ce.softmax_cross_entropy(np.asarray(z), np.array([1, 0]))
    for options in ({}, {"ignore_index": -100}, {"class_weight": [1.0, 1.0]}):
        np.testing.assert_allclose(ce.softmax_cross_entropy(z, y, **options), expected, rtol=1e-14)


def test_soft_targets_that_do_not_sum_to_one_are_refused_where_they_can_be_read():
    z, q = jnp.zeros((1, 2)), jnp.asarray([[0.5, 0.4]])
    with pytest.raises(ValueError, match=r"probabilities of row 0 sum to 0\.9"):
        ce.softmax_cross_entropy(z, q)
    total = jax.jit(lambda z, q: ce.softmax_cross_entropy(z, q, reduction="sum"))
    np.testing.assert_allclose(total(z, q), 0.9 * np.log(2))


def test_numpys_arrays_are_taken_beside_those_of_jax():
    rng = np.random.default_rng(0)
    z, y, w, t = rng.normal(size=(4, 3)), rng.integers(0, 3, size=4), rng.random(3), rng.random(4) + 0.5
    given = {"class_weight": w, "temperature": t, "sample_weight": t, "normalizer": t}
    expected = ce.softmax_cross_entropy(z, y, **given)
    np.testing.assert_allclose(ce.softmax_cross_entropy(jnp.asarray(z), y, **given), expected, rtol=1e-14)
    yes = rng.integers(0, 2, size=(4, 3))
    expected = ce.sigmoid_cross_entropy(z, yes, class_weight=w, sample_weight=t)
    got = ce.sigmoid_cross_entropy(jnp.asarray(z), yes, class_weight=w, sample_weight=t)
    np.testing.assert_allclose(got, expected, rtol=1e-14)


# --------------------------------------------------------------------------------------- target_statistics


def test_statistics_can_be_traced_and_differentiated():
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(4, 3)), rng.integers(0, 3, size=4)
    expected = ce.target_statistics(z, y, entropy=True, rank=True)
    names = ("log_prob", "prob", "log_odds", "logsumexp", "entropy", "argmax", "rank")

    def statistics(z, y):
        found = ce.target_statistics(z, y, entropy=True, rank=True)
        return tuple(getattr(found, name) for name in names)

    for name, x in zip(names, jax.jit(statistics)(jnp.asarray(z), jnp.asarray(y)), strict=True):
        np.testing.assert_allclose(x, getattr(expected, name), rtol=1e-13, err_msg=name)
    slope = jax.grad(lambda z: jnp.sum(ce.target_statistics(z, y).log_prob))(jnp.asarray(z))
    _, of_loss = ce.loss_and_gradient(ce.softmax_cross_entropy, z, y, reduction="sum")
    np.testing.assert_allclose(slope, -of_loss, rtol=1e-13)
