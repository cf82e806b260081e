"""Tasks on the line and on the circle, exact up to root-finding with all roots proven (docs/math.md 2.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from noiseaug import validation
from noiseaug.errors import InvalidInputError, NoClosedFormError
from noiseaug.numerics import RatioFunction, StepMeasure, find_crossings, tail_window
from noiseaug.regions import IntervalUnion, ProfileRegion, Region
from noiseaug.regions.intervals import level_sets
from noiseaug.tasks.base import ProfileTask
from noiseaug.tasks.laws import Law, UniformLaw
from noiseaug.validation import FloatArray

__all__ = ["Intervals", "check_line_region"]


def check_line_region(region: ProfileRegion, period: float | None = None, origin: float = 0.0) -> None:
    """Refuses regions that are not unions of intervals on the task's own line or circle."""
    if not isinstance(region, IntervalUnion):
        raise NoClosedFormError(f"{type(region).__name__} has no known law on the line; unions of intervals have")
    if region.period != period or (period is not None and region.origin != origin):
        where = "the line" if period is None else f"the circle of length {period:g} from {origin:g}"
        raise InvalidInputError(f"the region lies on another line or circle than the task; expected {where}")


@dataclass(frozen=True, eq=False)
class Intervals(ProfileTask):
    """h is the indicator of a union of intervals and X is uniform on the domain.

    On the circle the marginal stays flat under noise and both rules agree. On the line noise leaves the domain: the
    augmented rule compares 1_A ∗ p_α with 1_{D∖A} ∗ p_α, the convolved one with ½ as if h were 0 outside, as Pal &
    Sulam's zero padding does; they differ near the border.

    Attributes:
        intervals: sorted and disjoint intervals of class 1, shape (k, 2), inside the domain.
        domain: (lower, upper) ends of the domain; on the circle they are the same point.
        periodic: whether the domain is a circle.
    """

    intervals: FloatArray
    domain: tuple[float, float]
    periodic: bool = False
    dim: int = field(default=1, init=False, repr=False)
    rules: ClassVar[tuple[str, ...]] = ("augmented", "convolved")

    def __post_init__(self) -> None:
        bounds = validation.array("intervals", self.intervals, 2)
        if bounds.shape[1] != 2 or len(bounds) == 0:
            raise InvalidInputError(f"intervals have shape {bounds.shape}; expected (k, 2) with at least one interval")
        domain = validation.array("domain", self.domain, 1)
        if domain.size != 2 or domain[0] >= domain[1]:
            raise InvalidInputError(f"domain is {self.domain!r}; expected (lower, upper) with lower < upper")
        if (bounds[:, 0] >= bounds[:, 1]).any():
            raise InvalidInputError("an interval is empty; expected lower < upper in each")
        if (bounds[1:, 0] <= bounds[:-1, 1]).any():
            raise InvalidInputError(
                "intervals overlap or are not sorted; expected disjoint intervals in increasing order"
            )
        if bounds[0, 0] < domain[0] or bounds[-1, 1] > domain[1]:
            raise InvalidInputError(f"intervals leave the domain [{domain[0]:g}, {domain[1]:g}]")
        if float(np.sum(bounds[:, 1] - bounds[:, 0])) >= domain[1] - domain[0]:
            raise InvalidInputError("intervals fill the domain; expected room for class 0")
        object.__setattr__(self, "intervals", bounds)
        object.__setattr__(self, "domain", (float(domain[0]), float(domain[1])))

    @classmethod
    def row(
        cls, count: int, width: float, separation: float, domain: tuple[float, float], periodic: bool = True
    ) -> Intervals:
        """``count`` intervals of equal ``width`` in a row with gaps of ``separation``, in the middle of the domain."""
        count = validation.integer("count", count)
        width, separation = validation.positive("width", width), validation.positive("separation", separation)
        start = 0.5 * (domain[0] + domain[1]) - 0.5 * (count * width + (count - 1) * separation)
        lower = start + (width + separation) * np.arange(count)
        return cls(np.stack([lower, lower + width], axis=1), domain, periodic)

    @property
    def length(self) -> float:
        """Length of the domain."""
        return self.domain[1] - self.domain[0]

    @property
    def prior(self) -> float:  # type: ignore[override]
        """P(Y=1), the share of the domain that the intervals take."""
        return float(np.sum(self.intervals[:, 1] - self.intervals[:, 0])) / self.length

    @property
    def separation(self) -> float:
        """ζ, the smallest gap between two intervals (∞ for a single one on the line)."""
        arcs = self._region.arcs
        gaps = arcs[1:, 0] - arcs[:-1, 1]
        if self.periodic:
            gaps = np.append(gaps, arcs[0, 0] + self.length - arcs[-1, 1])
        return float(gaps.min(initial=np.inf))

    @cached_property
    def _region(self) -> IntervalUnion:
        return IntervalUnion(self.intervals, self.length if self.periodic else None, self.domain[0])

    @cached_property
    def _rest(self) -> FloatArray:
        """The domain without the intervals."""
        return _overlap(self._region.complement().intervals, self.domain)

    def sample(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, np.ndarray]:
        x = self.domain[0] + self.length * rng.random(n)
        return x[:, None], self._region.contains(x).astype(int)

    def log_density(self, x: ArrayLike, label: int, noise_sigma: float = 0.0) -> FloatArray:
        c = self._region.coordinate(x)
        pieces = self.intervals if label else self._rest
        log_length = np.log(np.sum(pieces[:, 1] - pieces[:, 0]))
        if noise_sigma == 0:
            inside = IntervalUnion(pieces).contains(c)
            return np.where(inside, 0.0, -np.inf) - log_length
        if self.periodic:
            margin = self._region.margin_at(c, noise_sigma)
            return special.log_ndtr(margin if label else -margin) - log_length
        return StepMeasure(pieces).log_smoothed(c, noise_sigma) - log_length

    def augmented_region(self, train_sigma: float) -> IntervalUnion:
        alpha = validation.nonnegative("train_sigma", train_sigma)
        if alpha == 0:
            return self._region
        if self.periodic:
            return self._region.smoothed(alpha)
        ratio = RatioFunction(StepMeasure(self.intervals), StepMeasure(self._rest), alpha)
        ends = np.unique(np.concatenate([self.intervals.ravel(), self.domain]))
        level = np.zeros(1)
        low, high = tail_window(ratio, level, ends[0] - alpha, ends[-1] + alpha, alpha)
        crossings = find_crossings(ratio, level, np.concatenate([[low], ends, [high]]))[0]
        if crossings.points.size > ends.size - 2:
            raise ArithmeticError(f"{crossings.points.size} crossings found where at most {ends.size - 2} exist")
        return IntervalUnion(crossings.intervals(-np.inf, np.inf), None, self.domain[0], crossings.proven)

    def convolved_region(self, train_sigma: float) -> IntervalUnion:
        return self._region.smoothed(validation.nonnegative("train_sigma", train_sigma))

    def convolved_regions(self, train_sigmas: Sequence[float]) -> list[Region]:
        levels = [validation.nonnegative("train_sigma", alpha) for alpha in train_sigmas]
        return list(level_sets([(self._region, alpha, 0.0) for alpha in levels]))

    def law(self, label: int, region: ProfileRegion) -> Law:
        check_line_region(region, self.length if self.periodic else None, self.domain[0])
        return UniformLaw(self.intervals if label else self._rest)

    def reach(self) -> float:
        return max(abs(self.domain[0]), abs(self.domain[1]))


def _overlap(intervals: FloatArray, window: tuple[float, float] | Any) -> FloatArray:
    clipped = np.clip(intervals, window[0], window[1])
    return clipped[clipped[:, 1] > clipped[:, 0]]
