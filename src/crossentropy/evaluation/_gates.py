"""Whether scores keep the limits that were set for them: decided on intervals, so that chance alone passes nothing."""

import math
from dataclasses import dataclass

from crossentropy.evaluation.language_result import LanguageScore
from crossentropy.evaluation.result import Evaluation

__all__ = ["Gate", "check_gates", "check_language_gates"]


@dataclass(frozen=True)
class Gate:
    """A limit of a score, and whether it is kept."""

    #: The argument of `check_gates`, as "max_log_loss".
    name: str
    #: A number; for "not_worse_than" the baseline, and the margin.
    limit: float | str
    passed: bool
    #: What was measured, in words.
    sentence: str
    #: The model it is about, where there are several.
    subject: str = ""


def check_gates(
    result: Evaluation,
    *,
    max_log_loss: float | None = None,
    max_ece: float | None = None,
    min_skill: float | None = None,
    max_infinite: int | None = None,
) -> list[Gate]:
    """Check limits of scores.

    A limit is kept if the whole interval of the score keeps it: its upper end is at most the largest value allowed, its
    lower end at least the smallest. Rows of infinite loss are counted, so there is no interval of their number.

    Parameters
    ----------
    result : Evaluation
    max_log_loss, max_ece : float, optional
        The largest log loss in nats, and expected calibration error, that are allowed.
    min_skill : float, optional
        The smallest skill that is allowed.
    max_infinite : int, optional
        How many rows may have an infinite loss.

    Returns
    -------
    list of Gate
        One for each limit that was passed.

    Examples
    --------
    >>> import numpy as np
    >>> from crossentropy.evaluation import evaluate
    >>> result = evaluate(labels=np.tile([0, 1, 1, 1], 100), proba=np.full(400, 0.75))
    >>> for gate in check_gates(result, max_log_loss=0.6, max_infinite=0):
    ...     print(gate.passed, gate.sentence)
    False log loss is 0.562335, its 95 % interval reaches to 0.609155
    True 0 rows have an infinite loss
    """
    gates = []
    words = _interval_words(result)
    if max_log_loss is not None:
        gates.append(
            _at_most("max_log_loss", max_log_loss, "log loss", result.log_loss, result.interval, words)
        )
    if max_ece is not None:
        gates.append(
            _at_most("max_ece", max_ece, "calibration error", result.ece, result.ece_interval, words)
        )
    if min_skill is not None:
        between = result.skill_interval
        lower = between[0] if between else -math.inf
        begins = f"{words} begins at {lower:.6g}" if between else "it has no interval"
        skill = "unknown" if result.skill is None else f"{result.skill:.6g}"
        gates.append(Gate("min_skill", min_skill, lower >= min_skill, f"skill is {skill}, {begins}"))
    if max_infinite is not None:
        count = result.n_infinite
        words = "1 row has" if count == 1 else f"{count:,} rows have"
        gates.append(Gate("max_infinite", max_infinite, count <= max_infinite, f"{words} an infinite loss"))
    return gates


def check_language_gates(
    result: LanguageScore, *, max_bits_per_byte: float | None = None, max_perplexity: float | None = None
) -> list[Gate]:
    """Check limits of the scores of a language model, on their intervals, as `check_gates` does.

    Parameters
    ----------
    result : LanguageScore
    max_bits_per_byte, max_perplexity : float, optional
        The most bits per byte, and the largest perplexity of tokens, that are allowed.

    Returns
    -------
    list of Gate
        One for each limit that was passed.

    Raises
    ------
    ValueError
        If the score is not known.
    """
    gates = []
    words = _interval_words(result)
    if max_bits_per_byte is not None:
        if result.bits_per_byte is None:
            raise ValueError(
                "there are no bits per byte without the bytes of the texts; pass text= or bytes="
            )
        bits, interval = result.bits_per_byte, result.bits_per_byte_interval
        gates.append(_at_most("max_bits_per_byte", max_bits_per_byte, "bits per byte", bits, interval, words))
    if max_perplexity is not None:
        if result.perplexity is None:
            raise ValueError("there is no perplexity without the number of tokens; pass tokens=")
        perplexity, interval = result.perplexity, result.perplexity_interval
        gates.append(_at_most("max_perplexity", max_perplexity, "perplexity", perplexity, interval, words))
    return gates


def _interval_words(result: Evaluation | LanguageScore) -> str:
    return f"its {100 * result.confidence:g} % interval"


def _at_most(
    name: str, most: float, score: str, value: float, interval: tuple[float, float] | None, words: str
) -> Gate:
    """Check that the interval of a score ends at a limit or below."""
    upper = interval[1] if interval else math.inf
    reaches = f"{words} reaches to {upper:.6g}" if interval else "it has no interval"
    return Gate(name, most, upper <= most, f"{score} is {value:.6g}, {reaches}")
