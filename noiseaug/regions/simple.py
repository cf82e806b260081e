"""Half-spaces and balls."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from noiseaug import validation
from noiseaug.errors import InvalidInputError
from noiseaug.numerics import bracketed_roots, norm_margin, norm_margin_curve
from noiseaug.regions.base import ProfileRegion, Region, require_margins
from noiseaug.validation import FloatArray

__all__ = ["Ball", "HalfSpace", "level_distances"]

_LAST_STEP = 3e-6  # relative size of a step after which no other is needed


@dataclass(frozen=True, eq=False)
class HalfSpace(ProfileRegion):
    """{x : w·x ≥ b}, a fixed point of smoothing (docs/math.md 2.1).

    Attributes:
        normal: w, shape (dim,), not zero.
        offset: b.
    """

    normal: FloatArray
    offset: float
    dim: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        normal = validation.array("normal", self.normal, 1)
        if not normal.any():
            raise InvalidInputError("normal is zero; a half-space needs a direction")
        object.__setattr__(self, "normal", normal)
        if np.isnan(float(self.offset)):
            raise InvalidInputError("offset is NaN; expected a number")
        object.__setattr__(self, "offset", float(self.offset))
        object.__setattr__(self, "dim", normal.size)

    @cached_property
    def length(self) -> float:
        """|w|; squares of its coordinates may be too small or too large for a double, so a power of 2 is taken out."""
        scale = np.exp2(np.frexp(np.abs(self.normal).max())[1] - 1.0)
        return float(scale * np.linalg.norm(self.normal / scale))

    def coordinate(self, x: ArrayLike) -> FloatArray:
        """Signed distance to the hyperplane."""
        return (validation.points(x, self.dim) @ self.normal - self.offset) / self.length

    def profile(self) -> FloatArray:
        return np.array([[0.0, np.inf]])

    def margin_at(self, coordinate: ArrayLike, sigma: float) -> FloatArray:
        return np.asarray(coordinate, dtype=float) / sigma

    def passing_coordinates(self, sigma: float, margins: ArrayLike) -> tuple[FloatArray, bool]:
        return sigma * require_margins(margins), True

    def level_coordinates(self, sigma: float, margins: ArrayLike) -> FloatArray:
        # the levels of a half-space are other half-spaces, each with a coordinate of its own
        return np.append(sigma * require_margins(margins), 0.0)

    def same_coordinate(self, other: Region) -> bool:
        # the coordinate is measured from the boundary, so only equal half-spaces share it
        return (
            isinstance(other, HalfSpace) and np.array_equal(self.normal, other.normal) and self.offset == other.offset
        )

    def shifted(self, distance: float) -> Self:
        """The half-space {signed distance ≥ ``distance``}."""
        return type(self)(self.normal, self.offset + distance * self.length)

    def superlevels(self, sigma: float, margins: ArrayLike) -> list[Self]:
        sigma = validation.nonnegative("sigma", sigma)
        return [self.shifted(sigma * m) for m in require_margins(margins)]

    def eroded(self, radius: float) -> Self:
        return self.shifted(validation.nonnegative("radius", radius))

    def complement(self) -> Self:
        return type(self)(-self.normal, -self.offset)


@dataclass(frozen=True)
class Ball(ProfileRegion):
    """{|x| ≤ radius} in R^dim, or with ``outside`` the rest of the space; closed under smoothing (docs/math.md 2.3).

    Attributes:
        dim: dimension.
        radius: radius; 0 or less is the empty ball, ∞ the whole space.
        outside: whether the region is what lies outside of the ball.
        proven: False where the radius comes from a quadrature.
    """

    dim: int
    radius: float
    outside: bool = False
    proven: bool = field(default=True, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", validation.integer("dim", self.dim))
        radius = float(self.radius)
        if np.isnan(radius):
            raise InvalidInputError("radius is NaN; expected a number")
        object.__setattr__(self, "radius", max(radius, 0.0))

    def coordinate(self, x: ArrayLike) -> FloatArray:
        """Distance from the origin."""
        return np.linalg.norm(validation.points(x, self.dim), axis=1)

    def profile(self) -> FloatArray:
        if self.radius == 0:
            return np.array([[0.0, np.inf]]) if self.outside else np.empty((0, 2))
        if np.isinf(self.radius):
            return np.empty((0, 2)) if self.outside else np.array([[0.0, np.inf]])
        return np.array([[self.radius, np.inf]]) if self.outside else np.array([[0.0, self.radius]])

    def _boundary(self) -> FloatArray:
        return np.array([self.radius]) if 0 < self.radius < np.inf else np.empty(0)

    def margin_at(self, coordinate: ArrayLike, sigma: float) -> FloatArray:
        inside = norm_margin(self.dim, coordinate, self.radius, sigma)
        return -inside if self.outside else inside

    def same_coordinate(self, other: Region) -> bool:
        return isinstance(other, Ball) and other.dim == self.dim

    def passing_coordinates(self, sigma: float, margins: ArrayLike) -> tuple[FloatArray, bool]:
        # the margin is monotone in the distance; at the centre it may come within rounding of a level
        passed, _ = super().passing_coordinates(sigma, margins)
        return np.append(passed, 0.0), True

    def superlevels(self, sigma: float, margins: ArrayLike) -> list[Self]:
        sigma, levels = validation.nonnegative("sigma", sigma), require_margins(margins)
        if sigma == 0:
            return [self for _ in levels]
        distances = level_distances(self.dim, self.radius, sigma, -levels if self.outside else levels)
        return [type(self)(self.dim, t, self.outside, self.proven) for t in distances]

    def eroded(self, radius: float) -> Self:
        radius = validation.nonnegative("radius", radius)
        if self.radius == 0 or np.isinf(self.radius):
            return self
        return type(self)(self.dim, self.radius + (radius if self.outside else -radius), self.outside, self.proven)

    def complement(self) -> Self:
        return type(self)(self.dim, self.radius, not self.outside, self.proven)


def level_distances(dim: int, radii: ArrayLike, sigmas: ArrayLike, margins: ArrayLike) -> FloatArray:
    """The distances at which the margins of balls equal each level: 0 where even the centre is below it.

    Args:
        dim: dimension.
        radii: radii ≥ 0 of the balls.
        sigmas: noise levels σ ≥ 0; where σ is 0 the distance is the radius.
        margins: levels. All three broadcast; the margins may have further axes behind.
    """
    radii, sigmas = np.broadcast_arrays(np.asarray(radii, float), np.asarray(sigmas, float))
    centre, smooth = np.empty(radii.shape), (radii > 0) & np.isfinite(radii) & (sigmas > 0)
    centre[smooth] = norm_margin(dim, 0.0, radii[smooth], sigmas[smooth])
    radii, sigmas, centre, smooth, levels = np.broadcast_arrays(
        radii, sigmas, centre, smooth, np.asarray(margins, float)
    )
    # levels of ±∞, the empty ball and the whole space
    everywhere = np.isneginf(levels) | (np.isposinf(radii) & ~np.isposinf(levels))
    result = np.where(sigmas > 0, np.where(everywhere, np.inf, 0.0), radii)
    todo = smooth & np.isfinite(levels)
    todo[todo] = levels[todo] < centre[todo]
    if not todo.any():
        return result
    level, radius, sigma, centre = levels[todo], radii[todo], sigmas[todo], centre[todo]
    # σ·margin is 1-Lipschitz and the ball lies in a half-space, so the root lies between these two.
    low, high = sigma * (centre - level), radius - sigma * level
    high = np.maximum(high, low)
    if dim == 1:
        result[todo] = bracketed_roots(
            lambda t, m, rho, s: norm_margin(1, t, rho, s) - m, low, high, args=(level, radius, sigma)
        )
    else:
        result[todo] = _halley(dim, radius, sigma, level, low, high)
    return result


def _halley(
    dim: int, radius: FloatArray, sigma: FloatArray, level: FloatArray, low: FloatArray, high: FloatArray
) -> FloatArray:
    """Halley's method on the margin, which is concave and nearly linear in t², kept inside its bracket."""
    low, high = low.copy(), high.copy()
    # |x+σZ|² is close to normal around |x|² + dσ², which gives a start that is good in any dimension
    spread = radius**2 - (dim - 1) * sigma**2
    width = sigma * np.sqrt(2 * dim * sigma**2 + 4 * np.maximum(spread, 0.0))
    t = np.sqrt(np.maximum(spread - level * width, 0.0))
    t = np.where((t > low) & (t < high), t, 0.5 * (low + high))
    active = np.arange(t.size)
    for _ in range(200):
        here, a, b = t[active], low[active], high[active]
        margin, slope, bend = norm_margin_curve(dim, here, radius[active], sigma[active])
        gap = margin - level[active]
        a, b = np.where(gap >= 0, here, a), np.where(gap <= 0, here, b)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            # in t², in which the margin has a slope at the centre too
            newton = gap / slope
            step = np.sqrt(np.maximum(here**2 - newton / np.maximum(1 - 0.5 * newton * bend, 0.5), 0.0))
        change = np.abs(step - here)
        # a step of this size is rounding of the margin, and may point out of the bracket
        rounding = (gap == 0) | (change <= 1e-13 * here)
        inside = (step > a) & (step < b)
        # the error of a step is about the cube of its size
        close = inside & (change <= _LAST_STEP * here)
        step = np.where(inside, step, 0.5 * (a + b))
        t[active], low[active], high[active] = np.where(rounding, here, step), a, b
        active = active[~(rounding | close | (b - a <= 4e-15 * b))]
        if active.size == 0:
            break
    return t
