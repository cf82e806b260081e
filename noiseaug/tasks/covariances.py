"""Covariances of a Gaussian mixture's components, in four forms that noise keeps (docs/math.md 2.14)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from noiseaug import validation
from noiseaug.errors import InvalidInputError
from noiseaug.validation import FloatArray

__all__ = ["Covariances", "LowRank", "covariances_of"]


class Covariances(ABC):
    """The covariances Σ_1, …, Σ_k of k components in R^d; noise of variance v turns each into Σ + vI."""

    @abstractmethod
    def widened(self, variance: float) -> Covariances:
        """Σ + vI for each component, in the same form."""

    @property
    @abstractmethod
    def log_determinants(self) -> FloatArray:
        """ln det Σ of each component, shape (k,)."""

    @abstractmethod
    def squares(self, x: FloatArray, means: FloatArray) -> FloatArray:
        """(x − μ)ᵀ Σ⁻¹ (x − μ) for each point and component, shape (n, k).

        Args:
            x: points, shape (n, d), measured from about the middle of the means.
            means: shape (k, d), measured from there too.
        """

    @abstractmethod
    def coloured(self, noise: FloatArray, component: int, rng: np.random.Generator) -> FloatArray:
        """Draws of N(0, Σ) from standard normal ones of shape (n, d); ``rng`` gives more where the form needs them."""

    @property
    @abstractmethod
    def diagonals(self) -> FloatArray:
        """Variances along the coordinate axes, of shape (k, d), or (k, 1) where all are equal."""


@dataclass(frozen=True, eq=False)
class _Diagonal(Covariances):
    """Variances along the axes, shape (k, d); (k, 1) for spherical covariances in R^dim."""

    variances: FloatArray
    dim: int

    def widened(self, variance: float) -> _Diagonal:
        return _Diagonal(self.variances + variance, self.dim)

    @property
    def log_determinants(self) -> FloatArray:
        return np.log(self.variances).sum(axis=1) * (self.dim / self.variances.shape[1])

    def squares(self, x: FloatArray, means: FloatArray) -> FloatArray:
        # three products of matrices in place of k passes over the points
        spherical = self.variances.shape[1] == 1
        own = np.einsum("ij,ij->i", x, x)[:, None] if spherical else x * x
        result = own @ (1 / self.variances.T) - x @ (2 * means / self.variances).T
        result += np.sum(means**2 / self.variances, axis=1)
        return np.asarray(np.maximum(result, 0.0, out=result), dtype=float)

    def coloured(self, noise: FloatArray, component: int, rng: np.random.Generator) -> FloatArray:
        return noise * np.sqrt(self.variances[component])

    @property
    def diagonals(self) -> FloatArray:
        return self.variances


@dataclass(frozen=True, eq=False)
class _Full(Covariances):
    """Eigenvalues (k, d) and eigenvectors as columns (k, d, d); noise changes the eigenvalues alone."""

    values: FloatArray
    vectors: FloatArray

    def widened(self, variance: float) -> _Full:
        return _Full(self.values + variance, self.vectors)

    @property
    def log_determinants(self) -> FloatArray:
        return np.asarray(np.log(self.values).sum(axis=1), dtype=float)

    def squares(self, x: FloatArray, means: FloatArray) -> FloatArray:
        result = np.empty((len(x), len(means)))
        for k, (values, vectors, mean) in enumerate(zip(self.values, self.vectors, means, strict=True)):
            turned = (x - mean) @ vectors
            result[:, k] = (turned * turned) @ (1 / values)
        return result

    def coloured(self, noise: FloatArray, component: int, rng: np.random.Generator) -> FloatArray:
        return (noise * np.sqrt(self.values[component])) @ self.vectors[component].T

    @property
    def diagonals(self) -> FloatArray:
        return np.einsum("kij,kj,kij->ki", self.vectors, self.values, self.vectors)


@dataclass(frozen=True, eq=False)
class LowRank(Covariances):
    """Covariances FFᵀ + diag(v): a few directions of their own and independent noise in each coordinate.

    In thousands of dimensions a hundred of them fit where full matrices do not (factor analysis, probabilistic PCA).

    Attributes:
        factors: F of each component, shape (k, d, rank).
        diagonal: v > 0 of each component, shape (k, d), or (k, 1) where it is the same along all axes.
    """

    factors: FloatArray
    diagonal: FloatArray

    def __post_init__(self) -> None:
        factors, diagonal = validation.array("factors", self.factors, 3), validation.array("diagonal", self.diagonal, 2)
        if factors.shape[2] == 0 or diagonal.shape not in {factors.shape[:2], (len(factors), 1)}:
            raise InvalidInputError(
                f"factors and diagonal have shapes {factors.shape} and {diagonal.shape}; "
                "expected (k, d, rank) and (k, d), or (k, 1)"
            )
        if diagonal.min() <= 0:
            raise InvalidInputError(f"diagonal holds {diagonal.min():g}; expected variances above 0")
        object.__setattr__(self, "factors", factors)
        object.__setattr__(self, "diagonal", diagonal)

    def widened(self, variance: float) -> LowRank:
        return LowRank(self.factors, self.diagonal + variance)

    @property
    def _rest(self) -> _Diagonal:
        return _Diagonal(self.diagonal, self.factors.shape[1])

    @cached_property
    def _inner(self) -> FloatArray:
        """Cholesky factors L of I + FᵀD⁻¹F, shape (k, rank, rank)."""
        scaled = self.factors / np.sqrt(self.diagonal)[:, :, None]
        inner = np.eye(scaled.shape[2]) + scaled.transpose(0, 2, 1) @ scaled
        return np.asarray(np.linalg.cholesky(inner), dtype=float)

    @cached_property
    def _directions(self) -> FloatArray:
        """D⁻¹F L⁻ᵀ, shape (k, d, rank): what Woodbury's identity subtracts is the squared length along these."""
        spread = self.factors / self.diagonal[:, :, None]
        return np.asarray(np.linalg.solve(self._inner, spread.transpose(0, 2, 1)).transpose(0, 2, 1), dtype=float)

    @property
    def log_determinants(self) -> FloatArray:
        inner = 2 * np.log(np.diagonal(self._inner, axis1=1, axis2=2)).sum(axis=1)
        return np.asarray(self._rest.log_determinants + inner, dtype=float)

    def squares(self, x: FloatArray, means: FloatArray) -> FloatArray:
        result = self._rest.squares(x, means)
        for k, (directions, mean) in enumerate(zip(self._directions, means, strict=True)):
            along = x @ directions - mean @ directions
            result[:, k] -= np.einsum("ij,ij->i", along, along)
        return np.asarray(np.maximum(result, 0.0, out=result), dtype=float)

    def coloured(self, noise: FloatArray, component: int, rng: np.random.Generator) -> FloatArray:
        common = rng.standard_normal((len(noise), self.factors.shape[2]))
        return self._rest.coloured(noise, component, rng) + common @ self.factors[component].T

    @property
    def diagonals(self) -> FloatArray:
        return self.diagonal + np.einsum("kir,kir->ki", self.factors, self.factors)


def covariances_of(given: Any, count: int, dim: int) -> Covariances:
    """The covariances that an argument describes; its number of axes says which form it has.

    Args:
        given: a :class:`LowRank`, or an array of shape () or (k,) (spherical), (k, d) (diagonal) or (k, d, d) (full).
        count: k, number of components.
        dim: d.

    Raises:
        InvalidInputError: for another shape, or what is not a covariance.
    """
    if isinstance(given, LowRank):
        if given.factors.shape[:2] != (count, dim):
            raise InvalidInputError(f"factors have shape {given.factors.shape}; expected ({count}, {dim}, rank)")
        return given
    array = validation.array("covariances", given, np.ndim(given))
    if array.ndim == 0:
        array = np.full(count, float(array))
    if array.shape not in {(count,), (count, dim), (count, dim, dim)}:
        raise InvalidInputError(
            f"covariances have shape {array.shape}; expected ({count},) for spherical, ({count}, {dim}) for diagonal "
            f"or ({count}, {dim}, {dim}) for full ones, or a LowRank"
        )
    if array.ndim < 3:
        if array.min() <= 0:
            raise InvalidInputError(f"covariances hold {array.min():g}; expected variances above 0")
        return _Diagonal(array.reshape(count, -1), dim)
    scale = np.sqrt(np.abs(np.einsum("ki,kj->kij", *[np.diagonal(array, axis1=1, axis2=2)] * 2)))
    if (np.abs(array - array.transpose(0, 2, 1)) > 1e-10 * scale).any():
        raise InvalidInputError("covariances are not symmetric; expected symmetric positive definite matrices")
    values, vectors = np.linalg.eigh(0.5 * (array + array.transpose(0, 2, 1)))
    if values.min() <= 0:
        raise InvalidInputError(f"covariances are not positive definite: the smallest eigenvalue is {values.min():.3g}")
    return _Full(values, vectors)
