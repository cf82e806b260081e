"""Tables of an (α, β) grid from its votes: values with intervals, the best α for each β, and what it gains.

Votes are the frames of :mod:`noiseaug.records`, one for each base model, smoothing level and set of images. A choice of
α is made on the validation images alone and reported on the test images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from noiseaug import validation as checks
from noiseaug.certificates import CertificationSetting, VoteBudget, largest_radius
from noiseaug.confidence import binomial_interval, empirical_bernstein, sign_test_p_value
from noiseaug.errors import InvalidInputError
from noiseaug.estimates import Estimate
from noiseaug.report import certified, check_labelled, earned_radii
from noiseaug.tables import Measure, evaluator, row, to_frame
from noiseaug.validation import FloatArray

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TEST", "VALIDATION", "Cell", "GridVotes", "curve_table", "grid_table", "optimum_table"]

TEST, VALIDATION = "test", "validation"


@dataclass(frozen=True)
class Cell:
    """One smoothed classifier on one set of images.

    Attributes:
        train_sigma: α of the base model.
        smooth_sigma: β; 0 for the base model itself on clean images.
        seed: of the base model's training and of the votes.
        split: ``test`` or ``validation``.
    """

    train_sigma: float
    smooth_sigma: float
    seed: int
    split: str


def _most_voted(frame: pd.DataFrame) -> np.ndarray:
    """The class with most estimation votes; of an image without any, with most selection votes."""
    pairs = zip(frame["counts"], frame["selection"], strict=True)
    return np.array([np.argmax(counts[-1] if len(counts) else selection) for counts, selection in pairs], dtype=int)


def _wrong(frame: pd.DataFrame, radius: float) -> FloatArray:
    return (_most_voted(frame) != frame["label"].to_numpy()).astype(float)


_SCORES: dict[str, Callable[[pd.DataFrame, float], FloatArray]] = {
    "risk": _wrong,
    "certified_accuracy": lambda frame, radius: certified(frame, radius).astype(float),
    "acr": lambda frame, radius: earned_radii(frame),
}


def _scores(measure: Measure, frame: pd.DataFrame) -> FloatArray:
    """What each image adds, in the order of the frame; their mean is the quantity.

    ``risk`` goes by most votes, without abstention, as Pal & Sulam 2023 do (of equal counts the smaller class wins).
    ``certified_accuracy`` and ``acr`` go by the certificates.
    """
    return evaluator(_SCORES, measure.quantity, "from certificates")(frame, measure.at)


@dataclass(frozen=True, eq=False)
class GridVotes:
    """All votes of a grid: every base model (α, seed) at every β, on test and on validation images.

    Attributes:
        task: the data set's name.
        model: how base models were made, as in ``"cnn, gaussian"``.
        cells: a frame for each cell, as :func:`noiseaug.certification.certify` returns it.
        radii: ℓ₂ radii of the certified accuracy, in input units.
        budget: votes and failure probability of the certificates.

    Raises:
        InvalidInputError: for frames without labels, or whose images differ within a split.
    """

    task: str
    model: str
    cells: Mapping[Cell, pd.DataFrame]
    radii: tuple[float, ...]
    budget: VoteBudget

    def __post_init__(self) -> None:
        images: dict[str, Any] = {}
        sorted_cells = {}
        for cell, frame in self.cells.items():
            check_labelled(frame)
            ordered = frame.sort_values("index", ignore_index=True)
            first = images.setdefault(cell.split, ordered)
            if not ordered["index"].equals(first["index"]) or not ordered["label"].equals(first["label"]):
                raise InvalidInputError(f"{cell} is of other {cell.split} images than the rest; expected the same ones")
            sorted_cells[cell] = ordered
        object.__setattr__(self, "cells", sorted_cells)

    def levels(self, name: str) -> list[Any]:
        """The different values of a field of the cells, in order."""
        return sorted({getattr(cell, name) for cell in self.cells})

    def measures(self, smooth_sigma: float) -> list[Measure]:
        """What there is to say at a smoothing level; without smoothing nothing is certified beyond radius 0."""
        radii = [radius for radius in self.radii if smooth_sigma > 0 or radius == 0]
        found = [Measure("risk"), *(Measure("certified_accuracy", radius) for radius in radii)]
        return found if smooth_sigma == 0 else [*found, Measure("acr")]

    def span(self, measure: Measure, smooth_sigma: float) -> float:
        """The most that an image can add."""
        if not measure.kind.is_length:
            return 1.0
        return largest_radius(CertificationSetting(smooth_sigma, self.budget))

    def scores(self, measure: Measure, smooth_sigma: float, split: str) -> FloatArray:
        """Scores of all models at a smoothing level, shape (train sigmas, seeds, images).

        Raises:
            InvalidInputError: where a model is missing.
        """
        try:
            rows = [
                [_scores(measure, self.cells[Cell(alpha, smooth_sigma, seed, split)]) for seed in self.levels("seed")]
                for alpha in self.levels("train_sigma")
            ]
        except KeyError as error:
            raise InvalidInputError(f"the grid lacks {error.args[0]}; finish it first") from None
        return np.array(rows)

    def curves(self, split: str) -> Iterator[tuple[float, Measure, FloatArray]]:
        """β, measure and scores of every curve over α."""
        for smooth_sigma in self.levels("smooth_sigma"):
            for measure in self.measures(smooth_sigma):
                yield smooth_sigma, measure, self.scores(measure, smooth_sigma, split)


def _interval(scores: FloatArray, span: float, failure_prob: float) -> tuple[float, float]:
    """For the mean over the law of the images: exact binomial for shares, else empirical Bernstein."""
    if np.isin(scores, (0.0, 1.0)).all() and span == 1:
        return binomial_interval(int(scores.sum()), len(scores), failure_prob)
    if len(scores) < 2:
        return 0.0, span
    spread = float(scores.var(ddof=1))
    lower, upper = empirical_bernstein(float(scores.mean()), spread, len(scores), span, failure_prob)
    return max(lower, 0.0), min(upper, span)


def _standard_error(scores: FloatArray) -> float:
    return float(scores.std(ddof=1) / math.sqrt(len(scores))) if len(scores) > 1 else math.nan


def grid_table(votes: GridVotes, failure_prob: float = 0.05) -> pd.DataFrame:
    """Every value of a grid, as the tidy table of :data:`noiseaug.tables.COLUMNS`.

    ``method`` is ``measured``, ``n`` the number of images, ``lower`` and ``upper`` an interval over images for that one
    model: exact binomial for risk and certified accuracy, empirical Bernstein (Maurer & Pontil 2009) for the ACR.

    Args:
        votes: the grid, which need not be complete.
        failure_prob: probability that an interval misses, at most, each by itself.

    Returns:
        A row for each cell and measure; further columns are votes, vote_failure_prob (both missing at β = 0, which
        takes no votes) and split.
    """
    level = checks.probability("failure_prob", failure_prob)
    rows = []
    for cell, frame in sorted(votes.cells.items(), key=lambda item: _rank(item[0])):
        facts = {
            "task": votes.task,
            "model": votes.model,
            "train_sigma": cell.train_sigma,
            "smooth_sigma": cell.smooth_sigma,
            "votes": votes.budget.votes if cell.smooth_sigma else None,
            "vote_failure_prob": votes.budget.failure_prob if cell.smooth_sigma else math.nan,
            "split": cell.split,
        }
        for measure in votes.measures(cell.smooth_sigma):
            scores = _scores(measure, frame)
            lower, upper = _interval(scores, votes.span(measure, cell.smooth_sigma), level)
            estimate = Estimate(float(scores.mean()), lower, upper, "measured", len(scores), level, cell.seed)
            rows.append(row(measure, estimate, **facts))
    return to_frame(rows)


def _rank(cell: Cell) -> tuple[float, float, int, str]:
    return cell.train_sigma, cell.smooth_sigma, cell.seed, cell.split


def curve_table(votes: GridVotes, split: str = TEST) -> pd.DataFrame:
    """Values averaged over seeds, with standard errors, for pictures.

    Returns:
        A row for each (β, measure, α): smooth_sigma, quantity, radius, train_sigma, value, standard_error (over images,
        of each image's mean over seeds), lower and upper (one standard error to either side), benefit and
        benefit_standard_error (paired by image; the gain over α = 0 in the good direction, NaN without α = 0).
    """
    import pandas as pd

    alphas, rows = votes.levels("train_sigma"), []
    for smooth_sigma, measure, scores in votes.curves(split):
        by_image = scores.mean(axis=1)
        for alpha, own in zip(alphas, by_image, strict=True):
            value, error = float(own.mean()), _standard_error(own)
            benefit, benefit_error = _gain(measure, own, by_image[0] if alphas[0] == 0 else None)
            rows.append(
                {
                    "smooth_sigma": smooth_sigma,
                    "quantity": measure.quantity,
                    "radius": measure.at,
                    "train_sigma": alpha,
                    "value": value,
                    "standard_error": error,
                    "lower": value - error,
                    "upper": value + error,
                    "benefit": benefit,
                    "benefit_standard_error": benefit_error,
                }
            )
    return pd.DataFrame(rows)


def _gain(measure: Measure, scores: FloatArray, without: FloatArray | None) -> tuple[float, float]:
    if without is None:
        return math.nan, math.nan
    gains = measure.kind.sign * (scores - without)
    return float(gains.mean()) + 0.0, _standard_error(gains)


def optimum_table(votes: GridVotes, failure_prob: float = 0.05) -> pd.DataFrame:
    """The best α of the grid for each β and measure: chosen on validation images, reported on test images.

    ``best_train_sigma`` has the best mean over seeds on the validation images (the smallest of equals; NaN where no
    model certifies anything there). ``interval`` holds every α of the grid that this best one does not beat in a
    one-sided paired test on the validation images at level failure_prob/(K−1) for K levels (Bonferroni): whichever
    level truly is the best of these models, it is left out with probability at most failure_prob. The test is McNemar's
    in its exact form for a share and one seed, and the paired t-test of images' means over seeds otherwise, which is
    approximate. Both speak about these trained models: what another training run would give is for ``seed_deviation``
    to hint at.

    Args:
        votes: a complete grid.
        failure_prob: of the set ``interval``, and of the interval (lower, upper) for the test value.

    Returns:
        A row for each (β, measure): smooth_sigma, quantity, radius, best_train_sigma, validation_value; on the test
        images value, standard_error, lower, upper, seed_deviation, without_noise (α = 0), benefit and
        benefit_standard_error (over α = 0, paired), same_noise_train_sigma (the α next to β) and same_noise; then
        interval_lower, interval_upper, interval, interval_test, failure_prob, images, validation_images, seeds.

    Raises:
        InvalidInputError: where a model or a split is missing.
    """
    import pandas as pd

    level = checks.probability("failure_prob", failure_prob)
    alphas, rows = np.array(votes.levels("train_sigma")), []
    for smooth_sigma, measure, validation in votes.curves(VALIDATION):
        test = votes.scores(measure, smooth_sigma, TEST)
        best, kept, name = _choice(measure, validation, level)
        rows.append(
            {
                "smooth_sigma": smooth_sigma,
                "quantity": measure.quantity,
                "radius": measure.at,
                "best_train_sigma": math.nan if best is None else float(alphas[best]),
                "validation_value": math.nan if best is None else float(validation[best].mean()),
                **_reported(measure, test, best, alphas, smooth_sigma, votes.span(measure, smooth_sigma), level),
                "interval_lower": float(alphas[kept].min()),
                "interval_upper": float(alphas[kept].max()),
                "interval": " ".join(f"{alpha:g}" for alpha in alphas[kept]),
                "interval_test": name,
                "failure_prob": level,
                "images": test.shape[2],
                "validation_images": validation.shape[2],
                "seeds": test.shape[1],
            }
        )
    return pd.DataFrame(rows)


def _choice(measure: Measure, scores: FloatArray, failure_prob: float) -> tuple[int | None, np.ndarray, str]:
    """The best level's number, which levels it does not beat, and the name of the test; from validation scores."""
    count, seeds, _ = scores.shape
    exact = seeds == 1 and not measure.kind.is_length
    name = "exact McNemar" if exact else "paired t"
    if measure.kind.sign > 0 and not scores.any():
        return None, np.full(count, True), name
    good = measure.kind.sign * scores.mean(axis=1)
    best = int(np.argmax(good.mean(axis=1).round(12)))  # the first of those that are equal up to rounding
    better = _mcnemar if exact else _paired_t
    share = failure_prob / max(count - 1, 1)
    kept = np.array([i == best or better(good[best] - good[i]) > share for i in range(count)])
    return best, kept, name


def _mcnemar(differences: FloatArray) -> float:
    """One-sided exact p-value of "the first is no better" from differences of −1, 0 and 1 (McNemar 1947)."""
    return float(sign_test_p_value((differences > 0).sum(), (differences < 0).sum()))


def _paired_t(differences: FloatArray) -> float:
    """One-sided p-value of "the mean is at most 0"."""
    error = _standard_error(differences)
    mean = float(differences.mean())
    if not error > 0:  # equal differences, or a single image
        return 0.0 if mean > 0 and error == 0 else 1.0
    return float(stats.t.sf(mean / error, len(differences) - 1))


def _reported(
    measure: Measure,
    test: FloatArray,
    best: int | None,
    alphas: np.ndarray,
    smooth_sigma: float,
    span: float,
    failure_prob: float,
) -> dict[str, float]:
    """What the test images say about a choice that they had no part in."""
    by_image = test.mean(axis=1)
    same = int(np.argmin(np.abs(alphas - smooth_sigma).round(12)))
    found = {
        "value": math.nan,
        "standard_error": math.nan,
        "lower": math.nan,
        "upper": math.nan,
        "seed_deviation": math.nan,
        "without_noise": float(by_image[0].mean()) if alphas[0] == 0 else math.nan,
        "benefit": math.nan,
        "benefit_standard_error": math.nan,
        "same_noise_train_sigma": float(alphas[same]),
        "same_noise": float(by_image[same].mean()),
    }
    if best is None:
        return found
    own = by_image[best]
    found["value"], found["standard_error"] = float(own.mean()), _standard_error(own)
    found["lower"], found["upper"] = _interval(own, span, failure_prob)
    if test.shape[1] > 1:
        found["seed_deviation"] = float(test[best].mean(axis=1).std(ddof=1))
    found["benefit"], found["benefit_standard_error"] = _gain(measure, own, by_image[0] if alphas[0] == 0 else None)
    return found
