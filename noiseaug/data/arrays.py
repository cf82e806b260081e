"""Arrays in ``.npz`` files, each checked against the file before memory is taken for it.

``numpy.load`` believes what a file says of itself: it takes memory for as many values as a header names, and unpacks
whatever a container holds. Here a header has to agree with its container, and the container with the size of the file.
"""

from __future__ import annotations

import math
import os
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from noiseaug.errors import InvalidInputError, first_line
from noiseaug.runs import open_file

__all__ = ["ArrayFile", "open_arrays"]

_SINGLE = b"\x93NUMPY"
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_KINDS = "biufcSUMm"  # of types that a file holds as plain bytes, without Python's objects and without fields
_MOST_BYTES = 1 << 36  # of an array
_UNSUSPECTED_BYTES, _DENSEST = 1 << 28, 100  # an array larger than that is not packed more densely than so many times
_PIECE = 1 << 20  # bytes that are read at a time


class ArrayFile:
    """The arrays of an open ``.npz`` file by name; made by :func:`open_arrays`. Each is read when it is asked for.

    Attributes:
        path: the file, for messages.
        names: of the arrays, in the file's order.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile, size: int) -> None:
        self.path = path
        self._archive, self._size = archive, size
        self._entries = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
        self.names = tuple(self._entries)

    def __getitem__(self, name: str) -> np.ndarray:
        """The array of that name.

        Raises:
            InvalidInputError: where it is damaged, is of Python's objects or has fields, is not of the size that its
                header says, or is packed so densely that it can be no data.
        """
        entry = self._entries[name]
        with _readable(self.path), self._archive.open(entry) as stream:
            shape, fortran, dtype = self._header(name, stream)
            count, size = math.prod(shape), math.prod(shape) * dtype.itemsize
            there = entry.file_size - stream.tell()
            if min(shape, default=0) < 0 or not dtype.itemsize or size != there or entry.compress_size > self._size:
                raise InvalidInputError(
                    f"{self.path}: {name} has {there} bytes; its header says {dtype} of shape {_brief(shape)}"
                )
            if size > _MOST_BYTES or size > max(_UNSUSPECTED_BYTES, _DENSEST * entry.compress_size):
                raise InvalidInputError(
                    f"{self.path}: {name} would unpack from {entry.compress_size:.2g} to {size:.2g} bytes; "
                    f"expected at most {_MOST_BYTES:.2g}, and {_DENSEST} times as many as it takes in the file "
                    "(numpy.savez does not pack)"
                )
            values = np.empty(count, dtype)
            _fill(values.view(np.uint8), stream)
            return values.reshape(shape[::-1]).transpose() if fortran else values.reshape(shape)

    def _header(self, name: str, stream: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
        if stream.read(len(_SINGLE)) != _SINGLE:
            raise InvalidInputError(f"{self.path}: {name} is no array; expected a .npz file as numpy.savez writes it")
        version = tuple(stream.read(2))
        if version not in _HEADERS:
            raise InvalidInputError(f"{self.path}: {name} is of another version of .npy than 1.0 and 2.0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that Python 2 wrote the header
            shape, fortran, dtype = _HEADERS[version](stream)
        if dtype.kind not in _KINDS:
            raise InvalidInputError(
                f"{self.path} is not a readable .npz file: {name} is {_brief(dtype)}; expected numbers"
            )
        return shape, fortran, dtype


@contextmanager
def open_arrays(path: Path) -> Iterator[ArrayFile]:
    """Opens a ``.npz`` file.

    Raises:
        InvalidInputError: for a file that is not there or is no such archive.
    """
    try:
        opened = open_file(path)
    except FileNotFoundError:
        raise InvalidInputError(f"no file {path}") from None
    with opened as stream:
        if stream.read(len(_SINGLE)) == _SINGLE:
            raise InvalidInputError(f"{path} holds a single array; expected a .npz file with x and y")
        with _readable(path):
            archive = zipfile.ZipFile(stream)
        with archive:
            yield ArrayFile(path, archive, os.fstat(stream.fileno()).st_size)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """One line for the many exceptions of damaged containers and headers, which ``zipfile`` and numpy do not list."""
    try:
        yield
    except (InvalidInputError, MemoryError):
        raise
    except Exception as error:
        raise InvalidInputError(f"{path} is not a readable .npz file: {_brief(first_line(error))}") from None


def _fill(target: np.ndarray, stream: IO[bytes]) -> None:
    """Reads bytes to the end of an array and of the stream, whose checksum is looked at there."""
    done = 0
    while piece := stream.read(_PIECE):
        target[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
        done += len(piece)
    if done != len(target):
        raise ValueError(f"it ends after {done} of {len(target)} bytes")


def _brief(what: object) -> str:
    text = str(what)
    return text if len(text) < 100 else f"{text[:97]}…"
