"""The noise levels (α, β) that certify a radius for most points, votes included (docs/math.md 2.12)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from scipy import optimize, special

from noiseaug import validation
from noiseaug.confidence import VoteBudget
from noiseaug.errors import InvalidInputError
from noiseaug.estimates import Estimate
from noiseaug.predictors import RULES, by_rule, smoothed
from noiseaug.regions import Region
from noiseaug.risk import VotedPredictor, evaluate
from noiseaug.risk.evaluate import METHODS
from noiseaug.tables import Measure
from noiseaug.tasks import BinaryTask, DensityTask, GaussianPair, Task

__all__ = ["HALF_SPACE_RATIO", "BestLevels", "best_levels"]

HALF_SPACE_RATIO = 1.575
"""r/β at which votes tell the radius of a half-space most precisely, for many votes (docs/math.md 2.12)."""

_RATIOS = (0.0, 0.25, 0.5, 0.8, 0.9, 1.0, 1.1, 1.25, 2.0, 4.0)  # α/β of the first look
_MARGINS = (0.2, 0.4, 0.7, 1.0, 1.4, 1.9, 2.5, 3.2, 4.5, 7.0, 12.0)  # r/β of the first look
_REFINED = 2  # cells of the first look from which the search goes on
_LARGEST = 1e3  # in units of the level found: a range that reaches so far has no end


@dataclass(frozen=True)
class BestLevels:
    """The best noise levels for a radius.

    Attributes:
        radius: r, in input units.
        train_sigma: the best α, in input units; ∞ where no finite level beats a constant answer.
        smooth_sigma: the best β, in input units.
        accuracy: certified accuracy at r with these levels, with its interval.
        constant: the certified accuracy of a constant answer, the largest class probability.
        train_range: the levels α around the best that lose at most the tolerance, with β at its best.
        smooth_range: the same for β, with α at its best.
        votes: votes behind the certificates; None for unlimited ones.
        found: ``"closed form"``, or ``"search"`` over levels: a local maximum, the best of those that were found.
    """

    radius: float
    train_sigma: float
    smooth_sigma: float
    accuracy: Estimate
    constant: float
    train_range: tuple[float, float]
    smooth_range: tuple[float, float]
    votes: int | None
    found: Literal["closed form", "search"]

    @property
    def beats_constant(self) -> bool:
        """Whether the accuracy surely exceeds that of a constant answer, which certifies every radius."""
        return self.accuracy.lower > self.constant


def best_levels(
    task: Task,
    radius: float,
    *,
    votes: int | None = 100_000,
    vote_failure_prob: float = 0.001,
    train_sigma: float | Sequence[float] | None = None,
    smooth_sigma: float | Sequence[float] | None = None,
    rule: str = "augmented",
    method: str = "exact",
    n: int = 10_000,
    seed: int = 0,
    failure_prob: float = 1e-3,
    tolerance: float = 1e-3,
) -> BestLevels:
    """The training and smoothing noise with the largest certified accuracy at a radius.

    With few votes a small β cannot reach the radius, and a large one wastes votes on a vague share; with unlimited
    votes the best β may be as small as the search goes. Levels that are given are kept or chosen among. The others are
    searched for on a coarse grid around α = β; where values are exact, Nelder and Mead's method goes on from there.

    Args:
        task: the law of (X, Y).
        radius: r ≥ 0 in input units.
        votes: n of the certification run whose reported accuracy counts; None for unlimited votes.
        vote_failure_prob: one-sided failure probability of its certificates.
        train_sigma: α, or the levels to choose among; searched by default.
        smooth_sigma: β, or the levels to choose among; searched by default.
        rule: ``"augmented"`` or ``"convolved"``.
        method: ``"exact"``, or ``"sampled"`` for tasks without a closed form.
        n: draws behind sampled values.
        seed: their seed; all levels see the same points.
        failure_prob: failure probability of each sampled interval.
        tolerance: loss of accuracy within which levels count as equally good; sampled levels do where their interval
            overlaps that of the best.

    Raises:
        InvalidInputError: for bad numbers, and where the given β is 0 but the radius is not.
        NoClosedFormError: for ``method="exact"`` on a task without closed forms.

    Example:
        >>> import noiseaug
        >>> best = noiseaug.best_levels(noiseaug.tasks.ConcentricGaussians(100, 0.3, 0.4), 0.2, smooth_sigma=0.25)
        >>> round(best.train_sigma, 3), round(best.accuracy.value, 3)
        (0.25, 0.865)
    """
    radius, task = validation.nonnegative("radius", radius), task.closed_form() or task
    validation.choice("rule", rule, RULES)
    validation.choice("method", method, METHODS)
    budget = None if votes is None else VoteBudget(votes, vote_failure_prob)
    given = _given("train_sigma", train_sigma), _given("smooth_sigma", smooth_sigma)
    if given[1] is not None and radius > 0 and max(given[1]) == 0:
        raise InvalidInputError(f"smooth_sigma is 0, which certifies no radius above 0; radius is {radius:g}")
    search = _Search(task, radius, rule, budget, {"method": method, "n": n, "seed": seed, "failure_prob": failure_prob})
    if method == "exact" and given == (None, None):
        closed = _closed(search, tolerance)
        if closed is not None:
            return closed
    alpha, beta = search.best(*given)
    return search.report(alpha, beta, given, tolerance, "search")


def _given(name: str, value: Any) -> tuple[float, ...] | None:
    if value is None:
        return None
    levels = tuple(value) if isinstance(value, Iterable) else (value,)
    if not levels:
        raise InvalidInputError(f"{name} is empty; expected at least one level")
    return tuple(sorted(validation.nonnegative(name, level) for level in levels))


@dataclass(frozen=True)
class _Search:
    """Certified accuracy of one task at one radius as a function of (α, β)."""

    task: Task
    radius: float
    rule: str
    budget: VoteBudget | None
    options: dict[str, Any]
    known: dict[tuple[float, float, Measure], Estimate] = field(default_factory=dict)

    @property
    def exact(self) -> bool:
        return bool(self.options["method"] == "exact")

    @property
    def constant(self) -> float:
        """Largest class probability."""
        if isinstance(self.task, BinaryTask):
            return max(self.task.prior, 1 - self.task.prior)
        if isinstance(self.task, DensityTask):
            return float(self.task.priors.max())
        _, labels = self.task.sample(10_000, np.random.default_rng(self.options["seed"]))
        return float(np.bincount(labels).max() / len(labels))

    def _evaluate(self, alpha: float, beta: float, measure: Measure) -> Estimate:
        key = alpha, beta, measure
        if key not in self.known:
            base = by_rule(self.task, self.rule, alpha)
            predictor = smoothed(base, beta) if isinstance(base, Region) else VotedPredictor(base, beta)
            self.known[key] = evaluate(self.task, predictor, [measure], budget=self.budget, **self.options)[0]
        return self.known[key]

    def accuracy(self, alpha: float, beta: float) -> Estimate:
        """What is maximised."""
        quantity = "certified_accuracy" if self.budget is None else "finite_sample_certified_accuracy"
        return self._evaluate(alpha, beta, Measure(quantity, self.radius))

    def rough(self, alpha: float, beta: float) -> float:
        """Nearly the same, sooner: certified accuracy at the radius that points need for a certificate of r to be even.

        The votes of a point at the margin Φ⁻¹(k_min/n) certify r about half of the time.
        """
        if self.budget is None or not self.exact or beta == 0:
            return self.accuracy(alpha, beta).value
        share = self.budget.needed(self.radius, beta) / self.budget.votes
        if share >= 1:
            return 0.0
        return self._evaluate(alpha, beta, Measure("certified_accuracy", beta * float(special.ndtri(share)))).value

    def _smooth_levels(self) -> list[float]:
        if self.radius == 0:
            return [0.0]
        most = np.inf
        if self.budget is not None:
            # what all votes together certify; barely reached there, so a little below
            most = -float(special.ndtri(-np.expm1(np.log(self.budget.failure_prob) / self.budget.votes)))
        return [self.radius / margin for margin in _MARGINS if margin < 0.99 * most] or [self.radius / (0.9 * most)]

    def best(self, alphas: tuple[float, ...] | None, betas: tuple[float, ...] | None) -> tuple[float, float]:
        """The best pair found."""
        pairs: list[tuple[float, float]] = []
        for beta in self._smooth_levels() if betas is None else betas:
            scale = beta if beta > 0 else 0.1 * _reach(self.task)
            many = np.unique([*_RATIOS, *np.geomspace(0.1, 4, 9)]) if betas is not None else np.array(_RATIOS)
            pairs += [(float(a), beta) for a in (scale * many if alphas is None else alphas)]
        values = [self.rough(alpha, beta) for alpha, beta in pairs]
        # of equal ones the smallest noise
        order = sorted(range(len(pairs)), key=lambda i: (-round(values[i], 12), pairs[i]))
        if not self.exact or (alphas is not None and betas is not None):
            return pairs[order[0]]
        starts = [pairs[i] for i in order[:_REFINED]]
        free = (alphas is None) + (betas is None)
        found = [self._climb(self.rough, start, alphas, betas, 25 * free) for start in starts]
        chosen = max(found, key=lambda pair: self.rough(*pair))
        if self.budget is not None:
            chosen = self._climb(lambda a, b: self.accuracy(a, b).value, chosen, alphas, betas, 12 * free)
        return max([chosen, pairs[order[0]]], key=lambda pair: self.accuracy(*pair).value)

    def _climb(
        self,
        value: Callable[[float, float], float],
        start: tuple[float, float],
        alphas: tuple[float, ...] | None,
        betas: tuple[float, ...] | None,
        calls: int,
    ) -> tuple[float, float]:
        """Uphill from a pair by Nelder and Mead's method, in ln β and the ratio α/β where they are free."""
        alpha, beta = start
        if beta == 0:
            return start

        def pair(v: np.ndarray) -> tuple[float, float]:
            free = list(v)
            level = beta * float(np.exp(free.pop(0))) if betas is None else beta
            return (abs(float(free.pop(0))) * level if alphas is None else alpha), level

        first = np.array(([0.0] if betas is None else []) + ([alpha / beta] if alphas is None else []))
        steps = [0.1 if index == 0 and betas is None else 0.05 for index in range(first.size)]
        simplex = np.stack(
            [first, *(first + step * unit for step, unit in zip(steps, np.eye(first.size), strict=True))]
        )

        def loss(v: np.ndarray) -> float:
            return -value(*pair(v))

        found = optimize.minimize(
            loss,
            first,
            method="Nelder-Mead",
            options={"initial_simplex": simplex, "maxfev": calls, "xatol": 1e-4, "fatol": 1e-7},
        )
        return pair(found.x)

    def report(
        self,
        alpha: float,
        beta: float,
        given: tuple[tuple[float, ...] | None, tuple[float, ...] | None],
        tolerance: float,
        found: Literal["closed form", "search"],
    ) -> BestLevels:
        """The answer at a pair, with the ranges around it."""
        best = self.accuracy(alpha, beta)

        def good(a: float, b: float) -> bool:
            if self.exact:
                return self.accuracy(a, b).value >= best.value - tolerance
            return self.accuracy(a, b).upper >= best.lower

        step = 0.02 if self.exact else 0.1
        train = _range(lambda a: good(a, beta), alpha, given[0], step * (beta or _reach(self.task)))
        smooth = _range(lambda b: good(alpha, b), beta, given[1], step * (beta or _reach(self.task)))
        votes = None if self.budget is None else self.budget.votes
        return BestLevels(self.radius, alpha, beta, best, self.constant, train, smooth, votes, found)


def _reach(task: Task) -> float:
    """A length of the order of the data."""
    if isinstance(task, BinaryTask):
        return task.reach()
    x, _ = task.sample(1000, np.random.default_rng(0))
    return float(np.linalg.norm(x, axis=1).max()) or 1.0


def _range(
    good: Callable[[float], bool], level: float, levels: tuple[float, ...] | None, step: float
) -> tuple[float, float]:
    """The levels around one that are as good: of given ones, or to within a tenth of the first step."""
    if levels is not None:
        # neighbours in the list, as far as they are good
        at = levels.index(level)
        low = high = at
        while low > 0 and good(levels[low - 1]):
            low -= 1
        while high < len(levels) - 1 and good(levels[high + 1]):
            high += 1
        return levels[low], levels[high]
    return _end(good, level, -step), _end(good, level, step)


def _end(good: Callable[[float], bool], level: float, step: float) -> float:
    """Where being good ends on one side of a level, at 0 or ∞ where it does not."""
    first, inner, outer = abs(step), level, level
    while True:
        outer = max(inner + step, 0.0)
        if not good(outer):
            break
        inner = outer
        if outer == 0 or outer > _LARGEST * (level + first):
            return 0.0 if outer == 0 else np.inf
        step *= 2
    while abs(outer - inner) > 0.1 * first:
        middle = 0.5 * (inner + outer)
        inner, outer = (middle, outer) if good(middle) else (inner, middle)
    return inner


def _closed(search: _Search, tolerance: float) -> BestLevels | None:
    """Levels that are known without a search; None where there are none."""
    task, radius = search.task, search.radius
    votes = None if search.budget is None else search.budget.votes
    if radius == 0:
        # nothing is more accurate than the Bayes classifier, and without smoothing all votes agree
        return search.report(0.0, 0.0, (None, None), tolerance, "closed form")
    if not isinstance(task, GaussianPair) or search.rule != "augmented":
        return None
    alpha = task.optimal_train_sigma(radius)
    if np.isinf(alpha):
        share = search.constant
        ends = (0.0, np.inf)
        return BestLevels(radius, alpha, 0.0, Estimate.exact(share), share, ends, ends, votes, "closed form")
    if votes is not None:
        return None
    found = search.report(alpha, radius / HALF_SPACE_RATIO, (None, None), tolerance, "closed form")
    return replace(found, smooth_range=(0.0, np.inf))
