"""Which training noise: levels that paired counts cannot tell from the best, and one of them to recommend."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from noiseaug import validation
from noiseaug.bridge.convolutional import ConvolutionalFamily
from noiseaug.bridge.kernel import KernelFamily
from noiseaug.confidence import sign_test_p_value
from noiseaug.errors import InvalidInputError

__all__ = ["best_level", "plausible_levels", "recommended_level"]

_DIGITS = 12  # values closer than that are equal


def plausible_levels(hits: ArrayLike, failure_prob: float = 0.05) -> np.ndarray:
    """A confidence set for the level with the largest hit rate, paired over inputs.

    A level is left out where some other level beats it in McNemar's exact one-sided test at ``failure_prob`` divided by
    the number of other levels (Bonferroni). The truly best level is beaten by any one with at most that probability, so
    the set misses it with probability at most ``failure_prob``. Inputs must be independent draws.

    Args:
        hits: whether each level has each input right, shape (levels, inputs).
        failure_prob: probability that the best level is not in the set, at most.

    Returns:
        Shape (levels,), True where a level is in the set; the one with the most hits always is.
    """
    table = np.asarray(hits)
    if table.ndim != 2 or not table.size or table.dtype != bool:
        raise InvalidInputError(f"hits are {table.dtype} of shape {table.shape}; expected booleans, (levels, inputs)")
    share = validation.probability("failure_prob", failure_prob) / max(1, len(table) - 1)
    # counts up to 2^24 are exact in float64 products
    ones = table.astype(float)
    wins = ones @ (1 - ones).T  # inputs that the row's level has right and the column's has not
    hits_of = table.sum(axis=1)
    # at a failure probability of ½ and more a rival with as many hits would count as beating it
    return np.logical_not(np.any(sign_test_p_value(wins, wins.T) <= share, axis=0)) | (hits_of == hits_of.max())


def best_level(train_sigma: ArrayLike, values: ArrayLike) -> float:
    """The level with the largest value, the middle one of equals.

    Args:
        train_sigma: levels α, ascending, shape (levels,).
        values: shape (levels,).
    """
    rates = np.asarray(values, dtype=float).round(_DIGITS)
    ties = np.asarray(train_sigma, dtype=float)[rates == rates.max()]
    return float(ties[len(ties) // 2])


def recommended_level(
    predictor: str, train_sigma: ArrayLike, values: ArrayLike, plausible: ArrayLike, smooth_sigma: float
) -> float:
    """The level that a prediction recommends.

    The maximiser of the quadratic rule. The convolutional rule's curves are flat around theirs, so the middle one of
    the levels that it cannot tell from the best is taken. The kernel rule fails nowhere for want of noise, as networks
    do, so its maximiser says little, and of those levels the one closest to the custom α = β is taken (of two equally
    close ones that with the larger value, then the smaller one).

    Args:
        predictor: name of what predicts.
        train_sigma: levels α, ascending, shape (levels,).
        values: hit rate of each.
        plausible: from :func:`plausible_levels`.
        smooth_sigma: β.
    """
    levels, rates = np.asarray(train_sigma, dtype=float), np.asarray(values, dtype=float)
    allowed = np.flatnonzero(np.asarray(plausible, dtype=bool))
    if predictor == ConvolutionalFamily.name and len(allowed):
        return float(levels[allowed[len(allowed) // 2]])
    if predictor != KernelFamily.name:
        return best_level(train_sigma, values)
    order = np.lexsort((levels[allowed], -rates[allowed], np.abs(levels[allowed] - smooth_sigma).round(_DIGITS)))
    return float(levels[allowed[order[0]]])
