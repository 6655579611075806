"""How primitives of JAX are made: a formula, which on the CPU a native kernel replaces, and the rules of both.

The kernels are handlers that XLA calls with the addresses of its buffers. Nothing of JAX is needed to build them. They
are registered by name when this module is imported; if the installed XLA does not take them, programs on the CPU are
made of formulas, as on every other device.
"""

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import batching, mlir

from crossentropy._backends import Array
from crossentropy._kernels import _native

__all__ = ["DTYPES", "abstract", "has_no_sharding", "make_primitive", "same_axes"]

#: Of arrays that the kernels read.
DTYPES = ("float32", "float64", "bfloat16", "float16")


def _register() -> bool:
    """Make the handlers known to XLA, and tell whether it takes them."""
    handlers = _native.xla_handlers()  # none where there are no kernels
    try:
        for name, handler in handlers.items():
            jax.ffi.register_ffi_target(name, handler, platform="cpu")
            jax.ffi.register_ffi_target_as_batch_partitionable(name)
    except Exception:  # whatever a version of XLA raises that has another interface
        return False
    return bool(handlers)


AVAILABLE = _register()


def make_primitive(
    name: str,
    formula: Callable[..., Sequence[Array]],
    abstract_results: Callable[..., list[Any]],
    native: Callable[..., Sequence[Array]] | None,
) -> Primitive:
    """Make a primitive that is ``formula(*arrays, problem=)``, and on the CPU ``native(problem, *arrays)``.

    A batch of problems is one of more rows. `problem.vectors`, if there are, are the places of arguments that are
    vectors of classes, which a batch shares.
    """
    primitive = Primitive(f"crossentropy_{name}")
    primitive.multiple_results = True
    primitive.def_abstract_eval(abstract_results)
    primitive.def_impl(jax.jit(primitive.bind, static_argnames="problem"))
    batching.primitive_batchers[primitive] = partial(_batch, primitive, formula)
    mlir.register_lowering(primitive, mlir.lower_fun(formula, multiple_results=True))
    if native is not None and AVAILABLE:

        def on_cpu(*arguments: Array, problem: Any) -> Sequence[Array]:
            return native(problem, *arguments)

        mlir.register_lowering(primitive, mlir.lower_fun(on_cpu, multiple_results=True), platform="cpu")
    return primitive


def _batch(
    primitive: Primitive,
    formula: Callable[..., Sequence[Array]],
    arguments: Sequence[Array],
    axes: Sequence[int | None],
    *,
    problem: Any,
) -> tuple[Sequence[Array], Sequence[int]]:
    """The results of a batch, whose axis is in front of the rows; if each has vectors of its own, by the formula."""
    vectors = getattr(problem, "vectors", ())
    if any(axes[i] is not None for i in vectors):
        found = jax.vmap(partial(formula, problem=problem), in_axes=tuple(axes))(*arguments)
    else:
        found = primitive.bind(*_with_batch_in_front(arguments, axes, vectors), problem=problem)
    return found, (0,) * len(found)


def _with_batch_in_front(
    arguments: Sequence[Array], axes: Sequence[int | None], shared: Collection[int]
) -> list[Array]:
    """The arguments with the axis of a batch in front, but those at the places that are `shared` by all of it."""
    size = next(x.shape[axis] for x, axis in zip(arguments, axes, strict=True) if axis is not None)

    def in_front(x: Array, axis: int | None) -> Array:
        return jnp.broadcast_to(x, (size, *x.shape)) if axis is None else jnp.moveaxis(x, axis, 0)

    return [
        x if i in shared else in_front(x, axis)
        for i, (x, axis) in enumerate(zip(arguments, axes, strict=True))
    ]


def has_no_sharding(x: Array) -> bool:
    """Tell whether the type of an array carries no sharding, which no rule of the primitives propagates."""
    return jax.sharding.AxisType.Explicit not in jax.typeof(x).sharding.mesh.axis_types


def abstract(shape: tuple[int, ...], dtype: Any, arguments: Sequence[Any]) -> Any:
    """The type of an array that varies as the arguments do."""
    like = arguments[0]
    whole = like.sharding.update(spec=jax.sharding.PartitionSpec(*[None] * len(shape)))
    return like.update(shape=shape, dtype=jnp.dtype(dtype), weak_type=False, sharding=whole)


def same_axes(arrays: Sequence[Array]) -> list[Array]:
    """The arrays, each varying over every axis of a mesh, under `shard_map`, over which one of them does."""
    axes = [_varying(jax.typeof(x)) for x in arrays]
    every = frozenset[Any]().union(*axes)
    return [_made_varying(x, every - own) for x, own in zip(arrays, axes, strict=True)]


def _made_varying(x: Array, axes: frozenset[Any]) -> Array:
    """An array that is the same along some axes of a mesh, taken for one that varies."""
    if not axes:
        return x
    if hasattr(jax.lax, "pcast"):
        return jax.lax.pcast(x, tuple(axes), to="varying")
    return getattr(jax.lax, "pvary")(x, tuple(axes))  # noqa: B009  # what JAX has now is what is checked


def _varying(kind: Any) -> frozenset[Any]:
    """The axes of a mesh over which arrays of a type vary; JAX has had two names for them."""
    if hasattr(kind, "vma"):
        return kind.vma
    return getattr(getattr(kind, "manual_axis_type", None), "varying", frozenset())
