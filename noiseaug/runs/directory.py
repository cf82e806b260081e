"""A directory that belongs to one run: its description, its state, and the lock that keeps it to one process.

``run.json`` says what the run is, from its first finished piece of work on. Nothing is written before that, so that a
run which cannot begin leaves the directory as it was.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import msgspec

import noiseaug
from noiseaug.errors import InvalidInputError
from noiseaug.runs.decoding import decode
from noiseaug.runs.files import make_folder, read_file, write_atomically
from noiseaug.runs.locks import locked_directory

__all__ = ["Difference", "Record", "RunDirectory", "difference", "read_record", "shown"]

State = Literal["new", "unfinished", "complete"]


class Record(msgspec.Struct):
    """What ``run.json`` holds that a later run relies on; further entries are notes for people.

    Attributes:
        status: whether the run is finished.
        description: what the run is.
        versions: of noiseaug, Python and the libraries that matter.
    """

    status: Literal["unfinished", "complete"]
    description: dict[str, Any]
    versions: dict[str, str] = msgspec.field(default_factory=dict)


class RunDirectory:
    """A directory that belongs to one description.

    Args:
        path: the directory; created when it is claimed.
        description: what the run is, as plain values that JSON can hold.
        results: names of the files that the run writes besides its record.
    """

    def __init__(self, path: Path, description: Any, results: tuple[str, ...] = ()) -> None:
        self.path = path
        self.description = json.loads(json.dumps(description))
        self._results = results
        self._started = time.time()

    @property
    def _record(self) -> Path:
        return self.path / "run.json"

    def check(self, resume: bool) -> State:
        """Whether the run may go into the directory, and what is there of it.

        A complete run of the same description is ``"new"`` without ``resume``: it is computed again.

        Raises:
            InvalidInputError: where the directory holds something else, another description, or an unfinished run and
                ``resume`` was not asked for.
        """
        record = read_record(self.path)
        if record is None:
            if self.path.exists() and not _is_empty(self.path):
                raise InvalidInputError(f"{self.path} exists and holds no run; choose another --out")
            return "new"
        found = difference(record.description, self.description)
        if found is not None:
            raise InvalidInputError(
                f"{self.path} holds a run of another description; choose another --out{_in_brackets(found)}"
            )
        if record.status == "complete":
            return "complete" if resume else "new"
        if not resume:
            raise InvalidInputError(f"{self.path} holds an unfinished run; add --resume, or choose another --out")
        if record.versions.get("noiseaug") != noiseaug.__version__:
            raise InvalidInputError(f"{self.path} was begun by another version of noiseaug; choose another --out")
        return "unfinished"

    @contextmanager
    def held(self, resume: bool) -> Iterator[State]:
        """Holds the directory against a second process; yields what is there of the run.

        Raises:
            InvalidInputError: as :meth:`check`, and where another process holds the directory.
        """
        created = not self.path.is_dir()
        if created:
            self.check(resume)
            make_folder(self.path)
        try:
            with locked_directory(self.path):
                state = self.check(resume)
                if state != "complete":
                    self._sweep_up()
                yield state
        except BaseException:
            if created:
                with suppress(OSError):  # not empty: something was finished
                    self.path.rmdir()
            raise

    def _sweep_up(self) -> None:
        """Removes what a process left that was killed while it wrote a file."""
        for name in (*self._results, self._record.name):
            for stale in self.path.glob(f".{name}.*.part"):
                stale.unlink(missing_ok=True)

    def write_record(self, status: Literal["unfinished", "complete"], **more: Any) -> None:
        """Writes ``run.json``, unless it says the same already of a complete run; ``more``: further plain entries."""
        record = {
            "status": status,
            "description": self.description,
            "versions": _versions(),
            "platform": platform.platform(),
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            **more,
        }
        if status == "complete":
            if self._says(record):  # taken up again, a complete run keeps its date and its time
                return
            record.setdefault("seconds", round(time.time() - self._started, 3))
        write_atomically(self._record, json.dumps(record, indent=2) + "\n")

    def _says(self, record: dict[str, Any]) -> bool:
        """Whether ``run.json`` holds this record already, whenever it was written and however long the run took."""
        try:
            stored = json.loads(read_file(self._record))
        except FileNotFoundError:
            return False
        stored["written"] = record["written"]
        if "seconds" not in record:
            stored.pop("seconds", None)
        return bool(stored == json.loads(json.dumps(record)))


_ABSENT = object()

Difference = tuple[str, Any, Any]


def difference(stored: Any, wanted: Any, key: str = "") -> Difference | None:
    """The first key in which two descriptions differ, dotted, with both values; None where they are equal."""
    if isinstance(stored, dict) and isinstance(wanted, dict):
        for name in [*wanted, *(name for name in stored if name not in wanted)]:
            inner = f"{key}.{name}" if key else name
            found = difference(stored.get(name, _ABSENT), wanted.get(name, _ABSENT), inner)
            if found is not None:
                return found
        return None
    return None if stored == wanted else (key, stored, wanted)


def shown(value: Any) -> str:
    """A value of a description in a message."""
    return "nothing" if value is _ABSENT else repr(value)


def _in_brackets(found: Difference) -> str:
    """The difference in brackets, where it is short."""
    key, stored, wanted = found
    text = f" (its {key} is {shown(stored)}, not {shown(wanted)})"
    return text if key and len(text) < 200 else ""


def read_record(path: Path) -> Record | None:
    """The record of a run's directory, None where there is none.

    Raises:
        InvalidInputError: where ``run.json`` is no record.
    """
    file = path / "run.json"
    try:
        content = read_file(file)
    except (FileNotFoundError, NotADirectoryError):
        return None
    # results may be NaN
    return decode(content, Record, str(file), "; choose another --out", strict=False)


def _is_empty(path: Path) -> bool:
    """Whether a directory holds nothing but what a killed process left."""
    return path.is_dir() and all(entry.name.startswith(".") and entry.suffix == ".part" for entry in path.iterdir())


def _versions() -> dict[str, str]:
    found = {"noiseaug": noiseaug.__version__, "python": sys.version.split()[0]}
    for name in ("numpy", "scipy", "pandas", "scikit-learn", "matplotlib", "joblib", "torch"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
