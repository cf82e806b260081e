"""Tasks with any number of classes, known by their class densities, and the Bayes rules of their noised laws."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from noiseaug import validation
from noiseaug.errors import InvalidInputError
from noiseaug.tasks.base import Task
from noiseaug.validation import FloatArray

__all__ = ["DensityRule", "DensityTask", "pick", "shares"]


def shares(name: str, values: ArrayLike | None, count: int) -> FloatArray:
    """Probabilities that sum to 1, equal ones by default; shape (count,)."""
    if values is None:
        return np.full(count, 1 / count)
    result = validation.array(name, values, 1)
    if result.shape != (count,):
        raise InvalidInputError(f"{name} have shape {result.shape}; expected ({count},)")
    if result.min() <= 0 or abs(result.sum() - 1) > 1e-9:
        raise InvalidInputError(f"{name} are {result.tolist()}; expected numbers above 0 that sum to 1")
    return result / result.sum()


def pick(probabilities: FloatArray, n: int, rng: np.random.Generator) -> np.ndarray:
    """n draws of an index with the given probabilities."""
    return np.searchsorted(np.cumsum(probabilities)[:-1], rng.random(n), side="right")


class DensityTask(Task):
    """A task with K ≥ 2 classes whose noised class densities are known, if only up to a stated error.

    Its augmented rule is exact for every training noise. Smoothed, the rule has no closed form in general: quantities
    come from a lattice in one to three dimensions (``method="exact"``, with the error of the lattice) and from votes in
    any (``method="sampled"``).

    ``priors`` are P(Y = 0), …, P(Y = K−1); ``tolerance`` is the largest error of an answer from a lattice.
    """

    priors: FloatArray
    tolerance: float = 1e-3
    rules: ClassVar[tuple[str, ...]] = ("augmented",)

    @abstractmethod
    def log_density(self, x: ArrayLike, label: int, noise_sigma: float = 0.0) -> FloatArray:
        """ln of the density of X + σZ given Y = label at each point, shape (n,); −∞ off the support."""

    @abstractmethod
    def box(self) -> tuple[FloatArray, FloatArray]:
        """Lower and upper corner of a box that holds X except with a probability of about 1e-9; shape (dim,) each."""

    def log_scores_on(self, axes: Sequence[FloatArray], noise_sigma: float) -> FloatArray:
        """``log_scores`` at the cells of a lattice in one to three dimensions, shape ``(K, *cells)``.

        Args:
            axes: the coordinates of the cells along each axis, equally spaced and with one spacing.
            noise_sigma: σ.
        """
        places = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, self.dim)
        return self.log_scores(places, noise_sigma).T.reshape(self.num_classes, *(len(axis) for axis in axes))

    def log_scores(self, x: ArrayLike, noise_sigma: float = 0.0) -> FloatArray:
        """ln of prior × noised density of every class, shape (n, K)."""
        labels = range(self.num_classes)
        return np.stack([np.log(self.priors[c]) + self.log_density(x, c, noise_sigma) for c in labels], axis=1)

    def augmented_rule(self, train_sigma: float) -> DensityRule:
        """The Bayes rule of the noised law (X + αZ, Y)."""
        return DensityRule(self, validation.nonnegative("train_sigma", train_sigma))


@dataclass(frozen=True, eq=False)
class DensityRule:
    """The class with the largest prior × noised density, the smallest label among equals.

    Attributes:
        task: whose law it is.
        train_sigma: α ≥ 0.
    """

    task: DensityTask
    train_sigma: float

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return self.task.num_classes

    def predict(self, x: ArrayLike) -> np.ndarray:
        """The class of each point, shape (n,)."""
        return np.argmax(self.task.log_scores(x, self.train_sigma), axis=1)
