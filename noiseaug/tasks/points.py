"""A data set as a task: the Bayes rule of noised point masses is a kernel rule (docs/math.md 2.8)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from noiseaug import validation
from noiseaug.data import DATASETS
from noiseaug.errors import InvalidInputError
from noiseaug.tasks.base import Task
from noiseaug.validation import FloatArray

__all__ = ["KernelRule", "PointMasses"]

_BLOCK_FLOATS = 1 << 22  # distances held at a time: 32 MiB


@dataclass(frozen=True, eq=False)
class KernelRule:
    """The class with the largest Σ_{i: y_i=c} exp(−|x−x_i|²/2α²); at α = 0 the nearest neighbour's.

    Attributes:
        points: shape (n, dim).
        labels: integers in 0, …, num_classes − 1, shape (n,), sorted.
        num_classes: number of classes.
        train_sigma: α ≥ 0.
    """

    points: FloatArray
    labels: np.ndarray
    num_classes: int
    train_sigma: float

    def log_scores(self, x: ArrayLike) -> FloatArray:
        """ln of the class scores, or −|x − nearest|² per class at α = 0; shape (n, num_classes)."""
        places = validation.points(x, self.points.shape[1])
        # from the middle of the data, so that its place costs no digits
        centre = self.points.mean(axis=0)
        places, points = places - centre, self.points - centre
        squares = np.sum(points**2, axis=1)
        starts = np.searchsorted(self.labels, np.arange(self.num_classes))
        out = np.empty((len(places), self.num_classes))
        rows = max(1, _BLOCK_FLOATS // len(self.points))
        for begin in range(0, len(places), rows):
            block = places[begin : begin + rows]
            # |x|² is common to all classes
            distance = squares - 2 * (block @ points.T)
            if self.train_sigma == 0:
                out[begin : begin + rows] = -np.minimum.reduceat(distance, starts, axis=1)
                continue
            logs = distance * (-0.5 / self.train_sigma**2)
            top = np.maximum.reduceat(logs, starts, axis=1)
            np.subtract(logs, np.repeat(top, np.diff(np.append(starts, len(self.labels))), axis=1), out=logs)
            out[begin : begin + rows] = top + np.log(np.add.reduceat(np.exp(logs, out=logs), starts, axis=1))
        return out

    def predict(self, x: ArrayLike) -> np.ndarray:
        """The class of each point, shape (n,); ties go to the smaller label."""
        return np.argmax(self.log_scores(x), axis=1)


@dataclass(frozen=True, eq=False)
class PointMasses(Task):
    """The law of a data set: each point with its label is drawn with equal probability.

    Its noised law is a kernel density in each class, whose Bayes rule (``augmented``) predicts what noise-augmented
    training can reach from the data alone. Risks have no closed form; they are had by sampling points and votes.

    Attributes:
        points: shape (n, dim).
        labels: integers 0, …, K − 1 with each class present, shape (n,).
        test_points: points at which risks are taken instead, shape (m, dim); the rule never sees them.
        test_labels: their labels, shape (m,).
        name: what to call the data set in tables.
    """

    points: FloatArray
    labels: np.ndarray
    test_points: FloatArray | None = None
    test_labels: np.ndarray | None = None
    name: str | None = None
    dim: int = field(init=False, repr=False)
    num_classes: int = field(init=False, repr=False)
    rules: ClassVar[tuple[str, ...]] = ("augmented",)

    def __post_init__(self) -> None:
        points = validation.array("points", self.points, 2)
        if points.size == 0:
            raise InvalidInputError("points are empty; expected at least one point in each of two classes")
        labels = labels_of("labels", self.labels, len(points))
        classes = np.unique(labels)
        if classes.size < 2 or not np.array_equal(classes, np.arange(classes.size)):
            raise InvalidInputError(
                f"labels take the values {classes.tolist()}; expected 0, …, K−1 with K ≥ 2, each present"
            )
        order = np.argsort(labels, kind="stable")
        object.__setattr__(self, "points", points[order])
        object.__setattr__(self, "labels", labels[order])
        object.__setattr__(self, "dim", points.shape[1])
        object.__setattr__(self, "num_classes", int(classes.size))
        if (self.test_points is None) != (self.test_labels is None):
            raise InvalidInputError("test_points and test_labels go together; give both or neither")
        if self.test_points is not None:
            test_points = validation.points(validation.array("test_points", self.test_points, 2), self.dim)
            test_labels = labels_of("test_labels", self.test_labels, len(test_points))
            if test_labels.max() >= classes.size:
                raise InvalidInputError(f"test_labels hold {test_labels.max()}, a class without training points")
            object.__setattr__(self, "test_points", test_points)
            object.__setattr__(self, "test_labels", test_labels)

    @classmethod
    def moons(cls, n: int = 200, noise: float = 0.1, seed: int = 0) -> PointMasses:
        """scikit-learn's two moons."""
        from sklearn.datasets import make_moons

        points, labels = make_moons(n, noise=noise, random_state=seed)
        return cls(points, labels, name=f"moons(n={n},noise={noise:g},seed={seed})")

    @classmethod
    def circles(cls, n: int = 200, noise: float = 0.05, factor: float = 0.6, seed: int = 0) -> PointMasses:
        """scikit-learn's two circles, the inner one of radius ``factor``."""
        from sklearn.datasets import make_circles

        points, labels = make_circles(n, noise=noise, factor=factor, random_state=seed)
        return cls(points, labels, name=f"circles(n={n},noise={noise:g},factor={factor:g},seed={seed})")

    @classmethod
    def digits(cls, test_share: float = 0.5, seed: int = 0) -> PointMasses:
        """The bundled 8×8 digits of the data set ``digits``, in [0, 1], split at random into training and test points.

        Unlike the data set's own split, this one has a seed and a share, so that what a theory of sampled points says
        can be averaged over splits.
        """
        images, labels = DATASETS["digits"].read({})
        share = validation.probability("test_share", test_share)
        order = np.random.default_rng(seed).permutation(len(labels))
        cut = round(len(labels) * (1 - share))
        train, test = order[:cut], order[cut:]
        scaled = images.reshape(len(images), -1).astype(float)
        return cls(
            scaled[train], labels[train], scaled[test], labels[test], name=f"digits(test_share={share:g},seed={seed})"
        )

    def sample(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, np.ndarray]:
        points, labels = self.evaluation
        pick = rng.integers(len(points), size=n)
        return points[pick], labels[pick]

    @property
    def evaluation(self) -> tuple[FloatArray, np.ndarray]:
        """The points at which risks are taken, and their labels."""
        if self.test_points is None or self.test_labels is None:
            return self.points, self.labels
        return self.test_points, self.test_labels

    def augmented_rule(self, train_sigma: float) -> KernelRule:
        """The Bayes rule of the noised data set."""
        alpha = validation.nonnegative("train_sigma", train_sigma)
        return KernelRule(self.points, self.labels, self.num_classes, alpha)

    def __str__(self) -> str:
        return f"PointMasses({self.name})" if self.name else super().__str__()


def labels_of(name: str, value: Any, count: int) -> np.ndarray:
    labels = np.asarray(value)
    if labels.shape != (count,):
        raise InvalidInputError(f"{name} have shape {labels.shape}; expected ({count},)")
    if labels.size == 0 or not np.issubdtype(labels.dtype, np.integer):
        raise InvalidInputError(f"{name} are {labels.dtype}; expected integers")
    if labels.min() < 0:
        raise InvalidInputError(f"{name} hold {labels.min()}; expected integers of at least 0")
    return labels.astype(np.int64)
