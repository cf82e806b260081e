"""``.npz`` files, which can hold arrays alone, under the names that are in use or under others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from noiseaug.data.arrays import open_arrays
from noiseaug.data.inputs import to_inputs
from noiseaug.data.labels import to_labels
from noiseaug.data.readers import SPLITS, NoSplitError, Part
from noiseaug.errors import InvalidInputError

__all__ = ["Npz"]

# The names that are in use for the arrays of a split: scikit-learn's and this package's, Keras's, MedMNIST's.
_INPUT_KEYS = {
    "test": ("x", "X", "images", "data", "x_test", "X_test", "test_images", "test_x", "test_data"),
    "train": ("train_x", "train_images", "x_train", "X_train", "train_data"),
}
_LABEL_KEYS = {
    "test": ("y", "labels", "target", "y_test", "test_labels", "test_y"),
    "train": ("train_y", "train_labels", "y_train"),
}
_MORE_LABELS = ("val_labels", "y_val", "val_y")  # of a split that is not used, but has the set's classes


@dataclass(frozen=True)
class Npz:
    """A ``.npz`` file.

    Attributes:
        path: the file, with arrays such as ``x`` and ``y`` and, to train on, ``train_x`` and ``train_y``; Keras's and
            MedMNIST's names are known too.
        x: the key of the inputs, or two: of those to certify and of those to train on, separated by a comma.
        y: the key or keys of the labels.
    """

    path: Path
    x: str = ""
    y: str = ""

    def read(self, split: str) -> Part:
        """One split; see :class:`~noiseaug.data.readers.Reader`."""
        path = self.path
        with open_arrays(path) as file:
            keys = list(file.names)
            named = [self._key(keys, *names, split) for names in ((self.x, _INPUT_KEYS), (self.y, _LABEL_KEYS))]
            x, y = (file[key] for key in named)
            labels = to_labels(f"{path}: {named[1]}", y)
            places = [_found(keys, self.y, _LABEL_KEYS, each) for each in SPLITS]
            others = [key for key in (*places, *_MORE_LABELS) if key in keys and key != named[1]]
            known = (labels, *(to_labels(f"{path}: {key}", file[str(key)]) for key in others))
        inputs, notes = to_inputs(f"{path}: {named[0]}", x)
        return Part(inputs, labels, known, None, notes)

    def _key(self, keys: list[str], given: str, names: dict[str, tuple[str, ...]], split: str) -> str:
        found = _found(keys, given, names, split)
        if found is not None:
            return found
        held = f"it holds {', '.join(keys) or 'nothing'}"
        if given and split == "test":
            raise InvalidInputError(f"{self.path} lacks {given}; {held}")
        first, *rest = names[split]
        raise NoSplitError(
            f"{self.path} lacks {first} (or {', '.join(rest)}); {held}; other keys can be given as x=... and y=..."
        )


def _found(keys: list[str], given: str, names: dict[str, tuple[str, ...]], split: str) -> str | None:
    """The key of a split's array: the one that was given, else the first known name that is there."""
    chosen = [given] if given in keys else given.split(",")
    if given and (split == "test" or len(chosen) == 2):
        wanted: tuple[str, ...] = (chosen[("test", "train").index(split)] if len(chosen) == 2 else given,)
    else:
        wanted = names[split]
    return next((key for key in wanted if key in keys), None)
