"""The (α, β) grid on images: a base model for each training noise, evaluated at every smoothing noise from its votes.

    spec = GridSpec("mnist", train_sigma=(0, 0.25, 0.5), smooth_sigma=(0, 0.25, 0.5), radii=(0, 0.25))
    table = run_grid(spec, Path("grid"), progress=True)

The directory holds ``run.json`` (what the grid is), ``models/`` (a training run for each), ``votes/`` (a log for each
model, β and set of images), and once these are complete ``table.csv``, ``optimum.csv`` and pictures. A stopped grid
resumes where it was.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from noiseaug import validation
from noiseaug.confidence import VoteBudget
from noiseaug.errors import NoiseaugError
from noiseaug.runs import check_jobs, run_all
from noiseaug.runs.progress import progress_bar
from noiseaug.vision.device import as_device
from noiseaug.vision.grid.grid import Grid, GridModel
from noiseaug.vision.grid.pictures import draw, read_reference
from noiseaug.vision.grid.spec import GridSpec
from noiseaug.vision.grid.tables import GridVotes, curve_table, grid_table, optimum_table
from noiseaug.vision.grid.workers import Place, Task, appears, do, look, work

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["run_grid"]

_LOGS_SECONDS = 60.0  # for the logs of workers to appear here


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
        vote_batch: noisy images classified at a time; by default a size that wastes little on so few votes.
        shard: ``"i/k"`` does the i-th of k parts of the models; shards may run at the same time, in one directory.
        jobs: worker processes, −1 for one per core, each with one model at a time on one thread; 1 works here, on all
            threads. On a CPU the table equals that of one thread here, bit for bit; more threads round differently.
        dask: address of a Dask scheduler to run on instead of local processes, with one model at a time in each worker
            process. The workers must share ``out``; ``device`` is each worker's own.
        resume: keep the models and votes that are there.
        reference: CSV file with published risks, columns train_sigma, smooth_sigma and risk, to lay over the picture.
        reference_name: what to call them.
        progress: say what there is to do and show a bar, on standard error. It estimates the time left from the models
            that are finished.

    Returns:
        The table of :func:`~noiseaug.vision.grid.grid_table`. While models of other shards are missing it covers this
        shard alone, and no tables or pictures are written.

    Raises:
        InvalidInputError: for bad input, or a directory of something else.
        NoiseaugError: where a worker process, or the Dask scheduler, is lost; what is finished stays.
    """
    if vote_batch is not None:
        vote_batch = validation.integer("vote_batch", vote_batch)
    check_jobs(jobs)
    if dask is None:
        as_device(device)
    published = None if reference is None else (reference_name, read_reference(reference))
    grid = Grid(spec, Path(out), root)
    models = grid.shard(shard)
    place = Place(
        grid.path.absolute(),
        Path.cwd(),
        None if root is None else Path(root).expanduser().absolute(),
        (grid.train.digest, grid.test.digest),
        device,
        vote_batch,
        os.getpid(),
    )
    with grid.claimed(models, resume):
        if dask is not None:
            list(run_all(partial(look, spec), [place], dask=dask))
        grid.begin()
        _do_all(grid, models, place, jobs, dask, progress)
        return _finish(grid, models, published)


def _do_all(grid: Grid, models: list[GridModel], place: Place, jobs: int, dask: str | None, progress: bool) -> None:
    """Trains the models and counts their votes, here or on workers; first those that others start from."""
    starts = [start for seed in sorted({model.seed for model in models}) if (start := grid.start(seed)) is not None]
    phases: list[list[Task]] = [[(start, False) for start in starts], [(model, True) for model in models]]
    cells = [cell for model in models for cell in grid.cells(model)]
    untrained = {model for model in (*starts, *models) if not grid.is_trained(model)}
    unfinished = untrained | {model for model in models if any(map(grid.missing, grid.cells(model)))}
    if progress:
        _announce(grid, len(untrained), sum(grid.missing(cell) for cell in cells if cell.smooth_sigma > 0))
    with progress_bar(
        total=len(unfinished),
        show=progress,
        unit="model",
        smoothing=0,  # the mean of all finished models: several may end at the same time
    ) as bar:
        for tasks in phases:
            if jobs == 1 and dask is None:
                results = _here(grid, place, tasks, bar.set_description_str)
            else:
                results = run_all(partial(do, grid.spec, place), tasks, jobs=jobs, dask=dask, one_by_one=True)
            with closing(results):
                for index, _ in results:
                    model, evaluated = tasks[index]
                    bar.update(model in unfinished and (evaluated or model not in models))
    if not appears(lambda: not any(map(grid.missing, cells)), _LOGS_SECONDS):
        raise NoiseaugError(
            f"{sum(map(bool, map(grid.missing, cells)))} of {len(cells)} logs that the workers wrote do not appear in "
            f"{grid.path / 'votes'}; --resume looks again"
        )


def _here(grid: Grid, place: Place, tasks: list[Task], describe: Callable[[str], None]) -> Generator[tuple[int, None]]:
    for index, task in enumerate(tasks):
        describe(f"α = {task[0].train_sigma:g}, seed {task[0].seed}")
        work(grid, place, task)
        yield index, None


def _announce(grid: Grid, models: int, images: int) -> None:
    spec = grid.spec
    note = spec.out_of_reach()
    if note is not None:
        print(f"note: {note}", file=sys.stderr)
    print(f"to do: {models} models to train, {spec.n0 + spec.n} votes on each of {images} images", file=sys.stderr)


def _finish(grid: Grid, models: list[GridModel], reference: tuple[str, pd.DataFrame] | None) -> pd.DataFrame:
    """The table of the whole grid, after tables and pictures are written, or of some models while others lack votes."""
    spec = grid.spec
    whole = not any(grid.missing(cell) for model in grid.models for cell in grid.cells(model))
    cells = {cell: grid.votes(cell) for model in (grid.models if whole else models) for cell in grid.cells(model)}
    name = f"{grid.recipe.arch}, {grid.recipe.objective.name}"
    votes = GridVotes(spec.data, name, cells, spec.radii, VoteBudget(spec.n, spec.failure_prob))
    table = grid_table(votes)
    if whole:
        optimum = optimum_table(votes)
        grid.finish({"table": table, "optimum": optimum}, draw(votes, curve_table(votes), optimum, reference))
    return table
