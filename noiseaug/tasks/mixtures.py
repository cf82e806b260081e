"""Gaussian mixtures in any dimension with any number of classes (docs/math.md 2.14)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from noiseaug import validation
from noiseaug.errors import InvalidInputError
from noiseaug.tasks.base import BinaryTask, describe_value
from noiseaug.tasks.covariances import Covariances, LowRank, covariances_of
from noiseaug.tasks.densities import DensityTask, pick, shares
from noiseaug.tasks.gaussian import GaussianPair
from noiseaug.tasks.mixture import MixtureOnLine
from noiseaug.tasks.radial import ConcentricGaussians
from noiseaug.validation import FloatArray

__all__ = ["GaussianMixtures", "Mixture"]

_BLOCK_FLOATS = 1 << 18  # coordinates or squared distances worked on at a time: 2 MiB, so that they stay in the cache
_REACH = 6.2  # standard deviations beyond which a normal variable lies with probability 6e-10


@dataclass(frozen=True, eq=False)
class Mixture:
    """The law Σ_k w_k N(μ_k, Σ_k) of one class.

    Attributes:
        weights: w_k > 0 with sum 1, shape (k,).
        means: μ_k, shape (k, dim).
        covariances: their number of axes says which form they have: variances as a number or of shape (k,) for
            spherical ones, (k, dim) for diagonal, (k, dim, dim) for full ones; or a :class:`LowRank`.

    Raises:
        InvalidInputError: for shapes that do not fit together, or covariances that are not positive definite.
    """

    weights: FloatArray
    means: FloatArray
    covariances: Any

    def __post_init__(self) -> None:
        means = validation.array("means", self.means, 2)
        if means.size == 0:
            raise InvalidInputError(f"means have shape {means.shape}; expected at least one component and coordinate")
        object.__setattr__(self, "means", means)
        object.__setattr__(self, "weights", shares("weights", self.weights, len(means)))
        if not isinstance(self.covariances, LowRank):
            object.__setattr__(self, "covariances", np.asarray(self.covariances))
        _ = self.form  # which checks the covariances

    @classmethod
    def normal(cls, mean: ArrayLike, covariance: ArrayLike) -> Mixture:
        """One component: N(mean, covariance), the covariance a variance, a diagonal or a matrix."""
        return cls(np.ones(1), np.asarray(mean, dtype=float)[None], np.asarray(covariance, dtype=float)[None])

    @classmethod
    def equal(cls, means: ArrayLike, covariances: Any) -> Mixture:
        """Components of equal weights; arguments as of the class."""
        places = np.asarray(means, dtype=float)
        return cls(np.full(len(places), 1 / max(len(places), 1)), places, covariances)

    @property
    def dim(self) -> int:
        """Dimension d."""
        return int(self.means.shape[1])

    @cached_property
    def form(self) -> Covariances:
        """The covariances in the form that computes."""
        return covariances_of(self.covariances, len(self.means), self.dim)

    @cached_property
    def _noised(self) -> dict[float, Covariances]:
        """The covariances at the noise level that was asked for last."""
        return {}

    def at_noise(self, sigma: float) -> Covariances:
        """The covariances of X + σZ; their factors are kept until another level is asked for."""
        found = self._noised.get(sigma)
        if found is None:
            found = self.form.widened(sigma**2)
            self._noised.clear()
            self._noised[sigma] = found
        return found

    def log_density(self, x: ArrayLike, noise_sigma: float = 0.0) -> FloatArray:
        """ln of the density of X + σZ at each point, shape (n,).

        Its absolute error is about 1e-16 times the largest squared distance from the middle of the means in standard
        deviations.
        """
        places, covariances = validation.points(x, self.dim), self.at_noise(noise_sigma)
        # from the middle of the means, so that their place costs no digits
        middle = self.weights @ self.means
        means = self.means - middle
        constants = np.log(self.weights) - 0.5 * (covariances.log_determinants + self.dim * np.log(2 * np.pi))
        result = np.empty(len(places))
        rows = max(1, _BLOCK_FLOATS // max(means.shape))
        for start in range(0, len(places), rows):
            block = slice(start, start + rows)
            logs = constants - 0.5 * covariances.squares(places[block] - middle, means)
            top = logs.max(axis=1)  # scipy's logsumexp takes several times as long
            result[block] = top + np.log(np.exp(logs - top[:, None]).sum(axis=1))
        return result

    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        """n draws, shape (n, dim)."""
        which, x = pick(self.weights, n, rng), rng.standard_normal((n, self.dim))
        for k in np.unique(which):
            mine = which == k
            x[mine] = self.means[k] + self.form.coloured(x[mine], int(k), rng)
        return x

    def noised(self, sigma: float) -> Mixture:
        """The law of X + σZ."""
        variance = validation.nonnegative("sigma", sigma) ** 2
        if isinstance(self.covariances, LowRank):
            return Mixture(self.weights, self.means, self.covariances.widened(variance))
        wider = self.covariances + (variance if self.covariances.ndim < 3 else variance * np.eye(self.dim))
        return Mixture(self.weights, self.means, wider)

    def box(self) -> tuple[FloatArray, FloatArray]:
        """A box that holds X except with a probability below dim · 1e-9."""
        far = _REACH * np.sqrt(self.form.diagonals)
        return (self.means - far).min(axis=0), (self.means + far).max(axis=0)

    def __str__(self) -> str:
        return f"Mixture({_described(self)})"


def _described(value: Any) -> str:
    shown = [(f.name, getattr(value, f.name)) for f in fields(value)]
    texts = [
        f"{name}=LowRank({_described(part)})" if isinstance(part, LowRank) else f"{name}={describe_value(part)}"
        for name, part in shown
    ]
    return ",".join(texts)


@dataclass(frozen=True, eq=False)
class GaussianMixtures(DensityTask):
    """X given Y = c is the c-th of K Gaussian mixtures in R^dim.

    Noise adds α² to every variance, so the augmented rule is exact for every α. Two classes on the line, two single
    Gaussians with a common covariance, and two around the origin with class 1 the inner one have closed forms
    (:meth:`closed_form`); everything that is asked of them goes there.

    Attributes:
        classes: the law of each class, as a :class:`Mixture` or a mapping of its arguments; at least two.
        priors: P(Y = c), shape (K,); equal by default.
        name: what to call the task in tables.
        tolerance: largest error of an answer from a lattice, for probabilities; relative for radii.
    """

    classes: Sequence[Mixture]
    priors: FloatArray = None  # type: ignore[assignment]
    name: str | None = None
    tolerance: float = 1e-3
    dim: int = field(init=False, repr=False)
    num_classes: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        given = list(self.classes)
        if not all(isinstance(one, Mixture | Mapping) for one in given) or len(given) < 2:
            kinds = ", ".join(type(one).__name__ for one in given) or "empty"
            raise InvalidInputError(f"classes are {kinds}; expected two or more Mixtures")
        classes = tuple(one if isinstance(one, Mixture) else Mixture(**one) for one in given)
        dims = [one.dim for one in classes]
        if len(set(dims)) > 1:
            raise InvalidInputError(f"the classes have dimensions {dims}; expected one")
        object.__setattr__(self, "classes", classes)
        object.__setattr__(self, "dim", dims[0])
        object.__setattr__(self, "num_classes", len(classes))
        object.__setattr__(self, "priors", shares("priors", self.priors, len(classes)))
        object.__setattr__(self, "tolerance", validation.positive("tolerance", self.tolerance))

    @classmethod
    def fit(
        cls,
        x: ArrayLike,
        y: ArrayLike,
        components: int | Sequence[int] | str = 1,
        *,
        form: str = "full",
        rank: int | None = None,
        most: int = 8,
        seed: int = 0,
        name: str | None = None,
    ) -> GaussianMixtures:
        """A mixture for each class of a data set, by scikit-learn's estimators.

        Args:
            x: points, shape (n, dim).
            y: labels 0, …, K − 1, each present, shape (n,).
            components: for each class, one number for all or a sequence; ``"bic"`` takes the number from 1 to ``most``
                with the smallest Bayesian information criterion, class by class.
            form: covariances: ``"full"``, ``"tied"``, ``"diag"`` or ``"spherical"``.
            rank: instead, one component a class with so many directions of its own and independent noise in each
                coordinate (factor analysis), for many dimensions.
            most: most components that ``"bic"`` tries.
            seed: of the starts of the estimators.
            name: what to call the task in tables.

        Raises:
            InvalidInputError: for labels or options that do not fit, or fewer points than components in a class.
        """
        from noiseaug.tasks.fitting import fitted_classes

        classes, priors = fitted_classes(x, y, components, form=form, rank=rank, most=most, seed=seed)
        return cls(classes, priors, name)

    @classmethod
    def xor(cls, distance: float = 1.0, std: float = 0.4, prior: float = 0.5) -> GaussianMixtures:
        """Four Gaussians in the plane around (±distance, ±distance); class 1 where the signs agree.

        Args:
            distance: of the middles from both axes.
            std: standard deviation of each component.
            prior: P(Y=1).
        """
        prior, far = validation.probability("prior", prior), validation.positive("distance", distance)
        variance = validation.positive("std", std) ** 2
        laws = [Mixture.equal(far * np.array([[1, side], [-1, -side]]), variance) for side in (-1, 1)]
        return cls(laws, np.array([1 - prior, prior]), f"xor(distance={far:g}, std={std:g}, prior={prior:g})")

    @classmethod
    def rings(
        cls, radii: Sequence[float] = (0.0, 1.0, 2.0), std: float = 0.2, components: int = 16
    ) -> GaussianMixtures:
        """Rings around the origin of the plane, one a class, each of equal Gaussians at equal distances along it.

        Args:
            radii: of the rings, from class 0 on; 0 is a single Gaussian.
            std: standard deviation of each component.
            components: along each ring.
        """
        count, variance = validation.integer("components", components), validation.positive("std", std) ** 2
        laws = []
        for radius in validation.array("radii", radii, 1):
            angles = 2 * np.pi * np.arange(count if radius > 0 else 1) / count
            laws.append(Mixture.equal(radius * np.stack([np.cos(angles), np.sin(angles)], axis=1), variance))
        described = describe_value(tuple(map(float, radii)))
        return cls(laws, name=f"rings(radii={described}, std={std:g}, components={count})")

    @classmethod
    def moons(cls, std: float = 0.15, components: int = 12) -> GaussianMixtures:
        """Two interleaved half-circles as in ``sklearn.datasets.make_moons``, of equal Gaussians along each.

        Args:
            std: standard deviation of each component.
            components: along each moon.
        """
        count, variance = validation.integer("components", components), validation.positive("std", std) ** 2
        angles = np.pi * (np.arange(count) + 0.5) / count
        upper = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        laws = [Mixture.equal(upper, variance), Mixture.equal([1.0, 0.5] - upper, variance)]
        return cls(laws, name=f"moons(std={std:g}, components={count})")

    def sample(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, np.ndarray]:
        y = pick(self.priors, n, rng)
        x = np.empty((n, self.dim))
        for label, law in enumerate(self.classes):
            mine = y == label
            x[mine] = law.sample(int(mine.sum()), rng)
        return x, y

    def log_density(self, x: ArrayLike, label: int, noise_sigma: float = 0.0) -> FloatArray:
        return self.classes[label].log_density(x, validation.nonnegative("noise_sigma", noise_sigma))

    def noised(self, sigma: float) -> GaussianMixtures:
        """The law of (X + σZ, Y)."""
        return GaussianMixtures([law.noised(sigma) for law in self.classes], self.priors, self.name, self.tolerance)

    def box(self) -> tuple[FloatArray, FloatArray]:
        corners = [law.box() for law in self.classes]
        return np.min([low for low, _ in corners], axis=0), np.max([high for _, high in corners], axis=0)

    def closed_form(self) -> BinaryTask | None:
        """The same law as a task with closed forms, where there is one; made once, with what it caches."""
        return self._closed_form

    @cached_property
    def _closed_form(self) -> BinaryTask | None:
        if self.num_classes > 2:
            return None
        zero, one = self.classes
        prior = float(self.priors[1])
        if self.dim == 1:
            return _on_the_line(zero, one, prior)
        if max(len(zero.weights), len(one.weights)) > 1:
            return None
        first, second = (law.covariances for law in (one, zero))
        if isinstance(first, LowRank) or isinstance(second, LowRank):
            return None
        first, second = (np.broadcast_to(np.atleast_1d(part), (1, *part.shape[1:]))[0] for part in (first, second))
        together = bool(np.array_equal(one.means, zero.means))
        if first.shape == second.shape and np.array_equal(first, second) and not together:
            return GaussianPair(one.means[0], zero.means[0], first, prior)
        if together and not one.means.any() and first.ndim == second.ndim == 0 and first < second:
            return ConcentricGaussians(self.dim, float(np.sqrt(first)), float(np.sqrt(second)), prior)
        return None

    def __str__(self) -> str:
        if self.name:
            return f"GaussianMixtures({self.name})"
        return f"GaussianMixtures(classes={describe_value(tuple(self.classes))}, priors={describe_value(self.priors)})"


def _on_the_line(zero: Mixture, one: Mixture, prior: float) -> MixtureOnLine | None:
    parts = [
        list(zip(law.weights, law.means[:, 0], np.sqrt(law.form.diagonals[:, 0]), strict=True)) for law in (one, zero)
    ]
    try:
        return MixtureOnLine(parts[0], parts[1], prior)
    except InvalidInputError:  # both classes have one law
        return None
