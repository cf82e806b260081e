"""What every region can do, and what the regions that reduce to one coordinate share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from noiseaug import validation
from noiseaug.errors import InvalidInputError
from noiseaug.validation import FloatArray

__all__ = ["ProfileRegion", "Region"]

_BLOCK_FLOATS = 1 << 20  # noisy coordinates held at a time: 8 MiB


class Region(ABC):
    """A subset A of R^d, read as the classifier that predicts 1 on A and 0 elsewhere.

    Every region is closed under the three operations that randomized smoothing needs: thresholding its Gaussian
    mass (``superlevels``), shrinking by a distance (``eroded``) and taking the complement.
    """

    dim: int  # dimension d of the space
    proven: bool = True
    """Whether the boundary is known up to rounding; False after a quadrature, or where a level was only touched."""

    @abstractmethod
    def contains(self, x: ArrayLike) -> np.ndarray:
        """Whether each point lies in the region; x of shape (n, dim), result of shape (n,)."""

    @abstractmethod
    def margin(self, x: ArrayLike, sigma: float) -> FloatArray:
        """Φ⁻¹(P(x + σZ ∈ A)) for each point; ±∞ at σ = 0.

        σ times the margin is 1-Lipschitz in x (Salman et al. 2019, Lemma 2); its size is the certified ℓ₂ radius.

        Args:
            x: points, shape (n, dim).
            sigma: noise level σ ≥ 0 in units of x.
        """

    @abstractmethod
    def superlevels(self, sigma: float, margins: ArrayLike) -> list[Self]:
        """The regions {x : margin(x, σ) ≥ m}, one for each m in ``margins``."""

    @abstractmethod
    def eroded(self, radius: float) -> Self:
        """The points whose ball of this radius lies in the region."""

    @abstractmethod
    def complement(self) -> Self:
        """R^d without the region (the boundary is not kept track of)."""

    @abstractmethod
    def distance_to_boundary(self, x: ArrayLike) -> FloatArray:
        """Distance of each point to the region's boundary, ∞ where there is none; shape (n,)."""

    def smoothed(self, sigma: float) -> Self:
        """The points where at least half of the noisy copies fall into the region: {1_A ∗ p_σ ≥ ½}."""
        return self.superlevels(sigma, [0.0])[0]

    def votes(self, x: ArrayLike, sigma: float, count: int, rng: np.random.Generator) -> np.ndarray:
        """How many of ``count`` noisy copies of each point fall into the region, integers of shape (n,)."""
        x = validation.points(x, self.dim)
        out = np.zeros(len(x), dtype=np.int64)
        rows = max(1, min(count, _BLOCK_FLOATS // self.dim))
        for i, point in enumerate(x):
            for start in range(0, count, rows):
                noise = rng.standard_normal((min(rows, count - start), self.dim))
                out[i] += np.count_nonzero(self.contains(point + sigma * noise))
        return out

    def gaussian_mass(self, x: ArrayLike, sigma: float) -> FloatArray:
        """P(x + σZ ∈ A) for each point, shape (n,)."""
        return special.ndtr(self.margin(x, sigma))


class ProfileRegion(Region):
    """A region that is a union of intervals in one coordinate c(x) with |∇c| = 1.

    The signed distance to a hyperplane, the distance from a centre, or x itself. Two regions of one kind in the same
    coordinate can be compared interval by interval, which is what makes risks exact.
    """

    @abstractmethod
    def coordinate(self, x: ArrayLike) -> FloatArray:
        """The coordinate of each point, shape (n,)."""

    @abstractmethod
    def profile(self) -> FloatArray:
        """The intervals of the coordinate that make up the region, sorted and disjoint, shape (k, 2)."""

    @abstractmethod
    def margin_at(self, coordinate: ArrayLike, sigma: float) -> FloatArray:
        """The margin at points with the given coordinate; σ > 0."""

    @abstractmethod
    def same_coordinate(self, other: Region) -> bool:
        """Whether the other region is a union of intervals in the same coordinate."""

    def passing_coordinates(self, sigma: float, margins: ArrayLike) -> tuple[FloatArray, bool]:
        """Coordinates at which the margin passes any of the levels, flat, and whether these are surely all."""
        levels = self.superlevels(sigma, margins)
        ends = np.concatenate([np.empty(0), *(level.profile().ravel() for level in levels)])
        return ends[np.isfinite(ends)], all(level.proven for level in levels)

    def level_coordinates(self, sigma: float, margins: ArrayLike) -> FloatArray:
        """Coordinates at which the margin passes any of the levels or turns, with the region's own ends; flat.

        Seen from the centre, 0, where an end at R is equally far on all sides, the margin turns within σ²/R.
        """
        ends = np.concatenate(
            [self.profile().ravel(), *(r.profile().ravel() for r in self.superlevels(sigma, margins))]
        )
        far = float(np.max(np.abs(self._boundary()), initial=0.0))
        if far > 0:
            first = np.maximum(sigma * min(sigma / far, 1.0), 1e-15 * far)
            ends = np.concatenate([ends, *closing_in(np.zeros(1), np.array([first]), np.array([far]))])
        return ends[np.isfinite(ends)]

    def contains(self, x: ArrayLike) -> np.ndarray:
        return in_intervals(self.coordinate(x), self.profile())

    def margin(self, x: ArrayLike, sigma: float) -> FloatArray:
        return self.margin_of(self.coordinate(x), sigma)

    def margin_of(self, coordinate: FloatArray, sigma: float) -> FloatArray:
        """``margin`` at points with the given coordinate, at σ = 0 too."""
        sigma = validation.nonnegative("sigma", sigma)
        if sigma == 0:
            return np.where(in_intervals(coordinate, self.profile()), np.inf, -np.inf)
        return self.margin_at(coordinate, sigma)

    def distance_to_boundary(self, x: ArrayLike) -> FloatArray:
        return self.distance_of(self.coordinate(x))

    def distance_coordinates(self, radius: float) -> FloatArray:
        """Coordinates outside of which the distance to the boundary does not pass the radius; flat."""
        ends = self._boundary()
        return np.concatenate([ends - radius, ends, ends + radius])

    def distance_of(self, coordinate: FloatArray) -> FloatArray:
        """``distance_to_boundary`` of points with the given coordinate."""
        c, ends = coordinate, self._boundary()
        if ends.size == 0:
            return np.full(c.shape, np.inf)
        # the nearest end is one of the two around the coordinate
        place = np.searchsorted(ends, c)
        left, right = ends[np.maximum(place - 1, 0)], ends[np.minimum(place, ends.size - 1)]
        return np.minimum(np.abs(c - left), np.abs(c - right))

    def _boundary(self) -> FloatArray:
        ends = self.profile().ravel()
        return ends[np.isfinite(ends)]


def in_intervals(c: FloatArray, intervals: FloatArray) -> np.ndarray:
    """Whether each number lies in one of the sorted, disjoint intervals (closed ends)."""
    if len(intervals) == 0:
        return np.zeros(np.shape(c), dtype=bool)
    place = np.searchsorted(intervals[:, 0], c, side="right") - 1
    return (place >= 0) & (c <= intervals[np.maximum(place, 0), 1])


def closing_in(centres: FloatArray, first: FloatArray, last: FloatArray) -> list[FloatArray]:
    """Each centre, and points on both sides of it at distances that grow fourfold from ``first`` to ``last``."""
    steps = int(np.ceil(np.log(max(1.0, float(np.max(last / first)))) / np.log(4.0))) + 1
    offsets = first[:, None] * 4.0 ** np.arange(steps)
    offsets[offsets > last[:, None]] = 0.0
    return [(centres[:, None] - offsets).ravel(), centres, (centres[:, None] + offsets).ravel()]


def combine_intervals(first: FloatArray, second: FloatArray, *, keep: Sequence[tuple[bool, bool]]) -> FloatArray:
    """The parts of the line where (in first, in second) is one of ``keep``, as sorted intervals; shape (k, 2)."""
    ends = np.unique(np.concatenate([[-np.inf, np.inf], first.ravel(), second.ravel()]))
    if ends.size < 2:
        return np.empty((0, 2))
    left, right = ends[:-1], ends[1:]
    with np.errstate(invalid="ignore"):
        middle = 0.5 * (left + right)
    middle = np.where(np.isneginf(left), right - 1.0, np.where(np.isposinf(right), left + 1.0, middle))
    middle = np.where(np.isneginf(left) & np.isposinf(right), 0.0, middle)
    in_first, in_second = in_intervals(middle, first), in_intervals(middle, second)
    chosen = np.zeros(left.shape, dtype=bool)
    for a, b in keep:
        chosen |= (in_first == a) & (in_second == b)
    return np.stack([left[chosen], right[chosen]], axis=1)


def require_margins(margins: ArrayLike) -> FloatArray:
    """Levels for ``superlevels``: a flat array without NaN."""
    result = np.atleast_1d(np.asarray(margins, dtype=float))
    if result.ndim != 1 or np.isnan(result).any():
        raise InvalidInputError(f"margins are {margins!r}; expected a flat sequence of numbers")
    return result
