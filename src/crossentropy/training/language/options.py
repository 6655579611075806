"""The options of the training of a language model."""

from dataclasses import dataclass

from crossentropy.training.errors import InputError
from crossentropy.training.options import check_learning_rate, check_seed

FEWEST_TOKENS = 257  # every byte, and the boundary between texts
LOGITS = ("linear", "materialized")


@dataclass(frozen=True, kw_only=True)
class LanguageOptions:
    """The choices behind a language model.

    The same options on as many threads take the same steps, up to the rounding of PyTorch's products, which on some
    processors is not reproducible.

    Attributes
    ----------
    files : tuple of str
        Paths of the texts.
    vocabulary : int
        Most tokens that the tokenizer learns.
    context : int
        Tokens in a window, that is, how far back the model looks.
    layers, width, heads : int
        Blocks of the transformer, numbers that stand for a token in them, and heads of attention in each.
    batch : int
        Windows in a step.
    steps : int
    learning_rate : float
        The highest step size of AdamW, after the warm-up.
    seed : int
        Decides the initial weights, the windows of each step and the sample.
    held_out : float
        Share of each text, its last part, that is not trained on.
    checkpoint_every : int
        Steps between checkpoints, each with an evaluation.
    logits : {"linear", "materialized"}
        Whether the loss is computed from the hidden states without writing the logits out, or from the logits.
    """

    files: tuple[str, ...]
    vocabulary: int = 32000
    context: int = 256
    layers: int = 2
    width: int = 128
    heads: int = 4
    batch: int = 8
    steps: int = 600
    learning_rate: float = 3e-3
    seed: int = 0
    held_out: float = 0.1
    checkpoint_every: int = 50
    logits: str = "linear"

    def __post_init__(self) -> None:
        if self.vocabulary < FEWEST_TOKENS:
            raise InputError(
                f"The vocabulary has at least {FEWEST_TOKENS} tokens, one for each byte and a boundary, "
                f"so not {self.vocabulary}."
            )
        for name in ("context", "layers", "width", "heads", "batch", "steps", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise InputError(f"--{name.replace('_', '-')} is at least 1, so not {getattr(self, name)}.")
        if self.width % (2 * self.heads):
            raise InputError(
                f"The width is an even number for each of the {self.heads} heads, so not {self.width}: "
                f"{2 * self.heads * max(1, round(self.width / (2 * self.heads)))} would do."
            )
        check_learning_rate(self.learning_rate)
        check_seed(self.seed)
        if not 0 < self.held_out < 1:
            raise InputError(
                f"The share held out lies between 0 and 1, such as 0.1, so not {self.held_out:g}."
            )
        if self.logits not in LOGITS:
            raise InputError(f"The logits are {' or '.join(LOGITS)}, so not {self.logits!r}.")
