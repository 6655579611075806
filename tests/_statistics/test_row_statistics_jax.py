"""Statistics of JAX arrays: the kernels that XLA calls, and the rules by which JAX differentiates and batches them."""

from __future__ import annotations

import numpy as np
import pytest

from crossentropy._statistics import PLAIN, Prior, Requested, Target, Transform, formulas, row_statistics
from crossentropy._statistics.problem import DIFFERENTIABLE
from frameworks import JAX
from sampling import full, sampled

jax = pytest.importorskip("jax")
jnp = jax.numpy

ALL = Requested(log_partition=True, entropy=True)
NONE = Requested()
DIFFERENTIABLE_TOO = (*DIFFERENTIABLE, "dense_total")


@pytest.fixture(autouse=True)
def _wide():
    with JAX().wide():
        yield


def drawn(classes, form, prior="none", axis=-1):
    """Logits of six rows, or of 2 × 3 around the class axis, with what makes a target and a prior of arrays."""
    rng = np.random.default_rng(classes)
    shape = (6, classes) if axis == -1 else (2, classes, 3)
    rows = tuple(n for i, n in enumerate(shape) if i != axis % len(shape))
    z = rng.normal(size=shape) * 3
    if form == "label":
        target, make = rng.integers(0, classes, rows), lambda a: Target(indices=a)
    elif form == "labels":
        target = rng.integers(0, classes, (*rows, 2))
        make = lambda a: Target(indices=a, several=True)  # noqa: E731
    elif form == "mask":
        target, make = rng.random(shape) < 0.5, lambda a: Target(mask=a)
        target = target | (np.arange(classes).reshape(-1, *[1] * (len(shape) - 1 - axis % len(shape))) == 0)
    else:
        target, make = rng.random(shape), lambda a: Target(dense=a)
    values = jnp.asarray(rng.random(classes))
    prior = {"none": None, "uniform": Prior(None), "given": Prior(values)}[prior]
    return jnp.asarray(z), jnp.asarray(target), make, prior, axis % len(shape)


FEW = (5, "label", "none", NONE, -1)
LABELS = (7, "labels", "given", ALL, 1)
DENSE = (200, "dense", "uniform", ALL, 1)
CASES = [
    FEW,
    *full([(5, "label", "none", NONE, 1)]),
    (100, "label", "none", NONE, -1),
    *full([(200, "label", "given", ALL, -1)]),
    LABELS,
    (7, "mask", "none", NONE, -1),
    DENSE,
]


def both(case):
    """The statistics as a function of what has derivatives, by the kernels and by the formulas; and those arrays."""
    classes, form, prior, requested, axis = case
    z, target, make, prior, axis = drawn(classes, form, prior, axis)

    def of(compute):
        def found(z, *dense):
            t = make(dense[0] if dense else target)
            stats = compute(z, axis, t, PLAIN, prior, requested)
            return [x for name in DIFFERENTIABLE_TOO if (x := getattr(stats, name)) is not None]

        return found

    return of(row_statistics), of(formulas.statistics), (z, target) if form == "dense" else (z,)


def alike(got, expected, rtol=1e-12):
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-14 + rtol * np.abs(b).max())


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_kernels_and_formulas_have_the_same_values_and_derivatives_of_two_orders(case):
    kernels, reference, arrays = both(case)
    rng = np.random.default_rng(0)
    dots = tuple(jnp.asarray(rng.normal(size=x.shape)) for x in arrays)
    weights = [jnp.asarray(rng.normal(size=x.shape)) for x in reference(*arrays)]

    def everything(found):
        def weighted(*arrays):
            return sum(jnp.sum(w * x) for w, x in zip(weights, found(*arrays), strict=True))

        gradient = jax.grad(weighted, argnums=tuple(range(len(arrays))))
        return jax.jvp(found, arrays, dots), gradient(*arrays), jax.jvp(gradient, arrays, dots)[1]

    alike(jax.jit(lambda: everything(kernels))(), jax.jit(lambda: everything(reference))(), 1e-11)


@pytest.mark.parametrize("case", [FEW, LABELS, DENSE], ids=repr)
def test_a_batch_is_more_rows(case):
    kernels, reference, arrays = both(case)
    batch = tuple(jnp.stack([x, x[::-1]]) for x in arrays)
    total = lambda found: lambda *arrays: sum(map(jnp.sum, found(*arrays)))  # noqa: E731
    mapped = jax.jit(jax.vmap(jax.value_and_grad(total(kernels))))
    assert "while" not in mapped.lower(*batch).as_text()
    alike(mapped(*batch), jax.vmap(jax.value_and_grad(total(reference)))(*batch), 1e-11)


def test_a_batch_of_priors_is_one_of_problems():
    z, y, make, prior, axis = drawn(5, "label", "given")
    values = jnp.stack([prior.values, 2 * prior.values])
    one = lambda r: row_statistics(z, axis, make(y), PLAIN, Prior(r)).prior_term  # noqa: E731
    alike(jax.vmap(one)(values), jnp.stack([one(values[0]), one(values[1])]))


def test_a_prior_has_a_gradient():
    z, y, make, prior, axis = drawn(5, "label", "given")
    term = lambda compute: lambda r: compute(z, axis, make(y), PLAIN, Prior(r)).prior_term.sum()  # noqa: E731
    alike(jax.grad(term(row_statistics))(prior.values), jax.grad(term(formulas.statistics))(prior.values))


TRANSFORMS = [
    (5, "label", "none", NONE, lambda b: Transform(2.0)),
    (200, "label", "none", NONE, lambda b: Transform(1.0, logit_bias=b)),
    (7, "labels", "given", ALL, lambda b: Transform(0.5, logit_bias=b)),
    (200, "dense", "uniform", ALL, lambda b: Transform(3.0, logit_bias=b)),
]


@pytest.mark.parametrize(("classes", "form", "prior", "requested", "transform"), TRANSFORMS)
@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_a_temperature_and_a_bias_have_values_and_derivatives_of_two_orders(
    classes, form, prior, requested, transform, dtype
):
    axis = 1 if form in ("labels", "dense") else -1
    z, target, make, prior, axis = drawn(classes, form, prior, axis)
    z, bias = jnp.astype(z, dtype), jnp.asarray(np.sin(np.arange(classes)))

    def everything(compute):
        def total(z, bias):
            stats = compute(z, axis, make(target), transform(bias), prior, requested)
            found = [x for name in DIFFERENTIABLE_TOO if (x := getattr(stats, name)) is not None]
            return sum(jnp.sum(jnp.sin(x)) for x in found)

        gradient = jax.grad(total, (0, 1))
        dots = jnp.cos(z), jnp.cos(bias)
        mapped = jax.vmap(jax.grad(total), (0, None))(jnp.stack([z, -z]), bias)
        by_bias = jax.vmap(total, (None, 0))(z, jnp.stack([bias, -bias]))
        return gradient(z, bias), jax.jvp(gradient, (z, bias), dots)[1], mapped, by_bias

    got, expected = (jax.jit(lambda c=c: everything(c))() for c in (row_statistics, formulas.statistics))
    if dtype == "float64":
        alike(got, expected, 1e-11)
        return
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        a, b = (np.asarray(x, float) for x in (a, b))
        np.testing.assert_allclose(a, b, rtol=2e-2, atol=2e-2 * np.abs(b).max())
    # What a bias learns from logits of half precision is not rounded to it.
    np.testing.assert_allclose(got[0][1], expected[0][1], rtol=1e-4, atol=1e-4 * np.abs(expected[0][1]).max())


def test_the_kernels_are_given_logits_without_their_temperature_and_bias():
    z, y, make, _, axis = drawn(100, "label")
    transform = Transform(2.0, logit_bias=jnp.arange(100.0))
    loss = lambda z: row_statistics(z, axis, make(y), transform).log_odds.sum()  # noqa: E731
    program = jax.jit(jax.grad(loss)).lower(z).as_text()
    assert "@crossentropy_row_pullback" in program
    steps = [line for line in program.splitlines() if "tensor<6x100xf64>" in line and "stablehlo." in line]
    assert all("custom_call" in line for line in steps), steps


@pytest.mark.parametrize(("classes", "kernel"), [(10, "row_gradients"), (100, "row_pullback")])
def test_on_the_cpu_xla_calls_kernels(classes, kernel):
    z, y, make, _, axis = drawn(classes, "label")
    loss = lambda z: row_statistics(z, axis, make(y)).log_odds.sum()  # noqa: E731
    program = jax.jit(jax.grad(loss)).lower(z).as_text()
    assert f"@crossentropy_{kernel}" in program
    for platform in ("tpu", "cuda"):  # elsewhere XLA gets formulas
        program = jax.jit(jax.grad(loss)).trace(z).lower(lowering_platforms=(platform,)).as_text()
        assert "crossentropy" not in program.split("custom_call", 1)[-1]


@sampled({"dtype": ["float32", "bfloat16", "float16"], "classes": [10, 100, 300]})
def test_gradients_have_the_dtype_of_the_logits(dtype, classes):
    z, y, make, _, axis = drawn(classes, "label")
    z = jnp.astype(z, dtype)
    loss = lambda compute: lambda z: compute(z, axis, make(y)).log_odds.sum()  # noqa: E731
    got, expected = (jax.grad(loss(c))(z) for c in (row_statistics, formulas.statistics))
    assert got.dtype == z.dtype
    tolerance = {"float32": 1e-6, "bfloat16": 1e-2, "float16": 1e-3}[dtype]
    np.testing.assert_allclose(
        got.astype("float32"), expected.astype("float32"), rtol=tolerance, atol=tolerance * 1e-3
    )


@pytest.mark.parametrize("classes", [10, 300])
def test_a_row_that_makes_no_sense_is_nan_and_its_gradient_too_unless_it_counts_for_nothing(classes):
    z, y, make, _, axis = drawn(classes, "label")
    z, y = z.at[0, 1].set(jnp.nan).at[1, 1].set(jnp.inf), y.at[2].set(-1).at[3].set(classes)
    weights = jnp.ones(6)
    weighted = lambda z, w: jnp.sum(  # noqa: E731
        jnp.where(w == 0, 0, w * row_statistics(z, axis, make(y), validate=False).log_odds)
    )
    gradient = jax.jit(jax.grad(weighted))
    nan = np.isnan(gradient(z, weights))
    assert nan[:4].all()
    assert not nan[4:].any()
    assert (gradient(z, weights.at[:4].set(0))[:4] == 0).all()


def test_a_checkpoint_computes_a_loss_again():
    z, y, make, _, axis = drawn(300, "label")
    loss = lambda z: row_statistics(jnp.tanh(z), axis, make(y)).log_odds.sum()  # noqa: E731
    alike(jax.jit(jax.grad(jax.checkpoint(loss)))(z), jax.grad(loss)(z))
