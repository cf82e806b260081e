"""Running the command line from tests: inside this process for its answers, in another one for its life and death."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HEAVY = ("torch", "matplotlib", "pandas", "scipy", "sklearn", "joblib", "dask", "distributed")

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 280  # seconds after which a process is taken for stuck; five times what the slowest needs on a busy machine

# A Dask scheduler on loopback with two worker processes, until standard input ends.
CLUSTER = """
import sys
from distributed import LocalCluster

if __name__ == "__main__":
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as running:
        print(running.scheduler_address, flush=True)
        sys.stdin.read()
"""


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line of an error; fails unless there is exactly one and nothing that looks like a traceback."""
        assert "Traceback" not in self.err, self.err
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.err
        assert self.err.endswith(lines[0] + "\n"), self.err
        return lines[0].removeprefix("error: ")


def call(*arguments: object) -> Outcome:
    """``python -m noiseaug.synthetic ARGUMENTS`` in this process."""
    from noiseaug.cli.synthetic import app

    return _inside(app, arguments)


def call_root(*arguments: object) -> Outcome:
    """``noiseaug ARGUMENTS`` in this process."""
    from noiseaug.cli import app

    return _inside(app, arguments)


def _inside(app: Any, arguments: tuple[object, ...]) -> Outcome:
    from noiseaug.cli.running import run_app

    out, err, kept = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["noiseaug", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            run_app(app)
    except SystemExit as stop:
        return Outcome(int(stop.code or 0), out.getvalue(), err.getvalue())
    finally:
        sys.argv = kept
    raise AssertionError("run_app returned")


def environment() -> dict[str, str]:
    """This process's environment, in which another Python finds the package and the tests."""
    found = {key: value for key, value in os.environ.items() if key not in {"FORCE_COLOR", "COLUMNS"}}
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**found, "PYTHONPATH": path, "PYTHONUTF8": "1"}


class Process(subprocess.Popen[str]):
    """A process that does not outlive its ``with`` block, however that is left."""

    def __exit__(self, *reason: object) -> None:
        self.kill()  # nothing to a process that has ended
        super().__exit__(*reason)


def start(*command: object, **options: Any) -> Process:
    """Another Python process with pipes."""
    settled = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "encoding": "utf-8", **options}
    return Process([sys.executable, *map(str, command)], env=environment(), **settled)


def python(*command: object, **options: Any) -> Outcome:
    """Runs another Python process to its end."""
    with start(*command, **options) as process:
        out, err = process.communicate(timeout=PATIENCE)
    return Outcome(process.returncode, out, err)


@contextlib.contextmanager
def dask_cluster() -> Iterator[tuple[Process, str]]:
    """Yields the cluster's process and the address of its scheduler.

    In a process of its own, which can be killed: closing a cluster waits for its parts, and waited for ever once.
    """
    import pytest

    pytest.importorskip("distributed")
    with start("-c", CLUSTER, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def wait_until(condition: Callable[[], object]) -> None:
    """Waits for what has to happen; a stuck process fails the test."""
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.05)


def content(path: Path) -> dict[str, str]:
    """A digest of every file below a path, and the folders; equal before and after means that nothing was touched."""
    if path.is_file():
        return {".": hashlib.sha256(path.read_bytes()).hexdigest()}
    return {
        str(entry.relative_to(path)): hashlib.sha256(entry.read_bytes()).hexdigest() if entry.is_file() else "folder"
        for entry in sorted(path.rglob("*"))
    }
