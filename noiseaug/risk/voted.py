"""Quantities of classifiers that can only be asked for votes: two layers of sampling, one interval.

At each of n drawn points V votes are counted. Clopper–Pearson intervals for the vote shares, at a level split over all
points and classes, hold together; what each point surely and what it possibly contributes then bounds the average.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import special

from noiseaug import validation
from noiseaug.confidence import binomial_lower, binomial_upper, empirical_bernstein
from noiseaug.errors import NoClosedFormError
from noiseaug.estimates import Estimate
from noiseaug.predictors import SmoothedRegion, bayes
from noiseaug.regions import Region
from noiseaug.risk.questions import Question, VoteBudget
from noiseaug.risk.sampled import sample_chunks
from noiseaug.tasks import Task
from noiseaug.validation import FloatArray

__all__ = ["VotedPredictor", "evaluate_voted"]

_BLOCK_FLOATS = 1 << 20  # noisy coordinates held at a time: 8 MiB


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
        n, dim = x.shape
        out = np.zeros((n, self.num_classes), dtype=np.int64)
        rows = max(1, min(votes, _BLOCK_FLOATS // dim))
        for i in range(n):
            for start in range(0, votes, rows):
                noisy = x[i] + self.smooth_sigma * rng.standard_normal((min(rows, votes - start), dim))
                out[i] += np.bincount(self.base.predict(noisy), minlength=self.num_classes)
        return out


@dataclass(frozen=True)
class _VotedRegion:
    """A region as the base classifier; it knows the noise of its own space."""

    region: Region
    smooth_sigma: float
    num_classes: int = 2

    def counts(self, x: FloatArray, votes: int, rng: np.random.Generator) -> np.ndarray:
        ones = self.region.votes(x, self.smooth_sigma, votes, rng)
        return np.stack([votes - ones, ones], axis=1)


@dataclass(frozen=True)
class _Votes:
    """Counts at drawn points with simultaneous bounds of the shares, shape (points, classes) each."""

    x: FloatArray
    y: np.ndarray
    counts: np.ndarray
    lower: FloatArray
    upper: FloatArray

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
    asked: Sequence[Question],
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
    if isinstance(predictor, SmoothedRegion):
        predictor = _VotedRegion(predictor.base, predictor.smooth_sigma)
    if not isinstance(predictor, VotedPredictor | _VotedRegion):
        raise NoClosedFormError(f"{type(predictor).__name__} cannot vote; expected predict and num_classes")
    rng, vote_rng = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    level = 0.25 * failure_prob / (n * predictor.num_classes)
    parts: list[list[np.ndarray]] = [[] for _ in asked]
    for x, y in sample_chunks(task, n, rng):
        counts = predictor.counts(x, votes, vote_rng)
        drawn = _Votes(x, y, counts, binomial_lower(counts, votes, level), binomial_upper(counts, votes, level))
        for part, question in zip(parts, asked, strict=True):
            part.append(np.stack(_points(task, predictor, drawn, question, budget, vote_rng)))
    answers = []
    for part, question in zip(parts, asked, strict=True):
        value, low, high = _average(question, np.concatenate(part, axis=1), 0.5 * failure_prob)
        answers.append(Estimate(value, min(low, value), max(high, value), "sampled", n, failure_prob, seed))
    return answers


def _points(
    task: Task,
    predictor: VotedPredictor | _VotedRegion,
    drawn: _Votes,
    question: Question,
    budget: VoteBudget,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What each point contributes: by its votes, at least, at most."""
    quantity, sigma = question.quantity, predictor.smooth_sigma
    if quantity == "adversarial_accuracy":
        raise NoClosedFormError("adversarial_accuracy needs a boundary that is known; votes give certified_accuracy")
    if quantity in ("risk", "disagreement", "excess_risk"):
        reference = _bayes_labels(task, drawn.x) if quantity == "disagreement" else drawn.y
        right, surely, possibly = drawn.wins(reference)
        if quantity != "excess_risk":
            return ~right, ~possibly, ~surely
        base = (_bayes_labels(task, drawn.x) != drawn.y).astype(np.int8)
        return (~right) - base, (~possibly) - base, (~surely) - base
    votes = int(drawn.counts[0].sum())
    shares = [drawn.of((drawn.counts + 0.5) / (votes + 1), drawn.y)]
    shares += [drawn.of(drawn.lower, drawn.y), drawn.of(drawn.upper, drawn.y)]
    if quantity == "acr":
        radii = [sigma * np.maximum(special.ndtri(share), 0.0) if sigma > 0 else 0 * share for share in shares]
        return radii[0], radii[1], radii[2]
    assert question.radius is not None
    if quantity == "certified_accuracy":
        needed = special.ndtr(question.radius / sigma) if sigma > 0 else (0.5 if question.radius == 0 else np.inf)
        own = drawn.of(drawn.counts, drawn.y) / votes
        return own >= needed, shares[1] >= needed, shares[2] >= needed
    counts = predictor.counts(drawn.x, budget.votes, rng)
    hit = drawn.of(counts, drawn.y) >= budget.needed(question.radius, sigma)
    return hit, hit, hit


def _bayes_labels(task: Task, x: FloatArray) -> np.ndarray:
    rule = bayes(task)
    return rule.contains(x).astype(np.int64) if isinstance(rule, Region) else rule.predict(x)


def _average(question: Question, points: np.ndarray, failure_prob: float) -> tuple[float, float, float]:
    """Mean over points with an interval: points[0] by the votes, points[1] at least, points[2] at most."""
    n, mean = points.shape[1], float(points[0].mean())
    if question.quantity == "acr":
        return mean, _dkw_lower_mean(points[1], failure_prob), float("inf")
    if question.quantity == "excess_risk":
        lows, highs = points[1].astype(float), points[2].astype(float)
        low, _ = empirical_bernstein(lows.mean(), lows.var(ddof=1), n, 2.0, failure_prob)
        _, high = empirical_bernstein(highs.mean(), highs.var(ddof=1), n, 2.0, failure_prob)
        return mean, max(low, -1.0), min(high, 1.0)
    surely, possibly = int(points[1].sum()), int(points[2].sum())
    return (
        mean,
        float(binomial_lower(surely, n, 0.5 * failure_prob)),
        float(binomial_upper(possibly, n, 0.5 * failure_prob)),
    )


def _dkw_lower_mean(values: FloatArray, failure_prob: float) -> float:
    """Lower bound for the mean of a non-negative variable without an upper bound.

    ∫ (P(V > v) − ε)₊ dv with the one-sided Dvoretzky–Kiefer–Wolfowitz ε (Massart 1990). An upper bound does not exist:
    unanimous votes do not bound a radius.
    """
    ordered = np.sort(values)
    epsilon = np.sqrt(np.log(1 / failure_prob) / (2 * len(ordered)))
    survival = 1 - np.arange(len(ordered)) / len(ordered)
    return float(np.sum(np.diff(ordered, prepend=0.0) * np.maximum(survival - epsilon, 0.0)))
