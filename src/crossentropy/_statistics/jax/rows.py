"""The choice of how the statistics of JAX arrays are computed: by the primitives, or by formulas alone."""

from dataclasses import replace

import jax.numpy as jnp

from crossentropy._backends import Array, as_indices, widest_dtype
from crossentropy._statistics import formulas
from crossentropy._statistics.jax.binding import has_no_sharding
from crossentropy._statistics.jax.primitives import row_statistics
from crossentropy._statistics.jax.problem import RowProblem
from crossentropy._statistics.label_errors import check_labels
from crossentropy._statistics.problem import (
    NONE_REQUESTED,
    Prior,
    Requested,
    RowStatistics,
    Target,
    Transform,
)

__all__ = ["statistics"]

FEW = 64  # classes, as native/rows/few_classes.hpp has it
DTYPES = ("float32", "float64", "bfloat16", "float16")


def statistics(
    logits: Array,
    axis: int,
    target: Target,
    transform: Transform,
    prior: Prior | None,
    requested: Requested,
    validate: bool,
    idle: Array | None,
) -> RowStatistics:
    """Compute the target statistics of every row along `axis`."""
    if not _serves(logits, requested):
        return formulas.statistics(
            logits, axis, target, transform, prior, requested, validate=validate, idle=idle
        )
    if validate:
        check_labels(target, logits.shape[axis])
    offset = None
    if not transform.is_plain:
        rows = formulas.prepare(logits, axis, target, transform, idle=idle)
        behind, logits, offset, axis = axis, rows.u, rows.offset, rows.u.ndim - 1
        target = replace(
            target,
            mask=None if target.mask is None else formulas.class_last(target.mask, behind),
            dense=None if target.dense is None else formulas.class_last(target.dense, behind),
        )
    wide = widest_dtype(logits)
    if target.dense is not None:
        form, array = "dense", target.dense
        if target.class_weight is not None:
            weight = jnp.astype(target.class_weight, wide)
            array = jnp.astype(array, wide) * jnp.expand_dims(weight, range(1, logits.ndim - axis))
        elif array.dtype.name not in DTYPES:
            array = jnp.astype(array, wide)
    elif target.mask is not None:
        form, array = "mask", jnp.astype(target.mask, bool)
    else:
        form, array = "labels" if target.several else "label", as_indices(target.indices)
    arrays = [logits, array]
    if prior is not None and prior.values is not None:
        # The kernels take a prior in the type that they compute in.
        arrays.append(jnp.astype(prior.values, "float64" if logits.dtype.name == "float64" else "float32"))
    problem = RowProblem(
        axis=axis - logits.ndim,
        form=form,
        ignore_index=target.ignore_index,
        prior="none" if prior is None else "uniform" if prior.values is None else "given",
        requested=requested,
        dtype=jnp.dtype(wide).name,
        few=form == "label" and prior is None and requested == NONE_REQUESTED and logits.shape[axis] <= FEW,
    )
    found = dict(zip(problem.names, row_statistics(problem, *arrays), strict=True))
    if offset is not None and "log_partition" in found:
        found["log_partition"] = found["log_partition"] + offset
    return RowStatistics(**found)


def _serves(logits: Array, requested: Requested) -> bool:
    """Tell whether the primitives serve these logits: no ranks, and no arrays whose types carry a sharding."""
    return (
        logits.dtype.name in DTYPES
        and logits.size > 0
        and not (requested.argmax or requested.rank)
        and has_no_sharding(logits)
    )
