"""How much smoothing Gaussian classes stand after training noise, by traces of their spectra (docs/math.md 2.11)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from noiseaug import validation
from noiseaug.errors import InvalidInputError
from noiseaug.validation import FloatArray

__all__ = ["GaussianLimit"]


@dataclass(frozen=True, eq=False)
class GaussianLimit:
    """K Gaussian classes N(μ_c, Σ_c) with equal shares, in many effective dimensions.

    The noised Bayes rule weighs a smoothed point of class c for c against e by D + (α² − β²) T on average, where D is
    the divergence of the noised laws and T half the difference of the traces of their precisions. Where the spectra
    have many comparable eigenvalues this average decides, and class c is right for exactly those β where it is positive
    against every other class.

    Attributes:
        variances: eigenvalues of each Σ_c, shape (K, d).
        crossed: variances of class c along the eigenvectors of Σ_e, shape (K, K, d) in the order c, e.
        gaps: squares of μ_c − μ_e along the eigenvectors of Σ_e, same shape.
    """

    variances: FloatArray
    crossed: FloatArray
    gaps: FloatArray

    @classmethod
    def of(cls, means: ArrayLike, covariances: ArrayLike) -> Self:
        """From means of shape (K, d) and covariances of shape (K, d, d), positive semidefinite."""
        mean = validation.array("means", means, 2)
        covariance = validation.array("covariances", covariances, 3)
        count, dim = mean.shape
        if covariance.shape != (count, dim, dim) or count < 2:
            raise InvalidInputError(
                f"means and covariances have shapes {mean.shape} and {covariance.shape}; expected (K, d) and (K, d, d)"
            )
        variances = np.empty((count, dim))
        crossed, gaps = np.empty((count, count, dim)), np.empty((count, count, dim))
        for other in range(count):
            values, axes = np.linalg.eigh(covariance[other])
            variances[other] = np.maximum(values, 0.0)
            for one in range(count):
                crossed[one, other] = np.einsum("ij,ij->j", axes, covariance[one] @ axes)
                gaps[one, other] = ((mean[one] - mean[other]) @ axes) ** 2
        return cls(variances, crossed, gaps)

    def divergences(self, train_sigma: float) -> FloatArray:
        """Kullback–Leibler divergence of the noised law of class c from that of e, shape (K, K)."""
        noised = self.variances + validation.positive("train_sigma", train_sigma) ** 2
        volume = np.log(noised).sum(axis=1)
        spread = ((self.crossed + train_sigma**2 + self.gaps) / noised - 1).sum(axis=2)
        return 0.5 * (spread + volume - volume[:, None])

    def slopes(self, train_sigma: float) -> FloatArray:
        """T = ½ tr[(Σ_c + α²I)⁻¹ − (Σ_e + α²I)⁻¹], shape (K, K): positive where class c is the less variable."""
        total = (1 / (self.variances + validation.positive("train_sigma", train_sigma) ** 2)).sum(axis=1)
        return 0.5 * (total[:, None] - total)

    def evidence(self, train_sigma: float, smooth_sigma: float) -> FloatArray:
        """Mean log-likelihood ratio for c against e of smoothed points of class c, shape (K, K)."""
        change = train_sigma**2 - validation.nonnegative("smooth_sigma", smooth_sigma) ** 2
        return self.divergences(train_sigma) + change * self.slopes(train_sigma)

    def edges(self, train_sigma: float) -> tuple[FloatArray, FloatArray]:
        """The least and the largest β that each class stands, shape (K,) each; ∞ where no smoothing is too much."""
        level, slope = train_sigma**2, self.slopes(train_sigma)
        with np.errstate(divide="ignore", invalid="ignore"):
            edge = level + self.divergences(train_sigma) / slope
        high = np.where(slope > 0, edge, np.inf).min(axis=1)
        low = np.where(slope < 0, edge, 0.0).max(axis=1)
        return np.sqrt(np.maximum(low, 0.0)), np.sqrt(high)

    def accuracy(self, train_sigma: float, smooth_sigma: float) -> float:
        """The share of classes that are right in the limit."""
        evidence = self.evidence(train_sigma, smooth_sigma)
        return float((evidence + np.diag(np.full(len(evidence), np.inf)) > 0).all(axis=1).mean())
