"""How a table is to be read, where its reader's own rules are to be overruled."""

from dataclasses import dataclass

from crossentropy.training.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """The choices of a user about a table; what is not chosen is found by rule.

    Attributes
    ----------
    separator : str, optional
        The character between two columns of a text file; ``"tab"`` or ``"\\\\t"`` is the tabulator.
    encoding : str, optional
        Of a text file, such as ``"latin-1"``; otherwise UTF-8, or what the file's byte-order mark says.
    decimal : str, optional
        ``"."`` or ``","``.
    drop, ids, texts, keep : tuple of str
        Columns to leave out; that name the row, and are copied to the predictions; to read as categories although
        they hold numbers or dates; to use although a rule would leave them out.
    min_class : int
        Classes with fewer rows are left out with their rows, or with `merge_rare` merged into one named ``other``.
    merge_rare : bool
    """

    separator: str | None = None
    encoding: str | None = None
    decimal: str | None = None
    drop: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    min_class: int = 1
    merge_rare: bool = False

    def __post_init__(self) -> None:
        if self.separator is not None and len(self.separator_character) != 1:
            raise InputError(f"--separator is one character, such as ';', or tab, so not {self.separator!r}.")
        if self.decimal not in (None, ".", ","):
            raise InputError(f"--decimal is . or , and not {self.decimal!r}.")
        if self.decimal == "," and self.separator == ",":
            raise InputError("--separator and --decimal cannot both be a comma.")
        if self.min_class < 1:
            raise InputError(f"--min-class is a whole number of at least 1, so not {self.min_class}.")

    @property
    def separator_character(self) -> str:
        """The separator, a tabulator in place of the words for it."""
        given = self.separator or ""
        return "\t" if given.lower() in ("tab", "\\t") else given
