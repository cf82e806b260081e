"""The same quantities by sampling, with intervals at a stated failure probability and memory bounded by a chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import special

from noiseaug.confidence import VoteBudget, binomial_interval, empirical_bernstein
from noiseaug.errors import InvalidInputError, NoClosedFormError
from noiseaug.estimates import Estimate
from noiseaug.predictors import SmoothedRegion
from noiseaug.tables import Measure, evaluator
from noiseaug.tasks import BinaryTask, Task
from noiseaug.validation import FloatArray

__all__ = ["evaluate_sampled", "sample_chunks"]

_CHUNK_FLOATS = 1 << 21  # coordinates drawn at a time: 16 MiB, before the temporaries of a margin
_CHUNK_ROWS = 1 << 15


@dataclass
class _Tally:
    """Running count, sum and sum of squares of one quantity."""

    n: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, values: np.ndarray) -> None:
        """Chan's update, which does not lose the variance of a small spread around a large mean."""
        size = values.size
        mean = float(values.mean())
        if np.isinf(mean + self.mean):
            # a constant classifier has infinite radii, and no variance
            self.n, self.mean = self.n + size, np.inf
            return
        gap, total = mean - self.mean, self.n + size
        self.squares += float(np.sum((values - mean) ** 2)) + gap**2 * self.n * size / total
        self.mean += gap * size / total
        self.n = total

    @property
    def variance(self) -> float:
        return self.squares / (self.n - 1)

    @property
    def count(self) -> int:
        return round(self.mean * self.n)


def sample_chunks(task: Task, n: int, rng: np.random.Generator) -> Iterator[tuple[FloatArray, np.ndarray]]:
    """n draws of the task, a bounded number at a time."""
    rows = max(1, min(_CHUNK_ROWS, _CHUNK_FLOATS // task.dim))
    for start in range(0, n, rows):
        yield task.sample(min(rows, n - start), rng)


@dataclass
class _Chunk:
    """One chunk of draws, with what the quantities need of it."""

    task: BinaryTask
    predictor: SmoothedRegion
    budget: VoteBudget
    rng: np.random.Generator  # of the votes
    x: FloatArray
    y: np.ndarray
    margin: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        self.margin = self.predictor.base.margin(self.x, self.predictor.smooth_sigma)

    @property
    def predicted(self) -> np.ndarray:
        return self.margin >= 0

    @property
    def correct(self) -> np.ndarray:
        return self.predicted == (self.y == 1)

    @property
    def own_margin(self) -> FloatArray:
        """Margin of the true class."""
        return np.where(self.y == 1, self.margin, -self.margin)

    def certified(self, radius: float) -> np.ndarray:
        sigma = self.predictor.smooth_sigma
        return self.correct & (self.own_margin >= radius / sigma) if sigma > 0 else self.correct & (radius == 0)

    def robust(self, radius: float) -> np.ndarray:
        return self.correct & (self.predictor.decision.distance_to_boundary(self.x) >= radius)

    def passes(self, radius: float) -> np.ndarray:
        """Whether a run with newly drawn votes certifies the radius."""
        votes = self.rng.binomial(self.budget.votes, special.ndtr(self.own_margin))
        return votes >= self.budget.needed(radius, self.predictor.smooth_sigma)

    def differs(self) -> np.ndarray:
        """Whether the Bayes classifier predicts the other class."""
        return self.task.bayes_region().contains(self.x) != self.predicted

    def excess(self) -> FloatArray:
        return self.differs() * np.abs(2 * self.task.regression(self.x) - 1)

    def earned(self) -> FloatArray:
        """Certified radii, 0 where the class is wrong."""
        sigma = self.predictor.smooth_sigma
        return sigma * np.maximum(self.own_margin, 0.0) if sigma > 0 else np.zeros(len(self.x))


def evaluate_sampled(
    task: Task,
    predictor: object,
    asked: Sequence[Measure],
    budget: VoteBudget,
    *,
    n: int,
    seed: int,
    failure_prob: float,
) -> list[Estimate]:
    """Answers from n draws of (X, Y); each interval fails with probability at most ``failure_prob``.

    The inner probability P(x + βZ ∈ A) is the region's own; finite-sample accuracies draw their votes.
    """
    if not isinstance(task, BinaryTask) or not isinstance(predictor, SmoothedRegion):
        raise NoClosedFormError(f"{type(task).__name__} needs votes to be drawn for each point; give votes_per_point")
    if n < 2:
        raise InvalidInputError(f"n is {n}; expected at least 2 draws")
    rng = np.random.default_rng(seed)
    vote_rng = np.random.default_rng([seed, 1])
    ways = [evaluator(_SAMPLED, measure.quantity, "by sampling") for measure in asked]
    tallies = [_Tally() for _ in asked]
    for x, y in sample_chunks(task, n, rng):
        chunk = _Chunk(task, predictor, budget, vote_rng, x, y)
        for tally, measure, (values, _) in zip(tallies, asked, ways, strict=True):
            tally.add(values(chunk, measure.at))
    answers = []
    for tally, (_, interval) in zip(tallies, ways, strict=True):
        low, high = interval(task, predictor, tally, failure_prob)
        answers.append(Estimate(tally.mean, low, high, "sampled", n, failure_prob, seed))
    return answers


def _binomial(task: BinaryTask, predictor: SmoothedRegion, tally: _Tally, failure_prob: float) -> tuple[float, float]:
    return binomial_interval(tally.count, tally.n, failure_prob)


def _bounded_by_1(
    task: BinaryTask, predictor: SmoothedRegion, tally: _Tally, failure_prob: float
) -> tuple[float, float]:
    low, high = empirical_bernstein(tally.mean, tally.variance, tally.n, 1.0, failure_prob)
    return max(low, 0.0), min(high, 1.0)


def _bounded_by_reach(
    task: BinaryTask, predictor: SmoothedRegion, tally: _Tally, failure_prob: float
) -> tuple[float, float]:
    # the radius is 1-Lipschitz and X stays within reach, so no draw exceeds this
    span = task.radius_cap(predictor.base, predictor.smooth_sigma)
    if np.isinf(tally.mean):
        return np.inf, np.inf
    low, high = empirical_bernstein(tally.mean, tally.variance, tally.n, span, failure_prob)
    return max(low, 0.0), high


_Values = Callable[[_Chunk, float], np.ndarray]
_Interval = Callable[[BinaryTask, SmoothedRegion, _Tally, float], tuple[float, float]]

# The draws whose mean is the quantity, at a radius where it takes one; and the interval for that mean.
_SAMPLED: dict[str, tuple[_Values, _Interval]] = {
    "risk": (lambda chunk, radius: ~chunk.correct, _binomial),
    "excess_risk": (lambda chunk, radius: chunk.excess(), _bounded_by_1),
    "disagreement": (lambda chunk, radius: chunk.differs(), _binomial),
    "certified_accuracy": (_Chunk.certified, _binomial),
    "adversarial_accuracy": (_Chunk.robust, _binomial),
    "acr": (lambda chunk, radius: chunk.earned(), _bounded_by_reach),
    "finite_sample_certified_accuracy": (_Chunk.passes, _binomial),
}
