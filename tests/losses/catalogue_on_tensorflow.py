"""Every loss of the catalogue with TensorFlow's tensors: its value and its gradient against the formula.

`tests/keras/test_backends.py` runs this file, in a process of its own: Triton cannot be loaded after TensorFlow.
"""

from __future__ import annotations

import numpy as np
import pytest

import crossentropy as ce
from losses.catalogue.agreement import assert_agreement
from losses.catalogue.case import Case
from losses.catalogue.libraries import Library
from losses.catalogue.table import CASES
from sampling import full

# Losses that write into a state of their own have a `make`; they take arrays that can be written to.
FITTING = [case for case in CASES if "jax" in case.libraries and case.make is None]
FIRST = {case.loss: case.name for case in reversed(FITTING)}  # those that run by default


@pytest.fixture(scope="module")
def tf():
    return pytest.importorskip("tensorflow")


def tensor(tf, values):
    """A tensor of float64, or of integers or bools; anything else as it is."""
    if not isinstance(values, np.ndarray):
        return values
    return tf.constant(values.astype("float64") if values.dtype.kind == "f" else values)


@pytest.mark.parametrize(
    "case",
    [x for case in FITTING for x in ([case] if FIRST[case.loss] == case.name else full([case]))],
    ids=lambda case: case.name,
)
def test_value_and_gradient_are_those_of_the_formula_and_numpy_s_to_four_ulp(case: Case, tf):
    truth = case.losses()
    weights = np.linspace(0.5, 2.0, truth.size).reshape(truth.shape) if case.rows else None
    extra = {"reduction": "none"} if case.rows else {}
    rest = {name: tensor(tf, x) for name, x in {**case.parameters, **case.given}.items()} | extra
    at = [tensor(tf, x) for x in case.inputs.values()] + [rest[name] for name in case.parameters]
    with tf.GradientTape() as tape:
        tape.watch(at)
        named = dict(zip(case.parameters, at[len(case.inputs) :], strict=True))
        loss = case.function(ce.losses)(*at[: len(case.inputs)], **(rest | named))
        weighted = tf.reduce_sum(loss if weights is None else weights * loss)
    slopes = tape.gradient(weighted, at, unconnected_gradients="zero")
    assert isinstance(loss, tf.Tensor)
    np.testing.assert_allclose(loss.numpy(), truth, rtol=case.digits, atol=1e-13)
    for name, slope in zip([*case.inputs, *case.parameters], slopes, strict=True):
        if name in case.differentiable:
            expected = case.slopes(name, 1.0 if weights is None else weights)
            largest = max(1.0, np.abs(expected).max())
            np.testing.assert_allclose(slope.numpy(), expected, rtol=1e-8, atol=1e-9 * largest)
    other = Library("numpy")
    assert_agreement(loss.numpy(), other.value(case, **extra))
    others = other.slopes(case, weights, **extra)
    for name, slope in zip([*case.inputs, *case.parameters], slopes, strict=True):
        if name in case.differentiable:
            assert_agreement(slope.numpy(), others[name])
