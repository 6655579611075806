"""Matrices of label noise: checked, and inverted once for as long as they keep their values."""

import sys
import weakref
from typing import Any, NamedTuple

import numpy

from crossentropy._arguments.unit_sums import rounding_tolerance
from crossentropy._backends import (
    Array,
    device,
    is_jax,
    is_torch,
    loss_dtype,
    namespace,
    widest_dtype,
)
from crossentropy._backends.conditions import is_true
from crossentropy._backends.dtypes import sum_tolerance
from crossentropy._backends.modes import is_eager_mode, is_jax_tracer, only_differentiates
from crossentropy._engine.weights import like
from crossentropy._statistics import formulas


def checked_transition(transition: Any, logits: Array, classes: int) -> Array:
    """``T`` in float64 where there is one, checked."""
    T = like(transition, logits, "transition")
    if tuple(T.shape) != (classes, classes):
        raise ValueError(
            f"transition has shape {tuple(T.shape)}; pass the probability of every label for every class, "
            f"shape ({classes}, {classes})"
        )
    given, tolerance = T, sum_tolerance(T)
    T = formulas.widened(T)
    xp = namespace(T)
    if is_true(~xp.all(T >= 0)):
        raise ValueError(f"transition goes down to {float(xp.min(T)):g}; its entries are probabilities")
    off = xp.max(xp.abs(xp.sum(T, axis=1) - 1), axis=0)
    if is_true(~(off <= tolerance)):
        tolerance = rounding_tolerance(given, classes)
        if is_true(~(off <= tolerance)):
            columns = is_true(xp.all(xp.abs(xp.sum(T, axis=0) - 1) <= tolerance))
            raise ValueError(
                "the rows of transition do not sum to 1; T[i, j] is the probability that the class i is labeled j"
                + (". Its columns do: pass transition.T" if columns else "")
            )
    return T


def inverted(T: Array) -> Array:
    """``T⁻¹``, where there is one to speak of."""
    xp = namespace(T)
    try:
        inverse = xp.linalg.inv(T)
        size = xp.max(xp.sum(xp.abs(T), axis=1)) * xp.max(xp.sum(xp.abs(inverse), axis=1))
        singular = is_true(~(size * xp.finfo(T.dtype).eps < 0.1), wait=True)
    except (ValueError, RuntimeError) as error:  # NumPy's LinAlgError is the one, PyTorch's the other
        if "LinAlg" not in type(error).__name__:
            raise
        singular = True
    if singular:
        raise ValueError(
            "transition has no inverse: the noise makes some classes alike, so that no correction can tell them apart; "
            "forward_corrected_loss needs no inverse"
        )
    return inverse


class Inverse(NamedTuple):
    """``T⁻¹`` in float64 where there is one, and as `masses` in the dtype of losses."""

    exact: Array
    masses: Array


class Inverted(NamedTuple):
    """A matrix that was inverted, as it was then, and its inverse."""

    matrix: weakref.ref[Any]
    values: Any
    inverse: Inverse


#: By the identity of the matrix, the dtype of losses, the widest there is, and the device of its inverse. An entry goes
#: with its matrix.
SEEN: dict[tuple[int, str, str, str], Inverted] = {}


def inverse_transition(transition: Any, logits: Array, classes: int) -> Inverse:
    """``T⁻¹`` of a checked ``T``: kept while the caller's array lives unchanged.

    JAX has that of a matrix whose values are known before it compiles a program, which does not invert in every step.
    """
    if not _can_be_kept(transition, logits):
        return _inverse(transition, logits, classes)
    if is_jax(logits):
        import jax

        with jax.ensure_compile_time_eval():
            return _kept(transition, logits, classes)
    return _kept(transition, logits, classes)


def _kept(transition: Any, logits: Array, classes: int) -> Inverse:
    key = id(transition), str(loss_dtype(logits)), str(widest_dtype(logits)), str(device(logits))
    seen = SEEN.get(key)
    if (
        seen is not None
        and seen.matrix() is transition
        and seen.values.shape[0] == classes
        and _are_equal(seen.values, transition)
    ):
        return seen.inverse
    # Copied first: what another thread changes meanwhile is then not taken for what was inverted.
    values = transition.clone() if is_torch(transition) else transition.copy()
    inverse = _inverse(values, logits, classes)
    if is_torch(logits):
        from crossentropy._statistics.torch.functional import constant

        values, inverse = constant(values), Inverse(*map(constant, inverse))
    SEEN[key] = Inverted(weakref.ref(transition, lambda _: SEEN.pop(key, None)), values, inverse)
    return inverse


def _inverse(transition: Any, logits: Array, classes: int) -> Inverse:
    exact = inverted(checked_transition(transition, logits, classes))
    if is_torch(exact):
        exact = exact.contiguous()  # LAPACK's columns are what is contiguous
    return Inverse(exact, namespace(exact).astype(exact, loss_dtype(logits), copy=False))


def _can_be_kept(transition: Any, logits: Array) -> bool:
    """Whether the values of a matrix can be read now and compared later, and nothing differentiates by it."""
    if is_torch(logits):
        torch = sys.modules["torch"]
        if not (is_eager_mode() or only_differentiates()) or torch.is_inference_mode_enabled():
            return False
        if type(transition) is torch.Tensor:
            wrapped = torch._C._functorch.is_functorch_wrapped_tensor(transition)
            return not (transition.requires_grad or wrapped)
    elif is_jax(logits):
        return type(transition) is numpy.ndarray or (is_jax(transition) and not is_jax_tracer(transition))
    return type(logits) is type(transition) is numpy.ndarray


def _are_equal(a: Any, b: Any) -> bool:
    """Whether two arrays of one library are equal in every entry; on a GPU this waits."""
    if is_torch(a):
        return bool(a.dtype == b.dtype and a.device == b.device and a.equal(b))
    return a.dtype == b.dtype and numpy.array_equal(a, b)
