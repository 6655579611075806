"""The choice of how divergences of rows of logits are computed: by blocks, on the tape, or by formulas."""

from collections.abc import Sequence

from crossentropy._backends import Array, is_taped, is_torch
from crossentropy._engine.divergence.formulas import Divergence, _taped_rows, log_probabilities
from crossentropy._statistics import Transform, formulas


def of_rows(
    divergence: Divergence, logits: Sequence[Array], axis: int, transform: Transform, live: Array | None
) -> Array:
    """Compute a divergence of the softmaxes of several logits for every row, in nats.

    Logits have one shape, and one temperature in `transform`; rows where `live` is false may hold anything.
    """
    logits = [formulas.class_last(z, axis) for z in logits]
    if is_torch(logits[0]):
        from crossentropy._engine.divergence import blocks

        # Large tensors: blocks need no float64 arrays of the size of the logits.
        if blocks.is_served(logits, transform):
            return blocks.by_blocks(divergence, logits, transform, live)
    # NumPy with gradients: derivatives by formula in one pass, unless the temperature learns, which they do not serve.
    if any(map(is_taped, logits)) and not is_taped(transform.temperature):
        return _taped_rows(divergence, logits, transform, live)
    return divergence.rows(*(log_probabilities(z, transform, live) for z in logits))
