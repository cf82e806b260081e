"""Data sets by name: scikit-learn's digits, MNIST, Fashion-MNIST, CIFAR-10, and files and folders of one's own.

    data = load_data("mnist:3,8")
    images = load_images("cifar10:cat,dog", "train", root="~/data")
    flowers = load_data("iris.csv", label="species")

Published files are looked for in a data root laid out like torchvision's (``MNIST/raw/…``, ``FashionMNIST/raw/…``,
``cifar-10-batches-py/…``); what is missing there is downloaded. Every file is checked against its published sha256
before a byte of it is interpreted, each time it is read: CIFAR-10 comes as pickles, which could do anything.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from noiseaug import validation
from noiseaug.data.downloads import DataFile, Found, download, find, unpack
from noiseaug.data.inputs import IMAGE_SHAPES
from noiseaug.data.published import DATASETS, Contents, Source
from noiseaug.data.readers import SPLITS, DataName, NoSplitError, named
from noiseaug.data.sets import DataSource, LabelledSet
from noiseaug.errors import InvalidInputError
from noiseaug.runs import expanded

__all__ = ["Inventory", "data_root", "describe", "fetch", "load_data", "load_images"]

_VARIABLE = "NOISEAUG_DATA"


def load_data(name: str, root: Path | str | None = None, **options: str | None) -> DataSource:
    """A data set, with what there is to train on.

    Args:
        name: one of ``DATASETS``, or a path that one of ``FORMATS`` reads, with options of the format after a question
            mark. ``name:A,B`` chooses classes by number or name, labelled 0, 1, … in the order that they have in the
            set.
        root: the data root (:func:`data_root`).
        **options: of the format; they become part of the name.

    Raises:
        InvalidInputError: for an unknown name or class, and for files that are missing, not as published, or hold
            something else. Such a file stays as it is.
    """
    load = _loader(named(name, options), root)
    test = load("test")
    try:
        return DataSource(test, load("train"))
    except NoSplitError:
        return DataSource(test)


def load_images(name: str, split: str, *, root: Path | str | None = None, download: bool = True) -> LabelledSet:
    """A split of a data set of images.

    Args:
        name: as for :func:`load_data`.
        split: ``train`` or ``test``.
        root: the data root (:func:`data_root`).
        download: whether to download what is missing there.

    Raises:
        InvalidInputError: as :func:`load_data` does, for an unknown split, and for inputs that are no images.
    """
    validation.choice("split", split, SPLITS)
    found = _loader(name, root, download)(split)
    if len(found.shape) != 3:
        raise InvalidInputError(f"{name} has {split} inputs of shape {found.inputs.shape}; expected {IMAGE_SHAPES}")
    return found


def _loader(name: str, root: Path | str | None, download: bool = True) -> Callable[[str], LabelledSet]:
    """What loads a split by its name; all of them by one reader, which may keep what it has read."""
    parts = DataName.parse(name)
    if parts.published and parts.options:
        raise InvalidInputError(f"data is {name!r}; {parts.base} is a published set, which takes no options")
    reader = None if parts.published else parts.reader()

    def load(split: str) -> LabelledSet:
        if reader is not None:
            found = LabelledSet.from_part(name, split, reader.read(split))
            return found if parts.picks is None else found.pick(parts.picks)
        source = _source(parts.base)
        contents = _contents(parts.base, source, split, root, download)
        found = LabelledSet(name, split, *source.read(contents), source.classes)
        if parts.picks is not None:
            found = found.pick(parts.picks)
        return found.take(slice(SPLITS.index(split), None, 2)) if source.interleaved else found

    return load


def _source(name: str) -> Source:
    if name not in DATASETS:
        raise InvalidInputError(f"data is {name!r}; expected one of {', '.join(DATASETS)}")
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
        _obtain(source, missing, folder, progress=True)
        found = [find(item.file, folder) if item.missing else item for item in found]  # what is read is checked
        _refuse_damage(name, found)
    return {item.path: item.content for item in found if item.content is not None}


def _refuse_damage(name: str, found: Sequence[Found]) -> None:
    for item in found:
        if item.damage:
            raise InvalidInputError(
                f"{item.path} {item.damage}; delete it, or run `noiseaug data {name}` to replace it"
            )


def _obtain(source: Source, files: Sequence[DataFile], folder: Path, *, progress: bool) -> None:
    """Downloads files, in their archive where they come in one."""
    if source.archive is None:
        download(files, source.mirrors, folder, progress=progress)
        return
    if find(source.archive, folder).content is None:
        download([source.archive], source.mirrors, folder, progress=progress)
    rest = [file for file in source.all_files + source.companions if file not in files]
    unpack(source.archive, [*files, *(file for file in rest if not (folder / file.path).exists())], folder)


def data_root(root: Path | str | None = None) -> Path:
    """The folder of the data sets: ``root``, else the environment variable NOISEAUG_DATA, else the user's cache."""
    chosen = root or os.environ.get(_VARIABLE)
    if chosen:
        return expanded(chosen)
    from platformdirs import user_cache_path  # not needed, nor asked for, where the folder is given

    return user_cache_path("noiseaug")


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
    there = {file: item.path for file in source.all_files if (item := find(file, folder)).content is not None}
    wanted = [file for file in source.all_files if file not in there]
    if wanted:
        _obtain(source, wanted, folder, progress=progress)
    return [there.get(file, folder / file.path) for file in source.all_files]


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
        InvalidInputError: for a name that is not in ``DATASETS``.
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
