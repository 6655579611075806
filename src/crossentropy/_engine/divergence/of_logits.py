"""The choice of how divergences of rows of logits are computed: by the kernel, or by formulas."""

from collections.abc import Sequence
from functools import partial

from crossentropy._backends import Array, is_jax, is_numpy, is_taped, is_torch
from crossentropy._backends.tape import node, plain
from crossentropy._engine.divergence.formulas import Divergence, log_probabilities
from crossentropy._engine.divergence.native import divergence_rows
from crossentropy._statistics import Transform, formulas
from crossentropy._statistics.cpu.memory import NumpyMemory, is_for_kernels


def of_rows(
    divergence: Divergence, logits: Sequence[Array], axis: int, transform: Transform, live: Array | None
) -> Array:
    """Compute a divergence of the softmaxes of several logits for every row, in nats.

    Logits have one shape, and one temperature in `transform`; rows where `live` is false may hold anything.
    """
    if is_torch(logits[0]):
        from crossentropy._engine.divergence import autograd

        if autograd.is_served(logits, transform, live):
            return autograd.of_tensors(divergence, logits, axis, transform, live)
        native = autograd.under_transforms(divergence, logits, axis, transform, live)
        if native is not None:
            return native
    elif is_jax(logits[0]):
        from crossentropy._engine.divergence import jax_rows

        if jax_rows.serves(logits, transform):
            return jax_rows.of_arrays(divergence, logits, axis, transform, live)
    # NumPy, unless the temperature learns, whose derivative the kernel does not have.
    elif not is_taped(transform.temperature) and all(
        is_numpy(x) and is_for_kernels(x) for x in map(plain, logits)
    ):
        return _of_numpy(divergence, logits, axis, transform, live)
    logs = [log_probabilities(formulas.class_last(z, axis), transform, live) for z in logits]
    return divergence.rows(*logs)


def _of_numpy(
    divergence: Divergence, logits: Sequence[Array], axis: int, transform: Transform, live: Array | None
) -> Array:
    """Compute the divergence by the kernel, on the tape if logits are."""
    wanted = [is_taped(z) for z in logits]
    arrays = [plain(z) for z in logits]
    mask = None if live is None else plain(live)
    values, slopes = divergence_rows(NumpyMemory, divergence, arrays, axis, transform, mask, wanted)

    def pull(g: Array, slope: Array) -> Array:
        return g[_with_axis(axis, g.ndim)] * slope

    taped = [(z, partial(pull, slope=s)) for z, s in zip(logits, slopes, strict=True) if s is not None]
    return node(values, *taped) if taped else values


def _with_axis(axis: int, ndim: int) -> tuple[slice | None, ...]:
    """The index that puts an axis of length 1 at `axis`."""
    index: list[slice | None] = [slice(None)] * ndim
    index.insert(axis, None)
    return tuple(index)
