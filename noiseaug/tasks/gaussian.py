"""Two Gaussians with a common covariance: training noise is a ridge (docs/math.md 2.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from noiseaug import validation
from noiseaug.errors import InvalidInputError, NoClosedFormError
from noiseaug.numerics import bracketed_roots, log_normal_interval, panel_nodes
from noiseaug.regions import HalfSpace, ProfileRegion, Region
from noiseaug.tasks.base import CoordinateSampler, CoordinateTask
from noiseaug.tasks.laws import MixtureLaw
from noiseaug.validation import FloatArray

__all__ = ["GaussianPair"]

_LEAST_DISTANCE = 1e-290  # of the means, so that the distance of a boundary is finite


@dataclass(frozen=True, eq=False)
class GaussianPair(CoordinateTask):
    """X given Y=y is N(mean_y, covariance).

    The augmented rule is the half-space with normal (Σ + α²I)⁻¹(μ₁ − μ₀); smoothing leaves it as it is, so β plays no
    part. The convolved rule is the Bayes rule for every α: h is a logistic function of an affine one, and symmetric
    noise keeps its ½ level where it is.

    Attributes:
        mean_1: mean of class 1, shape (dim,).
        mean_0: mean of class 0, shape (dim,).
        covariance: Σ, positive definite, as a matrix (dim, dim), as its diagonal (dim,) or as a number (isotropic).
        prior: P(Y=1).
    """

    mean_1: FloatArray
    mean_0: FloatArray
    covariance: FloatArray
    prior: float = 0.5
    dim: int = field(init=False, repr=False)
    rules: ClassVar[tuple[str, ...]] = ("augmented", "convolved")

    def __post_init__(self) -> None:
        mean_1, mean_0 = (validation.array(name, getattr(self, name), 1) for name in ("mean_1", "mean_0"))
        if mean_1.size == 0 or mean_1.shape != mean_0.shape:
            raise InvalidInputError(f"mean_1 and mean_0 have shapes {mean_1.shape} and {mean_0.shape}; expected one")
        if np.array_equal(mean_1, mean_0):
            raise InvalidInputError("mean_1 equals mean_0; expected two different means")
        apart = float(np.abs(mean_1 - mean_0).max())
        if apart < _LEAST_DISTANCE:
            raise InvalidInputError(f"mean_1 and mean_0 are {apart:g} apart; expected at least {_LEAST_DISTANCE:g}")
        covariance = validation.array("covariance", self.covariance, np.ndim(self.covariance))
        if covariance.ndim == 0:
            covariance = np.full(mean_1.size, validation.positive("covariance", float(covariance)))
        covariance = validation.array("covariance", covariance, 1 if covariance.ndim == 1 else 2)
        if covariance.shape not in {(mean_1.size,), (mean_1.size, mean_1.size)}:
            raise InvalidInputError(f"covariance has shape {covariance.shape}; expected ({mean_1.size},) or its square")
        if covariance.ndim == 2:
            scale = np.sqrt(np.abs(np.outer(np.diag(covariance), np.diag(covariance))))
            if (np.abs(covariance - covariance.T) > 1e-10 * scale).any():
                raise InvalidInputError("covariance is not symmetric; expected a symmetric positive definite matrix")
            covariance = 0.5 * (covariance + covariance.T)
        for name, value in (("mean_1", mean_1), ("mean_0", mean_0), ("covariance", covariance), ("dim", mean_1.size)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "prior", validation.probability("prior", self.prior))
        smallest = float(self._spectrum[0].min())
        if smallest <= 0:
            raise InvalidInputError(f"covariance is not positive definite: its smallest eigenvalue is {smallest:.3g}")

    @cached_property
    def _spectrum(self) -> tuple[FloatArray, FloatArray | None]:
        """Eigenvalues of Σ and its eigenvectors, None where it is diagonal."""
        if self.covariance.ndim == 1:
            return self.covariance, None
        values, vectors = np.linalg.eigh(self.covariance)
        return values, vectors

    def _apply(self, eigenvalue_map: FloatArray, v: FloatArray) -> FloatArray:
        """V diag(map) Vᵀ v for vectors in the last axis of v."""
        _, vectors = self._spectrum
        return v * eigenvalue_map if vectors is None else (v @ vectors * eigenvalue_map) @ vectors.T

    def sample(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, np.ndarray]:
        y = (rng.random(n) < self.prior).astype(int)
        noise = self.noise(n, rng)
        noise += np.stack([self.mean_0, self.mean_1])[y]
        return noise, y

    def noise(self, n: int, rng: np.random.Generator) -> FloatArray:
        """n independent draws of X less the mean of its class, shape (n, dim)."""
        return self._apply(np.sqrt(self._spectrum[0]), rng.standard_normal((n, self.dim)))

    def covariance_times(self, v: FloatArray) -> FloatArray:
        """Σv for vectors in the last axis of v."""
        return self._apply(self._spectrum[0], v)

    def log_density(self, x: ArrayLike, label: int, noise_sigma: float = 0.0) -> FloatArray:
        values, vectors = self._spectrum
        shifted = validation.points(x, self.dim) - (self.mean_1 if label else self.mean_0)
        if vectors is not None:
            shifted = shifted @ vectors
        total = values + noise_sigma**2
        return -0.5 * np.sum(shifted**2 / total + np.log(2 * np.pi * total), axis=1)

    def augmented_region(self, train_sigma: float) -> HalfSpace:
        variance = validation.nonnegative("train_sigma", train_sigma) ** 2
        normal = self._apply(1 / (self._spectrum[0] + variance), self.mean_1 - self.mean_0)
        middle = 0.5 * (self.mean_1 + self.mean_0)
        return HalfSpace(normal, float(normal @ middle - special.logit(self.prior)))

    def convolved_region(self, train_sigma: float) -> HalfSpace:
        validation.nonnegative("train_sigma", train_sigma)
        return self.augmented_region(0.0)

    def noised(self, sigma: float) -> GaussianPair:
        variance = validation.nonnegative("sigma", sigma) ** 2
        covariance = self.covariance + (variance if self.covariance.ndim == 1 else variance * np.eye(self.dim))
        return GaussianPair(self.mean_1, self.mean_0, covariance, self.prior)

    def _spread(self, directions: FloatArray) -> FloatArray:
        """Σ^½ v for unit vectors in the last axis, whose length is the standard deviation along v."""
        return self._apply(np.sqrt(self._spectrum[0]), directions)

    def law(self, label: int, region: ProfileRegion) -> MixtureLaw:
        return MixtureLaw(np.ones(1), *self._signed_distance(label, [region]))

    def laws(self, label: int, regions: Sequence[ProfileRegion]) -> MixtureLaw:
        # axes behind that of the regions: two of the ends, and that of the components
        means, stds = (values[:, None, None, None] for values in self._signed_distance(label, regions))
        return MixtureLaw(np.ones(1), means, stds)

    def _signed_distance(self, label: int, regions: Sequence[ProfileRegion]) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of the signed distance to each half-space, each of shape (regions,)."""
        halves = [region for region in regions if isinstance(region, HalfSpace)]
        if len(halves) < len(regions):
            kind = next(type(region).__name__ for region in regions if not isinstance(region, HalfSpace))
            raise NoClosedFormError(f"{kind} has no known law under GaussianPair; half-spaces have")
        for half in halves:
            validation.points(self.mean_1[None], half.dim)
        normals, offsets = np.stack([half.normal for half in halves]), np.array([half.offset for half in halves])
        lengths, mean = np.array([half.length for half in halves]), self.mean_1 if label else self.mean_0
        # sums row by row, so that a region has the same law among others as alone
        means = (np.sum(normals * mean, axis=1) - offsets) / lengths
        return means, np.linalg.norm(self._spread(normals / lengths[:, None]), axis=1)

    def coordinate_sampler(self, region: ProfileRegion) -> CoordinateSampler:
        """The signed distances to two hyperplanes are jointly normal: two normal numbers a draw, in any dimension."""
        bayes = self.augmented_region(0.0)
        (means_0, stds), (means_1, _) = (self._signed_distance(label, [region, bayes]) for label in (0, 1))
        assert isinstance(region, HalfSpace)
        means, bayes_means = np.stack([means_0, means_1], axis=1)
        std, bayes_std = (float(value) for value in stds)
        u, v = (self._spread(half.normal / half.length) / value for half, value in ((region, std), (bayes, bayes_std)))
        cosine, sine = _angle(u, v)

        def draw(n: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray, np.ndarray]:
            y = (rng.random(n) < self.prior).astype(int)
            # the first number is the same for all regions, so that equal seeds give common random numbers
            first, second = rng.standard_normal(n), rng.standard_normal(n)
            return means[y] + std * (cosine * first + sine * second), bayes_means[y] + bayes_std * first, y

        return draw

    def regression_at(self, bayes_coordinate: FloatArray) -> FloatArray:
        # the log-odds are w·x − b of the Bayes half-space
        return special.expit(self.augmented_region(0.0).length * bayes_coordinate)

    def _difference_mass(self, label: int, first: Region, second: Region, keep: list[tuple[bool, bool]]) -> float:
        """P(X in exactly the chosen one of two half-spaces), by Owen's T: the sum of two wedges.

        Owen 1956: for standard normals U, V with correlation ρ,
        P(U ≥ −h, V < −k) + P(U < −h, V ≥ −k) = 2T(h, a_h) + 2T(k, a_k) + [hk < 0], a_h = (k/h − ρ)/√(1 − ρ²).
        """
        if not isinstance(first, HalfSpace) or not isinstance(second, HalfSpace):
            raise NoClosedFormError("GaussianPair compares half-spaces only")
        law_1, law_2 = self.law(label, first), self.law(label, second)
        h, k = float(law_1.means[0] / law_1.stds[0]), float(law_2.means[0] / law_2.stds[0])
        u, v = (
            self._spread(half.normal / half.length) / law.stds[0] for half, law in ((first, law_1), (second, law_2))
        )
        both = _symmetric_difference(h, k, 0.5 * float(np.sum((u - v) ** 2)))
        if len(keep) == 2:
            return both
        # P(A only) − P(B only) = P(A) − P(B) = Φ(h) − Φ(k)
        gap = float(special.ndtr(h) - special.ndtr(k)) if h < 0 else float(special.ndtr(-k) - special.ndtr(-h))
        return max(0.5 * (both + gap if keep == [(True, False)] else both - gap), 0.0)

    def closed_acr(self, region: Region) -> float:
        """Σ_y P(y)[m Φ(m/v) + v φ(m/v)]: the mean positive part of the signed distance (docs/math.md 2.2)."""
        if not isinstance(region, HalfSpace):
            raise NoClosedFormError(f"{type(region).__name__} has no known law under GaussianPair; half-spaces have")
        total = 0.0
        for label, share, sign in ((1, self.prior, 1.0), (0, 1 - self.prior, -1.0)):
            law = self.law(label, region)
            std = float(law.stds[0])
            z = sign * float(law.means[0]) / std
            bell = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
            if z >= 0:
                part = z * special.ndtr(z) + bell
            else:
                # φ(z)(1 − |z| M(|z|)), where M = Φ(−|z|)/φ(z); far out 1 − tM(t) ≈ 1/t² − 3/t⁴
                t = -z
                far = (1 / t) ** 2  # which t itself, squared, may be too large for
                rest = 1 - t * np.sqrt(np.pi / 2) * special.erfcx(t / np.sqrt(2)) if t < 30 else far - 3 * far**2
                part = bell * rest
            total += share * std * part
        return float(total)

    def reach(self) -> float:
        far = max(float(np.linalg.norm(self.mean_1)), float(np.linalg.norm(self.mean_0)))
        return far + float(np.sqrt(self._spectrum[0].max())) * (np.sqrt(self.dim) + 10)

    def optimal_train_sigma(self, radius: float) -> float:
        """The training noise α(r) after which no classifier at all has a larger certified accuracy at ``radius``.

        α(r) = √λ where λ|(Σ + λI)⁻¹δ| = r, δ = (μ₁ − μ₀)/2, whatever the prior and the smoothing level (docs/math.md
        2.2). The left side rises from 0 to |δ|, so the root is the only one. Other levels may do as well: with equal
        priors and isotropic Σ all do.

        Args:
            radius: r ≥ 0 in input units.

        Returns:
            α(r) in input units; 0 at r = 0 and ∞ for r ≥ |δ|, where no finite level is best.
        """
        radius = validation.nonnegative("radius", radius)
        values, vectors = self._spectrum
        delta = 0.5 * (self.mean_1 - self.mean_0)
        squares = (delta if vectors is None else delta @ vectors) ** 2
        length = float(np.sqrt(squares.sum()))
        if radius == 0:
            return 0.0
        if radius >= length:
            return np.inf

        def excess(log_ridge: FloatArray) -> FloatArray:
            shrink = special.expit(np.asarray(log_ridge)[..., None] - np.log(values))  # λ/(λ + eigenvalue)
            return np.sqrt(np.sum(squares * shrink**2, axis=-1)) - radius

        # with every eigenvalue at the smallest, or the largest, the root is in closed form
        odds = np.log(radius / (length - radius))
        low, high = np.log(values.min()) + odds, np.log(values.max()) + odds
        root = bracketed_roots(excess, low - 1e-9 * abs(low) - 1e-9, high + 1e-9 * abs(high) + 1e-9)
        return float(np.exp(0.5 * root[0]))


def _angle(u: FloatArray, v: FloatArray) -> tuple[float, float]:
    """Cosine and sine of the angle between two unit vectors, through 1 − cosine, which stays exact for small angles."""
    distance = 0.5 * float(np.sum((u - v) ** 2))
    return 1 - distance, float(np.sqrt(max(distance * (2 - distance), 0.0)))


def _symmetric_difference(h: float, k: float, distance: float) -> float:
    """P(exactly one of U + h ≥ 0, V + k ≥ 0) for standard normals with 1 − correlation = ``distance``."""
    if distance < 0.5:
        return _narrow_difference(h, k, distance)
    if h == 0 and k == 0:
        return float(2 * np.arcsin(np.sqrt(0.5 * distance)) / np.pi)
    sine = np.sqrt(max(distance * (2 - distance), 0.0))
    if sine == 0:
        return float(special.ndtr(-abs(h + k)))
    slopes = []
    for one, other in ((h, k), (k, h)):
        rise = (other - one) + one * distance  # one·(other/one − ρ)
        slopes.append(rise / (one * sine) if one != 0 else np.copysign(np.inf, rise))
    wedges = 2 * special.owens_t(h, slopes[0]) + 2 * special.owens_t(k, slopes[1])
    return float(1 + wedges if (h < 0) != (k < 0) else wedges)


def _narrow_difference(h: float, k: float, distance: float) -> float:
    """The same for nearly parallel boundaries, as an average of the gap between them: a sum of positive terms.

    With V = ρU + √(1−ρ²)W the second condition is U ≥ −(k + √(1−ρ²)W)/ρ, so that given W exactly one holds where U lies
    between −h and that.
    """
    sine, cosine = np.sqrt(distance * (2 - distance)), 1 - distance
    ends = np.arange(-10.0, 11.0)
    if sine > 0:
        # where the two boundaries meet the gap has a kink
        ends = np.unique(np.append(ends, np.clip((h * cosine - k) / sine, -10, 10)))
    w, weights = panel_nodes(ends, 16)
    # −h and the other end, h − gap apart, without subtracting two close numbers
    gap = ((k - h) + h * distance + sine * w) / cosine
    low, high = np.minimum(-h, -h - gap), np.maximum(-h, -h - gap)
    tiny = np.abs(gap) < 1e-6
    middle = -h - 0.5 * gap
    with np.errstate(over="ignore"):  # far out the density is 0
        density = np.exp(-0.5 * middle**2) / np.sqrt(2 * np.pi)
    mass = np.where(tiny, np.abs(gap) * density, np.exp(log_normal_interval(low, high)))
    return float(np.sum(weights * np.exp(-0.5 * w**2) / np.sqrt(2 * np.pi) * mass))
