"""A closed-form study of concentric Gaussians in 784 dimensions, and how long the package takes to import."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from benchmarks import Row, benchmark, timed
from noiseaug import sweep, tasks


@benchmark("concentric")
def run(repeats: int) -> list[Row]:
    """40 α × 40 β × 20 radii in d = 784 on one core; the result is checked for what it must be."""
    grid = np.linspace(0, 0.6, 40)

    def study() -> object:
        task = tasks.ConcentricGaussians(784, 0.3, 0.4)
        radii = np.linspace(0, 1, 20)
        return sweep(task, train_sigma=grid, smooth_sigma=grid, radii=radii, quantities="certified_accuracy")

    seconds, results = timed({"study": study}, repeats)
    values = results["study"]["value"]  # type: ignore[index]
    assert len(values) == 40 * 40 * 20
    assert values.between(0, 1).all()
    return [Row("40 α x 40 β x 20 r, d = 784, one core", seconds["study"], None, "10 s", seconds["study"] < 10)]


@benchmark("import")
def imports(repeats: int) -> list[Row]:
    """``import noiseaug`` in a fresh interpreter, less the interpreter's own start."""

    def start(code: str) -> object:
        return subprocess.run([sys.executable, "-c", code], check=True)

    seconds, _ = timed({"with": lambda: start("import noiseaug"), "without": lambda: start("pass")}, 2 * repeats + 1)
    taken = seconds["with"] - seconds["without"]
    heavy = "import sys, noiseaug; sys.exit(any(name in sys.modules for name in ('torch', 'matplotlib')))"
    subprocess.run([sys.executable, "-c", heavy], check=True)
    return [Row("import noiseaug, without torch and matplotlib", taken, None, "0.5 s", taken < 0.5)]
