"""From sums and counts to scores."""

import math
from typing import Any

import numpy as np

from crossentropy.evaluation import _decomposition as decomposition
from crossentropy.evaluation import _recalibration as recalibration
from crossentropy.evaluation import _reliability as reliability
from crossentropy.evaluation._calibration_curve import calibration_curve, consistency_band
from crossentropy.evaluation._calibration_evidence import ece_interval, surprises
from crossentropy.evaluation._declaration import Declaration
from crossentropy.evaluation._exact import ExactSum
from crossentropy.evaluation._group_results import (
    Design,
    adjusted_p,
    class_designs,
    group_result,
    skill_variance,
    slice_results,
)
from crossentropy.evaluation._intervals import (
    bootstrap_interval,
    check_confidence,
    cluster_variance,
    exp_or_infinity,
    mean_of,
    sandwich_variance,
    student_interval,
    student_quantile,
)
from crossentropy.evaluation._part import Part
from crossentropy.evaluation._prediction_table import Entries
from crossentropy.evaluation._row_scores import POWERS
from crossentropy.evaluation._smooth_error import smooth_error
from crossentropy.evaluation._totals import LADDER
from crossentropy.evaluation.result import Evaluation

__all__ = ["finalize"]

NAN = math.nan
#: Predictions of a class, and the best increasing function of them.
Fitted = tuple[Entries, decomposition.Blocks]
#: Up to how many classes each has a calibration curve.
CURVES = 9
MOMENTS = ("weight", "weight_square", "loss", "loss_square", "weight_loss")


def finalize(part: Part, *, interval: float, prior: Any) -> Evaluation:
    """Compute the scores of a `Part`."""
    totals, d = part.totals, part.declaration
    check_confidence(interval)
    if totals.n == 0:
        raise ValueError("there are no rows with weight to score; pass data with rows, or check the weights")
    weight = totals["weight"]
    infinite = totals.n_infinite > 0
    finite_loss = mean_of(totals["loss"], weight)
    loss = math.inf if infinite else finite_loss
    variance, design = variance_of_loss(part)
    rates = base_rates(part)
    uncertainty = entropy_of(rates)
    null_rates = rates if prior is None else checked_prior(prior, d)
    null = cross_entropy_of(rates, null_rates, d)
    brier, brier_null = mean_of(totals["brier"], weight), brier_uncertainty(part, rates)
    entries, *of_classes = (table.entries() for table in part.tables)
    each = [(own, decomposition.best_blocks(own)) for own in of_classes]
    scores: dict[str, Any] = {
        "n": totals.n,
        "weight": float(weight),
        "log_loss": loss,
        "log_loss_bits": loss / math.log(2),
        "perplexity": exp_or_infinity(loss),
        "confidence": interval,
        **errors(part, loss, variance, design, interval),
        "normalized_entropy": loss / null if null > 0 else None,
        "skill": 1 - loss / null if null > 0 else None,
        "skill_interval": skill_interval(part, loss / null, null_rates, design, interval)
        if null > 0
        else None,
        "brier": brier,
        "brier_skill": 1 - brier / brier_null if brier_null > 0 else None,
        "accuracy": mean_of(totals["correct"], weight),
        "top_k": top_k(part),
        "mean_entropy": mean_of(totals["entropy"], weight),
        "kl_divergence": loss - mean_of(totals["label_entropy"], weight) if d.soft else None,
        "n_infinite": totals.n_infinite,
        **calibration(part, entries, each, loss, uncertainty, brier, brier_null),
        "consistency_band": consistency_band(entries, interval),
        "ece_interval": ece_interval(part, interval),
        **surprises(part),
        "classes": class_results(part, each, rates, interval, design),
        "slices": all_slices(part, interval, design),
        "worst_rows": worst_rows(part),
        "worst_share": None if infinite else part.histogram.share_of_highest(1e-3, float(totals["loss"])),
        "bad_rows": dict(sorted(part.bad_rows.items())),
        "clip_ladder": clip_ladder(part),
        "clip": d.clip,
    }
    return Evaluation(**scores)


# ------------------------------------------------------------------------------------------------------ base rates


def base_rates(part: Part) -> list[float]:
    """Return the share of each class in the weight."""
    weight = part.totals["weight"]
    if part.masses is not None:
        masses = [ExactSum(x) for x in part.masses.scaled()]
    else:
        masses = [g.weight for g in part.class_totals()]
    return [mean_of(mass, weight) for mass in masses]


def entropy_of(rates: list[float]) -> float:
    """Return −Σ π log π."""
    return math.fsum(-p * math.log(p) for p in rates if p > 0)


def cross_entropy_of(rates: list[float], prior: list[float], d: Declaration) -> float:
    """Return −Σ π log q."""
    for label, p, q in zip(d.classes, rates, prior, strict=True):
        if p > 0 and q == 0:
            raise ValueError(
                f"prior is {prior}, which gives the label {label!r} no chance, and rows have it: against an infinite "
                "loss there is no skill; pass a probability above 0 for it"
            )
    return math.fsum(-p * math.log(q) for p, q in zip(rates, prior, strict=True) if p > 0)


def checked_prior(prior: Any, d: Declaration) -> list[float]:
    """Return a prior as the probability of each class."""
    given = np.asarray(prior)
    if given.dtype.kind not in "biuf":
        raise ValueError(f"prior is {prior!r}; pass the probability of each class, as numbers")
    given = given.astype(np.float64)
    if given.ndim == 0 and d.is_binary:
        given = np.stack([1 - given, given])
    if given.shape != (len(d.classes),):
        raise ValueError(
            f"prior has shape {given.shape}, and there are {len(d.classes)} classes, {list(d.classes)!r}; pass the "
            "probability of each, in this order"
        )
    if not ((given >= 0) & (given <= 1)).all():
        raise ValueError(f"prior is {prior!r}; pass probabilities, from 0 to 1")
    if abs(given.sum() - 1) > 1e-6:
        raise ValueError(f"prior is {given.tolist()}, which sums to {given.sum():.9g}; pass a distribution")
    return [float(x) for x in given]


def brier_uncertainty(part: Part, rates: list[float]) -> float:
    """Return the Brier score of the base rates."""
    spread = mean_of(part.totals["label_spread"], part.totals["weight"])  # of soft labels around their draws
    if part.declaration.is_binary:
        return rates[0] * rates[1] - spread
    return math.fsum(p * (1 - p) for p in rates) - spread


# ---------------------------------------------------------------------------------------------------------- errors


def variance_of_loss(part: Part) -> tuple[float | None, Design]:
    """Return the variance of the mean of the finite losses, and what clusters do to it."""
    of_rows = sandwich_variance(part.totals.n, *(part.totals[x] for x in MOMENTS))
    if part.clusters is None:
        return of_rows, Design()
    weights, losses, *_ = part.clusters.sums.sums()
    by_cluster = cluster_variance(weights, losses)
    return by_cluster, Design.of(by_cluster, of_rows, len(weights))


def errors(
    part: Part, loss: float, variance: float | None, design: Design, interval: float
) -> dict[str, Any]:
    """Return the standard error of the log loss and its intervals."""
    error = None if variance is None or math.isinf(loss) else math.sqrt(variance)
    resampled = None
    if part.replicates is not None and not math.isinf(loss):
        of_weights, of_losses = part.replicates
        resampled = bootstrap_interval(of_weights.scaled(), of_losses.scaled(), interval)
    return {
        "standard_error": error,
        "interval": student_interval(loss, error, design.freedom(part.totals.n), interval),
        "clusters": design.clusters,
        "bootstrap_standard_error": resampled and resampled[0],
        "bootstrap_interval": resampled and resampled[1],
    }


def skill_interval(
    part: Part, ratio: float, null_rates: list[float], design: Design, interval: float
) -> tuple[float, float] | None:
    """Return the interval of the skill; by cluster, as much wider as that of the log loss is."""
    totals = part.totals
    if part.declaration.soft or not math.isfinite(ratio) or design.freedom(totals.n) < 1:
        return None
    nulls = [-math.log(q) if q > 0 else 0.0 for q in null_rates]
    variance = skill_variance(part.class_totals(), nulls)
    if variance is None:
        return None
    reach = student_quantile(0.5 + interval / 2, design.freedom(totals.n)) * math.sqrt(
        variance * design.effect
    )
    return 1 - ratio - reach, 1 - ratio + reach


def top_k(part: Part) -> dict[int, float] | None:
    """Return the share of rows whose label is among the k most probable classes."""
    if part.ranks is None:
        return None
    weights = part.ranks.scaled()
    most = min(len(weights) - 1, len(part.declaration.classes) - 1)
    return {k: mean_of(ExactSum(sum(weights[:k])), part.totals["weight"]) for k in range(2, most + 1)}


def clip_ladder(part: Part) -> dict[str, float]:
    """Return the log loss with probabilities clipped from below."""
    totals, ladder = part.totals, {}
    for eps, cost in LADDER.items():
        above = (totals[f"above_{eps}"].scaled + totals["infinite"].scaled) * int(cost * 2**52)
        rest = totals["loss"].scaled - totals[f"cost_above_{eps}"].scaled
        ladder[f"{eps:g}"] = (above + (rest << 52)) / (totals["weight"].scaled << 52)
    return ladder


# ----------------------------------------------------------------------------------------------------- calibration


def calibration(
    part: Part,
    entries: Entries,
    each: list[Fitted],
    loss: float,
    uncertainty: float,
    brier: float,
    brier_null: float,
) -> dict[str, Any]:
    """Return the parts of the scores, calibration errors, and what a recalibration would find."""
    d, bins = part.declaration, part.bins.bins()
    blocks = decomposition.best_blocks(entries)
    result: dict[str, Any] = {
        "ece": reliability.expected_error(bins),
        "maximum_calibration_error": reliability.maximum_error(bins),
        "debiased_squared_error": reliability.debiased_square(bins),
        "ece_equal_mass": reliability.expected_error(reliability.equal_mass_bins(entries, d.bins)),
        "smooth_ece": smooth_error(entries),
        "reliability": reliability.reliability(bins),
        "calibration_curve": calibration_curve(entries, blocks),
        "classwise_ece": None,
        "cox_slope": None,
        "cox_intercept": None,
    }
    temperature, error = None, None
    is_plain = math.isfinite(loss) and d.clip is None  # else no temperature makes sense of the loss
    spread = mean_of(part.totals["label_spread"], part.totals["weight"])
    if d.is_binary:
        kind = d.kind if d.one_column or d.kind == "logits" else "proba"
        if is_plain:
            apart = entries.exact and kind == d.kind and (d.one_column or kind == "logits")
            far = None if part.far is None or apart else part.far.entries()
            odds = recalibration.log_odds(entries, kind, far)
            temperature = recalibration.best_temperature(odds)
            fit = recalibration.cox(odds)
            result["cox_slope"], result["cox_intercept"] = fit or (None, None)
        best, brier_best = decomposition.log_score(blocks), decomposition.brier_score(blocks) - spread
        error = 0.0
        if not entries.exact:
            error = max(0.0, best - decomposition.log_score(decomposition.least_blocks(entries)))
    else:
        if is_plain:
            temperature = recalibration.interpolated_temperature(nodes(part, loss))
        best = NAN if temperature is None else temperature.log_loss
        if each:
            scores = [decomposition.brier_score(blocks) for _, blocks in each]
            brier_best = math.fsum(scores) - spread
            classwise = [reliability.expected_error(reliability.binned(x, d.bins)) for x, _ in each]
            result["classwise_ece"] = math.fsum(classwise) / len(classwise)
        else:
            brier_best = NAN
    return result | {
        "decomposition": "isotonic" if d.is_binary else "temperature",
        "miscalibration": _known(loss - best),
        "discrimination": _known(uncertainty - best),
        "uncertainty": uncertainty,
        "decomposition_error": error,
        "brier_miscalibration": _known(brier - brier_best),
        "brier_discrimination": _known(brier_null - brier_best),
        "brier_uncertainty": brier_null,
        "temperature": None if temperature is None else temperature.temperature,
        "temperature_log_loss": None if temperature is None else temperature.log_loss,
    }


def _known(x: float) -> float | None:
    return None if math.isnan(x) else x


def nodes(part: Part, loss: float) -> list[recalibration.Node]:
    """Return the mean loss under powers β of p, log Σ p^β − β log p_y, and its derivatives by β."""
    totals = part.totals
    weight = totals["weight"]
    excess = mean_of(totals["loss"], weight) - mean_of(totals["entropy"], weight)
    found = [recalibration.Node(1.0, loss, excess, mean_of(totals["mean_variance"], weight))]
    for power in POWERS:
        log_sum, mean_log, variance = (mean_of(totals[f"power_{power}_{k}"], weight) for k in range(3))
        found.append(recalibration.Node(power, log_sum + power * loss, mean_log + loss, variance))
    return sorted(found)


# --------------------------------------------------------------------------------------------------- parts of rows


def class_results(
    part: Part, each: list[Fitted], rates: list[float], interval: float, design: Design
) -> list[dict[str, Any]]:
    """Return the scores of each class; of soft labels the base rates. Some classes have calibration curves."""
    labels = part.declaration.classes
    results: list[dict[str, Any]] = [
        {"label": label, "base_rate": rate} for label, rate in zip(labels, rates, strict=True)
    ]
    if len(labels) <= CURVES:
        for result, fitted in zip(results, each, strict=False):  # of two classes there is one curve
            result["calibration_curve"] = calibration_curve(*fitted)
    if part.masses is not None:
        return results
    groups, designs = part.class_totals(), [design] * len(labels)
    if part.clusters is not None and part.clusters.is_complete:
        designs = class_designs(groups, part.clusters.class_sums())
    return [
        result | group_result(g, interval, own)
        for result, g, own in zip(results, groups, designs, strict=True)
    ]


def all_slices(part: Part, interval: float, design: Design) -> list[dict[str, Any]]:
    """Return the scores of each slice of each column, with p-values adjusted over all of them."""
    results = []
    for column, names, scores in zip(part.declaration.slices, part.slice_names, part.slices, strict=True):
        results += slice_results(column, list(names), scores.totals(len(names)), interval, design)
    for result, p in zip(results, adjusted_p([r["p_value"] for r in results]), strict=True):
        result["adjusted_p_value"] = p
    return results


def worst_rows(part: Part) -> list[dict[str, Any]]:
    """Return the rows of the highest loss times weight."""
    labels, totals = part.declaration.classes, part.totals
    whole = math.inf if totals.n_infinite else float(totals["loss"])
    return [
        {
            "row": row.row,
            **({"origin": row.origin} if row.origin else {}),
            "label": None if row.label < 0 else labels[row.label],
            "log_loss": row.loss,
            "weight": row.weight,
            "share_of_loss": row.cost / whole if 0 < whole < math.inf else None,
        }
        for row in part.worst.rows
    ]
