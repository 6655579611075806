"""Divergences of rows of logits, by the way that fits their arrays."""

from collections.abc import Sequence

from crossentropy._backends import Array, is_taped, is_torch
from crossentropy._engine.divergence.formulas import Divergence, _taped_rows, log_probabilities
from crossentropy._statistics import Transform, formulas

__all__ = ["of_rows"]


def of_rows(
    divergence: Divergence, logits: Sequence[Array], axis: int, transform: Transform, live: Array | None
) -> Array:
    """A divergence of the softmaxes of several logits, for every row.

    Parameters
    ----------
    divergence : Divergence
    logits : arrays of one shape, floating
    axis : int
        The class axis, counted from 0.
    transform : Transform
        A temperature, for all of them.
    live : array of bool, shape of the rows, optional
        False where a row counts for nothing, whatever it holds.
    """
    logits = [formulas.class_last(z, axis) for z in logits]
    if is_torch(logits[0]):
        from crossentropy._engine.divergence import blocks

        if blocks.is_served(logits, transform):
            return blocks.by_blocks(divergence, logits, transform, live)
    if any(map(is_taped, logits)) and not is_taped(transform.temperature):
        return _taped_rows(divergence, logits, transform, live)
    return divergence.rows(*(log_probabilities(z, transform, live) for z in logits))
