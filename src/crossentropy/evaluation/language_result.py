"""The scores of a language model."""

from dataclasses import asdict, dataclass
from typing import Any

from crossentropy.evaluation._display import html_table, number, text_table, to_json, with_interval

__all__ = ["LanguageScore"]

Interval = tuple[float, float]


@dataclass(frozen=True)
class LanguageScore:
    """The scores of a language model on texts, as `language_score` and `LanguageState.finalize` return them.

    What is not known is None: bits per byte without the bytes of the texts, intervals of a single document. A score is
    a quotient of sums over all texts, so that long texts count more than short ones. Standard errors are by document,
    and intervals by Student's distribution; those of perplexities are exp of those of the nats.
    """

    #: The sum of −ln p over the scored tokens; infinite if one of them has p = 0.
    nats: float
    #: What was scored: tokens, and the bytes of UTF-8, Unicode characters and words of the texts.
    tokens: int | None
    bytes: int | None
    characters: int | None
    words: int | None
    #: The number of documents; of more than 16384, of joined ones. None if the errors are by window.
    documents: int | None
    confidence: float
    #: Nats divided by the tokens.
    nats_per_token: float | None
    nats_per_token_standard_error: float | None
    nats_per_token_interval: Interval | None
    #: exp(nats / tokens), exp(nats / words).
    perplexity: float | None
    perplexity_interval: Interval | None
    word_perplexity: float | None
    word_perplexity_interval: Interval | None
    #: nats / (ln 2 · bytes), and of characters: they compare models whatever their tokens are.
    bits_per_byte: float | None
    bits_per_byte_standard_error: float | None
    bits_per_byte_interval: Interval | None
    bits_per_character: float | None
    bits_per_character_standard_error: float | None
    bits_per_character_interval: Interval | None
    #: The number of tokens with p = 0, and the first 20 of them: their row, and their place in its list.
    n_infinite: int
    infinite_tokens: list[dict[str, Any]]
    #: Tokens without a log-probability, as the first one of a prompt; they are in no sum.
    unscored_tokens: int
    #: Texts with such tokens whose bytes, characters and words are those of the whole text.
    partly_scored_texts: int
    #: Tokens behind the text that the model wrote itself; they are in no sum.
    generated_tokens: int
    #: How many rows of each fault were left out.
    bad_rows: dict[str, int]
    #: How the texts were scored, as the caller says.
    context: int | None
    stride: int | None
    prefix: str | None
    #: The number of windows that a text was cut into, if standard errors are by window and not by document.
    windows: int | None = None

    @property
    def notes(self) -> list[str]:
        """What to know before the scores are compared with others."""
        notes = []
        if self.partly_scored_texts and self.bytes is not None and self.prefix is None:
            texts = (
                "1 text begins"
                if self.partly_scored_texts == 1
                else f"{self.partly_scored_texts:,} texts begin"
            )
            notes.append(
                f"{texts} with a token that has no log-probability. If it is a part of the text, its bytes are "
                "counted and its bits are not: the bits per byte are too few. If a token such as <s> stands before the "
                "text, pass it as prefix="
            )
        if self.documents == 1:
            notes.append(
                "There is one document, so there are no intervals. Pass document= if there are several"
            )
        return notes

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes."""
        return asdict(self) | {"notes": self.notes}

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return the attributes as JSON; infinite numbers are the text "Infinity", NaN is null."""
        return to_json(self.to_dict(), indent=indent)

    def rows(self) -> list[tuple[str, str]]:
        """Return the lines of the table that `print` shows: names and numbers."""
        percent = f"{100 * self.confidence:g} %"
        counts = (
            ("documents", self.documents),
            ("windows", self.windows),
            ("tokens", self.tokens),
            ("bytes", self.bytes),
            ("characters", self.characters),
            ("words", self.words),
            ("tokens without log-probability", self.unscored_tokens or None),
            ("tokens that the model wrote", self.generated_tokens or None),
        )
        scores = (
            ("nats per token", self.nats_per_token, self.nats_per_token_interval),
            ("perplexity", self.perplexity, self.perplexity_interval),
            ("word perplexity", self.word_perplexity, self.word_perplexity_interval),
            ("bits per byte", self.bits_per_byte, self.bits_per_byte_interval),
            ("bits per character", self.bits_per_character, self.bits_per_character_interval),
        )
        lines = [(name, f"{x:,}") for name, x in counts if x is not None]
        if self.n_infinite:
            lines.append(("tokens of infinite loss", f"{self.n_infinite:,}: {self._infinite_words()}"))
        if self.bad_rows:
            lines.append(("rows left out", ", ".join(f"{n:,} {kind}" for kind, n in self.bad_rows.items())))
        lines += [
            (name, with_interval(x, interval, percent)) for name, x, interval in scores if x is not None
        ]
        if self.nats_per_token is None:
            lines.append(("nats", number(self.nats)))
        provenance = (("context", self.context), ("stride", self.stride), ("prefix", self.prefix))
        return lines + [(name, str(x)) for name, x in provenance if x is not None]

    def _infinite_words(self) -> str:
        """Name the first tokens of infinite loss."""
        named = [", ".join(f"{key} {x}" for key, x in token.items()) for token in self.infinite_tokens[:3]]
        return "; ".join([*named, "…"] if self.n_infinite > len(named) else named)

    def __str__(self) -> str:
        return "\n".join([text_table(self.rows()), *(f"Note: {note}." for note in self.notes)])

    def _repr_html_(self) -> str:
        return html_table([*self.rows(), *(("note", note) for note in self.notes)])
