"""The public losses, their summaries, and those that a classifier can be trained with; needs no torch."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter, getdoc, signature
from typing import Any

from crossentropy import losses
from crossentropy._arguments.errors import keywords
from crossentropy._engine.softmax.regularizers import REGULARIZERS

__all__ = ["KNOWN_LOSSES", "KnownLoss", "paper", "public_losses", "summary"]

#: options of `softmax_cross_entropy` that are set by a number, or by a word for a function of the class counts
SHARED = (
    "label_smoothing",
    "temperature",
    "softcap",
    *REGULARIZERS,
    "class_weight",
    "logit_bias",
)
#: keywords of losses that an expression cannot set
TEXTS = ("reduction", "normalizer", "empty", "validate", "inplace")
#: keywords that are set by a word, and the value or the function of the class counts for each word
WORDS: dict[str, dict[str, Any]] = {
    "class_weight": {
        "balanced": losses.balanced_weights,
        "class_balanced": losses.class_balanced_weights,
    },
    "logit_bias": {"adjusted": losses.logit_adjustment},
    "kind": {"crammer-singer": "crammer-singer", "weston-watkins": "weston-watkins"},
    "detach": {"True": True, "False": False},
}


@dataclass(frozen=True)
class KnownLoss:
    """A loss of logits and one label a row that an expression may name.

    Attributes
    ----------
    function : callable
    about_probabilities : bool
        Whether the loss tells one probability of a class from another: its expectation is least at logits that depend
        on how probable the classes are, and not only on which of them is the most probable.
    """

    function: Callable[..., Any]
    about_probabilities: bool = True

    @property
    def keywords(self) -> tuple[str, ...]:
        """The keywords that an expression may set: the loss's own settings, then shared ones."""
        settings = [
            p.name
            for p in signature(self.function).parameters.values()
            if p.kind is Parameter.KEYWORD_ONLY and isinstance(p.default, (int, float, str, type(p.empty)))
        ]
        settings += ["truncation"] if "truncation" in keywords(self.function) else []
        settings = [name for name in settings if name not in (*SHARED, "axis", *TEXTS)]
        return (*settings, *(name for name in SHARED if name in keywords(self.function)))

    @property
    def required(self) -> tuple[str, ...]:
        """Keywords without a default."""
        parameters = signature(self.function).parameters.values()
        return tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty)

    @property
    def takes_counts(self) -> bool:
        """Whether the loss takes the class counts."""
        return "counts" in signature(self.function).parameters


_NAMES = (
    "active_passive_loss",
    "balanced_softmax_loss",
    "bi_tempered_loss",
    "brier_loss",
    "focal_loss",
    "generalized_cross_entropy",
    "hard_bootstrapping_loss",
    "hard_example_loss",
    "hinge_loss",
    "ldam_loss",
    "mean_absolute_error_loss",
    "normalized_cross_entropy",
    "partially_huberized_cross_entropy",
    "poly_loss",
    "soft_bootstrapping_loss",
    "softmax_cross_entropy",
    "symmetric_cross_entropy",
    "taylor_cross_entropy",
    "tsallis_loss",
)

#: losses whose expectation is least where the most probable class has all of the probability, or its logit leads
_ABOUT_CLASSES = (
    "active_passive_loss",
    "hinge_loss",
    "mean_absolute_error_loss",
    "normalized_cross_entropy",
)

KNOWN_LOSSES = {
    "cross_entropy": KnownLoss(losses.softmax_cross_entropy),
    "focal": KnownLoss(losses.focal_loss),
    **{name: KnownLoss(getattr(losses, name), name not in _ABOUT_CLASSES) for name in _NAMES},
}


def public_losses() -> dict[str, Any]:
    """Return the public losses by name: functions with a reduction or named a loss, and classes with a `loss` method.

    >>> {"focal_loss", "info_nce", "OnlineLabelSmoothing"} <= set(public_losses())
    True
    >>> {"coral_probabilities", "ldam_margins", "TargetStatistics"} & set(public_losses())
    set()
    """
    named = {name: getattr(losses, name) for name in losses.__all__}
    return {name: loss for name, loss in named.items() if _is_loss(name, loss)}


def _is_loss(name: str, loss: Any) -> bool:
    """Tell whether a public name is a loss."""
    if isinstance(loss, type):
        return callable(getattr(loss, "loss", None))
    return name.endswith("_loss") or "reduction" in keywords(loss)


def summary(loss: Any) -> str:
    """Return the first sentence of a docstring, without markup and the name of a link.

    >>> from crossentropy.losses import brier_loss
    >>> summary(brier_loss)
    "Brier's score of the softmax of logits: the squared error of its probabilities."
    """
    sentence = " ".join((getdoc(loss) or "").split("\n\n")[0].split())
    return re.sub(r": `crossentropy\.links\.\w+`", "", sentence).replace("`", "")


def paper(loss: Any) -> str:
    """Abbreviate the first reference of a docstring; empty if there is none.

    >>> from crossentropy.losses import brier_loss, focal_loss, generalized_cross_entropy
    >>> paper(focal_loss), paper(generalized_cross_entropy)
    ('Lin et al., ICCV 2017', 'Zhang and Sabuncu, NeurIPS 2018')
    """
    _, _, references = (getdoc(loss) or "").partition("References\n----------\n")
    entry = re.match(
        r'(?P<authors>[^"]+), "[^"]+", (?P<where>.*?\b\d{4})(?=[,;]? |\.\s|\.?$)',
        " ".join(references.split("\n\n")[0].split()),
    )
    if entry is None:
        return ""
    first, *others = entry["authors"].split(", ")
    more = "" if not others else f" and {others[0]}" if len(others) == 1 else " et al."
    return f"{first}{more}, {entry['where']}"
