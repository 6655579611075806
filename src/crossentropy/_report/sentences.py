"""What an evaluation says, in sentences: is it better than nothing, is it calibrated, what would help most."""

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

__all__ = [
    "advice",
    "calibration",
    "describe_classes",
    "describe_decomposition",
    "describe_reliability",
    "event_of",
    "number",
    "percent",
    "short",
    "verdict",
]

Result = Mapping[str, Any]


def number(x: float | None, digits: int = 4) -> str:
    """Return a number in so many digits; a dash for None and NaN."""
    if x is None or math.isnan(x):
        return "–"
    if math.isinf(x):
        return "∞" if x > 0 else "−∞"
    return f"{x:.{digits}g}".replace("-", "−")


def percent(x: float | None) -> str:
    """Return a share in percent; a dash for None and NaN."""
    if x is None or math.isnan(x):
        return number(x)
    if math.isinf(x):
        return f"{number(x)} %"
    digits = 1 if x == 0 or abs(x) >= 0.001 else 3
    return f"{100 * x:.{digits}f} %".replace("-", "−")


def short(name: Any, letters: int = 40) -> str:
    """Return a name on one line, its middle left out if it is long."""
    text = " ".join(
        "".join(letter for letter in str(name) if letter.isprintable() or letter.isspace()).split()
    )
    return text if len(text) <= letters else f"{text[: letters // 2]}…{text[-letters // 3 :]}"


def event_of(result: Result) -> str:
    """Return what the calibration curve is the probability of: the positive label, or a right prediction."""
    labels = [c["label"] for c in result["classes"]]
    return short(labels[1], 24) if len(labels) == 2 else "a correct prediction"


def _interval(result: Result) -> str:
    low, high = result["interval"]
    return f"{100 * result['confidence']:g} % interval {number(low)} to {number(high)}"


def verdict(result: Result) -> str:
    """Say whether the predictions are better than the base rates, by how much, and how sure that is."""
    n, loss = result["n_infinite"], result["log_loss"]
    if n:
        rows = "a row was" if n == 1 else f"{n:,} rows were"
        clip, clipped = next(iter(result["clip_ladder"].items()))
        return (
            f"The log loss is infinite, because {rows} given probability 0 for the label that occurred. With "
            f"probabilities of at least {clip} it would be {number(clipped)} nats."
        )
    score = f"The log loss is {number(loss)} nats" + (f" ({_interval(result)})" if result["interval"] else "")
    if result["skill"] is None:
        return f"{score}. There is nothing to compare it with: only one class occurred."
    null = loss / result["normalized_entropy"] if result["normalized_entropy"] else result["uncertainty"]
    base = "the base rates" if math.isclose(null, result["uncertainty"], rel_tol=1e-9) else "the given prior"
    skill, interval = result["skill"], result["skill_interval"]
    much = f"{percent(abs(skill))} {'below' if skill >= 0 else 'above'} the {number(null)} nats of {base}"
    if interval is None:
        return f"{score}, {much}. Whether that is chance was not tested."
    sure = f"{100 * result['confidence']:g} % interval of the skill {percent(interval[0])} to {percent(interval[1])}"
    if interval[0] > 0:
        judgment = f"Better than {base}"
    elif interval[1] < 0:
        judgment = f"Worse than {base}"
    else:
        judgment = f"Not clearly better or worse than {base}"
    return f"{judgment}: {score[0].lower()}{score[1:]}, {much} ({sure})."


def calibration(result: Result) -> str:
    """Say whether the predictions are calibrated."""
    z, gap = result["log_score_z"], result["log_loss"] - result["mean_entropy"]
    cost = result["miscalibration"]
    costs = "" if cost is None or math.isinf(cost) else f" Miscalibration costs {number(cost)} nats."
    if result["n_infinite"]:
        return "Not calibrated: what was given probability 0 did occur."
    if z is None:
        return f"Whether the predictions are calibrated was not tested.{costs}"
    limit = NormalDist().inv_cdf(0.5 + result["confidence"] / 2)
    if abs(z) > limit:
        kind, than = ("over", "more") if z > 0 else ("under", "less")
        return (
            f"The predictions are {kind}confident: labels cost {number(abs(gap))} nats {than} than the predictions "
            f"themselves expect ({number(abs(z), 2)} standard errors).{costs}"
        )
    brier = result["spiegelhalter_z"]
    if brier is not None and abs(brier) > limit:
        return (
            "The predictions are not calibrated: the log loss is what they expect, but the Brier score is not "
            f"(Spiegelhalter's z is {number(brier, 2)}).{costs}"
        )
    return (
        f"No sign of over- or underconfidence: labels cost what the predictions expect, within {number(abs(z), 2)} "
        f"standard errors.{costs}"
    )


def advice(result: Result) -> str:
    """Say what would help most."""
    loss = result["log_loss"]
    if result["n_infinite"]:
        return "First look at the rows of infinite loss below: a probability should be 0 only for what cannot occur."
    if result["skill"] is None:
        return "Rows of other classes are needed to tell what would help."
    if not loss:
        return "No row has a loss: there is nothing left to gain on these rows."
    found = [_by_temperature(result), _by_calibration(result), _by_slice(result)]
    saving, sentence = max(x for x in found if x is not None) if any(found) else (0.0, "")
    if saving > 0.01 * loss:
        return sentence
    if result["worst_share"] is not None and result["worst_share"] > 0.2 and result["n"] >= 1000:
        return f"The worst 0.1 % of the rows own {percent(result['worst_share'])} of the loss: look at them first."
    left = loss - (result["miscalibration"] or 0.0)
    return (
        f"Recalibration would save little. What would help is a model that tells the classes apart better: "
        f"{number(left)} nats are left when these predictions are calibrated."
    )


def _by_temperature(result: Result) -> tuple[float, str] | None:
    temperature = result["temperature"]
    if temperature is None:
        return None
    saving = result["log_loss"] - result["temperature_log_loss"]
    share = percent(saving / result["log_loss"])
    return saving - 2 / result["n"], (  # some of it is saved by chance
        f"A temperature would help most: logits divided by {number(temperature)} would have a log loss of "
        f"{number(result['temperature_log_loss'])} nats, {share} less."
    )


def _by_calibration(result: Result) -> tuple[float, str] | None:
    if result["decomposition"] != "isotonic" or result["miscalibration"] is None:
        return None
    saving = result["miscalibration"]
    # A curve fitted to the same rows saves something by chance too, some nats in all for each of its steps.
    chance = len(result["calibration_curve"]) / result["n"]
    return saving - 2 * chance, (
        f"Recalibration would help most: the best increasing function of these predictions would save up to "
        f"{number(saving)} nats, {percent(saving / result['log_loss'])} of the loss."
    )


def _by_slice(result: Result) -> tuple[float, str] | None:
    worse = [
        s
        for s in result["slices"]
        if s["adjusted_p_value"] is not None
        and s["adjusted_p_value"] < 1 - result["confidence"]
        and s["share_of_loss"] is not None
        and s["share_of_loss"] > s["share_of_weight"]
    ]
    if not worse:
        return None
    worst = max(worse, key=lambda s: s["share_of_loss"] - s["share_of_weight"])
    excess = worst["share_of_loss"] - worst["share_of_weight"]
    return excess * result["log_loss"], (
        f"Look at the slice where {short(worst['column'])} is {short(worst['slice'])}: it has "
        f"{percent(worst['share_of_weight'])} of the weight and {percent(worst['share_of_loss'])} of the loss."
    )


def describe_decomposition(result: Result) -> str:
    """Say in words what the picture of the decomposition shows."""
    return (
        f"The base rates have a log loss of {number(result['uncertainty'])} nats. The predictions have "
        f"{number(result['log_loss'])}: {number(result['log_loss'] - result['miscalibration'])} would be left if they "
        f"were calibrated, and miscalibration adds {number(result['miscalibration'])}."
    )


def describe_classes(result: Result) -> str:
    """Say in words what the reliability diagrams of classes show."""
    labels = ", ".join(short(c["label"]) for c in result["classes"])
    return (
        f"For each of the classes {labels}, its frequency as an increasing function of its predicted probability. "
        f"The classwise calibration error is {number(result['classwise_ece'])}."
    )


def describe_reliability(result: Result) -> str:
    """Say in words what the reliability diagram shows."""
    event = event_of(result)
    curve, band = result["calibration_curve"], result["consistency_band"]
    above = below = 0.0
    for point in band:
        frequency = next(
            (s["frequency"] for s in curve if point["probability"] <= s["to"]), curve[-1]["frequency"]
        )
        above += frequency > point["upper"]
        below += frequency < point["lower"]
    parts = [
        f"{percent(share / len(band))} of the predictions it lies {where} the band, {event} being {what} than predicted"
        for share, where, what in ((above, "above", "more frequent"), (below, "below", "less frequent"))
        if share
    ]
    where = f"For {', and for '.join(parts)}." if parts else "It lies within the band everywhere."
    return (
        f"The frequency of {event} as an increasing function of its predicted probability, with the band in which it "
        f"would lie if the predictions were calibrated. {where} Below, the distribution of the predictions."
    )
