"""Small studies, and runs of them that are counted or interrupted."""

from __future__ import annotations

import noiseaug
from noiseaug.sweeps import Grid
from noiseaug.synthetic.runs import run_study
from noiseaug.synthetic.study import Part, Study
from tests.helpers.running import start

CELLS = 12

# The command in a process of its own. Each cell that it computes goes into a log first; before cell STOP it says so
# and waits for its end.
COUNTED = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job does not have
from noiseaug.synthetic import runs
from noiseaug.cli.synthetic import main

log, stop = sys.argv.pop(1), int(sys.argv.pop(1))
runs._TOGETHER = 1
honest, count = runs.run_rows, 0

def run_rows(cells, threads=1):
    global count
    if count == stop:
        print("waiting", flush=True)
        time.sleep(600)
    count += 1
    with open(log, "a") as stream:
        stream.write(cells[0].key + "\\n")
    return honest(cells, threads)

runs.run_rows = run_rows
main()
"""


def tiny(**changes):
    """A study of one cell for each training noise."""
    options = {"train_sigma": (0.0, 0.2), "smooth_sigma": (0.25,)}
    part = Part("ConcentricGaussians", {"std_1": 0.3, "std_0": 0.4}, {"dim": (2,)}, Grid(**{**options, **changes}))
    return Study("tiny", "a tiny study", (part,))


def run(study, path, **options):
    return run_study(study, path, jobs=1, progress=False, **options)


def counted(log, stop, *arguments, **options):
    return start("-c", COUNTED, log, stop, *arguments, **options)


def failing_after(cells, error):
    """``run_rows`` that raises once it has been called for so many pieces: cells, where each is one by itself."""
    left = [cells]

    def run_rows(piece, threads=1):
        if not left[0]:
            raise error
        left[0] -= 1
        return noiseaug.sweeps.run_rows(piece, threads)

    return run_rows


def files(path):
    """The files of a run, without the second form of the table that there is where pyarrow is installed."""
    return sorted(entry.name for entry in path.iterdir() if entry.name != "table.parquet")
