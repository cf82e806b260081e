"""A smoothing level for each input, exactly: certified accuracy of a router with its experts (docs/math.md 4.10).

Everything lies on one coordinate: the line, a circle, or the distance from a centre. The router's smoothed regions and
those of the experts are unions of intervals there, and so is what they certify together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from noiseaug import validation
from noiseaug.confidence import VoteBudget
from noiseaug.errors import InvalidInputError
from noiseaug.predictors import SmoothedRegion
from noiseaug.regions import ProfileRegion
from noiseaug.regions.base import combine_intervals
from noiseaug.tasks.base import ProfileTask
from noiseaug.validation import FloatArray

__all__ = ["RoutedPredictor", "best_certified_accuracy", "routed_certified_accuracy"]

Profiles = tuple[FloatArray, FloatArray]
"""Where class 1, and where class 0, is certified: intervals of the coordinate, shape (k, 2) each."""

_NOTHING = np.empty((0, 2))
_UNION = [(True, True), (True, False), (False, True)]


@dataclass(frozen=True, eq=False)
class RoutedPredictor:
    """The classifier g(x) = g_k(x) with k = g₀(x): the smoothed router names the expert that answers.

    Attributes:
        routes: where the router's base classifier names each level; disjoint, and together everything.
        router_sigma: β₀ > 0, at which the router is smoothed, in input units.
        experts: the smoothed classifier at each level.

    Raises:
        InvalidInputError: for other numbers of routes than of experts, or regions in different coordinates.
    """

    routes: tuple[ProfileRegion, ...]
    router_sigma: float
    experts: tuple[SmoothedRegion, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "router_sigma", validation.positive("router_sigma", self.router_sigma))
        if len(self.routes) != len(self.experts) or not self.routes:
            raise InvalidInputError(f"{len(self.routes)} routes to {len(self.experts)} experts; expected one to each")
        _check_coordinate([*self.routes, *(expert.base for expert in self.experts)])

    def certified(self, radii: FloatArray, budget: VoteBudget | None = None) -> list[Profiles]:
        """Where each class is certified at each radius: where the router certifies a level, and its expert the class.

        Args:
            radii: r ≥ 0, in input units, shape (k,).
            budget: what no votes of this number can certify is left out; none by default, for unlimited votes.
        """
        found = [(_NOTHING, _NOTHING)] * len(radii)
        known = _in_reach(radii, self.router_sigma, budget)
        for route, expert in zip(self.routes, self.experts, strict=True):
            named = [region.profile() for region in route.superlevels(self.router_sigma, radii / self.router_sigma)]
            for place, answers in enumerate(_certified_by(expert, radii, budget)):
                if known[place]:
                    both = [combine_intervals(named[place], part, keep=[(True, True)]) for part in answers]
                    found[place] = _joined(found[place], (both[0], both[1]))
        return found


def routed_certified_accuracy(
    task: ProfileTask, predictor: RoutedPredictor, radii: ArrayLike, budget: VoteBudget | None = None
) -> FloatArray:
    """P(the routed classifier is right at X, with a certified radius of at least r), for each radius.

    Args:
        task: the law of (X, Y), in the coordinate of the predictor's regions.
        predictor: router and experts.
        radii: ℓ₂ radii ≥ 0, shape (k,).
        budget: as for :meth:`RoutedPredictor.certified`.

    Returns:
        Shape (k,), in closed form up to root-finding.
    """
    return _accuracies(task, predictor.routes[0], predictor.certified(_checked(radii), budget))


def best_certified_accuracy(
    task: ProfileTask, experts: Sequence[SmoothedRegion], radii: ArrayLike, budget: VoteBudget | None = None
) -> FloatArray:
    """The same for an oracle that takes the best level of each input and class: the most that any router can reach.

    With a single expert, its own certified accuracy.

    Args:
        task: as for :func:`routed_certified_accuracy`.
        experts: smoothed classifiers at different levels.
        radii: as there.
        budget: as there.
    """
    first, asked = _check_coordinate([expert.base for expert in experts]), _checked(radii)
    each = [_certified_by(expert, asked, budget) for expert in experts]
    return _accuracies(task, first, [reduce(_joined, found) for found in zip(*each, strict=True)])


def _checked(radii: ArrayLike) -> FloatArray:
    asked = validation.array("radii", np.atleast_1d(np.asarray(radii, dtype=float)), 1)
    return np.array([validation.nonnegative("radii", radius) for radius in asked.tolist()])


def _accuracies(task: ProfileTask, region: ProfileRegion, certified: Sequence[Profiles]) -> FloatArray:
    laws = [(task.prior, task.law(1, region)), (1 - task.prior, task.law(0, region))]
    return np.array(
        [sum(p * law.union_mass(part) for (p, law), part in zip(laws, found, strict=True)) for found in certified]
    )


def _certified_by(expert: SmoothedRegion, radii: FloatArray, budget: VoteBudget | None) -> list[Profiles]:
    """Where an expert certifies each class at each radius."""
    ones, zeros = expert.certified_regions(radii)
    profiles = [[_NOTHING if part is None else part.profile() for part in parts] for parts in (ones, zeros)]
    known = _in_reach(radii, expert.smooth_sigma, budget)
    return [(one, zero) if ok else (_NOTHING, _NOTHING) for one, zero, ok in zip(*profiles, known, strict=True)]


def _joined(first: Profiles, second: Profiles) -> Profiles:
    ones, zeros = (combine_intervals(a, b, keep=_UNION) for a, b in zip(first, second, strict=True))
    return ones, zeros


def _in_reach(radii: FloatArray, sigma: float, budget: VoteBudget | None) -> np.ndarray:
    """Whether the votes could certify each radius if they all fell on one class (docs/math.md 1.5)."""
    most = np.inf if budget is None else sigma * special.ndtri(budget.failure_prob ** (1 / budget.votes))
    return np.asarray(radii <= most)


def _check_coordinate(regions: Sequence[object]) -> ProfileRegion:
    first = regions[0] if regions else None
    if not isinstance(first, ProfileRegion) or not all(
        isinstance(region, ProfileRegion) and first.same_coordinate(region) for region in regions
    ):
        raise InvalidInputError("the regions are not unions of intervals in one coordinate; expected those of one task")
    return first
