"""What a loss is made of: the numbers, and how they are shown."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crossentropy._explain.words import sections_of
from crossentropy._report.sections import Section, sections_html, sections_page, sections_text

__all__ = ["Contribution", "Digits", "Explanation", "TransformedLogits"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class TransformedLogits:
    """The logits after an option: ``name`` and ``value`` are the option's, ``logits`` is float64 (C,)."""

    name: str
    value: Any
    logits: Array


@dataclass(frozen=True)
class Contribution:
    """What an option adds to the loss, the options before it applied; in nats."""

    name: str
    value: Any
    #: The loss with this option and those before it, and how much more that is than without it.
    loss: float
    change: float


@dataclass(frozen=True)
class Digits:
    """How many decimal digits of the cross-entropy, and of its gradient at the label, are right in float32.

    Of the usual formula, ``ln Σ e^(u − max) − (u_y − max)`` and ``p_y − q_y``, and of this package. At most 7.2.
    """

    usual_loss: float
    loss: float
    usual_gradient: float
    gradient: float


@dataclass(frozen=True, eq=False)
class Explanation:
    """One loss, step by step; see `crossentropy.explain`. Quantities are in nats, arrays float64 (C,).

    Attributes
    ----------
    logits : array
        As passed; of probabilities, their logarithms.
    from_probabilities : bool
    label : int or None
        The class of the label; None for a distribution.
    target : array
        The distribution of the label, after smoothing: ``q``.
    classes : sequence
        What the classes are called.
    options : mapping
        The options of the loss that were passed.
    transforms : sequence of TransformedLogits
        The logits after each of softcap, margin, temperature and logit_bias.
    transformed_logits : array
        The logits ``u`` that the softmax is of.
    probabilities : array
        ``p = softmax(u)``.
    log_odds_against : float or None
        ``D = ln Σ_{c≠y} e^{u_c} − u_y``; None for a distribution.
    log_partition : float
        ``L = ln Σ e^{u_c}``.
    contributions : sequence of Contribution
        The cross-entropy of the bare logits first, then what each option adds.
    loss, loss_bits : float
        With all options; in nats and in bits.
    entropy, target_entropy, cross_entropy, kl_divergence : float
        ``H(p)``, ``H(q)``, ``H(q, p) = H(q) + KL(q ‖ p)`` and ``KL(q ‖ p)``.
    gradient : array
        The derivative of the loss by each logit.
    shown : sequence of int
        The classes that are shown: all, or the label and the most probable ones.
    unit_changes : array (len(shown),)
        How much the loss changes if the logit of that class alone is one higher.
    digits : Digits
    """

    logits: Array
    from_probabilities: bool
    label: int | None
    target: Array
    classes: Sequence[Any]
    options: Mapping[str, Any]
    transforms: Sequence[TransformedLogits]
    transformed_logits: Array
    probabilities: Array
    log_odds_against: float | None
    log_partition: float
    contributions: Sequence[Contribution]
    loss: float
    entropy: float
    target_entropy: float
    cross_entropy: float
    kl_divergence: float
    gradient: Array
    shown: Sequence[int]
    unit_changes: Array
    digits: Digits

    @property
    def loss_bits(self) -> float:
        """The loss in bits."""
        return self.loss / math.log(2)

    @property
    def gradient_sum(self) -> float:
        """The sum of the gradient: 0 up to rounding, but for softcap and z_loss."""
        return math.fsum(self.gradient)

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers, arrays as lists and options that are objects as their text."""
        return _plain(vars(self) | {"loss_bits": self.loss_bits, "gradient_sum": self.gradient_sum})

    def sections(self) -> list[Section]:
        """Return the steps as they are shown."""
        return sections_of(self)

    def to_html(self) -> str:
        """Return the explanation as a page in one file, which asks for nothing and runs nothing."""
        return sections_page("One loss, step by step", self.sections())

    def __str__(self) -> str:
        return sections_text(self.sections())

    def _repr_html_(self) -> str:
        return sections_html(self.sections(), level=4)


def _plain(x: Any) -> Any:
    if isinstance(x, Mapping):
        return {str(key): _plain(value) for key, value in x.items()}
    if isinstance(x, (TransformedLogits, Contribution, Digits)):
        return _plain(vars(x))
    if isinstance(x, np.ndarray):
        return x.tolist()
    if isinstance(x, (list, tuple, range)):
        return [_plain(value) for value in x]
    if isinstance(x, np.generic):
        return x.item()
    return x if x is None or isinstance(x, (bool, int, float, str)) else repr(x)
