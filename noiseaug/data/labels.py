"""Labels as users have them, numbers from any start or class names, and the places of classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from noiseaug.errors import InvalidInputError

__all__ = ["Classes", "to_labels"]

_MOST_CLASSES = 100_000


@dataclass(frozen=True, eq=False)
class Classes:
    """The classes of a data set.

    Attributes:
        names: the names of the classes, in the order of their places 0 … K−1.
        values: the set's own label of each class, ascending, shape (K,); None where labels are places already.
    """

    names: tuple[str, ...]
    values: np.ndarray | None = None

    @classmethod
    def of(cls, what: str, labels: Sequence[np.ndarray], names: Sequence[str] | None = None) -> Classes:
        """The classes of all labels of a set.

        Labels 0 … K−1 keep their numbers, even where a class in between has no input. Others, such as class names or
        the numbers {1, 2, 7}, are numbered in their order.

        Args:
            what: the file or array, for messages.
            labels: of each split, as :func:`to_labels` gives them.
            names: the names of the classes, where the set has them; the labels are then their places.

        Raises:
            InvalidInputError: for labels that are numbers in one split and text in another, or outside of ``names``,
                and for more than 100 000 classes.
        """
        every = [each for each in labels if each.size]
        if not every:
            return cls(tuple(names or ()))
        if len({each.dtype.kind == "U" for each in every}) > 1:
            raise InvalidInputError(f"{what} has labels that are numbers in one split and text in another")
        values = np.unique(np.concatenate([np.unique(each) for each in every]))
        if names is not None:
            if values.dtype.kind != "i" or values[0] < 0 or values[-1] >= len(names):
                raise InvalidInputError(
                    f"{what} runs from {values[0]} to {values[-1]}; expected 0 … {len(names) - 1}, for "
                    f"{len(names)} names of classes"
                )
            return cls(tuple(map(str, names)))
        if values.dtype.kind == "i" and values[0] == 0 and values[-1] < _MOST_CLASSES:
            return cls(tuple(map(str, range(int(values[-1]) + 1))))
        if len(values) > _MOST_CLASSES:
            raise InvalidInputError(f"{what} holds {len(values)} different labels; expected classes")
        return cls(tuple(map(str, values.tolist())), values)

    def places(self, labels: np.ndarray) -> np.ndarray:
        """Labels that were among those of :meth:`of` as places 0 … K−1, int64."""
        return labels if self.values is None else np.searchsorted(self.values, labels).astype(np.int64)


def to_labels(name: str, y: ArrayLike) -> np.ndarray:
    """Labels as an array of shape (m,): int64, or text.

    Args:
        name: of the array, for messages.
        y: integers (floats with integral values and booleans are taken for them), or class names; shape (m,) or (m, 1).

    Raises:
        InvalidInputError: for another shape or type.
    """
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iubfUSO":
        raise InvalidInputError(
            f"{name} is {labels.dtype} of shape {labels.shape}; expected integer labels or class names of shape (m,)"
        )
    if labels.dtype.kind in "USO":
        return _texts(name, labels)
    if labels.dtype.kind == "f":
        # NaN is not its own floor
        strange = labels != np.floor(labels)
        if strange.any() or np.isinf(labels).any():
            bad = labels[strange | np.isinf(labels)][0]
            raise InvalidInputError(f"{name} holds {bad:g}; expected integer labels or class names of shape (m,)")
    if labels.size and not -(2**63) <= int(labels.min()) <= int(labels.max()) < 2**63:
        raise InvalidInputError(f"{name} runs from {labels.min()} to {labels.max()}; expected 64-bit integers")
    return labels.astype(np.int64)


def _texts(name: str, labels: np.ndarray) -> np.ndarray:
    """Class names as text; an array of objects may hold them, or integers."""

    def text(value: Any) -> str:
        if isinstance(value, bytes):
            try:
                return value.decode()
            except UnicodeDecodeError:
                raise InvalidInputError(f"{name} holds {value!r}; expected class names in UTF-8") from None
        if not isinstance(value, str):
            raise InvalidInputError(f"{name} holds {value!r}; expected class names throughout")
        return value

    values = labels.tolist()
    if labels.dtype.kind == "O" and values and all(isinstance(value, int | np.integer) for value in values):
        if not -(2**63) <= min(values) <= max(values) < 2**63:
            raise InvalidInputError(f"{name} runs from {min(values)} to {max(values)}; expected 64-bit integers")
        return np.array(values, dtype=np.int64)
    return np.array([text(value) for value in values], dtype=np.str_)
