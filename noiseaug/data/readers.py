"""The ways in which users bring data, an entry of ``FORMATS`` each; and names of data in their parts.

A name is that of a published set or a path, the options of its format after a question mark, and classes after a colon:
``mnist:3,8``, ``photos?resize=64&centre_crop=56:cat,dog``, ``iris.csv?label=species``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl, quote, urlencode

import numpy as np

from noiseaug.data.published import DATASETS
from noiseaug.errors import InvalidInputError
from noiseaug.registry import Entry, Parameter, Registry
from noiseaug.runs import expanded

__all__ = ["FORMATS", "SPLITS", "DataName", "Format", "NoSplitError", "Part", "Reader", "named"]

SPLITS = ("train", "test")


class NoSplitError(InvalidInputError):
    """A set lacks a split."""


@dataclass(frozen=True, eq=False)
class Part:
    """One split as a file holds it.

    Attributes:
        inputs: as :class:`~noiseaug.data.LabelledSet` has them.
        labels: as :func:`~noiseaug.data.labels.to_labels` gives them, shape (m,).
        known: the labels of all splits of the set, its own too, which settle the classes.
        names: of the classes, where the set says them; the labels are then their places.
        notes: what was done with the inputs, as plain values for the description of a run.
    """

    inputs: np.ndarray
    labels: np.ndarray
    known: tuple[np.ndarray, ...]
    names: tuple[str, ...] | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)


class Reader(Protocol):
    """Reads one file or folder."""

    def read(self, split: str) -> Part:
        """The split ``train`` or ``test``.

        Raises:
            NoSplitError: where the set has no such split.
            InvalidInputError: for files that hold something else.
        """
        ...


@dataclass(frozen=True)
class Format(Entry[Callable[..., Reader]]):
    """A way of bringing data: what ``code`` makes of a path and the format's options is a :class:`Reader`.

    Attributes:
        suffixes: how the names of its files end.
        holds: patterns; a folder that has a match is of this format. The first entry that fits is taken.
    """

    suffixes: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()

    def fits(self, path: Path) -> bool:
        """Whether a path is of this format; of folders only those that are there are."""
        if path.is_dir():
            return any(any(path.glob(pattern)) for pattern in self.holds)
        return path.name.endswith(self.suffixes)


_KEYS = "; KEY,KEY for those to certify and to train on"
_LABEL = Parameter("", "column of the labels")
_IMAGES = {
    "resize": Parameter("", "length of an image's shorter side, or width×height as 64x48; bilinear"),
    "centre_crop": Parameter("", "side of the square that is cut from the centre, or width×height"),
}

FORMATS: Registry[Callable[..., Reader]] = Registry(
    "format",
    {
        "npz": Format(
            "noiseaug.data.archives:Npz",
            "arrays of NumPy, by scikit-learn's, Keras's, MedMNIST's names or others",
            {"x": Parameter("", f"key of the inputs{_KEYS}"), "y": Parameter("", f"key of the labels{_KEYS}")},
            suffixes=(".npz",),
        ),
        "table": Format(
            "noiseaug.data.tables:Table",
            "a table of numbers with a column of labels",
            {"label": _LABEL, "scale": Parameter("none", "none, or standard: by mean and deviation of each column")},
            suffixes=(".csv", ".csv.gz", ".tsv"),
            holds=("train.csv", "test.csv"),
        ),
        "parquet": Format(
            "noiseaug.data.parquet:Parquet",
            "a data set of Hugging Face with images, or a table",
            {"label": _LABEL, "scale": Parameter("none", "of a table, as above"), **_IMAGES},
            suffixes=(".parquet",),
            holds=("*.parquet", "data/*.parquet"),
        ),
        "cifar-binary": Format(
            "noiseaug.data.binary:CifarBinary",
            "the binary version of CIFAR-10",
            suffixes=(".bin",),
            holds=("data_batch_*.bin", "test_batch.bin"),
        ),
        "folder": Format(
            "noiseaug.data.folders:ImageFolder", "images, a folder for each class", _IMAGES, holds=("*/",)
        ),
    },
)
"""How files and folders are read, in the order in which they are tried."""


@dataclass(frozen=True)
class DataName:
    """A name of data in its parts.

    Attributes:
        base: a published set, or a path.
        options: of the path's format.
        picks: classes, as after the colon, or None.
    """

    base: str
    options: tuple[tuple[str, str], ...] = ()
    picks: str | None = None

    @classmethod
    def parse(cls, name: str) -> DataName:
        """The parts of a name; a path may have colons and question marks of its own."""
        if _known(name):
            return cls(name)
        base, mark, rest = name.rpartition("?")
        if mark and _known(base):
            query, colon, picks = rest.partition(":")  # which the values of options have encoded
            return cls(base, tuple(parse_qsl(query, keep_blank_values=True)), picks if colon else None)
        base, colon, picks = name.rpartition(":")
        return cls(base, (), picks) if colon and _known(base) else cls(name)

    def __str__(self) -> str:
        query = f"?{urlencode(self.options, quote_via=quote)}" if self.options else ""
        return self.base + query + ("" if self.picks is None else f":{self.picks}")

    @property
    def published(self) -> bool:
        """Whether it is of a published set."""
        return self.base in DATASETS

    @property
    def path(self) -> Path:
        """Where the data lie that are not published ones."""
        return expanded(self.base)

    def inside(self, folder: Path) -> DataName:
        """The same with a relative path taken from a folder; published sets stay as they are."""
        return self if self.published else DataName(str(folder / self.path), self.options, self.picks)

    def reader(self) -> Reader:
        """What reads the path.

        Raises:
            InvalidInputError: for a path that is not there or of no known format, or an option that the format has not.
        """
        found = _format(self.base)
        if found is None:
            raise InvalidInputError(
                f"data is {self.base!r}; expected one of {', '.join(DATASETS)}, a file that ends in "
                f"{', '.join(_suffixes())}, or a folder of images"
            )
        name, entry = found
        if not self.path.exists():
            raise InvalidInputError(f"no file {self.path}")
        return entry.load()(self.path, **FORMATS.settings(name, dict(self.options)))


def _known(base: str) -> bool:
    return base in DATASETS or _format(base) is not None


def _format(base: str) -> tuple[str, Format] | None:
    path = expanded(base)
    for name, entry in FORMATS.items():
        if isinstance(entry, Format) and entry.fits(path):
            return name, entry
    return None


def _suffixes() -> list[str]:
    return [suffix for entry in FORMATS.values() if isinstance(entry, Format) for suffix in entry.suffixes]


def named(name: str, options: Mapping[str, str | None]) -> str:
    """A name with options of its format added; those that are None are left out.

    Raises:
        InvalidInputError: for options of a published set.
    """
    given = {key: value for key, value in options.items() if value is not None}
    if not given:
        return name
    parts = DataName.parse(name)
    if parts.published:
        raise InvalidInputError(f"{parts.base} is a published set, which takes no {', '.join(given)}")
    return str(DataName(parts.base, tuple({**dict(parts.options), **given}.items()), parts.picks))
