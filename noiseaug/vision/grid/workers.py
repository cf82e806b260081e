"""A model of a grid on a worker, which may be on another machine.

A worker gets plain values. It loads the images itself and writes into the grid's directory, which it shares with the
process that sent them.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from noiseaug.errors import InvalidInputError
from noiseaug.runs import check_wanted, read_record
from noiseaug.vision.device import as_device
from noiseaug.vision.grid.grid import Grid, GridModel
from noiseaug.vision.grid.spec import GridSpec
from noiseaug.vision.grid.votes import vote
from noiseaug.vision.training import run_job
from noiseaug.vision.training.allocator import keep_pages

__all__ = ["Place", "Task", "appears", "do", "look", "work"]

Task = tuple[GridModel, bool]  # a model, and whether it votes

_DIRECTORY_SECONDS = 10.0  # for the directory to appear on a worker
_ALONE = threading.Lock()  # torch has one source of random numbers for all threads of a process


@dataclass(frozen=True)
class Place:
    """What a worker needs to find the grid and to run its models.

    Attributes:
        path: the grid's directory, absolute.
        folder: what the name of a ``.npz`` file of images is relative to.
        root: folder of image sets, where it is not the usual one, absolute.
        digests: of the training and test images.
        device: where models run.
        batch: noisy images classified at a time.
        sender: id of the process that hands out the work.
    """

    path: Path
    folder: Path
    root: Path | None
    digests: tuple[str, str]
    device: str
    batch: int | None
    sender: int


def work(grid: Grid, place: Place, task: Task) -> None:
    """Trains a model and counts its votes, both as far as that is left to do."""
    model, evaluated = task
    run_job(grid.job(model), grid.folder(model), test=grid.test, device=place.device, resume=True)
    if evaluated:
        vote(grid, model, place.device, place.batch)


def do(spec: GridSpec, place: Place, task: Task) -> None:
    """As :func:`work`, on a worker.

    Raises:
        InvalidInputError: where the worker lacks the directory, has other images, or cannot use the device.
    """
    with _alone(), _one_thread():
        if place.sender != os.getpid():
            keep_pages()
        grid = _load(spec, place)
        if not appears(lambda: read_record(place.path) is not None, _DIRECTORY_SECONDS):
            raise InvalidInputError(
                f"{place.path} is not there on the worker {platform.node()}; choose an --out that all workers share"
            )
        grid.check(resume=True)
        work(grid, place, task)


def look(spec: GridSpec, place: Place) -> None:
    """Whether a worker has the images and the device, before anything is written.

    Raises:
        InvalidInputError: where it does not.
    """
    with _alone():
        as_device(place.device)
        _load(spec, place)


@lru_cache(maxsize=1)
def _load(spec: GridSpec, place: Place) -> Grid:
    """The grid, loaded once in a process."""
    grid = Grid(spec, place.path, place.root, place.folder)
    if (grid.train.digest, grid.test.digest) != place.digests:
        raise InvalidInputError(
            f"{spec.data} on the worker {platform.node()} holds other images than where the grid was begun"
        )
    return grid


def appears(condition: Callable[[], bool], seconds: float) -> bool:
    """Waits for what another machine has written; a network's file system may take its time."""
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            return False
        time.sleep(0.2)
    return True


@contextmanager
def _alone() -> Iterator[None]:
    """Has the process to itself: a Dask worker may have several threads."""
    while not _ALONE.acquire(timeout=1.0):
        check_wanted()
    try:
        yield
    finally:
        _ALONE.release()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Limits torch to one thread, even where it was loaded after the limits of the process were set."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
