"""Unions of intervals on the line or on a circle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from noiseaug import validation
from noiseaug.errors import InvalidInputError
from noiseaug.numerics import (
    Crossings,
    FourierStep,
    RatioFunction,
    StepMeasure,
    find_all_crossings,
    find_crossings,
    margin_from_logs,
    tail_windows,
)
from noiseaug.regions.base import ProfileRegion, Region, closing_in, require_margins
from noiseaug.validation import FloatArray

__all__ = ["IntervalUnion", "level_sets"]

_WIDE = 0.6  # noise above this share of the circle's length is summed in harmonics, below it over images


@dataclass(frozen=True, eq=False)
class IntervalUnion(ProfileRegion):
    """A union of intervals, on the line or, with ``period``, on the circle [origin, origin + period).

    Attributes:
        intervals: sorted and disjoint, shape (k, 2); infinite ends allowed on the line. On the circle they lie in
            [origin, origin + period]; an arc across the origin is given as its two parts.
        period: length of the circle, or None for the line.
        origin: where the circle is cut open.
        proven: whether the intervals, if they came from a level set, are proven to be all (docs/math.md 2.6).
    """

    intervals: FloatArray
    period: float | None = None
    origin: float = 0.0
    proven: bool = True
    dim: int = field(default=1, init=False, repr=False)

    def __post_init__(self) -> None:
        bounds = np.asarray(self.intervals, dtype=float).reshape(-1, 2)
        if np.isnan(bounds).any():
            raise InvalidInputError("intervals hold NaN; expected pairs of numbers")
        if (bounds[:, 1] < bounds[:, 0]).any() or (bounds[1:, 0] < bounds[:-1, 1]).any():
            raise InvalidInputError("intervals overlap or are not sorted; expected lower ≤ upper and increasing order")
        if self.period is not None:
            validation.positive("period", self.period)
            inside = (bounds >= self.origin - 1e-9 * self.period) & (bounds <= self.origin + self.period * (1 + 1e-9))
            if not inside.all():
                raise InvalidInputError(
                    f"intervals leave the circle [{self.origin:g}, {self.origin + self.period:g}); move them inside"
                )
            bounds = np.clip(bounds, self.origin, self.origin + self.period)
        object.__setattr__(self, "intervals", bounds[bounds[:, 1] > bounds[:, 0]])

    def coordinate(self, x: ArrayLike) -> FloatArray:
        """x itself, on the circle reduced to [origin, origin + period)."""
        c = validation.points(x, 1)[:, 0]
        return c if self.period is None else self.origin + np.mod(c - self.origin, self.period)

    def profile(self) -> FloatArray:
        return self.intervals

    def same_coordinate(self, other: Region) -> bool:
        return isinstance(other, IntervalUnion) and (self.period, self.origin) == (other.period, other.origin)

    def _boundary(self) -> FloatArray:
        arcs = self.arcs
        if self.period is None:
            ends = arcs.ravel()
            return ends[np.isfinite(ends)]
        if self._is_trivial:
            return np.empty(0)
        ends = arcs.ravel()
        return np.sort(np.concatenate([ends - self.period, ends, ends + self.period]))

    def distance_coordinates(self, radius: float) -> FloatArray:
        places = super().distance_coordinates(radius)
        if self.period is None:
            return places
        return places[(places >= self.origin) & (places <= self.origin + self.period)]

    @cached_property
    def arcs(self) -> FloatArray:
        """The intervals with touching ones joined, on the circle across the cut as well (the last may pass it)."""
        bounds = self.intervals
        if len(bounds) > 1:
            apart = bounds[1:, 0] > bounds[:-1, 1]
            bounds = np.stack(
                [bounds[np.concatenate([[True], apart]), 0], bounds[np.concatenate([apart, [True]]), 1]], axis=1
            )
        if self.period is not None and len(bounds) > 1:
            top = self.origin + self.period
            if bounds[0, 0] == self.origin and bounds[-1, 1] == top:
                joined = [[bounds[-1, 0], top + bounds[0, 1] - self.origin]]
                bounds = np.concatenate([bounds[1:-1], joined])
        return bounds

    @cached_property
    def _is_trivial(self) -> bool:
        """Whether the region is empty or everything."""
        if len(self.arcs) == 0:
            return True
        low, high = self.arcs[0, 0], self.arcs[-1, 1]
        whole = np.isinf(low) and np.isinf(high) if self.period is None else high - low >= self.period
        return len(self.arcs) == 1 and bool(whole)

    def _trivial_margin(self) -> float:
        return np.inf if len(self.arcs) else -np.inf

    def complement(self) -> Self:
        gaps = _gaps(self.intervals)
        if self.period is not None:
            gaps = np.clip(gaps, self.origin, self.origin + self.period)
        return type(self)(gaps, self.period, self.origin, self.proven)

    def eroded(self, radius: float) -> Self:
        radius = validation.nonnegative("radius", radius)
        if self._is_trivial:
            return self
        arcs = self.arcs + np.array([radius, -radius])
        return self._from_arcs(arcs[arcs[:, 1] > arcs[:, 0]], self.proven)

    def _from_arcs(self, arcs: FloatArray, proven: bool) -> Self:
        """The region of arcs that may pass the cut once on either side."""
        if self.period is None:
            return type(self)(arcs, None, self.origin, proven)
        top = self.origin + self.period
        parts: list[tuple[float, float]] = []
        for low, high in arcs:
            turns = np.floor((low - self.origin) / self.period) * self.period
            low, high = low - turns, high - turns
            parts.append((low, min(high, top)))
            if high > top:
                parts.append((self.origin, high - self.period))
        return type(self)(np.array(sorted(parts)).reshape(-1, 2), self.period, self.origin, proven)

    def _measures(self, sigma: float) -> tuple[StepMeasure, StepMeasure]:
        """The set and its complement as measures on the line; a circle is unrolled as far as the noise reaches."""
        inside, outside = self.arcs, _gaps(self.arcs)
        if self.period is not None:
            # as far as a crossing's neighbours on the next turns reach: with fewer, some are found twice
            turns = 3 + int(np.ceil(10 * sigma / self.period))
            shifts = self.period * np.arange(-turns, turns + 1)
            inside = (self.arcs + shifts[:, None, None]).reshape(-1, 2)
            outside = np.stack([inside[:-1, 1], inside[1:, 0]], axis=1)
        return StepMeasure(inside), StepMeasure(outside)

    def margin_at(self, coordinate: ArrayLike, sigma: float) -> FloatArray:
        c = np.asarray(coordinate, dtype=float)
        if self._is_trivial:
            return np.full(c.shape, self._trivial_margin())
        if self.period is not None and sigma > _WIDE * self.period:
            series = FourierStep(self.arcs, self.period, sigma)
            wave = series.scale * series.value(c)
            return margin_from_logs(np.log(series.mean + wave), np.log(1 - series.mean - wave))
        inside, outside = self._measures(sigma)
        return margin_from_logs(inside.log_smoothed(c, sigma), outside.log_smoothed(c, sigma))

    def level_coordinates(self, sigma: float, margins: ArrayLike) -> FloatArray:
        """The levels and ends, and points that close in on each end and on each middle between two ends.

        In the middle of a piece or gap of length L the nearer end changes, and the margin turns within σ²/L.
        """
        passed, ends = super().level_coordinates(sigma, margins), self._boundary()
        if self._is_trivial or ends.size == 0:
            return passed
        span = float(ends[-1] - ends[0])
        middle, length = 0.5 * (ends[1:] + ends[:-1]), np.diff(ends)
        centres = np.concatenate([ends, middle])
        first = np.concatenate([np.full(ends.size, sigma), sigma * np.minimum(sigma / length, 1.0)])
        first = np.maximum(first, 1e-15 * (np.abs(centres) + span))
        # up to the next middle or end, and from the outermost ends far out
        around = np.concatenate([[span + sigma], 0.5 * length, [span + sigma]])
        last = np.concatenate([np.maximum(around[1:], around[:-1]), 0.5 * length])
        last[[0, ends.size - 1]] *= 4.0**9 if self.period is None else 1.0
        points = np.unique(np.concatenate(closing_in(centres, first, last)))
        if self.period is not None:
            points = points[(points > self.origin) & (points < self.origin + self.period)]
        return np.concatenate([passed, points])

    def superlevels(self, sigma: float, margins: ArrayLike) -> list[Self]:
        sigma, levels = validation.nonnegative("sigma", sigma), require_margins(margins)
        return level_sets([(self, sigma, float(level)) for level in levels])

    def _level_sets_of_waves(self, sigma: float, margins: FloatArray) -> list[Self]:
        """The level sets on a circle under wide noise."""
        low, high = self.origin, self.origin + (self.period or 0.0)
        series = FourierStep(self.arcs, high - low, sigma)
        crossings = find_crossings(series, series.level_of(special.ndtr(margins)), self._cells())
        return [self._from_crossings(c, low, high) for c in crossings]

    def _cells(self) -> FloatArray:
        """Borders of the first cells of a search on the circle."""
        return np.linspace(self.origin, self.origin + (self.period or 0.0), 2 + 4 * len(self.arcs))

    def _from_crossings(self, crossings: Crossings, low: float, high: float) -> Self:
        # variation diminishing: smoothing cannot create sign changes (on the circle the cut is not one)
        most = int(np.isfinite(self.arcs).sum())
        if crossings.points.size > most:
            raise ArithmeticError(f"{crossings.points.size} crossings found where at most {most} exist")
        return type(self)(crossings.intervals(low, high), self.period, self.origin, crossings.proven and self.proven)


def _gaps(intervals: FloatArray) -> FloatArray:
    """What sorted, disjoint intervals leave of the line."""
    gaps = np.concatenate([[-np.inf], intervals.ravel(), [np.inf]]).reshape(-1, 2)
    return gaps[gaps[:, 0] < gaps[:, 1]]


Union = TypeVar("Union", bound=IntervalUnion)


def level_sets(wanted: Sequence[tuple[Union, float, float]]) -> list[Union]:
    """``superlevels`` of many regions at many noise levels, searched together.

    Args:
        wanted: a region, a noise level σ ≥ 0 and a margin each.
    """
    result, searched = [region for region, _, _ in wanted], []
    waves: dict[tuple[int, float], list[int]] = {}
    for place, (region, sigma, margin) in enumerate(wanted):
        if sigma == 0 or region._is_trivial:
            continue
        if not np.isfinite(margin):
            nothing = type(region)(np.empty((0, 2)), region.period, region.origin)
            result[place] = nothing if margin > 0 else nothing.complement()
        elif region.period is not None and sigma > _WIDE * region.period:
            waves.setdefault((id(region), sigma), []).append(place)
        else:
            searched.append(place)
    for places in waves.values():
        region, sigma, _ = wanted[places[0]]
        margins = np.array([wanted[place][2] for place in places])
        for place, found in zip(places, region._level_sets_of_waves(sigma, margins), strict=True):
            result[place] = found
    for place, found in zip(searched, _search([wanted[place] for place in searched]), strict=True):
        result[place] = found
    return result


def _search(wanted: Sequence[tuple[Union, float, float]]) -> list[Union]:
    """The level sets of sets that are neither empty nor everything, by the ratio of the masses in and outside."""
    if not wanted:
        return []
    known: dict[tuple[int, float], int] = {}
    unit = np.array([known.setdefault((id(region), sigma), len(known)) for region, sigma, _ in wanted])
    measures = [region._measures(sigma) for region, sigma in {(id(r), s): (r, s) for r, s, _ in wanted}.values()]
    inside, outside = (_stacked([pair[k].pieces for pair in measures]) for k in (0, 1))
    sigmas, margins = (np.array([item[k] for item in wanted], dtype=float) for k in (1, 2))

    def members(which: np.ndarray) -> RatioFunction:
        mine = unit[which]
        return RatioFunction(StepMeasure(inside[mine]), StepMeasure(outside[mine]), sigmas[which])

    levels = special.log_ndtr(margins) - special.log_ndtr(-margins)
    borders = [region._cells() if region.period is not None else region._boundary() for region, _, _ in wanted]
    on_line = np.flatnonzero([region.period is None for region, _, _ in wanted])
    if on_line.size:
        spread = sigmas[on_line]
        first, last = (np.array([borders[place][end] for place in on_line]) for end in (0, -1))
        windows = tail_windows(
            lambda which: members(on_line[which]), levels[on_line], first - spread, last + spread, spread
        )
        for place, low, high in zip(on_line, *windows, strict=True):
            borders[place] = np.concatenate([[low], borders[place], [high]])
    result = []
    for (region, _, _), crossings in zip(wanted, find_all_crossings(members, levels, borders), strict=True):
        ends = (-np.inf, np.inf) if region.period is None else (region.origin, region.origin + region.period)
        result.append(region._from_crossings(crossings, *ends))
    return result


def _stacked(unions: list[FloatArray]) -> FloatArray:
    """Unions of intervals as one array, the shorter ones with empty intervals at their ends; shape (unions, k, 2)."""
    count = max(len(pieces) for pieces in unions)
    return np.stack([np.concatenate([pieces, np.full((count - len(pieces), 2), pieces[-1, 1])]) for pieces in unions])
