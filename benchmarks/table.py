"""The report, in Markdown."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from case import Case
from machine import Bandwidth
from measure import Times
from memory import Peaks
from overhead import Price

METHOD = """\
Both sides run in one process on the same tensors, turn by turn, with the garbage collector off; a measurement shorter
than 2 ms is repeated within itself. **×** is the median over turns of the peer's time by ours, with its quartiles;
**× best** is that of the two shortest times. Peaky logits have a heavy tail, and the label 8 above that in nine rows
of ten.

Every step allocates its gradient, as after an optimizer's `zero_grad`; dropping the old one is not timed unless steps
are repeated. glibc's allocator gives freed blocks of 32 MiB and more back to the system, so that a step finds every
page new. With smaller blocks it may or may not, by what was freed before; here it is told to, and **× kept** is the
ratio where it is told not to.

**Memory** is the peak of resident memory during one step beyond that before it, in units of the gradient (of the
logits, where nothing is trained). It is measured in a process of its own, where the kernel's high-water mark is reset
before the step. Of a linear head it is what that peak has beyond the gradients of hidden states and weight, in MiB, and
the contract is a share of the peer's.

**GB/s** is what must move (the logits read forward, read backward, their gradient written; soft targets read twice)
by our time. **Of limit** is the time this takes at the bandwidths below, by ours; small logits stay in the caches and
can pass 100 %. **Others** is the share of the cores that other processes, and other guests of the host, used while the
row was timed. Steps of a linear head take seconds: they are timed two or three times, after one that warms up."""

HEAD = [
    "work",
    "dtype",
    "logits",
    "reduction",
    "peer",
    "peer ms",
    "ours ms",
    "best ms",
    "×",
    "quartiles",
    "× best",
    "× kept",
    "contract",
    "memory ours",
    "peer",
    "contract",
    "GB/s",
    "of limit",
    "others",
    "met",
]
LEFT = 5  # columns of text, ahead of the numbers


@dataclass
class Row:
    """A case and what was found."""

    case: Case
    times: Times
    others: float  # share of the cores that other processes used meanwhile
    peaks: Peaks | None
    kept: Times | None = None  # with an allocator that keeps what is freed

    @property
    def missed(self) -> list[str]:
        """The promises that were not kept."""
        late = self.times.speedup < self.case.speedup
        memory, peaks = self.case.memory, self.peaks
        fat = memory is not None and peaks is not None and peaks.ours > memory * self.case.nbytes
        share, extra = self.case.extra, self.extra
        fat |= share is not None and extra is not None and extra.ours > share * extra.peer
        return ["time"] * late + ["memory"] * fat

    @property
    def extra(self) -> Peaks | None:
        """The peaks beyond the gradients."""
        return self.peaks and Peaks(*(peak - self.case.nbytes for peak in self.peaks))

    def cells(self, limits: Bandwidth) -> list[str]:
        """As they stand in the table."""
        case, times = self.case, self.times
        low, high = times.quartiles
        return [
            *(case.work, case.dtype, case.values, case.reduction, case.peer),
            *(
                milliseconds(median(times.peer)),
                milliseconds(median(times.ours)),
                milliseconds(min(times.ours)),
            ),
            *(f"{times.speedup:.2f}", f"{low:.2f}–{high:.2f}", f"{min(times.peer) / min(times.ours):.2f}"),
            f"{self.kept.speedup:.2f}" if self.kept else "",
            f"≥ {case.speedup:.2g}",
            *self._memory_cells(),
            *self._traffic_cells(limits),
            f"{self.others:.0%}",
            "no: " + ", ".join(self.missed) if self.missed else "yes",
        ]

    def _memory_cells(self) -> list[str]:
        case = self.case
        if case.extra is not None:
            found, promised = (
                [f"{peak / 2**20:.0f} MiB" for peak in self.extra or ()],
                f"≤ {case.extra:.2f} × peer",
            )
        else:
            found = [f"{peak / case.nbytes:.2f}" for peak in self.peaks or ()]
            promised = "" if case.memory is None else f"≤ {case.memory:.2f}"
        return [*(found or ("", "")), promised]

    def _traffic_cells(self, limits: Bandwidth) -> list[str]:
        case, ours = self.case, median(self.times.ours)
        if not case.is_large or not case.passes:
            return ["", ""]
        within = limits.seconds(case.nbytes, case.passes, case.trains) / ours
        return [f"{case.passes * case.nbytes / ours / 1e9:.1f}", f"{within:.0%}"]


def milliseconds(seconds: float) -> str:
    """With three digits."""
    ms = 1e3 * seconds
    return f"{ms:.4f}" if ms < 1 else f"{ms:.2f}" if ms < 100 else f"{ms:.0f}"


def report(machine: dict[str, str], limits: Bandwidth, rows: Sequence[Row], paid: Sequence[Price]) -> str:
    """The whole page."""
    met = sum(not row.missed for row in rows)
    parts = [
        "# Side by side",
        grid(("", ""), machine.items(), 2),
        METHOD,
        grid(HEAD, (row.cells(limits) for row in rows), LEFT),
        f"{met} of {len(rows)} rows met.",
        "## The machine's limits",
        grid(
            ("bandwidth", "GB/s"),
            [
                ("read", f"{limits.read / 1e9:.1f}"),
                ("copy, read + written, into memory in use", f"{limits.copy / 1e9:.1f}"),
                ("copy, read + written, into new memory, large pages asked for", f"{limits.fresh / 1e9:.1f}"),
            ],
            1,
        ),
    ]
    if paid:
        parts += [
            "## The fixed price of a call, at (1, 10)",
            grid(("", "µs"), ((what, f"{1e6 * seconds:.2f}") for what, seconds in paid), 1),
        ]
    return "\n\n".join(parts) + "\n"


def grid(head: Sequence[str], rows: Iterable[Sequence[str]], left: int) -> str:
    """A Markdown table with its columns padded; those behind the first `left` are set to the right."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(3, *(len(line[i]) for line in lines)) for i in range(len(head))]

    def padded(line: Sequence[str]) -> str:
        cells = [
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        return f"| {' | '.join(cells)} |"

    rule = ["-" * width if i < left else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    return "\n".join([padded(lines[0]), padded(rule), *map(padded, lines[1:])])
