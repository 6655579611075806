"""The options of a training run."""

import math
from dataclasses import dataclass, field

from crossentropy.training.errors import InputError
from crossentropy.training.tables.options import ReadOptions


@dataclass(frozen=True, kw_only=True)
class Options:
    """The choices behind a training run; the same ones give the same run, up to the rounding of PyTorch's products.

    Attributes
    ----------
    data : str
        Name of a bundled data set, or path of a table.
    label : str, optional
        The column to predict; by default one named label, target, class or y.
    loss : str
        Loss expression, see `crossentropy._loss_expressions.parse`.
    hidden : tuple of int
        Widths of the hidden layers; none makes a linear model.
    epochs : int
        Most passes over the training rows; early stopping may end sooner.
    learning_rate, weight_decay : float
        Adam's step size and L2 penalty.
    seed : int
        Decides the split, the initial weights and the order of the rows.
    reading : ReadOptions
        How the table is read.
    device : str
        A PyTorch device, or ``"auto"``: CUDA where there is one, else the CPU.
    """

    data: str
    label: str | None = None
    loss: str = "cross_entropy"
    hidden: tuple[int, ...] = (256, 128)
    epochs: int = 200
    learning_rate: float = 1e-3
    weight_decay: float = 1e-3
    seed: int = 0
    device: str = "auto"
    reading: ReadOptions = field(default_factory=ReadOptions)

    def __post_init__(self) -> None:
        if any(width < 1 for width in self.hidden):
            raise InputError(
                f"Hidden layers have at least one unit each, so not {listed_widths(self.hidden)}."
            )
        if self.epochs < 1:
            raise InputError(f"The number of epochs is at least 1, so not {self.epochs}.")
        check_learning_rate(self.learning_rate)
        if not 0 <= self.weight_decay < math.inf:
            raise InputError(f"The weight decay is 0 or a number above it, so not {self.weight_decay:g}.")
        check_seed(self.seed)


def check_learning_rate(learning_rate: float) -> None:
    """Raise InputError unless the learning rate is positive and finite."""
    if not 0 < learning_rate < math.inf:
        raise InputError(f"The learning rate is a number above 0, so not {learning_rate:g}.")


def check_seed(seed: int) -> None:
    """Raise InputError unless the generators of both PyTorch and NumPy take the seed."""
    if not 0 <= seed < 2**63:
        raise InputError(f"The seed is a whole number from 0 to 2^63 - 1, so not {seed}.")


def listed_widths(hidden: tuple[int, ...]) -> str:
    """Write layer widths the way `parse_hidden` reads them."""
    return ",".join(map(str, hidden))


def parse_hidden(text: str) -> tuple[int, ...]:
    """Read layer widths such as ``"256,128"``; an empty text means no hidden layer.

    >>> parse_hidden("256, 128"), parse_hidden("")
    ((256, 128), ())
    """
    try:
        return tuple(int(width) for width in text.split(",")) if text.strip() else ()
    except ValueError:
        raise InputError(
            f"Hidden layers are written as widths with commas, such as 256,128, not {text!r}."
        ) from None
