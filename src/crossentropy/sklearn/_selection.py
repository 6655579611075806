"""Which epoch is the best, and when there is nothing more to gain."""

from dataclasses import dataclass
from math import isnan

from crossentropy.sklearn._trainer import Epoch

__all__ = ["Selection"]


@dataclass
class Selection:
    """The best epoch so far, by one of the measures of the validation rows, or of the training rows if there are none.

    Attributes
    ----------
    measure : str
        ``"objective"``, ``"log_loss"`` or ``"accuracy"``.
    tol : float
        The least improvement that counts.
    best : Epoch, optional
    """

    measure: str
    tol: float
    best: Epoch | None = None

    def improves(self, epoch: Epoch) -> bool:
        """Tell whether an epoch is better than the best one, and take it as the best one if it is."""
        if self.best is not None and not self._badness(epoch) < self._badness(self.best) - self.tol:
            return False
        self.best = epoch
        return True

    def waited(self, epochs: int) -> int:
        """Return how many of `epochs` epochs came after the best one."""
        return epochs - (self.best.epoch if self.best else 0)

    def _badness(self, epoch: Epoch) -> float:
        prefix = "" if isnan(epoch.validation_objective) else "validation_"
        value = getattr(epoch, prefix + self.measure)
        return -value if self.measure == "accuracy" else value
