"""The trials of a search, and what was found."""

import shlex
from dataclasses import dataclass

from crossentropy.training.measures import MEASURES
from crossentropy.training.options import Options, listed_widths

#: the options that a search chooses
SEARCHED = ("loss", "learning_rate", "hidden", "weight_decay", "dropout")


@dataclass(frozen=True)
class Trial:
    """A training with some options.

    Attributes
    ----------
    options : Options
    value : float
        The measure of the validation rows at the best epoch; NaN if the training diverged.
    best_epoch, epochs : int
    """

    options: Options
    value: float
    best_epoch: int
    epochs: int


@dataclass(frozen=True)
class Tuning:
    """A search.

    Attributes
    ----------
    measure : str
        What of the validation rows chose the best trial.
    trials : list of Trial
        The first one has the options that the user gave.
    best : Trial
    """

    measure: str
    trials: list[Trial]
    best: Trial


def found(tuning: Tuning) -> str:
    """Say which options are the best, as they are written on the command line."""
    best, given = tuning.best, tuning.trials[0]
    arguments = (
        *("--loss", best.options.loss),
        *("--learning-rate", str(best.options.learning_rate)),
        *("--hidden", listed_widths(best.options.hidden)),
        *("--weight-decay", str(best.options.weight_decay)),
        *("--dropout", str(best.options.dropout)),
    )
    measure = f"the {MEASURES[tuning.measure]} of the validation rows"
    value = _with_unit(tuning, given)
    if best is given:
        return (
            f"Of {len(tuning.trials)} trials, none is better by {measure} than the options as given, {value}:"
            f" {shlex.join(arguments)}."
        )
    return (
        f"The best of {len(tuning.trials)} trials by {measure}, {_with_unit(tuning, best)}, has "
        f"{shlex.join(arguments)}; with the options as given it is {value}."
    )


def _with_unit(tuning: Tuning, trial: Trial) -> str:
    """Write the value of a trial; that of a trained loss has the unit of the loss."""
    if tuning.measure == "accuracy":
        return f"{trial.value:.2%}"
    return f"{trial.value:.4f}" + (" nats" if tuning.measure == "log_loss" else "")
