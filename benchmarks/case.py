"""What a row of the table promises, and how its work is built."""

from collections.abc import Callable
from dataclasses import dataclass

from measure import Sides
from memory import KEPT_AT_MOST


@dataclass(frozen=True)
class Case:
    """A row of the table: the work, and what is promised of it."""

    work: str
    peer: str
    dtype: str
    values: str  # what the logits are like
    nbytes: int  # of what has a gradient, and so of the gradients
    speedup: float  # at least so many times as fast as the peer
    build: Callable[[], Sides]
    memory: float | None = None  # at most so many times the gradient beside the inputs
    extra: float | None = None  # at most so many times the peer's memory beyond inputs and gradients
    trains: bool = True  # forward and backward, or forward only
    passes: float = (
        3.0  # how often that many bytes must move: read, read again, written; 0 if products decide
    )
    reduction: str = "mean"
    block: int | None = None  # bytes of the blocks a step allocates, as many as the logits' unless said
    tolerance: float | None = (
        1e-4  # how far two right losses may be apart; None where they are different ones
    )
    turns: int | None = None  # how often a step of many seconds is timed, with no more than one to warm up

    @property
    def name(self) -> str:
        """What `--only` looks at."""
        return f"{self.work} {self.dtype} {self.values} against {self.peer}"

    @property
    def is_large(self) -> bool:
        """Whether memory and bandwidth are worth a word."""
        return self.nbytes >= 1 << 20

    @property
    def is_weighed(self) -> bool:
        """Whether memory is measured: that of a step of many seconds only where something is promised of it."""
        return self.is_large and (self.turns is None or self.extra is not None)

    @property
    def may_be_kept(self) -> bool:
        """Whether the allocator may have a block in hand that a step frees and asks for again."""
        return 1 << 20 <= (self.block or self.nbytes) < KEPT_AT_MOST
