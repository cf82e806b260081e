"""One call for many quantities, and one function for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypedDict, Unpack

from noiseaug import validation
from noiseaug.confidence import VoteBudget
from noiseaug.errors import InvalidInputError
from noiseaug.estimates import Estimate
from noiseaug.predictors import SmoothedRegion
from noiseaug.risk.exact import evaluate_exact
from noiseaug.risk.given import GivenClass
from noiseaug.risk.lattice import confusion_on_lattice, evaluate_on_lattice
from noiseaug.risk.sampled import evaluate_sampled
from noiseaug.risk.voted import VotedPredictor, evaluate_voted, voted_confusion
from noiseaug.runs import check_jobs
from noiseaug.tables import Measure
from noiseaug.tasks import BinaryTask, DensityTask, Task

__all__ = [
    "METHODS",
    "acr",
    "adversarial_accuracy",
    "certified_accuracy",
    "confusion",
    "disagreement",
    "evaluate",
    "excess_risk",
    "finite_sample_certified_accuracy",
    "risk",
]

METHODS = ("exact", "sampled")
DRAWS = 100_000
"""Draws behind a sampled value where nothing else is said."""
_MOST_DRAWS = 10**8  # with a tolerance

Predictor = SmoothedRegion | VotedPredictor


class Options(TypedDict, total=False):
    """How a quantity is evaluated; see :func:`evaluate`."""

    method: str
    budget: VoteBudget | None
    n: int | None
    seed: int
    failure_prob: float
    votes_per_point: int | None
    tolerance: float | None
    jobs: int


def evaluate(
    task: Task,
    predictor: Predictor,
    asked: Sequence[Measure],
    *,
    method: str = "exact",
    budget: VoteBudget | None = None,
    n: int | None = None,
    seed: int = 0,
    failure_prob: float = 1e-3,
    votes_per_point: int | None = None,
    tolerance: float | None = None,
    jobs: int = -1,
) -> list[Estimate]:
    """Many quantities of one smoothed classifier.

    Args:
        task: the law of (X, Y).
        predictor: from ``noiseaug.predictors.smoothed``, or a :class:`~noiseaug.risk.VotedPredictor`.
        asked: what to evaluate; level sets and draws are shared.
        method: ``"exact"`` (closed form or quadrature with its error) or ``"sampled"``.
        budget: votes and failure probability behind ``finite_sample_certified_accuracy``.
        n: draws of (X, Y) for ``"sampled"``, 100 000 by default; with a tolerance the most draws, 10⁸ by default.
        seed: seed of the draws; equal seeds give common random numbers for every predictor: equal points, or where
            coordinates are drawn instead of points, equal distances from the origin or from the Bayes hyperplane.
        failure_prob: probability that a sampled interval misses the true value, at most.
        votes_per_point: draw this many votes at each point instead of using the region's own Gaussian mass; the
            intervals then cover both layers. Data sets (``PointMasses``) need it.
        tolerance: draw until both ends of every interval lie this close to its value, in the quantity's units, or
            until ``n`` draws are made. The intervals hold at all looks together, so stopping early costs no validity.
        jobs: threads that draw, −1 for one a core. The numbers do not depend on it.

    Raises:
        NoClosedFormError: where the task has no closed form; it names the method to use.
        InvalidInputError: for an unknown method, bad numbers, or a tolerance where votes are drawn.
    """
    validation.choice("method", method, METHODS)
    task = task.closed_form() or task
    if outside := [m for m in asked if m.label is not None and m.label >= task.num_classes]:
        raise InvalidInputError(
            f"label is {outside[0].label}; expected a class of the task, 0 to {task.num_classes - 1}"
        )
    budget = budget or VoteBudget()
    validation.probability("failure_prob", failure_prob)
    if method == "exact" and isinstance(task, DensityTask) and isinstance(predictor, VotedPredictor):
        return evaluate_on_lattice(task, predictor.base, predictor.smooth_sigma, asked, budget)
    if method == "exact":
        return _class_by_class(task, asked, lambda law, some: evaluate_exact(law, predictor, some, budget))
    seed = validation.integer("seed", seed, at_least=0)
    check_jobs(jobs)
    if tolerance is not None:
        tolerance = validation.positive("tolerance", tolerance)
    if n is None:
        n = DRAWS if tolerance is None else _MOST_DRAWS
    n = validation.integer("n", n)
    if votes_per_point is None and not isinstance(predictor, VotedPredictor):
        options: dict[str, Any] = {"n": n, "seed": seed, "failure_prob": failure_prob}
        options |= {"tolerance": tolerance, "jobs": jobs}
        return _class_by_class(task, asked, lambda law, some: evaluate_sampled(law, predictor, some, budget, **options))
    if tolerance is not None:
        raise InvalidInputError(
            f"tolerance is {tolerance:g}, but votes limit how narrow an interval becomes; give n and votes_per_point"
        )
    votes = validation.integer("votes_per_point", 1000 if votes_per_point is None else votes_per_point)
    return evaluate_voted(task, predictor, asked, budget, votes, n=n, seed=seed, failure_prob=failure_prob)


def _class_by_class(
    task: Task, asked: Sequence[Measure], evaluate_some: Callable[[Task, Sequence[Measure]], list[Estimate]]
) -> list[Estimate]:
    """Each class's measures under the law of its points, and those of all classes under the task's."""
    answers: dict[int, Estimate] = {}
    for law, places, some in laws_of(task, asked):
        answers |= zip(places, evaluate_some(law, some), strict=True)
    return [answers[place] for place in range(len(asked))]


def laws_of(task: Task, asked: Sequence[Measure]) -> list[tuple[Task, list[int], list[Measure]]]:
    """The task's own law and those of its classes, each with the places of its measures and what these ask of it."""
    found = []
    for label in dict.fromkeys(measure.label for measure in asked):
        law = GivenClass(task, label) if label is not None and isinstance(task, BinaryTask) else task
        places = [place for place, measure in enumerate(asked) if measure.label == label]
        found.append((law, places, [replace(asked[place], label=None) for place in places]))
    return found


def confusion(
    task: Task,
    predictor: Predictor,
    *,
    method: str = "exact",
    n: int = 10_000,
    seed: int = 0,
    failure_prob: float = 1e-3,
    votes_per_point: int = 1000,
) -> list[list[Estimate]]:
    """P(f(X) = j given Y = i) for each true class i (outer list) and predicted class j (inner list).

    Args:
        task: the law of (X, Y).
        predictor: as in :func:`evaluate`.
        method: ``"exact"`` or ``"sampled"``; sampled values always come from votes.
        n: draws of (X, Y) for ``"sampled"``; each class has its share of them.
        seed: seed of the draws.
        failure_prob: probability that a single sampled interval misses the true value, at most.
        votes_per_point: votes at each point.

    Raises:
        NoClosedFormError: where the task has no exact answer.
        InvalidInputError: for an unknown method or bad numbers.
    """
    validation.choice("method", method, METHODS)
    task = task.closed_form() or task
    if method == "sampled":
        n, votes = validation.integer("n", n, at_least=2), validation.integer("votes_per_point", votes_per_point)
        seed = validation.integer("seed", seed, at_least=0)
        level = validation.probability("failure_prob", failure_prob)
        return voted_confusion(task, predictor, votes, n=n, seed=seed, failure_prob=level)
    if isinstance(task, DensityTask) and isinstance(predictor, VotedPredictor):
        return confusion_on_lattice(task, predictor.base, predictor.smooth_sigma)
    zero, one = evaluate(task, predictor, [Measure("risk", label=label) for label in (0, 1)])
    return [[_rest(zero), zero], [one, _rest(one)]]


def _rest(share: Estimate) -> Estimate:
    """1 minus a probability."""
    return replace(share, value=1 - share.value, lower=1 - share.upper, upper=1 - share.lower)


def risk(task: Task, predictor: Predictor, **options: Unpack[Options]) -> Estimate:
    """R = P(f(X) ≠ Y); options as in :func:`evaluate`."""
    return evaluate(task, predictor, [Measure("risk")], **options)[0]


def excess_risk(task: Task, predictor: Predictor, **options: Unpack[Options]) -> Estimate:
    """Risk above the Bayes risk; options as in :func:`evaluate`."""
    return evaluate(task, predictor, [Measure("excess_risk")], **options)[0]


def disagreement(task: Task, predictor: Predictor, **options: Unpack[Options]) -> Estimate:
    """Pal & Sulam's Δ = μ{φ(h) ≠ f}; options as in :func:`evaluate`."""
    return evaluate(task, predictor, [Measure("disagreement")], **options)[0]


def certified_accuracy(task: Task, predictor: Predictor, radius: float, **options: Unpack[Options]) -> Estimate:
    """CA(r) = P(β Φ⁻¹(s_Y(X)) ≥ r), the accuracy certified at an ℓ₂ radius; options as in :func:`evaluate`."""
    return evaluate(task, predictor, [Measure("certified_accuracy", radius)], **options)[0]


def adversarial_accuracy(task: Task, predictor: Predictor, radius: float, **options: Unpack[Options]) -> Estimate:
    """AA(r) = P(f is right and constant on the ball of this radius around X); options as in :func:`evaluate`."""
    return evaluate(task, predictor, [Measure("adversarial_accuracy", radius)], **options)[0]


def acr(task: Task, predictor: Predictor, **options: Unpack[Options]) -> Estimate:
    """Average certified radius E[(β Φ⁻¹(s_Y(X)))₊], in input units; options as in :func:`evaluate`."""
    return evaluate(task, predictor, [Measure("acr")], **options)[0]


def finite_sample_certified_accuracy(
    task: Task, predictor: Predictor, radius: float, **options: Unpack[Options]
) -> Estimate:
    """E P(Bin(n, s_Y(X)) ≥ k_min(r)): what a run with the votes of ``budget`` reports at this radius on average.

    Options as in :func:`evaluate`.
    """
    return evaluate(task, predictor, [Measure("finite_sample_certified_accuracy", radius)], **options)[0]
