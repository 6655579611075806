"""The loss of classes that `shard_map` splits over the devices of a mesh: statistics of parts, exchanged and merged."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from crossentropy._backends import INF, Array, as_indices
from crossentropy._engine.options import ExampleOptions
from crossentropy._engine.softmax.autodiff import loss_by_autodiff
from crossentropy._engine.softmax.problem import SoftmaxProblem, make_problem
from crossentropy._engine.softmax.terms import excluded_rows
from crossentropy._rows import rows_shape
from crossentropy._statistics import PLAIN, Prior, RowStatistics, Target, formulas
from crossentropy._statistics.label_errors import outside_classes
from crossentropy._statistics.log_sum import LogSum
from crossentropy._statistics.merge import ShardStatistics, merge
from crossentropy.jax._rows import Axes, class_axes

__all__ = ["sharded_loss"]


def sharded_loss(
    logits: Array, labels: Array, axis: Axes, where: Any, axis_name: Any, options: ExampleOptions
) -> Array:
    """The loss of every example, of this device's part of the classes and whole labels; the same on all devices."""
    if class_axes(axis, logits.ndim) != (logits.ndim - 1,):
        raise ValueError(f"axis is {axis!r}; classes that are split over devices are on the last axis")
    weight = options.get("sample_weight")
    if where is not None:
        kept = jnp.asarray(where) != 0
        if kept.shape != rows_shape(logits.shape, logits.ndim - 1):
            raise ValueError(
                f"where has shape {kept.shape}; with axis_name pass a mask in the shape of the examples, "
                f"{logits.shape[:-1]}, and mask classes by logits of -jnp.inf"
            )
        options["sample_weight"] = jnp.where(kept, 1.0 if weight is None else weight, 0.0)
    classes = logits.shape[-1] * jax.lax.axis_size(axis_name)
    problem = make_problem(logits, labels, classes=classes, reduction="none", **options)
    return loss_by_autodiff(problem, statistics=partial(_merged, logits, axis_name))


def _merged(logits: Array, axis_name: Any, problem: SoftmaxProblem) -> RowStatistics:
    """The statistics of whole rows."""
    part = _part(logits, jax.lax.axis_index(axis_name) * logits.shape[-1], problem)
    named = {name: x for name in ShardStatistics.__slots__ if (x := getattr(part, name)) is not None}
    everyone = {name: _gathered(x, axis_name) for name, x in named.items()}
    parts = [
        ShardStatistics(**{name: x[i] for name, x in everyone.items()})
        for i in range(jax.lax.axis_size(axis_name))
    ]
    return merge(parts, problem.target, problem.classes, log_partition=problem.requested.log_partition)


def _part(logits: Array, first: Array, problem: SoftmaxProblem) -> ShardStatistics:
    """The statistics over the classes from `first` on; every top is a constant, as in `LogSum`."""
    classes = logits.shape[-1]

    def own_part(vector: Array) -> Array:
        return jax.lax.dynamic_slice_in_dim(formulas.widened(vector), first, classes)

    on = (as_indices(problem.target.indices) - first)[..., None] == jnp.arange(classes)
    z, bad = formulas.widened(logits), outside_classes(problem.target, problem.classes)
    excluded = excluded_rows(problem)
    if excluded is not None:  # 0 · NaN is NaN
        z, bad = jnp.where(excluded[..., None] & ~jnp.isfinite(z), 0, z), bad & ~excluded
    # So that the gradient of a row with a label outside the classes is NaN as well as its loss.
    u = _transformed(z, on, problem, own_part) * jnp.where(bad, jnp.nan, 1)[..., None]
    off = LogSum(jnp, jnp.where(on, -INF, u))
    label = jnp.sum(jnp.where(on, u, 0), axis=-1)
    part = ShardStatistics(jnp.where(off.empty, -INF, off.top[..., 0]), off.rest, own=label[..., None])
    if problem.prior is None and not problem.regularizers:
        return part
    total = LogSum(jnp, u)
    part.peak = total.top[..., 0]
    part.L_above_peak = jnp.where(total.empty, -INF, jnp.log1p(total.rest))
    prior = problem.prior
    if prior is not None:
        values = (
            jnp.full(classes, 1 / problem.classes, u.dtype)
            if prior.values is None
            else own_part(prior.values)
        )
        part.prior_total, prior = jnp.sum(values), Prior(values)
    stats = formulas.statistics(u, u.ndim - 1, Target(), PLAIN, prior, problem.requested)
    part.prior_term, part.entropy = stats.prior_term, stats.entropy
    return part


def _transformed(z: Array, on: Array, problem: SoftmaxProblem, own_part: Any) -> Array:
    """The logits under the transform of the problem, whose vectors have entries for all classes."""
    transform = problem.transform
    if transform.softcap is not None:
        z = transform.softcap * jnp.tanh(z / transform.softcap)
    if transform.margin is not None:
        margin = transform.margin
        z = z - jnp.where(on, own_part(margin) if getattr(margin, "ndim", 0) else margin, 0)
    temperature = transform.temperature
    z = z / (temperature[..., None] if getattr(temperature, "ndim", 0) else temperature)
    return z if transform.logit_bias is None else z + own_part(transform.logit_bias)


def _gathered(x: Array, axis_name: Any) -> Array:
    """The arrays of all devices, in their order along a new first axis.

    It is a sum, since JAX knows of sums that they are the same on all devices.
    """
    places = jnp.arange(jax.lax.axis_size(axis_name)) == jax.lax.axis_index(axis_name)
    return jax.lax.psum(jnp.where(jnp.reshape(places, (-1, *[1] * x.ndim)), x, 0), axis_name)
