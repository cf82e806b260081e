"""One bridge from end to end: predictions, what they are laid over, and the gaps, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from noiseaug import validation
from noiseaug.bridge.compare import check_votes, gap_table, measured_rows, overlay
from noiseaug.bridge.kernel import KernelFamily
from noiseaug.bridge.prediction import make_family, predictors_for, rule_table, rule_votes
from noiseaug.bridge.samples import spread, training_part
from noiseaug.bridge.surrogate import ACTUAL, LINEAR, PREDICTED, best_levels, fit_surrogate, linear_table, pair_table
from noiseaug.bridge.vote_prediction import same_seed_trains, split_log, two_logs
from noiseaug.confidence import VoteBudget
from noiseaug.data import DataName, DataSource, LabelledSet
from noiseaug.errors import InvalidInputError
from noiseaug.records import read_log
from noiseaug.tables import distinct

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BridgeTables", "Levels", "levels_of_grid", "log_overlays", "run_bridge"]

_MEASURED = "measured"
_BUDGET = VoteBudget(100)
_STEPS = 40  # of a curve over the radius


@dataclass(frozen=True)
class Levels:
    """Where to predict.

    Attributes:
        train_sigma: levels α ≥ 0.
        smooth_sigma: levels β ≥ 0.
        radii: ℓ₂ radii ≥ 0.
        budget: votes for each input, of rules that are smoothed by votes, and the failure probability of certificates.
    """

    train_sigma: tuple[float, ...]
    smooth_sigma: tuple[float, ...]
    radii: tuple[float, ...]
    budget: VoteBudget = _BUDGET

    def __post_init__(self) -> None:
        for name in ("train_sigma", "smooth_sigma", "radii"):
            levels = tuple(validation.nonnegative(name, value) for value in getattr(self, name))
            if not levels:
                raise InvalidInputError(f"{name} is empty; expected at least one number")
            object.__setattr__(self, name, tuple(distinct(name, levels)))


def levels_of_grid(table: pd.DataFrame, split: str = "test") -> Levels:
    """The levels at which a grid was measured.

    Raises:
        InvalidInputError: for a table without the columns, or with several numbers of votes.
    """
    missing = [name for name in ("train_sigma", "smooth_sigma", "quantity", "radius") if name not in table]
    if missing:
        raise InvalidInputError(f"the grid lacks {', '.join(missing)}; expected the table.csv of noiseaug grid")
    rows = table[table["split"] == split] if "split" in table else table
    if rows.empty:
        raise InvalidInputError(f"the grid has no rows of the {split} split")
    found: dict[str, Any] = {}
    for name in ("train_sigma", "smooth_sigma"):
        found[name] = tuple(sorted(float(value) for value in rows[name].dropna().unique()))
    found["radii"] = tuple(sorted(float(value) for value in rows["radius"].dropna().unique())) or (0.0,)
    budget: dict[str, Any] = {}
    for name, field in (("votes", "votes"), ("vote_failure_prob", "failure_prob")):
        values = rows.loc[rows["smooth_sigma"] > 0, name].dropna().unique().tolist() if name in rows else []
        if len(values) > 1:
            raise InvalidInputError(f"the grid was measured with {name} {sorted(values)}; expected one number")
        if len(values):
            budget[field] = values[0]
    return Levels(**found, budget=replace(_BUDGET, **budget))


@dataclass(frozen=True, eq=False)
class BridgeTables:
    """What a bridge found.

    Attributes:
        predicted: tidy rows of the rules and, for two classes, of the closed form, its count on
            test inputs and the trained linear model.
        compared: every predicted value beside the measured one (:func:`~noiseaug.bridge.overlay`), with the column
            ``against``.
        gaps: a row for each curve (:func:`~noiseaug.bridge.gap_table`), with ``against``.
        best: α(r) of the closed form beside the best levels on test inputs; None but for two classes.
        rules: what each rule is of, by its name.
        remarks: what else a reader has to know.
    """

    predicted: pd.DataFrame
    compared: pd.DataFrame | None
    gaps: pd.DataFrame | None
    best: pd.DataFrame | None
    rules: Mapping[str, str]
    remarks: tuple[str, ...]


def run_bridge(
    data: DataSource,
    levels: Levels,
    *,
    measured: pd.DataFrame | None = None,
    split: str = "test",
    images: int | None = 200,
    points: int | None = 10_000,
    predictors: Sequence[str] | None = None,
    components: int | None = None,
    linear: bool = True,
    copies: int = 10,
    seed: int = 0,
    progress: bool = False,
) -> BridgeTables:
    """Predicts from the data alone and compares.

    Args:
        data: with training inputs.
        levels: where.
        measured: the table of a grid on the same data, with the votes of ``levels``.
        split: of that table.
        images: test inputs of the rules, every k-th one; all where None. The half-spaces are counted on all.
        points: training inputs of the kernel rule and the linear model, a random part; all where None. Gaussians take
            all, the convolutional rule up to 50 000.
        predictors: names of rules; by default all that there are for such inputs.
        components: principal components that Gaussians keep; all by default, but 200 for the quadratic rule of inputs
            with more than 1000 coordinates.
        linear: whether to train logistic regression beside the surrogate.
        copies: noisy copies of each of its training inputs.
        seed: of parts and noise.
        progress: show bars on standard error.

    Raises:
        InvalidInputError: for data without training inputs, a measurement of other data or votes, and as the parts do.
    """
    import pandas as pd

    if measured is not None:
        _check_measured(measured, data.name, levels, split)  # before the work
    x, y = training_part(data, points, seed)
    whole = training_part(data, None, seed)
    rows = spread(len(data.test), images)
    inputs, labels = data.test.rows(rows), data.test.labels[rows]
    options: dict[str, Any] = {
        "votes": levels.budget.votes,
        "seed": seed,
        "indices": rows.tolist(),
        "progress": progress,
    }
    results, rules, remarks = [], {}, []
    for name in predictors_for(data.test.shape) if predictors is None else predictors:
        part = (x, y) if name == KernelFamily.name else whole
        family = make_family(
            name, *part, levels.train_sigma, components, shape=data.test.shape, seed=seed, progress=progress
        )
        results += [rule_votes(family, inputs, labels, smooth_sigma=level, **options) for level in levels.smooth_sigma]
        rules[name] = f"{family.remark}; {len(rows)} test inputs, {levels.budget.votes} votes each"
    predicted = rule_table(
        results, levels.radii, task=data.name, vote_failure_prob=levels.budget.failure_prob, seed=seed
    )
    compared = [] if measured is None else [overlay(predicted, measured, split=split).assign(against=_MEASURED)]
    best = None
    if y.max() == 1:
        half = DataSource(data.test, LabelledSet(data.name, "train", x, y, data.test.classes))
        pair, best, inner, remark = _two_classes(data, half, whole, levels, components, copies if linear else 0, seed)
        predicted = pd.concat([predicted, pair], ignore_index=True)
        compared += inner
        remarks.append(remark)
    else:
        remarks.append(f"Gaussian surrogates are of two classes; choose two, as in {data.name.split(':')[0]}:3,8")
    over = pd.concat(compared, ignore_index=True) if compared else None
    return BridgeTables(predicted, over, _gaps(over), best, rules, tuple(remarks))


def _check_measured(measured: pd.DataFrame, data: str, levels: Levels, split: str) -> None:
    """Refuses a table of other data, of other votes, or without the columns.

    Raises:
        InvalidInputError: for such a table.
    """
    rows = measured_rows(measured, split)
    tasks = sorted(rows["task"].dropna().astype(str).unique()) if "task" in rows else []
    if any(not _same_data(task, data) for task in tasks):
        raise InvalidInputError(
            f"the grid is of {', '.join(tasks)}, the prediction of {data}; give both the same --data"
        )
    check_votes(rows, {"votes": {float(levels.budget.votes)}, "vote_failure_prob": {levels.budget.failure_prob}})


def _same_data(one: str, other: str) -> bool:
    """Whether two names are of one data set; of files the folder does not matter, nor the order of classes."""
    first, second = DataName.parse(one), DataName.parse(other)
    same_set = first.path.name == second.path.name and first.options == second.options
    return same_set and sorted((first.picks or "").split(",")) == sorted((second.picks or "").split(","))


def _gaps(compared: pd.DataFrame | None) -> pd.DataFrame | None:
    """A row for each curve and what it is laid over."""
    import pandas as pd

    if compared is None:
        return None
    tables = [gap_table(part).assign(against=name) for name, part in compared.groupby("against", sort=False)]
    return pd.concat(tables, ignore_index=True)


def _two_classes(
    data: DataSource,
    part: DataSource,
    whole: tuple[np.ndarray, np.ndarray],
    levels: Levels,
    components: int | None,
    copies: int,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame, list[pd.DataFrame], str]:
    """Rows of the half-spaces, their best levels, the closed form laid over the other two, and a remark."""
    import pandas as pd

    surrogate = fit_surrogate(*whole, components=components)
    x, y = data.test.inputs, data.test.labels
    table = pair_table(surrogate, x, y, train_sigma=levels.train_sigma, radii=levels.radii, task=data.name)
    if copies:
        trained = linear_table(part, train_sigma=levels.train_sigma, radii=levels.radii, copies=copies, seed=seed)
        table = pd.concat([table, trained], ignore_index=True)
    closed = table[table["predictor"] == PREDICTED]
    inner = [
        overlay(closed, table[table["predictor"] == name]).assign(against=name)
        for name in ((ACTUAL, LINEAR) if copies else (ACTUAL,))
    ]
    added = f", {surrogate.shrinkage:.2g} added to each variance" if surrogate.shrinkage else ""
    remark = f"Gaussian surrogate: {surrogate.inputs} training inputs, {surrogate.pair.dim} principal axes{added}"
    return table, best_levels(surrogate, table, levels.radii), inner, remark


def log_overlays(paths: Sequence[Path], radii: Sequence[float] | None = None) -> dict[str, pd.DataFrame]:
    """Measured curves of certification logs with their predictions from other votes.

    Of two logs of one classifier with different seeds the longer one predicts the other; a log alone is split.

    Args:
        paths: logs of noiseaug certify.
        radii: ℓ₂ radii; by default 41 from 0 to the largest that any predicted log certified.

    Returns:
        Tables of :func:`~noiseaug.bridge.split_log` by the name of the log that is predicted.

    Raises:
        InvalidInputError: as the parts do, and for more than two logs of one classifier.
    """
    groups: dict[str, list[tuple[str, tuple[dict[str, Any], pd.DataFrame]]]] = {}
    for path in paths:
        description, frame = read_log(path)
        groups.setdefault(_subject(description), []).append((path.name, (description, frame)))
    # of two runs the longer predicts the other
    shown = {key: min(reversed(members), key=_length) for key, members in groups.items()}
    if radii is None:
        top = max((float(frame["radius"].max()) for _, (_, frame) in shown.values()), default=0.0)
        radii = np.linspace(0, top, _STEPS + 1).tolist()  # ends at the largest radius itself, not a rounding above it
    tables: dict[str, pd.DataFrame] = {}
    for key, members in groups.items():
        if len(members) > 2:
            raise InvalidInputError(f"{len(members)} logs are of one classifier; give one, or two with different seeds")
        name, log = shown[key]
        table = two_logs(members[0][1], members[1][1], radii) if len(members) == 2 else split_log(log, radii, name)
        tables[name if name not in tables else f"{name} ({len(tables) + 1})"] = table
    return tables


def _length(member: tuple[str, tuple[Mapping[str, Any], Any]]) -> int:
    """Votes of a log for each input."""
    return int(member[1][0].get("n", 0))


def _subject(description: Mapping[str, Any]) -> str:
    """What a log is of: everything but its votes and its inputs."""
    names = ("data", "classifier", "weights", "train_sigma", "copies", "smooth_sigma", "noise", "precision")
    seed = description.get("seed") if same_seed_trains(description) else None
    return repr([seed, *(description.get(name) for name in names)])
