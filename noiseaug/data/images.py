"""Image data sets: scikit-learn's digits, MNIST, Fashion-MNIST, CIFAR-10, and ``.npz`` files.

    images = load_images("mnist", "train")
    pair = load_images("cifar10:cat,dog", "test", root="~/data")

Published files are looked for in a data root laid out like torchvision's (``MNIST/raw/…``, ``FashionMNIST/raw/…``,
``cifar-10-batches-py/…``); what is missing there is downloaded. Every file is checked against its published sha256
before a byte of it is interpreted, each time it is read: CIFAR-10 comes as pickles, which could do anything.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from noiseaug import validation
from noiseaug.data.downloads import DataFile, Found, download, find, import_pooch, unpack
from noiseaug.data.formats import read_npz
from noiseaug.data.published import DATASETS, Contents, Source
from noiseaug.errors import InvalidInputError

__all__ = ["SPLITS", "ImageSet", "Inventory", "data_root", "describe", "fetch", "load_images"]

SPLITS = ("train", "test")
_VARIABLE = "NOISEAUG_DATA"


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Labelled images.

    Attributes:
        name: as it was asked for, such as ``mnist`` or ``mnist:3,8``.
        split: ``train`` or ``test``.
        images: shape (m, channels, height, width), m ≥ 1; uint8, where 0 … 255 stand for [0, 1], or float32 in [0, 1].
        labels: int64 labels 0 … K−1, shape (m,).
        classes: the K names of the classes.

    Raises:
        InvalidInputError: for arrays of other shapes, types or ranges.
    """

    name: str
    split: str
    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        validation.choice("split", self.split, SPLITS)
        images, labels, what = self.images, self.labels, f"{self.name} ({self.split})"
        if images.ndim != 4 or images.dtype not in (np.uint8, np.float32):
            raise InvalidInputError(
                f"{what}: images are {images.dtype} of shape {images.shape}; expected uint8 or float32, (m, C, H, W)"
            )
        if not images.size:
            raise InvalidInputError(f"{what} has no images: their shape is {images.shape}")
        # NaN fails the comparison too
        if images.dtype == np.float32 and not (images.min() >= 0 and images.max() <= 1):
            raise InvalidInputError(f"{what}: images run from {images.min():g} to {images.max():g}; expected [0, 1]")
        if labels.dtype != np.int64 or labels.shape != images.shape[:1]:
            raise InvalidInputError(
                f"{what}: labels are {labels.dtype} of shape {labels.shape}; expected int64, ({len(images)},)"
            )
        if labels.min() < 0 or labels.max() >= self.num_classes:
            raise InvalidInputError(
                f"{what}: labels run from {labels.min()} to {labels.max()}; expected 0 … {self.num_classes - 1}"
            )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def num_classes(self) -> int:
        """Number of classes, those without an image too."""
        return len(self.classes)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    @cached_property
    def digest(self) -> str:
        """16 hexadecimal digits that identify pixels, labels and classes; for the description of a run."""
        digest = hashlib.sha256(repr((self.images.dtype.name, self.images.shape, self.classes)).encode())
        digest.update(np.ascontiguousarray(self.images).data)
        digest.update(np.ascontiguousarray(self.labels).data)
        return digest.hexdigest()[:16]

    def floats(self, indices: Any = None) -> np.ndarray:
        """Images as float32 in [0, 1], shape (m, C, H, W); those at ``indices``, as for :meth:`take`, or all."""
        images = self.images if indices is None else self.images[self._rows(indices)]
        if images.dtype == np.float32:
            return images.copy() if indices is None else images
        return np.divide(images, np.float32(255), dtype=np.float32)

    def take(self, indices: Any) -> ImageSet:
        """A part of the set, with the same classes.

        Args:
            indices: integers, a mask or a slice, as numpy takes them.

        Raises:
            InvalidInputError: for indices outside the set, and where nothing is left.
        """
        rows = self._rows(indices)
        return replace(self, images=self.images[rows], labels=self.labels[rows])

    def _rows(self, indices: Any) -> np.ndarray:
        try:
            rows = np.arange(len(self))[indices]
        except IndexError as error:
            raise InvalidInputError(f"{self.name} ({self.split}) has {len(self)} images: {error}") from None
        return np.atleast_1d(rows)

    def _pick(self, picks: str) -> ImageSet:
        """The classes that a comma-separated list names, relabelled 0, 1, … in their order in this set."""
        places = {name: label for label, name in enumerate(self.classes)}
        places.update({str(label): label for label in range(self.num_classes)})
        wanted = [places.get(part.strip(), -1) for part in picks.split(",")]
        if len(wanted) < 2 or len(set(wanted)) < len(wanted) or -1 in wanted:
            known, example = ", ".join(self.classes), ",".join(self.classes[:2])
            raise InvalidInputError(f"classes are {picks!r}; expected different ones of {known}, as in :{example}")
        chosen = np.sort(wanted)
        kept = np.isin(self.labels, chosen)
        return replace(
            self,
            images=self.images[kept],
            labels=np.searchsorted(chosen, self.labels[kept]),
            classes=tuple(self.classes[label] for label in chosen),
        )


def load_images(name: str, split: str, *, root: Path | str | None = None, download: bool = True) -> ImageSet:
    """A split of a data set.

    Args:
        name: one of ``DATASETS``, or a ``.npz`` file with ``x`` and ``y`` and, to train on, ``train_x`` and
            ``train_y`` (:func:`noiseaug.data.formats.read_npz`). ``name:A,B`` chooses classes by number or name,
            labelled 0, 1, … in the order that they have in the set.
        split: ``train`` or ``test``.
        root: the data root (:func:`data_root`).
        download: whether to download what is missing there.

    Raises:
        InvalidInputError: for an unknown name, split or class, and for files that are missing, not as published, or
            hold something else. Such a file stays as it is.
    """
    validation.choice("split", split, SPLITS)
    base, picks = _parts(name)
    if base.endswith(".npz"):
        images, labels, count = read_npz(Path(base).expanduser(), split)
        found = ImageSet(name, split, images, labels, tuple(map(str, range(count))))
        return found if picks is None else found._pick(picks)
    source = _source(base)
    contents = _contents(base, source, split, root, download)
    found = ImageSet(name, split, *source.read(contents), source.classes)
    if picks is not None:
        found = found._pick(picks)
    return found.take(slice(SPLITS.index(split), None, 2)) if source.interleaved else found


def _parts(name: str) -> tuple[str, str | None]:
    """A name and the classes after its colon; a path may have colons of its own."""
    base, colon, picks = name.rpartition(":")
    return (base, picks) if colon and (base in DATASETS or base.endswith(".npz")) else (name, None)


def _source(name: str) -> Source:
    if name not in DATASETS:
        raise InvalidInputError(f"data is {name!r}; expected one of {', '.join(DATASETS)}, or a .npz file")
    return DATASETS[name]


def _contents(name: str, source: Source, split: str, root: Path | str | None, allowed: bool) -> Contents:
    """The checked bytes of a split's files, downloaded where they are missing."""
    if not source.files:
        return {}
    folder = data_root(root)
    found = [find(file, folder) for file in source.files[split]]
    _refuse_damage(name, found)
    missing = [item.file for item in found if item.missing]
    if missing and not allowed:
        raise InvalidInputError(
            f"{name} is not in {folder}: {', '.join(file.path for file in missing)} missing; run `noiseaug data {name}`"
        )
    if missing:
        _obtain(name, source, missing, folder, progress=True)
        found = [item if not item.missing else find(item.file, folder) for item in found]
        _refuse_damage(name, found)
    return {item.path: item.content for item in found if item.content is not None}


def _refuse_damage(name: str, found: Sequence[Found]) -> None:
    for item in found:
        if item.damage:
            raise InvalidInputError(
                f"{item.path} {item.damage}; delete it, or run `noiseaug data {name}` to replace it"
            )


def _obtain(name: str, source: Source, files: Sequence[DataFile], folder: Path, *, progress: bool) -> None:
    """Downloads files, in their archive where they come in one."""
    if source.archive is None:
        download(files, source.mirrors, folder, progress=progress)
        return
    if find(source.archive, folder).content is None:
        download([source.archive], source.mirrors, folder, progress=progress)
    rest = [file for file in source.all_files + source.companions if file not in files]
    unpack(source.archive, [*files, *(file for file in rest if find(file, folder).missing)], folder)


def data_root(root: Path | str | None = None) -> Path:
    """The folder of the data sets: ``root``, else the environment variable NOISEAUG_DATA, else the user's cache.

    Raises:
        InvalidInputError: where neither is given and pooch, which knows where caches are, is not installed.
    """
    chosen = root or os.environ.get(_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    return Path(import_pooch(f"set {_VARIABLE} to a folder").os_cache("noiseaug"))


def fetch(name: str, *, root: Path | str | None = None, progress: bool = True) -> list[Path]:
    """Makes all files of a data set be there as they were published; damaged ones are replaced.

    Args:
        name: one of ``DATASETS``.
        root: the data root (:func:`data_root`).
        progress: show a bar for each download on standard error.

    Returns:
        The files; none for a data set that comes with a dependency.

    Raises:
        InvalidInputError: for another name, where no mirror has a file, or the data root cannot be written.
    """
    source = _source(name)
    if not source.files:
        return []
    folder = data_root(root)
    wanted = [item.file for item in (find(file, folder) for file in source.all_files) if item.content is None]
    if wanted:
        _obtain(name, source, wanted, folder, progress=progress)
    found = [find(file, folder) for file in source.all_files]
    _refuse_damage(name, found)
    return [item.path for item in found]


@dataclass(frozen=True)
class Inventory:
    """What is there of a data set.

    Attributes:
        name: of the data set.
        title: what it is.
        root: the data root, or None for a data set that comes with a dependency.
        present: files that are there, checked.
        damaged: files that are there, but not as published.
        missing: files that are not there.
        download_bytes: how much :func:`fetch` would download.
        mirrors: where from.
    """

    name: str
    title: str
    root: Path | None
    present: tuple[Path, ...] = ()
    damaged: tuple[Path, ...] = ()
    missing: tuple[Path, ...] = ()
    download_bytes: int = 0
    mirrors: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether there is nothing to download or to replace."""
        return not self.missing and not self.damaged


def describe(name: str, root: Path | str | None = None) -> Inventory:
    """Takes stock of a data set in the data root; reads and checks every file, changes and downloads nothing.

    Raises:
        InvalidInputError: for a name that is not in ``DATASETS``, and as :func:`data_root` does.
    """
    source = _source(name)
    if not source.files:
        return Inventory(name, source.title, None)
    folder = data_root(root)
    found = [find(file, folder) for file in source.all_files]
    wanted = [item.file for item in found if item.content is None]
    if wanted and source.archive is not None:
        wanted = [source.archive] if find(source.archive, folder).content is None else []
    return Inventory(
        name,
        source.title,
        folder,
        tuple(item.path for item in found if item.content is not None),
        tuple(item.path for item in found if item.damage),
        tuple(item.path for item in found if item.missing),
        sum(file.size for file in wanted),
        source.mirrors,
    )
