"""The library of a loss's arrays is found once, not in each of its formulas."""

import array_api_compat
import numpy as np
import pytest

import crossentropy as ce
from crossentropy import _backends
from crossentropy.links import Focal

jax = pytest.importorskip("jax")
jnp = jax.numpy

ROWS, CLASSES = 6, 5
logits = jnp.linspace(-2, 2, ROWS * CLASSES).reshape(ROWS, CLASSES)
labels = np.arange(ROWS) % CLASSES
of_rows, of_classes = jnp.linspace(0.5, 1.5, ROWS), jnp.linspace(0.5, 1.5, CLASSES)
ALONE = {
    "label_smoothing": 0.1,
    "class_weight": of_classes,
    "sample_weight": of_rows,
    "ignore_index": 3,
    "temperature": of_rows,
    "softcap": 30.0,
    "logit_bias": of_classes,
    "margin": of_classes,
    "z_loss": 1e-4,
    "entropy_bonus": 0.01,
    "normalizer": of_rows,
    "link": Focal(2.0),
}
OPTIONS = [
    {},
    *({name: value} for name, value in ALONE.items()),
    {"smoothing_prior": of_classes / of_classes.sum(), **ALONE},
]


@pytest.fixture
def asked(monkeypatch):
    """The arrays of which array_api_compat is asked for the library, by a process that has seen none yet."""
    arrays = []

    def array_namespace(*xs):
        arrays.extend(xs)
        return resolve(*xs)

    resolve = array_api_compat.array_namespace
    monkeypatch.setattr(array_api_compat, "array_namespace", array_namespace)
    monkeypatch.setattr(_backends, "NAMESPACES", {})
    return arrays


def of_jax(arrays):
    return [x for x in arrays if isinstance(x, jax.Array)]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options) or "plain")
def test_a_trace_asks_once_which_library_its_arrays_are_of(asked, options):
    def loss(z, **traced):
        return ce.softmax_cross_entropy(z, labels, **{**options, **traced})

    arrays = {name: x for name, x in options.items() if isinstance(x, jax.Array)}
    jax.make_jaxpr(jax.value_and_grad(loss))(logits, **arrays)
    assert len(of_jax(asked)) == 1


def test_a_linear_head_asks_once_too(asked):
    def loss(hidden, weight):
        return ce.linear_cross_entropy(hidden, weight, labels, label_smoothing=0.1)

    jax.make_jaxpr(jax.value_and_grad(loss, argnums=(0, 1)))(logits, jnp.ones((7, CLASSES)))
    assert len(of_jax(asked)) == 1


def test_the_second_trace_asks_no_more(asked):
    for _ in range(2):
        jax.make_jaxpr(lambda z: ce.softmax_cross_entropy(z, labels))(logits)
    assert len(asked) == 1
