"""Tables of numbers with a column of labels: CSV files and pandas frames."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from noiseaug import validation
from noiseaug.data.inputs import SCALING
from noiseaug.data.labels import to_labels
from noiseaug.data.readers import SPLITS, NoSplitError, Part
from noiseaug.errors import InvalidInputError, first_line
from noiseaug.runs import read_file

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Table", "label_column", "part_of_frames", "split_frame"]

_LABELS = ("label", "y", "target", "class")  # names of a column of labels that need not be given
_SPLIT = "split"  # the column that says which split a row is of
_SCALES = ("none", "standard")


@dataclass(frozen=True)
class Table:
    """A CSV file, or a folder with ``test.csv`` and, to train on, ``train.csv``.

    The rows of one file are inputs to certify, unless a column ``split`` says ``train`` or ``test``.

    Attributes:
        path: the file or folder.
        label: the column of the labels; it need not be given where it is ``label``, ``y``, ``target`` or ``class``.
        scale: ``none``, or ``standard``: each column less its mean, by its standard deviation, both over the rows to
            train on (of a table without such rows, over all).
    """

    path: Path
    label: str = ""
    scale: str = "none"

    def read(self, split: str) -> Part:
        """One split; see :class:`~noiseaug.data.readers.Reader`."""
        return part_of_frames(str(self.path), self._frames, split, self.label, self.scale)

    @cached_property
    def _frames(self) -> dict[str, pd.DataFrame]:
        """The rows of each split."""
        if not self.path.is_dir():
            return split_frame(_read_csv(self.path))
        files = {each: self.path / f"{each}.csv" for each in SPLITS}
        return {each: _read_csv(path) for each, path in files.items() if path.is_file()}


def _read_csv(path: Path) -> pd.DataFrame:
    import pandas as pd

    separator = "\t" if path.name.endswith(".tsv") else ","
    try:
        content = read_file(path)
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror}") from None
    try:
        packed: Any = "gzip" if path.name.endswith(".gz") else None
        return pd.read_csv(io.BytesIO(content), sep=separator, compression=packed)
    except (ValueError, OSError, EOFError) as error:
        raise InvalidInputError(f"{path} is no table: {first_line(error)}") from None


def split_frame(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of each split of a frame: by its column ``split``, else all of them as inputs to certify."""
    if _SPLIT not in frame:
        return {"test": frame}
    names = frame[_SPLIT].astype(str)
    return {each: frame[names == each].drop(columns=_SPLIT) for each in ("train", "test") if (names == each).any()}


def part_of_frames(
    what: str, frames: Mapping[str, pd.DataFrame], split: str, label: str = "", scale: str = "none"
) -> Part:
    """One split of a table, from a frame for each of its splits.

    Args:
        what: the file, for messages.
        frames: by split; of the columns, all but the labels' are inputs.
        split: ``train`` or ``test``.
        label: as for :class:`Table`.
        scale: likewise.

    Raises:
        NoSplitError: where there is no frame for the split.
        InvalidInputError: for a column that is not there, is no number or has gaps, and tables whose columns differ.
    """
    validation.choice("scale", scale, _SCALES)
    if split not in frames:
        raise NoSplitError(f"{what} has no {split} rows; expected a column {_SPLIT}, or files train.csv and test.csv")
    column = label_column(what, list(frames[split].columns), label)
    for frame in frames.values():
        label_column(what, list(frame.columns), column)
    tables = {each: _numbers(what, frame, column) for each, frame in frames.items()}
    labels = {each: to_labels(f"{what}: {column}", frame[column]) for each, frame in frames.items()}
    names, rows = tables[split]
    if any(other != names for other, _ in tables.values()):
        raise InvalidInputError(f"{what} has other columns to train on than to certify; expected the same ones")
    notes: dict[str, Any] = {}
    if scale == "standard":
        base = tables.get("train", tables[split])[1]
        mean, std = base.mean(axis=0), base.std(axis=0)
        std[std == 0] = 1  # a constant column has nothing to scale
        rows = (rows - mean) / std
        notes = {SCALING: {"mean": mean.tolist(), "std": std.tolist()}}
    with np.errstate(over="ignore"):  # infinities are refused with the set
        return Part(rows.astype(np.float32), labels[split], tuple(labels.values()), None, notes)


def label_column(what: str, columns: list[Any], label: str) -> str:
    """The column of the labels: the given one, which must be there, else the only one with a known name."""
    if label:
        if label not in columns:
            raise InvalidInputError(f"{what} has no column {label}; it has {_listed(columns)}")
        return label
    known = [name for name in _LABELS if name in columns]
    if len(known) != 1:
        raise InvalidInputError(
            f"which column of {what} is the label? Give it as label=...; the columns are {_listed(columns)}"
        )
    return known[0]


def _numbers(what: str, frame: pd.DataFrame, label: str) -> tuple[list[Any], np.ndarray]:
    """The names and the numbers of all columns but the label's."""
    inputs = frame.drop(columns=label)
    if not inputs.shape[1]:
        raise InvalidInputError(f"{what} has no column beside {label}; expected columns of numbers")
    for name, column in inputs.items():
        if column.isna().any():
            raise InvalidInputError(f"{what}: column {name} has gaps; fill them, or leave the rows out")
        if len(column) and column.dtype.kind not in "iufb":
            raise InvalidInputError(
                f"{what}: column {name} holds {column.iloc[0]!r}; expected numbers: leave it out, or encode it"
            )
    if frame[label].isna().any():
        raise InvalidInputError(f"{what}: column {label} has gaps; leave the rows out")
    return list(inputs.columns), inputs.to_numpy(dtype=np.float64)


def _listed(columns: list[Any]) -> str:
    shown = ", ".join(map(str, columns[:12]))
    return shown + (f" and {len(columns) - 12} more" if len(columns) > 12 else "")
