"""Inputs to certify and inputs to train on, by the name of a data set or a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from noiseaug.errors import InvalidInputError

__all__ = ["DataSource", "load_data"]


@dataclass(frozen=True, eq=False)
class DataSource:
    """Inputs to certify and, where there are any, inputs to train on.

    Attributes:
        name: as it was asked for.
        x: inputs, shape (m, …).
        y: labels 0 … K−1, shape (m,).
        train_x: training inputs, or None.
        train_y: their labels, or None.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    train_x: np.ndarray | None = None
    train_y: np.ndarray | None = None


def load_data(name: str, root: Path | None = None) -> DataSource:
    """A data set by name.

    Args:
        name: ``digits`` (scikit-learn's, in [0, 1], every other image for training), an image set of
            :mod:`noiseaug.data.images` (``mnist``, ``cifar10``, …), ``digits:3,8`` (some of a set's classes, labelled
            0, 1, …), or a ``.npz`` file with arrays ``x`` and ``y`` and, to train on, ``train_x`` and ``train_y``.
        root: folder of image sets, where it is not the usual one.

    Raises:
        InvalidInputError: for an unknown name or a file without these arrays.
    """
    if name.split(":")[0] == "digits":
        return _digits(name)
    if not name.endswith(".npz"):
        from noiseaug.data.images import load_images

        test, train = (load_images(name, split, root=root) for split in ("test", "train"))
        return DataSource(name, test.images, test.labels, train.images, train.labels)
    try:
        with np.load(name, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except FileNotFoundError:
        raise InvalidInputError(f"no file {name}") from None
    except (ValueError, OSError, EOFError) as error:
        raise InvalidInputError(f"{name} is not a readable .npz file: {error}") from None
    missing = [key for key in ("x", "y") if key not in arrays]
    if missing:
        raise InvalidInputError(f"{name} lacks {' and '.join(missing)}; it holds {', '.join(arrays) or 'nothing'}")
    for key in ("y", "train_y"):
        if key in arrays and not np.issubdtype(arrays[key].dtype, np.integer):
            raise InvalidInputError(f"{name}: {key} is {arrays[key].dtype}; expected integer labels from 0")
    return DataSource(name, arrays["x"], arrays["y"], arrays.get("train_x"), arrays.get("train_y"))


def _digits(name: str) -> DataSource:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    _, colon, pair = name.partition(":")
    if colon:
        try:
            classes = [int(part) for part in pair.split(",")]
        except ValueError:
            classes = []
        if len(classes) < 2 or len(set(classes)) < len(classes) or not set(classes) <= set(range(10)):
            raise InvalidInputError(f"data is {name!r}; expected different digits, as in digits:3,8")
        kept = np.isin(y, classes)
        x, y = x[kept], np.searchsorted(np.sort(classes), y[kept])
    return DataSource(name, x[1::2], y[1::2], x[::2], y[::2])
