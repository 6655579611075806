"""Calls of the native handlers from programs of XLA, which several CPU devices may share.

XLA cannot look into a handler. By itself it would gather arrays that lie on several devices, for one call with all of
them; of axes of rows it is told that each device may call the handler with its own part.
"""

from collections.abc import Sequence
from itertools import count
from typing import Any

import jax
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import mlir
from jaxlib.mlir import ir

from crossentropy._backends import Array
from crossentropy._statistics.jax.binding import abstract

__all__ = ["call"]

CALL = Primitive("crossentropy_call")
CALL.multiple_results = True


def call(
    handler: str,
    results: Sequence[tuple[tuple[int, ...], Any]],
    arrays: Sequence[Array],
    settings: np.ndarray,
    rows: int,
) -> list[Array]:
    """Call a handler on arrays, for results of these shapes and dtypes.

    The first axes of all of them, `rows` in number, are of rows that do not know each other. Of arrays of which one
    has no such axis, `rows` is 0.
    """
    types = tuple((tuple(shape), str(np.dtype(dtype))) for shape, dtype in results)
    kept = tuple(settings.tolist()), str(settings.dtype)
    return CALL.bind(*arrays, handler=handler, results=types, settings=kept, rows=rows)


@CALL.def_abstract_eval
def _abstract(*arrays: Any, results: Any, **_: Any) -> list[Any]:
    return [abstract(shape, dtype, arrays) for shape, dtype in results]


def _lower(context: Any, *operands: Any, handler: str, settings: Any, rows: int, **_: Any) -> Any:
    values, dtype = settings
    found: Any = jax.ffi.ffi_lowering(handler)(context, *operands, problem=np.asarray(values, dtype))
    arrays, results = ([x.shape for x in side] for side in (context.avals_in, context.avals_out))
    if rows and all(isinstance(n, int) for shape in (*arrays, *results) for n in shape):
        attributes = found[0].owner.attributes
        attributes["mhlo.frontend_attributes"] = mlir.ir_attribute({"num_batch_dims": str(rows)})
        if getattr(jax.config, "jax_use_shardy_partitioner", False):
            attributes["sdy.sharding_rule"] = ir.Attribute.parse(_rule(rows, arrays, results))
    return found


def _rule(rows: int, arrays: list[tuple[int, ...]], results: list[tuple[int, ...]]) -> str:
    """What Shardy is told: the axes of rows are the same in all arrays and results, every other is by itself.

    >>> _rule(1, [(8, 10), (8,)], [(8,)])
    '#sdy.op_sharding_rule<([i, j], [i])->([i]) {i=8, j=10}, custom>'
    """
    names, sizes = count(rows), list(arrays[0][:rows])

    def named(shape: tuple[int, ...]) -> str:
        sizes.extend(shape[rows:])
        return f"[{', '.join(_factor(i if i < rows else next(names)) for i in range(len(shape)))}]"

    of_arrays, of_results = (", ".join(map(named, side)) for side in (arrays, results))
    numbered = ", ".join(f"{_factor(i)}={n}" for i, n in enumerate(sizes))
    return f"#sdy.op_sharding_rule<({of_arrays})->({of_results}) {{{numbered}}}, custom>"


def _factor(number: int) -> str:
    """The name of a factor in MLIR's text: i, …, z, then z_1, z_2, …"""
    letters = "ijklmnopqrstuvwxyz"
    return letters[number] if number < len(letters) else f"z_{number - len(letters) + 1}"


mlir.register_lowering(CALL, _lower, platform="cpu")
