"""Running stages one after another, each in a process of its own that is killed when its time is up.

A stage writes every row as soon as it has it, so that neither its end nor that of the whole command loses what was
finished. Begun again with the same folder, the command leaves finished stages out, and a stage the rows that it has.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from noiseaug.errors import first_line
from noiseaug.runs import write_atomically

LIMITS = {"right": 75.0, "fast": 150.0, "good": 300.0, "certified": 150.0, "question": 90.0}
"""Seconds that a stage may take, in the order in which they run; all shorter where there is less in all, and the last
of those that were asked for takes what is left."""
_COMMAND = "benchmarks.cuda"
_UNFINISHED = 3  # exit status of a stage that had no time for all of it
_LEAST = 4.0  # seconds with which a stage is still begun
_GRACE = 5.0  # seconds between the time at which a stage should end by itself and its end


class Table:
    """A CSV file of rows, written anew with every row; a file that is there is gone on with."""

    def __init__(self, path: Path, head: str = "") -> None:
        self.path, self.head = path, head
        self.rows: list[dict[str, Any]] = []
        if path.exists():
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            self.head = self.head or "".join(lines[:1] if lines and lines[0].startswith("# ") else []).strip("# \n")
            self.rows = list(csv.DictReader(line for line in lines if not line.startswith("# ")))

    def has(self, **known: Any) -> bool:
        """Whether there is a row with these values."""
        return any(all(row.get(key) == str(value) for key, value in known.items()) for row in self.rows)

    def drop(self, **known: Any) -> None:
        """Takes the rows with these values out; the file follows with the next row."""
        self.rows = [row for row in self.rows if any(row.get(key) != str(value) for key, value in known.items())]

    def add(self, **row: Any) -> None:
        """Adds a row and writes the file."""
        self.rows.append({key: _text(value) for key, value in row.items()})
        columns = list(dict.fromkeys(key for each in self.rows for key in each))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_atomically(self.path, (f"# {self.head}\n" if self.head else "") + text.getvalue())
        print(", ".join(f"{key} {value}" for key, value in self.rows[-1].items() if value != ""), flush=True)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else " ".join(str(value).split())


@dataclass(frozen=True)
class Context:
    """What a stage gets.

    Attributes:
        out: folder of the tables.
        work: folder of weights and logs.
        device: as torch names it.
        small: whether to do all of it in small, as the tests do.
        data: data root of CIFAR-10.
        seconds: from now until the stage should have ended.
        objective: of the second network.
    """

    out: Path
    work: Path
    device: str = "cuda"
    small: bool = False
    data: str | None = None
    seconds: float = 60.0
    objective: str = "consistency"
    begun: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds until the stage should have ended."""
        return self.begun + self.seconds - time.monotonic()

    def table(self, name: str) -> Table:
        """The table of a stage, headed by the device and the versions."""
        import torch

        from benchmarks._networks import hardware

        return Table(self.out / f"{name}.csv", hardware(torch.device(self.device)))


@contextlib.contextmanager
def caught(table: Table, **row: Any) -> Iterator[None]:
    """Makes of an error a row, and goes on; of a lack of time too."""
    try:
        yield
    except Exception as error:  # whatever a device thinks of
        traceback.print_exc()
        table.add(**row, note=f"failed: {kind_and_line(error)}")


def kind_and_line(error: BaseException) -> str:
    """The kind of an error and the first line of its message."""
    return f"{type(error).__name__}: {first_line(error)[:300]}"


def run_stage(name: str, context: Context, stages: dict[str, Callable[[Context], str]]) -> int:
    """Does a stage in this process; leaves the reason in a file where it fails, or says what it had no time for."""
    try:
        missing = stages[name](context)
    except Exception as error:
        traceback.print_exc()
        write_atomically(_note(context.work, name), kind_and_line(error))
        return 1
    if missing:
        write_atomically(_note(context.work, name), missing)
        return _UNFINISHED
    return 0


def _note(work: Path, name: str) -> Path:
    return work / f"{name}.error"


def run_all(names: list[str], out: Path, work: Path, seconds: float, options: list[str]) -> int:
    """Runs stages in processes of their own, the time that is left shared as it comes.

    Args:
        names: of the stages.
        out: folder of the tables.
        work: folder of weights and logs.
        seconds: for all of them together.
        options: what each process is told besides.

    Returns:
        0 where every stage finished.
    """
    work.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + seconds
    table = Table(out / "stages.csv")
    table.rows = [row for row in table.rows if row["status"] == "finished" or row["stage"] not in names]
    done = [table.has(stage=name, status="finished") for name in names]
    for place, (name, finished) in enumerate(zip(names, done, strict=True)):
        if finished:
            print(f"== {name}: finished before", flush=True)
            continue
        to_come = [each for each, over in zip(names[place:], done[place:], strict=True) if not over]
        left = end - time.monotonic()
        limit = left * LIMITS[name] / sum(LIMITS[each] for each in to_come)
        if len(to_come) > 1:
            limit = min(limit, LIMITS[name])
        if limit < _LEAST:
            table.add(stage=name, status="skipped", seconds=0, note="no time left")
            continue
        print(f"== {name}: {limit:.0f} s at most", flush=True)
        begun = time.monotonic()
        status, note = _one(name, limit, out, work, options)
        table.add(stage=name, status=status, seconds=round(time.monotonic() - begun, 1), note=note)
    last = {row["stage"]: row["status"] for row in table.rows}
    return 0 if all(last.get(name) == "finished" for name in names) else 1


def _one(name: str, limit: float, out: Path, work: Path, options: list[str]) -> tuple[str, str]:
    """Status and note of one stage, after its end."""
    _note(work, name).unlink(missing_ok=True)
    own = limit - min(_GRACE, limit / 4)
    command = [sys.executable, "-m", _COMMAND, "--stage", name, "--seconds", f"{own:.1f}"]
    command += ["--out", str(out), "--work", str(work), *options]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        code = process.wait(timeout=limit)
    except subprocess.TimeoutExpired:
        return "cut", f"after {limit:.0f} s; what it had written stays"
    finally:
        # with all that it started; also where this process is interrupted
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if code == 0:
        return "finished", ""
    note = _note(work, name)
    said = note.read_text(encoding="utf-8") if note.exists() else f"ended with status {code}"
    return "unfinished" if code == _UNFINISHED and note.exists() else "failed", said
