"""Commands in forks of one process that has everything imported, each with limits on its time and its memory.

A new interpreter needs seconds to import what a command uses; a fork needs none. The process is one of its own and has
a single thread, so that a fork of it is sound.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.helpers.running import ROOT, Outcome, environment

CPU_SECONDS, WALL_SECONDS, BYTES = 10, 60, 1 << 30  # of memory, beyond what the imports take
LIGHT = ("pandas", "sklearn.linear_model", "matplotlib.figure", "noiseaug.cli", "noiseaug.synthetic.presets")
LIGHT += ("noiseaug.certification", "noiseaug.subjects.classifiers", "noiseaug.report", "noiseaug.bridge.study")
HEAVY = ("torch", "noiseaug.vision.training", "noiseaug.vision.grid", "noiseaug.vision.engine")


class Forks:
    """The process that forks, as a test sees it."""

    def __init__(self, process: subprocess.Popen[str], logs: Path) -> None:
        self._process, self._logs = process, logs

    def call(self, folder: Path, arguments: Sequence[str]) -> Outcome:
        """``noiseaug ARGUMENTS`` in a folder; a status below 0 is the signal that ended it (24: time, 14: it waits)."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([str(folder), str(self._logs), list(arguments)]) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        out, err = ((self._logs / name).read_text("utf-8", "replace") for name in ("out", "err"))
        return Outcome(status, out, err)


@contextlib.contextmanager
def forks(modules: Sequence[str], logs: Path) -> Iterator[Forks]:
    """Starts the process; ``logs``: a folder for what the commands print."""
    command = [sys.executable, "-m", "tests.helpers.forks", *modules]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(), cwd=ROOT
    ) as process:
        try:
            yield Forks(process, logs)
        finally:
            process.kill()


def _serve(modules: Sequence[str]) -> None:
    for name in modules:
        importlib.import_module(name)
    for line in sys.stdin:
        folder, logs, arguments = json.loads(line)
        child = os.fork()
        if not child:
            _run(folder, Path(logs), arguments)
        _, status = os.waitpid(child, 0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # worker processes
        print(os.waitstatus_to_exitcode(status), flush=True)


def _run(folder: str, logs: Path, arguments: list[str]) -> Any:
    """The life of a fork."""
    status = 1
    try:
        os.setsid()
        os.chdir(folder)
        for number, target in enumerate((os.devnull, logs / "out", logs / "err")):
            handle = os.open(target, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(handle, number)
            os.close(handle)
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + BYTES, size + BYTES))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 5))
        signal.alarm(WALL_SECONDS)
        sys.argv = ["noiseaug", *arguments]
        sys.path = [entry for entry in sys.path if entry]

        from noiseaug.cli.root import main

        main()
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    _serve(sys.argv[1:])
