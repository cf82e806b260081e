"""What files of data sets hold: idx (MNIST), the pickled batches of CIFAR-10, and ``.npz``.

Bytes come in checked against a published hash, except for ``.npz``, which can hold arrays alone.
"""

from __future__ import annotations

import gzip
import io
import math
import pickle
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from noiseaug.errors import InvalidInputError

__all__ = ["NoSplitError", "parse_cifar", "parse_idx", "read_npz", "to_floats", "to_inputs", "to_labels"]

_UNSIGNED_BYTES = 8  # idx's number of the type
_MOST_CLASSES = 100_000
IMAGE_SHAPES = "(m, H, W), (m, C, H, W) or (m, H, W, C)"

# The names that are in use for the arrays of a split: scikit-learn's and this package's, Keras's, MedMNIST's.
_INPUT_KEYS = {"test": ("x", "images", "x_test", "test_images"), "train": ("train_x", "train_images", "x_train")}
_LABEL_KEYS = {"test": ("y", "labels", "y_test", "test_labels"), "train": ("train_y", "train_labels", "y_train")}


class NoSplitError(InvalidInputError):
    """A ``.npz`` file lacks the arrays of a split."""


def parse_idx(path: Path, content: bytes, ndim: int) -> np.ndarray:
    """An array of unsigned bytes from an idx file (the format of Y. LeCun's MNIST page).

    Args:
        path: where the bytes are from; they are unpacked first where it ends in ``.gz``.
        content: two zero bytes, the type (8), the number of axes, their lengths as big-endian 32-bit integers, the
            values in C order.
        ndim: the number of axes that is expected.

    Returns:
        A uint8 array with ``ndim`` axes that may be written to.

    Raises:
        InvalidInputError: for other bytes.
    """
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise InvalidInputError(f"{path} cannot be unpacked: {error}; delete it") from None
    start = 4 + 4 * ndim
    if content[:4] != bytes([0, 0, _UNSIGNED_BYTES, ndim]):
        raise InvalidInputError(
            f"{path} begins with {content[:4].hex(' ') or 'nothing'}; "
            f"expected an idx file of bytes with {ndim} axes, 00 00 08 0{ndim}"
        )
    if len(content) < start:
        raise InvalidInputError(f"{path} ends in its header, after {len(content)} bytes; delete it")
    shape = struct.unpack(f">{ndim}I", content[4:start])
    if len(content) - start != math.prod(shape):
        raise InvalidInputError(
            f"{path} holds {len(content) - start} values; its header says {' × '.join(map(str, shape))}; delete it"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()


def _blank(kind: Any, shape: Any, code: Any) -> np.ndarray:
    """Stands in for numpy's ``_reconstruct``, which has moved; the pickle's next step fills the array."""
    return np.empty(0, np.uint8)


def _dtype(code: bytes, align: int, copy: int) -> np.dtype[Any]:
    # numpy 2.4.0 to 2.4.4 warn of the integers that old pickles give for align and copy
    return np.dtype(code.decode(), align=bool(align), copy=bool(copy))


class _BatchUnpickler(pickle.Unpickler):
    """Knows the three names that the batches of CIFAR-10 refer to, and no others."""

    known: ClassVar[dict[tuple[str, str], Any]] = {
        ("numpy.core.multiarray", "_reconstruct"): _blank,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): _dtype,
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self.known[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}") from None


def parse_cifar(path: Path, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """One batch of CIFAR-10's Python version (A. Krizhevsky 2009).

    Args:
        path: where the bytes are from, for messages.
        content: a pickled dictionary with ``data``, uint8 of shape (m, 3072), red, green and blue planes of 32 × 32,
            and ``labels``, a list of m integers.

    Returns:
        uint8 images of shape (m, 3, 32, 32) and int64 labels of shape (m,).

    Raises:
        InvalidInputError: for other bytes, and where the pickle refers to anything but numpy arrays.
    """
    try:
        batch = _BatchUnpickler(io.BytesIO(content), encoding="bytes").load()
        data, labels = batch[b"data"], np.asarray(batch[b"labels"])
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise InvalidInputError(f"{path} is no batch of CIFAR-10: {error}; delete it") from None
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3072:
        raise InvalidInputError(f"{path} is no batch of CIFAR-10: data is not uint8 of shape (m, 3072); delete it")
    return data.reshape(-1, 3, 32, 32), to_labels(f"{path}: labels", labels)


def read_npz(path: Path, split: str) -> tuple[np.ndarray, np.ndarray, int]:
    """One split of a ``.npz`` file.

    Args:
        path: the file, with arrays ``x`` and ``y`` (or ``images`` and ``labels``) and, to train on, ``train_x`` and
            ``train_y``; Keras's and MedMNIST's names are known too.
        split: ``train`` or ``test``.

    Returns:
        Inputs as :func:`to_inputs` gives them, labels as :func:`to_labels` does, and the number of classes in the whole
        file.

    Raises:
        NoSplitError: where the arrays are not there.
        InvalidInputError: for a file that is no such archive, or holds something else under their names.
    """
    try:
        # opened here, since np.load leaves files open that it cannot read
        with path.open("rb") as stream:
            file = np.load(stream, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise InvalidInputError(f"{path} holds a single array; expected a .npz file with x and y")
            keys = list(file.files)
            named = [_key(path, keys, names[split]) for names in (_INPUT_KEYS, _LABEL_KEYS)]
            x, y = (file[key] for key in named)
            others = [key for names in _LABEL_KEYS.values() for key in names if key in keys]
            counts = [1 + to_labels(f"{path}: {key}", file[key]).max(initial=0) for key in others]
    except FileNotFoundError:
        raise InvalidInputError(f"no file {path}") from None
    except InvalidInputError:
        raise
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InvalidInputError(f"{path} is not a readable .npz file: {error}") from None
    return to_inputs(f"{path}: {named[0]}", x), to_labels(f"{path}: {named[1]}", y), int(max(counts))


def _key(path: Path, keys: list[str], names: tuple[str, ...]) -> str:
    for name in names:
        if name in keys:
            return name
    raise NoSplitError(f"{path} lacks {names[0]} (or {', '.join(names[1:])}); it holds {', '.join(keys) or 'nothing'}")


def to_inputs(name: str, x: ArrayLike) -> np.ndarray:
    """Inputs in the form that all of the package takes: images with the channels first, or rows.

    Args:
        name: of the array, for messages.
        x: images of shape (m, H, W), (m, C, H, W), or (m, H, W, C) where C is 1 or 3 and the second axis is neither;
            uint8, or floats in [0, 1]. Or rows of shape (m, dim), any real numbers; uint8 ones are taken for pixels.

    Returns:
        Shape (m, C, H, W) or (m, dim), uint8 or float32.

    Raises:
        InvalidInputError: for another shape, type or range.
    """
    inputs = np.asarray(x)
    if inputs.ndim not in (2, 3, 4):
        raise InvalidInputError(f"{name} has shape {inputs.shape}; expected {IMAGE_SHAPES}, or rows (m, dim)")
    if inputs.ndim == 3:
        inputs = inputs[:, None]
    elif inputs.ndim == 4 and inputs.shape[3] in (1, 3) and inputs.shape[1] not in (1, 3):
        inputs = inputs.transpose(0, 3, 1, 2)
    if inputs.dtype != np.uint8:
        if inputs.dtype.kind not in ("f" if inputs.ndim == 4 else "fiub"):
            expected = "uint8, or floats in [0, 1]" if inputs.ndim == 4 else "real numbers"
            raise InvalidInputError(f"{name} is {inputs.dtype}; expected {expected}")
        # NaN fails the comparison too
        if inputs.ndim == 4 and inputs.size and not (inputs.min() >= 0 and inputs.max() <= 1):
            low, high = inputs.min(), inputs.max()
            raise InvalidInputError(f"{name} runs from {low:g} to {high:g}; expected [0, 1], or uint8 to 255")
        inputs = inputs.astype(np.float32)
    return np.ascontiguousarray(inputs)


def to_floats(inputs: np.ndarray) -> np.ndarray:
    """Inputs as float32, 8-bit ones scaled to [0, 1] exactly as the vote engine scales them; a copy only if needed."""
    if inputs.dtype == np.uint8:
        return np.divide(inputs, np.float32(255), dtype=np.float32)
    return np.ascontiguousarray(inputs, dtype=np.float32)


def to_labels(name: str, y: ArrayLike) -> np.ndarray:
    """Labels as int64 of shape (m,).

    Args:
        name: of the array, for messages.
        y: integers from 0, shape (m,) or (m, 1).

    Raises:
        InvalidInputError: for another shape or type, and for labels below 0 or absurdly large.
    """
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise InvalidInputError(
            f"{name} is {labels.dtype} of shape {labels.shape}; expected integer labels of shape (m,)"
        )
    if labels.size and not 0 <= labels.min() <= labels.max() < _MOST_CLASSES:
        raise InvalidInputError(f"{name} runs from {labels.min()} to {labels.max()}; expected labels 0 … K−1")
    return labels.astype(np.int64)
