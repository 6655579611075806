"""What training minimizes, and the probabilities that go with it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from crossentropy._backends import Array

__all__ = ["LogitTransform", "Objective"]


@dataclass(frozen=True)
class LogitTransform:
    """From a network's logits ``z`` to its probabilities, the softmax of ``u = κ tanh(z / κ) / temperature − offset``.

    Without a `softcap` κ, ``u = z / temperature − offset``. The offset (C,) is 0 unless the weights of the classes are
    taken out of the probabilities.
    """

    temperature: float = 1.0
    softcap: float | None = None
    offset: tuple[float, ...] | None = None

    def scores(self, logits: np.ndarray) -> np.ndarray:
        """Compute ``u`` in the shape of the logits, float64.

        >>> LogitTransform(temperature=2.0).scores(np.asarray([[4.0, 1.0]]))
        array([[2. , 0.5]])
        """
        logits = np.asarray(logits, dtype=np.float64)
        if self.softcap is not None:
            logits = self.softcap * np.tanh(logits / self.softcap)
        scores = logits / self.temperature
        return scores if self.offset is None else scores - np.asarray(self.offset)

    def log_probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Compute the logarithms of the probabilities, of shape (rows, classes), float64 in nats.

        A row is ``u − max u − log1p(δ)``, where δ is the sum of the exponentials of the other differences to the
        maximum: the log-probability of a class of nearly 1 keeps its digits, which ``log(1 + δ)`` would lose.

        >>> LogitTransform().log_probabilities(np.asarray([[40.0, 0.0]]))
        array([[-4.24835426e-18, -4.00000000e+01]])
        """
        scores = self.scores(logits)
        rows, largest = np.arange(len(scores)), scores.argmax(axis=1)
        scores -= scores[rows, largest][:, None]
        others = np.exp(scores)
        others[rows, largest] = 0.0
        return scores - np.log1p(others.sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class Objective:
    """What training minimizes, and the probabilities that go with it.

    An offset or a margin of the classes, and the tempered softmax of the bi-tempered loss, belong to training alone,
    and not to the probabilities.

    Attributes
    ----------
    expression : str
    loss : callable
        ``loss(logits, labels)``, and keywords of the loss that the expression did not set, such as `sample_weight`.
    transform : LogitTransform
        To the probabilities that a cross-entropy with these options is about; the scale of an LDAM loss is such a
        temperature.
    class_weight : array (C,), optional
        That of the expression.
    averages_rows : bool
        Whether the loss is a mean over rows whose normalizer can be set: all but `hard_example_loss`.
    uses_counts : bool
        Whether the loss depends on the class counts.
    about_probabilities : bool
        See `KnownLoss`.
    """

    expression: str
    loss: Callable[..., Array]
    transform: LogitTransform = LogitTransform()
    class_weight: Array | None = None
    averages_rows: bool = True
    uses_counts: bool = False
    about_probabilities: bool = True
