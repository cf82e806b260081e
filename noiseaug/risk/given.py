"""The law of the points of one class, as a task: what a quantity is of it, the class pays or gains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from noiseaug.regions import Region
from noiseaug.tasks import BinaryTask
from noiseaug.validation import FloatArray

__all__ = ["GivenClass"]

_MOST_DRAWS = 1 << 20  # of the task at a time, to find those of a rare class


@dataclass(frozen=True)
class GivenClass(BinaryTask):
    """(X, Y) given Y = label; the classifiers are those of the whole task.

    Attributes:
        task: the whole law.
        label: 0 or 1.
    """

    task: BinaryTask
    label: int

    @property
    def dim(self) -> int:  # type: ignore[override]
        """Dimension of the points."""
        return self.task.dim

    @property
    def prior(self) -> float:  # type: ignore[override]
        """P(Y=1), which is 0 or 1."""
        return float(self.label)

    def sample(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, np.ndarray]:
        share = self.task.prior if self.label else 1 - self.task.prior
        parts, missing = [np.empty((0, self.dim))], n
        while missing > 0:
            x, y = self.task.sample(min(int(1.1 * missing / share) + 16, _MOST_DRAWS), rng)
            parts.append(x[y == self.label][:missing])
            missing -= len(parts[-1])
        return np.concatenate(parts), np.full(n, self.label)

    def log_density(self, x: ArrayLike, label: int, noise_sigma: float = 0.0) -> FloatArray:
        return self.task.log_density(x, label, noise_sigma)

    def augmented_region(self, train_sigma: float) -> Region:
        return self.task.augmented_region(train_sigma)

    def class_mass(self, label: int, regions: Sequence[Region]) -> FloatArray:
        return self.task.class_mass(label, regions)

    def expectation(
        self,
        label: int,
        region: Region,
        sigma: float,
        function: Callable[[FloatArray], FloatArray],
        breakpoints: ArrayLike,
    ) -> tuple[FloatArray, FloatArray]:
        if label != self.label:
            return np.zeros(()), np.zeros(())
        return self.task.expectation(label, region, sigma, function, breakpoints)

    def disagreement_mass(self, first: Region, second: Region) -> float:
        raise NotImplementedError("disagreement is of all classes together")

    def excess_mass(self, region: Region) -> float:
        raise NotImplementedError("excess risk is of all classes together")

    def reach(self) -> float:
        return self.task.reach()

    def radius_cap(self, region: Region, sigma: float) -> float:
        return self.task.radius_cap(region, sigma)
