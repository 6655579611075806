"""Target statistics of rows of logits: the one primitive that every softmax loss is a formula over.

For a row of transformed logits ``u`` with ``p = softmax(u)`` they are the log-odds against the target
``D = ln Σ_{c∉target} e^(u_c) − ln Σ_{c∈target} e^(u_c)``, the log-partition ``L``, the cross-entropies
``G_r = Σ r_c (L − u_c)`` against a fixed vector and ``G_a`` against the row's soft target, and the entropy ``H``.
From ``D`` alone ``−log p = softplus(D)`` and ``1 − p = σ(D)``, to full relative precision.
"""

from crossentropy._backends import Array, is_jax, is_numpy, is_taped, is_tensorflow, is_torch
from crossentropy._backends.tape import Taped
from crossentropy._statistics.problem import (
    NONE_REQUESTED,
    PLAIN,
    Cotangents,
    Prior,
    Requested,
    RowStatistics,
    Target,
    Transform,
)

__all__ = [
    "PLAIN",
    "Cotangents",
    "Prior",
    "Requested",
    "RowStatistics",
    "Target",
    "Transform",
    "row_statistics",
]


def row_statistics(
    logits: Array,
    axis: int,
    target: Target,
    transform: Transform = PLAIN,
    prior: Prior | None = None,
    requested: Requested = NONE_REQUESTED,
    *,
    validate: bool = True,
    idle: Array | None = None,
) -> RowStatistics:
    """Compute the target statistics of every row of `logits`, differentiable wherever the framework is.

    Parameters
    ----------
    logits : array, any shape, floating
    axis : int
        The class axis, 0 or more.
    target : Target
    transform : Transform
    prior : Prior or None
    requested : Requested
    validate : bool
        Whether a label outside the classes raises. If not, or where its value cannot be read without waiting for a
        device or under tracing, its row is NaN.
    idle : array of bool, shape of the rows, or None
        Rows of weight 0. The formulas compute an invalid one among them from logits of 0, so that its gradient is 0
        and not ``0 · NaN``.

    Returns
    -------
    RowStatistics
        In the shape of the logits without `axis`, in nats, in float64 where the device has it.

    Raises
    ------
    ValueError
        If a label is outside the classes and is not the ignored one.
    """
    if is_torch(logits):
        from crossentropy._statistics.torch import rows

        return rows.statistics(logits, axis, target, transform, prior, requested, validate, idle)
    if is_jax(logits):
        from crossentropy._statistics.jax import rows as jax_rows

        return jax_rows.statistics(logits, axis, target, transform, prior, requested, validate, idle)
    if is_tensorflow(logits):
        from crossentropy._statistics import tensorflow_rows

        return tensorflow_rows.statistics(logits, axis, target, transform, prior, requested, validate, idle)
    from crossentropy._statistics import formulas

    options = (
        *(getattr(transform, name) for name in Transform.__slots__),
        target.dense,
        prior and prior.values,
    )
    # The pullback for NumPy gives the gradient of the logits alone. An option that learns takes the formulas, which the
    # tape differentiates.
    if Taped in map(type, options):
        logits = Taped(logits) if is_numpy(logits) else logits
    elif is_numpy(logits) or is_taped(logits):
        from crossentropy._statistics.cpu import numpy_rows

        return numpy_rows.statistics(logits, axis, target, transform, prior, requested, validate, idle)
    return formulas.statistics(
        logits, axis, target, transform, prior, requested, validate=validate, idle=idle
    )
