"""Measure the speed contract: every promise, side by side with what people use today.

make bench
python benchmarks/run.py --only forward --quick
python benchmarks/run.py --write benchmarks/results/my-machine.md
"""

import argparse
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

THREADS = 2
DISTURBED = 0.05  # share of the cores that others may use without a patient row being done again
TRIES = 5


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only",
        metavar="PATTERN",
        default="",
        help="rows whose work, dtype, logits and peer match this regex",
    )
    parser.add_argument("--quick", action="store_true", help="few repeats, and no memory")
    parser.add_argument(
        "--patient",
        action="store_true",
        help="wait for a machine at rest, and redo the rows that others disturbed",
    )
    parser.add_argument("--write", metavar="PATH", type=Path, help="write the report here as well")
    return parser.parse_args()


def main() -> None:
    """Measure, and print the report."""
    options = arguments()
    for module, package in (("torch", "torch"), ("sklearn", "scikit-learn")):
        if find_spec(module) is None:
            sys.exit(f'the benchmarks need {package}; install it with pip install "crossentropy[train]"')
    os.environ["OMP_NUM_THREADS"] = str(THREADS)  # read when the packages below are imported

    import torch

    import cases
    import machine
    import measure
    import memory
    import overhead
    import table

    torch.set_num_threads(THREADS)
    budget, least = (0.3, 3) if options.quick else (2.5, 5)
    everything = cases.all_cases()
    chosen = [case for case in everything if re.search(options.only, case.name)]
    if not chosen:
        sys.exit(
            f"no row matches {options.only!r}; there are\n" + "\n".join(case.name for case in everything)
        )
    start = perf_counter()
    if options.patient:
        machine.wait_for_rest(DISTURBED)
    limits = machine.bandwidth()

    def compare(case: cases.Case, freed: bool) -> tuple[measure.Times, float]:
        """Times of both sides, and the share of the cores that others had meanwhile."""
        sides = case.build()
        memory.give_memory_back(freed)
        if case.tolerance is not None:
            measure.check_agreement(sides, case.tolerance)
        for _ in range(TRIES if options.patient else 1):
            if options.patient:
                machine.wait_for_rest(DISTURBED)
            others = machine.Others()
            times = measure.interleaved(sides, budget, case.turns or least, warm=case.turns is not None)
            if (share := others.share()) < DISTURBED:
                break
        return times, share

    rows: list[table.Row] = []
    peaks: dict[tuple[str, str, str], memory.Peaks | None] = {}
    for i, case in enumerate(chosen, 1):
        times, share = compare(case, freed=True)
        key = (case.work, case.dtype, case.peer)  # what logits hold takes no memory
        if key not in peaks and not options.quick and case.is_weighed:
            peaks[key] = memory.peaks(cases.build, case.name)
        rows.append(table.Row(case, times, share, peaks.get(key)))
        progress = f"[{i}/{len(chosen)}] {case.name}: {times.speedup:.2f}×, others {share:.0%}"
        print(progress, *(f"(missed: {what})" for what in rows[-1].missed), file=sys.stderr, flush=True)
    if memory.is_adjustable():  # last, for an allocator that has kept memory goes on using it
        for row in rows:
            if row.case.may_be_kept:
                row.kept, _ = compare(row.case, freed=False)
                print(f"{row.case.name}: {row.kept.speedup:.2f}× kept", file=sys.stderr, flush=True)
    paid = overhead.prices(budget)
    limits = limits.best(machine.bandwidth())
    report = table.report(machine.description(), limits, rows, paid)
    print(report)
    print(f"{perf_counter() - start:.0f} s", file=sys.stderr)
    if options.write:
        options.write.parent.mkdir(parents=True, exist_ok=True)
        options.write.write_text(report)


if __name__ == "__main__":
    main()
