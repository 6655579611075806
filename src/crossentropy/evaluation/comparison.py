"""The differences between models on the same rows."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from crossentropy.evaluation._display import to_json
from crossentropy.evaluation.result import Evaluation

__all__ = ["Comparison", "Difference"]


@dataclass(frozen=True)
class Difference:
    """How much the log loss of a model differs from that of the reference, on the same rows; below 0 it is better.

    What cannot be computed is None. Losses are in nats.
    """

    model: str
    reference: str
    #: The mean over rows of the model's loss less the reference's; infinite if only one of them is.
    difference: float | None
    #: By rows, by clusters, or of a time series, as `errors` says.
    standard_error: float | None
    #: By Student's distribution.
    interval: tuple[float, float] | None
    confidence: float
    #: The difference in standard errors, the degrees of freedom, and the probability of one as large by chance.
    t: float | None
    freedom: int
    p_value: float | None
    #: Of all models together, by Holm's method.
    adjusted_p_value: float | None
    #: What is taken for independent: "rows", "clusters", or, of forecasts, nothing: "series".
    errors: str
    #: By rows, whatever `errors` is.
    standard_error_of_rows: float | None
    #: By flips of the signs of rows or clusters; None of a series.
    permutation_p_value: float | None
    #: The number of rows where the model has a lower loss than the reference, and a higher one.
    n_better: int
    n_worse: int
    #: The model's less the reference's: difference = miscalibration − discrimination.
    miscalibration: float | None
    discrimination: float | None
    #: Of two classes, the model that is nowhere worse under any proper score on these rows: its name, "both", or None.
    dominant: str | None
    #: The Murphy diagram: for each threshold the mean elementary score of both, and their difference.
    murphy: list[dict[str, float]] | None
    #: For each slice: rows, difference, interval, p-values (adjusted for the false discovery rate), contribution.
    slices: list[dict[str, Any]]
    #: The rows that make most of the difference, in either direction.
    rows: list[dict[str, Any]]

    def sentence(self) -> str:
        """Say which model is better, and how sure that is."""
        if self.difference is None:
            return f"{self.model} and {self.reference} both have rows of infinite loss: their means do not compare."
        if self.interval is None:
            less = f"The log loss of {self.model} less that of {self.reference}"
            return f"{less} is {self.difference:.6g}; it has no interval."
        low, high = self.interval
        percent = f"{100 * self.confidence:g} %"
        between = f"{percent}: {low:.6g} to {high:.6g}"
        if low <= 0 <= high:
            return (
                f"{self.model} and {self.reference} do not differ beyond chance: the log loss of {self.model} is "
                f"{_by(self.difference)} ({between})."
            )
        word = "better" if self.difference < 0 else "worse"
        return (
            f"{self.model} is {word} than {self.reference}: its log loss is {_by(self.difference)} ({between}), "
            f"p = {self.adjusted_p_value:.2g}."
        )


@dataclass(frozen=True)
class Comparison:
    """Models on the same rows, each with its scores and its difference to the first one, the reference."""

    reference: str
    #: The scores of each model, by its name.
    evaluations: Mapping[str, Evaluation]
    #: For each model but the reference.
    differences: tuple[Difference, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes."""
        return asdict(self)

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return the attributes as JSON; infinite numbers are the texts "Infinity" and "-Infinity", NaN is null."""
        return to_json(self.to_dict(), indent=indent)

    def __str__(self) -> str:
        width = max(map(len, self.evaluations))
        lines = [f"{name:<{width}}  log loss {e.log_loss:.6g}" for name, e in self.evaluations.items()]
        return "\n".join([*lines, *(difference.sentence() for difference in self.differences)])

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def _by(difference: float) -> str:
    """Write a difference in words."""
    return f"{abs(difference):.6g} {'lower' if difference < 0 else 'higher'}" if difference else "the same"
