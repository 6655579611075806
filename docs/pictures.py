"""Pictures of the losses: what each costs and how hard it pulls, against the margin.

Every curve is drawn from the package itself. ``python docs/pictures.py FOLDER [svg|png]`` draws them by hand;
Sphinx draws them when it builds the pages.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from crossentropy import links, losses

MARGIN = np.linspace(-5.0, 5.0, 2001)
BLACK, ORANGE, BLUE, GREEN, RED, PINK = "#333333", "#d98200", "#0072b2", "#009e73", "#c8501e", "#b5528c"
COLORS = (BLACK, ORANGE, BLUE, GREEN, RED, PINK)  # told apart by the color-blind
STYLES = ("-", "-", "--", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (2, 1)))

Rows = Callable[[np.ndarray], np.ndarray]


class Picture(NamedTuple):
    """Curves over one margin, by what is written beside them."""

    curves: dict[str, Rows]
    margin: str = "margin  $z_y − z_{other}$"
    loss: str = "loss, nats"
    gradient: str = "pull on the label's logit,  $−∂ℓ/∂z_y$"


def of(link: links.Link) -> Rows:
    """A link by the margin, which is the log-odds of the label."""
    return lambda m: np.asarray(link.loss(-m))


def two(loss: Callable, **options: object) -> Rows:
    """A softmax loss of two classes, of which the first is the label."""
    return lambda m: loss(
        np.stack([m, np.zeros_like(m)], axis=1), np.zeros(m.shape, dtype=int), reduction="none", **options
    )


def student(direction: str) -> Rows:
    """Distillation from a teacher whose margin is 2."""
    teacher = np.tile([2.0, 0.0], (MARGIN.size, 1))

    def rows(m: np.ndarray) -> np.ndarray:
        mine = np.stack([m, np.zeros_like(m)], axis=1)
        return losses.distillation_loss(mine, teacher, temperature=1.0, direction=direction, reduction="none")

    return rows


def policy(advantage: float) -> Rows:
    """PPO's clipped loss of an action that had the probability ½ when it was taken."""
    full = np.full(MARGIN.shape, advantage)
    return of(links.ClippedPolicy(full, np.full(MARGIN.shape, np.log(0.5)), clip=0.2))


def a_no(loss: Callable, **options: object) -> Rows:
    """A sigmoid loss of an element labeled 0, whose margin is −z."""
    return lambda m: loss(-m, np.zeros_like(m), reduction="none", **options)


CROSS_ENTROPY = {"cross-entropy": of(links.CrossEntropy())}
RARE = np.asarray([0.2, 0.8])  # the label's class has a fifth of the rows

PICTURES = {
    "focusing": Picture(
        CROSS_ENTROPY
        | {
            "focal, γ = 0.5": of(links.Focal(0.5)),
            "focal, γ = 2": of(links.Focal(2.0)),
            "Poly, ε = 2": of(links.Poly(2.0)),
            "Poly, ε = −1": of(links.Poly(-1.0)),
        }
    ),
    "bounded": Picture(
        CROSS_ENTROPY
        | {
            "mean absolute error": of(links.MeanAbsoluteError()),
            "Taylor, order 2": of(links.Taylor(2)),
            "generalized, q = 0.7": of(links.GeneralizedCrossEntropy(0.7)),
            "truncated at ½": of(links.GeneralizedCrossEntropy(0.7, truncation=0.5)),
        }
    ),
    "mixed": Picture(
        CROSS_ENTROPY
        | {
            "symmetric": of(links.SymmetricCrossEntropy()),
            "Huberized, τ = 2": of(links.PartiallyHuberized(2.0)),
            "Huberized, τ = 10": of(links.PartiallyHuberized(10.0)),
            "Tsallis, t = 0.8": of(links.Tsallis(0.8)),
        }
    ),
    "unlikelihood": Picture(CROSS_ENTROPY | {"unlikelihood": of(links.Unlikelihood())}),
    "noise": Picture(
        {
            "cross-entropy": two(losses.softmax_cross_entropy),
            "normalized": two(losses.normalized_cross_entropy),
            "active and passive": two(losses.active_passive_loss),
            "bi-tempered": two(losses.bi_tempered_loss),
            "forward, 20 % wrong": two(
                losses.forward_corrected_loss, transition=np.asarray([[0.8, 0.2], [0.2, 0.8]])
            ),
        }
    ),
    "imbalance": Picture(
        {
            "cross-entropy": two(losses.softmax_cross_entropy),
            "balanced weights": two(
                losses.softmax_cross_entropy, class_weight=np.asarray(losses.balanced_weights(RARE))
            ),
            "logit adjustment": two(losses.softmax_cross_entropy, logit_bias=losses.logit_adjustment(RARE)),
            "a margin of 1": two(losses.softmax_cross_entropy, margin=1.0),
        }
    ),
    "multilabel": Picture(
        {
            "cross-entropy": a_no(losses.sigmoid_cross_entropy),
            "focal, γ = 2": a_no(losses.sigmoid_focal_loss, alpha=None),
            "asymmetric": a_no(losses.asymmetric_loss),
        },
        margin="margin of a no,  $−z$",
        gradient="pull on the logit,  $∂ℓ/∂z$",
    ),
    "distillation": Picture(
        {
            "forward": student("forward"),
            "reverse": student("reverse"),
            "Jensen–Shannon": student("jensen-shannon"),
        },
        margin="student's margin (the teacher's is 2)",
        gradient="pull on the student's logit",
    ),
    "policy": Picture(
        {"advantage −1": policy(-1.0), "advantage 1": policy(1.0)},
        margin="log-odds of the action (they were 0)",
        gradient="pull on the action's logit",
        loss="loss",
    ),
    "adversarial": Picture(
        {
            "not saturating": lambda m: losses.generator_loss(m, reduction="none"),
            "saturating": lambda m: losses.generator_loss(m, saturating=True, reduction="none"),
        },
        margin="discriminator's log-odds of real, $d$",
        gradient="the generator's pull,  $−∂ℓ/∂d$",
    ),
    "rivals": Picture(
        {
            "cross-entropy": two(losses.softmax_cross_entropy),
            "hinge": two(losses.hinge_loss),
            "Brier": two(losses.brier_loss),
        },
        loss="loss",
    ),
}


def draw(picture: Picture, path: Path) -> None:
    """Loss on the left, its slope on the right, each curve named where it begins."""
    with plt.rc_context({"font.size": 9.5, "svg.fonttype": "none", "svg.hashsalt": path.stem}):
        figure, (cost, pull) = plt.subplots(1, 2, figsize=(8.2, 2.9))
        figure.subplots_adjust(left=0.2, right=0.945, bottom=0.16, top=0.89, wspace=0.22)
        begins = []
        for (name, rows), color, style in zip(picture.curves.items(), COLORS, STYLES, strict=False):
            values = rows(MARGIN)
            cost.plot(MARGIN, values, color=color, linestyle=style, linewidth=1.7)
            pull.plot(MARGIN, -np.gradient(values, MARGIN), color=color, linestyle=style, linewidth=1.7)
            begins.append((float(values[0]), name, color))
        cost.set_title(picture.loss, fontsize=9.5, loc="left")
        pull.set_title(picture.gradient, fontsize=9.5, loc="left")
        for axes in (cost, pull):
            axes.set_xlabel(picture.margin)
            axes.set_xlim(-5, 5)
            axes.axhline(0, color="#bbbbbb", linewidth=0.8, zorder=0)
            axes.axvline(0, color="#dddddd", linewidth=0.8, zorder=0)
            axes.spines[["top", "right", "left"]].set_visible(False)
            axes.yaxis.tick_right()
            axes.tick_params(axis="y", length=0)
        write_names(cost, begins)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=110)
        plt.close(figure)


def write_names(axes: Axes, begins: list[tuple[float, str, str]]) -> None:
    """Each name left of its curve, moved apart from its neighbors, with a thin line to where it belongs."""
    low, high = axes.get_ylim()
    least = (high - low) * 0.095
    begins = sorted(begins)
    places = [begins[0][0]]
    for height, *_ in begins[1:]:
        places.append(max(height, places[-1] + least))
    for i in reversed(range(len(places) - 1)):  # share the push between those above and those below
        crowd = places[i + 1] - places[i] < least * 1.01 and places[i + 1] > begins[i + 1][0]
        places[i] -= least / 2 * crowd
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + least)
    for (height, name, color), place in zip(begins, places, strict=True):
        axes.plot([-5.0, -5.25, -5.4], [height, place, place], color=color, linewidth=0.7, clip_on=False)
        axes.text(-5.5, place, name, color=color, ha="right", va="center")


def draw_all(folder: Path, kind: str = "svg") -> None:
    """Every picture, as ``folder/name.kind``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in PICTURES.items():
        draw(picture, folder / f"{name}.{kind}")


if __name__ == "__main__":
    draw_all(Path(sys.argv[1]), *sys.argv[2:])
