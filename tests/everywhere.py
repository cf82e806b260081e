"""Runs the fast tests in the settings that differ between machines: ``make test-everywhere``.

    python -m tests.everywhere                          all settings that this machine can make
    python -m tests.everywhere --only avx2 --only bare  some of them
    python -m tests.everywhere --python /opt/python3.14/bin/python3.14

Each setting's output goes to ``build/everywhere/NAME.log``; the exit status is 1 where one of them failed.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "build" / "everywhere"
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
OTHER_PYTHONS = ("3.12", "3.13", "3.14")  # beside the one of this environment


@dataclass(frozen=True)
class Setting:
    """A way of running the tests.

    Attributes:
        name: of the setting, and of its log.
        what: in words.
        python: the interpreter.
        variables: of the environment, beside those that are there.
        cores: how many the tests may use; all by default.
    """

    name: str
    what: str
    python: str = sys.executable
    variables: dict[str, str] = field(default_factory=dict)
    cores: int | None = None

    def run(self, more: list[str]) -> tuple[int, str]:
        """Exit status and pytest's closing line."""
        log = OUT / f"{self.name}.log"
        command = [self.python, "-m", "pytest", "-n", "2", "--dist", "loadfile", "--color=no", *more]

        def confine() -> None:
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: self.cores])

        with log.open("w", encoding="utf-8") as stream:
            status = subprocess.run(
                command,
                cwd=ROOT,
                env={**os.environ, **ONE_THREAD, **self.variables},
                stdout=stream,
                stderr=subprocess.STDOUT,
                preexec_fn=confine if self.cores else None,
                check=False,
            ).returncode
        lines = [line for line in log.read_text(encoding="utf-8").splitlines() if line.strip()]
        return status, lines[-1].strip("= ") if lines else "no output"


def settings() -> Iterator[Setting]:
    """Those of this environment's interpreter."""
    yield Setting("here", "as it is")
    # for torch and for oneDNN; NumPy and SciPy choose for themselves
    narrow = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
    yield Setting("avx2", "a processor without AVX-512", variables=narrow)
    if hasattr(os, "sched_setaffinity"):
        yield Setting("one-core", "one core", cores=1)
    # below a file nothing can be created, by root neither
    no_home = {"HOME": str(ROOT / "pyproject.toml" / "home"), "TZ": "Pacific/Apia"}
    no_home |= {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONHASHSEED": "12345"}
    yield Setting("bare", "no home folder to write to, LANG=C, another time zone", variables=no_home)


def other_interpreters(given: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Version and path of each interpreter that is given or found on PATH, and runs."""
    for candidate in [*given, *(f"python{version}" for version in OTHER_PYTHONS)]:
        path = shutil.which(candidate)
        if path is None:
            continue
        asked = [path, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        found = subprocess.run(asked, capture_output=True, text=True, check=False)
        if found.returncode == 0:
            yield found.stdout.strip(), path


def without_torch(version: str, interpreter: str) -> Setting:
    """The package without its torch extra in an environment of its own, made where it is not there."""
    environment = OUT / f"python{version}"
    python = environment / "bin" / "python"
    if not (environment / "installed").exists():
        subprocess.run([interpreter, "-m", "venv", "--clear", environment], check=True)
        pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "-q"]
        subprocess.run([*pip, "-c", "constraints.txt", "-e", ".[dev]"], cwd=ROOT, check=True)
        (environment / "installed").touch()
    return Setting(f"python{version}", f"Python {version} without torch", str(python))


def main(arguments: list[str] | None = None) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.everywhere", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="a setting: here, avx2, one-core, bare, python3.12 …"
    )
    parser.add_argument(
        "--python", action="append", default=[], metavar="PATH", help="another interpreter, newer than 3.11"
    )
    options, more = parser.parse_known_args(arguments)
    OUT.mkdir(parents=True, exist_ok=True)
    wanted = [setting for setting in settings() if not options.only or setting.name in options.only]
    for version, interpreter in dict(other_interpreters(options.python)).items():
        if version != ".".join(platform.python_version_tuple()[:2]) and (
            not options.only or f"python{version}" in options.only
        ):
            wanted.append(without_torch(version, interpreter))
    if missing := set(options.only or ()) - {setting.name for setting in wanted}:
        print(f"error: cannot make the setting {', '.join(sorted(missing))} here", file=sys.stderr)
        return 2
    failed = 0
    for setting in wanted:
        begun = time.monotonic()
        print(f"{setting.name}: {setting.what} …", flush=True)
        status, told = setting.run(more)
        failed += status != 0
        print(f"    {'passed' if status == 0 else 'FAILED'} in {time.monotonic() - begun:.0f} s: {told}", flush=True)
    print(f"logs: {OUT.relative_to(ROOT)}/")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
