"""Quantities of K classes in one to three dimensions on a lattice, refined until their error is small (math.md 2.14).

The base classifier's classes become shares of cells, their blur the vote shares, and every quantity a sum over cells.
A boundary that cuts a cell is taken to be straight there, so the error falls with the square of the spacing. It is
estimated from the differences between lattices, and refused where the finest one is not fine enough.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from scipy import special

from noiseaug.confidence import VoteBudget
from noiseaug.errors import InvalidInputError, NoClosedFormError
from noiseaug.estimates import Estimate
from noiseaug.numerics import (
    LOG_FLOOR,
    Grid,
    bends,
    gauss_legendre,
    gaussian_blur,
    inclined,
    log_escape,
    log_gaussian_blur,
    margin_from_logs,
    share_above,
)
from noiseaug.tables import Measure, evaluator
from noiseaug.tasks import DensityRule, DensityTask
from noiseaug.validation import FloatArray

__all__ = ["confusion_on_lattice", "decisions_on_lattice", "evaluate_on_lattice"]

_LATTICES = {
    1: (512, 1 << 13),
    2: (96, 1 << 20),
    3: (32, 1 << 22),
}  # cells of the first one's longest side, most cells
_LEAST = 3  # lattices, so that two that agree by chance are not believed
_PAD = 6.0  # smoothing deviations around the box; what leaves it is below 2e-9
_BETA_NODES = 16
_TAIL = 1e-9  # mass that may be overlooked
_TINY = 1e-290  # smaller sums may have lost terms
_MASS_ERROR = 0.02  # by which the integral of a density may differ from 1


def evaluate_on_lattice(
    task: DensityTask, rule: object, smooth_sigma: float, asked: Sequence[Measure], budget: VoteBudget
) -> list[Estimate]:
    """Answers with the error of the lattice, below the task's ``tolerance`` (times β plus the value for radii).

    Args:
        task: the law of (X, Y), in one to three dimensions.
        rule: from ``task.augmented_rule``.
        smooth_sigma: β ≥ 0.
        asked: what to evaluate.
        budget: votes and failure probability behind ``finite_sample_certified_accuracy``.

    Raises:
        NoClosedFormError: in more dimensions, and where the finest lattice's error exceeds the tolerance.
        InvalidInputError: for a density that does not integrate to 1.
    """
    ways = [evaluator(_ON_LATTICE, measure.quantity, "on a lattice") for measure in asked]
    asks = [
        _Ask(measure.quantity, partial(way, measure, budget), measure) for way, measure in zip(ways, asked, strict=True)
    ]
    return _refined(task, rule, smooth_sigma, asks)


def confusion_on_lattice(task: DensityTask, rule: object, smooth_sigma: float) -> list[list[Estimate]]:
    """P(the smoothed classifier predicts j given Y = i) for each i and j, as :func:`evaluate_on_lattice`."""
    risk, labels = Measure("risk"), range(task.num_classes)

    def share(truth: int, predicted: int, cells: _Cells) -> float:
        of_all = np.broadcast_to(cells.decision[predicted], cells.joint.shape)
        return cells.average(of_all, truth)

    asked = [_Ask("confusion", partial(share, i, j), risk) for i in labels for j in labels]
    found = _refined(task, rule, smooth_sigma, asked)
    return [found[i * len(labels) :][: len(labels)] for i in labels]


def decisions_on_lattice(
    task: DensityTask, rule: DensityRule, smooth_sigma: float, cells: int = 200
) -> tuple[list[FloatArray], np.ndarray, np.ndarray]:
    """Where the base classifier and the smoothed one predict what, for pictures.

    Args:
        task: in one to three dimensions.
        rule: from ``task.augmented_rule``.
        smooth_sigma: β ≥ 0.
        cells: along the longest side of the task's box.

    Returns:
        The coordinates along each axis, and the labels that the two predict at each cell.
    """
    low, high = task.box()
    pad = _PAD * smooth_sigma
    spacing = float((high - low).max()) / cells
    shape = tuple(int(side) for side in np.ceil((high - low + 2 * pad) / spacing) + 1)
    found = _Cells(task, rule.train_sigma, smooth_sigma, low - pad, Grid(shape, spacing))
    inside = [(axis >= a) & (axis <= b) for axis, a, b in zip(found.axes, low, high, strict=True)]
    labels = [np.argmax(share, axis=0)[np.ix_(*inside)] for share in (found.base, found.decision)]
    return [axis[kept] for axis, kept in zip(found.axes, inside, strict=True)], labels[0], labels[1]


@dataclass(frozen=True)
class _Ask:
    """A number of each lattice: its name, how it is computed, and a measure of its kind."""

    name: str
    of: Callable[[_Cells], float]
    measure: Measure


def _refined(task: DensityTask, rule: object, smooth_sigma: float, asked: Sequence[_Ask]) -> list[Estimate]:
    """The numbers on lattices of half the spacing each, until their errors are within the tolerance."""
    if task.dim > 3 or not isinstance(rule, DensityRule) or rule.task is not task:
        raise NoClosedFormError(
            f"{type(task).__name__} has lattices for its own augmented rule in one to three dimensions; "
            "it has method 'sampled'"
        )
    lengths = np.array([one.measure.kind.is_length for one in asked])
    found: list[FloatArray] = []
    masses: list[FloatArray] = []
    for cells in _lattices(task, rule.train_sigma, smooth_sigma):
        found.append(np.array([one.of(cells) for one in asked]))
        masses.append(cells.class_masses)
        if len(found) >= _LEAST:
            last, before = np.abs(found[-1] - found[-2]), np.abs(found[-2] - found[-3])
            # of second order: each difference is three times the error that is left, and a quarter of the one before it
            errors = np.maximum(last, 0.25 * before)
            # where the differences fall more slowly, as at jumps, all that are still to come
            rate = np.minimum(last / np.maximum(before, np.maximum(last, 1e-300)), 0.9)
            errors = np.maximum(errors, last * rate / (1 - rate)) + np.array([cells.lost(one.measure) for one in asked])
            scales = np.where(lengths, smooth_sigma + np.abs(found[-1]), 1.0)
            errors += scales * np.abs(masses[-1] - 1).max()
            if (errors <= task.tolerance * scales).all():
                break
    else:
        _check_masses(masses)
        worst = int(np.argmax(errors / scales))
        raise NoClosedFormError(
            f"a lattice of {' × '.join(map(str, cells.grid.shape))} cells leaves an error of about {errors[worst]:.1g} "
            f"in {asked[worst].name}; expected at most {task.tolerance * scales[worst]:.1g}; use method 'sampled' or a "
            "larger tolerance"
        )
    tops = np.where(lengths, np.inf, 1.0)
    return [
        Estimate.numeric(value, error, floor=0.0, ceiling=top)
        for value, error, top in zip(found[-1], errors, tops, strict=True)
    ]


def _lattices(task: DensityTask, train_sigma: float, smooth_sigma: float) -> Iterator[_Cells]:
    """Lattices over the same box, each with half the spacing of the one before."""
    first, most = _LATTICES[task.dim]
    low, high = task.box()
    low, high = low - _PAD * smooth_sigma, high + _PAD * smooth_sigma
    spacing = float((high - low).max()) / first
    while True:
        shape = tuple(int(side) for side in np.ceil((high - low) / spacing) + 1)
        if math.prod(shape) > most:
            return
        yield _Cells(task, train_sigma, smooth_sigma, low, Grid(shape, spacing))
        spacing /= 2


@dataclass(frozen=True, eq=False)
class _Cells:
    """One lattice with what the quantities need of it; classes along the first axis of every array."""

    task: DensityTask
    train_sigma: float
    smooth_sigma: float
    low: FloatArray
    grid: Grid

    @cached_property
    def axes(self) -> list[FloatArray]:
        return [at + self.grid.spacing * np.arange(n) for at, n in zip(self.low, self.grid.shape, strict=True)]

    @cached_property
    def scores(self) -> FloatArray:
        return self.task.log_scores_on(self.axes, 0.0)

    @cached_property
    def masses(self) -> FloatArray:
        """P(X in cell, Y = c) for each class before they are scaled to sum to the prior."""
        return np.exp(self.scores) * self.grid.spacing**self.grid.dim

    @property
    def class_masses(self) -> FloatArray:
        """P(X on the lattice given Y = c) for each class: 1 but for what the cells miss."""
        return self.masses.reshape(len(self.masses), -1).sum(axis=1) / self.task.priors

    @cached_property
    def joint(self) -> FloatArray:
        """The same, scaled to sum to the priors."""
        sums = self.class_masses
        scale = np.divide(1.0, sums, out=np.zeros(len(sums)), where=sums > 0)
        return self.masses * scale.reshape(-1, *[1] * self.grid.dim)

    @cached_property
    def sharpened(self) -> FloatArray:
        """The masses that shares of cells are to be summed with: those are averages over cells, which blur."""
        return self.joint - bends(self.joint) / 24

    @cached_property
    def bayes(self) -> FloatArray:
        """The share of each cell in which the Bayes classifier predicts each class."""
        return _parts(self.scores)

    @cached_property
    def base(self) -> FloatArray:
        """The same for the base classifier."""
        if self.train_sigma == 0:
            return self.bayes
        return _parts(self.task.log_scores_on(self.axes, self.train_sigma))

    @cached_property
    def escape(self) -> FloatArray:
        return log_escape(self.grid, self.smooth_sigma)

    @cached_property
    def logs(self) -> tuple[FloatArray, FloatArray]:
        """ln of the vote share of each class and of all others, as far as the noise stays on the lattice."""
        # the average over a cell is a blur with a twelfth of its squared side as variance
        own = self.grid.spacing**2 / 12
        sigma = math.sqrt(self.smooth_sigma**2 - own) if self.smooth_sigma**2 > 4 * own else self.smooth_sigma
        own_logs = [self._log_blur(share, sigma, self.joint[c]) for c, share in enumerate(self.base)]
        rests = [self._log_blur(1 - share, sigma, self.joint[c]) for c, share in enumerate(self.base)]
        return np.stack(own_logs), np.stack(rests)

    def _log_blur(self, share: FloatArray, sigma: float, mass: FloatArray) -> FloatArray:
        """ln of the blur; where it underflows, taken in logarithms only if the class is there."""
        linear = gaussian_blur(share, self.grid, sigma)
        if mass[linear < _TINY].sum() > _TAIL:
            return log_gaussian_blur(share, self.grid, sigma)
        return np.log(np.maximum(linear, _TINY))

    @cached_property
    def margins(self) -> FloatArray:
        """Φ⁻¹ of the vote share of each class; what leaves the lattice goes to the others."""
        own, rest = self.logs
        return margin_from_logs(own, np.minimum(np.logaddexp(rest, self.escape), 0.0))

    @cached_property
    def decision(self) -> FloatArray:
        """The share of each cell in which the smoothed classifier predicts each class."""
        return self.base if self.smooth_sigma == 0 else _parts(self.margins)

    def average(self, values: FloatArray, label: int | None, masses: FloatArray | None = None) -> float:
        """E[shares of cells for the true class], or given Y = label; with ``masses``, E[values at the centres]."""
        weights = self.sharpened if masses is None else masses
        if label is not None:
            return float(np.sum(weights[label] * values[label])) / float(self.task.priors[label])
        return float(np.sum(weights * values))

    def reaching(self, margins: Sequence[float] | FloatArray) -> list[FloatArray]:
        """The share of each cell in which the margin of each class is at least so much."""
        if self.smooth_sigma == 0:
            return [self.base * (margin <= 0) for margin in margins]
        return [share_above(*self.inclined, margin) for margin in margins]

    @cached_property
    def inclined(self) -> tuple[FloatArray, FloatArray]:
        """The margins as ``share_above`` takes them, for all levels that are asked for."""
        return inclined(self.margins)

    @cached_property
    def unseen(self) -> FloatArray:
        """How much larger the margin of each class may be for what the lattice misses of the noise."""
        own, rest = self.logs
        largest = margin_from_logs(np.minimum(np.logaddexp(own, self.escape), 0.0), rest)
        gap = np.maximum(largest, 0.0) - np.maximum(self.margins, 0.0)
        # where no vote at all is for another class on the lattice, the gap is what the lattice cannot see
        return np.where(np.isfinite(gap), gap, 0.0)

    def lost(self, measure: Measure) -> float:
        """What lies off the lattice may add: of X, and of the noise."""
        tail = _TAIL * self.grid.dim
        if not measure.kind.is_length:
            return tail
        if self.smooth_sigma == 0:
            return 0.0
        return self.smooth_sigma * (self.average(self.unseen, measure.label, self.joint) + tail)


def _check_masses(masses: Sequence[FloatArray]) -> None:
    """Refuses what is not a density: its integral differs from 1, and finer cells, which see it, do not change that."""
    for label, (before, mass) in enumerate(zip(masses[-2], masses[-1], strict=True)):
        if mass > _MASS_ERROR < abs(mass - 1) and abs(mass - before) < 0.1 * abs(mass - 1):
            raise InvalidInputError(
                f"the density of class {label} integrates to {mass:.4g} over the box of the sample; expected 1: "
                "log_densities are those of single classes, without their priors"
            )


def _parts(scores: FloatArray) -> FloatArray:
    """The share of each cell in which each class has the largest score; ties go to the smallest label."""
    top = np.max(np.where(np.isfinite(scores), scores, -np.inf))
    scores = np.clip(scores, top - 2 * LOG_FLOOR, None) if np.isfinite(top) else scores
    excess = np.empty(scores.shape)
    for label in range(len(scores)):
        others = np.delete(scores, label, axis=0).max(axis=0)
        with np.errstate(invalid="ignore"):
            excess[label] = np.nan_to_num(scores[label] - others, nan=0.0)
        if label > 0:
            # equal to an earlier class: that one has it
            tied = scores[label] <= scores[:label].max(axis=0)
            excess[label] = np.where(tied & (excess[label] == 0), -1e-300, excess[label])
    shares = share_above(*inclined(excess), 0.0)
    total = shares.sum(axis=0)
    return np.divide(shares, total, out=np.zeros(shares.shape), where=total > 0)


def _risk(measure: Measure, budget: VoteBudget, cells: _Cells) -> float:
    return cells.average(1 - cells.decision, measure.label)


def _excess_risk(measure: Measure, budget: VoteBudget, cells: _Cells) -> float:
    return cells.average(cells.bayes - cells.decision, measure.label)


def _disagreement(measure: Measure, budget: VoteBudget, cells: _Cells) -> float:
    apart = 1 - np.minimum(cells.bayes, cells.decision).sum(axis=0)
    return cells.average(np.broadcast_to(apart, cells.joint.shape), measure.label)


def _certified_accuracy(measure: Measure, budget: VoteBudget, cells: _Cells) -> float:
    radius, sigma = measure.at, cells.smooth_sigma
    return cells.average(cells.reaching([radius / sigma if sigma > 0 else radius])[0], measure.label)


def _acr(measure: Measure, budget: VoteBudget, cells: _Cells) -> float:
    if cells.smooth_sigma == 0:
        return 0.0
    return cells.smooth_sigma * cells.average(np.maximum(cells.margins, 0.0), measure.label, cells.joint)


def _finite_sample(measure: Measure, budget: VoteBudget, cells: _Cells) -> float:
    """Certified accuracy averaged over a Beta law (docs/math.md 1.5); the binomial tail is too steep for cells."""
    n, k = budget.votes, budget.needed(measure.at, cells.smooth_sigma)
    if k > n:
        return 0.0
    if cells.smooth_sigma == 0:
        return cells.average(cells.base, measure.label)
    levels, weights = gauss_legendre(_BETA_NODES)
    # through 1 − p, which may be tiny
    margins = -special.ndtri(special.betainccinv(n - k + 1, k, 0.5 * (1 + levels)))
    passing = [cells.average(share, measure.label) for share in cells.reaching(margins)]
    return float(0.5 * weights @ np.array(passing))


_ON_LATTICE: dict[str, Callable[[Measure, VoteBudget, _Cells], float]] = {
    "risk": _risk,
    "excess_risk": _excess_risk,
    "disagreement": _disagreement,
    "certified_accuracy": _certified_accuracy,
    "acr": _acr,
    "finite_sample_certified_accuracy": _finite_sample,
}
