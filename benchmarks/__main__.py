"""``python -m benchmarks [NAME...]``: runs the benchmarks, all by default, and prints a table of seconds and ratios."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import traceback

import numpy as np
import scipy

from benchmarks import BENCHMARKS, Row, load, processor
from noiseaug.runs import threads_each


def machine() -> str:
    """What the numbers were measured on."""
    threads = next((os.environ[k] for k in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS") if k in os.environ), "all")
    cores = threads_each(-1, 1)
    return (
        f"{cores} core{'s' if cores > 1 else ''}, "
        f"{threads} BLAS thread(s), {processor()}, {platform.machine()} {platform.system()}, "
        f"Python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}"
    )


def line(name: str, row: Row) -> str:
    """A row of the table as text."""
    baseline = "" if row.baseline is None else f"{row.baseline:.3f}"
    ratio = "" if row.ratio is None else f"{row.ratio:.1f}x"
    verdict = row.target and f"{row.target}: {'met' if row.met else 'MISSED'}"
    seconds = "" if row.seconds is None else f"{row.seconds:.3f}"
    numbers = f"{seconds:>10} {baseline:>10} {row.unit:<6} {ratio:>7}"
    return f"{name:<12} {row.label:<52} {numbers}  {verdict}".rstrip()


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; 1 where a benchmark fails, 2 for an unknown name; a missed target is marked, and no failure."""
    load()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Seconds of noiseaug and of the obvious way."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(sorted(BENCHMARKS))}; default all")
    parser.add_argument("--repeats", type=int, default=3, help="runs behind each median (default 3)")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown or options.repeats < 1:
        expected = f"one of {', '.join(sorted(BENCHMARKS))}" if unknown else "at least one repeat"
        print(f"{unknown[0] if unknown else options.repeats}: expected {expected}", file=sys.stderr)
        return 2
    print(machine())
    print(f"{'benchmark':<12} {'what':<52} {'noiseaug':>10} {'obvious':>10} {'unit':<6} {'ratio':>7}  target")
    failed = False
    for name in options.names or sorted(BENCHMARKS):
        try:
            for row in BENCHMARKS[name](options.repeats):
                print(line(name, row), flush=True)
        except Exception:  # the others say something all the same
            traceback.print_exc()
            print(f"{name:<12} FAILED", flush=True)
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
