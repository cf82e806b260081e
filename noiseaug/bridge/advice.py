"""How much training noise for a data set, a smoothing level and a radius: evidence before a network is trained.

The evidence is a rule that the training inputs alone make of every α, smoothed at β and counted at the radius
(``noiseaug.bridge.PREDICTORS``). For radii above 0 there are also the Gaussian surrogates of all pairs of classes
(:mod:`noiseaug.bridge.surrogate`), whose α(r) is best among all classifiers if the pair were Gaussian. How well such
advice did where networks were trained afterwards is the track record (:mod:`noiseaug.bridge.record`), which comes with
the package and gives each prediction its band.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from noiseaug import validation
from noiseaug.bridge.choice import best_level, plausible_levels, recommended_level
from noiseaug.bridge.prediction import make_family, rule_votes
from noiseaug.bridge.record import band
from noiseaug.bridge.registry import PREDICTORS
from noiseaug.bridge.samples import class_mask, default_components, some, spread, training_part
from noiseaug.bridge.surrogate import fit_surrogate
from noiseaug.confidence import binomial_lower, binomial_upper
from noiseaug.data import DataSource
from noiseaug.errors import InvalidInputError
from noiseaug.escaping import for_terminal

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Advice", "advise", "render_advice"]

_GRID = tuple(np.linspace(0, 2, 11).round(12))  # in units of β
_JOINT_LEVELS = (0.5, 0.7, 1.0, 1.4, 2.0)  # β where it is open, in units of r
_JOINT_GRID = (0.0, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8)  # α then, in units of r
_SOME_POINTS = 10_000  # training inputs of the surrogates and, unless otherwise said, of a rule
_POINTS = {"convolutional": 50_000}
_VOTES, _MOST_VOTES = 100, 2000
_COUNTABLE = 10**6  # votes that may still be worth the wait
_TAIL_VOTES = 10  # votes that an input exactly at the radius has for other classes, on average, at least


@dataclass(frozen=True, eq=False)
class Advice:
    """A recommended training noise with its evidence.

    Attributes:
        data: name of the data set.
        predictor: name of the rule that predicted.
        smooth_sigma: β; the recommended one where it was left open.
        radius: r.
        train_sigma: the recommended α (:func:`~noiseaug.bridge.recommended_level`).
        best_train_sigma: the maximiser of the predicted curve, the middle one of equals.
        lower: smallest level at this β that cannot be told from the best.
        upper: largest one. The set of such levels, over every β that was asked, misses the best one with probability at
            most ``failure_prob``.
        failure_prob: see ``upper``.
        curves: for every β that was asked: smooth_sigma, train_sigma, value (predicted accuracy certified at r), lower,
            upper (over inputs, each by itself), plausible, and whether the level is ``recommended`` for its β.
        surrogates: first, second (classes), train_sigma (α(r); ∞ where no level is best), half_distance (of the means);
            empty at r = 0.
        points: training inputs behind the rule.
        inputs: test inputs.
        votes: for each of them, at this β.
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
    curves: pd.DataFrame
    surrogates: pd.DataFrame
    points: int
    inputs: int
    votes: int

    @property
    def curve(self) -> pd.DataFrame:
        """The curve at the recommended β."""
        return self.curves[self.curves["smooth_sigma"] == self.smooth_sigma].reset_index(drop=True)

    @property
    def value(self) -> float:
        """The predicted accuracy certified at r, with the recommended levels."""
        curve = self.curve
        return float(curve.loc[curve["train_sigma"] == self.train_sigma, "value"].iloc[0])


def advise(
    data: DataSource,
    *,
    smooth_sigma: float | None = None,
    radius: float,
    train_sigma: Sequence[float] | None = None,
    images: int | None = 500,
    points: int | None = None,
    votes: int | None = None,
    predictor: str = "quadratic",
    failure_prob: float = 0.05,
    seed: int = 0,
    progress: bool = False,
) -> Advice:
    """A training noise for a smoothing level and a radius, or both levels for a radius, from the data alone.

    Args:
        data: with training inputs.
        smooth_sigma: β > 0, in input units; by default the best of r/2, 0.7 r, r, 1.4 r and 2 r.
        radius: r ≥ 0, in input units; at 0 the accuracy of the smoothed classifier counts.
        train_sigma: levels α to choose from; by default 0, 0.2β, …, 2β, and where β is open 0 and 0.35 r to 2.8 r.
        images: test inputs, every k-th one.
        points: training inputs of the rule, a random part; by default what the rule can use.
        votes: for each input; by default 100, more for radii that need them.
        predictor: name of the rule that predicts. The quadratic one has chosen the best α so far, the convolutional one
            comes closest to the accuracy of networks (see the track record).
        failure_prob: see :class:`Advice`.
        seed: of the part and the noise.
        progress: show a bar on standard error.

    Raises:
        InvalidInputError: for data without training inputs, bad numbers, a radius that the votes cannot see, and where
            both β is open and the radius is 0.
    """
    radius = validation.nonnegative("radius", radius)
    betas = _smoothing_levels(smooth_sigma, radius)
    counts = {beta: _enough_votes(votes, radius / beta) for beta in betas}
    if train_sigma is None:
        unit, steps = (betas[0], _GRID) if smooth_sigma is not None else (radius, _JOINT_GRID)
        train_sigma = [float(f"{step * unit:.12g}") for step in steps]
    PREDICTORS.entry(predictor)
    x, y = training_part(data, _POINTS.get(predictor, _SOME_POINTS) if points is None else points, seed)
    family = make_family(predictor, x, y, train_sigma, shape=data.test.shape, seed=seed, progress=progress)
    rows = spread(len(data.test), images)
    inputs, labels = data.test.rows(rows), data.test.labels[rows]
    asked: dict[str, Any] = {"seed": seed, "indices": rows.tolist(), "progress": progress}
    hits = [
        rule_votes(family, inputs, labels, smooth_sigma=beta, votes=counts[beta], **asked).reaches(radius)
        for beta in betas
    ]
    curves = _curves(betas, family.train_sigma, np.concatenate(hits), failure_prob)
    curves["recommended"] = False
    for beta, line in curves.groupby("smooth_sigma"):
        level = recommended_level(predictor, line["train_sigma"], line["value"], line["plausible"], float(str(beta)))
        curves.loc[line.index[line["train_sigma"] == level], "recommended"] = True
    chosen = curves[curves["recommended"]]
    best = best_level(chosen["smooth_sigma"], chosen["value"])
    line = curves[curves["smooth_sigma"] == best]
    kept = line.loc[line["plausible"] | line["recommended"], "train_sigma"]
    some_points = some(len(x), _SOME_POINTS, seed)
    return Advice(
        data=data.name,
        predictor=predictor,
        smooth_sigma=best,
        radius=radius,
        train_sigma=float(line.loc[line["recommended"], "train_sigma"].iloc[0]),
        best_train_sigma=best_level(line["train_sigma"], line["value"]),
        lower=float(kept.min()),
        upper=float(kept.max()),
        failure_prob=failure_prob,
        curves=curves,
        surrogates=_surrogate_levels(x[some_points], y[some_points], radius),
        points=len(x),
        inputs=len(rows),
        votes=counts[best],
    )


def _smoothing_levels(smooth_sigma: float | None, radius: float) -> list[float]:
    """The level that was given, or those among which to choose for a radius.

    Raises:
        InvalidInputError: where β and the radius are both open: accuracy alone is best without any noise.
    """
    if smooth_sigma is not None:
        return [validation.positive("smooth_sigma", smooth_sigma)]
    if radius == 0:
        raise InvalidInputError("radius is 0 and smooth_sigma not given; accuracy alone calls for no noise: give one")
    return [float(f"{step * radius:.12g}") for step in _JOINT_LEVELS]


def _curves(
    smooth_sigma: Sequence[float], train_sigma: Sequence[float], hits: np.ndarray, failure_prob: float
) -> pd.DataFrame:
    """The hit rate of every pair of levels, with intervals and the plausible ones; hits: (pairs, inputs)."""
    import pandas as pd

    counted, n, half = hits.sum(axis=1), hits.shape[1], 0.5 * failure_prob
    curve = {
        "smooth_sigma": np.repeat(smooth_sigma, len(train_sigma)),
        "train_sigma": np.tile(train_sigma, len(smooth_sigma)),
        "value": counted / n,
        "lower": binomial_lower(counted, n, half),
        "upper": binomial_upper(counted, n, half),
        "plausible": plausible_levels(hits, failure_prob),
    }
    return pd.DataFrame(curve).sort_values(["smooth_sigma", "train_sigma"], ignore_index=True)


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
        record: from ``track_record``.
    """
    beta, best, curve = advice.smooth_sigma, advice.curve["value"].max(), advice.curve
    several = advice.curves["smooth_sigma"].nunique() > 1
    named = (
        f"r = {advice.radius:g}: smooth with β = {beta:g} and" if several else f"β = {beta:g}, r = {advice.radius:g}:"
    )
    what = f"certified at r = {advice.radius:g}" if advice.radius else "accuracy"
    share = 100 * (1 - advice.failure_prob)
    chosen = "of those the closest to β" if advice.predictor == "kernel" else "the middle one of those"
    why = "the best" if advice.train_sigma == advice.best_train_sigma else chosen
    lines = [
        f"{advice.data}, {named} train with α = {advice.train_sigma:g}",
        "",
        f"{advice.predictor} rule of {advice.points} training inputs, {advice.inputs} test inputs × "
        f"{advice.votes} votes:",
        f"  best α = {advice.best_train_sigma:g} ({what} {best:.3f}); with {share:g}% confidence the best is among "
        f"{advice.lower:g} … {advice.upper:g}",
        f"  recommended: {why}; predicted there {advice.value:.3f}",
        _band_line(advice, record),
        "",
    ]
    if several:
        lines += ["      β       α   predicted", *_level_lines(advice), ""]
    lines.append("      α   predicted   interval" + (f"   (β = {beta:g})" if several else ""))
    for row in curve.itertuples():
        mark = "  ·" if row.plausible else ""
        lines.append(f"  {row.train_sigma:5.3g}       {row.value:.3f}   {row.lower:.3f} … {row.upper:.3f}{mark}")
    lines.append("  (· not told from the best, in paired tests on the same inputs)")
    if curve["plausible"].all():
        habit = f"α = {advice.train_sigma:g} is a habit, not a finding"
        lines.append(f"  The {advice.predictor} rule does not tell the levels apart; {habit}.")
    if len(advice.surrogates):
        lines += ["", *_surrogate_lines(advice)]
    return "\n".join([*lines, "", *_record_lines(record)]) + "\n"


def _band_line(advice: Advice, record: pd.DataFrame) -> str:
    """What networks on other data sets had where so much was predicted."""
    found = band(record, advice.data, advice.predictor, advice.value)
    if found is None:
        return f"  no band: the track record has no other data set with the {advice.predictor} rule"
    sets = ", ".join(map(for_terminal, found.sets))
    return (
        f"  band from the track record: {found.lower:.3f} … {found.upper:.3f} ({100 * found.share:g}% of {found.cases} "
        f"cases on {sets})"
    )


def _level_lines(advice: Advice) -> list[str]:
    """The recommended α of every β."""
    rows = advice.curves[advice.curves["recommended"]]
    return [f"  {row.smooth_sigma:5.3g}   {row.train_sigma:5.3g}       {row.value:.3f}" for row in rows.itertuples()]


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
