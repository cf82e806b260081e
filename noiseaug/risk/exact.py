"""Closed forms: every quantity is a mass of regions, or an average of a function of the margin over a class law."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from noiseaug import validation
from noiseaug.confidence import VoteBudget
from noiseaug.errors import NoClosedFormError
from noiseaug.estimates import Estimate, Estimates
from noiseaug.predictors import SmoothedRegion, smoothed_together
from noiseaug.regions import Region, batch_of
from noiseaug.risk.exact_batch import UNPROVEN, BatchStudy
from noiseaug.tables import Measure, evaluator
from noiseaug.tasks import BinaryTask, Task
from noiseaug.tasks.base import ProfileTask
from noiseaug.validation import FloatArray

__all__ = ["evaluate_exact", "evaluate_many", "finite_sample_curve"]

_BATCH_ROWS = 1 << 15  # values computed at a time: 256 KiB an array
_SEARCHED = 1 << 10  # level sets searched together
_TAILS = 64  # binomial tails averaged together

# Levels of the binomial tail at which its average is split into panels.
_TAIL_LEVELS = np.array([1e-15, 1e-12, 1e-9, 1e-6, 1e-4, 1e-2, 0.1, 0.3])


def evaluate_exact(task: Task, predictor: object, asked: Sequence[Measure], budget: VoteBudget) -> list[Estimate]:
    """Answers in closed form or by quadrature.

    Raises:
        NoClosedFormError: where the task or its classifier has none.
    """
    if not isinstance(task, BinaryTask) or not isinstance(predictor, SmoothedRegion):
        raise NoClosedFormError(f"{type(task).__name__} has no closed form; it has method 'sampled'")
    answers = Estimates((1, 1, len(asked)))
    left = _fill_together(answers, task, [predictor.base], [predictor.smooth_sigma], asked)
    _fill_rest(answers, task, [[predictor]], left, budget)
    return [answers.at((0, 0, place)) for place in range(len(asked))]


def evaluate_many(
    task: BinaryTask,
    bases: Sequence[Region],
    smooth_sigmas: Sequence[float],
    asked: Sequence[Measure],
    budget: VoteBudget,
) -> Estimates:
    """The same for each base classifier at each smoothing level, in arrays where the task's regions allow it.

    Args:
        task: the law of (X, Y).
        bases: base classifiers, at least one.
        smooth_sigmas: smoothing levels β ≥ 0.
        asked: what to evaluate.
        budget: votes and failure probability behind ``finite_sample_certified_accuracy``.

    Returns:
        Shape (bases, smooth_sigmas, asked).
    """
    answers = Estimates((len(bases), len(smooth_sigmas), len(asked)))
    left = _fill_together(answers, task, bases, smooth_sigmas, asked)
    # quadratures ask for no certified regions
    radii = left["certified_accuracy"][1] if "certified_accuracy" in left else np.empty(0)
    width = max(1, _SEARCHED // ((1 + 2 * radii.size) * len(smooth_sigmas)))
    for low in range(0, len(bases) if left else 0, width):
        block = smoothed_together(bases[low : low + width], smooth_sigmas, radii)
        _fill_rest(answers, task, block, left, budget, low)
    return answers


_Places = dict[str, tuple[list[int], FloatArray]]  # the places of each quantity among what is asked, and its radii


def _fill_together(
    answers: Estimates,
    task: BinaryTask,
    bases: Sequence[Region],
    smooth_sigmas: Sequence[float],
    asked: Sequence[Measure],
) -> _Places:
    """Answers in arrays what can be, and returns the rest."""
    found: dict[str, list[int]] = {}
    for place, measure in enumerate(asked):
        found.setdefault(measure.quantity, []).append(place)
    left = {name: (places, np.array([asked[place].at for place in places])) for name, places in found.items()}
    batch = batch_of(bases) if isinstance(task, ProfileTask) else None
    if not isinstance(task, ProfileTask) or batch is None:
        return left
    sigmas, together = np.array(smooth_sigmas), {}
    # so many levels and bases at a time that the arrays stay small
    levels = max(1, _BATCH_ROWS // len(asked))
    width = max(1, levels // len(sigmas))
    for low, first in itertools.product(range(0, len(bases), width), range(0, len(sigmas), levels)):
        rows, columns = slice(low, low + width), slice(first, first + levels)
        study = BatchStudy(task, batch[rows], sigmas[columns])
        for name, (places, radii) in left.items():
            values = study.find(name, radii)
            if values is not None:
                answers.put((rows, columns, places), *values)
                together[name] = places
    return {name: rest for name, rest in left.items() if name not in together}


def _fill_rest(
    answers: Estimates,
    task: BinaryTask,
    predictors: Sequence[Sequence[SmoothedRegion]],
    left: _Places,
    budget: VoteBudget,
    first: int = 0,
) -> None:
    """Answers what is left, classifier by classifier; those of row 0 belong to the base number ``first``."""
    found: list[Estimate] = []
    where: list[tuple[int, int, int]] = []
    for (i, row), (quantity, (places, radii)) in itertools.product(enumerate(predictors, first), left.items()):
        evaluate = evaluator(_EXACT, quantity, "in closed form")
        for j, predictor in enumerate(row):
            found += evaluate(task, predictor, radii, budget)
            where += [(i, j, place) for place in places]
    if found:
        answers.put_all(tuple(np.array(where).T), found)


def _weighted(task: BinaryTask, region_1: Sequence[Region | None], region_0: Sequence[Region | None]) -> FloatArray:
    """π q₁(region_1) + (1 − π) q₀(region_0) for each pair; None is the empty region."""
    total = np.zeros(len(region_1))
    for label, share, regions in ((1, task.prior, region_1), (0, 1 - task.prior, region_0)):
        there = [i for i, region in enumerate(regions) if region is not None]
        if there:
            total[there] += share * task.class_mass(label, [r for r in regions if r is not None])
    return total


def _closed(value: float, proven: bool) -> Estimate:
    """A mass of regions; numeric where a boundary comes from a quadrature or was only touched."""
    return Estimate.exact(value) if proven else Estimate.numeric(value, UNPROVEN)


# Each of these answers a quantity at all of its radii, NaN where it takes none.


def _risk(task: BinaryTask, predictor: SmoothedRegion, radii: FloatArray, budget: VoteBudget) -> list[Estimate]:
    decision = predictor.decision
    risk = float(_weighted(task, [decision.complement()], [decision])[0])
    return [_closed(risk, decision.proven)] * len(radii)


def _excess_risk(task: BinaryTask, predictor: SmoothedRegion, radii: FloatArray, budget: VoteBudget) -> list[Estimate]:
    decision = predictor.decision
    # a difference of masses: what rounding leaves of it is known absolutely, not relatively
    excess = Estimate.numeric(task.excess_mass(decision), 1e-15 if decision.proven else UNPROVEN)
    return [excess] * len(radii)


def _disagreement(task: BinaryTask, predictor: SmoothedRegion, radii: FloatArray, budget: VoteBudget) -> list[Estimate]:
    decision = predictor.decision
    return [_closed(task.disagreement_mass(task.bayes_region(), decision), decision.proven)] * len(radii)


def _certified_accuracy(
    task: BinaryTask, predictor: SmoothedRegion, radii: FloatArray, budget: VoteBudget
) -> list[Estimate]:
    """All radii at once, so that their level sets are searched together."""
    region_1, region_0 = predictor.certified_regions(radii)
    values = _weighted(task, region_1, region_0)
    proven = all(region.proven for region in (*region_1, *region_0) if region is not None)
    return [_closed(float(value), proven) for value in values]


def _adversarial_accuracy(
    task: BinaryTask, predictor: SmoothedRegion, radii: FloatArray, budget: VoteBudget
) -> list[Estimate]:
    decision = predictor.decision
    other = decision.complement()
    ones, zeros = ([side.eroded(float(radius)) for radius in radii] for side in (decision, other))
    return [_closed(float(value), decision.proven) for value in _weighted(task, ones, zeros)]


def _average(
    task: BinaryTask, predictor: SmoothedRegion, function: Callable[[FloatArray], FloatArray], breakpoints: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """E f(margin of the true class) and its error estimate, of one function or of several at once."""
    value = error = np.zeros(())
    for label, share, sign in ((1, task.prior, 1.0), (0, 1 - task.prior, -1.0)):

        def signed(margin: FloatArray, sign: float = sign) -> FloatArray:
            return function(sign * margin)

        part, slack = task.expectation(label, predictor.base, predictor.smooth_sigma, signed, sign * breakpoints)
        value, error = value + share * part, error + share * slack
    return value, error


def _acr(task: BinaryTask, predictor: SmoothedRegion, radii: FloatArray, budget: VoteBudget) -> list[Estimate]:
    closed = task.closed_acr(predictor.base) if predictor.smooth_sigma > 0 else 0.0
    if closed is not None:
        return [Estimate.exact(closed)] * len(radii)
    value, error = _average(task, predictor, lambda margin: np.maximum(margin, 0.0), np.zeros(1))
    acr = Estimate.numeric(predictor.smooth_sigma * float(value), predictor.smooth_sigma * float(error), floor=0.0)
    return [acr] * len(radii)


def _finite_sample(
    task: BinaryTask, predictor: SmoothedRegion, radii: FloatArray, budget: VoteBudget
) -> list[Estimate]:
    """E P(Bin(n, s_Y) ≥ k_min): binomial tails averaged over the law of the margin."""
    n = budget.votes
    needed = np.array([budget.needed(float(radius), predictor.smooth_sigma) for radius in radii])
    found = {k: Estimate.exact(0.0) for k in needed.tolist() if k > n}
    within = np.unique(needed[needed <= n])
    if within.size and predictor.smooth_sigma == 0:
        right = Estimate.exact(_weighted(task, [predictor.base], [predictor.base.complement()])[0])
        found |= dict.fromkeys(within.tolist(), right)
    else:
        for low in range(0, within.size, _TAILS):
            part = within[low : low + _TAILS]
            found |= zip(part.tolist(), _tails(task, predictor, n, part), strict=True)
    return [found[k] for k in needed.tolist()]


def _tails(task: BinaryTask, predictor: SmoothedRegion, n: int, needed: np.ndarray) -> list[Estimate]:
    """E P(Bin(n, s_Y) ≥ k) for each k in 0, …, n; the margins are evaluated once for all."""
    k = needed[:, None]

    def passes(margin: FloatArray) -> FloatArray:
        return np.asarray(special.betaincc(n - k + 1, k, special.ndtr(-margin)), dtype=float)

    value, error = _average(task, predictor, passes, _tail_breakpoints(n, k))
    return [
        Estimate.numeric(one, slack, floor=0.0, ceiling=1.0)
        for one, slack in zip(value.tolist(), error.tolist(), strict=True)
    ]


def _tail_breakpoints(n: int, k: np.ndarray) -> FloatArray:
    """Margins between which the tails P(Bin(n, Φ(margin)) ≥ k) are smooth; k of shape (tails, 1)."""
    # where each takes a range of levels; through 1 − p, which may be tiny
    beyond = np.concatenate(
        [special.betaincinv(n - k + 1, k, _TAIL_LEVELS), special.betainccinv(n - k + 1, k, _TAIL_LEVELS)], axis=1
    )
    margins = -special.ndtri(np.clip(beyond, 1e-300, 1 - 1e-16))
    # one standard deviation of a tail is enough room for a panel, so that those of overlapping tails thin out
    count = len(_TAIL_LEVELS)
    room = np.abs(margins[:, count - 1] - margins[:, -1])
    order = np.argsort(margins, axis=None)
    kept: list[float] = []
    for margin, apart in zip(margins.ravel()[order], np.repeat(room, 2 * count)[order], strict=True):
        if len(k) == 1 or not kept or margin - kept[-1] >= apart:
            kept.append(margin)
    return np.unique(kept)


_EXACT: dict[str, Callable[[BinaryTask, SmoothedRegion, FloatArray, VoteBudget], list[Estimate]]] = {
    "risk": _risk,
    "excess_risk": _excess_risk,
    "disagreement": _disagreement,
    "certified_accuracy": _certified_accuracy,
    "adversarial_accuracy": _adversarial_accuracy,
    "acr": _acr,
    "finite_sample_certified_accuracy": _finite_sample,
}


def finite_sample_curve(
    own_margins: ArrayLike, smooth_sigma: float, radii: ArrayLike, budget: VoteBudget | None = None
) -> FloatArray:
    """Certified accuracy that a run reports on average, for inputs whose vote probabilities are known.

    The mean over inputs of P(Bin(n, Φ(margin)) ≥ k_min(r)) (docs/math.md 1.5); the class choice is left out.

    Args:
        own_margins: Φ⁻¹ of the probability of a vote for the true class, shape (inputs,).
        smooth_sigma: β > 0, in input units.
        radii: ℓ₂ radii, shape (k,).
        budget: votes and failure probability of the run.

    Returns:
        Shape (k,).
    """
    run, level = budget or VoteBudget(), validation.positive("smooth_sigma", smooth_sigma)
    wrong = special.ndtr(-validation.array("own_margins", own_margins, 1))
    accuracies = []
    for radius in validation.array("radii", radii, 1):
        needed = run.needed(validation.nonnegative("radii", radius), level)
        hits = special.betaincc(run.votes - needed + 1, needed, wrong) if needed <= run.votes else np.zeros(1)
        accuracies.append(float(hits.mean()))
    return np.array(accuracies)
