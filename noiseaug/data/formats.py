"""What published files hold: idx (MNIST) and the pickled batches of CIFAR-10.

Bytes come in checked against a published hash.
"""

from __future__ import annotations

import gzip
import io
import math
import pickle
import struct
import zlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from noiseaug.data.labels import to_labels
from noiseaug.errors import InvalidInputError

__all__ = ["parse_cifar", "parse_idx"]

_UNSIGNED_BYTES = 8  # idx's number of the type


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
