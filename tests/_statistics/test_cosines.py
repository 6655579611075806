"""Cosines of float64 features: their digits, those of their gradients, and derivatives of other kinds."""

from __future__ import annotations

import numpy as np
import pytest

import cosines_truth as truth
import crossentropy as ce
from crossentropy._statistics.cosines.rows import cosines, serves
from losses.catalogue.libraries import Library
from ulps import errors, unit

each_library = pytest.mark.parametrize("library", ["numpy", "torch", "jax"])


def value(library, x, y):
    lib = Library(library)
    with lib():
        assert serves(lib.array(x), lib.array(y))
        return lib.numpy(cosines(lib.array(x), lib.array(y)))


def gradients(library, x, y, g):
    """Those of Σ g · cosines by both."""
    lib = Library(library)
    with lib():
        at, g = [lib.array(x), lib.array(y)], lib.array(g)
        if library == "numpy":
            return [
                ce.loss_and_gradient(lambda x: (g * cosines(x, at[1])).sum(), at[0])[1],
                ce.loss_and_gradient(lambda y: (g * cosines(at[0], y)).sum(), at[1])[1],
            ]
        if library == "torch":
            at = [x.requires_grad_() for x in at]
            return [lib.numpy(s) for s in lib.xp.autograd.grad((g * cosines(*at)).sum(), at)]
        jax = pytest.importorskip("jax")
        slopes = jax.jit(jax.grad(lambda x, y: (g * cosines(x, y)).sum(), argnums=(0, 1)))
        return [lib.numpy(s) for s in slopes(*at)]


def plain(xp, x, y):
    """The cosines as anyone writes them."""
    return (x / xp.sqrt((x * x).sum(-1))[:, None]) @ (y / xp.sqrt((y * y).sum(-1))[:, None]).T


@each_library
def test_a_cosine_is_the_nearest_number_or_its_neighbor(library):
    expected = truth.cosines(truth.X, truth.Y)
    found = value(library, truth.X, truth.Y)
    off = np.abs(errors(found, expected.ravel())).reshape(found.shape)
    assert np.max(off / unit(found, "float64")) <= 1


@each_library
def test_a_gradient_that_is_a_thousandth_of_its_terms_has_its_digits(library):
    by_x, by_y = gradients(library, truth.X, truth.Y, truth.G)
    for found, expected in (
        (by_x, truth.gradient(truth.X, truth.Y, truth.G)),
        (by_y, truth.gradient(truth.Y, truth.X, truth.G.T)),
    ):
        off = np.abs(errors(found, expected.ravel())).reshape(found.shape)
        for row, size in zip(off, np.abs(expected).max(axis=-1), strict=True):
            assert row.max() <= 4 * unit(float(size), "float64")


@each_library
def test_a_zero_vector_has_cosines_of_0_and_the_gradient_of_a_norm_of_1(library):
    x = np.concatenate([np.zeros((1, 5)), truth.X[1:]])
    assert (value(library, x, truth.Y)[0] == 0).all()
    by_x, by_y = gradients(library, x, truth.Y, truth.G)
    units = truth.Y / np.linalg.norm(truth.Y, axis=-1, keepdims=True)
    np.testing.assert_allclose(by_x[0], truth.G[0] @ units, rtol=1e-13)
    assert np.isfinite(by_y).all()


def test_in_pytorch_derivatives_of_the_second_order_and_forwards_are_right():
    torch = pytest.importorskip("torch")
    x, y = (torch.from_numpy(a.copy()).requires_grad_() for a in (truth.X, truth.Y[2:]))
    assert torch.autograd.gradcheck(cosines, (x, y), check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(cosines, (x, y))


def test_in_pytorch_a_batch_is_mapped():
    torch = pytest.importorskip("torch")
    x, y = torch.from_numpy(truth.X), torch.from_numpy(truth.Y)
    several = torch.stack([x, 2 * x, x + 1])
    found = torch.func.vmap(torch.func.grad(lambda x: cosines(x, y)[0].sum()))(several)
    each = [torch.func.grad(lambda x: cosines(x, y)[0].sum())(x) for x in several]
    torch.testing.assert_close(found, torch.stack(each), rtol=1e-12, atol=1e-14)


def test_in_jax_derivatives_of_every_kind_are_those_of_the_plain_formula():
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        x, y = jax.numpy.asarray(truth.X), jax.numpy.asarray(truth.Y[2:])

        def ours(x, y):
            return (cosines(x, y) ** 3).sum()

        def theirs(x, y):
            return (plain(jax.numpy, x, y) ** 3).sum()

        def forwards(f):
            return jax.jvp(f, (x, y), (y[:1] + 0 * x, 2 * y))[1]

        def mapped(f):
            return jax.vmap(jax.grad(f, argnums=(0, 1)), in_axes=(0, None))(jax.numpy.stack([x, x + 1]), y)

        for kind in (
            forwards,
            mapped,
            lambda f: jax.hessian(f, argnums=(0, 1))(x, y),
            lambda f: jax.jacrev(jax.jacrev(f))(x, y),
        ):
            found, expected = (jax.tree.leaves(jax.jit(kind, static_argnums=0)(f)) for f in (ours, theirs))
            for a, b in zip(found, expected, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


def test_other_precisions_and_no_rows_are_not_served():
    x = truth.X
    assert not serves(x.astype(np.float32), x)
    assert not serves(x[:0], x)
