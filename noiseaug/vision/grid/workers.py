"""A grid on worker processes or on a Dask cluster: a piece of work is one model.

A piece is plain values. The worker loads the images itself and works in the grid's directory, which it shares with the
process that handed the piece out; that one gathers what the logs hold.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from noiseaug.data import LabelledSet
from noiseaug.errors import InvalidInputError, NoiseaugError
from noiseaug.runs import abandonable, read_record, run_all
from noiseaug.vision.device import as_device
from noiseaug.vision.grid.directory import GridDirectory
from noiseaug.vision.grid.plan import GridModel, GridPlan, GridSpec, load_grid_images
from noiseaug.vision.grid.tables import Cell
from noiseaug.vision.grid.work import Machine, Timing, Work, time_model, train, vote
from noiseaug.vision.training.allocator import keep_pages

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Crew", "spread"]

_DIRECTORY_SECONDS, _LOGS_SECONDS = 10.0, 60.0  # until a worker has to see the directory, and we its logs
_ALONE = threading.Lock()  # torch has one source of random numbers for all threads of a process


@dataclass(frozen=True)
class Crew:
    """Who does the work.

    Attributes:
        jobs: worker processes, as :func:`noiseaug.runs.run_all` takes them.
        dask: address of a Dask scheduler to run on instead.
        size: how many work at a time.
    """

    jobs: int
    dask: str | None
    size: int


@dataclass(frozen=True)
class _Place:
    """Where and on what a worker works.

    Attributes:
        spec: what the grid is.
        digests: of the training and test images, which must be those of whoever hands out the work.
        path: the grid's directory, absolute.
        folder: what the name of a file of images is relative to.
        root: folder of image sets, where it is not the usual one, absolute.
        machine: where and how models run.
        sender: the process that hands out the work, and its machine.
    """

    spec: GridSpec
    digests: tuple[str, str]
    path: Path
    folder: Path
    root: Path | None
    machine: Machine
    sender: tuple[int, str]

    @contextmanager
    def entered(self) -> Iterator[GridPlan]:
        """The grid, for work that has this process to itself, one thread of it, and an end when nobody wants it."""
        with abandonable(), _alone(), _one_thread():
            if self.sender != (os.getpid(), platform.node()):
                keep_pages()
            train, test = _images(self.spec.data, self.folder, self.root, self.digests)
            plan = GridPlan(self.spec, train, test)
            if (train.digest, test.digest) != self.digests:
                raise InvalidInputError(
                    f"{self.spec.data} on the worker {platform.node()} holds other images than where the grid was begun"
                )
            yield plan


@dataclass(frozen=True)
class _Question:
    """A look at a worker before anything is written; ``model`` and ``votes`` as :func:`time_model` takes them."""

    place: _Place
    model: GridModel | None
    votes: bool


@dataclass(frozen=True)
class _Piece:
    """A model to train, and to evaluate in its cells unless it only serves others to start from."""

    place: _Place
    model: GridModel
    evaluated: bool


def _answer(question: _Question) -> Timing:
    with question.place.entered() as plan:
        as_device(question.place.machine.device)
        return time_model(plan, question.place.machine, question.model, question.votes)


def _do(piece: _Piece) -> None:
    place = piece.place
    with place.entered() as plan:
        if not _appears(lambda: read_record(place.path) is not None, _DIRECTORY_SECONDS):
            raise InvalidInputError(
                f"{place.path} is not there on the worker {platform.node()}; choose an --out that all workers share"
            )
        directory = GridDirectory(place.path, plan)
        directory.check(resume=True)
        train(directory, piece.model, place.machine)
        if piece.evaluated:
            vote(directory, piece.model, place.machine)


def spread(
    work: Work, machine: Machine, root: Path | str | None, crew: Crew, progress: bool
) -> dict[Cell, pd.DataFrame]:
    """Trains and evaluates the models on workers; returns the votes of those that are evaluated.

    Raises:
        InvalidInputError: whatever a worker finds wrong, such as images or a directory that it does not have.
        NoiseaugError: where a worker or the scheduler is lost, or what workers wrote cannot be seen here.
    """
    directory, plan = work.directory, work.directory.plan
    place = _Place(
        plan.spec,
        (plan.train.digest, plan.test.digest),
        directory.path.absolute(),
        Path.cwd(),
        None if root is None else Path(root).expanduser().absolute(),
        machine,
        (os.getpid(), platform.node()),
    )
    _look(work, place, crew, progress)
    directory.begin()
    with work.bar(progress, smoothing=0) as bar:  # models end several at a time: the mean rate alone says something
        for name, steps in zip(("models to start from", "models"), work.phases(), strict=True):
            if not steps:
                continue
            pieces = [_Piece(place, step.model, step.evaluated) for step in steps]
            bar.set_description_str(f"0/{len(steps)} {name}")
            with closing(run_all(_do, pieces, jobs=crew.jobs, dask=crew.dask, one_by_one=True)) as finished:
                for done, (index, _) in enumerate(finished, start=1):
                    bar.set_description_str(f"{done}/{len(steps)} {name}", refresh=False)
                    bar.update(steps[index].seconds)
    return _gathered(directory, [cell for model in work.part for cell in plan.cells(model)])


def _look(work: Work, place: _Place, crew: Crew, progress: bool) -> None:
    """Measures how long the work takes where it is done, before anything is written.

    A Dask worker is asked in any case, whether it has the images and the device.
    """
    asked = work.question() if progress else (None, False)
    if crew.dask is None:
        if progress:
            with _one_thread():
                work.announce(time_model(work.directory.plan, place.machine, *asked), crew.size)
        return
    for _, timing in run_all(_answer, [_Question(place, *asked)], dask=crew.dask):
        if progress:
            work.announce(timing, crew.size)


def _gathered(directory: GridDirectory, cells: list[Cell]) -> dict[Cell, pd.DataFrame]:
    """What the workers' logs hold; those of another machine may take a while to be seen here."""
    if not _appears(lambda: not any(map(directory.missing, cells)), _LOGS_SECONDS):
        lacking = sum(1 for cell in cells if directory.missing(cell))
        raise NoiseaugError(
            f"{lacking} of {len(cells)} logs that the workers wrote are not to be seen in {directory.votes}; "
            "--resume looks again"
        )
    return {cell: frame for cell in cells if (frame := directory.stored(cell)) is not None}


def _appears(condition: Callable[[], bool], seconds: float) -> bool:
    """Waits for what another machine has written; a network's file system may take its time."""
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            return False
        time.sleep(0.2)
    return True


@lru_cache(maxsize=1)
def _images(data: str, folder: Path, root: Path | None, digests: tuple[str, str]) -> tuple[LabelledSet, LabelledSet]:
    """The images of a grid, loaded once in a process; other ones under the same name have other digests."""
    return load_grid_images(data, root, folder)


@contextmanager
def _alone() -> Iterator[None]:
    """Has the process to itself: a Dask worker may have several threads."""
    while not _ALONE.acquire(timeout=1.0):  # not for long: this thread may be told to end
        pass
    try:
        yield
    finally:
        _ALONE.release()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Has torch use one thread, also where its library was loaded after the limits of a process were looked at."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
