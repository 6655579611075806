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


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", metavar="PATTERN", default="", help="rows whose work, dtype and logits match this regex"
    )
    parser.add_argument("--quick", action="store_true", help="few repeats, and no memory")
    parser.add_argument("--write", metavar="PATH", type=Path, help="write the report here as well")
    return parser.parse_args()


def main() -> None:
    """Measure, and print the report."""
    options = arguments()
    for module, package in (("torch", "torch"), ("sklearn", "scikit-learn")):
        if find_spec(module) is None:
            sys.exit(f'the benchmarks need {package}; install it with pip install "crossentropy[train]"')
    os.environ["OMP_NUM_THREADS"] = str(THREADS)  # read when the packages below are imported

    import cases
    import machine
    import measure
    import overhead
    import table
    import torch

    torch.set_num_threads(THREADS)
    budget, least = (0.3, 3) if options.quick else (2.5, 5)
    everything = cases.all_cases()
    chosen = [case for case in everything if re.search(options.only, case.name)]
    if not chosen:
        sys.exit(
            f"no row matches {options.only!r}; there are\n" + "\n".join(case.name for case in everything)
        )
    start = perf_counter()
    limits = measure.bandwidth()
    rows: list[table.Row] = []
    peaks: dict[tuple[str, str], measure.Peaks | None] = {}
    for i, case in enumerate(chosen, 1):
        sides = case.build()
        measure.check_agreement(sides, case.tolerance)
        times = measure.interleaved(sides, budget, least)
        key = (case.work, case.dtype)  # what logits hold takes no memory
        if key not in peaks and not options.quick and case.is_large:
            peaks[key] = measure.peak_memory(cases.build, case.name)
        rows.append(table.Row(case, times, peaks.get(key)))
        progress = f"[{i}/{len(chosen)}] {case.name}: {times.speedup:.2f}×"
        print(progress, *(f"(missed: {what})" for what in rows[-1].missed), file=sys.stderr, flush=True)
    paid = overhead.prices(budget)
    report = table.report(machine.description(), limits, rows, paid)
    print(report)
    print(f"{perf_counter() - start:.0f} s", file=sys.stderr)
    if options.write:
        options.write.parent.mkdir(parents=True, exist_ok=True)
        options.write.write_text(report)


if __name__ == "__main__":
    main()
