"""Folders of images, one folder a class, as torchvision and ImageNet have them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from noiseaug.data.images import Sizes, decode_images
from noiseaug.data.readers import NoSplitError, Part
from noiseaug.errors import InvalidInputError

__all__ = ["ImageFolder"]

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".pnm", ".tif", ".tiff")
_SPLITS = {"train": ("train", "training"), "test": ("test", "val", "validation", "valid", "testing")}


@dataclass(frozen=True)
class ImageFolder:
    """``CLASS/*.png``; or ``train/CLASS/*.png`` and ``test/CLASS/*.png``, where ``val`` takes the place of ``test``.

    Without the folders of splits, all images are inputs to certify. Classes are numbered in the order of their names.

    Attributes:
        path: the folder.
        resize: as for :class:`~noiseaug.data.images.Sizes`.
        centre_crop: likewise.
    """

    path: Path
    resize: str = ""
    centre_crop: str = ""

    def read(self, split: str) -> Part:
        """One split; see :class:`~noiseaug.data.readers.Reader`."""
        sizes = Sizes(self.resize, self.centre_crop)
        if split not in self._splits:
            raise NoSplitError(f"{self.path} has no folder {split}; expected {self.path / split}/CLASS/IMAGE")
        folder = self._splits[split]
        names = sorted({path.name for each in self._splits.values() for path in _classes(each)})
        files = [(label, path) for label, name in enumerate(names) for path in _images(folder / name)]
        if not files:
            raise InvalidInputError(
                f"{folder} holds no images; expected CLASS/IMAGE with one of {', '.join(_SUFFIXES)}"
            )
        pictures = [(str(path.relative_to(self.path)), path) for _, path in files]
        labels = np.array([label for label, _ in files], dtype=np.int64)
        return Part(decode_images(str(self.path), pictures, sizes), labels, (labels,), tuple(names))

    @cached_property
    def _splits(self) -> dict[str, Path]:
        """Where the classes of each split are."""
        found = {}
        for split, names in _SPLITS.items():
            there = [self.path / name for name in names if (self.path / name).is_dir()]
            if there:
                found[split] = there[0]
        return found or {"test": self.path}


def _classes(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]


def _images(folder: Path) -> list[Path]:
    """The images below a folder, at any depth, in the order of their paths."""
    found = folder.rglob("*") if folder.is_dir() else ()
    return sorted(path for path in found if path.suffix.lower() in _SUFFIXES and path.is_file())
