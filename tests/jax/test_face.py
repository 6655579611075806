"""`crossentropy.jax`: optax's conventions, our keywords, and what optax is silently wrong about."""

from __future__ import annotations

import inspect
import math
import re

import numpy as np
import pytest

import crossentropy as ce
from sampling import sampled

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")
jnp = jax.numpy
face = ce.jax

OURS_ALONE = {"linear_cross_entropy"}
INF = float("inf")


def batch(shape=(4, 5), seed=0):
    rng = np.random.default_rng(seed)
    z = jnp.asarray(rng.normal(size=shape) * 3, dtype=jnp.float32)
    t = jnp.asarray(rng.dirichlet(np.ones(shape[-1]), size=shape[:-1]), dtype=jnp.float32)
    y = jnp.asarray(rng.integers(0, shape[-1], size=shape[:-1]))
    return z, t, y


def alike(got, expected, tolerance=2e-5):
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


def test_an_axis_may_be_an_integer_of_numpy():
    z, t, y = batch()
    axis = np.int64(-1)
    alike(face.softmax_cross_entropy(z, t, axis), face.softmax_cross_entropy(z, t))
    alike(
        face.softmax_cross_entropy_with_integer_labels(z, y, (axis,)),
        face.softmax_cross_entropy(z, jax.nn.one_hot(y, 5)),
    )
    alike(face.kl_divergence(z, t, axis), face.kl_divergence(z, t))


@pytest.mark.parametrize(
    "name", ["kl_divergence", "kl_divergence_with_log_targets", "generalized_kl_divergence"]
)
def test_a_mask_that_does_not_broadcast_to_the_terms_is_refused(name):
    z, t, _ = batch()
    for wider in jnp.ones((2, 4, 5), bool), jnp.ones(4, bool):
        with pytest.raises(ValueError, match=r"where has shape .*, which does not broadcast to \(4, 5\)"):
            getattr(face, name)(z, t, where=wider)


@pytest.mark.parametrize("name", sorted(set(face.__all__) - OURS_ALONE))
def test_every_function_of_optax_is_called_as_there(name):
    ours, theirs = (inspect.signature(getattr(module, name)).parameters for module in (face, optax.losses))
    for parameter, known in theirs.items():
        assert ours[parameter].default == known.default, parameter
        assert ours[parameter].kind == known.kind, parameter
    positional = [p.name for p in ours.values() if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    assert positional == [
        p.name for p in theirs.values() if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    ]


SOFT = ["softmax_cross_entropy", "poly_loss_cross_entropy", "kl_divergence", "generalized_kl_divergence"]


@sampled({"name": SOFT, "axis": [-1, 1, (0, 2), (2, 1), None], "masked": [False, True]})
def test_losses_of_soft_labels_are_optax_s_over_any_axes(name, axis, masked):
    z, t, _ = batch((2, 3, 4))
    where = jnp.asarray(np.random.default_rng(1).random(z.shape) < 0.7) if masked else None
    ours, theirs = (getattr(module, name) for module in (face, optax.losses))
    # Where a class is left out optax multiplies 0 by −∞; a mask of its own keeps that out of the comparison.
    expected = theirs(z, t, axis=axis, where=where)
    alike(ours(z, t, axis=axis, where=where), expected)


@pytest.mark.parametrize("axis", [-1, 0, (0, 2), (2, 1)], ids=str)
def test_a_label_of_several_axes_is_a_flat_index(axis):
    z, _, _ = batch((2, 3, 4))
    axes = (axis,) if isinstance(axis, int) else axis
    classes = math.prod(z.shape[a] for a in axes)
    rows = tuple(n for i, n in enumerate(z.shape) if i not in {a % 3 for a in axes})
    y = jnp.asarray(np.random.default_rng(2).integers(0, classes, rows))
    alike(
        face.softmax_cross_entropy_with_integer_labels(z, y, axis),
        optax.losses.softmax_cross_entropy_with_integer_labels(z, y, axis),
    )


@sampled({"labels": ["hard", "soft"], "alpha": [None, 0.0, 0.25, 1.0], "gamma": [0.0, 0.5, 2.0]})
def test_focal_losses_are_optax_s_in_value_and_gradient(labels, alpha, gamma):
    z, t, _ = batch()
    t = jnp.round(t) if labels == "hard" else t
    total = lambda module: lambda z: module.sigmoid_focal_loss(z, t, alpha=alpha, gamma=gamma).sum()  # noqa: E731
    for ours, theirs in zip(
        *(jax.value_and_grad(total(module))(z) for module in (face, optax.losses)), strict=True
    ):
        alike(ours, theirs)
    if labels == "hard":
        whole = face.sigmoid_focal_loss(z, t.astype(int), alpha=alpha, gamma=gamma)
        alike(whole, face.sigmoid_focal_loss(z, t, alpha=alpha, gamma=gamma))


@pytest.mark.parametrize("shape", [(1,), (3,), (4, 1), (4, 3)], ids=str)
def test_settings_of_a_focal_loss_may_be_arrays_as_in_optax_for_labels_of_any_dtype(shape):
    z, t = jnp.linspace(-2, 2, 12).reshape(4, 3), jnp.arange(12).reshape(4, 3) % 2
    gamma = jnp.linspace(0.5, 2, math.prod(shape)).reshape(shape)
    expected = optax.losses.sigmoid_focal_loss(z, t.astype(float), alpha=gamma / 4, gamma=gamma)
    for labels in (t, t.astype(float)):
        alike(face.sigmoid_focal_loss(z, labels, alpha=gamma / 4, gamma=gamma), expected)


@pytest.mark.parametrize("compile", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_an_array_that_is_no_setting_is_refused_by_its_name_and_shape(compile):
    z, t = jnp.zeros((4, 3)), jnp.ones((4, 3))
    two = jnp.ones(2)
    for call, message in (
        (
            lambda x: face.sigmoid_focal_loss(z, t, gamma=x),
            "gamma has shape (2,) but logits have shape (4, 3)",
        ),
        (
            lambda x: face.sigmoid_focal_loss(z, t, alpha=x),
            "alpha has shape (2,) but logits have shape (4, 3)",
        ),
        (lambda x: face.smooth_labels(t, x), "alpha has shape (2,) but labels have shape (4, 3)"),
        (lambda x: face.poly_loss_cross_entropy(z, t, epsilon=x), "epsilon is a jax"),
    ):
        with pytest.raises((TypeError, ValueError), match=rf"^{re.escape(message)}.*; pass one number"):
            compile(call)(two)


def test_ctc_losses_are_those_of_pytorch_in_value_and_gradient():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(4, 9, 6)).astype("float32"), rng.integers(1, 6, (4, 4))
    y[1, :2] = 3  # a repetition, which needs a blank between
    steps, sizes = np.array([9, 7, 5, 6]), np.array([4, 2, 0, 3])
    paddings = (np.arange(9) >= steps[:, None]), (np.arange(4) >= sizes[:, None])

    def total(z):
        losses = face.ctc_loss(z, paddings[0] * 1.0, jnp.asarray(y), paddings[1] * 1.0)
        return losses.sum(), losses

    (_, losses), gradient = jax.value_and_grad(total, has_aux=True)(jnp.asarray(z))
    z = torch.from_numpy(z).double().requires_grad_()
    log_p, lengths = z.log_softmax(-1).transpose(0, 1), (torch.from_numpy(steps), torch.from_numpy(sizes))
    expected = torch.nn.functional.ctc_loss(log_p, torch.from_numpy(y), *lengths, reduction="none")
    expected.sum().backward()
    alike(losses, expected.detach())
    alike(gradient, z.grad)


def test_a_label_outside_the_classes_of_a_ctc_loss_makes_its_sequence_nan():
    z, paddings = jnp.zeros((3, 4, 3)), jnp.zeros((3, 2))
    losses = face.ctc_loss(z, jnp.zeros((3, 4)), jnp.asarray([[1, 2], [1, 3], [-1, 1]]), paddings)
    np.testing.assert_array_equal(np.isnan(losses), [False, True, True])


# ------------------------------------------------------------------------------- what optax is silently wrong about


@pytest.mark.parametrize("classes", [5, 300])
def test_a_label_outside_the_classes_is_nan_and_never_another_class(classes):
    z, _, _ = batch((4, classes))
    y = jnp.asarray([-1, classes, 0, -classes])
    rows = lambda z: face.softmax_cross_entropy_with_integer_labels(z, y)  # noqa: E731
    np.testing.assert_array_equal(np.isnan(jax.jit(rows)(z)), [True, True, False, True])
    gradient = jax.jit(jax.grad(lambda z: rows(z).sum()))(z)
    np.testing.assert_array_equal(np.isnan(gradient).all(axis=-1), [True, True, False, True])
    assert not np.isnan(gradient[2]).any()
    with pytest.raises(ValueError, match="label"):
        rows(z)


def test_labels_are_not_broadcast():
    z, t, y = batch()
    with pytest.raises(ValueError, match="nothing is broadcast"):
        face.softmax_cross_entropy(z, t[0])
    with pytest.raises(ValueError, match="softmax_cross_entropy_with_integer_labels"):
        face.softmax_cross_entropy(z, jnp.arange(5))
    with pytest.raises(ValueError, match="shape"):
        face.softmax_cross_entropy_with_integer_labels(z, y[:1])
    with pytest.raises(ValueError, match="shape"):
        face.sigmoid_binary_cross_entropy(z[:, :1], t[:, 0])
    with pytest.raises(ValueError, match="nothing is broadcast"):
        face.kl_divergence(z, t[0])


def test_kinds_of_labels_are_told_apart():
    z, t, _ = batch()
    with pytest.raises(TypeError, match="pass integers"):
        face.softmax_cross_entropy_with_integer_labels(z, t[:, 0])
    with pytest.raises(TypeError, match="logits have dtype int32"):
        face.softmax_cross_entropy(jnp.ones((2, 3), int), t)
    with pytest.raises(TypeError, match="labels have dtype int32"):
        face.poly_loss_cross_entropy(z, jnp.ones((4, 5), int))
    one_hot = jnp.eye(5, dtype=int)[:4]
    alike(face.softmax_cross_entropy(z, one_hot), optax.losses.softmax_cross_entropy(z, one_hot))


def test_far_from_zero_a_loss_keeps_its_digits():
    near, far = jnp.asarray([[0.0, 2.0]]), jnp.asarray([[1e6, 1e6 + 2]])
    y = jnp.asarray([0])
    losses = [face.softmax_cross_entropy_with_integer_labels(z, y) for z in (near, far)]
    np.testing.assert_array_equal(*losses)
    confident = face.softmax_cross_entropy_with_integer_labels(jnp.asarray([[40.0, 0.0]]), y)
    np.testing.assert_allclose(confident, np.exp(-40.0), rtol=1e-6)


def test_impossible_classes_without_mass_have_values_and_gradients():
    log_q, t = jnp.asarray([-INF, -0.5, -1.0]), jnp.asarray([0.0, 0.5, 0.5])
    assert np.isfinite(jax.grad(face.kl_divergence, argnums=1)(log_q, t)).all()
    log_t = jnp.log(t)
    alike(face.kl_divergence_with_log_targets(log_q, log_t), face.kl_divergence(log_q, t))
    assert np.isfinite(jax.grad(face.kl_divergence_with_log_targets, argnums=1)(log_q, log_t)).all()
    z = jnp.asarray([[-INF, 0.0, 1.0]])
    value, gradient = jax.value_and_grad(lambda z: face.softmax_cross_entropy(z, t[None]).sum())(z)
    alike(value, np.log1p(np.e) - 0.5)
    alike(gradient, [[0.0, 1 / (1 + np.e) - 0.5, 0.5 - 1 / (1 + np.e)]])


def test_smoothing_gives_nothing_to_classes_that_are_left_out():
    labels, where = jnp.asarray([[1.0, 0.0, 0.0, 0.0]]), jnp.asarray([[True, True, False, False]])
    alike(face.smooth_labels(labels, 0.2, where=where), [[0.9, 0.1, 0.0, 0.0]])
    alike(face.smooth_labels(labels, 0.2), optax.losses.smooth_labels(labels, 0.2))


def test_a_batch_without_pairs_costs_nothing():
    z, _, _ = batch()
    assert float(face.ntxent(z, jnp.arange(4))) == 0
    alike(jax.grad(face.ntxent)(z, jnp.arange(4)), np.zeros(z.shape))


# ------------------------------------------------------------------------------------------------------------ masks


@pytest.mark.parametrize("classes", [5, 300])
def test_an_example_left_out_counts_nothing_whatever_its_logits(classes):
    z, t, y = batch((4, classes))
    z, where, kept = z.at[1].set(jnp.nan), jnp.asarray([True, False, True, True]), np.asarray([0, 2, 3])
    for loss, labels in (
        (face.softmax_cross_entropy, t),
        (face.softmax_cross_entropy_with_integer_labels, y),
    ):
        total = lambda z, loss=loss, labels=labels: loss(z, labels, where=where).sum()  # noqa: E731
        value, gradient = jax.jit(jax.value_and_grad(total))(z)
        expected, slope = jax.value_and_grad(lambda z, f=loss, t=labels: f(z, t[kept]).sum())(z[kept])
        alike(value, expected)
        alike(gradient[kept], slope)
        np.testing.assert_array_equal(gradient[1], 0)


def test_a_class_left_out_is_no_class():
    z, _, _ = batch()
    where, y = jnp.ones(z.shape, bool).at[:, 3].set(False).at[2].set(False), jnp.asarray([0, 3, 1, 4])
    losses = face.softmax_cross_entropy_with_integer_labels(z, y, where=where)
    without = z[:, jnp.asarray([0, 1, 2, 4])]
    alike(losses[0], face.softmax_cross_entropy_with_integer_labels(without[0], jnp.asarray(0)))
    assert losses[1] == INF
    assert losses[2] == 0


def test_masks_that_do_not_fit_are_refused():
    z, t, y = batch()
    with pytest.raises(ValueError, match=r"where has shape \(5,\)"):
        face.softmax_cross_entropy(z, t, where=jnp.ones(5, bool))
    with pytest.raises(ValueError, match="does not broadcast"):
        face.softmax_cross_entropy(z, t, where=jnp.ones((4, 3), bool))
    with pytest.raises(ValueError, match="smooth_labels"):
        face.softmax_cross_entropy_with_integer_labels(z, y, where=z < 0, label_smoothing=0.1)


# ------------------------------------------------------------------------------------------------------ our keywords


def test_our_keywords_are_those_of_our_loss():
    z, t, y = batch()
    options = {
        "label_smoothing": 0.1,
        "temperature": 2.0,
        "class_weight": jnp.arange(1.0, 6.0),
        "z_loss": 0.01,
    }
    expected = ce.softmax_cross_entropy(z, y, reduction="none", **options)
    alike(face.softmax_cross_entropy_with_integer_labels(z, y, **options), expected, 1e-6)
    ours = face.softmax_cross_entropy_with_integer_labels(z, y, where=y > 0, sample_weight=jnp.full(4, 2.0))
    alike(ours, jnp.where(y > 0, 2 * optax.losses.softmax_cross_entropy_with_integer_labels(z, y), 0))
    with pytest.raises(TypeError, match="no argument smoothing"):
        face.softmax_cross_entropy(z, t, smoothing=0.1)


def test_a_linear_head_is_its_logits_loss():
    _, _, y = batch((6, 5))
    hidden, weight = batch((6, 3), 1)[0], batch((5, 3), 2)[0]
    head = lambda w: face.linear_cross_entropy(hidden, w, y, label_smoothing=0.1, memory_budget=100)  # noqa: E731
    logits = lambda w: face.softmax_cross_entropy_with_integer_labels(hidden @ w.T, y, label_smoothing=0.1)  # noqa: E731
    alike(head(weight), logits(weight))
    alike(jax.grad(lambda w: head(w).sum())(weight), jax.grad(lambda w: logits(w).sum())(weight))


def test_losses_go_through_every_transform():
    z, _, y = batch()
    mean = lambda z: face.softmax_cross_entropy_with_integer_labels(z, y).mean()  # noqa: E731
    p = jax.nn.softmax(z)
    hessian = jax.jit(jax.hessian(mean))(z)
    for i in range(4):
        alike(hessian[i, :, i], (jnp.diag(p[i]) - jnp.outer(p[i], p[i])) / 4)
    gradient = jax.grad(mean)(z)
    alike(jax.jvp(mean, (z,), (z,))[1], jnp.vdot(gradient, z))
    each = jax.vmap(jax.grad(lambda z, y: face.softmax_cross_entropy_with_integer_labels(z, y)))
    alike(each(z, y) / 4, gradient)
    alike(jax.grad(jax.checkpoint(mean))(z), gradient)
