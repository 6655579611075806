"""What was found, and what could not be seen."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crossentropy._report.sections import Section, sections_html, sections_page, sections_text
from crossentropy._report.sentences import number

__all__ = ["FAULTS", "Finding", "Report", "in_order"]

#: The names of findings, the most severe first: what makes the loss another one, then what slows its learning, then
#: what costs digits or can be gained.
FAULTS = (
    "integer_one_hot",
    "class_axis",
    "not_finite",
    "kl_swapped",
    "softmax_twice",
    "sigmoid_twice",
    "percentages",
    "log_probabilities_as_probabilities",
    "logits_as_probabilities",
    "probabilities_as_log_probabilities",
    "logits_as_log_probabilities",
    "unnormalized_probabilities",
    "labels_from_one",
    "labels_plus_minus_one",
    "ignore_index_missing",
    "label_outside",
    "labels_permuted",
    "padding_as_class",
    "ignore_index_hides",
    "dead_gradients",
    "saturated",
    "zero_probability",
    "initial_loss",
    "sum_reduction",
    "accumulation_not_divided",
    "mean_of_means",
    "kl_mean",
    "temperatures_differ",
    "weights_in_smoothing",
    "weight_scale",
    "not_learned",
    "half_precision",
    "ignore_index_unused",
    "temperature",
    "log_probabilities_as_logits",
)


@dataclass(frozen=True)
class Finding:
    """One fault of a call.

    Attributes
    ----------
    name : str
        One of `FAULTS`.
    what : str
        A sentence: what is wrong, and how that shows.
    evidence : mapping
        The numbers that it was found by.
    instead : str
        The line to write instead.
    cost : float or None
        How much higher the loss is for it, or how far from what it seems to be, in nats. None if that is
        not known.
    where : str
        The file and line of the call; empty for data.
    """

    name: str
    what: str
    evidence: Mapping[str, Any]
    instead: str
    cost: float | None = None
    where: str = ""

    def section(self) -> Section:
        """Return the finding as it is shown."""
        lines = [self.what]
        if self.where:
            lines.append(f"at {self.where}")
        if self.cost is not None:
            lines.append(f"cost: {number(self.cost)} nats")
        rows = [(name.replace("_", " "), _shown(value)) for name, value in self.evidence.items()]
        return Section(self.name.replace("_", " "), lines, ("evidence", ""), rows, self.instead)


@dataclass
class Report(Sequence[Finding]):
    """The findings, the most severe first, and what could not be seen.

    It is a sequence of `Finding`, and is shown as text by `print` and as HTML in a notebook.

    Attributes
    ----------
    findings : sequence of Finding
    unseen : sequence of str
        What could not be seen, and why.
    looked_at : str
        What was looked at, in words.
    """

    findings: Sequence[Finding] = ()
    unseen: Sequence[str] = ()
    looked_at: str = field(default="nothing yet")

    def __post_init__(self) -> None:
        self.findings = in_order(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __getitem__(self, i: Any) -> Any:
        return self.findings[i]

    def sections(self) -> list[Section]:
        """Return the findings as they are shown."""
        count = len(self.findings)
        title = "Nothing was found" if not count else f"{count} finding{'s' if count > 1 else ''}"
        sections = [Section(title, [f"looked at: {self.looked_at}"]), *(f.section() for f in self.findings)]
        if self.unseen:
            sections.append(Section("Not seen", list(self.unseen)))
        return sections

    def to_dict(self) -> dict[str, Any]:
        """Return all findings as numbers and texts."""
        return {
            "looked_at": self.looked_at,
            "findings": [vars(finding) | {"evidence": dict(finding.evidence)} for finding in self.findings],
            "unseen": list(self.unseen),
        }

    def to_html(self) -> str:
        """Return the report as a page in one file, which asks for nothing and runs nothing."""
        return sections_page("What is wrong with this loss", self.sections())

    def __str__(self) -> str:
        return sections_text(self.sections())

    def _repr_html_(self) -> str:
        return sections_html(self.sections(), level=4)


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Sort findings, the most severe first; of one name, the most expensive first."""
    return sorted(findings, key=lambda f: (FAULTS.index(f.name), -(f.cost or 0.0)))


def _shown(value: Any) -> str:
    return number(value, 5) if isinstance(value, float) else str(value)
