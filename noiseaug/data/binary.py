"""The binary version of CIFAR-10 (A. Krizhevsky 2009): a byte for the class and 3072 for the pixels of each image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from noiseaug.data.published import DATASETS
from noiseaug.data.readers import NoSplitError, Part
from noiseaug.errors import InvalidInputError
from noiseaug.runs import read_file

__all__ = ["CifarBinary"]

_PIXELS = 3072


@dataclass(frozen=True)
class CifarBinary:
    """A folder with ``data_batch_1.bin`` … and ``test_batch.bin``, or one such file of images to certify.

    Attributes:
        path: the folder or file. Names of classes are those of ``batches.meta.txt`` beside it, else CIFAR-10's.
    """

    path: Path

    def read(self, split: str) -> Part:
        """One split; see :class:`~noiseaug.data.readers.Reader`."""
        if self.path.is_dir():
            files = sorted(self.path.glob("data_batch_*.bin" if split == "train" else "test_batch.bin"))
        else:
            files = [self.path] if split == "test" else []
        if not files:
            raise NoSplitError(f"{self.path} has no {split} batches; expected data_batch_1.bin …, test_batch.bin")
        records = np.concatenate([_records(path) for path in files])
        labels = records[:, 0].astype(np.int64)
        return Part(records[:, 1:].reshape(-1, 3, 32, 32), labels, (labels,), self._names())

    def _names(self) -> tuple[str, ...]:
        folder = self.path if self.path.is_dir() else self.path.parent
        try:
            lines = read_file(folder / "batches.meta.txt").decode().split()
        except (OSError, UnicodeDecodeError, InvalidInputError):
            return DATASETS["cifar10"].classes
        return tuple(lines) or DATASETS["cifar10"].classes


def _records(path: Path) -> np.ndarray:
    content = np.frombuffer(read_file(path), np.uint8)
    if not content.size or content.size % (1 + _PIXELS):
        raise InvalidInputError(
            f"{path} has {content.size} bytes; expected {1 + _PIXELS} for each image of CIFAR-10's binary version"
        )
    return content.reshape(-1, 1 + _PIXELS)
