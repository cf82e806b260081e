"""The directory of an (α, β) grid: its models, its logs, and at the end its tables and pictures."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from noiseaug.errors import InvalidInputError
from noiseaug.records import read_log
from noiseaug.runs import RunDirectory, read_record, save_figure, write_atomically
from noiseaug.vision.grid.plan import GridModel, GridPlan
from noiseaug.vision.grid.tables import Cell

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["GridDirectory"]


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
        same = record is not None and record.description == self.description
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
            self.write_record("unfinished")
        self.votes.mkdir(exist_ok=True)

    def log(self, cell: Cell) -> Path:
        """The log of a cell."""
        model = GridModel(cell.train_sigma, cell.seed)
        return self.votes / f"{model.name}-b{cell.smooth_sigma:.12g}-{cell.split}.jsonl"

    def is_trained(self, model: GridModel) -> bool:
        """Whether a model is finished."""
        record = read_record(self.models / model.name)
        return record is not None and record.status == "complete"

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

    def finish(self, tables: Mapping[str, pd.DataFrame], figures: Mapping[str, Figure], radii: Sequence[float]) -> None:
        """Writes tables and pictures, by their names, and marks the grid complete."""
        for name, table in tables.items():
            write_atomically(self.path / f"{name}.csv", table.to_csv(index=False))
        for name, figure in figures.items():
            save_figure(figure, self.path / f"{name}.png")
        self.write_record("complete", radii=list(radii))
