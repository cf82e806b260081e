"""The (α, β) grid on images: a base model for each training noise, evaluated at every smoothing noise from its votes.

    spec = GridSpec("mnist", train_sigma=(0, 0.25, 0.5), smooth_sigma=(0, 0.25, 0.5), radii=(0, 0.25))
    table = run_grid(spec, Path("grid"), progress=True)

The directory holds ``run.json`` (what the grid is), ``models/`` (a training run each), ``votes/`` (a log for each
model, β and set of images), and once all of them are there ``table.csv``, ``optimum.csv`` and pictures. A grid that was
stopped goes on where it was.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from noiseaug import _validate
from noiseaug._files import save_figure, write_atomically
from noiseaug._rundir import RunDirectory, read_record
from noiseaug.errors import InvalidInputError
from noiseaug.records import read_log
from noiseaug.vision._device import as_device
from noiseaug.vision._grid_pictures import draw, read_reference
from noiseaug.vision._grid_plan import GridModel, GridPlan, GridSpec
from noiseaug.vision._grid_votes import cell_votes
from noiseaug.vision._timing import time_training, time_votes
from noiseaug.vision.engine import TorchBase
from noiseaug.vision.grid_tables import Cell, GridVotes, curve_table, grid_table, optimum_table
from noiseaug.vision.jobs import run_job
from noiseaug.vision.models import build_model
from noiseaug.vision.subjects import load_network

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["GridModel", "GridPlan", "GridSpec", "run_grid"]


@dataclass(frozen=True)
class _Machine:
    """Where and how models run; changes nothing but time, up to rounding."""

    device: str
    vote_batch: int | None

    def batch(self, plan: GridPlan) -> int | None:
        """Noisy images classified at a time."""
        on_cpu = as_device(self.device).type == "cpu"
        return plan.vote_batch if on_cpu and self.vote_batch is None else self.vote_batch

    @property
    def workers(self) -> int:
        """Logs to write at a time: the votes on one image are too few to keep more than a core busy."""
        return min(2, torch.get_num_threads()) if as_device(self.device).type == "cpu" else 1


class GridDirectory(RunDirectory):
    """The directory of a grid."""

    def __init__(self, path: Path, plan: GridPlan) -> None:
        super().__init__(path, plan.description(), results=("table.csv", "optimum.csv"))
        self.plan = plan
        self.models, self.votes = path / "models", path / "votes"

    @contextmanager
    def taken(self, resume: bool, part: list[GridModel], *, whole: bool) -> Iterator[None]:
        """Claims the directory for some models of the grid.

        The shards of a grid may run at a time; each model and each log is locked by itself.

        Raises:
            InvalidInputError: for a directory that belongs to something else, or work that is there already and
                ``resume`` was not asked for.
        """
        record = read_record(self.path)
        same = record is not None and record.get("description") == self._description
        begun = [model for model in part if (self.models / model.name).exists()]
        if same and not resume and (begun or whole):
            raise InvalidInputError(
                f"{self.path} holds work on this grid already; add --resume, or choose another --out"
            )
        if whole:
            with self.held(resume):
                yield
            return
        self.check(resume=True)
        self.path.mkdir(parents=True, exist_ok=True)
        yield

    def begin(self) -> None:
        """Marks the directory as that of an unfinished grid, unless it is this grid's already."""
        if read_record(self.path) is None:
            self._write_record("unfinished")
        self.votes.mkdir(exist_ok=True)

    def log(self, cell: Cell) -> Path:
        """The log of a cell."""
        model = GridModel(cell.train_sigma, cell.seed)
        return self.votes / f"{model.name}-b{cell.smooth_sigma:.12g}-{cell.split}.jsonl"

    def is_trained(self, model: GridModel) -> bool:
        """Whether a model is finished."""
        record = read_record(self.models / model.name)
        return record is not None and record.get("status") == "complete"

    def missing(self, cell: Cell) -> int:
        """How many images a log lacks."""
        path = self.log(cell)
        lines = path.read_bytes().count(b"\n") if path.exists() else 0
        return max(0, len(self.plan.images[cell.split][1]) - max(0, lines - 1))

    def stored(self, cell: Cell) -> pd.DataFrame | None:
        """A log's frame, None where it is not complete."""
        if self.missing(cell):
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a line that another shard is writing
            return read_log(self.log(cell))[1]

    def finish(self, votes: GridVotes, reference: tuple[str, pd.DataFrame] | None) -> pd.DataFrame:
        """Writes tables and pictures and marks the grid complete."""
        table, optimum = grid_table(votes), optimum_table(votes)
        write_atomically(self.path / "table.csv", table.to_csv(index=False))
        write_atomically(self.path / "optimum.csv", optimum.to_csv(index=False))
        for name, figure in draw(votes, curve_table(votes), optimum, reference).items():
            save_figure(figure, self.path / f"{name}.png")
        self._write_record("complete", radii=list(votes.radii))
        return table


def run_grid(
    spec: GridSpec,
    out: Path | str,
    *,
    root: Path | str | None = None,
    device: str = "cpu",
    vote_batch: int | None = None,
    shard: str | None = None,
    resume: bool = False,
    reference: Path | str | None = None,
    reference_name: str = "Pal & Sulam 2023",
    progress: bool = False,
) -> pd.DataFrame:
    """Trains and evaluates a grid into a directory.

    Args:
        spec: what the grid is.
        out: the directory; created, or that of the same grid.
        root: folder of image sets, where it is not the usual one.
        device: where to train and to vote.
        vote_batch: noisy images classified at a time; by default what wastes little on so few votes.
        shard: ``"i/k"`` does the i-th of k parts of the models; shards may run at a time, in one directory.
        resume: keep the models and votes that are there.
        reference: CSV file with published risks, columns train_sigma, smooth_sigma and risk, to lay over the picture.
        reference_name: what to call them.
        progress: show an estimate of the time, then a bar, on standard error.

    Returns:
        The table of :func:`~noiseaug.vision.grid_tables.grid_table`. Where models of other shards are still missing it
        is that of this part, and no tables or pictures are written.

    Raises:
        InvalidInputError: for bad input, or a directory of something else.
    """
    out = Path(out)
    machine = _Machine(device, None if vote_batch is None else _validate.integer("vote_batch", vote_batch))
    as_device(device)
    published = None if reference is None else (reference_name, read_reference(reference))
    plan = GridPlan.load(spec, root)
    part = plan.part(shard)
    build_model(plan.arch, plan.train.shape, plan.train.num_classes)  # one that does not fit is refused now
    directory = GridDirectory(out, plan)
    with directory.taken(resume, part, whole=shard is None):
        work = _Work(directory, part)
        if progress:
            note = spec.out_of_reach()
            if note is not None:
                print(f"note: {note}", file=sys.stderr)
            work.measure(machine)
        directory.begin()
        cells = _run(work, machine, progress)
        for cell in (cell for model in plan.models for cell in plan.cells(model) if cell not in cells):
            frame = directory.stored(cell)
            if frame is None:
                return grid_table(_gathered(plan, cells))
            cells[cell] = frame
        return directory.finish(_gathered(plan, cells), published)


def _gathered(plan: GridPlan, cells: dict[Cell, pd.DataFrame]) -> GridVotes:
    spec = plan.spec
    return GridVotes(spec.data, f"{plan.arch}, {spec.objective}", cells, spec.radii, spec.n, spec.failure_prob)


class _Work:
    """What is left to do, and how long it will take.

    Attributes:
        directory: of the grid.
        part: models to evaluate.
        models: models to train or to look at, those first that others start from.
    """

    def __init__(self, directory: GridDirectory, part: list[GridModel]) -> None:
        self.directory, self.part = directory, part
        starts = [directory.plan.start(seed) for seed in sorted({model.seed for model in part})]
        self.models = [start for start in starts if start is not None and start not in part] + part
        self.model_seconds = self.image_seconds = 0.0

    def measure(self, machine: _Machine) -> None:
        """Times a few steps and votes of an untrained model, and says what that comes to."""
        plan, spec = self.directory.plan, self.directory.plan.spec
        models = [model for model in self.models if not self.directory.is_trained(model)]
        images = sum(
            self.directory.missing(cell) for model in self.part for cell in plan.cells(model) if cell.smooth_sigma > 0
        )
        steps = voted = 0
        if models:
            noisiest = plan.job(models[-1], self.directory.models)
            self.model_seconds, steps = time_training(noisiest, as_device(machine.device))
        if images:
            base = TorchBase(
                build_model(plan.arch, plan.train.shape, plan.train.num_classes),
                device=machine.device,
                precision=spec.precision,
            )
            some = plan.test.floats(np.arange(min(8, len(plan.test))))
            self.image_seconds, voted = time_votes(
                base, some, spec.smoothed[0], spec.n0, spec.n, machine.batch(plan), machine.workers
            )
        training, voting = len(models) * self.model_seconds, images * self.image_seconds
        print(
            f"about {_span(training + voting)}: {len(models)} models, {_span(training)} (from {steps} steps of an "
            f"untrained one); {spec.n0 + spec.n} votes {images} times, {_span(voting)} (from {voted} times)",
            file=sys.stderr,
        )

    def training_seconds(self, model: GridModel) -> float:
        """For a model, 0 where it is finished."""
        return 0.0 if self.directory.is_trained(model) else self.model_seconds

    def voting_seconds(self, cell: Cell) -> float:
        """For what a log lacks."""
        return self.directory.missing(cell) * self.image_seconds if cell.smooth_sigma > 0 else 0.0

    def total(self) -> float:
        """All that is left."""
        cells = [cell for model in self.part for cell in self.directory.plan.cells(model)]
        return sum(map(self.training_seconds, self.models)) + sum(map(self.voting_seconds, cells))


def _span(seconds: float) -> str:
    """A time for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _run(work: _Work, machine: _Machine, progress: bool) -> dict[Cell, pd.DataFrame]:
    """Trains and evaluates the models; returns the votes of those that are evaluated."""
    from tqdm import tqdm

    directory, plan = work.directory, work.directory.plan
    cells: dict[Cell, pd.DataFrame] = {}
    with tqdm(
        total=work.total() * (1 + 1e-9),  # its parts, added up in another order, must not exceed it
        disable=not progress,
        mininterval=0.1 if sys.stderr.isatty() else 10.0,
        bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed} elapsed, {remaining} left",
    ) as bar:
        for number, model in enumerate(work.models, start=1):
            where = f"model {number}/{len(work.models)} (α = {model.train_sigma:g}, seed {model.seed})"
            bar.set_description_str(f"{where}, training")
            seconds = work.training_seconds(model)
            run_job(
                plan.job(model, directory.models),
                directory.models / model.name,
                test=plan.test,
                device=machine.device,
                resume=True,
            )
            bar.update(seconds)
            if model in work.part:
                bar.set_description_str(f"{where}, voting")
                cells |= _vote(work, model, machine, bar.update)
    return cells


def _vote(
    work: _Work, model: GridModel, machine: _Machine, advance: Callable[[float], Any]
) -> dict[Cell, pd.DataFrame]:
    """The votes of a model in all its cells."""
    directory, plan = work.directory, work.directory.plan
    base, _, told = load_network(directory.models / model.name, machine.device, plan.spec.precision)
    stop = Event()
    with ThreadPoolExecutor(machine.workers) as pool:
        tasks = {}
        for cell in plan.cells(model):
            arguments = plan, base, told, cell, directory.log(cell), machine.batch(plan), stop
            tasks[pool.submit(cell_votes, *arguments)] = cell, work.voting_seconds(cell)
        try:
            for task in as_completed(tasks):
                task.result()
                advance(tasks[task][1])
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    return {cell: task.result() for task, (cell, _) in tasks.items()}
