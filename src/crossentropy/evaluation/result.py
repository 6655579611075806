"""The scores of a data set."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crossentropy._files import replace_file
from crossentropy.evaluation._display import html_table, number, text_table, to_json, with_interval

__all__ = ["Evaluation"]


@dataclass(frozen=True)
class Evaluation:
    """The scores of predictions, as `evaluate` and `State.finalize` return them.

    What cannot be computed is None, as a skill where only one class occurred. Losses are in nats.
    """

    #: The number of rows with weight, and their weight.
    n: int
    weight: float
    #: The mean of −Σ t log p, in nats and in bits; infinite if a row of weight has p = 0 on its label.
    log_loss: float
    log_loss_bits: float
    #: exp(log_loss).
    perplexity: float
    #: Of the log loss: by the sandwich, by cluster if there are clusters. None if it is infinite.
    standard_error: float | None
    #: Of the log loss, by Student's distribution. With fewer than 50 rows of a label it ends too low: of 5, it holds
    #: the log loss in 84 to 88 % of data sets in place of 95 %, and in 35 % if a label may well not have occurred.
    interval: tuple[float, float] | None
    confidence: float
    #: The number of clusters; of more than 16384, of joined ones.
    clusters: int | None
    #: Of the replicates of a Poisson bootstrap: standard error and percentile interval.
    bootstrap_standard_error: float | None
    bootstrap_interval: tuple[float, float] | None
    #: Log loss divided by that of the base rates, or of the prior; 1 minus it, and its interval.
    normalized_entropy: float | None
    skill: float | None
    skill_interval: tuple[float, float] | None
    #: The mean of Σ (p − t)²; of two classes, of the positive one alone; and 1 minus its quotient by the base rates'.
    brier: float
    brier_skill: float | None
    accuracy: float
    #: For k from 2 on, the share of rows whose label is among the k most probable classes.
    top_k: dict[int, float] | None
    #: The mean of the entropy of the predictions: what the log loss would be if labels were drawn from them.
    mean_entropy: float
    #: Log loss less the entropy of soft labels.
    kl_divergence: float | None
    #: The number of rows with an infinite loss.
    n_infinite: int
    #: The parts of the log loss, S = miscalibration − discrimination + uncertainty. Of two classes, against the best
    #: increasing function ("isotonic"); of more, against the best temperature ("temperature").
    miscalibration: float | None
    discrimination: float | None
    uncertainty: float | None
    decomposition: str
    #: How much larger miscalibration and discrimination may be: 0 if all distinct predictions were told apart.
    decomposition_error: float | None
    #: The same for the Brier score; of more than two classes, the sum over the classes, each against the rest.
    brier_miscalibration: float | None
    brier_discrimination: float | None
    brier_uncertainty: float | None
    #: Calibration errors of the positive class; of more than two, of the most probable class. By B bins
    #: ``[k/B, (k + 1)/B)``, the last one closed; the largest bin's; the square without what chance adds; by bins of
    #: equal weight; without bins.
    ece: float
    #: Of the error that more rows would show: the error itself is above 0 by chance, so that the interval reaches 0
    #: where chance explains it. Rather too wide than too narrow; by cluster no narrower than of independent rows.
    ece_interval: tuple[float, float] | None
    maximum_calibration_error: float
    debiased_squared_error: float | None
    ece_equal_mass: float
    smooth_ece: float
    #: The mean over the classes of each one's error against the rest, by bins of equal width.
    classwise_ece: float | None
    #: The points of the reliability diagram.
    reliability: list[dict[str, Any]]
    #: The best increasing function of those predictions, as steps; and where it would lie, point by point, if they were
    #: calibrated.
    calibration_curve: list[dict[str, float]]
    consistency_band: list[dict[str, float]]
    #: Brier score and log loss less their expectation under the predictions, in standard deviations; by cluster if
    #: there are clusters. None of soft labels and of one cluster.
    spiegelhalter_z: float | None
    log_score_z: float | None
    #: The logistic regression of labels on log-odds.
    cox_slope: float | None
    cox_intercept: float | None
    #: What the logits would best be divided by, and the log loss then; of more than two classes within [½, 4]. 1 if
    #: no temperature changes the loss; None if it is infinite or clipped.
    temperature: float | None
    temperature_log_loss: float | None
    #: For each class and each slice: rows, weight, loss, interval; with clusters, by cluster for classes, and of slices
    #: wider by as much as that of all rows.
    #: From three to nine classes each has its calibration curve, against the others.
    classes: list[dict[str, Any]]
    slices: list[dict[str, Any]]
    #: The rows of the highest loss times weight, the worst first.
    worst_rows: list[dict[str, Any]]
    #: The share of the loss that the worst 0.1 % of the rows have, to about 1 %. None if weights are so large that rows
    #: cost more than 2³² nats, or so small that most of the loss is of rows that cost less than 2⁻³².
    worst_share: float | None
    #: How many rows of each fault were left out.
    bad_rows: dict[str, int]
    #: The log loss with probabilities clipped from below, by clip.
    clip_ladder: dict[str, float]
    #: Whose clipping the log loss reproduces.
    clip: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes."""
        return asdict(self)

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return the attributes as JSON; infinite numbers are the texts "Infinity" and "-Infinity", NaN is null."""
        return to_json(self.to_dict(), indent=indent)

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write a report: one file with its pictures, which asks for nothing from anywhere.

        The same evaluation has the same bytes.

        Raises
        ------
        ImportError
            Without Jinja2 and Matplotlib.
        """
        with _needs_report():
            from crossentropy._report.evaluation_page import evaluation_html
            from crossentropy._report.provenance import Provenance, versions
        page = evaluation_html(self.to_dict(), Provenance(versions=versions()))
        replace_file(lambda unfinished: unfinished.write_text(page, encoding="utf-8"), Path(path))

    def plot(self) -> Any:
        """Return the reliability diagram as a figure of Matplotlib.

        Raises
        ------
        ImportError
            Without Matplotlib.
        """
        with _needs_report():
            from crossentropy._report.figures import draw_reliability
        return draw_reliability(self.to_dict())

    def rows(self) -> list[tuple[str, str]]:
        """Return the lines of the table that `print` shows: names and numbers."""
        percent = f"{100 * self.confidence:g} %"
        lines = [
            ("rows", f"{self.n:,}"),
            ("log loss", with_interval(self.log_loss, self.interval, percent)),
            ("standard error", number(self.standard_error)),
            ("in bits", number(self.log_loss_bits)),
            ("perplexity", number(self.perplexity)),
            ("skill", number(self.skill)),
            ("miscalibration", number(self.miscalibration)),
            ("discrimination", number(self.discrimination)),
            ("uncertainty", number(self.uncertainty)),
            ("Brier score", number(self.brier)),
            ("accuracy", number(self.accuracy)),
            ("mean entropy", number(self.mean_entropy)),
            ("calibration error", number(self.ece)),
            ("smooth calibration error", number(self.smooth_ece)),
            ("best temperature", number(self.temperature)),
            ("log loss with it", number(self.temperature_log_loss)),
        ]
        if self.n_infinite:
            lines.insert(2, ("rows of infinite loss", f"{self.n_infinite:,}"))
            lines[3:3] = [(f"log loss clipped at {eps}", number(x)) for eps, x in self.clip_ladder.items()]
        if self.bad_rows:
            left_out = ", ".join(f"{count:,} {kind}" for kind, count in self.bad_rows.items())
            lines.insert(1, ("rows left out", left_out))
        return lines

    def __str__(self) -> str:
        return text_table(self.rows())

    def _repr_html_(self) -> str:
        return html_table(self.rows())


@contextmanager
def _needs_report() -> Iterator[None]:
    """Say what to install if an import of what reports are made by fails."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("jinja2", "markupsafe", "matplotlib"):
            raise
        raise ImportError(
            'reports need Jinja2 and Matplotlib; install them by: pip install "crossentropy[evaluate]"'
        ) from error
