"""Gaussian surrogates of all classes, each with a covariance of its own, for many training noises at once.

A class with mean μ and covariance Σ becomes, noised, the Gaussian with covariance Σ + α²I (docs/math.md 2.8). The Bayes
rule of that law is quadratic discriminant analysis, regularised by the training noise. Where no training input was it
is as unprepared as a network: far above α, noise of level β leaves it no better than chance; with α far above β it is
blurred. For two classes with a common covariance it is the half-space of :mod:`noiseaug.bridge.surrogate`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from noiseaug import validation
from noiseaug.bridge.samples import TrainingRows, inputs_of, principal_axes
from noiseaug.errors import InvalidInputError
from noiseaug.validation import FloatArray

__all__ = ["QuadraticFamily"]

_SHRINKAGE = 1e-6  # of the mean variance, added to every variance: constant pixels have none
_BLOCK_FLOATS = 1 << 22  # coordinates held at a time: 16 MiB


@dataclass(frozen=True, eq=False)
class QuadraticFamily(TrainingRows):
    """Quadratic discriminant rules of one training set, one for each training noise α.

    The coordinates along every class's axes are computed once for all α, in float32.

    Attributes:
        points: training inputs, shape (n, dim).
        labels: 0 … K−1, of each class two inputs or more, shape (n,).
        train_sigma: the levels α ≥ 0.
        components: keep only so many principal components of all inputs together (another rule, which does not see the
            rest); all by default.
    """

    components: int | None = None

    name: ClassVar[str] = "quadratic"

    def __post_init__(self) -> None:
        super().__post_init__()
        if np.bincount(self.labels).min() < 2:
            raise InvalidInputError("a class has one training input alone, and no covariance; take more points")
        if self.components is not None:
            validation.integer("components", self.components)

    @property
    def width(self) -> int:
        """Numbers held for each input that is classified."""
        return self.dim

    @property
    def remark(self) -> str:
        """What the rules are of."""
        axes = self.dim if self._axes is None else self._axes.shape[1]
        return f"quadratic rule of {len(self.points)} training inputs, {axes} axes"

    @cached_property
    def _axes(self) -> np.ndarray | None:
        """Principal axes of all inputs as columns, shape (dim, components), where not all are kept."""
        if self.components is None or self.components >= self.dim:
            return None
        return principal_axes(np.cov(self.points, rowvar=False), self.components)[1].astype(np.float32)

    @cached_property
    def _classes(self) -> list[_GaussianClass]:
        rows = self.points if self._axes is None else self.points @ self._axes
        parts = [rows[self.labels == label].astype(float) for label in range(self.num_classes)]
        spread = float(np.mean([part.var(axis=0).mean() for part in parts]))
        if spread == 0:
            raise InvalidInputError("the training inputs of each class are all equal; a Gaussian needs a variance")
        added = np.array(self.train_sigma) ** 2 + _SHRINKAGE * spread
        return [_fit(part, len(part) / len(rows), added) for part in parts]

    def predict(self, x: ArrayLike) -> np.ndarray:
        """The class of each point by each rule, shape (levels, m); ties go to the smaller label.

        Args:
            x: points, shape (m, dim).
        """
        places = inputs_of(x, self.dim)
        out = np.empty((len(self.train_sigma), len(places)), dtype=np.int64)
        rows = max(1, _BLOCK_FLOATS // self.dim)
        for begin in range(0, len(places), rows):
            block = places[begin : begin + rows]
            if self._axes is not None:
                block = block @ self._axes
            scores = np.stack([part.scores(block) for part in self._classes])
            out[:, begin : begin + rows] = np.argmax(scores, axis=0).T
        return out


@dataclass(frozen=True, eq=False)
class _GaussianClass:
    """A class in the axes of its covariance.

    Attributes:
        mean: shape (dim,).
        axes: orthonormal columns, shape (dim, dim).
        weights: −½ / variance along each axis, for each α, shape (dim, levels).
        constant: log share − ½ log determinant, for each α, shape (levels,).
    """

    mean: np.ndarray
    axes: np.ndarray
    weights: np.ndarray
    constant: FloatArray

    def scores(self, x: np.ndarray) -> FloatArray:
        """Log of share × density, but for what all classes have in common; shape (m, levels)."""
        coordinates = (x - self.mean) @ self.axes
        np.square(coordinates, out=coordinates)
        return coordinates @ self.weights + self.constant


def _fit(inputs: FloatArray, share: float, added: FloatArray) -> _GaussianClass:
    """A class from its inputs, shape (n, dim), with what each α adds to the variances, shape (levels,)."""
    mean = inputs.mean(axis=0)
    spectrum, axes = np.linalg.eigh(np.cov(inputs, rowvar=False).reshape(len(mean), len(mean)))
    variances = np.maximum(spectrum, 0.0)[:, None] + added
    return _GaussianClass(
        mean.astype(np.float32),
        axes.astype(np.float32),
        (-0.5 / variances).astype(np.float32),
        np.log(share) - 0.5 * np.log(variances).sum(axis=0),
    )
