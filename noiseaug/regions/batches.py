"""Half-spaces and balls by the hundred thousand: each is known by one end in its coordinate, so arrays of ends do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Self

import numpy as np

from noiseaug.numerics import norm_margin
from noiseaug.regions.base import ProfileRegion, Region
from noiseaug.regions.simple import Ball, HalfSpace, level_distances
from noiseaug.validation import FloatArray

__all__ = ["Ends", "RegionBatch", "batch_of"]

Ends = tuple[FloatArray | float, FloatArray | float]
"""Lower and upper ends of intervals of the coordinate, which broadcast."""


class RegionBatch(ABC):
    """Regions of one kind with one end each. What follows from them is an array whose first axis is theirs.

    Attributes:
        regions: the regions, at least one.
        proven: ``proven`` of each region.
    """

    def __init__(self, regions: Sequence[ProfileRegion]) -> None:
        self.regions = regions
        self.proven = np.array([region.proven for region in regions])

    def __getitem__(self, part: slice) -> Self:
        """A part of the batch."""
        return type(self)(self.regions[part])

    @abstractmethod
    def level_ends(self, sigmas: FloatArray, margins: FloatArray) -> FloatArray:
        """The ends of ``superlevels`` of each region, which are regions of the same kind.

        Args:
            sigmas: noise levels σ ≥ 0, shape (s,).
            margins: finite levels for each of them, shape (s, m).

        Returns:
            Shape (regions, s, m), or 1 instead of all regions where the ends are the same for each.
        """

    @abstractmethod
    def end_of(self, region: Region) -> float | None:
        """The end of another region in the coordinate of these, None where they do not share one."""

    @abstractmethod
    def margins_at(self, coordinate: float, sigmas: FloatArray) -> FloatArray:
        """The margins at a coordinate for noise levels σ > 0 of shape (s,); shape (regions or 1, s)."""

    @abstractmethod
    def inside(self, ends: FloatArray) -> Ends:
        """The coordinates that make up the regions with these ends."""

    @abstractmethod
    def outside(self, ends: FloatArray) -> Ends:
        """The coordinates that make up the complements of these regions."""

    @abstractmethod
    def moved(self, ends: FloatArray, distances: FloatArray) -> FloatArray:
        """The ends after regions have shrunk by the distances, or grown by those below 0."""


class HalfSpaces(RegionBatch):
    """Each in its own coordinate, the signed distance to its boundary."""

    def level_ends(self, sigmas: FloatArray, margins: FloatArray) -> FloatArray:
        return (sigmas[:, None] * margins)[None]

    def end_of(self, region: Region) -> None:
        return None

    def margins_at(self, coordinate: float, sigmas: FloatArray) -> FloatArray:
        return (coordinate / sigmas)[None]

    def inside(self, ends: FloatArray) -> Ends:
        return ends, np.inf

    def outside(self, ends: FloatArray) -> Ends:
        return -np.inf, ends

    def moved(self, ends: FloatArray, distances: FloatArray) -> FloatArray:
        return ends + distances


class Balls(RegionBatch):
    """Balls around the origin in one dimension; an end is the radius, 0 for the empty ball, ∞ for the whole space."""

    def level_ends(self, sigmas: FloatArray, margins: FloatArray) -> FloatArray:
        return level_distances(self.regions[0].dim, self._radii[:, None, None], sigmas[:, None], margins)

    @cached_property
    def _radii(self) -> FloatArray:
        return np.array([region.radius for region in self.regions if isinstance(region, Ball)])

    def end_of(self, region: Region) -> float | None:
        shared = isinstance(region, Ball) and region.dim == self.regions[0].dim and not region.outside
        return region.radius if shared and isinstance(region, Ball) else None

    def margins_at(self, coordinate: float, sigmas: FloatArray) -> FloatArray:
        return norm_margin(self.regions[0].dim, coordinate, self._radii[:, None], sigmas)

    def inside(self, ends: FloatArray) -> Ends:
        return 0.0, ends

    def outside(self, ends: FloatArray) -> Ends:
        return ends, np.inf

    def moved(self, ends: FloatArray, distances: FloatArray) -> FloatArray:
        return np.where((ends == 0) | np.isinf(ends), ends, np.maximum(ends - distances, 0.0))


def batch_of(regions: Sequence[Region]) -> RegionBatch | None:
    """The regions as a batch, or None where they are of other kinds, or of several."""
    first = regions[0] if regions else None
    if isinstance(first, HalfSpace) and all(isinstance(region, HalfSpace) for region in regions):
        return HalfSpaces([region for region in regions if isinstance(region, HalfSpace)])
    balls = [region for region in regions if isinstance(region, Ball) and not region.outside]
    if balls and len(balls) == len(regions) and len({ball.dim for ball in balls}) == 1:
        return Balls(balls)
    return None
