"""Base classifiers with and without training noise, and the smoothed classifiers over them.

``augmented`` and ``convolved`` are two idealised results of training with noise; they are different functions of the
task and agree only where the marginal is flat (docs/math.md).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from noiseaug import validation
from noiseaug.errors import InvalidInputError, NoClosedFormError
from noiseaug.regions import IntervalUnion, LatticeSet, Region
from noiseaug.regions.intervals import level_sets
from noiseaug.regions.lattice import smoothed_sets
from noiseaug.tasks import BinaryTask, DensityRule, DensityTask, KernelRule, PointMasses, Task
from noiseaug.validation import FloatArray

__all__ = [
    "RULES",
    "SmoothedRegion",
    "augmented",
    "bayes",
    "by_rule",
    "by_rule_together",
    "convolved",
    "smoothed",
    "smoothed_together",
]

RULES = ("augmented", "convolved")

Rule = KernelRule | DensityRule  # classifiers that no region describes


def bayes(task: Task) -> Region | Rule:
    """The Bayes classifier of the task: the region {h ≥ ½}, or for a data set its nearest-neighbour rule."""
    return augmented(task, 0.0)


def augmented(task: Task, train_sigma: float) -> Region | Rule:
    """The Bayes rule of the noised law (X + αZ, Y): what infinite data and a perfect learner give.

    A_α = {π (q₁∗p_α) ≥ (1−π) (q₀∗p_α)}; for a data set the kernel rule (docs/math.md 1, 2.8), for more than two
    classes the one with the largest prior × noised density.

    Args:
        task: the law of (X, Y).
        train_sigma: α ≥ 0 in input units.
    """
    task = task.closed_form() or task
    if isinstance(task, PointMasses | DensityTask):
        return task.augmented_rule(train_sigma)
    return _binary(task, "augmented").augmented_region(train_sigma)


def convolved(task: Task, train_sigma: float) -> Region:
    """Pal & Sulam's operator {h ∗ p_α ≥ ½} (their Section 3).

    Args:
        task: the law of (X, Y).
        train_sigma: α ≥ 0 in input units.

    Raises:
        NoClosedFormError: where h is not defined on all of R^d.
    """
    return _binary(task.closed_form() or task, "convolved").convolved_region(train_sigma)


def by_rule(task: Task, rule: str, train_sigma: float) -> Region | Rule:
    """``augmented`` or ``convolved`` by name."""
    chosen = validation.choice("rule", rule, RULES)
    return augmented(task, train_sigma) if chosen == "augmented" else convolved(task, train_sigma)


def by_rule_together(task: Task, rule: str, train_sigmas: Sequence[float]) -> list[Region | Rule]:
    """``by_rule`` for each training noise."""
    task = task.closed_form() or task
    if validation.choice("rule", rule, RULES) == "convolved":
        return [*_binary(task, rule).convolved_regions(train_sigmas)]
    if isinstance(task, PointMasses | DensityTask):
        return [task.augmented_rule(alpha) for alpha in train_sigmas]
    return [*_binary(task, rule).augmented_regions(train_sigmas)]


def _binary(task: Task, rule: str) -> BinaryTask:
    if not isinstance(task, BinaryTask) or rule not in task.rules:
        raise NoClosedFormError(f"{type(task).__name__} has no {rule} rule; it has {', '.join(task.rules) or 'none'}")
    return task


@dataclass(frozen=True, eq=False)
class SmoothedRegion:
    """The smoothed classifier f(x) = 1[P(x + βZ ∈ A) ≥ ½] over a region A.

    Attributes:
        base: A.
        smooth_sigma: β ≥ 0; at 0 the base classifier itself, which certifies no radius above 0.
    """

    base: Region
    smooth_sigma: float

    def __post_init__(self) -> None:
        if not isinstance(self.base, Region):
            raise InvalidInputError(f"base is {type(self.base).__name__}; expected a Region")
        object.__setattr__(self, "smooth_sigma", validation.nonnegative("smooth_sigma", self.smooth_sigma))

    @cached_property
    def _known(self) -> dict[float, Region]:
        """Superlevels of the base that :func:`smoothed_together` has found, by margin."""
        return {}

    @cached_property
    def decision(self) -> Region:
        """The region where the smoothed classifier predicts 1."""
        return self._known[0.0] if 0.0 in self._known else self.base.smoothed(self.smooth_sigma)

    def predict(self, x: ArrayLike) -> np.ndarray:
        """Predicted labels of points of shape (n, dim)."""
        return (self.base.margin(x, self.smooth_sigma) >= 0).astype(int)

    def radius(self, x: ArrayLike) -> FloatArray:
        """Certified ℓ₂ radius β|Φ⁻¹(s)| around each point (Cohen et al. 2019, Theorem 1), in input units."""
        if self.smooth_sigma == 0:
            return np.zeros(len(validation.points(x, self.base.dim)))
        return self.smooth_sigma * np.abs(self.base.margin(x, self.smooth_sigma))

    def certified_regions(self, radii: ArrayLike) -> tuple[list[Any], list[Any]]:
        """Where class 1, and where class 0, is certified at each radius r ≥ 0: {β Φ⁻¹(s_y) ≥ r}."""
        radii = np.atleast_1d(np.asarray(radii, dtype=float))
        if not (radii >= 0).all() or not np.isfinite(radii).all():
            raise InvalidInputError(f"radii are {radii.tolist()}; expected finite numbers of at least 0")
        if self.smooth_sigma == 0:
            nothing = self.base.superlevels(0.0, [0.0])[0]
            ones = [nothing if r == 0 else None for r in radii]
            return ones, [None if region is None else region.complement() for region in ones]
        levels = radii / self.smooth_sigma
        margins = np.concatenate([levels, -levels])
        if all(margin in self._known for margin in margins):
            regions = [self._known[margin] for margin in margins]
        else:
            regions = self.base.superlevels(self.smooth_sigma, margins)
        count = len(radii)
        return regions[:count], [region.complement() for region in regions[count:]]


def smoothed(region: Region, smooth_sigma: float) -> SmoothedRegion:
    """The smoothed classifier over a region.

    Args:
        region: where the base classifier predicts 1.
        smooth_sigma: β ≥ 0 in input units.
    """
    return SmoothedRegion(region, smooth_sigma)


def smoothed_together(
    bases: Sequence[Region], smooth_sigmas: Sequence[float], radii: FloatArray
) -> list[list[SmoothedRegion]]:
    """The smoothed classifiers over each region at each level; their decisions and certified regions come at once.

    For unions of intervals all of these are searched together, and for sets of cells the decisions are. Other regions
    find them when they are asked.

    Args:
        bases: regions.
        smooth_sigmas: β ≥ 0.
        radii: where certified regions will be asked for, shape (k,).
    """
    predictors = [[SmoothedRegion(base, sigma) for sigma in smooth_sigmas] for base in bases]
    sets = [base for base in bases if isinstance(base, LatticeSet)]
    if len(sets) == len(bases) and len({one.grid for one in sets}) == 1:
        for row, decisions in zip(predictors, smoothed_sets(sets, smooth_sigmas), strict=True):
            for predictor, decision in zip(row, decisions, strict=True):
                predictor._known[0.0] = decision
        return predictors
    wanted, takers = [], []
    for predictor in itertools.chain.from_iterable(predictors):
        base, sigma = predictor.base, predictor.smooth_sigma
        if isinstance(base, IntervalUnion) and sigma > 0:
            margins = np.unique(np.concatenate([[0.0], radii / sigma, -radii / sigma]))
            wanted += [(base, sigma, float(margin)) for margin in margins]
            takers += [predictor] * margins.size
    for taker, (_, _, margin), found in zip(takers, wanted, level_sets(wanted), strict=True):
        taker._known[margin] = found
    return predictors
