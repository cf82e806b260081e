"""One's own run among those that papers have released: rank, envelope, nearest neighbours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from noiseaug import validation
from noiseaug.errors import InvalidInputError
from noiseaug.estimates import Estimate
from noiseaug.literature.runs import RADII, column, recipe
from noiseaug.report import average_certified_radius, certified_accuracy, check_labelled, earned_radii
from noiseaug.tables import Measure, row

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["neighbours", "standing"]

_SIZES = {"cifar10": 10_000, "cifar100": 10_000, "mnist": 10_000, "fmnist": 10_000, "imagenet": 50_000}
_FEW = 10  # released runs on a number of images, below which no rank among them is given
_ROUNDED = 5e-5  # released values have four digits


def standing(
    run: pd.DataFrame, field: pd.DataFrame, measures: Sequence[Measure], failure_prob: float = 0.05
) -> pd.DataFrame:
    """A run's rank among released ones and the best of them, by the number of images that those used.

    Images of one test set are not equally hard: at σ = 1 the 500 usual images of CIFAR-10 give an ACR that is some .05
    above that of all 10 000. So the run is laid beside runs on 500 images with its outcomes on the same 500, where it
    has all of these.

    Args:
        run: a certified run.
        field: rows of :func:`~noiseaug.literature.published` of one data set.
        measures: acr, or certified accuracy at radii of the table.
        failure_prob: probability that the interval of the run's value misses, for ACR approximately.

    Returns:
        A row for each number of images and measure: quantity, radius, value, lower, upper, method, n (images of the
        run that count here), failure_prob, seed, images (as n), field_images, runs (of the field), rank (1: above all
        of them) with ``_lower`` and ``_upper`` (the ranks of the interval's ends), same_images, best and best_run.

    Raises:
        InvalidInputError: for an empty field, runs of several data sets, or a run without labels.
    """
    import pandas as pd

    check_labelled(run)
    failure_prob = validation.probability("failure_prob", failure_prob)
    rows = []
    for images, group in _groups(field):
        part, same = _on_their_images(run, group, images)
        for measure in measures:
            name = column(measure)
            values = group[name].to_numpy(float)
            mine = _estimate(part, measure, failure_prob)
            best = group.iloc[int(values.argmax())]
            rows.append(
                row(
                    measure,
                    mine,
                    images=len(part),
                    field_images=images,
                    runs=len(group),
                    rank=_rank(values, mine.value),
                    rank_lower=_rank(values, mine.upper),
                    rank_upper=_rank(values, mine.lower),
                    same_images=same,
                    best=float(best[name]),
                    best_run=f"{recipe(best)} ({best['paper']})",
                )
            )
    return pd.DataFrame(rows)


def neighbours(run: pd.DataFrame, field: pd.DataFrame, count: int = 5) -> pd.DataFrame:
    """The released runs whose certified accuracy is nearest, of those on as many images, or else on the most.

    Args:
        run: a certified run.
        field: rows of :func:`~noiseaug.literature.published` of one data set.
        count: how many.

    Returns:
        Rows of the field with a first column ``gap``: the mean distance of the two certified accuracies over the
        radii 0, .25, … at which one of them is above 0.

    Raises:
        InvalidInputError: as :func:`standing` does.
    """
    check_labelled(run)
    groups = dict(_groups(field))
    images = len(run) if len(run) in groups else max(groups)
    group = groups[images]
    part, _ = _on_their_images(run, group, images)
    mine = certified_accuracy(part, RADII)["value"].to_numpy()
    theirs = group[[f"ca_{radius:g}" for radius in RADII]].to_numpy(float)
    reached = (theirs > 0) | (mine > 0)
    gaps = np.abs(theirs - mine).sum(axis=1) / np.maximum(reached.sum(axis=1), 1)
    nearest = np.argsort(gaps, kind="stable")[: validation.integer("count", count)]
    found = group.iloc[nearest].reset_index(drop=True)
    found.insert(0, "gap", gaps[nearest])
    return found


def _groups(field: pd.DataFrame) -> list[tuple[int, pd.DataFrame]]:
    """The field by number of images, without small groups; where all are small, the largest."""
    if field.empty:
        raise InvalidInputError("no released run meets these conditions")
    if field["data"].nunique() > 1:
        raise InvalidInputError(f"the released runs are on {', '.join(field['data'].unique())}; expected one data set")
    found = [(images, field[field["images"] == images]) for images in sorted(map(int, field["images"].unique()))]
    kept = [(images, group) for images, group in found if len(group) >= _FEW]
    return kept or [max(found, key=lambda each: len(each[1]))]


def _on_their_images(run: pd.DataFrame, group: pd.DataFrame, images: int) -> tuple[pd.DataFrame, bool]:
    """The run on the images that such runs use, and whether it has them all; else all of it.

    They take every k-th of a test set, from the first one.
    """
    size = _SIZES.get(str(group["data"].iloc[0]), 0)
    if images and size % images == 0:
        theirs = np.arange(0, size, size // images)
        part = run[run["index"].isin(theirs)]
        if len(part) == images:
            return part, True
    return run, False


def _estimate(run: pd.DataFrame, measure: Measure, failure_prob: float) -> Estimate:
    """The run's own value, with its interval over images."""
    if measure.quantity == "acr":
        earned = earned_radii(run)
        spread = float(earned.std(ddof=1)) if len(earned) > 1 else math.inf
        reach = -float(special.ndtri(0.5 * failure_prob)) * spread / math.sqrt(len(earned))
        value = average_certified_radius(run)
        low, high = max(value - reach, 0.0), value + reach
    else:
        found = certified_accuracy(run, [measure.at], failure_prob).iloc[0]
        value, low, high = float(found["value"]), float(found["lower"]), float(found["upper"])
    return Estimate(value, low, high, "measured", len(run), failure_prob)


def _rank(values: np.ndarray, value: float) -> int:
    return 1 + int((values > value + _ROUNDED).sum())
