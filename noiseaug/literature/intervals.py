"""How far the images of a released run let its numbers be known, from what the table says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from noiseaug import validation
from noiseaug.confidence import binomial_lower, binomial_upper
from noiseaug.literature.runs import RADII, column
from noiseaug.tables import Measure
from noiseaug.validation import FloatArray

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["acr_error", "with_interval"]


def acr_error(table: pd.DataFrame) -> FloatArray:
    """An upper bound on the standard error of each run's ACR over images, in input units; shape (runs,).

    The radius R that an image earns has E R = ∫ CA(r) dr = ACR and E R² = ∫ 2r CA(r) dr. CA falls, so on each stretch
    between two radii of the table its mean lies between its values there, and E R² is largest where CA is flat on every
    stretch and as much of the ACR as possible lies far out. The bound is some 5% too large at σ = 1, 20% at σ = .25.
    """
    edges = np.array(RADII)
    accuracies = table[[f"ca_{radius:g}" for radius in RADII]].to_numpy(float)
    top = np.maximum(table["largest_radius"].to_numpy(float), edges[1])
    left, right = np.minimum(edges[:-1], top[:, None]), np.minimum(edges[1:], top[:, None])
    lengths = right - left
    # on the stretch that ends at the largest radius nothing is certified behind it
    most, least = accuracies[:, :-1], np.where(right < edges[1:], 0.0, accuracies[:, 1:])
    room = table["acr"].to_numpy(float) - (least * lengths).sum(axis=1)
    means = least.copy()
    for stretch in reversed(range(lengths.shape[1])):
        length = lengths[:, stretch]
        taken = np.clip(room, 0.0, (most - least)[:, stretch] * length)
        means[:, stretch] += np.divide(taken, length, out=np.zeros_like(length), where=length > 0)
        room = room - taken
    second = (means * (right**2 - left**2)).sum(axis=1)
    variance = np.maximum(second - table["acr"].to_numpy(float) ** 2, 0.0)
    return np.sqrt(variance / table["images"].to_numpy(float))


def with_interval(table: pd.DataFrame, measure: Measure, failure_prob: float = 0.05) -> pd.DataFrame:
    """The runs with the ends of a measure's interval over images in two more columns, ``…_lower`` and ``…_upper``.

    Clopper–Pearson for certified accuracy; for ACR the normal interval with :func:`acr_error`, which is somewhat wide.

    Args:
        table: rows of :func:`~noiseaug.literature.published`.
        measure: acr, or certified accuracy at a radius of the table.
        failure_prob: probability that an interval misses, for ACR approximately.
    """
    name = column(measure)
    half = 0.5 * validation.probability("failure_prob", failure_prob)
    values, images = table[name].to_numpy(float), table["images"].to_numpy(float)
    if name == "acr":
        reach = -special.ndtri(half) * acr_error(table)
        lower, upper = np.maximum(values - reach, 0.0), values + reach
    else:
        counts = np.rint(values * images)
        lower, upper = binomial_lower(counts, images, half), binomial_upper(counts, images, half)
    return table.assign(**{f"{name}_lower": lower, f"{name}_upper": upper})
