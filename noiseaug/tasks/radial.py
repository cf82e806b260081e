"""Tasks that depend on |x| alone, whose classifiers are balls (docs/math.md 2.3–2.5)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from noiseaug import validation
from noiseaug.errors import InvalidInputError, NoClosedFormError
from noiseaug.numerics import (
    bracketed_roots,
    log_norm_density,
    log_sphere_density,
    log_sphere_ratio,
    norm_log_tails,
    panel_nodes,
)
from noiseaug.regions import Ball, ProfileRegion, Region
from noiseaug.tasks.base import CoordinateSampler, CoordinateTask, ProfileTask
from noiseaug.tasks.laws import AtomLaw, ChiLaw, Law, ShellLaw
from noiseaug.validation import FloatArray

__all__ = ["ConcentricGaussians", "ConcentricSpheres", "IsolatedBall", "RadialTask"]


def _check_radial(task: ProfileTask, inner: str, outer: str) -> None:
    """Checks and normalises dim, prior and two ordered lengths of a radial task."""
    object.__setattr__(task, "dim", validation.integer("dim", task.dim))
    small, large = (validation.positive(name, getattr(task, name)) for name in (inner, outer))
    if small >= large:
        raise InvalidInputError(f"{inner} is {small:g} and {outer} is {large:g}; expected {inner} < {outer}")
    object.__setattr__(task, inner, small)
    object.__setattr__(task, outer, large)


def _require_ball(region: ProfileRegion, dim: int) -> None:
    if not isinstance(region, Ball) or region.dim != dim:
        raise NoClosedFormError(f"{region} has no known law here; balls in dimension {dim} have")


def _norms(x: ArrayLike, dim: int) -> FloatArray:
    return np.linalg.norm(validation.points(x, dim), axis=1)


class RadialTask(CoordinateTask):
    """A task that depends on |x| alone: |X| and Y decide everything, so that they are enough of a sample."""

    @abstractmethod
    def sample_norms(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, np.ndarray]:
        """n independent draws of |X| and Y, each of shape (n,); in law those of ``sample``, from fewer numbers."""

    @abstractmethod
    def log_density_at(self, norms: FloatArray, label: int, noise_sigma: float = 0.0) -> FloatArray:
        """``log_density`` at points with the given norms."""

    def log_density(self, x: ArrayLike, label: int, noise_sigma: float = 0.0) -> FloatArray:
        return self.log_density_at(_norms(x, self.dim), label, noise_sigma)

    def coordinate_sampler(self, region: ProfileRegion) -> CoordinateSampler:
        _require_ball(region, self.dim)

        def draw(n: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray, np.ndarray]:
            norms, y = self.sample_norms(n, rng)
            return norms, norms, y

        return draw

    def regression_at(self, bayes_coordinate: FloatArray) -> FloatArray:
        logs = [self.log_density_at(bayes_coordinate, label) for label in (1, 0)]
        return special.expit(self._log_odds(*logs))


@dataclass(frozen=True)
class ConcentricGaussians(RadialTask):
    """X given Y=y is N(0, std_y² I); class 1 is the inner one.

    Attributes:
        dim: dimension d.
        std_1: standard deviation of class 1 in each coordinate.
        std_0: standard deviation of class 0, larger than ``std_1``.
        prior: P(Y=1).
    """

    dim: int
    std_1: float
    std_0: float
    prior: float = 0.5
    rules: ClassVar[tuple[str, ...]] = ("augmented", "convolved")

    def __post_init__(self) -> None:
        _check_radial(self, "std_1", "std_0")
        object.__setattr__(self, "prior", validation.probability("prior", self.prior))

    def _std(self, label: int) -> float:
        return self.std_1 if label else self.std_0

    def sample(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, np.ndarray]:
        y = (rng.random(n) < self.prior).astype(int)
        x = rng.standard_normal((n, self.dim))
        x *= np.where(y == 1, self.std_1, self.std_0)[:, None]
        return x, y

    def sample_norms(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, np.ndarray]:
        y = (rng.random(n) < self.prior).astype(int)
        # half of a chi-square number with d degrees of freedom has the gamma law of shape d/2
        norms = np.sqrt(2 * rng.standard_gamma(0.5 * self.dim, n))
        norms *= np.where(y == 1, self.std_1, self.std_0)
        return norms, y

    def log_density_at(self, norms: FloatArray, label: int, noise_sigma: float = 0.0) -> FloatArray:
        variance = self._std(label) ** 2 + noise_sigma**2
        return -0.5 * (norms**2 / variance + self.dim * np.log(2 * np.pi * variance))

    def _curve(self, train_sigma: float) -> tuple[float, float]:
        """a and b of the log-odds a − b|x|² of the noised law; differences of variances taken before any logarithm."""
        inner, outer = self.std_1**2 + train_sigma**2, self.std_0**2 + train_sigma**2
        gap = (self.std_0 - self.std_1) * (self.std_0 + self.std_1)
        return float(0.5 * self.dim * np.log1p(gap / inner) + special.logit(self.prior)), 0.5 * gap / (inner * outer)

    def augmented_region(self, train_sigma: float) -> Ball:
        level, slope = self._curve(validation.nonnegative("train_sigma", train_sigma))
        return Ball(self.dim, np.sqrt(max(level, 0.0) / slope))

    def convolved_region(self, train_sigma: float) -> Ball:
        alpha = validation.nonnegative("train_sigma", train_sigma)
        bayes = self.augmented_region(0.0)
        if alpha == 0 or bayes.radius == 0:
            # h < ½ everywhere stays so under averaging
            return bayes
        level, slope = self._curve(0.0)

        # h is a mixture of balls, so h ∗ p_α falls with |x|: one crossing of ½, below the radius plus a little noise
        def excess(t: FloatArray) -> FloatArray:
            return np.array([_mean_logistic(self.dim, float(v), alpha, level, slope) - 0.5 for v in np.ravel(t)])

        if excess(np.zeros(1))[0] <= 0:
            return Ball(self.dim, 0.0)
        high = bayes.radius
        while excess(np.array([high]))[0] > 0:
            high = 2 * high + alpha
        return Ball(self.dim, float(bracketed_roots(excess, 0.0, high)[0]), proven=False)

    def noised(self, sigma: float) -> ConcentricGaussians:
        sigma = validation.nonnegative("sigma", sigma)
        return ConcentricGaussians(self.dim, np.hypot(self.std_1, sigma), np.hypot(self.std_0, sigma), self.prior)

    def law(self, label: int, region: ProfileRegion) -> Law:
        _require_ball(region, self.dim)
        return ChiLaw(self.dim, self._std(label))

    def reach(self) -> float:
        return self.std_0 * (np.sqrt(self.dim) + 10)


def _mean_logistic(dim: int, distance: float, sigma: float, level: float, slope: float) -> float:
    """E[1/(1 + exp(b|x+σZ|² − a))] for |x| = distance, by panels around the bulk of |x+σZ| and around the threshold."""
    centre = np.sqrt(distance**2 + dim * sigma**2)
    low, high = max(0.0, centre - 12 * sigma), centre + 12 * sigma
    threshold = np.sqrt(level / slope)
    width = 1 / (2 * slope * threshold)
    steps = np.concatenate([-np.geomspace(40, 0.5, 12), [0.0], np.geomspace(0.5, 40, 12)])
    ends = np.concatenate([[low, high], centre + sigma * np.arange(-12, 13), threshold + width * steps])
    nodes, weights = panel_nodes(np.unique(np.clip(ends, low, high)), 12)
    density = np.exp(log_norm_density(dim, distance, nodes, sigma))
    return float(np.sum(weights * density * special.expit(level - slope * nodes**2)))


@dataclass(frozen=True)
class ConcentricSpheres(RadialTask):
    """X given Y=y is uniform on the sphere |x| = radius_y; class 1 is the inner one.

    Without noise any region between the spheres is a Bayes rule; the limit of the noised rule as α → 0 is taken, the
    ball half-way between them. Densities of the noiseless law are not functions, so there is no convolved rule.

    Attributes:
        dim: dimension d.
        radius_1: radius of class 1.
        radius_0: radius of class 0, larger than ``radius_1``.
        prior: P(Y=1).
    """

    dim: int
    radius_1: float
    radius_0: float
    prior: float = 0.5
    rules: ClassVar[tuple[str, ...]] = ("augmented",)

    def __post_init__(self) -> None:
        _check_radial(self, "radius_1", "radius_0")
        object.__setattr__(self, "prior", validation.probability("prior", self.prior))

    def _radius(self, label: int) -> float:
        return self.radius_1 if label else self.radius_0

    def sample(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, np.ndarray]:
        norms, y = self.sample_norms(n, rng)
        x = rng.standard_normal((n, self.dim))
        x *= (norms / np.linalg.norm(x, axis=1))[:, None]
        return x, y

    def sample_norms(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, np.ndarray]:
        y = (rng.random(n) < self.prior).astype(int)
        return np.where(y == 1, self.radius_1, self.radius_0), y

    def log_density_at(self, norms: FloatArray, label: int, noise_sigma: float = 0.0) -> FloatArray:
        """ln density of X + σZ; at σ = 0, 0 on the sphere (to 1e-9) and −∞ off it."""
        radius = self._radius(label)
        if noise_sigma == 0:
            return np.where(np.abs(norms - radius) <= 1e-9 * radius, 0.0, -np.inf)
        return log_sphere_density(self.dim, radius, norms, noise_sigma)

    def augmented_region(self, train_sigma: float) -> Ball:
        return self._balls([train_sigma])[0]

    def augmented_regions(self, train_sigmas: Sequence[float]) -> list[Region]:
        return [*self._balls(train_sigmas)]

    def _balls(self, train_sigmas: Sequence[float]) -> list[Ball]:
        alphas = np.array([validation.nonnegative("train_sigma", alpha) for alpha in train_sigmas])
        shift = special.logit(self.prior)

        def odds(t: FloatArray, alpha: FloatArray) -> FloatArray:
            return log_sphere_ratio(self.dim, self.radius_1, self.radius_0, t, alpha) + shift

        radii = np.where(alphas == 0, 0.5 * (self.radius_1 + self.radius_0), 0.0)
        noisy = np.flatnonzero(alphas)
        found = noisy[odds(np.zeros(noisy.size), alphas[noisy]) > 0]
        high = np.full(found.size, self.radius_0)
        while (below := odds(high, alphas[found]) > 0).any():
            high[below] *= 2
        radii[found] = bracketed_roots(odds, np.zeros(found.size), high, args=(alphas[found],))
        return [Ball(self.dim, radius) for radius in radii.tolist()]

    def law(self, label: int, region: ProfileRegion) -> Law:
        _require_ball(region, self.dim)
        return AtomLaw(self._radius(label))

    def reach(self) -> float:
        return self.radius_0


@dataclass(frozen=True)
class IsolatedBall(RadialTask):
    """h is the indicator of {|x| ≤ radius} and the marginal is flat: the building block of Pal & Sulam.

    The flat marginal reaches over all of R^d, so the augmented and the convolved rule are the same. Risks are averages
    over the window {|x| ≤ window}, uniformly.

    Attributes:
        dim: dimension d.
        radius: radius R of class 1.
        window: radius over which risks are averaged; by default R·2^{1/d}, where both classes have equal mass.
    """

    dim: int
    radius: float
    window: float | None = None
    rules: ClassVar[tuple[str, ...]] = ("augmented", "convolved")

    def __post_init__(self) -> None:
        dim, radius = validation.integer("dim", self.dim), validation.positive("radius", self.radius)
        object.__setattr__(self, "window", radius * 2 ** (1 / dim) if self.window is None else self.window)
        _check_radial(self, "radius", "window")

    @property
    def prior(self) -> float:  # type: ignore[override]
        """P(Y=1), the share of the window that the ball takes."""
        return float(np.exp(self.dim * np.log(self.radius / self._window)))

    @property
    def _window(self) -> float:
        assert self.window is not None
        return self.window

    def sample(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, np.ndarray]:
        x = rng.standard_normal((n, self.dim))
        norms, y = self.sample_norms(n, rng)
        x *= (norms / np.linalg.norm(x, axis=1))[:, None]
        return x, y

    def sample_norms(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, np.ndarray]:
        norms = self._window * rng.random(n) ** (1 / self.dim)
        return norms, (norms <= self.radius).astype(int)

    def log_density_at(self, norms: FloatArray, label: int, noise_sigma: float = 0.0) -> FloatArray:
        """ln of the class's flat (Lebesgue) density after noise, divided by the prior: q_y ∗ p_σ up to one constant."""
        share = np.log(self.prior) if label else np.log1p(-self.prior)
        if noise_sigma == 0:
            return np.where((norms <= self.radius) == bool(label), 0.0, -np.inf) - share
        inside, outside = norm_log_tails(self.dim, norms, self.radius, noise_sigma)
        return (inside if label else outside) - share

    def augmented_region(self, train_sigma: float) -> Ball:
        return Ball(self.dim, self.radius).smoothed(train_sigma)

    def convolved_region(self, train_sigma: float) -> Ball:
        return self.augmented_region(train_sigma)

    def law(self, label: int, region: ProfileRegion) -> Law:
        _require_ball(region, self.dim)
        return ShellLaw(self.dim, 0.0, self.radius) if label else ShellLaw(self.dim, self.radius, self._window)

    def reach(self) -> float:
        return self._window
