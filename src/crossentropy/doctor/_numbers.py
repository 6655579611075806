"""Numbers that training cannot use: NaN and infinities, saturated logits, half precision."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from crossentropy.doctor._sample import Array, Sample
from crossentropy.doctor.finding import Finding

__all__ = ["finite_rows", "half_precision_finding", "loss_in_half", "number_findings", "saturation_findings"]

#: e^−88 is about the smallest normal float32 number.
LARGEST_GAP = 88.0
#: The share of rows that are saturated before it is a fault of the whole.
SATURATED = 0.05


def finite_rows(sample: Sample) -> Array:
    """Tell which rows have a loss by their numbers: no NaN, no +∞, not −∞ alone, no −∞ on the label."""
    x = sample.x
    wrong = np.isnan(x) | (x == np.inf)
    if sample.sigmoid or sample.kind == "probabilities":
        return np.asarray(~(wrong | (x == -np.inf)).any(axis=1))
    y = np.clip(sample.labels, 0, sample.classes - 1)
    return np.asarray(~wrong.any(axis=1) & (x[np.arange(len(x)), y] != -np.inf))


def number_findings(sample: Sample) -> Iterator[Finding]:
    """Find rows with NaN or infinite numbers."""
    fine = finite_rows(sample)
    if fine.all():
        return
    first = int((~fine).argmax())
    row = sample.x[first]
    place = int((~np.isfinite(row)).argmax())
    yield Finding(
        "not_finite",
        "Predictions are NaN or infinite, and so is the loss.",
        {
            "rows": int((~fine).sum()),
            "share_of_rows": float((~fine).mean()),
            "first_row": int(sample.places[first]),
            "its_column": place,
            "its_value": float(row[place]),
            "rows_with_NaN": int(np.isnan(sample.x).any(axis=1).sum()),
        },
        "numpy.isfinite(x) after each layer finds the first that is not: a logarithm or a division of 0, an "
        "overflow in half precision, a learning rate that is too large",
        cost=float("inf"),
    )


def saturation_findings(sample: Sample) -> Iterator[Finding]:
    """Find logits so far apart that float32 has no gradient."""
    if sample.kind != "logits" or len(sample) < 8:
        return
    x = sample.x
    if sample.sigmoid:
        gap = np.abs(x).max(axis=1)
    else:
        two = np.partition(x, -2, axis=1)[:, -2:] if sample.classes > 1 else np.zeros((len(x), 2))
        gap = two[:, 1] - two[:, 0]
    share = float((gap > LARGEST_GAP).mean())
    if share < SATURATED:
        return
    wrong = sample.losses > LARGEST_GAP
    yield Finding(
        "saturated",
        "The logits saturate: the largest is so far above the others that its probability is 1 in float32, and the "
        "usual formula has no gradient.",
        {
            "share_of_rows": share,
            "median_gap": float(np.median(gap)),
            "largest_logit": float(np.abs(x[np.isfinite(x)]).max()),
            "share_of_rows_wrong_beyond_88_nats": float(wrong.mean()),
            "loss_as_called": sample.loss,
        },
        "scores of a size of about 1 at the start: normalize the last hidden layer, scale its weights by 1/√width; "
        "softcap=30 bounds them",
        cost=sample.loss if wrong.any() else None,
    )


def half_precision_finding(dtype: str, computed: float, exact: float, instead: str) -> Iterator[Finding]:
    """Find a loss that half precision has changed by more than a thousandth."""
    if math.isfinite(exact) and abs(computed - exact) > 1e-3 * abs(exact):
        yield Finding(
            "half_precision",
            f"The loss is computed in {dtype}, whose rounding changes it.",
            {
                "loss_in_half_precision": computed,
                "loss_in_float32": exact,
                "relative_error": abs(computed / exact - 1),
            },
            instead,
            cost=abs(computed - exact),
        )


def loss_in_half(sample: Sample) -> float:
    """Return the mean loss as it is where every step is rounded to half precision."""
    if sample.half == "float16":
        rounded: Any = np.float16
        x = sample.x.astype(rounded)
        with np.errstate(all="ignore"):
            below = x - x.max(axis=1, keepdims=True)
            terms = np.log(np.exp(below).sum(axis=1, dtype=rounded)) - below[np.arange(len(x)), sample.labels]
        return float(terms.mean(dtype=rounded))
    return float(_bfloat16(_bfloat16(sample.losses).mean()))


def _bfloat16(x: Array) -> Array:
    """Round float32 numbers to the nearest bfloat16."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)
