"""Cosines of JAX arrays: a function whose tangents are a primitive, so that their transpose is the exact gradient.

Derivatives of the tangents and of the gradient by the features are those of the formulas.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.interpreters import ad

from crossentropy._backends import Array
from crossentropy._statistics.cosines import formulas
from crossentropy._statistics.jax.binding import abstract, make_primitive, same_axes


@jax.custom_jvp
def cosines(x: Array, y: Array) -> Array:
    """The cosines of the rows of two matrices."""
    return formulas.cosines(x, y)


@cosines.defjvp
def _differentiate(primals: tuple[Array, Array], dots: tuple[Array, Array]) -> tuple[Array, Array]:
    return cosines(*primals), TANGENTS.bind(*same_axes([*primals, *dots]), problem=None)[0]


def _tangents(*arguments: Array, problem: None) -> list[Array]:
    return [formulas.tangents(*arguments)]


def _abstract_tangents(*arguments: Any, problem: None) -> list[Any]:
    x, y = arguments[:2]
    return [abstract((*x.shape[:-1], y.shape[-2]), x.dtype, arguments)]


def _differentiate_tangents(
    arguments: Sequence[Array], dots: Sequence[Any], *, problem: None
) -> tuple[list[Array], list[Array]]:
    x, y, dx, dy = arguments
    full = [jnp.zeros_like(a) if type(d) is ad.Zero else d for a, d in zip(arguments, dots, strict=True)]
    tangent = TANGENTS.bind(*same_axes([x, y, *full[2:]]), problem=None)[0]
    if not all(type(d) is ad.Zero for d in dots[:2]):
        by_features = partial(formulas.tangents, dx=dx, dy=dy)
        tangent = tangent + jax.jvp(by_features, (x, y), tuple(full[:2]))[1]
    return TANGENTS.bind(*arguments, problem=None), [tangent]


def _transpose_tangents(cotangents: Sequence[Any], *arguments: Any, problem: None) -> list[Any]:
    x, y, dx, dy = arguments
    (g,) = cotangents
    if type(g) is ad.Zero:
        return [None, None, ad.Zero(dx.aval), ad.Zero(dy.aval)]
    return [
        None,
        None,
        formulas.pulled_back(x, y, g) if ad.is_undefined_primal(dx) else None,
        formulas.pulled_back(y, x, jnp.matrix_transpose(g)) if ad.is_undefined_primal(dy) else None,
    ]


TANGENTS = make_primitive("cosine_tangents", _tangents, _abstract_tangents, None)
ad.primitive_jvps[TANGENTS] = _differentiate_tangents
ad.primitive_transposes[TANGENTS] = _transpose_tangents
