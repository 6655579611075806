"""`softmax_cross_entropy` and `target_statistics` of JAX arrays: values, every kind of derivative, traces."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import crossentropy as ce
import oracle
import ulps
from crossentropy._statistics.log_sigmoid import log_sigmoid
from frameworks import JAX
from sampling import full
from softmax_problems import DENSE, Problem, problems

jax = pytest.importorskip("jax")
jnp = jax.numpy

INF = float("inf")
EAGER, JIT = JAX(), JAX(jit=True)
each_way = pytest.mark.parametrize("fw", [EAGER, JIT], ids=repr)
bounded = settings(derandomize=True, max_examples=100, deadline=None, database=None)


@pytest.fixture
def wide():
    """JAX with 64-bit types."""
    with EAGER.wide():
        yield


def batch(rows=5, classes=4, scale=2.0):
    rng = np.random.default_rng(rows * classes)
    return rng.normal(size=(rows, classes)) * scale, rng.integers(0, classes, size=rows)


def differences(f, x, h=1e-6):
    """The gradient of a scalar function of an array by central differences."""
    slopes = np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[i] = h
        slopes[i] = (f(x + step) - f(x - step)) / (2 * h)
    return slopes


# ------------------------------------------------------------------------------------- values and gradients


def assert_right(problem):
    try:
        truth = problem.truth()
    except oracle.NothingToAverage:
        with pytest.raises(ValueError, match="average"):
            EAGER.loss(problem.logits, problem.labels(EAGER), **problem.keywords())
        return
    value, gradient = EAGER.loss_and_gradient(problem.logits, problem.labels(EAGER), **problem.keywords())
    assert value.shape == truth.value.shape
    np.testing.assert_allclose(value, truth.value, rtol=1e-11, atol=1e-11 * (1 + truth.scale))
    np.testing.assert_allclose(gradient, truth.gradient, rtol=1e-11, atol=1e-11)


@settings(bounded, max_examples=15)
@given(problem=problems(shape=(3, 4)))
def test_any_composition_of_options_has_the_value_and_gradient_of_the_definition(problem):
    assert_right(problem)


@pytest.mark.full
@bounded
@given(problem=problems(shape=(3, 4)))
def test_many_compositions_of_options_have_the_value_and_gradient_of_the_definition(problem):
    assert_right(problem)


@settings(bounded, max_examples=6)
@given(problem=problems(shape=(3, 4), empty="zero", validate="none"))
def test_a_compiled_loss_is_the_loss(problem):
    arguments = problem.logits, problem.labels(EAGER)
    for compiled, eager in zip(
        JIT.loss_and_gradient(*arguments, **problem.keywords()),
        EAGER.loss_and_gradient(*arguments, **problem.keywords()),
        strict=True,
    ):
        np.testing.assert_allclose(compiled, eager, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", ["sample_weight", "temperature", "logit_bias", "margin", "Probabilities"])
@settings(bounded, max_examples=8)
@given(data=st.data())
def test_gradients_flow_to_what_a_loss_may_learn(name, data):
    fits = {"Probabilities": lambda p: p.form == "unnormalized", "margin": lambda p: p.form not in DENSE}
    drawn = problems(shape=(3, 4), reduction="mean", normalizer="weight", empty="zero", sample_weight=None)
    problem = data.draw(drawn.filter(fits.get(name, lambda p: True)))
    rng = np.random.default_rng(7)
    point = {
        "sample_weight": rng.uniform(0.5, 2, size=3),
        "temperature": rng.uniform(0.5, 2, size=3),
        "logit_bias": rng.normal(size=4),
        "margin": rng.uniform(0, 1, size=4),
        "Probabilities": problem.arrays[0],
    }[name]

    def changed(value):
        if name == "Probabilities":
            return Problem(problem.logits, problem.form, (value,), problem.options, problem.gamma), {}
        return problem, {name: value}

    def learned(value):
        other, option = changed(value)
        keywords = {k: EAGER.own(v) for k, v in (other.keywords() | option).items()}
        return ce.softmax_cross_entropy(EAGER.own(problem.logits), other.labels(EAGER), **keywords)

    def by_numpy(value):
        other, option = changed(value)
        return float(other.truth(**option).value)

    with EAGER.wide():
        slopes = jax.grad(learned)(EAGER.own(point))
    np.testing.assert_allclose(slopes, differences(by_numpy, point, 1e-5), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("scale", [0.01, 1.0, 20.0])
def test_every_entry_of_a_gradient_is_right_to_the_last_bits(scale):
    """Within 4·max(1, |D|, |log p|) ulp, the largest logit's too, which is no sum of what the others leave."""
    z, y = batch(6, 130, scale)
    _, gradient = EAGER.loss_and_gradient(z, y, reduction="sum")
    for i in range(6):
        target = oracle.index_targets([y[i]], 130)[0]
        truth = oracle.row(oracle.numbers(z[i]), target, oracle.Options()).gradient
        found = oracle.statistics(z[i], int(y[i]))
        log_p = np.abs([float(l) for l in oracle.log_probabilities(oracle.numbers(z[i]))])
        limit = 4 * np.maximum(log_p, max(1.0, abs(float(found.log_odds)), np.log(130)))
        error = np.abs(ulps.errors(gradient[i], truth))
        assert (error <= ulps.allowed(limit, np.array([float(t) for t in truth]), "float64")).all()


def test_second_derivatives_are_those_of_the_softmax(wide):
    z, y = batch(2, 4)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    loss = lambda z: ce.softmax_cross_entropy(z, jnp.asarray(y), reduction="sum")  # noqa: E731
    hessian = jax.jit(jax.hessian(loss))(jnp.asarray(z))
    for i in range(2):
        expected = np.diag(p[i]) - np.outer(p[i], p[i])
        np.testing.assert_allclose(hessian[i, :, i, :], expected, rtol=1e-12, atol=1e-16)
        np.testing.assert_array_equal(hessian[i, :, 1 - i, :], 0.0)


@pytest.mark.parametrize("margin", [40.0, 300.0])
def test_second_derivatives_of_confident_rows_are_p_times_one_minus_p(wide, margin):
    """Far past where 1 − p is no longer told from 1."""
    loss = lambda z: ce.softmax_cross_entropy(z, jnp.asarray([0]))  # noqa: E731
    second = jax.jit(jax.hessian(loss))(jnp.asarray([[margin, 0.0]]))
    expected = np.exp(-margin)
    np.testing.assert_allclose(second[0, :, 0, :], [[expected, -expected], [-expected, expected]], rtol=1e-12)


@pytest.mark.parametrize("link", [None, ce.links.Focal(2.0), ce.links.Focal(0.5)], ids=repr)
@pytest.mark.parametrize("smoothing", [*full([0.0]), 0.1])
def test_forward_and_second_derivatives_agree_with_differences_of_first_ones(wide, link, smoothing):
    z, y = batch(3, 4)
    loss = lambda z: ce.softmax_cross_entropy(  # noqa: E731
        z, jnp.asarray(y), link=link, label_smoothing=smoothing, z_loss=0.01, entropy_bonus=0.1, softcap=5.0
    )
    direction = np.random.default_rng(0).normal(size=z.shape)
    gradient = jax.grad(loss)(jnp.asarray(z))
    _, slope = jax.jvp(loss, (jnp.asarray(z),), (jnp.asarray(direction),))
    np.testing.assert_allclose(slope, np.sum(gradient * direction), rtol=1e-12)
    h = 1e-5
    expected = (jax.grad(loss)(jnp.asarray(z + h * direction)) - jax.grad(loss)(z - h * direction)) / (2 * h)
    _, second = jax.jvp(jax.grad(loss), (jnp.asarray(z),), (jnp.asarray(direction),))
    np.testing.assert_allclose(second, expected, rtol=1e-6, atol=1e-9)


def test_mapped_losses_and_gradients_are_those_of_the_batch(wide):
    z, y = map(jnp.asarray, batch())
    own = lambda z, y: ce.softmax_cross_entropy(z, y, label_smoothing=0.1)  # noqa: E731
    losses = ce.softmax_cross_entropy(z, y, label_smoothing=0.1, reduction="none")
    np.testing.assert_allclose(jax.vmap(own)(z, y), losses, rtol=1e-14)
    together = jax.grad(lambda z: ce.softmax_cross_entropy(z, y, label_smoothing=0.1, reduction="sum"))(z)
    np.testing.assert_allclose(jax.jit(jax.vmap(jax.grad(own)))(z, y), together, rtol=1e-13)


# ------------------------------------------------------------------------------------------- float32


@pytest.mark.parametrize("classes", [10, *full([2, 1000])])
@pytest.mark.parametrize("scale", [0.01, 1.0, 8.0, 60.0])
def test_in_float32_alone_a_loss_is_right_to_the_last_bits(scale, classes):
    """Within 4·max(1, |D|, ln C) ulp: `D` itself is no wider here. XLA flushes what is under the normal numbers."""
    z, y = batch(32, classes, scale)
    z = z.astype(np.float32)
    losses = ce.softmax_cross_entropy(jnp.asarray(z), jnp.asarray(y), reduction="none")
    assert losses.dtype == jnp.float32
    truth = [oracle.statistics(row, int(label)) for row, label in zip(z, y, strict=True)]
    exact = np.array([-float(t.log_prob) for t in truth])
    odds = np.array([abs(float(t.log_odds)) for t in truth])
    limit = ulps.allowed(4 * np.maximum(odds, max(1.0, np.log(classes))), exact, "float32")
    normal = exact > np.finfo(np.float32).tiny
    assert (np.abs(ulps.errors(losses, [-t.log_prob for t in truth])) <= limit)[normal].all()
    assert (np.asarray(losses)[~normal] <= np.finfo(np.float32).tiny).all()


def test_in_float32_alone_a_vocabulary_is_summed_to_the_last_bits():
    z, y = batch(4, 2**17, 3.0)
    z = z.astype(np.float32)
    losses = ce.softmax_cross_entropy(jnp.asarray(z), jnp.asarray(y), reduction="none")
    exact = ce.softmax_cross_entropy(z.astype(np.float64), y, reduction="none")
    odds = np.abs(ce.target_statistics(z.astype(np.float64), y).log_odds)
    limit = ulps.allowed(4 * np.maximum(odds, np.log(2**17)), exact, "float32")
    assert (np.abs(losses - exact) <= limit).all()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_losses_of_half_precision_are_float32_and_their_gradients_half(dtype):
    z, y = batch()
    z = jnp.asarray(z, dtype=dtype)
    value, gradient = jax.value_and_grad(lambda z: ce.softmax_cross_entropy(z, jnp.asarray(y)))(z)
    assert value.dtype == jnp.float32
    assert gradient.dtype == z.dtype
    expected = ce.softmax_cross_entropy(np.asarray(z, dtype=np.float64), y)
    np.testing.assert_allclose(value, expected, rtol=1e-6)


@pytest.mark.filterwarnings("error")
def test_where_jax_keeps_no_64_bit_types_none_are_asked_for():
    z, y = map(jnp.asarray, batch())
    four = [1.0, 2.0, 3.0, 4.0]
    ce.softmax_cross_entropy(z, y, class_weight=four, label_smoothing=0.1, link=ce.links.Focal())
    ce.softmax_cross_entropy(z, ce.targets.OneHot(jnp.eye(4, dtype=int)[y]), ignore_index=None)
    assert ce.target_statistics(z, y, rank=True).rank.dtype == jnp.int32
    ce.sigmoid_cross_entropy(z, jnp.ones((5, 4), dtype=int), pos_weight=four)
    ce.log_loss(jnp.full((5, 4), 0.25), y, class_weight=four)


# ----------------------------------------------------------------------------------- links, log_sigmoid

LINKS = [ce.links.CrossEntropy(), ce.links.Focal(2.0), ce.links.Focal(0.5), ce.links.Focal(0.0)]


@pytest.mark.parametrize("link", LINKS, ids=repr)
def test_the_derivative_of_a_link_is_its_gain(wide, link):
    D = jnp.asarray([-700.0, -300.0, -40.0, -2.0, 0.0, 1.0, 40.0, 300.0, 1e30, -INF, INF])
    slope = jax.vmap(jax.grad(link.loss))(D)
    np.testing.assert_allclose(slope, link.gain(D) * jnp.exp(log_sigmoid(D)), rtol=1e-12)


def test_log_sigmoid_has_its_derivatives_in_both_tails(wide):
    x = np.array([-800.0, -40.0, -1.0, 0.0, 1.0, 40.0, 300.0, INF, -INF])
    first, second = jax.grad(log_sigmoid), jax.grad(jax.grad(log_sigmoid))
    with np.errstate(over="ignore", under="ignore"):
        beyond = 1 / (1 + np.exp(x))  # σ(−x)
        before = 1 / (1 + np.exp(-x))
    np.testing.assert_allclose(jax.vmap(first)(jnp.asarray(x)), beyond, rtol=1e-15)
    np.testing.assert_allclose(jax.vmap(second)(jnp.asarray(x)), -before * beyond, rtol=1e-15, atol=1e-320)


def test_a_link_may_hold_traced_arrays(wide):
    class Scaled:
        """φ = −s log p, with one s for every row."""

        def __init__(self, scale):
            self.scale = scale

        def loss(self, D):
            return self.scale * ce.links.CrossEntropy().loss(D)

        def gain(self, D):
            return self.scale * jnp.ones_like(D)

    z, y = map(jnp.asarray, batch())
    scale = jnp.linspace(0.5, 2.0, 5)
    loss = lambda scale, z: ce.softmax_cross_entropy(z, y, link=Scaled(scale), reduction="sum")  # noqa: E731
    by_scale, by_logits = jax.jit(jax.grad(loss, argnums=(0, 1)))(scale, z)
    rows = ce.softmax_cross_entropy(z, y, reduction="none")
    np.testing.assert_allclose(by_scale, rows, rtol=1e-14)
    weighted = jax.grad(lambda z: ce.softmax_cross_entropy(z, y, sample_weight=scale, reduction="sum"))(z)
    np.testing.assert_allclose(by_logits, weighted, rtol=1e-13, atol=1e-16)
