"""What a search may set, and which losses are about probabilities."""

import numpy as np
import pytest

from crossentropy._loss_expressions.known_losses import KNOWN_LOSSES
from crossentropy._loss_expressions.parse import parse_loss
from crossentropy._loss_expressions.settings import RANGES, free_settings, with_settings

EXPRESSIONS = [f"{name}(keep=1)" if name == "hard_example_loss" else name for name in KNOWN_LOSSES]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_both_ends_of_every_range_are_possible(expression):
    free = free_settings(expression)
    for settings in ({k: r.low for k, r in free.items()}, {k: r.high for k, r in free.items()}):
        parse_loss(with_settings(expression, settings))


def test_every_range_is_that_of_a_loss():
    assert set(RANGES) == {name for expression in EXPRESSIONS for name in free_settings(expression)}


def test_a_given_value_is_not_searched():
    assert "gamma" in free_settings("focal")
    assert "gamma" not in free_settings("focal(gamma=1)")


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_loss_about_probabilities_has_different_logits_where_a_class_is_more_probable(expression):
    """Of two classes, minimize the expected loss over the margin of the logits, where class 0 has 60 % and 80 %."""
    objective = parse_loss(expression)
    margins = np.linspace(-30, 30, 6001)
    logits = np.stack([margins / 2, -margins / 2], axis=1)
    losses = [
        objective.loss(logits, np.full(len(margins), y), reduction="none")
        if objective.averages_rows
        # of a row, the mean over its hardest rows is its loss
        else np.array([objective.loss(z[None], np.array([y])) for z in logits])
        for y in (0, 1)
    ]
    best = [margins[(p * losses[0] + (1 - p) * losses[1]).argmin()] for p in (0.6, 0.8)]
    assert objective.about_probabilities == (best[1] > best[0] + 0.05)
