"""The (α, β) grid on images: a base model for each training noise, evaluated at every smoothing noise from its votes.

    spec = GridSpec("mnist", train_sigma=(0, 0.25, 0.5), smooth_sigma=(0, 0.25, 0.5), radii=(0, 0.25))
    table = run_grid(spec, Path("grid"), progress=True)

The directory holds ``run.json`` (what the grid is), ``models/`` (a training run each), ``votes/`` (a log for each
model, β and set of images), and once all of them are there ``table.csv``, ``optimum.csv`` and pictures. A grid that was
stopped goes on where it was.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from noiseaug import validation
from noiseaug.runs import count_workers
from noiseaug.vision.device import as_device
from noiseaug.vision.grid.directory import GridDirectory
from noiseaug.vision.grid.pictures import draw, read_reference
from noiseaug.vision.grid.plan import GridPlan, GridSpec
from noiseaug.vision.grid.tables import Cell, GridVotes, curve_table, grid_table, optimum_table
from noiseaug.vision.grid.work import Machine, Work, time_model, train, vote
from noiseaug.vision.grid.workers import Crew, spread
from noiseaug.vision.models import build_model

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["run_grid"]


def run_grid(
    spec: GridSpec,
    out: Path | str,
    *,
    root: Path | str | None = None,
    device: str = "cpu",
    vote_batch: int | None = None,
    shard: str | None = None,
    jobs: int = 1,
    dask: str | None = None,
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
        jobs: worker processes, −1 for one a core, each with a model at a time on one thread; 1 does them here, on all
            threads. On a CPU the table is that of one thread here, bit for bit; more threads round otherwise.
        dask: address of a Dask scheduler to run on instead of local processes, with a model at a time in each worker
            process. The workers must share ``out``; ``device`` is each worker's own.
        resume: keep the models and votes that are there.
        reference: CSV file with published risks, columns train_sigma, smooth_sigma and risk, to lay over the picture.
        reference_name: what to call them.
        progress: show an estimate of the time, then a bar, on standard error.

    Returns:
        The table of :func:`~noiseaug.vision.grid.grid_table`. Where models of other shards are still missing it
        is that of this part, and no tables or pictures are written.

    Raises:
        InvalidInputError: for bad input, or a directory of something else.
        NoiseaugError: where a worker process, or the Dask scheduler, is lost; what is finished stays.
    """
    out = Path(out)
    machine = Machine(device, None if vote_batch is None else validation.integer("vote_batch", vote_batch))
    if dask is None:
        as_device(device)
    published = None if reference is None else (reference_name, read_reference(reference))
    plan = GridPlan.load(spec, root)
    part = plan.part(shard)
    build_model(plan.arch, plan.train.shape, plan.train.num_classes)  # one that does not fit is refused now
    crew = None if jobs == 1 and dask is None else Crew(jobs, dask, count_workers(jobs, dask))
    directory = GridDirectory(out, plan)
    with directory.taken(resume, part, whole=shard is None):
        work = Work(directory, part)
        note = spec.out_of_reach()
        if progress and note is not None:
            print(f"note: {note}", file=sys.stderr)
        cells = _run(work, machine, progress) if crew is None else spread(work, machine, root, crew, progress)
        for cell in (cell for model in plan.models for cell in plan.cells(model) if cell not in cells):
            frame = directory.stored(cell)
            if frame is None:
                return grid_table(_gathered(plan, cells))
            cells[cell] = frame
        return _finish(directory, _gathered(plan, cells), published)


def _gathered(plan: GridPlan, cells: dict[Cell, pd.DataFrame]) -> GridVotes:
    spec = plan.spec
    return GridVotes(spec.data, f"{plan.arch}, {spec.objective}", cells, spec.radii, spec.n, spec.failure_prob)


def _finish(directory: GridDirectory, votes: GridVotes, reference: tuple[str, pd.DataFrame] | None) -> pd.DataFrame:
    """Writes tables and pictures; returns the table."""
    tables = {"table": grid_table(votes), "optimum": optimum_table(votes)}
    figures = draw(votes, curve_table(votes), tables["optimum"], reference)
    directory.finish(tables, figures, votes.radii)
    return tables["table"]


def _run(work: Work, machine: Machine, progress: bool) -> dict[Cell, pd.DataFrame]:
    """Trains and evaluates the models here; returns the votes of those that are evaluated."""
    directory = work.directory
    if progress:
        work.announce(time_model(directory.plan, machine, *work.question()), workers=1)
    directory.begin()
    cells: dict[Cell, pd.DataFrame] = {}
    voting = {cell: work.voting_seconds(cell) for model in work.part for cell in directory.plan.cells(model)}
    with work.bar(progress) as bar:
        for number, model in enumerate(work.models, start=1):
            where = f"model {number}/{len(work.models)} (α = {model.train_sigma:g}, seed {model.seed})"
            bar.set_description_str(f"{where}, training")
            seconds = work.training_seconds(model)
            train(directory, model, machine)
            bar.update(seconds)
            if model in work.part:
                bar.set_description_str(f"{where}, voting")
                cells |= vote(directory, model, machine, lambda cell: bar.update(voting[cell]))
    return cells
