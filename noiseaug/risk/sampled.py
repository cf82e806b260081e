"""The same quantities by sampling, with intervals at a stated failure probability and memory bounded by a chunk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import special

from noiseaug.confidence import binomial_interval, empirical_bernstein
from noiseaug.errors import InvalidInputError, NoClosedFormError
from noiseaug.estimates import Estimate
from noiseaug.predictors import SmoothedRegion
from noiseaug.risk.questions import Question, VoteBudget
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
    """One chunk of draws with what the quantities need of it."""

    predictor: SmoothedRegion
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


def evaluate_sampled(
    task: Task,
    predictor: object,
    asked: Sequence[Question],
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
    tallies = [_Tally() for _ in asked]
    for x, y in sample_chunks(task, n, rng):
        chunk = _Chunk(predictor, x, y)
        for tally, question in zip(tallies, asked, strict=True):
            tally.add(_values(task, chunk, question, budget, vote_rng))
    return [
        _estimate(task, predictor, question, tally, seed, failure_prob)
        for tally, question in zip(tallies, asked, strict=True)
    ]


def _values(
    task: BinaryTask, chunk: _Chunk, question: Question, budget: VoteBudget, rng: np.random.Generator
) -> np.ndarray:
    """The draws whose mean is the quantity."""
    quantity, radius, predictor = question.quantity, question.radius, chunk.predictor
    if quantity == "risk":
        return ~chunk.correct
    if quantity in ("disagreement", "excess_risk"):
        differs = task.bayes_region().contains(chunk.x) != chunk.predicted
        return differs if quantity == "disagreement" else differs * np.abs(2 * task.regression(chunk.x) - 1)
    if quantity == "acr":
        if predictor.smooth_sigma == 0:
            return np.zeros(len(chunk.x))
        return predictor.smooth_sigma * np.maximum(chunk.own_margin, 0.0)
    assert radius is not None
    if quantity == "certified_accuracy":
        return chunk.certified(radius)
    if quantity == "adversarial_accuracy":
        return chunk.correct & (predictor.decision.distance_to_boundary(chunk.x) >= radius)
    return rng.binomial(budget.votes, special.ndtr(chunk.own_margin)) >= budget.needed(radius, predictor.smooth_sigma)


def _estimate(
    task: BinaryTask, predictor: SmoothedRegion, question: Question, tally: _Tally, seed: int, failure_prob: float
) -> Estimate:
    if question.quantity == "acr":
        # the radius is 1-Lipschitz and X stays within reach, so no draw exceeds this
        span = task.radius_cap(predictor.base, predictor.smooth_sigma)
        if np.isinf(tally.mean):
            low = high = np.inf
        else:
            low, high = empirical_bernstein(tally.mean, tally.variance, tally.n, span, failure_prob)
        low = max(low, 0.0)
    elif question.quantity == "excess_risk":
        low, high = empirical_bernstein(tally.mean, tally.variance, tally.n, 1.0, failure_prob)
        low, high = max(low, 0.0), min(high, 1.0)
    else:
        low, high = binomial_interval(tally.count, tally.n, failure_prob)
    return Estimate(tally.mean, low, high, "sampled", tally.n, failure_prob, seed)
