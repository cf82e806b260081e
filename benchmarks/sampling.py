"""Sampled certified accuracy beside the bare draw of as many points and their norms, by plain NumPy."""

from __future__ import annotations

import resource
import subprocess
import sys

import numpy as np

from benchmarks import Row, benchmark, timed
from noiseaug import risk, tasks
from noiseaug.predictors import augmented, smoothed

RADIUS = 0.1


def sampled(dim: int, n: int, jobs: int = 1) -> object:
    """Certified accuracy of concentric Gaussians from n draws."""
    task = tasks.ConcentricGaussians(dim, 0.3, 0.4)
    predictor = smoothed(augmented(task, 0.25), 0.25)
    return risk.certified_accuracy(task, predictor, RADIUS, method="sampled", n=n, jobs=jobs)


def bare(dim: int, n: int) -> object:
    """Draws the points and their norms, as many at a time as fit the caches."""
    rng, rows, total = np.random.default_rng(0), max(1, (1 << 21) // dim), 0.0
    for start in range(0, n, rows):
        size = min(rows, n - start)
        y = rng.random(size) < 0.5
        x = rng.standard_normal((size, dim)) * np.where(y, 0.3, 0.4)[:, None]
        total += float(np.linalg.norm(x, axis=1).sum())
    return total


@benchmark("sampling")
def run(repeats: int) -> list[Row]:
    """One thread each; the sampled value is held against the closed form."""
    rows = []
    for dim, n, most in ((2, 2_000_000, 6.0), (100, 100_000, 1.0)):
        seconds, found = timed({"noiseaug": lambda: sampled(dim, n), "bare": lambda: bare(dim, n)}, repeats)  # noqa: B023
        task = tasks.ConcentricGaussians(dim, 0.3, 0.4)
        exact = risk.certified_accuracy(task, smoothed(augmented(task, 0.25), 0.25), RADIUS)
        assert exact.agrees_with(found["noiseaug"])  # type: ignore[arg-type]
        label = f"sampled certified accuracy, d = {dim}, n = {n:.0e}"
        met = seconds["noiseaug"] <= most * seconds["bare"]
        rows.append(Row(label, seconds["noiseaug"], seconds["bare"], f"{most:g}x the bare draw", met))
    return rows


@benchmark("sampling-1e8")
def many(repeats: int) -> list[Row]:
    """A hundred million draws on all cores: seconds, and the most memory that a process of its own takes."""
    code = (
        "from benchmarks.sampling import memory, sampled; import time; begun = time.perf_counter();"
        "sampled(2, 10**8, jobs=-1); print(time.perf_counter() - begun, memory())"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    seconds, gibibytes = (float(value) for value in told)
    return [
        Row("sampled certified accuracy, d = 2, n = 1e+08", seconds, None, "180 s", seconds < 180),
        Row("the same, memory of the whole process", gibibytes, None, "1 GiB", gibibytes < 1, "GiB"),
    ]


def memory() -> float:
    """The most memory that this process has held, in GiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
