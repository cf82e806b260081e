"""``python -m benchmarks.cuda --out FOLDER``: what a CUDA device makes of noiseaug, in a quarter of an hour.

Five stages, each with its table in FOLDER: is it right, is it fast, the networks that five minutes of training buy,
their certificates, and whether more training noise is better at larger radii. COMMANDS.md has the lines to copy.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from functools import partial
from pathlib import Path

from benchmarks.cuda.stages import LIMITS, Context, run_all, run_stage


def parser() -> argparse.ArgumentParser:
    """The options; the last two are what the command tells the processes that it starts."""
    found = argparse.ArgumentParser(prog="python -m benchmarks.cuda", description="noiseaug on a CUDA device.")
    found.add_argument("--out", type=Path, required=True, help="folder of the tables; a rerun goes on in it")
    found.add_argument("--work", type=Path, help="folder of weights and logs; default OUT/work")
    found.add_argument("--minutes", type=float, default=12.0, help="for all stages together (default 12)")
    found.add_argument("--stages", default=",".join(LIMITS), help=f"default {','.join(LIMITS)}")
    found.add_argument("--device", default="cuda", help="cuda (default), or cpu to try the command out")
    found.add_argument("--data", help="data root with CIFAR-10; default $NOISEAUG_DATA")
    found.add_argument("--objective", default="consistency", help="of the network to be proud of (consistency)")
    found.add_argument("--small", action="store_true", help="everything in small, as the tests have it")
    found.add_argument("--stage", choices=tuple(LIMITS), help=argparse.SUPPRESS)
    found.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    return found


def _stage(name: str, context: Context) -> str:
    # loaded when it runs: a stage that cannot be imported must not stop the others
    missing: str = importlib.import_module(f"benchmarks.cuda.{name}").run(context)
    return missing


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; 0 where all stages finished, 1 where one was cut, skipped or failed, 2 for a wrong option."""
    options = parser().parse_args(arguments)
    work = options.work or options.out / "work"
    if options.stage is not None:
        context = Context(
            options.out, work, options.device, options.small, options.data, options.seconds, options.objective
        )
        return run_stage(options.stage, context, {name: partial(_stage, name) for name in LIMITS})
    names = options.stages.split(",")
    unknown = [name for name in names if name not in LIMITS]
    if unknown:
        print(f"error: no stage {unknown[0]!r}; expected some of {', '.join(LIMITS)}", file=sys.stderr)
        return 2
    passed = ["--device", options.device, "--objective", options.objective]
    passed += ["--small"] * options.small + (["--data", options.data] if options.data else [])
    return run_all(names, options.out, work, 60 * options.minutes, passed)


if __name__ == "__main__":
    sys.exit(main())
