"""`sigmoid_cross_entropy` and `log_loss` of JAX arrays."""

from __future__ import annotations

import numpy as np
import pytest

import crossentropy as ce
from frameworks import JAX
from sampling import named, sampled

jax = pytest.importorskip("jax")
jnp = jax.numpy

INF, NAN = float("inf"), float("nan")
LINKS = [
    {},
    {"link": ce.links.Focal(0.0), "negative_link": ce.links.Focal(4.0), "negative_shift": 0.05},
    {"link": ce.links.Focal(1.5), "negative_link": ce.links.Focal(0.5)},
    {"link": ce.links.Poly(1.0)},
]
OPTIONS = [
    {},
    {"label_smoothing": 0.1},
    {"pos_weight": np.array([2.0, 1.0, 0.5])},
    {"class_weight": np.array([2.0, 0.0, 0.5])},
    {"sample_weight": np.array([1.0, 0.0, 2.0, 1.0, 1.0])},
    {"sample_weight": np.linspace(0, 2, 15).reshape(5, 3)},
    {"reduction": "sum"},
    {"reduction": "none"},
    {"normalizer": "count", "class_weight": 3.0},
    {"normalizer": 7.0},
    {"normalizer": np.linspace(1, 2, 15).reshape(5, 3)},
]


@pytest.fixture(autouse=True)
def _wide():
    with JAX().wide():
        yield


def both(z, t, **options):
    """Values and gradients in NumPy and in JAX."""
    own = {k: jnp.asarray(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    value, pull = jax.vjp(lambda z: ce.sigmoid_cross_entropy(z, jnp.asarray(t), **own), jnp.asarray(z))
    with np.errstate(all="ignore"):
        expected = ce.loss_and_gradient(ce.sigmoid_cross_entropy, z, t, **options)
    return (value, pull(jnp.ones_like(value))[0]), expected


@sampled({"options": named(OPTIONS, lambda o: "+".join(o) or "plain"), "links": named(LINKS, repr)})
def test_values_and_gradients_are_those_of_numpy(links, options):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(5, 3)) * 5
    for t in (rng.integers(0, 2, size=(5, 3)), rng.random((5, 3)), rng.random((5, 3)) < 0.5):
        for got, expected in zip(*both(z, t, **links, **options), strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-15)


@sampled({"links": named(LINKS, repr), "weight": [None, 0.0]})
def test_certain_impossible_and_senseless_logits_are_those_of_numpy(links, weight):
    z = np.repeat([INF, -INF, 800.0, -800.0, 3.0, NAN, 0.0], 2)
    t = np.tile([0, 1], 7)
    options = {"reduction": "none", "sample_weight": None if weight is None else np.full(14, weight)}
    for got, expected in zip(*both(z, t, **links, **options), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-11)


@pytest.mark.parametrize("links", LINKS, ids=repr)
def test_second_derivatives_are_finite_and_right(links):
    z, t = np.array([-800.0, -3.0, 0.0, 2.0, 40.0, 800.0]), jnp.asarray([1, 0, 1, 0, 1, 0])
    loss = lambda z: ce.sigmoid_cross_entropy(z, t, reduction="sum", **links)  # noqa: E731
    second = np.diag(jax.jit(jax.hessian(loss))(jnp.asarray(z)))
    h = 1e-5
    expected = (jax.grad(loss)(jnp.asarray(z + h)) - jax.grad(loss)(jnp.asarray(z - h))) / (2 * h)
    np.testing.assert_allclose(second, expected, rtol=1e-6, atol=1e-9)


def test_gradients_flow_to_soft_labels_and_weights():
    rng = np.random.default_rng(1)
    z, t, w = jnp.asarray(rng.normal(size=6)), jnp.asarray(rng.random(6)), jnp.asarray(rng.random(6) + 0.5)
    loss = lambda t, w: ce.sigmoid_cross_entropy(z, t, sample_weight=w)  # noqa: E731
    by_label, by_weight = jax.grad(loss, argnums=(0, 1))(t, w)
    rows = ce.sigmoid_cross_entropy(z, t, reduction="none")
    np.testing.assert_allclose(by_label, -w * z / w.sum(), rtol=1e-12)
    np.testing.assert_allclose(by_weight, (rows - loss(t, w)) / w.sum(), rtol=1e-10, atol=1e-14)


def test_a_label_that_is_none_is_refused_where_it_can_be_read_and_nan_where_it_cannot():
    z, t = jnp.zeros(3), jnp.asarray([0, 2, 1])
    with pytest.raises(ValueError, match=r"labels\[1\] is 2"):
        ce.sigmoid_cross_entropy(z, t)
    losses = jax.jit(lambda z, t: ce.sigmoid_cross_entropy(z, t, reduction="none"))(z, t)
    np.testing.assert_array_equal(np.isnan(losses), [False, True, False])


def test_float32_losses_of_confident_answers_keep_their_digits():
    z = jnp.asarray([-80.0, -20.0, -1.0, 1.0, 20.0, 80.0], dtype=jnp.float32)
    losses = ce.sigmoid_cross_entropy(z, jnp.zeros(6, dtype=int), reduction="none")
    assert losses.dtype == jnp.float32
    np.testing.assert_allclose(losses, np.logaddexp(0, np.asarray(z, dtype=np.float64)), rtol=3e-7)


@pytest.mark.parametrize("link", [None, ce.links.Focal(2.0)], ids=["cross-entropy", "focal"])
def test_programs_on_the_cpu_call_the_kernels(link):
    loss = lambda z, t: ce.sigmoid_cross_entropy(z, t, link=link)  # noqa: E731
    program = jax.jit(jax.value_and_grad(loss)).lower(jnp.zeros((2, 3)), jnp.ones((2, 3))).as_text()
    assert program.count("crossentropy_sigmoid_losses") == 1  # losses and slopes in one sweep


@sampled(
    {
        "weighted": named([False, True], ["plain", "weighted"]),
        "dtype": ["float64", "float32"],
        "shape": [(70, 3), (70, 130), (65, 4, 5)],
    }
)
def test_a_reduced_loss_of_many_rows_has_no_array_of_losses(shape, dtype, weighted):
    rng = np.random.default_rng(0)
    z, t, dot = rng.normal(size=shape).astype(dtype), rng.random(shape), rng.normal(size=shape)
    t, omega = t.astype(dtype), np.linspace(0, 2, len(z)).reshape((-1,) + (1,) * (len(shape) - 2))
    options = {"axis": 1}
    if weighted:
        options["sample_weight"] = np.broadcast_to(omega, shape[:1] + shape[2:]).astype(dtype)
    loss = lambda z: ce.sigmoid_cross_entropy(z, t, **options)  # noqa: E731
    program = jax.jit(jax.value_and_grad(loss))
    call = next(x for x in program.lower(z).as_text().splitlines() if "@crossentropy_sigmoid" in x)
    letter = "f64" if dtype == "float64" else "f32"
    assert f"-> (tensor<{len(z)}x{letter}>, " in call
    value, slope = program(z)
    w = np.broadcast_to(np.expand_dims(options["sample_weight"], 1), shape) if weighted else np.ones(shape)
    wide, t = z.astype(float), t.astype(float)
    truth = np.sum(w * (np.logaddexp(0, wide) - t * wide)) / np.sum(w)
    p = 1 / (1 + np.exp(-wide))
    exact = 1e-12 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(value, truth, rtol=exact)
    np.testing.assert_allclose(slope, w * (p - t) / np.sum(w), rtol=exact, atol=exact / z.size)
    batch = jax.vmap(loss)(jnp.stack([jnp.asarray(z), -jnp.asarray(z)]))
    np.testing.assert_allclose(batch, [loss(jnp.asarray(z)), loss(-jnp.asarray(z))], rtol=exact)
    direction = jnp.asarray(dot, dtype)
    _, forward = jax.jvp(loss, (jnp.asarray(z),), (direction,))
    np.testing.assert_allclose(forward, np.vdot(dot, w * (p - t)) / np.sum(w), rtol=10 * exact, atol=exact)
    _, bend = jax.jvp(jax.grad(loss), (jnp.asarray(z),), (direction,))
    np.testing.assert_allclose(bend, w * p * (1 - p) * dot / np.sum(w), rtol=10 * exact, atol=exact / z.size)


def test_float32_gradients_have_four_ulps():
    z = np.linspace(-80, 80, 801, dtype=np.float32)
    for t in (np.zeros(801), np.ones(801)):
        slope = jax.jit(jax.grad(lambda z, t: ce.sigmoid_cross_entropy(z, t, reduction="sum")))
        found = np.asarray(slope(jnp.asarray(z), jnp.asarray(t)))
        truth = 1 / (1 + np.exp(np.where(t == 1, z, -z).astype(np.float64)))  # of the answer that is wrong
        assert found.dtype == np.float32
        errors = np.abs(found - np.where(t == 1, -truth, truth))
        assert np.all(errors <= 4 * np.spacing(truth.astype(np.float32)))


@pytest.mark.parametrize(
    "of_batch",
    [
        {},
        {"sample_weight": np.linspace(0, 2, 8).reshape(2, 4)},
        {"sample_weight": np.linspace(0, 2, 24).reshape(2, 4, 3)},
        {"pos_weight": np.linspace(1, 2, 6).reshape(2, 3)},
    ],
    ids=lambda o: "+".join(o) or "plain",
)
def test_a_batch_under_vmap_is_a_loop(of_batch):
    rng = np.random.default_rng(4)
    z, t = jnp.asarray(rng.normal(size=(2, 4, 3))), jnp.asarray(rng.random((2, 4, 3)))
    of_batch = {name: jnp.asarray(x) for name, x in of_batch.items()}
    shared = {"class_weight": jnp.asarray([1.0, 2.0, 0.5]), "reduction": "sum"}
    loss = lambda z, t, options: ce.sigmoid_cross_entropy(z, t, **options, **shared)  # noqa: E731
    step, slope = jax.value_and_grad(loss), jax.grad(loss)
    ones = jnp.ones_like(z)
    found = jax.vmap(step)(z, t, of_batch)
    _, turn = jax.jvp(
        lambda z: jax.vmap(slope)(z, t, of_batch), (z,), (ones,)
    )  # by formulas, of the whole batch
    for i in range(2):
        own = {name: x[i] for name, x in of_batch.items()}
        expected = *step(z[i], t[i], own), jax.jvp(lambda z: slope(z, t[i], own), (z[i],), (ones[i],))[1]  # noqa: B023
        for got, one in zip((*found, turn), expected, strict=True):
            np.testing.assert_allclose(got[i], one, rtol=1e-13)


# ------------------------------------------------------------------------------------------------- log_loss


@sampled(
    {"logs": named([False, True], ["p", "log p"]), "binary": named([False, True], ["classes", "binary"])}
)
def test_log_losses_are_those_of_numpy(logs, binary):
    rng = np.random.default_rng(2)
    p = rng.random(6) if binary else rng.dirichlet(np.ones(3), size=6)
    y = rng.integers(0, 2 if binary else 3, size=6)
    name = "log_probabilities" if logs else "probabilities"
    p = np.log(p) if logs else p
    classes = 2 if binary else 3
    options = {"class_weight": np.arange(1.0, classes + 1), "sample_weight": np.linspace(0, 2, 6)}
    expected = ce.log_loss(labels=y, **{name: p}, **options)
    got = ce.log_loss(labels=jnp.asarray(y), **{name: jnp.asarray(p)}, **options)
    np.testing.assert_allclose(got, expected, rtol=1e-13)
    compiled = jax.jit(lambda p, y: ce.log_loss(labels=y, **{name: p}, **options))
    np.testing.assert_allclose(compiled(jnp.asarray(p), jnp.asarray(y)), expected, rtol=1e-13)


def test_log_losses_refuse_what_they_can_read():
    with pytest.raises(ValueError, match=r"sums to 0\.9"):
        ce.log_loss(jnp.asarray([[0.5, 0.4]]), jnp.asarray([0]))
    with pytest.raises(ValueError, match="label 2 at row 0"):
        ce.log_loss(jnp.asarray([[0.5, 0.5]]), jnp.asarray([2]))
