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

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from noiseaug._numerics import FloatArray, bracketed_roots

__all__ = ["Crossings", "Measure", "RatioFunction", "SmoothFunction", "TailedFunction", "find_crossings", "tail_window"]

_HALVINGS = 46  # cells shrink to 1e-14 of their first size before a touching point is left undecided


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


class TailedFunction(SmoothFunction, Protocol):
    """A function on the whole line that can tell when it stays on one side of a level."""

    def settled(self, x: float, side: int, level: float) -> bool:
        """Whether the level is not crossed anywhere right (side 1) or left (side −1) of x."""
        ...


def find_crossings(function: SmoothFunction, levels: FloatArray, ends: FloatArray) -> list[Crossings]:
    """All crossings of each level on [min ends, max ends]; the ends are the borders of the first cells."""
    ends = np.unique(np.asarray(ends, dtype=float))
    count, cells = len(levels), ends.size - 1
    values = function.value(ends)
    starts_above = values[0] >= levels
    left, right = np.tile(ends[:-1], count), np.tile(ends[1:], count)
    value_left, value_right = np.tile(values[:-1], count), np.tile(values[1:], count)
    which = np.repeat(np.arange(count), cells)
    proven = np.ones(count, dtype=bool)
    found: list[tuple[FloatArray, FloatArray, np.ndarray]] = []
    for depth in range(_HALVINGS + 1):
        low, high = function.slope_range(left, right)
        steepest = np.maximum(np.abs(low), np.abs(high))
        above_left, above_right = value_left - levels[which], value_right - levels[which]
        with np.errstate(invalid="ignore"):
            room = np.abs(above_left) + np.abs(above_right) > (right - left) * steepest
        same_side = (above_left >= 0) == (above_right >= 0)
        decided = (low > 0) | (high < 0) | (same_side & room)
        if depth == _HALVINGS:
            proven[which[~decided]] = False
            decided[:] = True
        crossing = decided & ~same_side
        found.append((left[crossing], right[crossing], which[crossing]))
        split = ~decided
        if not split.any():
            break
        left, right, which = left[split], right[split], which[split]
        value_left, value_right = value_left[split], value_right[split]
        middle = 0.5 * (left + right)
        value_middle = function.value(middle)
        left, right = np.concatenate([left, middle]), np.concatenate([middle, right])
        value_left, value_right = (
            np.concatenate([value_left, value_middle]),
            np.concatenate([value_middle, value_right]),
        )
        which = np.concatenate([which, which])
    lower, upper, which = (np.concatenate(parts) for parts in zip(*found, strict=True))
    roots = bracketed_roots(lambda x, level: function.value(x) - level, lower, upper, args=(levels[which],))
    return [Crossings(np.sort(roots[which == i]), bool(starts_above[i]), bool(proven[i])) for i in range(count)]


def tail_window(
    function: TailedFunction, levels: FloatArray, low: float, high: float, scale: float
) -> tuple[float, float]:
    """The window [low, high] moved out, in doubling steps, until no level can be crossed beyond it."""
    for side in (-1, 1):
        step = scale
        for _ in range(200):
            end = high if side > 0 else low
            if all(function.settled(end, side, level) for level in levels):
                break
            low, high = (low, high + step) if side > 0 else (low - step, high)
            step *= 2
    return low, high


class Measure(Protocol):
    """A measure on the line that can be smoothed with a Gaussian."""

    @property
    def support(self) -> tuple[float, float]:
        """Ends of the support, ±∞ where it has none."""
        ...

    def log_smoothed(self, x: FloatArray, sigma: float) -> FloatArray:
        """ln of (q ∗ p_σ)(x), up to a constant that is common to the measures that are compared."""
        ...

    def conditional_mean(self, x: FloatArray, sigma: float) -> FloatArray:
        """E[X | X + σZ = x] under q."""
        ...


@dataclass(frozen=True)
class RatioFunction:
    """ℓ = ln(q₁∗p_σ) − ln(q₀∗p_σ).

    Attributes:
        first: q₁.
        second: q₀.
        sigma: σ > 0.
    """

    first: Measure
    second: Measure
    sigma: float

    def value(self, x: FloatArray) -> FloatArray:
        return self.first.log_smoothed(x, self.sigma) - self.second.log_smoothed(x, self.sigma)

    def slope_range(self, left: FloatArray, right: FloatArray) -> tuple[FloatArray, FloatArray]:
        first_left, first_right = (self.first.conditional_mean(x, self.sigma) for x in (left, right))
        second_left, second_right = (self.second.conditional_mean(x, self.sigma) for x in (left, right))
        # a hair of width for the rounding of the means
        slack = 1e-13 * (np.abs(first_left) + np.abs(first_right) + np.abs(second_left) + np.abs(second_right))
        variance = self.sigma**2
        return (first_left - second_right - slack) / variance, (first_right - second_left + slack) / variance

    def settled(self, x: float, side: int, level: float) -> bool:
        at = np.array([x])
        above = float(self.value(at)[0]) >= level
        first = float(self.first.conditional_mean(at, self.sigma)[0])
        second = float(self.second.conditional_mean(at, self.sigma)[0])
        # beyond x each mean lies between its value at x and the end of its support; the slope must lead away
        if side > 0:
            return first > self.second.support[1] if above else second > self.first.support[1]
        return first < self.second.support[0] if above else second < self.first.support[0]
