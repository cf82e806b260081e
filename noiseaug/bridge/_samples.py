"""Flat arrays in [0, 1] from data sets, and random parts of them."""

from __future__ import annotations

import numpy as np

from noiseaug import _validate
from noiseaug.errors import InvalidInputError
from noiseaug.sources import DataSource

__all__ = ["class_mask", "flat", "some", "spread", "training_part"]


def flat(x: np.ndarray) -> np.ndarray:
    """Inputs as rows, shape (m, dim), float32; 8-bit images are scaled to [0, 1] as the vote engine does."""
    rows = np.asarray(x).reshape(len(x), -1)
    if rows.dtype == np.uint8:
        return np.divide(rows, np.float32(255), dtype=np.float32)
    return np.ascontiguousarray(rows, dtype=np.float32)


def some(count: int, most: int | None, seed: int) -> np.ndarray:
    """Sorted indices of at most ``most`` of ``count`` items, drawn without replacement; all where None."""
    if most is None or _validate.integer("most", most) >= count:
        return np.arange(count)
    return np.sort(np.random.default_rng([seed, 5]).choice(count, size=most, replace=False))


def spread(count: int, most: int | None) -> np.ndarray:
    """Indices of about ``most`` of ``count`` items, every k-th of them, as ``noiseaug certify --every`` takes them."""
    if most is None:
        return np.arange(count)
    return np.arange(count)[:: max(1, count // _validate.integer("images", most))]


def training_part(data: DataSource, most: int | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A random part of the training inputs, flat, shape (m, dim), with their labels.

    Raises:
        InvalidInputError: for data without training inputs.
    """
    if data.train_x is None or data.train_y is None:
        raise InvalidInputError(f"{data.name} has no train_x and train_y; a prediction needs training inputs")
    rows = some(len(data.train_x), most, seed)
    return flat(data.train_x[rows]), np.asarray(data.train_y[rows], dtype=np.int64)


def class_mask(labels: np.ndarray, pair: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Which inputs are of a pair of classes, and the labels of those: 0 for the first class, 1 for the second."""
    kept = np.isin(labels, pair)
    return kept, (labels[kept] == pair[1]).astype(np.int64)
