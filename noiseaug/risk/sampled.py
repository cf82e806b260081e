"""The same quantities by sampling, with intervals at a stated failure probability and memory bounded by a chunk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
from scipy import special

from noiseaug.confidence import VoteBudget, binomial_interval, empirical_bernstein
from noiseaug.errors import InvalidInputError, NoClosedFormError
from noiseaug.estimates import Estimate
from noiseaug.predictors import SmoothedRegion
from noiseaug.regions import ProfileRegion, Region
from noiseaug.risk.sampled_cells import Cells, shares_coordinate
from noiseaug.risk.sampled_draws import Coordinates, Draws, Source, in_order
from noiseaug.tables import Measure, evaluator
from noiseaug.tasks import BinaryTask, Task
from noiseaug.validation import FloatArray

__all__ = ["evaluate_sampled"]

_FEW = 1 << 12  # draws up to which their margins cost less than the level sets
_GROWTH = 1.3  # of the draws from one look to the next


class _Moments(NamedTuple):
    """Size, mean and sum of squared deviations of some values."""

    size: int
    mean: float
    squares: float

    @classmethod
    def of(cls, values: np.ndarray) -> _Moments:
        mean = float(values.mean())
        return cls(values.size, mean, float(np.sum((values - mean) ** 2)) if np.isfinite(mean) else 0.0)

    @classmethod
    def counted(cls, counts: np.ndarray, values: FloatArray) -> _Moments:
        """Of values that occur so many times each."""
        size = int(counts.sum())
        mean = float(counts @ values) / size
        return cls(size, mean, float(counts @ (values - mean) ** 2))


@dataclass
class _Tally:
    """Running count, mean and sum of squared deviations of one quantity."""

    n: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, part: _Moments) -> None:
        """Chan's update, which does not lose the variance of a small spread around a large mean."""
        if np.isinf(part.mean + self.mean):
            # a constant classifier has infinite radii, and no variance
            self.n, self.mean = self.n + part.size, np.inf
            return
        gap, total = part.mean - self.mean, self.n + part.size
        self.squares += part.squares + gap**2 * self.n * part.size / total
        self.mean += gap * part.size / total
        self.n = total

    @property
    def variance(self) -> float:
        return self.squares / (self.n - 1)

    @property
    def count(self) -> int:
        return round(self.mean * self.n)


@dataclass(frozen=True)
class _Chunk:
    """One chunk of draws, with what the quantities need of it.

    ``classes`` are the predictions as far as they are known beforehand, NaN where the margins decide.
    """

    study: _Study
    draws: Draws
    rng: np.random.Generator  # of the votes
    classes: FloatArray | None = None

    def settled(self, known: FloatArray, values: Callable[[_Chunk], np.ndarray]) -> FloatArray:
        """The known values, and those of the draws where they are NaN."""
        unknown = np.isnan(known)
        if unknown.any():
            known[unknown] = values(replace(self, draws=self.draws.take(unknown), classes=None))
        return known

    @property
    def sigma(self) -> float:
        return self.study.predictor.smooth_sigma

    @cached_property
    def margin(self) -> FloatArray:
        return self.draws.margin(self.study.predictor.base, self.sigma)

    @cached_property
    def predicted(self) -> np.ndarray:
        if self.classes is None:
            return self.margin >= 0
        return self.settled(self.classes, lambda part: part.predicted) == 1

    @property
    def correct(self) -> np.ndarray:
        return self.predicted == (self.draws.y == 1)

    @property
    def own_margin(self) -> FloatArray:
        """Margin of the true class."""
        return np.where(self.draws.y == 1, self.margin, -self.margin)

    def certified(self, radius: float) -> np.ndarray:
        return (
            self.correct & (self.own_margin >= radius / self.sigma) if self.sigma > 0 else self.correct & (radius == 0)
        )

    def robust(self, radius: float) -> np.ndarray:
        return self.correct & (self.draws.distance(self.study.predictor.decision) >= radius)

    def passes(self, radius: float) -> np.ndarray:
        """Whether a run with newly drawn votes certifies the radius."""
        votes = self.rng.binomial(self.study.budget.votes, special.ndtr(self.own_margin))
        return votes >= self.study.budget.needed(radius, self.sigma)

    def differs(self) -> np.ndarray:
        """Whether the Bayes classifier predicts the other class."""
        return self.draws.in_bayes(self.study.bayes) != self.predicted

    def excess(self) -> FloatArray:
        return self.differs() * np.abs(2 * self.draws.regression() - 1)

    def earned(self) -> FloatArray:
        """Certified radii, 0 where the class is wrong."""
        return self.sigma * np.maximum(self.own_margin, 0.0) if self.sigma > 0 else np.zeros(len(self.draws.y))


class _Known(NamedTuple):
    """What is known beforehand: the class that each piece of the cells is predicted, and the values of the quantities.

    ``classes`` has shape (pieces,); a table has shape (pieces, labels), and is None for a quantity that is not constant
    on the cells.
    """

    cells: Cells
    classes: FloatArray
    tables: list[FloatArray | None]


@dataclass(frozen=True)
class _Study:
    """Quantities of one smoothed classifier, as functions of chunks of draws."""

    task: BinaryTask
    predictor: SmoothedRegion
    budget: VoteBudget
    asked: Sequence[Measure]
    source: Source

    @cached_property
    def bayes(self) -> Region:
        return self.task.bayes_region()

    @cached_property
    def radius_cap(self) -> float:
        return self.task.radius_cap(self.predictor.base, self.predictor.smooth_sigma)

    @cached_property
    def ways(self) -> list[tuple[_Values, _Interval]]:
        return [evaluator(_SAMPLED, measure.quantity, "by sampling") for measure in self.asked]

    @cached_property
    def known(self) -> _Known | None:
        if self.source.n <= _FEW:
            return None
        compared = not _WITH_BAYES.isdisjoint(measure.quantity for measure in self.asked)
        shared = compared and shares_coordinate(self.predictor.base, self.bayes)
        cells = Cells.of(self.task, self.predictor, self.asked, self.bayes if shared else None)
        if cells is None:
            return None
        places = np.repeat(cells.zones.ravel(), 2)
        labels = np.arange(places.size) % 2
        borders = _Chunk(self, Coordinates(self.task, places, places, labels), np.random.default_rng(0))

        def constants(values: np.ndarray) -> FloatArray:
            return cells.constants(values.reshape(-1, 2).astype(float))

        settled = {*_SETTLED, "disagreement"} if shared else _SETTLED
        tables = [
            constants(values(borders, measure.at)) if measure.quantity in settled else None
            for measure, (values, _) in zip(self.asked, self.ways, strict=True)
        ]
        return _Known(cells, constants(borders.predicted)[:, 0], tables)

    def moments(self, number: int) -> list[_Moments]:
        """The moments of every quantity over one chunk of draws."""
        draws, rng = self.source.draws(number)
        if self.known is None:
            chunk = _Chunk(self, draws, rng)
            return [_Moments.of(values(chunk, m.at)) for m, (values, _) in zip(self.asked, self.ways, strict=True)]
        base = self.predictor.base
        assert isinstance(base, ProfileRegion)
        pieces = self.known.cells.pieces(draws.coordinate(base))
        chunk = _Chunk(self, draws, rng, self.known.classes[pieces])
        places = 2 * pieces + draws.y
        counts = np.bincount(places, minlength=2 * self.known.cells.count)
        found = []
        for measure, (values, _), table in zip(self.asked, self.ways, self.known.tables, strict=True):
            if table is None:
                found.append(_Moments.of(values(chunk, measure.at)))
                continue
            flat, drawn = table.ravel(), counts > 0
            if np.isnan(flat[drawn]).any():
                found.append(_Moments.of(chunk.settled(flat[places], partial(_at, values, measure.at))))
            else:
                found.append(_Moments.counted(counts[drawn], flat[drawn]))
        return found

    def estimates(self, tallies: list[_Tally], failure_prob: float, level: float) -> list[Estimate]:
        """The estimates so far, from intervals at ``level``."""
        answers = []
        for tally, (_, interval) in zip(tallies, self.ways, strict=True):
            low, high = interval(self, tally, level)
            answers.append(Estimate(tally.mean, low, high, "sampled", tally.n, failure_prob, self.source.seed))
        return answers


def _at(values: _Values, radius: float, chunk: _Chunk) -> np.ndarray:
    return values(chunk, radius)


def evaluate_sampled(
    task: Task,
    predictor: object,
    asked: Sequence[Measure],
    budget: VoteBudget,
    *,
    n: int,
    seed: int,
    failure_prob: float,
    tolerance: float | None = None,
    jobs: int = 1,
) -> list[Estimate]:
    """Answers from n draws of (X, Y); each interval fails with probability at most ``failure_prob``.

    The inner probability P(x + βZ ∈ A) is the region's own; finite-sample accuracies draw their votes.

    Args:
        task: the law of (X, Y).
        predictor: a smoothed region.
        asked: what to evaluate.
        budget: votes behind finite-sample accuracies.
        n: draws, at least 2; with a tolerance the most.
        seed: seed of the draws.
        failure_prob: probability that an interval misses the true value, at most.
        tolerance: stop as soon as the ends of all intervals lie this close to their values.
        jobs: threads, −1 for one a core; the results do not depend on them.
    """
    if not isinstance(task, BinaryTask) or not isinstance(predictor, SmoothedRegion):
        raise NoClosedFormError(f"{type(task).__name__} needs votes to be drawn for each point; give votes_per_point")
    if n < 2:
        raise InvalidInputError(f"n is {n}; expected at least 2 draws")
    study = _Study(task, predictor, budget, asked, Source.of(task, predictor.base, n, seed))
    looks = stopping_looks(study.source.chunks) if tolerance is not None else (study.source.chunks,)
    tallies = [_Tally() for _ in asked]
    with closing(in_order(study.moments, study.source.chunks, jobs)) as chunks:
        for done, parts in enumerate(chunks, start=1):
            for tally, part in zip(tallies, parts, strict=True):
                tally.add(part)
            if done in looks:
                # each look has an equal share of the failure probability, so the intervals hold at all of them together
                answers = study.estimates(tallies, failure_prob, failure_prob / len(looks))
                if tolerance is not None and all(is_narrow(answer, tolerance) for answer in answers):
                    break
    return answers


def stopping_looks(chunks: int) -> tuple[int, ...]:
    """Numbers of chunks after which an adaptive evaluation looks at its intervals; the last is all of them."""
    looks, at = [], 1
    while at < chunks:
        looks.append(at)
        at = max(at + 1, int(_GROWTH * at))
    return (*looks, chunks)


def is_narrow(estimate: Estimate, tolerance: float) -> bool:
    """Whether both ends of the interval lie within the tolerance of the value; infinite values are as good as known."""
    if np.isinf(estimate.value):
        return True
    return max(estimate.value - estimate.lower, estimate.upper - estimate.value) <= tolerance


def _binomial(study: _Study, tally: _Tally, failure_prob: float) -> tuple[float, float]:
    return binomial_interval(tally.count, tally.n, failure_prob)


def _bounded_by_1(study: _Study, tally: _Tally, failure_prob: float) -> tuple[float, float]:
    low, high = empirical_bernstein(tally.mean, tally.variance, tally.n, 1.0, failure_prob)
    return max(low, 0.0), min(high, 1.0)


def _bounded_by_reach(study: _Study, tally: _Tally, failure_prob: float) -> tuple[float, float]:
    if np.isinf(tally.mean):
        return np.inf, np.inf
    # the radius is 1-Lipschitz and X stays within reach, so no draw exceeds the cap
    low, high = empirical_bernstein(tally.mean, tally.variance, tally.n, study.radius_cap, failure_prob)
    return max(low, 0.0), high


_Values = Callable[[_Chunk, float], np.ndarray]
_Interval = Callable[[_Study, _Tally, float], tuple[float, float]]

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

_SETTLED = frozenset({"risk", "certified_accuracy", "adversarial_accuracy"})  # constant on the cells
_WITH_BAYES = frozenset({"excess_risk", "disagreement"})
