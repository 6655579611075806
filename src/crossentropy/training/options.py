"""The options of a training run."""

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any

from crossentropy.training.class_weights import parse_class_weight
from crossentropy.training.errors import InputError
from crossentropy.training.tables.options import ReadOptions

SELECTIONS = ("objective", "log_loss", "accuracy")


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
    batch : int
        Rows of a step.
    patience : int
        Epochs without an improvement after which training ends.
    learning_rate, weight_decay : float
        Adam's step size and L2 penalty.
    dropout : float
        Share of each hidden layer's outputs that a training step sets to 0.
    class_weight : str, optional
        Weights of the classes in the loss: ``"balanced"``, or classes with numbers such as ``"yes=60,no=1"``.
    correct_weights : bool
        Whether the weights of classes are taken out of the probabilities.
    select : str
        By what of the validation rows the epoch is chosen that is kept: ``"objective"``, the loss that is trained,
        ``"log_loss"`` or ``"accuracy"``.
    split : tuple of float
        Shares of the training rows, the validation rows and the held-out rows; their sum may be any.
    test : str, optional
        Path of a table of held-out rows; the other table is then split into training and validation rows alone.
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
    batch: int = 64
    patience: int = 10
    learning_rate: float = 1e-3
    weight_decay: float = 1e-3
    dropout: float = 0.0
    class_weight: str | None = None
    correct_weights: bool = False
    select: str = "objective"
    split: tuple[float, float, float] = (60, 20, 20)
    test: str | None = None
    seed: int = 0
    device: str = "auto"
    reading: ReadOptions = field(default_factory=ReadOptions)

    def __post_init__(self) -> None:
        if any(width < 1 for width in self.hidden):
            raise InputError(
                f"--hidden: each hidden layer has at least one unit, so not {listed_widths(self.hidden)}."
            )
        for number, what in (
            (self.epochs, "--epochs"),
            (self.batch, "--batch"),
            (self.patience, "--patience"),
        ):
            if number < 1:
                raise InputError(f"{what} is a whole number of at least 1, so not {number}.")
        if not 0 <= self.dropout < 1:
            raise InputError(f"--dropout is a share, at least 0 and below 1, so not {self.dropout:g}.")
        if self.select not in SELECTIONS:
            raise InputError(
                f"--select is {', '.join(SELECTIONS[:-1])} or {SELECTIONS[-1]}, and not {self.select!r}."
            )
        if self.class_weight is not None:
            parse_class_weight(self.class_weight)
        if self.reading.merge_rare and self.reading.min_class == 1:
            raise InputError(
                "--merge-rare merges the classes with fewer rows than --min-class: pass --min-class too, such as 10."
            )
        check_learning_rate(self.learning_rate)
        if not 0 <= self.weight_decay < math.inf:
            raise InputError(f"--weight-decay is a number, 0 or above, so not {self.weight_decay:g}.")
        check_seed(self.seed)

    def to_json(self) -> dict[str, Any]:
        """Return the choices as values of JSON."""
        return json.loads(json.dumps(asdict(self)))


def check_together(losses: tuple[str, ...], trials: int | None, *, resume: bool) -> None:
    """Raise InputError unless these losses, a search by so many trials and the continuation of a run go together."""
    twice = sorted({loss for loss in losses if losses.count(loss) > 1})
    if twice:
        raise InputError(f"--loss {twice[0]!r} is given more than once; each loss is trained once.")
    if trials is not None and trials < 1:
        raise InputError(f"--tune takes a number of trials, at least 1, and not {trials}.")
    if resume and (len(losses) > 1 or trials is not None):
        raise InputError(
            "--resume goes on with one run: pass the --loss and the other options that history.json holds, and no "
            "--tune."
        )


def check_learning_rate(learning_rate: float) -> None:
    """Raise InputError unless the learning rate is positive and finite."""
    if not 0 < learning_rate < math.inf:
        raise InputError(f"--learning-rate is a number above 0, so not {learning_rate:g}.")


def check_seed(seed: int) -> None:
    """Raise InputError unless the generators of both PyTorch and NumPy take the seed."""
    if not 0 <= seed < 2**63:
        raise InputError(f"--seed is a whole number from 0 to 2^63 - 1, so not {seed}.")


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
            f"--hidden takes the widths of the hidden layers with commas between them, such as 256,128, and "
            f"not {text!r}."
        ) from None


def listed_shares(split: tuple[float, ...]) -> str:
    """Write shares the way `parse_split` reads them."""
    return ",".join(f"{share:g}" for share in split)


def parse_split(text: str) -> tuple[float, float, float]:
    """Read shares of training, validation and held-out rows, such as ``"60,20,20"``.

    >>> parse_split("0.7,0.2,0.1")
    (0.7, 0.2, 0.1)
    """
    try:
        train, validation, test = (float(share) for share in text.split(","))
    except ValueError:
        train = validation = test = math.nan
    if not (min(train, validation, test) > 0 and train + validation + test < math.inf):
        raise InputError(
            "--split takes the shares of training, validation and held-out rows, three positive numbers such as "
            f"60,20,20, and not {text!r}."
        )
    return train, validation, test
