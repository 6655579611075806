"""The choice of how the statistics of JAX arrays are computed: by the primitives, or by formulas alone."""

from dataclasses import replace

import jax.numpy as jnp

from crossentropy._backends import Array, as_indices, widest_dtype
from crossentropy._statistics import formulas
from crossentropy._statistics.jax.binding import DTYPES, has_no_sharding
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
    offset, left_out, temperature, bias = None, None, transform.temperature, transform.logit_bias
    if not _serves_transform(transform):
        rows = formulas.prepare(logits, axis, target, transform, idle=idle)
        behind, logits, offset, axis = axis, rows.u, rows.offset, rows.u.ndim - 1
        left_out = rows.left_out
        temperature, bias = 1.0, None
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
    # The kernels take vectors of classes in the type that they compute in.
    vectors = (None if prior is None else prior.values, bias)
    own = "float64" if logits.dtype.name == "float64" else "float32"
    arrays += [jnp.astype(x, own) for x in vectors if x is not None]
    problem = RowProblem(
        axis=axis - logits.ndim,
        form=form,
        ignore_index=target.ignore_index,
        prior="none" if prior is None else "uniform" if prior.values is None else "given",
        requested=requested,
        dtype=jnp.dtype(wide).name,
        temperature=float(temperature),
        has_bias=bias is not None,
        few=(
            (form == "label" and prior is None and requested == NONE_REQUESTED)
            and (logits.shape[axis] <= FEW and bias is None and temperature == 1)
        ),
    )
    found = dict(zip(problem.names, row_statistics(problem, *arrays), strict=True))
    if offset is not None and "log_partition" in found:
        found["log_partition"] = found["log_partition"] + offset
    stats = RowStatistics(**found)
    if left_out is not None:
        formulas.fill_excluded(stats, left_out)
    return stats


def _serves_transform(transform: Transform) -> bool:
    """Tell whether the primitives know a transform: a temperature that is a number, and a bias of the classes."""
    return (
        isinstance(transform.temperature, (int, float))
        and transform.softcap is None
        and transform.margin is None
    )


def _serves(logits: Array, requested: Requested) -> bool:
    """Tell whether the primitives serve these logits: no ranks, and no arrays whose types carry a sharding."""
    return (
        logits.dtype.name in DTYPES
        and logits.size > 0
        and not (requested.argmax or requested.rank)
        and has_no_sharding(logits)
    )
