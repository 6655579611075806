"""Rows of two classes without weights: scored, summed and counted in one sweep over them."""

from typing import Any, NamedTuple

import numpy as np

from crossentropy._kernels import _native
from crossentropy._statistics.cpu.memory import CODES, NumpyMemory
from crossentropy.evaluation._batch import Batch
from crossentropy.evaluation._declaration import KINDS, Declaration
from crossentropy.evaluation._exact import LIMBS, ExactSum, sums_of_limbs
from crossentropy.evaluation._prediction_table import PredictionTable
from crossentropy.evaluation._reliability_bins import ReliabilityBins
from crossentropy.evaluation._row_scores import BOUNDED, RowScorer, fixed_sums
from crossentropy.evaluation._worst_rows import LossHistogram

__all__ = ["can_sweep", "sweep"]

Array = np.ndarray[Any, Any]
#: Exact sums of the loss and its square, over all rows and over those of label 1.
MOMENTS = ("loss", "loss_square", "one_loss", "one_loss_square")


def can_sweep(d: Declaration) -> bool:
    """Tell whether rows can be swept: one prediction, a label and nothing else that changes a sum."""
    one_column = d.one_column or (d.is_binary and d.kind == "logits")
    return one_column and not (d.soft or d.weighted) and d.clip is None


class Swept(NamedTuple):
    """What is left to do with rows that were swept."""

    #: Of `MOMENTS`, without what is infinite, and of `BOUNDED`.
    sums: dict[str, ExactSum]
    #: The loss and the probability of every row and what is bounded, if they were asked for; float64 arrays (n,).
    loss: Array | None
    probability: Array | None
    bounded: dict[str, Array]
    #: The places (int64) of the rows whose loss is at least the limit, and their losses.
    places: Array
    high: Array


def sweep(
    scorer: RowScorer,
    batch: Batch,
    bins: ReliabilityBins,
    histogram: LossHistogram,
    table: PredictionTable,
    limit: float,
    *,
    by_row: bool,
) -> Swept:
    """Score rows, count them in bins and histogram, and in the table of predictions."""
    d, n, address = scorer.declaration, len(batch), NumpyMemory.address
    x, labels = scorer.one_column(batch)
    names = ("loss", *scorer.bounded_names()) if by_row else ()
    needed = ("probability", "complement") if table.is_exact else ("probability",) if by_row else ()
    out, addresses = scorer.outputs(n, (*names, *needed))
    fixed = np.zeros((len(BOUNDED), 2), np.int64)
    limbs, special = np.zeros((len(MOMENTS), LIMBS), np.int64), np.zeros((len(MOMENTS), 3), np.int64)
    places, high = scorer.room("places", (n,), np.int64), scorer.room("high", (n,))
    count = _native.binary_totals(
        address(x),
        CODES[x.dtype],
        KINDS.index(d.kind),
        address(labels),
        labels.dtype == np.int8,
        n,
        addresses,
        address(fixed),
        address(limbs),
        address(special),
        (address(histogram.counts), *histogram.PLACES, len(histogram.counts)),
        (address(bins.table), len(bins.table)),
        0 if table.is_exact else address(table.counts),
        table.bits,
        limit,
        address(places),
        address(high),
    )
    if table.is_exact:
        p, q = out["probability"], out["complement"]
        table.add(scorer.key(batch, p), p, q, labels.astype(np.int64, copy=False))
    finite = [ExactSum(total.scaled) for total in sums_of_limbs(limbs, special)]
    sums = fixed_sums(BOUNDED, fixed) | dict(zip(MOMENTS, finite, strict=True))
    bounded = {name: out[name] for name in names[1:]}
    return Swept(sums, out.get("loss"), out.get("probability"), bounded, places[:count], high[:count])
