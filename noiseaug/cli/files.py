"""The files that a command reads and writes, by its options: none may be both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from noiseaug.data import DataName
from noiseaug.runs import refuse_clashes

__all__ = ["check_files"]

Value = Path | str | Iterable[Path | str] | None

_OF_RUNS = ("run.json", "model.safetensors", "metrics.csv", "table.csv")


def check_files(outputs: Mapping[str, Value], inputs: Mapping[str, Value]) -> None:
    """Refuses outputs that would replace an input or one another, before anything is read.

    Args:
        outputs: what is written, by option: a file, or the files that go into a folder.
        inputs: what is read, by option: a path, the name of a data set or a classifier, or several paths. A folder
            stands for the files of a run in it, ``module:attribute`` for the module's source.

    Raises:
        InvalidInputError: as :func:`noiseaug.runs.refuse_clashes`.
    """
    refuse_clashes(
        {option: _several(value) for option, value in outputs.items()},
        {option: [file for path in _several(value) for file in _read(path)] for option, value in inputs.items()},
    )


def _several(value: Value) -> list[Path]:
    if value is None:
        return []
    return [Path(value)] if isinstance(value, str | Path) else [Path(path) for path in value]


def _read(path: Path) -> list[Path]:
    """The files that a path, or the name of a data set or classifier, may stand for."""
    if path.is_dir():
        return [path / name for name in _OF_RUNS]
    found = [path, DataName.parse(str(path)).path]
    module, colon, _ = str(path).partition(":")
    parts = module.split(".")
    if colon and all(part.isidentifier() for part in parts):
        found += [Path(*parts).with_suffix(".py"), Path(*parts, "__init__.py")]
    return found
