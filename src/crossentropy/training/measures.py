"""By what of the validation rows models are compared whose losses differ."""

from collections.abc import Iterable

from crossentropy._loss_expressions.parse import parse_loss
from crossentropy.sklearn import Epoch

MEASURES = {"objective": "trained loss", "log_loss": "log loss", "accuracy": "accuracy"}


def common_measure(select: str, losses: Iterable[str]) -> str:
    """Choose a measure that is comparable between models that were trained with these losses.

    The values of two objectives are not. So it is `select` if that is not the objective, or there is one loss only;
    else the log loss if all the losses are about probabilities, and the accuracy if one is not.

    >>> common_measure("objective", ["cross_entropy", "focal"]), common_measure("objective", ["focal", "hinge_loss"])
    ('log_loss', 'accuracy')
    """
    distinct = set(losses)
    if select != "objective" or len(distinct) == 1:
        return select
    return "log_loss" if all(parse_loss(loss).about_probabilities for loss in distinct) else "accuracy"


def badness(epoch: Epoch, measure: str) -> tuple[float, float]:
    """Return a key by which the better epoch comes first: the measure of the validation rows, then their log loss."""
    value: float = getattr(epoch, f"validation_{measure}")
    return -value if measure == "accuracy" else value, epoch.validation_log_loss


def described(measure: str) -> str:
    """Say that a measure of the validation rows is the best, as in "log loss was least"."""
    return f"{MEASURES[measure]} on the validation rows was {'highest' if measure == 'accuracy' else 'least'}"
