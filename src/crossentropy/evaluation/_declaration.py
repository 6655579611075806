"""What the columns of a data set are: declared once, the same for every batch of it."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["CLIPS", "KINDS", "Declaration", "Label"]

Label: TypeAlias = str | int | float | bool
KINDS = ("proba", "logits", "log_proba")
CLIPS = (None, "sklearn", "kaggle", "spark")


@dataclass(frozen=True)
class Declaration:
    """What a `State` is a state of. Only states of equal declarations merge.

    Parameters
    ----------
    kind : {"proba", "logits", "log_proba"}
        What the predictions are.
    classes : tuple of labels
        The label of each class, in the order of the columns; of one column, (negative, positive).
    one_column : bool
        Whether there is one column of predictions, of the positive class.
    soft : bool
        Whether labels are distributions over the classes (of one column, the probability of the positive class).
    weighted, clustered : bool
        Whether rows have weights; whether they belong to clusters.
    slices : tuple of str
        The names of the columns that say which slices a row belongs to.
    clip : {None, "sklearn", "kaggle", "spark"}
        Whose clipping the log loss reproduces.
    bootstrap : int
        The number of bootstrap replicates.
    seed : int
        Their seed.
    bins : int
        The number of bins of the calibration errors: ``[k/B, (k+1)/B)``, the last one closed.
    worst : int
        The number of rows that are kept for having the highest loss.
    """

    kind: Literal["proba", "logits", "log_proba"]
    classes: tuple[Label, ...]
    one_column: bool
    soft: bool = False
    weighted: bool = False
    clustered: bool = False
    slices: tuple[str, ...] = ()
    clip: str | None = None
    bootstrap: int = 0
    seed: int = 0
    bins: int = 15
    worst: int = 20

    def __post_init__(self) -> None:
        _check(self)

    @property
    def is_binary(self) -> bool:
        """Whether there are two classes."""
        return len(self.classes) == 2


def _check(d: Declaration) -> None:
    if d.kind not in KINDS:
        raise ValueError(f"predictions are declared as {d.kind!r}; they are 'proba', 'logits' or 'log_proba'")
    if len(d.classes) < 2:
        raise ValueError(f"classes has {len(d.classes)} label, {list(d.classes)!r}; pass two or more")
    if len(set(d.classes)) != len(d.classes):
        twice = next(c for i, c in enumerate(d.classes) if c in d.classes[:i])
        raise ValueError(f"classes names {twice!r} twice; pass the label of each class once")
    if d.one_column and len(d.classes) != 2:
        raise ValueError(
            f"classes has {len(d.classes)} labels, {list(d.classes)!r}, and predictions have one column; pass "
            "classes=(negative, positive), or a column for each class"
        )
    if d.clip not in CLIPS:
        raise ValueError(f"clip is {d.clip!r}; pass None, 'sklearn', 'kaggle' or 'spark'")
    if d.clip is not None and (d.kind != "proba" or d.soft):
        raise ValueError(
            f"clip={d.clip!r} reproduces a tool that takes probabilities and labels; pass proba= and labels that are "
            "classes, or leave clip out"
        )
    for name in ("bootstrap", "seed", "bins", "worst"):
        value = getattr(d, name)
        if not isinstance(value, int):
            raise TypeError(f"{name} has type {type(value).__name__}; pass an integer, as int({name})")
    for name, least in (("bootstrap", 0), ("bins", 1), ("worst", 0)):
        if getattr(d, name) < least:
            raise ValueError(f"{name} is {getattr(d, name)}; pass an integer of at least {least}")
    if not 0 <= d.seed < 2**63:
        raise ValueError(f"seed is {d.seed}; pass an integer from 0 to 2**63 - 1")
