"""Where sampled values come from: independent chunks of draws with random streams of their own, on all cores.

A draw is a point, or, where coordinates decide everything (``CoordinateTask``), those: every quantity is a function of
|X| and Y, or of two signed distances and Y, and these are drawn from their own joint law. Either way the estimate is an
average over independent draws of the same variable.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

import numpy as np

from noiseaug.errors import NoClosedFormError
from noiseaug.regions import ProfileRegion, Region
from noiseaug.regions.base import in_intervals
from noiseaug.runs import threads_each
from noiseaug.tasks import BinaryTask, CoordinateTask, Task
from noiseaug.tasks.base import CoordinateSampler
from noiseaug.validation import FloatArray

__all__ = ["Coordinates", "Draws", "Points", "Source", "in_order", "sample_chunks"]

_CHUNK_ROWS = 1 << 15
_CHUNK_FLOATS = 1 << 21  # coordinates drawn at a time where one chunk is all: 16 MiB, before temporaries
_SHARED_FLOATS = 1 << 19  # the same where each core has a chunk

Result = TypeVar("Result")


class Draws(Protocol):
    """Drawn points, as far as the quantities ask about them; all results of shape (n,)."""

    @property
    def y(self) -> np.ndarray:
        """Labels."""
        ...

    def coordinate(self, region: ProfileRegion) -> FloatArray:
        """The region's coordinate."""
        ...

    def margin(self, region: Region, sigma: float) -> FloatArray:
        """The region's margin."""
        ...

    def distance(self, region: Region) -> FloatArray:
        """Distance to the region's boundary."""
        ...

    def in_bayes(self, bayes: Region) -> np.ndarray:
        """Whether the Bayes classifier predicts 1."""
        ...

    def regression(self) -> FloatArray:
        """h = P(Y=1 given X)."""
        ...

    def take(self, chosen: np.ndarray) -> Self:
        """Some of the draws."""
        ...


@dataclass(frozen=True)
class Points:
    """Draws as points x of shape (n, dim) with labels y."""

    task: BinaryTask
    x: FloatArray
    y: np.ndarray

    def coordinate(self, region: ProfileRegion) -> FloatArray:
        return region.coordinate(self.x)

    def margin(self, region: Region, sigma: float) -> FloatArray:
        return region.margin(self.x, sigma)

    def distance(self, region: Region) -> FloatArray:
        return region.distance_to_boundary(self.x)

    def in_bayes(self, bayes: Region) -> np.ndarray:
        return bayes.contains(self.x)

    def regression(self) -> FloatArray:
        return self.task.regression(self.x)

    def take(self, chosen: np.ndarray) -> Points:
        return Points(self.task, self.x[chosen], self.y[chosen])


@dataclass(frozen=True)
class Coordinates:
    """Draws as coordinates in one region and in the Bayes region, with labels y; each of shape (n,).

    The regions asked about share the coordinate of the first.
    """

    task: BinaryTask
    at: FloatArray
    bayes_at: FloatArray
    y: np.ndarray

    def coordinate(self, region: ProfileRegion) -> FloatArray:
        return self.at

    def margin(self, region: Region, sigma: float) -> FloatArray:
        assert isinstance(region, ProfileRegion)
        return region.margin_of(self.at, sigma)

    def distance(self, region: Region) -> FloatArray:
        assert isinstance(region, ProfileRegion)
        return region.distance_of(self.at)

    def in_bayes(self, bayes: Region) -> np.ndarray:
        assert isinstance(bayes, ProfileRegion)
        return in_intervals(self.bayes_at, bayes.profile())

    def regression(self) -> FloatArray:
        assert isinstance(self.task, CoordinateTask)
        return self.task.regression_at(self.bayes_at)

    def take(self, chosen: np.ndarray) -> Coordinates:
        return Coordinates(self.task, self.at[chosen], self.bayes_at[chosen], self.y[chosen])


@dataclass(frozen=True)
class Source:
    """n draws in chunks; what is in a chunk depends on the seed and its number alone.

    Attributes:
        task: the law of (X, Y).
        n: draws in all.
        rows: draws in a chunk; the last one may have fewer.
        seed: seed of the draws.
        sampler: draws coordinates instead of points, where the task can.
    """

    task: BinaryTask
    n: int
    rows: int
    seed: int
    sampler: CoordinateSampler | None

    @classmethod
    def of(cls, task: BinaryTask, region: Region, n: int, seed: int) -> Source:
        """Points where one chunk holds all, and otherwise what decides about them in this region."""
        if n <= _rows(task, _CHUNK_FLOATS):
            return cls(task, n, n, seed, None)
        sampler = _coordinate_sampler(task, region)
        # at least two, which a variance needs
        rows = _CHUNK_ROWS if sampler else max(2, _rows(task, _SHARED_FLOATS))
        return cls(task, n, rows, seed, sampler)

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return -(-self.n // self.rows)

    def draws(self, chunk: int) -> tuple[Draws, np.random.Generator]:
        """The draws of a chunk, and a generator for the votes at them."""
        # the streams of the first chunk are those of the seed itself
        key = (chunk,) if chunk else ()
        rng, vote_rng = (
            np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=key))
            for entropy in (self.seed, [self.seed, 1])
        )
        size = min(self.rows, self.n - chunk * self.rows)
        if self.sampler is None:
            return Points(self.task, *self.task.sample(size, rng)), vote_rng
        return Coordinates(self.task, *self.sampler(size, rng)), vote_rng


def _rows(task: Task, floats: int) -> int:
    return max(1, min(_CHUNK_ROWS, floats // task.dim))


def _coordinate_sampler(task: BinaryTask, region: Region) -> CoordinateSampler | None:
    if not isinstance(task, CoordinateTask) or not isinstance(region, ProfileRegion):
        return None
    try:
        return task.coordinate_sampler(region)
    except NoClosedFormError:  # a region of another kind, which points can be held against all the same
        return None


def sample_chunks(task: Task, n: int, rng: np.random.Generator) -> Iterator[tuple[FloatArray, np.ndarray]]:
    """n draws of the task from one stream, a bounded number at a time."""
    rows = _rows(task, _CHUNK_FLOATS)
    for start in range(0, n, rows):
        yield task.sample(min(rows, n - start), rng)


def in_order(function: Callable[[int], Result], count: int, jobs: int) -> Generator[Result]:
    """function(0), …, function(count − 1) in this order, by threads; a few are computed ahead.

    The first call is made alone, so that what it caches is there for the others.

    Args:
        function: safe to call from several threads; NumPy works on several cores there.
        count: number of calls.
        jobs: threads; −1 for one a core.
    """
    yield function(0)
    workers = min(threads_each(jobs, 1), count - 1)
    if workers < 2:
        yield from map(function, range(1, count))
        return
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[Future[Result]] = deque()
        try:
            for number in range(1, count):
                ahead.append(pool.submit(function, number))
                if len(ahead) > 2 * workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
