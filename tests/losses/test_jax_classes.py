"""Losses of JAX arrays that act on every class, and divergences of logits: the kernels that XLA calls, their rules."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

import crossentropy as ce
from crossentropy import losses
from crossentropy.links import Focal
from frameworks import JAX
from losses.jax_class_cases import (
    CASES,
    INF,
    NAN,
    NOISE,
    OF_CLASSES,
    PRIOR,
    RNG,
    C,
    N,
    W,
    Y,
    Z,
    alike,
    arrays,
    each_case,
    focal,
    js,
    kl,
    link_loss,
    linked,
    log_p,
    truth,
    weighted,
)
from sampling import sampled

jax = pytest.importorskip("jax")
jnp = jax.numpy
WAYS = [False, True]


@pytest.fixture(autouse=True)
def _wide():
    with JAX().wide():
        yield


# ----------------------------------------------------------------------------------------- values and gradients


@sampled({"name": CASES, "compiled, dtype": product(WAYS, ["float64", "float32", "bfloat16", "float16"])})
def test_losses_and_gradients_are_those_of_the_definition(name, compiled, dtype):
    z, *others = arrays(name, dtype)
    run = jax.jit if compiled else lambda f: f
    rows = run(lambda z: CASES[name][0](z, *others, reduction="none"))(z)
    gradient = run(jax.grad(weighted(name, *others)))(z)
    expected, slope = truth(name, z, others)
    assert rows.dtype == ("float64" if dtype == "float64" else "float32")
    assert gradient.dtype == dtype
    exact = {"float64": 1e-12, "float32": 1e-5}.get(dtype, 1e-5)
    # Soft targets of half precision do not sum to 1, which the kernel of Brier's score tells.
    loose = {"bfloat16": 2e-2, "float16": 2e-3}.get(dtype, exact)
    alike(rows, expected, loose if name == "brier, soft" else exact)
    alike(gradient, slope, loose)


@pytest.mark.parametrize("name", [name for name in CASES if name != "AugMix"])  # which adds up two losses
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_every_bit_is_that_of_numpy(name, dtype):
    loss = CASES[name][0]
    z, *others = arrays(name, dtype)
    own = [np.asarray(x) for x in others]
    options = {} if "weights" not in name else {"validate": "none"}
    with_numpy = {
        "brier, weights of classes": lambda z, y, **more: losses.brier_loss(z, y, class_weight=W, **more)
    }
    with_numpy["focal, smoothed by a prior, weights of classes"] = link_loss(
        Focal(1.5), label_smoothing=0.1, smoothing_prior=PRIOR, class_weight=W
    )
    in_numpy = with_numpy.get(name, loss)
    rows = in_numpy(np.asarray(z), *own, reduction="none", **options)
    _, slope = ce.loss_and_gradient(lambda z: in_numpy(z, *own, reduction="sum", **options), np.asarray(z))
    np.testing.assert_array_equal(loss(z, *others, reduction="none"), rows)
    np.testing.assert_array_equal(jax.grad(weighted(name, *others))(z), slope)


@each_case
def test_the_classes_may_lie_along_any_axis(name):
    z, *others = arrays(name)
    upright = lambda x: x.reshape(2, 3, C).swapaxes(1, 2) if x.ndim == 2 else x.reshape(2, 3)  # noqa: E731
    loss = CASES[name][0]

    def grid(z):
        return jnp.sum(jnp.cos(loss(z, *map(upright, others), axis=1, reduction="none")))

    def plain(z):
        return jnp.sum(jnp.cos(loss(z, *others, reduction="none")))

    got, expected = (jax.jit(jax.value_and_grad(f))(x) for f, x in ((grid, upright(z)), (plain, z)))
    alike(got[0], expected[0])
    alike(got[1], upright(expected[1]))


# -------------------------------------------------------------------------------------- who computes, and rules


@each_case
def test_on_the_cpu_xla_calls_the_kernel_and_elsewhere_gets_formulas(name):
    z, *others = arrays(name)
    kernel = "class_pullback" if name in OF_CLASSES else "divergence"
    program = jax.jit(jax.grad(weighted(name, *others))).trace(z)
    assert f"@crossentropy_{kernel}" in program.lower().as_text()
    for platform in ("tpu", "cuda"):
        text = program.lower(lowering_platforms=(platform,)).as_text()
        assert "crossentropy" not in text.split("custom_call", 1)[-1]


def by_formulas(function, *arguments):
    """The results of a function as devices other than CPUs compute them, run on the CPU."""
    from crossentropy._engine.divergence import jax_rows
    from crossentropy._engine.softmax import jax_classes

    formulas = {
        jax_classes.LOSSES: jax_classes._losses,
        jax_classes.PULLBACK: jax_classes._pullback,
        jax_rows.WITH_SLOPES: jax_rows._with_slopes,
    }
    used = []

    def run(jaxpr, consts, *arguments):
        known = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *arguments), strict=True))
        read = lambda v: v.val if hasattr(v, "val") else known[v]  # noqa: E731
        for eqn in jaxpr.eqns:
            inputs = [read(v) for v in eqn.invars]
            if eqn.primitive in formulas:
                used.append(eqn.primitive)
                found = formulas[eqn.primitive](*inputs, problem=eqn.params["problem"])
            elif "jaxpr" in eqn.params and hasattr(eqn.params["jaxpr"], "consts"):
                found = run(eqn.params["jaxpr"].jaxpr, eqn.params["jaxpr"].consts, *inputs)
            else:
                found = eqn.primitive.bind(*inputs, **eqn.params)
            found = found if eqn.primitive.multiple_results else [found]
            known |= dict(zip(eqn.outvars, found, strict=True))
        return [read(v) for v in jaxpr.outvars]

    closed = jax.make_jaxpr(function)(*arguments)
    results = run(closed.jaxpr, closed.consts, *arguments)
    assert used
    return results


@each_case
def test_the_formulas_of_other_devices_have_the_values_of_the_definition(name):
    z, *others = arrays(name)
    value, slope = by_formulas(jax.value_and_grad(weighted(name, *others)), z)
    expected, gradient = truth(name, z, others)
    alike(value, jnp.sum(expected))
    alike(slope, gradient)


@each_case
def test_to_the_formulas_of_other_devices_senseless_rows_without_weight_are_nothing(name):
    z, *others = arrays(name)
    senseless = z.at[0, 1].set(NAN).at[1, 2].set(INF).at[2].set(-INF)
    weights = jnp.ones(N).at[:3].set(0.0)
    without = lambda z: jnp.sum(CASES[name][0](z, *others, sample_weight=weights, reduction="none"))  # noqa: E731
    value, slope = by_formulas(jax.value_and_grad(without), senseless)
    alike(value, without(z))
    np.testing.assert_array_equal(slope[:3], 0)
    alike(slope, jax.grad(without)(z))


@sampled({"name": CASES, "compiled": WAYS})
def test_forward_and_second_derivatives_are_those_of_the_definition(name, compiled):
    z, *others = arrays(name)
    run = jax.jit if compiled else lambda f: f
    dot, weights = jnp.asarray(np.cos(Z)), jnp.asarray(np.linspace(1, 2, N))
    ours = weighted(name, *others, weights=weights)
    definition = lambda z: jnp.sum(weights * CASES[name][1](z, *others))  # noqa: E731

    def everything(f):
        forward = jax.jvp(f, (z,), (dot,))
        over_reverse = jax.jvp(jax.grad(f), (z,), (dot,))
        over_forward = jax.jvp(lambda z: jax.jvp(f, (z,), (dot,))[1], (z,), (jnp.sin(z),))
        reverse_twice = jax.grad(lambda z: jnp.vdot(jax.grad(f)(z), dot))(z)
        return forward, over_reverse, over_forward, reverse_twice

    got, expected = run(lambda: everything(ours))(), jax.jit(lambda: everything(definition))()
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        alike(a, b, 1e-10)


@pytest.mark.parametrize("name", ["brier", "focal, soft", "distillation", "consistency"])
def test_a_hessian_is_that_of_the_definition(name):
    z, *others = (x[:2] for x in arrays(name))
    total = lambda f: lambda z: jnp.sum(f(z, *others))  # noqa: E731
    ours = total(lambda *a: CASES[name][0](*a, reduction="none"))
    alike(jax.jit(jax.hessian(ours))(z), jax.jit(jax.hessian(total(CASES[name][1])))(z), 1e-10)


@each_case
def test_a_batch_is_more_rows(name):
    z, *others = arrays(name)
    one = lambda z, *others: CASES[name][0](z, *others)  # noqa: E731
    mapped = jax.jit(jax.vmap(jax.value_and_grad(one)))
    assert "while" not in mapped.lower(z, *others).as_text()
    values, slopes = mapped(z, *others)
    rows = CASES[name][0](z, *others, reduction="none")
    if "weights" in name:  # of which the mean of one row is without
        rows = rows / W[Y]
        slopes = slopes * W[Y][:, None]
    alike(values, rows)
    alike(slopes, jax.grad(weighted(name, *others))(z))


def test_a_batch_of_class_weights_is_one_of_problems():
    z, y = arrays("brier")
    weights = jnp.stack([jnp.asarray(W), jnp.asarray(W[::-1])])
    one = lambda w: losses.brier_loss(z, y, class_weight=w, reduction="none")  # noqa: E731
    alike(jax.vmap(one)(weights), jnp.stack([one(w) for w in weights]))


def test_soft_targets_and_smoothing_priors_have_gradients():
    z, t = arrays("focal, soft")
    loss = lambda t, r: ce.softmax_cross_entropy(  # noqa: E731
        z,
        ce.targets.Probabilities(t, normalized=False),
        link=Focal(2.0),
        label_smoothing=0.1,
        smoothing_prior=r,
        reduction="sum",
    )
    definition = lambda t, r: jnp.sum(linked(focal(2.0), z, 0.9 * t + 0.1 * r))  # noqa: E731
    point = t, jnp.asarray(PRIOR)
    for got, expected in zip(
        jax.grad(loss, (0, 1))(*point), jax.grad(definition, (0, 1))(*point), strict=True
    ):
        alike(got, expected)


def test_a_transition_of_known_values_is_inverted_before_the_program_runs():
    z, y = arrays("backward correction")
    for transition in (NOISE, jnp.asarray(NOISE)):
        program = jax.jit(lambda z, T=transition: losses.backward_corrected_loss(z, y, T)).lower(z).as_text()
        assert "lapack" not in program
    assert "lapack" in jax.jit(losses.backward_corrected_loss).lower(z, y, NOISE).as_text()


def test_a_transition_that_is_traced_has_its_gradient():
    z, y = arrays("backward correction")
    loss = lambda T: losses.backward_corrected_loss(z, y, T, reduction="sum")  # noqa: E731
    definition = lambda T: -jnp.sum(jnp.linalg.inv(T)[y] * log_p(z))  # noqa: E731
    # Rows that sum to one have no other neighbors.
    along = jnp.asarray(RNG.normal(size=(C, C)))
    along = along - jnp.mean(along, axis=1, keepdims=True)
    got, expected = (jax.jit(jax.grad(f))(jnp.asarray(NOISE)) for f in (loss, definition))
    alike(jnp.vdot(got, along), jnp.vdot(expected, along))


@pytest.mark.parametrize(
    "name", ["brier", "hinge", "cross-entropy, soft", "backward correction", "bi-tempered"]
)
def test_two_calls_state_one_problem_which_is_compiled_once(name):
    from crossentropy._engine.softmax import jax_classes

    z, *others = arrays(name)
    jaxprs = [jax.make_jaxpr(lambda z: CASES[name][0](z, *others))(z) for _ in range(2)]
    of_losses = [[e for e in x.eqns if e.primitive is jax_classes.LOSSES] for x in jaxprs]
    first, second = (eqns[0].params["problem"] for eqns in of_losses)
    assert first == second
    assert hash(first) == hash(second)


def test_other_views_have_gradients_and_a_teacher_has_none():
    z, a, b = arrays("consistency")
    every = tuple(range(3))
    got = jax.jit(jax.grad(lambda *v: losses.jsd_consistency(*v, reduction="sum"), every))(z, a, b)
    expected = jax.grad(lambda *v: jnp.sum(js(*v)), every)(z, a, b)
    for one, other in zip(got, expected, strict=True):
        alike(one, other)
    assert not jax.grad(lambda t: losses.distillation_loss(z, t))(a).any()


def test_a_temperature_that_is_traced_has_its_gradient():
    z, t = arrays("distillation")
    loss = lambda T: losses.distillation_loss(z, t, temperature=T, reduction="sum")  # noqa: E731
    definition = lambda T: jnp.sum(T**2 * kl(log_p(t / T), log_p(z / T)))  # noqa: E731
    alike(jax.jit(jax.grad(loss))(3.0), jax.grad(definition)(3.0))


# --------------------------------------------------------------------------------------- rows that make no sense


@each_case
def test_senseless_rows_are_those_of_numpy_and_count_for_nothing_without_weight(name):
    z, *others = arrays(name)
    z = z.at[0, 1].set(NAN).at[1, 2].set(INF).at[2].set(-INF)
    loss, weights = CASES[name][0], jnp.ones(N)
    rows = jax.jit(lambda w: loss(z, *others, sample_weight=w, reduction="none"))
    total = lambda z, w: jnp.sum(loss(z, *others, sample_weight=w, reduction="none"))  # noqa: E731
    gradient = jax.jit(jax.grad(total))
    np.testing.assert_array_equal(np.isnan(rows(weights)), [True] * 3 + [False] * 3)
    np.testing.assert_array_equal(np.isnan(gradient(z, weights)).all(axis=-1), [True] * 3 + [False] * 3)
    without = weights.at[:3].set(0.0)
    np.testing.assert_array_equal(rows(without)[:3], 0)
    np.testing.assert_array_equal(gradient(z, without)[:3], 0)
    alike(gradient(z, without)[3:], gradient(jnp.asarray(Z), weights)[3:])


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name][2][-1] is Y])
def test_ignored_rows_have_neither_loss_nor_gradient_and_other_labels_are_nan(name):
    z, *others = arrays(name)
    z = z.at[0, 1].set(NAN)
    others[-1] = others[-1].at[0].set(-1).at[1].set(C).at[2].set(-2)
    rows = lambda z: CASES[name][0](z, *others, ignore_index=-1, validate="none", reduction="none")  # noqa: E731
    expected = [0.0, NAN, NAN]
    np.testing.assert_array_equal(jax.jit(rows)(z)[:3], expected)
    gradient = jax.jit(jax.grad(lambda z: jnp.sum(rows(z))))(z)
    np.testing.assert_array_equal(gradient[0], 0)
    assert np.isnan(gradient[1:3]).any(axis=-1).all()
    with pytest.raises(ValueError, match=f"label {C} at row 1 is outside"):
        CASES[name][0](z, *others, ignore_index=-1)


@each_case
def test_impossible_classes_are_those_of_numpy(name):
    z, *others = arrays(name)
    z = z.at[3:, 2].set(-INF)
    others = [x.at[3:].set(1) if x.ndim == 1 else x for x in others]
    if "soft" in name:
        others[0] = others[0].at[:, 2].set(0.0) / (1 - others[0][:, 2:3])
    if name.startswith("distill"):
        others[0] = others[0].at[3:, 2].set(-INF)
    loss, own = CASES[name][0], [np.asarray(x) for x in others]
    plain = lambda z: loss(z, *own, reduction="sum")  # noqa: E731
    if "weights" not in name:
        value, slope = ce.loss_and_gradient(plain, np.asarray(z))
        alike(jax.jit(weighted(name, *others))(z), value)
        alike(jax.jit(jax.grad(weighted(name, *others)))(z), slope)
    assert np.isfinite(jax.grad(weighted(name, *others))(z)).all()


@each_case
def test_no_rows_have_no_loss(name):
    z, *others = (x[:0] for x in arrays(name))
    value, gradient = jax.jit(jax.value_and_grad(lambda z: CASES[name][0](z, *others)))(z)
    assert value == 0
    assert gradient.shape == (0, C)
    assert CASES[name][0](z, *others, reduction="none").shape == (0,)


def test_a_checkpoint_computes_a_loss_again():
    for name in ("brier", "distillation"):
        z, *others = arrays(name)
        loss = weighted(name, *others)
        moved = lambda z, loss=loss: loss(jnp.tanh(z))  # noqa: E731
        alike(jax.jit(jax.grad(jax.checkpoint(moved)))(z), jax.grad(moved)(z))
