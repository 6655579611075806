"""Measure the losses of tensors on a GPU, side by side with what people use there.

make bench-cuda
python benchmarks/run_cuda.py --write
python benchmarks/run_cuda.py --write --unmeasured    # the same page with nothing measured
"""

import argparse
import sys
from pathlib import Path

import torch

from cuda_cases import all_tables
from cuda_measure import description
from cuda_table import NOT_MEASURED, report

PAGE = Path(__file__).parent / "results" / "cuda.md"


def main() -> int:
    """Measure, and print the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--write", metavar="PATH", type=Path, nargs="?", const=PAGE, help="write it here as well"
    )
    parser.add_argument("--unmeasured", action="store_true", help="write the tables, and no numbers")
    options = parser.parse_args()
    measured = not options.unmeasured
    if measured and not torch.cuda.is_available():
        print("there is no GPU that PyTorch can use here; nothing was measured", file=sys.stderr)
        return 2
    machine = description() if measured else {"device": NOT_MEASURED}
    page = report(machine, all_tables(), measured, lambda done: print(done, file=sys.stderr, flush=True))
    print(page)
    if options.write:
        options.write.parent.mkdir(parents=True, exist_ok=True)
        options.write.write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
