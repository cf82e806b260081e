"""Labelled inputs in memory: one split of a data set, and a test split with the training split that goes with it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from noiseaug import validation
from noiseaug.data.inputs import to_floats, to_inputs
from noiseaug.data.labels import Classes, to_labels
from noiseaug.data.published import DATASETS
from noiseaug.data.readers import SPLITS, DataName, Part
from noiseaug.data.tables import part_of_frames
from noiseaug.errors import InvalidInputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DataSource", "LabelledSet"]


@dataclass(frozen=True, eq=False)
class LabelledSet:
    """Labelled inputs: images, or rows of numbers that are no images.

    Attributes:
        name: as it was asked for, such as ``mnist`` or ``mnist:3,8``.
        split: ``train`` or ``test``.
        inputs: m ≥ 1 images of shape (m, channels, height, width), float32 in [0, 1]; or rows of shape (m, dim), finite
            float32. Either may be uint8, where 0 … 255 stand for [0, 1].
        labels: int64 labels 0 … K−1, shape (m,).
        classes: the K names of the classes.
        notes: what was done with the inputs on reading them, as plain values.

    Raises:
        InvalidInputError: for arrays of other shapes, types or ranges.
    """

    name: str
    split: str
    inputs: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    notes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        validation.choice("split", self.split, SPLITS)
        inputs, labels, what = self.inputs, self.labels, f"{self.name} ({self.split})"
        if inputs.ndim not in (2, 4) or inputs.dtype not in (np.uint8, np.float32):
            raise InvalidInputError(
                f"{what}: inputs are {inputs.dtype} of shape {inputs.shape}; "
                "expected uint8 or float32, (m, C, H, W) or (m, dim)"
            )
        if not inputs.size:
            raise InvalidInputError(f"{what} has no inputs: their shape is {inputs.shape}")
        if inputs.dtype == np.float32:
            low, high, allowed = inputs.min(), inputs.max(), "[0, 1]" if inputs.ndim == 4 else "finite numbers"
            # NaN fails the comparisons too
            if not (low >= 0 and high <= 1 if inputs.ndim == 4 else np.isfinite(low) and np.isfinite(high)):
                raise InvalidInputError(f"{what}: inputs run from {low:g} to {high:g}; expected {allowed}")
        if labels.dtype != np.int64 or labels.shape != inputs.shape[:1]:
            raise InvalidInputError(
                f"{what}: labels are {labels.dtype} of shape {labels.shape}; expected int64, ({len(inputs)},)"
            )
        if labels.min() < 0 or labels.max() >= self.num_classes:
            raise InvalidInputError(
                f"{what}: labels run from {labels.min()} to {labels.max()}; expected 0 … {self.num_classes - 1}"
            )

    @classmethod
    def from_part(cls, name: str, split: str, part: Part) -> Self:
        """A split as a file holds it.

        Args:
            name: as it was asked for.
            split: ``train`` or ``test``.
            part: what was read.

        Raises:
            InvalidInputError: for labels that are none, or inputs that are none.
        """
        classes = Classes.of(f"{name}: labels", part.known, part.names)
        return cls(name, split, part.inputs, classes.places(part.labels), classes.names, part.notes)

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def num_classes(self) -> int:
        """Number of classes, including those without an input."""
        return len(self.classes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input: (channels, height, width), or (dim,)."""
        return self.inputs.shape[1:]

    @property
    def description(self) -> dict[str, Any]:
        """The set in a log: its name and digest, the names of classes that are not just numbered, and the notes."""
        numbered = self.classes == tuple(map(str, range(self.num_classes)))
        names = {} if numbered or DataName.parse(self.name).published else {"classes": list(self.classes)}
        return {"data": self.name, "data_digest": self.digest, **names, **self.notes}

    @cached_property
    def digest(self) -> str:
        """16 hexadecimal digits that identify inputs, labels and classes; for the description of a run."""
        digest = hashlib.sha256(repr((self.inputs.dtype.name, self.inputs.shape, self.classes)).encode())
        digest.update(np.ascontiguousarray(self.inputs).data)
        digest.update(np.ascontiguousarray(self.labels).data)
        return digest.hexdigest()[:16]

    def floats(self, indices: Any = None) -> np.ndarray:
        """Inputs as float32, 8-bit ones scaled to [0, 1]; those at ``indices``, as for :meth:`take`, or all."""
        return to_floats(self.inputs.copy() if indices is None else self.inputs[self._positions(indices)])

    def rows(self, indices: Any = None) -> np.ndarray:
        """The same as :meth:`floats`, flattened to shape (m, dim)."""
        floats = self.floats(indices)
        return floats.reshape(len(floats), -1)

    def take(self, indices: Any) -> LabelledSet:
        """A part of the set, with the same classes.

        Args:
            indices: integers, a mask or a slice, as numpy takes them.

        Raises:
            InvalidInputError: for indices outside the set, and where nothing is left.
        """
        positions = self._positions(indices)
        return replace(self, inputs=self.inputs[positions], labels=self.labels[positions])

    def _positions(self, indices: Any) -> np.ndarray:
        try:
            positions = np.arange(len(self))[indices]
        except IndexError as error:
            raise InvalidInputError(f"{self.name} ({self.split}) has {len(self)} inputs: {error}") from None
        return np.atleast_1d(positions)

    def numbered(self, num_classes: int) -> LabelledSet:
        """The set for a classifier with so many classes, by the numbers that these have there.

        Nothing changes where the set has as many. Otherwise a class of a published set has its place in the whole set,
        and any other the number that is its name.

        Raises:
            InvalidInputError: for a class without such a number, or beyond those of the classifier.
        """
        if num_classes == self.num_classes:
            return self
        base = DataName.parse(self.name).base
        known = DATASETS[base].classes if base in DATASETS else ()
        numbers = np.array([_number(name, known) for name in self.classes])[self.labels]
        if numbers.min() < 0 or numbers.max() >= num_classes:
            name = self.classes[self.labels[int(np.argmin(numbers) if numbers.min() < 0 else np.argmax(numbers))]]
            raise InvalidInputError(
                f"{self.name} has {self.num_classes} classes, the classifier has {num_classes}; which of those class "
                f"{name} is, is not known"
            )
        return replace(self, labels=numbers, classes=tuple(map(str, range(num_classes))))

    def pick(self, picks: str) -> LabelledSet:
        """Some of the classes, relabelled 0, 1, … in the order that they have in this set.

        Args:
            picks: numbers or names of classes, separated by commas.

        Raises:
            InvalidInputError: for classes that the set does not have, fewer than two, and where nothing is left.
        """
        places = {str(label): label for label in range(self.num_classes)}
        places.update({name: label for label, name in enumerate(self.classes)})  # a name that is a number comes first
        wanted = [places.get(part.strip(), -1) for part in picks.split(",")]
        if len(wanted) < 2 or len(set(wanted)) < len(wanted) or -1 in wanted:
            known, example = ", ".join(self.classes), ",".join(self.classes[:2])
            raise InvalidInputError(f"data is {self.name!r}; expected different ones of {known}, as in :{example}")
        chosen = np.sort(wanted)
        kept = np.isin(self.labels, chosen)
        return replace(
            self,
            inputs=self.inputs[kept],
            labels=np.searchsorted(chosen, self.labels[kept]),
            classes=tuple(self.classes[label] for label in chosen),
        )


def _number(name: str, known: tuple[str, ...]) -> int:
    """The number of a class: its place among known ones, or what its name says; −1 for none."""
    if name in known:
        return known.index(name)
    return int(name) if name.isdecimal() and len(name) < 10 else -1


@dataclass(frozen=True, eq=False)
class DataSource:
    """Inputs to certify and, where there are any, inputs to train on.

    Attributes:
        test: the inputs to certify.
        train: the inputs to train on, or None.
    """

    test: LabelledSet
    train: LabelledSet | None = None

    @property
    def name(self) -> str:
        """The name that was asked for."""
        return self.test.name

    @classmethod
    def from_arrays(
        cls, name: str, x: ArrayLike, y: ArrayLike, train_x: ArrayLike | None = None, train_y: ArrayLike | None = None
    ) -> Self:
        """A data set from arrays, taken as those of a ``.npz`` file are.

        Args:
            name: what to call it.
            x: inputs to certify, as :func:`noiseaug.data.inputs.to_inputs` takes them.
            y: their labels, integers or class names, shape (m,).
            train_x: inputs to train on.
            train_y: their labels.

        Raises:
            InvalidInputError: for other arrays.
        """
        arrays = {"test": (x, y)}
        if train_x is not None and train_y is not None:
            arrays["train"] = train_x, train_y
        labels = {split: to_labels(f"{name} ({split}): y", each[1]) for split, each in arrays.items()}
        inputs = {split: to_inputs(f"{name} ({split}): x", each[0]) for split, each in arrays.items()}
        known = tuple(labels.values())
        return cls._of_parts(
            name, {split: Part(rows, labels[split], known, None, notes) for split, (rows, notes) in inputs.items()}
        )

    @classmethod
    def from_frames(
        cls, name: str, test: pd.DataFrame, train: pd.DataFrame | None = None, *, label: str = "", scale: str = "none"
    ) -> Self:
        """A data set from pandas frames, taken as a table's file is (:class:`noiseaug.data.tables.Table`).

        Args:
            name: what to call it.
            test: rows to certify: a column of labels, and columns of numbers.
            train: rows to train on, with the same columns.
            label: the column of the labels.
            scale: ``none``, or ``standard`` to scale each column by its mean and standard deviation over ``train``.

        Raises:
            InvalidInputError: for other frames.
        """
        frames = {"test": test} if train is None else {"test": test, "train": train}
        return cls._of_parts(name, {split: part_of_frames(name, frames, split, label, scale) for split in frames})

    @classmethod
    def _of_parts(cls, name: str, parts: Mapping[str, Part]) -> Self:
        return cls(**{split: LabelledSet.from_part(name, split, part) for split, part in parts.items()})
