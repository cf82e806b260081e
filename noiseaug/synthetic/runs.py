"""A run's directory: what was asked, the finished cells, and at the end the table, never half-written.

While a run is under way ``cells.jsonl`` gets a line for each finished cell; a torn last line is dropped on reading. The
table is written to a temporary file and moved into place, after which the cells are removed.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import noiseaug
from noiseaug._parallel import run_all
from noiseaug.errors import InvalidInputError
from noiseaug.sweeps import run_cell, to_frame
from noiseaug.synthetic.study import Study

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RunDirectory", "run_study", "write_atomically"]


def write_atomically(path: Path, text: str) -> None:
    """Writes a file so that a reader sees the old content or the new one, whatever happens in between."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


class RunDirectory:
    """A directory that belongs to one description."""

    def __init__(self, path: Path, study: Study) -> None:
        self.path = path
        self._description = json.loads(json.dumps(study.describe()))
        self._started = time.time()

    @property
    def _cells(self) -> Path:
        return self.path / "cells.jsonl"

    @property
    def _record(self) -> Path:
        return self.path / "run.json"

    def open(self, resume: bool) -> dict[str, list[dict[str, Any]]]:
        """Claims the directory; returns the finished cells of an interrupted run, by key.

        Raises:
            InvalidInputError: where it holds something else, another description, or an unfinished run and
                ``resume`` was not asked for.
        """
        record = self._read_record()
        if record is None:
            if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
                raise InvalidInputError(f"{self.path} exists and holds no run; choose another --out")
            self.path.mkdir(parents=True, exist_ok=True)
        elif record.get("description") != self._description:
            raise InvalidInputError(f"{self.path} holds a run of another description; choose another --out")
        elif record.get("status") != "complete":
            if not resume:
                raise InvalidInputError(f"{self.path} holds an unfinished run; add --resume, or choose another --out")
            if record.get("versions", {}).get("noiseaug") != noiseaug.__version__:
                raise InvalidInputError(f"{self.path} was begun by another version of noiseaug; choose another --out")
            return self._read_cells()
        elif resume:
            return self._finished_table()
        self._cells.unlink(missing_ok=True)
        self._write_record("unfinished")
        return {}

    def _read_record(self) -> dict[str, Any] | None:
        try:
            record = json.loads(self._record.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (json.JSONDecodeError, UnicodeDecodeError):
            raise InvalidInputError(f"{self._record} is not readable as JSON; choose another --out") from None
        if not isinstance(record, dict):
            raise InvalidInputError(f"{self._record} is not a run's record; choose another --out")
        return record

    def _read_cells(self) -> dict[str, list[dict[str, Any]]]:
        done = {}
        if not self._cells.exists():
            return {}
        content = self._cells.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        for line in whole.splitlines():
            entry = json.loads(line)
            done[entry["key"]] = entry["rows"]
        if len(whole) < len(content):
            # a torn last line would spoil the next one
            with self._cells.open("r+b") as stream:
                stream.truncate(len(whole))
        return done

    def _finished_table(self) -> dict[str, list[dict[str, Any]]]:
        """Nothing is left to do; the marker tells ``run_study`` to read the table."""
        return {"": []}

    @contextmanager
    def appending(self) -> Iterator[IO[str]]:
        """The log of finished cells, held against a second process that runs into the same directory."""
        with self._cells.open("a", encoding="utf-8") as stream:
            try:
                import fcntl

                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except ImportError:  # no advisory locks on this system
                pass
            except OSError:
                raise InvalidInputError(f"another process is running into {self.path}") from None
            yield stream

    @staticmethod
    def append(stream: IO[str], key: str, rows: list[dict[str, Any]]) -> None:
        """Adds one finished cell."""
        stream.write(json.dumps({"key": key, "rows": rows}) + "\n")
        stream.flush()

    def finish(self, table: pd.DataFrame) -> None:
        """Writes the table and marks the run complete."""
        write_atomically(self.path / "table.csv", table.to_csv(index=False))
        self._write_record("complete")
        self._cells.unlink(missing_ok=True)

    def _write_record(self, status: str) -> None:
        record = {
            "status": status,
            "description": self._description,
            "versions": _versions(),
            "platform": platform.platform(),
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        if status == "complete":
            record["seconds"] = round(time.time() - self._started, 3)
        write_atomically(self._record, json.dumps(record, indent=2) + "\n")


def _versions() -> dict[str, str]:
    found = {"noiseaug": noiseaug.__version__, "python": sys.version.split()[0]}
    for name in ("numpy", "scipy", "pandas", "scikit-learn", "matplotlib", "joblib"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def run_study(
    study: Study, path: Path, *, jobs: int = -1, resume: bool = False, dask: str | None = None, progress: bool = True
) -> pd.DataFrame:
    """Runs a study into a directory and returns its table; finished cells survive an interruption.

    Args:
        study: what to run.
        path: directory of the run; created, or that of the same study.
        jobs: worker processes, −1 for one a core.
        resume: take up an unfinished run, or take a complete one as it is.
        dask: address of a Dask scheduler to run on instead of local processes.
        progress: show a bar on standard error.

    Raises:
        InvalidInputError: for a directory that belongs to something else.
    """
    # parts may share a task and a training noise, so the position belongs to the key
    cells = [(f"{index}|{cell.key}", columns, cell) for index, (columns, cell) in enumerate(study.cells())]
    directory = RunDirectory(path, study)
    done = directory.open(resume)
    if "" in done:
        import pandas as pd

        return pd.read_csv(path / "table.csv")
    todo = [(key, cell) for key, _, cell in cells if key not in done]
    with directory.appending() as stream:
        title = study.name if progress else None
        for index, rows in run_all(run_cell, [cell for _, cell in todo], jobs=jobs, dask=dask, progress=title):
            key = todo[index][0]
            directory.append(stream, key, rows)
            done[key] = rows
        table = to_frame({**row, **columns} for key, columns, _ in cells for row in done[key])
        directory.finish(table)
    return table
