"""The native row kernels in programs of XLA.

A call costs some microseconds. Of the ways to the kernels it is the one that is faster than optax: formulas, compiled
by XLA, are slower, and so is a callback into Python, which needs its lock as well (docs/numerics.md).
"""

from collections.abc import Sequence
from dataclasses import fields

import jax.numpy as jnp
import numpy as np

from crossentropy._backends import Array
from crossentropy._statistics.cpu.memory import NumpyMemory
from crossentropy._statistics.jax.call import call
from crossentropy._statistics.jax.problem import FORMS, PRIORS, RowProblem
from crossentropy._statistics.problem import DIFFERENTIABLE, RowStatistics

#: The order in which native code numbers the statistics.
STATISTICS = tuple(f.name for f in fields(RowStatistics) if f.name not in ("argmax", "rank", "bad_row"))


def statistics(problem: RowProblem, *arrays: Array) -> Sequence[Array]:
    """The statistics under the `names` of the problem."""
    shapes, dtypes = problem.shapes(*arrays[:2]), problem.dtypes(arrays[0])
    handler = "crossentropy_row_gradients" if problem.with_gradient else "crossentropy_row_statistics"
    results = list(zip(shapes, dtypes, strict=True))
    return call(handler, results, arrays, _settings(problem), _rows(problem, arrays[0]))


def pullback(problem: RowProblem, *arguments: Array) -> list[Array]:
    """The gradients by the logits and a dense target, those of them that move.

    The arguments are the arrays of the problem, its statistics, and the cotangents.
    """
    arrays, saved, given = problem.parts(arguments)
    if problem.with_gradient:
        _, gradient = saved
        upstream = jnp.expand_dims(given[0], problem.axis)
        # A row that counts for nothing may make no sense, and 0 · NaN is NaN.
        return [jnp.astype(jnp.where(upstream == 0, 0, upstream * gradient), arrays[0].dtype)]
    cotangents = dict(zip(problem.cotangents, given, strict=True))
    total = cotangents.pop("dense_total", None)  # the sum of the masses is no matter of the logits
    if "log_odds" in cotangents:  # a row that makes no sense has no gradient, its label's entry included
        D, g = saved[problem.names.index("log_odds")], cotangents["log_odds"]
        cotangents["log_odds"] = jnp.where((g != 0) & jnp.isnan(D), jnp.nan, g)
    outputs = arrays[:2] if 1 in problem.moving else arrays[:1]
    if cotangents:
        results = [(x.shape, x.dtype) for x in outputs]
        known = [*arrays, *saved, *cotangents.values()]
        rows = _rows(problem, arrays[0])
        gradients = call("crossentropy_row_pullback", results, known, _settings(problem), rows)
    else:
        gradients = [jnp.zeros_like(x) for x in outputs]
    if total is not None:
        each = jnp.expand_dims(total, problem.axis)
        gradients = [gradients[0], gradients[1] + jnp.astype(each, gradients[1].dtype)]
    return [gradients[i] for i in problem.moving]


def _rows(problem: RowProblem, logits: Array) -> int:
    """How many axes in front of the classes are of rows, in all arrays; vectors of classes have none."""
    return 0 if problem.arrays > 2 else logits.ndim + problem.axis


def _settings(problem: RowProblem) -> np.ndarray:
    """The statics as native/xla/rows.cpp reads them."""
    return np.asarray(
        [
            NumpyMemory.threads(),
            -1 - problem.axis,
            FORMS.index(problem.form),
            problem.ignore_index is not None,
            problem.ignore_index or 0,
            PRIORS.index(problem.prior),
            _bits(problem.names, STATISTICS),
            _bits(problem.cotangents, DIFFERENTIABLE),
            np.float64(1 / problem.temperature).view(np.int64),
            problem.has_bias,
        ],
        np.int64,
    )


def _bits(present: tuple[str, ...], names: tuple[str, ...]) -> int:
    """A bit for each of the names, set if it is present."""
    return sum(1 << i for i, name in enumerate(names) if name in present)
