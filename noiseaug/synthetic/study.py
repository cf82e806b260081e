"""A study as a value: which tasks, which grid; from a preset, a TOML file, or the command line."""

from __future__ import annotations

import inspect
import itertools
import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np

from noiseaug import tasks, validation
from noiseaug.errors import InvalidInputError
from noiseaug.escaping import is_plain
from noiseaug.risk.evaluate import DRAWS
from noiseaug.runs import read_file
from noiseaug.runs.decoding import convert
from noiseaug.sweeps import Cell, Grid
from noiseaug.tables import distinct, steps
from noiseaug.tasks import Task

__all__ = ["TASKS", "Part", "Study", "read_toml"]

TASKS: dict[str, Callable[..., Task]] = {
    "GaussianPair": tasks.GaussianPair,
    "ConcentricGaussians": tasks.ConcentricGaussians,
    "ConcentricSpheres": tasks.ConcentricSpheres,
    "IsolatedBall": tasks.IsolatedBall,
    "Intervals": tasks.Intervals,
    "Intervals.row": tasks.Intervals.row,
    "MixtureOnLine": tasks.MixtureOnLine,
    "GaussianMixtures": tasks.GaussianMixtures,
    "GaussianMixtures.xor": tasks.GaussianMixtures.xor,
    "GaussianMixtures.rings": tasks.GaussianMixtures.rings,
    "GaussianMixtures.moons": tasks.GaussianMixtures.moons,
    "Lattice": tasks.Lattice,
    "DiscLattice": tasks.DiscLattice,
    "PublishedDiscs": tasks.PublishedDiscs,
    "PointMasses.moons": tasks.PointMasses.moons,
    "PointMasses.circles": tasks.PointMasses.circles,
    "PointMasses.digits": tasks.PointMasses.digits,
}
"""What a study may name as its task: classes of ``noiseaug.tasks`` and their factories."""

_GRID_FIELDS = tuple(f.name for f in fields(Grid))
_OF_TASK = "task."
_LIST_FIELDS = ("train_sigma", "smooth_sigma", "radii", "quantities", "rule", "method")


@dataclass(frozen=True)
class Part:
    """One family of tasks on one grid.

    Attributes:
        task: a name in ``TASKS``.
        fixed: its parameters that stay.
        vary: its parameters that take each of several values; all combinations are run.
        grid: the noise levels, quantities and methods.
    """

    task: str
    fixed: Mapping[str, Any]
    vary: Mapping[str, Sequence[Any]]
    grid: Grid

    def __post_init__(self) -> None:
        if not isinstance(self.task, str) or self.task not in TASKS:
            raise InvalidInputError(f"task is {self.task!r}; expected one of {', '.join(TASKS)}")
        unknown = [name for name in [*self.fixed, *self.vary] if name not in self.parameters]
        if unknown:
            raise InvalidInputError(
                f"{self.task} has no parameter {', '.join(unknown)}; it has {', '.join(self.parameters)}"
            )
        for name, values in self.vary.items():
            if not values:
                raise InvalidInputError(f"{name} is empty; expected at least one value")
            distinct(name, [_entry(value) for value in values])
        object.__setattr__(self, "fixed", {k: v for k, v in self.fixed.items() if k not in self.vary})

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the task's parameters."""
        return tuple(inspect.signature(TASKS[self.task]).parameters)

    def tasks(self) -> list[tuple[dict[str, Any], Task]]:
        """Every combination of the varied parameters, with its task."""
        combinations = itertools.product(*self.vary.values())
        settings = [dict(zip(self.vary, values, strict=True)) for values in combinations]
        return [(setting, _build(self.task, {**self.fixed, **setting})) for setting in settings]

    def with_setting(self, key: str, values: Sequence[Any]) -> Part:
        """The same part with a grid field or a task parameter replaced.

        A name that both have is the grid's; ``task.n`` is the task's.
        """
        if key not in _GRID_FIELDS:
            return replace(self, vary={**self.vary, key.removeprefix(_OF_TASK): tuple(values)})
        if key not in _LIST_FIELDS and len(values) != 1:
            raise InvalidInputError(f"{key} is {list(values)}; expected one value")
        changed: Any = {key: tuple(values) if key in _LIST_FIELDS else values[0]}
        return replace(self, grid=replace(self.grid, **changed))


def _build(name: str, parameters: Mapping[str, Any]) -> Task:
    try:
        return TASKS[name](**parameters)
    except InvalidInputError:
        raise
    except (TypeError, ValueError, LookupError, ArithmeticError) as error:
        # values of a wrong kind, which a factory trips over before a task can check them
        raise InvalidInputError(f"{name} cannot be made from {dict(parameters)}: {error}") from None


@dataclass(frozen=True)
class Study:
    """Parts that are run together into one table.

    Attributes:
        name: short name, used for directories.
        title: one line that says what it shows.
        parts: families of tasks with their grids.
        seed: seed of everything that is sampled.
    """

    name: str
    title: str
    parts: tuple[Part, ...]
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", validation.integer("seed", self.seed, at_least=0, at_most=2**63 - 1))

    def with_settings(self, settings: Mapping[str, Sequence[Any]]) -> Study:
        """The study with ``--set`` values put in wherever they apply.

        Raises:
            InvalidInputError: for a key that no part knows.
        """
        parts = self.parts
        for key, values in settings.items():
            takes = [key in _GRID_FIELDS or key.removeprefix(_OF_TASK) in part.parameters for part in parts]
            if not any(takes):
                known = sorted({name for part in parts for name in part.parameters})
                raise InvalidInputError(
                    f"no part of {self.name} has a key {key!r}; expected one of {', '.join([*_GRID_FIELDS, *known])}"
                )
            parts = tuple(part.with_setting(key, values) if ok else part for part, ok in zip(parts, takes, strict=True))
        return replace(self, parts=parts)

    def cells(self) -> list[tuple[dict[str, Any], Cell]]:
        """All cells in the order of the table, each with the columns that its task's varied parameters add."""
        return [
            ({f"task_{name}": _entry(value) for name, value in setting.items()}, cell)
            for part in self.parts
            for setting, task in part.tasks()
            for cell in part.grid.cells(task, self.seed)
        ]

    def describe(self) -> dict[str, Any]:
        """Everything that determines the table, as plain values for JSON."""
        return {
            "name": self.name,
            "title": self.title,
            "seed": self.seed,
            "parts": [
                {
                    "task": part.task,
                    "fixed": _plain(part.fixed),
                    "vary": _plain(part.vary),
                    "grid": _described(part.grid),
                }
                for part in self.parts
            ],
        }


def _described(grid: Grid) -> dict[str, Any]:
    described = {f.name: _plain(getattr(grid, f.name)) for f in fields(Grid)}
    # what is not asked for is left out, as before it could be, so that runs from then stay the same runs
    if grid.tolerance is None:
        del described["tolerance"]
        described["n"] = DRAWS if grid.n is None else grid.n
    if not grid.by_class:
        del described["by_class"]
    return described


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | tuple | list | range):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _entry(value: Any) -> Any:
    """A parameter's value as an entry of the table, which can be compared and grouped by."""
    plain = _plain(value)
    return json.dumps(plain) if isinstance(plain, list | dict) else plain


def read_toml(path: Path) -> Study:
    """A study from a TOML file.

    The file has ``name``, optionally ``title`` and ``seed``, and one ``[[part]]`` for each family with ``task``,
    ``fixed`` (its parameters), ``vary`` (lists of values for some of them) and ``grid`` (the fields of
    ``noiseaug.sweeps.Grid``). A list of numbers may be given as ``{start = 0, stop = 1, num = 11}``.

    Raises:
        InvalidInputError: for a file that cannot be read, or with unknown or missing keys.
    """
    try:
        content = tomllib.loads(read_file(path).decode())
    except OSError as error:
        raise InvalidInputError(f"cannot read {path}: {error.strerror}") from None
    except InvalidInputError:
        raise
    except (ValueError, RecursionError) as error:  # no text, no TOML, an integer of too many digits, too deep
        raise InvalidInputError(f"{path} is not a TOML file: {error}") from None
    file = convert(content, _File, str(path))
    name = path.stem if file.name is None else file.name
    if not name.replace("-", "").replace("_", "").isalnum():
        raise InvalidInputError(f"{path}: name is {name!r}; expected letters, digits, - and _")
    if file.title is not None and not is_plain(file.title):
        raise InvalidInputError(f"{path}: title is {file.title!r}; expected one line without control characters")
    try:
        parts = tuple(_part(part, f"part[{number}]") for number, part in enumerate(file.part))
        return Study(name, name if file.title is None else file.title, parts, file.seed)
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}") from None


class _Part(msgspec.Struct, forbid_unknown_fields=True):
    task: str
    grid: dict[str, Any]
    fixed: dict[str, Any] = {}
    vary: dict[str, Any] = {}


class _File(msgspec.Struct, forbid_unknown_fields=True):
    part: Annotated[list[_Part], msgspec.Meta(min_length=1)]
    name: str | None = None
    title: str | None = None
    seed: Annotated[int, msgspec.Meta(ge=0)] = 0


# its values are checked by Grid
_Grid = msgspec.defstruct(
    "_Grid",
    [(f.name, Any) if f.default is MISSING else (f.name, Any, f.default) for f in fields(Grid)],
    forbid_unknown_fields=True,
)


class _Steps(msgspec.Struct, forbid_unknown_fields=True):
    start: Any
    stop: Any
    num: Any


def _part(part: _Part, where: str) -> Part:
    convert(part.grid, _Grid, f"{where}.grid")
    grid = {key: _expand(key, value, f"{where}.grid.{key}") for key, value in part.grid.items()}
    vary = {key: _expand(key, value, f"{where}.vary.{key}") for key, value in part.vary.items()}
    for key, value in vary.items():
        convert(value, list[Any], f"{where}.vary.{key}")
    return Part(part.task, part.fixed, vary, Grid(**grid))


def _expand(key: str, value: Any, where: str) -> Any:
    """A {start, stop, num} table as its numbers."""
    if not isinstance(value, Mapping):
        return value
    table = convert(value, _Steps, where)
    return list(steps(key, table.start, table.stop, table.num))
