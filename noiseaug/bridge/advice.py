"""How much training noise for a data set, a smoothing level and a radius: evidence before a network is trained.

The evidence is a rule that the training inputs alone make of every α, smoothed at β and counted at the radius:
Gaussian classes (:mod:`noiseaug.bridge.quadratic`) or the kernel rule (:mod:`noiseaug.bridge.kernel`). For radii above
0 there are also the Gaussian surrogates of all pairs of classes (:mod:`noiseaug.bridge.surrogate`), whose α(r) is best
among all classifiers if the pair were Gaussian. None knows how a network generalises. How well such advice did where
networks were trained afterwards is the track record, which comes with the package.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from noiseaug import validation
from noiseaug.bridge.choice import best_level, plausible_levels, recommended_level
from noiseaug.bridge.compare import choices
from noiseaug.bridge.prediction import PREDICTORS, make_family, rule_votes
from noiseaug.bridge.samples import class_mask, default_components, spread, training_part
from noiseaug.bridge.surrogate import fit_surrogate
from noiseaug.confidence import binomial_lower, binomial_upper
from noiseaug.data import DataSource
from noiseaug.errors import InvalidInputError
from noiseaug.escaping import for_terminal
from noiseaug.runs import write_atomically
from noiseaug.tables import read_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RECORD_COLUMNS", "Advice", "add_to_record", "advise", "record_rows", "render_advice", "track_record"]

RECORD_COLUMNS = (
    "data",
    "model",
    "predictor",
    "smooth_sigma",
    "radius",
    "predicted_train_sigma",
    "measured_train_sigma",
    "regret",
    "source",
)
"""Columns of the record of earlier predictions."""

_GRID = tuple(np.linspace(0, 2, 11).round(12))  # in units of β
_VOTES, _MOST_VOTES = 100, 2000
_COUNTABLE = 10**6  # votes that may still be worth the wait
_TAIL_VOTES = 10  # votes that an input exactly at the radius has for other classes, on average, at least


@dataclass(frozen=True, eq=False)
class Advice:
    """A recommended training noise with its evidence.

    Attributes:
        data: name of the data set.
        predictor: what predicted: ``quadratic`` or ``kernel``.
        smooth_sigma: β.
        radius: r.
        train_sigma: the recommended α (:func:`~noiseaug.bridge.recommended_level`).
        best_train_sigma: the maximiser of the predicted curve, the middle one of equals.
        lower: smallest level that cannot be told from the best.
        upper: largest one; the set of such levels misses the best one with probability at most ``failure_prob``.
        failure_prob: see ``upper``.
        curve: train_sigma, value (predicted accuracy certified at r), lower, upper (over inputs, each by itself),
            plausible.
        surrogates: first, second (classes), train_sigma (α(r); ∞ where no level is best), half_distance (of the means);
            empty at r = 0.
        points: training inputs behind the rule.
        inputs: test inputs.
        votes: for each of them.
    """

    data: str
    predictor: str
    smooth_sigma: float
    radius: float
    train_sigma: float
    best_train_sigma: float
    lower: float
    upper: float
    failure_prob: float
    curve: pd.DataFrame
    surrogates: pd.DataFrame
    points: int
    inputs: int
    votes: int


def advise(
    data: DataSource,
    *,
    smooth_sigma: float,
    radius: float,
    train_sigma: Sequence[float] | None = None,
    images: int | None = 500,
    points: int | None = 10_000,
    votes: int | None = None,
    predictor: str = "quadratic",
    failure_prob: float = 0.05,
    seed: int = 0,
    progress: bool = False,
) -> Advice:
    """A training noise for a smoothing level and a radius, from the data alone.

    Args:
        data: with training inputs.
        smooth_sigma: β > 0, in input units.
        radius: r ≥ 0, in input units; at 0 the accuracy of the smoothed classifier counts.
        train_sigma: levels α to choose from; by default 0, 0.2β, …, 2β.
        images: test inputs, every k-th one.
        points: training inputs of the rule and the surrogates, a random part; all where None.
        votes: for each input; by default 100, more for radii that need them.
        predictor: what predicts: ``quadratic`` or ``kernel``.
        failure_prob: see :class:`Advice`.
        seed: of the part and the noise.
        progress: show a bar on standard error.

    Raises:
        InvalidInputError: for data without training inputs, bad numbers, or a radius that the votes cannot see.
    """
    beta, radius = validation.positive("smooth_sigma", smooth_sigma), validation.nonnegative("radius", radius)
    if train_sigma is None:
        train_sigma = [float(f"{step * beta:.12g}") for step in _GRID]
    votes = _enough_votes(votes, radius / beta)
    x, y = training_part(data, points, seed)
    family = make_family(predictor, x, y, train_sigma)
    rows = spread(len(data.test), images)
    result = rule_votes(
        family,
        data.test.rows(rows),
        data.test.labels[rows],
        smooth_sigma=beta,
        votes=votes,
        seed=seed,
        indices=rows.tolist(),
        progress=progress,
    )
    curve = _curve(family.train_sigma, result.reaches(radius), failure_prob)
    kept = curve.loc[curve["plausible"], "train_sigma"]
    return Advice(
        data=data.name,
        predictor=predictor,
        smooth_sigma=beta,
        radius=radius,
        train_sigma=recommended_level(predictor, curve["train_sigma"], curve["value"], curve["plausible"], beta),
        best_train_sigma=best_level(curve["train_sigma"], curve["value"]),
        lower=float(kept.min()),
        upper=float(kept.max()),
        failure_prob=failure_prob,
        curve=curve,
        surrogates=_surrogate_levels(x, y, radius),
        points=len(x),
        inputs=len(rows),
        votes=votes,
    )


def _curve(train_sigma: Sequence[float], hits: np.ndarray, failure_prob: float) -> pd.DataFrame:
    """The hit rate of every level over inputs, with intervals and the plausible ones; hits: (levels, inputs)."""
    import pandas as pd

    counted, n, half = hits.sum(axis=1), hits.shape[1], 0.5 * failure_prob
    curve = {
        "train_sigma": train_sigma,
        "value": counted / n,
        "lower": binomial_lower(counted, n, half),
        "upper": binomial_upper(counted, n, half),
        "plausible": plausible_levels(hits, failure_prob),
    }
    return pd.DataFrame(curve).sort_values("train_sigma", ignore_index=True)


def _enough_votes(votes: int | None, margin: float) -> int:
    """Votes that can tell Φ(r/β) from 1."""
    beyond = float(special.ndtr(-margin))
    needed = math.ceil(_TAIL_VOTES / beyond) if beyond > 0 else math.inf
    if votes is None and needed <= _MOST_VOTES:
        return max(_VOTES, int(needed))
    if votes is None or validation.integer("votes", votes) * beyond < 1:
        more = f", or give at least {needed} votes" if needed <= _COUNTABLE else ""
        raise InvalidInputError(
            f"a radius of {margin:.3g}β needs shares of votes of 1 − {beyond:.2g}; choose a smaller radius or a larger "
            f"smooth_sigma{more}"
        )
    return votes


def _surrogate_levels(x: np.ndarray, y: np.ndarray, radius: float) -> pd.DataFrame:
    """α(r) of every pair of classes."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    components = default_components(x.shape[1])
    for pair in itertools.combinations(range(int(y.max()) + 1), 2) if radius > 0 else ():
        kept, labels = class_mask(y, pair)
        surrogate = fit_surrogate(x[kept], labels, components=components)
        half = 0.5 * float(np.linalg.norm(surrogate.pair.mean_1 - surrogate.pair.mean_0))
        level = surrogate.pair.optimal_train_sigma(radius)
        rows.append({"first": pair[0], "second": pair[1], "train_sigma": level, "half_distance": half})
    return pd.DataFrame(rows, columns=["first", "second", "train_sigma", "half_distance"])


def render_advice(advice: Advice, record: pd.DataFrame) -> str:
    """The advice in a few lines.

    Args:
        advice: from :func:`advise`.
        record: from :func:`track_record`.
    """
    beta, best = advice.smooth_sigma, advice.curve["value"].max()
    what = f"certified at r = {advice.radius:g}" if advice.radius else "accuracy"
    share = 100 * (1 - advice.failure_prob)
    why = "the best" if advice.train_sigma == advice.best_train_sigma else "of those the closest to β"
    lines = [
        f"{advice.data}, β = {beta:g}, r = {advice.radius:g}: train with α = {advice.train_sigma:g}",
        "",
        f"{advice.predictor} rule of {advice.points} training inputs, {advice.inputs} test inputs × "
        f"{advice.votes} votes:",
        f"  best α = {advice.best_train_sigma:g} ({what} {best:.3f}); with {share:g}% confidence the best is among "
        f"{advice.lower:g} … {advice.upper:g}",
        f"  recommended: {why}; predicted there {_value_at(advice, advice.train_sigma):.3f}",
        "",
        "      α   predicted   interval",
    ]
    for row in advice.curve.itertuples():
        mark = "  ·" if row.plausible else ""
        lines.append(f"  {row.train_sigma:5.3g}       {row.value:.3f}   {row.lower:.3f} … {row.upper:.3f}{mark}")
    lines.append("  (· not told from the best, in paired tests on the same inputs)")
    if advice.lower == advice.curve["train_sigma"].min() and advice.upper == advice.curve["train_sigma"].max():
        habit = f"α = {advice.train_sigma:g} is a habit, not a finding"
        lines.append(f"  The {advice.predictor} rule does not tell the levels apart; {habit}.")
    if len(advice.surrogates):
        lines += ["", *_surrogate_lines(advice)]
    return "\n".join([*lines, "", *_record_lines(record)]) + "\n"


def _value_at(advice: Advice, level: float) -> float:
    return float(advice.curve.loc[advice.curve["train_sigma"] == level, "value"].iloc[0])


def _surrogate_lines(advice: Advice) -> list[str]:
    levels = np.sort(advice.surrogates["train_sigma"].to_numpy())
    finite = levels[np.isfinite(levels)]
    # of an even number the smaller middle one: no average with ∞
    middle = levels[(len(levels) - 1) // 2]
    lines = [
        f"linear models, Gaussian surrogates of {len(levels)} pairs of classes, for any β: α(r) "
        + (
            f"{middle:.3g} (median)"
            if np.isfinite(middle)
            else "∞ (median: r is beyond half the distance of the means)"
        )
    ]
    if len(finite) and len(levels) > 1:
        lines.append(f"  range {finite[0]:.3g} … {levels[-1]:.3g}")
    return lines


def _record_lines(record: pd.DataFrame) -> list[str]:
    if record.empty:
        return ["track record: no record yet"]
    lines = ["track record of levels chosen so (regret: accuracy that they lost on trained models against the best):"]
    for (data, model, predictor), part in record.groupby(["data", "model", "predictor"], sort=False):
        off = (part["predicted_train_sigma"] - part["measured_train_sigma"]).abs()
        what = for_terminal(f"{data}, {model}, {predictor}")
        lines.append(
            f"  {what} rule: {len(part)} cases, |Δα| median {off.median():.3g}, largest "
            f"{off.max():.3g}; "
            f"regret median {part['regret'].median():.4f}, largest {part['regret'].max():.4f}; "
            f"measured best α = {(part['measured_train_sigma'] / part['smooth_sigma']).median():.2g} β (median)"
        )
    return lines


def track_record(path: Path | str | None = None) -> pd.DataFrame:
    """How far earlier predictions were from measured optima.

    Args:
        path: a CSV file with :data:`RECORD_COLUMNS`; the one that comes with the package by default.

    Raises:
        InvalidInputError: for a file with other columns.
    """
    if path is None:
        with resources.as_file(resources.files("noiseaug.bridge") / "track_record.csv") as packaged:
            frame = read_table(packaged)
    else:
        frame = read_table(Path(path))
    if tuple(frame.columns) != RECORD_COLUMNS:
        raise InvalidInputError(
            f"the record has columns {', '.join(map(str, frame.columns))}; expected {', '.join(RECORD_COLUMNS)}"
        )
    return frame


def record_rows(gaps: pd.DataFrame, *, data: str, model: str, source: str) -> pd.DataFrame:
    """Rows of a record from the gaps between a prediction and a measurement.

    Args:
        gaps: from :func:`noiseaug.bridge.gap_table`, of which :func:`~noiseaug.bridge.compare.choices` are taken.
        data: name of the data set.
        model: what was trained.
        source: how it was measured: a file or a command.
    """
    rows = choices(gaps[gaps["predictor"].isin(PREDICTORS)])
    filled = rows.assign(radius=rows["radius"].fillna(0.0), data=data, model=model, source=source)
    return filled[list(RECORD_COLUMNS)].reset_index(drop=True)


def add_to_record(rows: pd.DataFrame, path: Path | str) -> pd.DataFrame:
    """Adds rows to a record on disk; those of the same data, model, predictor, β, r and source are replaced.

    Args:
        rows: from :func:`record_rows`.
        path: the CSV file; begun if it is not there.

    Returns:
        The whole record.

    Raises:
        InvalidInputError: for no rows, or a file with other columns.
    """
    import pandas as pd

    if rows.empty:
        raise InvalidInputError("the comparison has no row for the record; measure risk or certified accuracy at β > 0")
    target = Path(path)
    old = track_record(target) if target.exists() else rows.iloc[:0]
    whole = rows if old.empty else pd.concat([old, rows], ignore_index=True)
    key = ["data", "model", "predictor", "smooth_sigma", "radius", "source"]
    whole = whole.drop_duplicates(key, keep="last").sort_values(key, ignore_index=True)
    write_atomically(target, whole.to_csv(index=False))
    return whole
