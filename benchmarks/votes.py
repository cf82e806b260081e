"""Counting votes beside the loop of Cohen et al. (2019): noise drawn per batch, then a Python loop over the labels."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from benchmarks import Row, benchmark, timed
from noiseaug.votes import VoteCounter, make_noise

SIGMA, BATCH = 0.5, 1000

Classify = Callable[[np.ndarray], np.ndarray]


def obvious(classify: Classify, x: np.ndarray, n: int, num_classes: int) -> np.ndarray:
    """Their ``_sample_noise`` and ``_count_arr`` in numpy, with the random numbers that one writes first."""
    counts, left = np.zeros(num_classes, dtype=int), n
    while left > 0:
        size = min(BATCH, left)
        left -= size
        noise = np.random.randn(size, *x.shape) * SIGMA  # noqa: NPY002
        for label in classify((x + noise).astype(x.dtype)):
            counts[label] += 1
    return counts


def linear() -> tuple[np.ndarray, Classify]:
    """Ten classes in 784 dimensions, in single precision."""
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((784, 10), dtype=np.float32)
    x = (rng.integers(0, 256, 784) / 255).astype(np.float32)
    return x, lambda rows: (rows @ weights).argmax(axis=1)


def forest() -> tuple[np.ndarray, Classify]:
    """Ten trees of depth 5 on ten classes in 64 dimensions."""
    rng = np.random.default_rng(0)
    centres = rng.integers(0, 256, (10, 64)) / 255
    labels = np.arange(2000) % 10
    model = RandomForestClassifier(10, max_depth=5, random_state=0)
    model.fit(centres[labels] + SIGMA * rng.standard_normal((2000, 64)), labels)
    return centres[0].astype(np.float32), model.predict


class Stopwatch:
    """A classifier that keeps the seconds that it takes."""

    def __init__(self, classify: Classify) -> None:
        self.classify, self.seconds = classify, 0.0

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        start = time.perf_counter()
        labels = self.classify(rows)
        self.seconds += time.perf_counter() - start
        return labels


def shares(classify: Classify, x: np.ndarray, n: int, name: str) -> tuple[float, float]:
    """Share of the time in the classifier, and of that in neither the classifier nor the drawing of noise.

    In batches too small for threads, so that nothing overlaps; both parts are measured in the same run.
    """
    watch = Stopwatch(classify)
    counter = VoteCounter(watch, noise=make_noise(name, SIGMA), num_classes=10, batch=max(1, 32_000 // x.size))
    stream = counter.stream(x, 0, "estimation")
    drawing, fill = 0.0, stream._rows.fill

    def timed_fill(*arguments: object) -> object:
        nonlocal drawing
        start = time.perf_counter()
        left = fill(*arguments)
        drawing += time.perf_counter() - start
        return left

    stream._rows.fill = timed_fill
    start = time.perf_counter()
    stream.take(n)
    total = time.perf_counter() - start
    return watch.seconds / total, 1 - (watch.seconds + drawing) / total


def compare(what: str, x: np.ndarray, classify: Classify, n: int, repeats: int) -> list[Row]:
    """Both laws of noise and the obvious loop, in turns; their counts must agree roughly."""
    counters = {
        name: VoteCounter(classify, noise=make_noise(name, SIGMA), num_classes=10, batch=BATCH)
        for name in ("gaussian", "discrete")
    }
    ways: dict[str, Callable[[], object]] = {
        name: lambda counter=counter: counter.stream(x, 0, "estimation").take(n) for name, counter in counters.items()
    }
    ways["obvious"] = lambda: obvious(classify, x, n, 10)
    for way in ways.values():
        way()  # tables, buffers and threads, once
    seconds, counts = timed(ways, repeats)
    rows = []
    for name in counters:
        if np.abs(np.subtract(counts[name], counts["obvious"])).max() > 10 * np.sqrt(n):
            raise AssertionError(f"votes: {name} and the obvious loop differ")
        base, counting = shares(classify, x, n, name)
        label = f"{what}, {name}: {n / seconds[name] / 1e3:.0f}k/s, {base:.0%} base, {counting:.0%} counting"
        met = seconds[name] <= seconds["obvious"] and counting < 0.15
        rows.append(Row(label, seconds[name], seconds["obvious"], "1x, counting under 15%", met))
    return rows


@benchmark("votes")
def run(repeats: int) -> list[Row]:
    """Votes a second, with the shares of the time in the base classifier, and in neither it nor drawing noise."""
    return compare("linear 784", *linear(), 20_000, repeats) + compare("forest 64", *forest(), 40_000, repeats)
