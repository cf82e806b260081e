"""Quantities of classifiers that can only be asked for votes: two layers of sampling, one interval.

At each of n drawn points V votes are counted. Clopper–Pearson intervals for the vote shares, at a level split over all
points and classes, hold together; what each point surely and what it possibly contributes then bounds the average.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import special

from noiseaug import validation
from noiseaug.confidence import VoteBudget, binomial_lower, binomial_upper, empirical_bernstein
from noiseaug.errors import InvalidInputError, NoClosedFormError
from noiseaug.estimates import Estimate
from noiseaug.predictors import SmoothedRegion, bayes
from noiseaug.regions import Region
from noiseaug.risk.sampled_draws import sample_chunks
from noiseaug.tables import Measure, evaluator
from noiseaug.tasks import Task
from noiseaug.validation import FloatArray

__all__ = ["VotedPredictor", "evaluate_voted", "voted_confusion"]

_BLOCK_FLOATS = 1 << 20  # noisy coordinates held at a time: 8 MiB
_SMALL_FLOATS = 1 << 15  # up to which the votes of several points are taken together


class Classifier(Protocol):
    """Anything that labels points."""

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        ...

    def predict(self, x: FloatArray) -> np.ndarray:
        """Labels of points of shape (n, dim)."""
        ...


@dataclass(frozen=True)
class VotedPredictor:
    """The smoothed classifier argmax_c P(base(x + βZ) = c) over any base classifier.

    Attributes:
        base: has ``predict`` and ``num_classes``.
        smooth_sigma: β ≥ 0.
    """

    base: Classifier
    smooth_sigma: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "smooth_sigma", validation.nonnegative("smooth_sigma", self.smooth_sigma))

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return self.base.num_classes

    def counts(self, x: FloatArray, votes: int, rng: np.random.Generator) -> np.ndarray:
        """Votes of each class at each point, shape (n, num_classes)."""
        return self.tally(x, votes, rng)[0]

    def tally(self, x: FloatArray, votes: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Votes of each class at each point, and how many of them are open; shape (n, num_classes) each.

        A vote is open where the base classifier is known up to an error only and might be another one.
        """
        n, dim = x.shape
        out = np.zeros((2, n, self.num_classes), dtype=np.int64)
        decide = getattr(self.base, "predict_openly", None)
        rows = max(1, min(votes, _BLOCK_FLOATS // dim))
        # whose votes are taken together, where that does not change the order of the draws
        points = max(1, _SMALL_FLOATS // (rows * dim)) if rows == votes else 1
        for first in range(0, n, points):
            part = x[first : first + points]
            for start in range(0, votes, rows):
                noise = rng.standard_normal((len(part), min(rows, votes - start), dim))
                noisy = (part[:, None] + self.smooth_sigma * noise).reshape(-1, dim)
                labels, unsure = (self.base.predict(noisy), slice(0)) if decide is None else decide(noisy)
                places = np.repeat(np.arange(len(part)) * self.num_classes, noise.shape[1]) + labels
                for total, chosen in zip(out, (places, places[unsure]), strict=True):
                    count = np.bincount(chosen, minlength=len(part) * self.num_classes)
                    total[first : first + points] += count.reshape(len(part), -1)
        return out[0], out[1]


@dataclass(frozen=True)
class _VotedRegion:
    """A region as the base classifier; it knows the noise of its own space."""

    region: Region
    smooth_sigma: float
    num_classes: int = 2

    def tally(self, x: FloatArray, votes: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        ones = self.region.votes(x, self.smooth_sigma, votes, rng)
        counts = np.stack([votes - ones, ones], axis=1)
        return counts, np.zeros_like(counts)


@dataclass(frozen=True)
class _Votes:
    """Counts at drawn points with simultaneous bounds of the shares, shape (points, classes) each."""

    task: Task
    predictor: VotedPredictor | _VotedRegion
    budget: VoteBudget
    rng: np.random.Generator
    x: FloatArray
    y: np.ndarray
    counts: np.ndarray
    lower: FloatArray
    upper: FloatArray

    @property
    def votes(self) -> int:
        return int(self.counts[0].sum())

    @property
    def bayes_labels(self) -> np.ndarray:
        rule = bayes(self.task)
        return rule.contains(self.x).astype(np.int64) if isinstance(rule, Region) else rule.predict(self.x)

    def of(self, table: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """The column of each point's label."""
        return table[np.arange(len(labels)), labels]

    def wins(self, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Whether each point's label has the largest share: by the votes, surely, possibly."""
        rows = np.arange(len(labels))
        others_low, others_high = self.lower.copy(), self.upper.copy()
        others_low[rows, labels] = others_high[rows, labels] = -1.0
        surely = self.of(self.lower, labels) > others_high.max(axis=1)
        possibly = self.of(self.upper, labels) >= others_low.max(axis=1)
        return np.argmax(self.counts, axis=1) == labels, surely, possibly


def evaluate_voted(
    task: Task,
    predictor: object,
    asked: Sequence[Measure],
    budget: VoteBudget,
    votes: int,
    *,
    n: int,
    seed: int,
    failure_prob: float,
) -> list[Estimate]:
    """Answers from n points with ``votes`` votes each; each interval covers both layers at ``failure_prob``.

    Half of the failure probability goes to the shares of all points and classes, half to the average over points.
    """
    ways = [evaluator(_VOTED, measure.quantity, "by votes") for measure in asked]
    parts: list[list[np.ndarray]] = [[] for _ in asked]
    for drawn in _draw(task, predictor, budget, votes, n=n, seed=seed, failure_prob=failure_prob):
        for part, measure, (points, _) in zip(parts, asked, ways, strict=True):
            part.append(_of_class(np.stack(points(drawn, measure.at)), drawn.y, measure.label))
    return [
        _estimate(np.concatenate(part, axis=1), interval, measure.label, failure_prob, seed)
        for part, measure, (_, interval) in zip(parts, asked, ways, strict=True)
    ]


def voted_confusion(
    task: Task, predictor: object, votes: int, *, n: int, seed: int, failure_prob: float
) -> list[list[Estimate]]:
    """P(the smoothed classifier predicts j given Y = i) for each i and j; see :func:`evaluate_voted`."""
    labels = range(task.num_classes)
    parts: list[list[list[np.ndarray]]] = [[[] for _ in labels] for _ in labels]
    for drawn in _draw(task, predictor, VoteBudget(), votes, n=n, seed=seed, failure_prob=failure_prob):
        for predicted in labels:
            wins = np.stack(drawn.wins(np.full(len(drawn.y), predicted)))
            for truth in labels:
                parts[truth][predicted].append(_of_class(wins, drawn.y, truth))
    return [
        [_estimate(np.concatenate(part, axis=1), _shares, truth, failure_prob, seed) for part in parts[truth]]
        for truth in labels
    ]


def _draw(
    task: Task, predictor: object, budget: VoteBudget, votes: int, *, n: int, seed: int, failure_prob: float
) -> Iterator[_Votes]:
    """n points with their votes, a bounded number at a time; half of the failure probability bounds all shares."""
    if isinstance(predictor, SmoothedRegion):
        predictor = _VotedRegion(predictor.base, predictor.smooth_sigma)
    if not isinstance(predictor, VotedPredictor | _VotedRegion):
        raise NoClosedFormError(f"{type(predictor).__name__} cannot vote; expected predict and num_classes")
    rng, vote_rng = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    level = 0.25 * failure_prob / (n * predictor.num_classes)
    for x, y in sample_chunks(task, n, rng):
        counts, sure, possible = _ranges(*predictor.tally(x, votes, vote_rng))
        lower, upper = binomial_lower(sure, votes, level), binomial_upper(possible, votes, level)
        yield _Votes(task, predictor, budget, vote_rng, x, y, counts, lower, upper)


def _ranges(counts: np.ndarray, unsure: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The votes of each class as counted, at least and at most: an open vote may be one for any class."""
    return counts, counts - unsure, counts - unsure + unsure.sum(axis=1, keepdims=True)


def _of_class(points: np.ndarray, y: np.ndarray, label: int | None) -> np.ndarray:
    return points if label is None else points[:, y == label]


def _estimate(points: np.ndarray, interval: _Interval, label: int | None, failure_prob: float, seed: int) -> Estimate:
    """The average of what the points contribute, shape (3, n)."""
    n = points.shape[1]  # given their number, the points of a class are independent draws of its law
    if n < 2:
        raise InvalidInputError(f"{n} of the draws are of class {label}; expected at least 2, take a larger n")
    value = float(points[0].mean())
    low, high = interval(points[1], points[2], 0.5 * failure_prob)
    return Estimate(value, min(low, value), max(high, value), "sampled", n, failure_prob, seed)


_Points = tuple[np.ndarray, np.ndarray, np.ndarray]  # what each point contributes: by its votes, at least, at most


def _wrong(drawn: _Votes, reference: np.ndarray) -> _Points:
    right, surely, possibly = drawn.wins(reference)
    return ~right, ~possibly, ~surely


def _excess(drawn: _Votes) -> _Points:
    wrong, least, most = _wrong(drawn, drawn.y)
    base = (drawn.bayes_labels != drawn.y).astype(np.int8)
    return wrong - base, least - base, most - base


def _certified(drawn: _Votes, radius: float) -> _Points:
    sigma = drawn.predictor.smooth_sigma
    needed = special.ndtr(radius / sigma) if sigma > 0 else (0.5 if radius == 0 else np.inf)
    lower, upper = drawn.of(drawn.lower, drawn.y), drawn.of(drawn.upper, drawn.y)
    return drawn.of(drawn.counts, drawn.y) / drawn.votes >= needed, lower >= needed, upper >= needed


def _no_boundary(drawn: _Votes, radius: float) -> _Points:
    raise NoClosedFormError("adversarial_accuracy needs a boundary that is known; votes give certified_accuracy")


def _radii(drawn: _Votes) -> _Points:
    sigma = drawn.predictor.smooth_sigma

    def radius(share: np.ndarray) -> FloatArray:
        own = drawn.of(share, drawn.y)
        return sigma * np.maximum(special.ndtri(own), 0.0) if sigma > 0 else 0 * own

    return radius((drawn.counts + 0.5) / (drawn.votes + 1)), radius(drawn.lower), radius(drawn.upper)


def _passes(drawn: _Votes, radius: float) -> _Points:
    needed = drawn.budget.needed(radius, drawn.predictor.smooth_sigma)
    ranges = _ranges(*drawn.predictor.tally(drawn.x, drawn.budget.votes, drawn.rng))
    hit, surely, possibly = (drawn.of(counts, drawn.y) >= needed for counts in ranges)
    return hit, surely, possibly


def _shares(least: np.ndarray, most: np.ndarray, failure_prob: float) -> tuple[float, float]:
    n, half = len(least), 0.5 * failure_prob
    return float(binomial_lower(int(least.sum()), n, half)), float(binomial_upper(int(most.sum()), n, half))


def _differences(least: np.ndarray, most: np.ndarray, failure_prob: float) -> tuple[float, float]:
    lows, highs = least.astype(float), most.astype(float)
    low, _ = empirical_bernstein(lows.mean(), lows.var(ddof=1), len(lows), 2.0, failure_prob)
    _, high = empirical_bernstein(highs.mean(), highs.var(ddof=1), len(highs), 2.0, failure_prob)
    return max(low, -1.0), min(high, 1.0)


def _unbounded(least: np.ndarray, most: np.ndarray, failure_prob: float) -> tuple[float, float]:
    return _dkw_lower_mean(least, failure_prob), float("inf")


_Interval = Callable[[np.ndarray, np.ndarray, float], tuple[float, float]]


def _dkw_lower_mean(values: FloatArray, failure_prob: float) -> float:
    """Lower bound for the mean of a non-negative variable without an upper bound.

    ∫ (P(V > v) − ε)₊ dv with the one-sided Dvoretzky–Kiefer–Wolfowitz ε (Massart 1990). An upper bound does not exist:
    unanimous votes do not bound a radius.
    """
    ordered = np.sort(values)
    epsilon = np.sqrt(np.log(1 / failure_prob) / (2 * len(ordered)))
    survival = 1 - np.arange(len(ordered)) / len(ordered)
    return float(np.sum(np.diff(ordered, prepend=0.0) * np.maximum(survival - epsilon, 0.0)))


# The points' contributions to the quantity, at a radius where it takes one; and the interval for their mean.
_VOTED: dict[str, tuple[Callable[[_Votes, float], _Points], _Interval]] = {
    "risk": (lambda drawn, radius: _wrong(drawn, drawn.y), _shares),
    "excess_risk": (lambda drawn, radius: _excess(drawn), _differences),
    "disagreement": (lambda drawn, radius: _wrong(drawn, drawn.bayes_labels), _shares),
    "certified_accuracy": (_certified, _shares),
    "adversarial_accuracy": (_no_boundary, _shares),
    "acr": (lambda drawn, radius: _radii(drawn), _unbounded),
    "finite_sample_certified_accuracy": (_passes, _shares),
}
