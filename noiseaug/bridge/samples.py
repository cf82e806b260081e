"""Flat arrays in [0, 1] from data sets, and random parts of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg

from noiseaug import validation
from noiseaug.data import DataSource
from noiseaug.data.inputs import to_floats
from noiseaug.errors import InvalidInputError
from noiseaug.tables import distinct
from noiseaug.validation import FloatArray

__all__ = [
    "TrainingRows",
    "class_mask",
    "default_components",
    "flat",
    "inputs_of",
    "labelled",
    "noise_levels",
    "principal_axes",
    "some",
    "spread",
    "training_part",
]

_WIDE, _SOME_AXES = 1000, 200  # inputs with more coordinates than that keep so many components


def flat(x: np.ndarray) -> np.ndarray:
    """Inputs as rows, shape (m, dim), float32; 8-bit images are scaled to [0, 1]."""
    return to_floats(np.asarray(x)).reshape(len(x), -1)


def some(count: int, most: int | None, seed: int) -> np.ndarray:
    """Sorted indices of at most ``most`` of ``count`` items, drawn without replacement; all where None."""
    seed = validation.integer("seed", seed, at_least=0, at_most=2**63 - 1)  # as tables hold it
    if most is None or validation.integer("most", most) >= count:
        return np.arange(count)
    return np.sort(np.random.default_rng([seed, 5]).choice(count, size=most, replace=False))


def spread(count: int, most: int | None) -> np.ndarray:
    """Indices of about ``most`` of ``count`` items, every k-th of them, as ``noiseaug certify --every`` takes them."""
    if most is None:
        return np.arange(count)
    return np.arange(count)[:: max(1, count // validation.integer("images", most))]


def training_part(data: DataSource, most: int | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A random part of the training inputs, flat, shape (m, dim), with their labels.

    Raises:
        InvalidInputError: for data without training inputs.
    """
    if data.train is None:
        raise InvalidInputError(f"{data.name} has no train_x and train_y; a prediction needs training inputs")
    rows = some(len(data.train), most, seed)
    return data.train.rows(rows), data.train.labels[rows]


def class_mask(labels: np.ndarray, pair: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Which inputs are of a pair of classes, and the labels of those: 0 for the first class, 1 for the second."""
    kept = np.isin(labels, pair)
    return kept, (labels[kept] == pair[1]).astype(np.int64)


def default_components(dim: int) -> int | None:
    """Principal components that Gaussians keep of inputs with so many coordinates: all (None), of wide ones 200."""
    return None if dim <= _WIDE else _SOME_AXES


def principal_axes(covariance: np.ndarray, components: int | None) -> tuple[FloatArray, FloatArray]:
    """Variances, ascending, and axes as columns: of the principal components with the largest variance, or of all."""
    dim = len(covariance)
    if components is None or components >= dim:
        values, axes = linalg.eigh(covariance)
    else:
        values, axes = linalg.eigh(covariance, subset_by_index=[dim - components, dim - 1])
    return values, axes


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """What rules of one training set hold, one rule for each training noise α.

    Attributes:
        points: training inputs, shape (n, dim), float32.
        labels: 0 … K−1, each class present, shape (n,).
        train_sigma: the levels α ≥ 0.
    """

    points: np.ndarray
    labels: np.ndarray
    train_sigma: tuple[float, ...]

    def __post_init__(self) -> None:
        points, labels, _ = labelled(self.points, self.labels)
        object.__setattr__(self, "points", points.astype(np.float32))
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "train_sigma", noise_levels(self.train_sigma))

    @property
    def num_classes(self) -> int:
        """K."""
        return int(self.labels.max()) + 1

    @property
    def dim(self) -> int:
        """Coordinates of a point."""
        return self.points.shape[1]


def labelled(points: ArrayLike, labels: ArrayLike, num_classes: int = 0) -> tuple[FloatArray, np.ndarray, int]:
    """A training set, checked: points (n, dim), labels 0 … K−1 with each class present, and K.

    Raises:
        InvalidInputError: for anything else.
    """
    rows, given = validation.array("points", points, 2), np.asarray(labels)
    if not rows.size or given.shape != (len(rows),) or not np.issubdtype(given.dtype, np.integer):
        raise InvalidInputError(
            f"points have shape {rows.shape}, labels are {given.dtype} of shape {given.shape}; expected "
            "(n, dim) with n ≥ 1, and n integers"
        )
    found, total = np.unique(given), int(num_classes) or int(given.max()) + 1
    if total < 2 or not np.array_equal(found, np.arange(total)):
        raise InvalidInputError(
            f"the training labels are {found.tolist()}; expected 0, …, K−1 with K ≥ 2, each present; take more points"
        )
    return rows, given.astype(np.int64), total


def noise_levels(train_sigma: Sequence[float]) -> tuple[float, ...]:
    """Levels α ≥ 0, one or more, all different."""
    levels = [validation.nonnegative("train_sigma", level) for level in train_sigma]
    if not levels:
        raise InvalidInputError("train_sigma is empty; expected at least one level")
    return tuple(distinct("train_sigma", levels))


def inputs_of(x: ArrayLike, dim: int) -> np.ndarray:
    """Inputs to classify, shape (m, dim), float32."""
    places = np.asarray(x, dtype=np.float32)
    if places.ndim != 2 or places.shape[1] != dim:
        raise InvalidInputError(f"x has shape {places.shape}; expected (m, {dim})")
    return places
