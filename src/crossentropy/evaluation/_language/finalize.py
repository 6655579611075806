"""From sums over documents to the scores of a language model."""

import math
from collections.abc import Mapping
from typing import Any

from crossentropy.evaluation._exact import UNIT, ExactSum
from crossentropy.evaluation._intervals import (
    check_confidence,
    cluster_variance,
    exp_or_infinity,
    mean_of,
    student_interval,
)
from crossentropy.evaluation.language_result import LanguageScore

__all__ = ["finalize"]

BIT = math.log(2)
Interval = tuple[float, float]


def finalize(
    nats: ExactSum,
    totals: Mapping[str, Any],
    documents: Mapping[str, list[int]],
    counts: Mapping[str, int],
    *,
    confidence: float,
    **others: Any,
) -> LanguageScore:
    """Divide the nats by each total, with the errors of a ratio of sums over documents.

    Parameters
    ----------
    nats : ExactSum
        The sum of finite losses.
    totals : mapping
        Tokens, bytes, characters and words; None for what is not known of all texts.
    documents : mapping
        The same sums, and ``"nats"``, for each document, times 2^1074.
    counts : mapping
        What was scored, and what was not.
    confidence : float
    **others
        Further attributes of the result.
    """
    check_confidence(confidence)
    if not counts["scored"]:
        raise ValueError("there are no log-probabilities to score; pass texts with tokens that have one")
    infinite = counts["infinite"] > 0
    size = len(documents["nats"])

    def ratio(unit: str) -> tuple[float | None, float | None, Interval | None]:
        """Return nats for each of a unit, with standard error and interval."""
        total = totals[unit]
        if total is None:
            return None, None, None
        if infinite:
            return math.inf, None, None
        value = mean_of(nats, ExactSum(total << UNIT))
        variance = cluster_variance(documents[unit], documents["nats"])
        error = None if variance is None else math.sqrt(variance)
        return value, error, student_interval(value, error, size - 1, confidence)

    token, word = ratio("tokens"), ratio("words")
    scores: dict[str, Any] = {
        "nats_per_token": token[0],
        "nats_per_token_standard_error": token[1],
        "nats_per_token_interval": token[2],
        "perplexity": _exp(token[0]),
        "perplexity_interval": _each(_exp, token[2]),
        "word_perplexity": _exp(word[0]),
        "word_perplexity_interval": _each(_exp, word[2]),
    }
    for unit in ("byte", "character"):
        value, error, interval = ratio(f"{unit}s")
        scores |= {
            f"bits_per_{unit}": _bits(value),
            f"bits_per_{unit}_standard_error": _bits(error),
            f"bits_per_{unit}_interval": _each(_bits, interval),
        }
    return LanguageScore(
        **scores,
        confidence=confidence,
        documents=size,
        nats=math.inf if infinite else float(nats),
        **totals,
        n_infinite=counts["infinite"],
        unscored_tokens=counts["unscored"],
        generated_tokens=counts["generated"],
        partly_scored_texts=counts["partly_scored"],
        **others,
    )


def _exp(x: float | None) -> float | None:
    return None if x is None else exp_or_infinity(x)


def _bits(x: float | None) -> float | None:
    return None if x is None else x / BIT


def _each(function: Any, interval: Interval | None) -> Interval | None:
    return None if interval is None else (function(interval[0]), function(interval[1]))
