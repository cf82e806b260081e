"""One call for a study: quantities over a grid of training and smoothing noise, as a tidy table."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from noiseaug import validation
from noiseaug.confidence import check_failure_prob
from noiseaug.errors import InvalidInputError, UndecidedError, first_line
from noiseaug.estimates import Estimates
from noiseaug.predictors import RULES, by_rule_together, smoothed
from noiseaug.regions import Region
from noiseaug.risk import VoteBudget, VotedPredictor, evaluate
from noiseaug.risk.evaluate import METHODS, laws_of
from noiseaug.risk.exact import evaluate_many
from noiseaug.tables import (
    CLASS_COLUMN,
    QUANTITIES,
    VOTE_COLUMNS,
    Measure,
    distinct,
    estimate_columns,
    frame_of,
    measures,
    row,
    words,
)
from noiseaug.tasks import BinaryTask, Task

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Cell", "Grid", "run_cell", "run_cells", "run_rows", "sweep", "together"]

_MOST_DRAWS = 10**10
_SMALLEST, _LARGEST = 1e-100, 1e100


@dataclass(frozen=True)
class Grid:
    """What to compute for each task: the levels, the quantities and how.

    Attributes:
        train_sigma: training noise levels α, in input units.
        smooth_sigma: smoothing noise levels β, in input units.
        radii: ℓ₂ radii for the quantities that have one.
        quantities: from ``noiseaug.tables.QUANTITIES``.
        rule: ``"augmented"`` and/or ``"convolved"``.
        method: ``"exact"`` and/or ``"sampled"``.
        n: draws behind sampled values, 100 000 by default; with a tolerance the most draws, 10⁸ by default.
        failure_prob: failure probability of their intervals.
        votes: votes behind ``finite_sample_certified_accuracy``.
        vote_failure_prob: failure probability of its certificates.
        votes_per_point: votes at each drawn point where the inner probability is sampled too.
        tolerance: draw until both ends of the intervals lie this close to the values.
        by_class: also each class by itself, for the quantities that have such a value.
    """

    train_sigma: tuple[float, ...]
    smooth_sigma: tuple[float, ...]
    radii: tuple[float, ...] = ()
    quantities: tuple[str, ...] = ("risk",)
    rule: tuple[str, ...] = ("augmented",)
    method: tuple[str, ...] = ("exact",)
    n: int | None = None
    failure_prob: float = 1e-3
    votes: int = 100_000
    vote_failure_prob: float = 1e-3
    votes_per_point: int | None = None
    tolerance: float | None = None
    by_class: bool = False

    def __post_init__(self) -> None:
        for name in ("train_sigma", "smooth_sigma", "radii"):
            levels = tuple(_level(name, value) for value in _sequence(getattr(self, name)))
            if not levels and name != "radii":
                raise InvalidInputError(f"{name} is empty; expected at least one level")
            object.__setattr__(self, name, distinct(name, levels))
        for name, allowed in (("quantities", tuple(QUANTITIES)), ("rule", RULES), ("method", METHODS)):
            words = tuple(validation.choice(name, word, allowed) for word in _sequence(getattr(self, name)))
            if not words:
                raise InvalidInputError(f"{name} is empty; expected some of {', '.join(allowed)}")
            object.__setattr__(self, name, distinct(name, words))
        if self.n is not None:
            n = validation.integer("n", self.n, at_least=2)
            object.__setattr__(self, "n", validation.affordable("n", n, _MOST_DRAWS, 1e6, "draws"))
        if self.tolerance is not None:
            object.__setattr__(self, "tolerance", validation.positive("tolerance", self.tolerance))
        object.__setattr__(self, "votes", validation.integer("votes", self.votes))
        for name in ("failure_prob", "vote_failure_prob"):
            object.__setattr__(self, name, check_failure_prob(name, getattr(self, name)))
        if self.votes_per_point is not None:
            votes = validation.affordable("votes_per_point", self.votes_per_point, _MOST_DRAWS, 1e6, "votes")
            object.__setattr__(self, "votes_per_point", votes)
        if not isinstance(self.by_class, bool):
            raise InvalidInputError(f"by_class is {self.by_class!r}; expected True or False")
        unasked = [name for name in self.quantities if QUANTITIES[name].takes_radius and not self.radii]
        if unasked:
            raise InvalidInputError(f"radii is empty, but {', '.join(unasked)} needs at least one radius")

    @property
    def measures(self) -> list[Measure]:
        """Every quantity, at every radius where it takes one."""
        return measures(self.quantities, self.radii)

    def measures_of(self, task: Task) -> list[Measure]:
        """The same, and with ``by_class`` for each of the task's classes."""
        return measures(self.quantities, self.radii, task.num_classes if self.by_class else 0)

    @property
    def budget(self) -> VoteBudget:
        """The predicted certification run."""
        return VoteBudget(self.votes, self.vote_failure_prob)

    def cells(self, task: Task, seed: int) -> Iterator[Cell]:
        """The independent pieces of the sweep, one for each rule and training noise."""
        for rule in self.rule:
            for train_sigma in self.train_sigma:
                yield Cell(task, rule, train_sigma, self, seed)


@dataclass(frozen=True)
class Cell:
    """One base classifier, evaluated at every smoothing level."""

    task: Task
    rule: str
    train_sigma: float
    grid: Grid
    seed: int

    @property
    def key(self) -> str:
        """Says which task, rule and training noise the cell is about."""
        return f"{self.task}|{self.rule}|{self.train_sigma!r}"


def _level(name: str, value: Any) -> float:
    """A noise level or a radius whose square is a double."""
    level = validation.nonnegative(name, value)
    if level and not _SMALLEST <= level <= _LARGEST:
        raise InvalidInputError(f"{name} is {level:g}; expected 0, or a number from {_SMALLEST:g} to {_LARGEST:g}")
    return level


def _sequence(value: Any) -> tuple[Any, ...]:
    """A scalar or a word as a sequence of one."""
    if isinstance(value, np.ndarray):
        return tuple(np.atleast_1d(value))
    if isinstance(value, str | Mapping | Set) or not isinstance(value, Iterable):
        return (value,)
    return tuple(value)


def run_cell(cell: Cell, threads: int = 1) -> list[dict[str, Any]]:
    """The rows of one cell, as plain values; ``threads`` as in :func:`run_cells`."""
    return run_rows((cell,), threads)[0]


def run_rows(cells: tuple[Cell, ...], threads: int = 1) -> list[list[dict[str, Any]]]:
    """The rows of each of the cells, which are as for :func:`run_cells`."""
    found, grid = run_cells(cells, threads), cells[0].grid
    asked, task = grid.measures_of(cells[0].task), str(cells[0].task)
    extra = _vote_columns(grid, asked)
    result: list[list[dict[str, Any]]] = [[] for _ in cells]
    for i, j, m, k in np.ndindex(found.value.shape):
        facts = {"task": task, "rule": cells[i].rule, "train_sigma": cells[i].train_sigma}
        made = row(asked[k], found.at((i, j, m, k)), **facts, smooth_sigma=grid.smooth_sigma[j])
        result[i].append(made | {name: values[k] for name, values in extra.items()})
    return result


def run_cells(cells: tuple[Cell, ...], threads: int = 1) -> Estimates:
    """Cells of one task, rule, grid and seed together, which is faster than one by one.

    Args:
        cells: what to evaluate.
        threads: threads that draw samples, −1 for one a core.

    Returns:
        Shape (cells, smooth_sigma, method, measures).

    Raises:
        UndecidedError: where numbers leave the range of double precision, so that no result could be believed.
    """
    try:
        with np.errstate(over="raise", divide="raise", invalid="raise"):
            return _evaluated(cells, threads)
    except (OverflowError, ZeroDivisionError, FloatingPointError) as error:
        raise UndecidedError(
            f"{cells[0].task} at α = {cells[0].train_sigma:g} leaves the range of double precision "
            f"({first_line(error)}); choose numbers closer to 1"
        ) from error


def _evaluated(cells: tuple[Cell, ...], threads: int) -> Estimates:
    grid, task = cells[0].grid, cells[0].task.closed_form() or cells[0].task
    asked = grid.measures_of(task)
    bases = by_rule_together(task, cells[0].rule, [cell.train_sigma for cell in cells])
    regions = [base for base in bases if isinstance(base, Region)]
    found = Estimates((len(cells), len(grid.smooth_sigma), len(grid.method), len(asked)))
    for m, method in enumerate(grid.method):
        if method == "exact" and isinstance(task, BinaryTask) and len(regions) == len(bases):
            for law, places, some in laws_of(task, asked):
                assert isinstance(law, BinaryTask)
                part = evaluate_many(law, regions, grid.smooth_sigma, some, grid.budget)
                found.insert(np.s_[:, :, m, places], part)
            continue
        for (i, base), (j, level) in itertools.product(enumerate(bases), enumerate(grid.smooth_sigma)):
            estimates = evaluate(
                task,
                smoothed(base, level) if isinstance(base, Region) else VotedPredictor(base, level),
                asked,
                method=method,
                budget=grid.budget,
                n=grid.n,
                seed=cells[i].seed,
                failure_prob=grid.failure_prob,
                votes_per_point=grid.votes_per_point,
                tolerance=grid.tolerance,
                jobs=threads,
            )
            found.put_all((i, j, m), estimates)
    return found


def _vote_columns(grid: Grid, asked: Sequence[Measure]) -> dict[str, list[Any]]:
    """``VOTE_COLUMNS`` where the grid has them, with an entry for each measure."""
    about = [measure.quantity == "finite_sample_certified_accuracy" for measure in asked]
    if not any(about):
        return {}
    entries = (grid.votes, grid.vote_failure_prob)
    return {name: [value if ok else None for ok in about] for name, value in zip(VOTE_COLUMNS, entries, strict=True)}


def _frame(cells: Sequence[Cell], found: Sequence[Estimates]) -> pd.DataFrame:
    """The tidy table of all cells of one grid and number of classes, column by column."""
    grid, count, asked = cells[0].grid, len(cells), cells[0].grid.measures_of(cells[0].task)
    betas, methods, measures = len(grid.smooth_sigma), len(grid.method), len(asked)
    size = betas * methods * measures

    def by_cell(values: Iterable[Any]) -> np.ndarray:
        return np.repeat(np.array(list(values)), size)

    def by_measure(values: Iterable[Any]) -> np.ndarray:
        return np.tile(np.array(list(values)), count * betas * methods)

    tasks, rules = {id(cell.task): cell.task for cell in cells}, tuple(dict.fromkeys(cell.rule for cell in cells))
    places = {key: place for place, key in enumerate(tasks)}
    return frame_of(
        {
            "task": words(tuple(map(str, tasks.values())), by_cell(places[id(cell.task)] for cell in cells)),
            "rule": words(rules, by_cell(rules.index(cell.rule) for cell in cells)),
            "train_sigma": by_cell(cell.train_sigma for cell in cells),
            "smooth_sigma": np.tile(np.repeat(grid.smooth_sigma, methods * measures), count),
            "quantity": words(
                grid.quantities, by_measure(grid.quantities.index(measure.quantity) for measure in asked)
            ),
            "radius": by_measure(measure.at for measure in asked),
            **({CLASS_COLUMN: by_measure(_nan_for_none(measure.label) for measure in asked)} if grid.by_class else {}),
            **estimate_columns(found),
            **{name: by_measure(map(_nan_for_none, values)) for name, values in _vote_columns(grid, asked).items()},
        }
    )


def _nan_for_none(value: Any) -> Any:
    return math.nan if value is None else value


def together(cells: Sequence[Cell], most: int | None = None) -> list[tuple[Cell, ...]]:
    """Cells to be run in one call each: neighbours of one task, grid and rule, no more than ``most`` of them."""
    groups = [
        tuple(group)
        for _, group in itertools.groupby(cells, key=lambda cell: (id(cell.task), id(cell.grid), cell.rule))
    ]
    if most is None:
        return groups
    return [group[start : start + most] for group in groups for start in range(0, len(group), most)]


def sweep(
    task: Task | Sequence[Task],
    *,
    train_sigma: Any,
    smooth_sigma: Any,
    radii: Any = (),
    quantities: Any = ("risk",),
    rule: Any = "augmented",
    method: Any = "exact",
    n: int | None = None,
    failure_prob: float = 1e-3,
    votes: int = 100_000,
    vote_failure_prob: float = 1e-3,
    votes_per_point: int | None = None,
    tolerance: float | None = None,
    by_class: bool = False,
    seed: int = 0,
    jobs: int = 1,
    progress: bool = False,
) -> pd.DataFrame:
    """Quantities of the smoothed classifier over a grid of noise levels.

    Args:
        task: one task or several.
        train_sigma: training noise levels α, in input units.
        smooth_sigma: smoothing noise levels β, in input units.
        radii: ℓ₂ radii for the quantities that have one.
        quantities: names from ``noiseaug.tables.QUANTITIES``.
        rule: ``"augmented"``, ``"convolved"`` or both.
        method: ``"exact"``, ``"sampled"`` or both.
        n: draws behind sampled values, 100 000 by default; with a tolerance the most draws, 10⁸ by default.
        failure_prob: failure probability of sampled intervals.
        votes: votes behind ``finite_sample_certified_accuracy``.
        vote_failure_prob: failure probability of its certificates.
        votes_per_point: sample the inner probability too, with this many votes at each point.
        tolerance: draw until both ends of the intervals lie this close to the values, in the quantity's units; they
            hold wherever it stops.
        by_class: also risk, accuracies and radii of each class by itself.
        seed: seed of sampled values; all cells see the same points.
        jobs: worker processes (joblib); −1 for one a core. They are started only where they save time; a sweep of fewer
            cells draws its samples by the others.
        progress: show a bar on standard error.

    Returns:
        A frame with the columns of ``COLUMNS``; ``class`` after ``radius`` with ``by_class``; and those of
        ``VOTE_COLUMNS`` where a finite-sample quantity is asked.

    Raises:
        NoClosedFormError: where a task has no closed form or rule asked for; names those it has.
        InvalidInputError: for bad numbers and unknown names.

    Example:
        >>> from noiseaug.sweeps import sweep; from noiseaug import tasks
        >>> task = tasks.ConcentricGaussians(100, 0.3, 0.4)
        >>> sweep(task, train_sigma=[0, 0.25], smooth_sigma=[0.25]).value.round(4).tolist()
        [0.4994, 0.0228]
    """
    from noiseaug.runs import run_all, threads_each

    grid = Grid(
        _sequence(train_sigma),
        _sequence(smooth_sigma),
        _sequence(radii),
        _sequence(quantities),
        _sequence(rule),
        _sequence(method),
        n,
        failure_prob,
        votes,
        vote_failure_prob,
        votes_per_point,
        tolerance,
        by_class,
    )
    tasks = [task] if isinstance(task, Task) else _sequence(task)
    if not tasks or not all(isinstance(one, Task) for one in tasks):
        kinds = ", ".join(type(one).__name__ for one in tasks) or "empty"
        raise InvalidInputError(f"task is {kinds}; expected one or more of noiseaug.tasks")
    seed = validation.integer("seed", seed, at_least=0, at_most=2**63 - 1)
    cells = [cell for one in tasks for cell in grid.cells(one, seed)]
    # worker processes and a progress bar want many pieces
    pieces = together(cells, None if jobs == 1 and not progress else 1)
    run = partial(run_cells, threads=threads_each(jobs, len(pieces)))
    results = dict(run_all(run, pieces, jobs=jobs, progress="sweep" if progress else None, if_worth=True))
    parts = []
    # tasks with other numbers of classes have other rows by class
    for _, group in itertools.groupby(range(len(pieces)), lambda at: grid.by_class and pieces[at][0].task.num_classes):
        places = list(group)
        parts.append(_frame([cell for at in places for cell in pieces[at]], [results[at] for at in places]))
    if len(parts) == 1:
        return parts[0]
    import pandas as pd

    return pd.concat(parts, ignore_index=True)
