"""What is left to do of a grid, how long it takes, and doing it: models are trained, and their cells voted on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from noiseaug.vision.device import as_device
from noiseaug.vision.engine import TorchBase, load_network
from noiseaug.vision.grid.directory import GridDirectory
from noiseaug.vision.grid.plan import GridModel, GridPlan
from noiseaug.vision.grid.tables import Cell
from noiseaug.vision.grid.timing import time_training, time_votes
from noiseaug.vision.grid.votes import cell_votes
from noiseaug.vision.models import build_model
from noiseaug.vision.training import run_job

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Machine", "Step", "Timing", "Work", "time_model", "train", "vote"]


@dataclass(frozen=True)
class Machine:
    """Where and how models run; changes nothing but time, up to rounding."""

    device: str
    vote_batch: int | None

    def batch(self, plan: GridPlan) -> int | None:
        """Noisy images classified at a time."""
        on_cpu = as_device(self.device).type == "cpu"
        return plan.vote_batch if on_cpu and self.vote_batch is None else self.vote_batch

    @property
    def threads(self) -> int:
        """Logs to write at a time: the votes on one image are too few to keep more than a core busy."""
        return min(2, torch.get_num_threads()) if as_device(self.device).type == "cpu" else 1


def train(directory: GridDirectory, model: GridModel, machine: Machine) -> None:
    """Trains a model, as far as that is left to do."""
    plan = directory.plan
    run_job(
        plan.job(model, directory.models),
        directory.models / model.name,
        test=plan.test,
        device=machine.device,
        resume=True,
    )


def vote(
    directory: GridDirectory, model: GridModel, machine: Machine, advance: Callable[[Cell], Any] | None = None
) -> dict[Cell, pd.DataFrame]:
    """The votes of a trained model in all its cells; ``advance`` is told of each that is done."""
    plan = directory.plan
    base, _, told = load_network(directory.models / model.name, machine.device, plan.spec.precision)
    stop = Event()
    with ThreadPoolExecutor(machine.threads) as pool:
        tasks = {}
        for cell in plan.cells(model):
            arguments = plan, base, told, cell, directory.log(cell), machine.batch(plan), stop
            tasks[pool.submit(cell_votes, *arguments)] = cell
        left = set(tasks)
        try:
            while left:
                # not for long: this thread may be told to end
                done, left = wait(left, timeout=1.0, return_when=FIRST_COMPLETED)
                for task in done:
                    task.result()
                    if advance is not None:
                        advance(tasks[task])
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    return {cell: task.result() for task, cell in tasks.items()}


@dataclass(frozen=True)
class Timing:
    """How long an untrained model took.

    Attributes:
        model_seconds: for a whole training, from ``steps`` steps; 0 where none is left to do.
        steps: how many were timed.
        image_seconds: for the votes on one image, from ``images`` images; 0 where none are left to do.
        images: how many were timed.
    """

    model_seconds: float = 0.0
    steps: int = 0
    image_seconds: float = 0.0
    images: int = 0


def time_model(plan: GridPlan, machine: Machine, model: GridModel | None, votes: bool) -> Timing:
    """Times a few steps of a model, where one is given, and a few votes, where they are asked for."""
    model_seconds = image_seconds = 0.0
    steps = images = 0
    if model is not None:
        # of the folder of models nothing is read: an untrained one starts from none
        model_seconds, steps = time_training(plan.job(model, Path()), as_device(machine.device))
    if votes:
        spec = plan.spec
        base = TorchBase(
            build_model(plan.arch, plan.train.shape, plan.train.num_classes),
            device=machine.device,
            precision=spec.precision,
        )
        some = plan.test.floats(np.arange(min(8, len(plan.test))))
        image_seconds, images = time_votes(
            base, some, spec.smoothed[0], spec.n0, spec.n, machine.batch(plan), machine.threads
        )
    return Timing(model_seconds, steps, image_seconds, images)


@dataclass(frozen=True)
class Step:
    """One model on a worker.

    Attributes:
        model: which.
        evaluated: whether it votes as well; if not it is only trained.
        seconds: how long that may take.
    """

    model: GridModel
    evaluated: bool
    seconds: float


class Work:
    """What is left to do, and how long it will take.

    Attributes:
        directory: of the grid.
        part: models to evaluate.
        starts: models that others start from, a seed each; some may be of ``part``.
        models: models to train or to look at, those first that others start from.
        timing: how long a model and the votes on an image take; nothing as long as that was not measured.
    """

    def __init__(self, directory: GridDirectory, part: list[GridModel]) -> None:
        self.directory, self.part = directory, part
        starts = [directory.plan.start(seed) for seed in sorted({model.seed for model in part})]
        self.starts = [start for start in starts if start is not None]
        self.models = [start for start in self.starts if start not in part] + part
        self.timing = Timing()

    def question(self) -> tuple[GridModel | None, bool]:
        """What there is to measure, as :func:`time_model` takes it."""
        models = self._untrained()
        return models[-1] if models else None, self._images() > 0  # the last one has the most noise

    def announce(self, timing: Timing, workers: int) -> None:
        """Takes what was measured, and says what it comes to."""
        self.timing = timing
        spec, models, images = self.directory.plan.spec, len(self._untrained()), self._images()
        training, voting = models * timing.model_seconds, images * timing.image_seconds
        about = _span(training + voting)
        if workers > 1:
            longest = sum(_longest([step.seconds for step in phase], workers) for phase in self.phases())
            about = f"{_span(longest)} for {workers} workers that do not slow each other down, {about} for one"
        print(
            f"about {about}: {models} models, {_span(training)} (from {timing.steps} steps of an untrained one); "
            f"{spec.n0 + spec.n} votes {images} times, {_span(voting)} (from {timing.images} times)",
            file=sys.stderr,
        )

    def _untrained(self) -> list[GridModel]:
        return [model for model in self.models if not self.directory.is_trained(model)]

    def _images(self) -> int:
        cells = (cell for model in self.part for cell in self.directory.plan.cells(model))
        return sum(self.directory.missing(cell) for cell in cells if cell.smooth_sigma > 0)

    def phases(self) -> tuple[list[Step], list[Step]]:
        """What several workers do: first train the models that others start from, then all the rest at a time."""
        first = [Step(start, False, self.training_seconds(start)) for start in self.starts]
        second = [
            Step(
                model,
                True,
                (0.0 if model in self.starts else self.training_seconds(model)) + self.model_voting_seconds(model),
            )
            for model in self.part
        ]
        return first, second

    def training_seconds(self, model: GridModel) -> float:
        """For a model, 0 where it is finished."""
        return 0.0 if self.directory.is_trained(model) else self.timing.model_seconds

    def voting_seconds(self, cell: Cell) -> float:
        """For what a log lacks."""
        return self.directory.missing(cell) * self.timing.image_seconds if cell.smooth_sigma > 0 else 0.0

    def model_voting_seconds(self, model: GridModel) -> float:
        """For what the logs of a model lack."""
        return sum(map(self.voting_seconds, self.directory.plan.cells(model)))

    def bar(self, progress: bool, **options: Any) -> AbstractContextManager[Any]:
        """A progress bar over all that is left, in seconds of one worker."""
        from tqdm import tqdm

        total = sum(map(self.training_seconds, self.models)) + sum(map(self.model_voting_seconds, self.part))
        bar: AbstractContextManager[Any] = tqdm(
            total=total * (1 + 1e-9),  # its parts, added up in another order, must not exceed it
            disable=not progress,
            mininterval=0.1 if sys.stderr.isatty() else 10.0,
            bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed} elapsed, {remaining} left",
            **options,
        )
        return bar


def _longest(pieces: Sequence[float], workers: int) -> float:
    """When the last of some workers is done that take the pieces in their order."""
    busy = [0.0] * workers
    for seconds in pieces:
        busy[busy.index(min(busy))] += seconds
    return max(busy)


def _span(seconds: float) -> str:
    """A time for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
