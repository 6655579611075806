"""The steps of a loss in the words and formulas of a blackboard."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from crossentropy._report.sections import Section
from crossentropy._report.sentences import number, short

if TYPE_CHECKING:
    from crossentropy._explain.explanation import Explanation

__all__ = ["OPTIONS", "TRANSFORMS", "sections_of"]

#: What each transform of the logits computes, in the order in which they act.
TRANSFORMS = {
    "softcap": "z ← κ tanh(z / κ)",
    "margin": "z_y ← z_y − m, at the label alone",
    "temperature": "u = z / T",
    "logit_bias": "u ← u + b",
}
#: How each option enters the loss, in the order in which they act.
OPTIONS = TRANSFORMS | {
    "label_smoothing": "q ← (1 − ε) q + ε r",
    "smoothing_prior": "r, which the smoothed part goes to",
    "class_weight": "Σ w_c q_c (−log p_c)",
    "sample_weight": "ω times the loss",
    "link": "φ(log p) in place of −log p",
    "z_loss": "+ λ L²",
    "entropy_bonus": "− η H(p)",
}


def sections_of(e: "Explanation") -> list[Section]:
    """Write the steps."""
    return [
        _logits(e),
        *_transforms(e),
        _softmax(e),
        _label(e),
        *_options(e),
        _loss(e),
        _gradient(e),
        _digits(e),
    ]


def _logits(e: "Explanation") -> Section:
    cells = _row(e, e.logits)
    if e.from_probabilities:
        return Section("Logits", ["z = ln p of the probabilities; any constant may be added"], *cells)
    return Section("Logits", ["z, the scores of the classes"], *cells)


def _transforms(e: "Explanation") -> list[Section]:
    return [
        Section(f"{step.name} = {_value(step.value)}", [TRANSFORMS[step.name]], *_row(e, step.logits))
        for step in e.transforms
    ]


def _softmax(e: "Explanation") -> Section:
    u, p = e.transformed_logits, e.probabilities
    top = float(u.max())
    rows = [
        (_name(e, c), number(u[c]), number(float(np.exp(u[c] - top))), number(p[c], 6), number(e.target[c]))
        for c in e.shown
    ]
    lines = [
        f"p_c = e^(u_c − max) / Σ, and Σ = {number(math.exp(e.log_partition - top), 6)}",
        f"L = ln Σ e^u = {number(e.log_partition, 6)}",
        *_left_out(e),
    ]
    return Section("Softmax", lines, ("class", "u", "e^(u − max)", "p", "target q"), rows)


def _label(e: "Explanation") -> Section:
    lines = []
    if e.label is not None and e.log_odds_against is not None:
        D, y = e.log_odds_against, e.label
        lines += [
            f"D = ln Σ_(c≠y) e^(u_c) − u_y = {number(D, 6)}, the log-odds against {_name(e, y)}",
            f"p_y = 1 / (1 + e^D) = {number(float(e.probabilities[y]), 6)}, −log p_y = ln(1 + e^D)",
        ]
    lines += [
        f"H(q, p) = −Σ q log p = {number(e.cross_entropy, 6)} nats, the cross-entropy",
        f"        = H(q) + KL(q ‖ p) = {number(e.target_entropy, 6)} + {number(e.kl_divergence, 6)}",
        f"H(p) = {number(e.entropy, 6)} nats, how unsure the prediction is; at most ln C = "
        f"{number(math.log(len(e.logits)), 6)}",
    ]
    return Section("Label and prediction", lines)


def _options(e: "Explanation") -> list[Section]:
    if len(e.contributions) == 1:
        return []
    rows = [
        (
            c.name if c.value is None else f"{c.name} = {_value(c.value)}",
            number(c.loss, 6),
            number(c.change, 6),
            OPTIONS.get(c.name, "−Σ q log softmax(z)"),
        )
        for c in e.contributions
    ]
    return [Section("What each option contributes", [], ("option", "loss, nats", "change", "how"), rows)]


def _loss(e: "Explanation") -> Section:
    perplexity = math.exp(min(e.loss, 709.0))
    lines = [f"{number(e.loss, 6)} nats = {number(e.loss_bits, 6)} bits"]
    if len(e.contributions) == 1:
        lines.append(f"e^loss = {number(perplexity)}: as unsure as among so many equal classes")
    return Section("Loss", lines)


def _gradient(e: "Explanation") -> Section:
    rows = [
        (_name(e, c), number(float(e.gradient[c]), 6), number(float(change), 6))
        for c, change in zip(e.shown, e.unit_changes, strict=True)
    ]
    bare = set(e.options) <= {"label_smoothing", "smoothing_prior", "logit_bias", "margin"}
    lines = ["∂loss/∂z_c = p_c − q_c"] if bare else ["∂loss/∂z_c, with all options"]
    lines.append(f"their sum is {number(e.gradient_sum, 3)}")
    return Section("Gradient", lines, ("class", "gradient", "change of the loss if z_c is 1 higher"), rows)


def _digits(e: "Explanation") -> Section:
    d = e.digits
    rows = [
        ("ln Σ e^(u − max) − (u_y − max)", f"{d.usual_loss:.1f}", f"{d.usual_gradient:.1f}"),
        ("this package", f"{d.loss:.1f}", f"{d.gradient:.1f}"),
    ]
    lines = ["right decimal digits of the cross-entropy in float32, of at most 7.2"]
    return Section("Digits", lines, ("formula", "loss", "gradient at the label"), rows)


def _row(e: "Explanation", values: Any) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    return ("class", "logit"), [(_name(e, c), number(float(values[c]), 6)) for c in e.shown]


def _left_out(e: "Explanation") -> list[str]:
    others = len(e.logits) - len(e.shown)
    return [f"{others:,} less probable classes are not shown"] if others else []


def _name(e: "Explanation", c: int) -> str:
    return short(e.classes[c]) + (" (label)" if c == e.label else "")


def _value(value: Any) -> str:
    if isinstance(value, float):
        return number(value)
    return short(value.tolist() if isinstance(value, np.ndarray) else value)
