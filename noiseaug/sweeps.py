"""One call for a study: quantities over a grid of training and smoothing noise, as a tidy table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from noiseaug import validation
from noiseaug.errors import InvalidInputError
from noiseaug.estimates import Estimate
from noiseaug.predictors import RULES, by_rule, smoothed
from noiseaug.regions import Region
from noiseaug.risk import VoteBudget, VotedPredictor, evaluate
from noiseaug.risk.evaluate import METHODS
from noiseaug.tables import QUANTITIES, Measure, distinct, measures, row, to_frame
from noiseaug.tasks import Task

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Cell", "Grid", "run_cell", "sweep"]


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
        n: draws behind sampled values.
        failure_prob: failure probability of their intervals.
        votes: votes behind ``finite_sample_certified_accuracy``.
        vote_failure_prob: failure probability of its certificates.
        votes_per_point: votes at each drawn point where the inner probability is sampled too.
    """

    train_sigma: tuple[float, ...]
    smooth_sigma: tuple[float, ...]
    radii: tuple[float, ...] = ()
    quantities: tuple[str, ...] = ("risk",)
    rule: tuple[str, ...] = ("augmented",)
    method: tuple[str, ...] = ("exact",)
    n: int = 100_000
    failure_prob: float = 1e-3
    votes: int = 100_000
    vote_failure_prob: float = 1e-3
    votes_per_point: int | None = None

    def __post_init__(self) -> None:
        for name in ("train_sigma", "smooth_sigma", "radii"):
            levels = tuple(validation.nonnegative(name, value) for value in _sequence(getattr(self, name)))
            if not levels and name != "radii":
                raise InvalidInputError(f"{name} is empty; expected at least one level")
            object.__setattr__(self, name, distinct(name, levels))
        for name, allowed in (("quantities", tuple(QUANTITIES)), ("rule", RULES), ("method", METHODS)):
            words = tuple(validation.choice(name, word, allowed) for word in _sequence(getattr(self, name)))
            if not words:
                raise InvalidInputError(f"{name} is empty; expected some of {', '.join(allowed)}")
            object.__setattr__(self, name, distinct(name, words))
        object.__setattr__(self, "n", validation.integer("n", self.n, at_least=2))
        object.__setattr__(self, "votes", validation.integer("votes", self.votes))
        for name in ("failure_prob", "vote_failure_prob"):
            object.__setattr__(self, name, validation.probability(name, getattr(self, name)))
        if self.votes_per_point is not None:
            object.__setattr__(self, "votes_per_point", validation.integer("votes_per_point", self.votes_per_point))
        unasked = [name for name in self.quantities if QUANTITIES[name].takes_radius and not self.radii]
        if unasked:
            raise InvalidInputError(f"radii is empty, but {', '.join(unasked)} needs at least one radius")

    @property
    def measures(self) -> list[Measure]:
        """Every quantity, at every radius where it takes one."""
        return measures(self.quantities, self.radii)

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


def _sequence(value: Any) -> tuple[Any, ...]:
    """A scalar or a word as a sequence of one."""
    if isinstance(value, np.ndarray):
        return tuple(np.atleast_1d(value))
    if isinstance(value, str | Mapping | Set) or not isinstance(value, Iterable):
        return (value,)
    return tuple(value)


def run_cell(cell: Cell) -> list[dict[str, Any]]:
    """The rows of one cell, as plain values."""
    base = by_rule(cell.task, cell.rule, cell.train_sigma)
    grid, asked = cell.grid, cell.grid.measures
    rows: list[dict[str, Any]] = []
    for smooth_sigma in grid.smooth_sigma:
        predictor = smoothed(base, smooth_sigma) if isinstance(base, Region) else VotedPredictor(base, smooth_sigma)
        for method in grid.method:
            estimates = evaluate(
                cell.task,
                predictor,
                asked,
                method=method,
                budget=grid.budget,
                n=grid.n,
                seed=cell.seed,
                failure_prob=grid.failure_prob,
                votes_per_point=grid.votes_per_point,
            )
            rows.extend(
                _row(cell, smooth_sigma, measure, estimate) for measure, estimate in zip(asked, estimates, strict=True)
            )
    return rows


def _row(cell: Cell, smooth_sigma: float, measure: Measure, estimate: Estimate) -> dict[str, Any]:
    facts = {"task": str(cell.task), "rule": cell.rule, "train_sigma": cell.train_sigma, "smooth_sigma": smooth_sigma}
    made = row(measure, estimate, **facts)
    if "finite_sample_certified_accuracy" in cell.grid.quantities:
        predicted = measure.quantity == "finite_sample_certified_accuracy"
        made["votes"] = cell.grid.votes if predicted else None
        made["vote_failure_prob"] = cell.grid.vote_failure_prob if predicted else None
    return made


def sweep(
    task: Task | Sequence[Task],
    *,
    train_sigma: Any,
    smooth_sigma: Any,
    radii: Any = (),
    quantities: Any = ("risk",),
    rule: Any = "augmented",
    method: Any = "exact",
    n: int = 100_000,
    failure_prob: float = 1e-3,
    votes: int = 100_000,
    vote_failure_prob: float = 1e-3,
    votes_per_point: int | None = None,
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
        n: draws behind sampled values.
        failure_prob: failure probability of sampled intervals.
        votes: votes behind ``finite_sample_certified_accuracy``.
        vote_failure_prob: failure probability of its certificates.
        votes_per_point: sample the inner probability too, with this many votes at each point.
        seed: seed of sampled values; all cells see the same points.
        jobs: worker processes (joblib); −1 for one a core.
        progress: show a bar on standard error.

    Returns:
        A frame with the columns of ``COLUMNS``, and those of ``VOTE_COLUMNS`` where a finite-sample quantity is asked.

    Raises:
        NoClosedFormError: where a task has no closed form or rule asked for; names those it has.
        InvalidInputError: for bad numbers and unknown names.

    Example:
        >>> from noiseaug.sweeps import sweep; from noiseaug import tasks
        >>> task = tasks.ConcentricGaussians(100, 0.3, 0.4)
        >>> sweep(task, train_sigma=[0, 0.25], smooth_sigma=[0.25]).value.round(4).tolist()
        [0.4994, 0.0228]
    """
    from noiseaug.runs import run_all

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
    )
    tasks = [task] if isinstance(task, Task) else _sequence(task)
    if not tasks or not all(isinstance(one, Task) for one in tasks):
        kinds = ", ".join(type(one).__name__ for one in tasks) or "empty"
        raise InvalidInputError(f"task is {kinds}; expected one or more of noiseaug.tasks")
    seed = validation.integer("seed", seed, at_least=0)
    cells = [cell for one in tasks for cell in grid.cells(one, seed)]
    results = dict(run_all(run_cell, cells, jobs=jobs, progress="sweep" if progress else None))
    return to_frame(line for index in range(len(cells)) for line in results[index])
