"""Parquet files: data sets as Hugging Face publishes them, with encoded images; and tables of numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from noiseaug.data.images import Sizes, decode_images
from noiseaug.data.labels import to_labels
from noiseaug.data.readers import NoSplitError, Part
from noiseaug.data.tables import part_of_frames, split_frame
from noiseaug.errors import InvalidInputError, first_line

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
        tables = {each: _table(files) for each in _SPLITS if (files := self._files(each))}
        if not tables:
            raise NoSplitError(f"{self.path} has no files of a split; expected train-….parquet and test-….parquet")
        pictured = _image_column(next(iter(tables.values())).schema)
        if pictured is None:
            frames = {each: table.to_pandas() for each, table in tables.items()}
            if list(frames) == ["test"]:
                frames = split_frame(frames["test"])
            return part_of_frames(str(self.path), frames, split, self.label, self.scale)
        if split not in tables:
            raise NoSplitError(f"{self.path} has no {split} split; it has {', '.join(tables)}")
        column = self._label_column(tables[split])
        labels = {each: to_labels(f"{self.path}: {column}", _column(table, column)) for each, table in tables.items()}
        pictures = list(_pictures(tables[split], pictured))
        images = decode_images(str(self.path), pictures, sizes)
        names = _class_names(tables[split].schema, column)
        return Part(images, labels[split], tuple(labels.values()), names)

    def _files(self, split: str) -> list[Path]:
        if not self.path.is_dir():
            named = [each for each, names in _SPLITS.items() if self.path.name.startswith(names)]
            return [self.path] if split == (named[0] if named else "test") else []
        every = sorted([*self.path.glob("*.parquet"), *self.path.glob("data/*.parquet")])
        for name in _SPLITS[split]:
            if found := [path for path in every if path.name.startswith(name)]:
                return found
        return []

    def _label_column(self, table: Any) -> str:
        known = [name for name in ([self.label] if self.label else _LABELS) if name in table.column_names]
        if not known:
            raise InvalidInputError(
                f"which column of {self.path} is the label? Give it as label=...; the columns are "
                f"{', '.join(table.column_names)}"
            )
        return known[0]


def _table(files: list[Path]) -> Any:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise InvalidInputError("parquet files need pyarrow; pip install 'noiseaug[parquet]'") from None
    tables = []
    for path in files:
        try:
            tables.append(parquet.read_table(path))
        except (pyarrow.ArrowException, OSError) as error:
            raise InvalidInputError(f"{path} is not a readable parquet file: {first_line(error)}") from None
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
