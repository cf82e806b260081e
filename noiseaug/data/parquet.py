"""Parquet files: data sets as Hugging Face publishes them, with encoded images; and tables of numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from noiseaug.data.images import Sizes, decode_images
from noiseaug.data.labels import to_labels
from noiseaug.data.readers import NoSplitError, Part
from noiseaug.data.tables import label_column, part_of_frames, split_frame
from noiseaug.errors import InvalidInputError, first_line
from noiseaug.runs import open_file

__all__ = ["Parquet"]

_SPLITS = {"train": ("train",), "test": ("test", "validation", "val")}
_LABELS = ("label", "labels", "fine_label", "target")


@dataclass(frozen=True)
class Parquet:
    """A file, or a folder with files such as ``train-00000-of-00001.parquet``, perhaps in a folder ``data``.

    A column of structures with ``bytes`` holds encoded images; a file without one is a table.

    Attributes:
        path: the file or folder. A file whose name does not begin with a split's holds inputs to certify.
        label: the column of the labels.
        scale: of a table; as for :class:`~noiseaug.data.tables.Table`.
        resize: of images; as for :class:`~noiseaug.data.images.Sizes`.
        centre_crop: likewise.
    """

    path: Path
    label: str = ""
    scale: str = "none"
    resize: str = ""
    centre_crop: str = ""

    def read(self, split: str) -> Part:
        """One split; see :class:`~noiseaug.data.readers.Reader`."""
        sizes = Sizes(self.resize, self.centre_crop)
        files = {each: found for each in _SPLITS if (found := self._files(each))}
        if not files:
            raise NoSplitError(f"{self.path} has no files of a split; expected train-….parquet and test-….parquet")
        schema = _schema(next(iter(files.values()))[0])
        pictured = _image_column(schema)
        if pictured is None:
            frames = {each: _table(paths).to_pandas() for each, paths in files.items()}
            if list(frames) == ["test"]:
                frames = split_frame(frames["test"])
            return part_of_frames(str(self.path), frames, split, self.label, self.scale)
        if split not in files:
            raise NoSplitError(f"{self.path} has no {split} split; it has {', '.join(files)}")
        table = _table(files[split])
        column = self._label_column(table.column_names)
        others = {each: table if each == split else _table(paths, [column]) for each, paths in files.items()}
        labels = {each: to_labels(f"{self.path}: {column}", _column(some, column)) for each, some in others.items()}
        images = decode_images(str(self.path), list(_pictures(table, pictured)), sizes)
        return Part(images, labels[split], tuple(labels.values()), _class_names(table.schema, column))

    def _files(self, split: str) -> list[Path]:
        if not self.path.is_dir():
            named = [each for each, names in _SPLITS.items() if self.path.name.startswith(names)]
            return [self.path] if split == (named[0] if named else "test") else []
        every = sorted([*self.path.glob("*.parquet"), *self.path.glob("data/*.parquet")])
        for name in _SPLITS[split]:
            if found := [path for path in every if path.name.startswith(name)]:
                return found
        return []

    def _label_column(self, columns: list[str]) -> str:
        if self.label:
            return label_column(str(self.path), columns, self.label)
        known = [name for name in _LABELS if name in columns]
        if not known:
            raise InvalidInputError(
                f"which column of {self.path} is the label? Give it as label=...; the columns are {', '.join(columns)}"
            )
        return known[0]


def _opened(path: Path, use: Callable[[Any, IO[bytes]], Any]) -> Any:
    """What pyarrow.parquet makes of an open file."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise InvalidInputError("parquet files need pyarrow; pip install 'noiseaug[parquet]'") from None
    try:
        with open_file(path) as stream:
            return use(parquet, stream)
    except (pyarrow.ArrowException, OSError) as error:
        raise InvalidInputError(f"{path} is not a readable parquet file: {first_line(error)}") from None


def _schema(path: Path) -> Any:
    return _opened(path, lambda parquet, stream: parquet.read_schema(stream))


def _table(files: list[Path], columns: list[str] | None = None) -> Any:
    """All rows of some files; all columns, or those of the given names that are there."""
    tables = [_opened(path, lambda parquet, stream: parquet.read_table(stream, columns=columns)) for path in files]
    import pyarrow

    try:
        return pyarrow.concat_tables(tables)
    except pyarrow.ArrowException:
        raise InvalidInputError(f"{files[0].parent} holds parquet files with different columns in one split") from None


def _image_column(schema: Any) -> str | None:
    """The first column of structures with a field ``bytes``."""
    import pyarrow

    for column in schema:
        if pyarrow.types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0:
            return str(column.name)
    return None


def _pictures(table: Any, column: str) -> Iterator[tuple[str, bytes]]:
    for number, value in enumerate(table.column(column).to_pylist()):
        if not value or value["bytes"] is None:
            raise InvalidInputError(f"row {number} has no image in column {column}; expected its bytes")
        yield f"in row {number}", value["bytes"]


def _column(table: Any, name: str) -> np.ndarray:
    column = table.column(name)
    if column.null_count:
        raise InvalidInputError(f"column {name} has gaps; leave the rows out")
    return np.array(column.to_pylist())


def _class_names(schema: Any, column: str) -> tuple[str, ...] | None:
    """The names of classes that Hugging Face keeps in the file's metadata; None where there are none."""
    try:
        known = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        names = known["info"]["features"][column]["names"]
        return tuple(map(str, names)) if isinstance(names, list) and names else None
    except (ValueError, KeyError, TypeError):
        return None
