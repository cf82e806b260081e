"""A run's directory: what was asked, the finished cells, and at the end the table, never half-written.

While a run is under way ``cells.jsonl`` gets a line for each finished cell; a torn last line is dropped on reading. The
table is written to a temporary file and moved into place, after which the cells are removed. Nothing is written before
the first cell is finished, so that a run which cannot begin leaves the directory as it was.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from noiseaug.runs import directory as run_directory
from noiseaug.runs import run_all, threads_each, write_atomically
from noiseaug.runs.decoding import decode
from noiseaug.runs.journal import Journal, whole_lines
from noiseaug.sweeps import run_rows, together
from noiseaug.synthetic.study import Study
from noiseaug.tables import read_table, to_frame

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RunDirectory", "run_study"]

_TOGETHER = 21  # cells run in one call, which shares their work; an interruption loses those under way

Cells = dict[str, list[dict[str, Any]]]


class _Cell(msgspec.Struct):
    """A line of ``cells.jsonl``."""

    key: str
    rows: list[dict[str, Any]]


class RunDirectory(run_directory.RunDirectory):
    """The directory of one study, with its finished cells while it is under way."""

    def __init__(self, path: Path, study: Study) -> None:
        super().__init__(path, study.describe(), results=("table.csv", "table.parquet"))
        self._journal: Journal | None = None

    @property
    def _cells(self) -> Path:
        return self.path / "cells.jsonl"

    @property
    def table(self) -> Path:
        """Where the finished table lies."""
        return self.path / "table.csv"

    @contextmanager
    def claimed(self, resume: bool) -> Iterator[Cells | None]:
        """Holds the directory against a second process; yields the finished cells by key, None where all are.

        Raises:
            InvalidInputError: as ``check``, and where another process holds the directory.
        """
        with self.held(resume) as state:
            try:
                yield {"new": dict, "unfinished": self._read_cells, "complete": lambda: None}[state]()
            finally:
                self._close()

    def _read_cells(self) -> Cells:
        """The cells of an interrupted run; the journal is open for more of them afterwards."""
        self._journal = Journal(self._cells)
        lines, size = whole_lines(self._journal.read())
        done: Cells = {}
        for number, line in enumerate(lines, start=1):
            # rows may hold NaN and infinity
            cell = decode(line, _Cell, f"{self._cells}, line {number}", "; choose another --out", strict=False)
            done[cell.key] = cell.rows
        self._journal.keep(size)
        return done

    def append(self, key: str, rows: list[dict[str, Any]]) -> None:
        """Adds one finished cell; the first one of a new run marks the directory as an unfinished run."""
        if self._journal is None:
            self._cells.unlink(missing_ok=True)
            self.write_record("unfinished")
            self._journal = Journal(self._cells)
        self._journal.append(json.dumps({"key": key, "rows": rows}) + "\n")

    @property
    def parquet(self) -> Path:
        """Where the table lies a second time, where the extra ``parquet`` is installed."""
        return self.path / "table.parquet"

    def finish(self, table: pd.DataFrame) -> None:
        """Writes the table and marks the run complete."""
        if find_spec("pyarrow") is None:
            self.parquet.unlink(missing_ok=True)  # of an earlier run
        else:
            write_atomically(self.parquet, table.to_parquet(index=False))
        write_atomically(self.table, table.to_csv(index=False))
        self.write_record("complete")
        self._close()
        self._cells.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None


def run_study(
    study: Study, path: Path, *, jobs: int = -1, resume: bool = False, dask: str | None = None, progress: bool = True
) -> pd.DataFrame:
    """Runs a study into a directory and returns its table; finished cells survive an interruption.

    Args:
        study: what to run.
        path: directory of the run; created, or that of the same study.
        jobs: worker processes, −1 for one a core; they are started only where they save time.
        resume: take up an unfinished run, or take a complete one as it is.
        dask: address of a Dask scheduler to run on instead of local processes.
        progress: show a bar on standard error.

    Raises:
        InvalidInputError: for a directory that belongs to something else.
    """
    # parts may share a task and a training noise, so the position belongs to the key
    cells = [(f"{index}|{cell.key}", columns, cell) for index, (columns, cell) in enumerate(study.cells())]
    directory = RunDirectory(path, study)
    with directory.claimed(resume) as done:
        if done is None:
            return read_table(directory.table)
        left = [(key, cell) for key, _, cell in cells if key not in done]
        # samples take long enough that each cell is worth a line by itself
        sampled = any("sampled" in cell.grid.method for _, cell in left)
        pieces = together([cell for _, cell in left], 1 if sampled else _TOGETHER)
        keys = iter([key for key, _ in left])
        todo = [[next(keys) for _ in piece] for piece in pieces]
        title = study.name if progress else None
        run = partial(run_rows, threads=1 if dask else threads_each(jobs, len(pieces)))
        for index, rows in run_all(run, pieces, jobs=jobs, dask=dask, progress=title, if_worth=True):
            for key, mine in zip(todo[index], rows, strict=True):
                directory.append(key, mine)
                done[key] = mine
        table = to_frame({**row, **columns} for key, columns, _ in cells for row in done[key])
        directory.finish(table)
    return table
