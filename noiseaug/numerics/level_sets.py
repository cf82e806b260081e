"""All crossings of a level by a function on the line, with a proof that none is missing.

Gaussian smoothing turns two measures q₁, q₀ on the line into densities whose log-ratio ℓ = ln(q₁∗p_σ) − ln(q₀∗p_σ) has
the derivative (E₁[X|x] − E₀[X|x])/σ² (Tweedie), where each conditional mean is non-decreasing in x. On a cell [a, b]
hence ℓ′ ∈ [E₁(a) − E₀(b), E₁(b) − E₀(a)]/σ². If that range excludes 0 the cell holds at most one crossing and the signs
at its ends decide; if the values at both ends are too far from the level for the steepest slope, on the same side, it
holds none; else it is halved. The outer cells are moved out until the same bound covers the whole tail.

Sign changes of a smoothed step function cannot outnumber those of the step function (variation diminishing): that is
an upper bound on the count, which the callers check besides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from noiseaug.errors import UndecidedError
from noiseaug.numerics.normal import bracketed_roots
from noiseaug.validation import FloatArray

__all__ = [
    "Crossings",
    "LineMeasure",
    "RatioFunction",
    "SmoothFunction",
    "TailedFunction",
    "find_all_crossings",
    "find_crossings",
    "tail_window",
    "tail_windows",
]

_HALVINGS = 46  # cells shrink to 1e-14 of their first size before a touching point is left undecided
_MOST_CELLS = 100_000  # a well-posed search keeps a few dozen cells alive
_TIE = 1e-14  # values this close to a level, relative to 1 + |level|, are rounding


@dataclass(frozen=True)
class Crossings:
    """Where a function crosses a level.

    Attributes:
        points: the crossings, sorted.
        starts_above: whether the function is at or above the level at the left end of the window.
        proven: whether the bounds exclude any further crossing; False only where the function touches the level
            within rounding, and then no piece wider than about 1e-13 of a first cell is missing.
    """

    points: FloatArray
    starts_above: bool
    proven: bool

    def intervals(self, low: float, high: float) -> FloatArray:
        """The pieces of [low, high] at or above the level, shape (k, 2)."""
        ends = self.points if not self.starts_above else np.concatenate([[low], self.points])
        if ends.size % 2:
            ends = np.concatenate([ends, [high]])
        return ends.reshape(-1, 2)


class SmoothFunction(Protocol):
    """A function with a rigorous range of its slope on each cell."""

    def value(self, x: FloatArray) -> FloatArray:
        """The function."""
        ...

    def slope_range(self, left: FloatArray, right: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Numbers between which the derivative stays on each cell [left, right]."""
        ...

    def rounding(self, x: FloatArray) -> FloatArray:
        """How far rounding may put the value off."""
        ...


class TailedFunction(SmoothFunction, Protocol):
    """A function on the whole line that can tell when it stays on one side of a level."""

    def settled(self, x: float, side: int, level: float) -> bool:
        """Whether the level is not crossed anywhere right (side 1) or left (side −1) of x."""
        ...


def find_crossings(function: SmoothFunction, levels: FloatArray, ends: FloatArray) -> list[Crossings]:
    """All crossings of each level on [min ends, max ends]; the ends are the borders of the first cells."""
    ends = np.asarray(ends, dtype=float)
    return find_all_crossings(lambda which: function, levels, [ends for _ in levels])


def find_all_crossings(
    members: Callable[[np.ndarray], SmoothFunction], levels: FloatArray, ends: Sequence[FloatArray]
) -> list[Crossings]:
    """The crossings of one level by each of many functions, searched together.

    Args:
        members: for numbers of functions, a function that evaluates each point by the one of its number.
        levels: the level of each function.
        ends: the borders of the first cells of each.
    """
    levels = np.asarray(levels, dtype=float)
    count, borders = len(levels), [np.unique(each) for each in ends]
    owner, flat = np.repeat(np.arange(count), [each.size for each in borders]), np.concatenate(borders)
    values = members(owner).value(flat)
    cells = np.flatnonzero(owner[1:] == owner[:-1])
    starts_above = values[np.searchsorted(owner, np.arange(count))] >= levels
    left, right, which = flat[cells], flat[cells + 1], owner[cells]
    value_left, value_right = values[cells], values[cells + 1]
    proven = np.ones(count, dtype=bool)
    found: list[tuple[FloatArray, FloatArray, np.ndarray]] = []
    touching: list[FloatArray] = [np.empty((0, 5))]
    for depth in range(_HALVINGS + 1):
        if left.size > _MOST_CELLS or np.isnan(value_left).any() or np.isnan(value_right).any():
            raise UndecidedError("a boundary cannot be told in double precision: noise and set differ too much in size")
        low, high = members(which).slope_range(left, right)
        steepest = np.maximum(np.abs(low), np.abs(high))
        above_left, above_right = value_left - levels[which], value_right - levels[which]
        with np.errstate(invalid="ignore"):
            # distances from the level that rounding cannot have made up
            clearance = np.abs(above_left) + np.abs(above_right) - _TIE * (1 + np.abs(levels[which]))
            room = clearance > (right - left) * steepest
        same_side = (above_left >= 0) == (above_right >= 0)
        decided = (low > 0) | (high < 0) | (same_side & room)
        if depth == _HALVINGS:
            rest = ~decided
            proven[which[rest]] = False
            touching.append(np.stack([which, left, right, above_left, above_right], axis=1)[rest])
        crossing = decided & ~same_side
        found.append((left[crossing], right[crossing], which[crossing]))
        split = ~decided
        if not split.any() or depth == _HALVINGS:
            break
        left, right, which = left[split], right[split], which[split]
        value_left, value_right = value_left[split], value_right[split]
        middle = 0.5 * (left + right)
        value_middle = members(which).value(middle)
        left, right = np.concatenate([left, middle]), np.concatenate([middle, right])
        value_left, value_right = (
            np.concatenate([value_left, value_middle]),
            np.concatenate([value_middle, value_right]),
        )
        which = np.concatenate([which, which])
    lower, upper, which = (np.concatenate(parts) for parts in zip(*found, strict=True))
    roots = bracketed_roots(
        lambda x, level, member: members(member).value(x) - level, lower, upper, args=(levels[which], which)
    )
    if roots.size and float(np.max(members(which).rounding(roots))) > 1e-8:
        raise UndecidedError("a boundary cannot be told in double precision: it lies too many noise levels away")
    tied = np.concatenate(touching)
    result = []
    for i in range(count):
        points = np.sort(np.concatenate([roots[which == i], _touching_roots(tied[tied[:, 0] == i])]))
        points, apart = _merged(members, i, points, float(levels[i]), float(borders[i][-1] - borders[i][0]))
        result.append(Crossings(points, bool(starts_above[i]), bool(proven[i]) and apart))
    return result


def _touching_roots(cells: FloatArray) -> FloatArray:
    """One crossing in each run of adjacent undecided cells whose outer ends lie on different sides."""
    cells = cells[np.argsort(cells[:, 1])]
    if len(cells) == 0:
        return np.empty(0)
    first = np.concatenate([[True], cells[1:, 1] > cells[:-1, 2]])
    start, stop = np.flatnonzero(first), np.append(np.flatnonzero(first)[1:], len(cells)) - 1
    crosses = (cells[start, 3] >= 0) != (cells[stop, 4] >= 0)
    return (0.5 * (cells[start, 1] + cells[stop, 2]))[crosses]


def _merged(
    members: Callable[[np.ndarray], SmoothFunction], member: int, points: FloatArray, level: float, span: float
) -> tuple[FloatArray, bool]:
    """The crossings without pairs between which the function stays within rounding of the level."""
    apart = True
    while points.size > 1 and (close := np.diff(points) <= 1e-5 * span).any():
        function = members(np.full(points.size - 1, member))
        gaps = np.abs(function.value(0.5 * (points[1:] + points[:-1])) - level)
        tied = np.flatnonzero(close & (gaps <= _TIE * (1 + abs(level))))
        if tied.size == 0:
            break
        points, apart = np.delete(points, [tied[0], tied[0] + 1]), False
    return points, apart


def tail_window(
    function: TailedFunction, levels: FloatArray, low: float, high: float, scale: float
) -> tuple[float, float]:
    """The window [low, high] moved out, in doubling steps, until no level can be crossed beyond it."""
    for side in (-1, 1):
        step = scale
        while not all(function.settled(high if side > 0 else low, side, level) for level in levels):
            low, high = (low, high + step) if side > 0 else (low - step, high)
            step *= 2
            if step > 1e12 * scale:
                raise UndecidedError("a boundary lies too far out to be told in double precision")
    return low, high


def tail_windows(
    members: Callable[[np.ndarray], RatioFunction],
    levels: FloatArray,
    low: FloatArray,
    high: FloatArray,
    scale: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """The same for one level of each of many functions; arrays of one entry each."""
    ends = {-1: low.copy(), 1: high.copy()}
    for side, end in ends.items():
        step, left = scale.copy(), np.arange(levels.size)
        while (left := left[~members(left).all_settled(end[left], side, levels[left])]).size:
            end[left] += side * step[left]
            step[left] *= 2
            if (step > 1e12 * scale).any():
                raise UndecidedError("a boundary lies too far out to be told in double precision")
    return ends[-1], ends[1]


class LineMeasure(Protocol):
    """A measure on the line that can be smoothed with a Gaussian."""

    @property
    def support(self) -> tuple[Any, Any]:
        """Ends of the support, ±∞ where it has none."""
        ...

    def log_smoothed(self, x: FloatArray, sigma: Any) -> FloatArray:
        """ln of (q ∗ p_σ)(x), up to a constant that is common to the measures that are compared."""
        ...

    def conditional_mean(self, x: FloatArray, sigma: Any) -> FloatArray:
        """E[X | X + σZ = x] under q."""
        ...


@dataclass(frozen=True)
class RatioFunction:
    """ℓ = ln(q₁∗p_σ) − ln(q₀∗p_σ).

    Attributes:
        first: q₁.
        second: q₀.
        sigma: σ > 0, or one for each point.
    """

    first: LineMeasure
    second: LineMeasure
    sigma: Any

    def value(self, x: FloatArray) -> FloatArray:
        with np.errstate(invalid="ignore"):
            # nothing minus nothing, absurdly far out, is NaN, which the search refuses
            return self.first.log_smoothed(x, self.sigma) - self.second.log_smoothed(x, self.sigma)

    def rounding(self, x: FloatArray) -> FloatArray:
        first, second = self.first.log_smoothed(x, self.sigma), self.second.log_smoothed(x, self.sigma)
        return 2e-16 * (np.abs(first) + np.abs(second))

    def slope_range(self, left: FloatArray, right: FloatArray) -> tuple[FloatArray, FloatArray]:
        first_left, first_right = (self.first.conditional_mean(x, self.sigma) for x in (left, right))
        second_left, second_right = (self.second.conditional_mean(x, self.sigma) for x in (left, right))
        # a hair of width for the rounding of the means, which are differences from x
        slack = 1e-13 * (np.abs(first_left) + np.abs(first_right) + np.abs(second_left) + np.abs(second_right))
        slack += 1e-15 * (np.abs(left) + np.abs(right))
        variance = self.sigma**2
        return (first_left - second_right - slack) / variance, (first_right - second_left + slack) / variance

    def settled(self, x: float, side: int, level: float) -> bool:
        return bool(self.all_settled(np.array([x]), side, np.array([level]))[0])

    def all_settled(self, x: FloatArray, side: int, level: FloatArray) -> np.ndarray:
        """``settled`` for each of many points and levels."""
        above = self.value(x) >= level
        first, second = (measure.conditional_mean(x, self.sigma) for measure in (self.first, self.second))
        # beyond x each mean lies between its value at x and the end of its support; the slope must lead away
        first_end, second_end = (measure.support[side > 0] for measure in (self.first, self.second))
        return np.where(above, side * (first - second_end) > 0, side * (second - first_end) > 0)
