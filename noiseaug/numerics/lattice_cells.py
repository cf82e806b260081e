"""Functions on a lattice between the centres of its cells: second differences, and shares of cells above a level."""

from __future__ import annotations

import numpy as np

from noiseaug.validation import FloatArray

__all__ = ["LOG_FLOOR", "bends", "inclined", "share_above"]

LOG_FLOOR = 700.0
"""Logarithms this far below the largest are as good as −∞."""


def bends(values: FloatArray) -> FloatArray:
    """The second differences along all axes but the first, in sum; 0 across the ends."""
    total = np.zeros(values.shape)
    for axis in range(1, values.ndim):
        first, last = (np.take(values, [at], axis=axis) for at in (0, -1))
        total += np.diff(values, 2, axis, prepend=first, append=last)
    return total


def inclined(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Functions along the first axis, known at the cells' centres, as linear in each cell: the middle and the steps."""
    height = np.clip(values, -LOG_FLOOR, LOG_FLOOR)
    steps = np.abs(
        [np.gradient(height, axis=axis) for axis in range(1, height.ndim) if height.shape[axis] > 1]
        or np.zeros((1, *height.shape))
    )
    reach = 0.5 * steps.sum(axis=0)
    # the mean of the second-order term over a cell
    height += np.clip(bends(height) / 24, -0.2 * reach, 0.2 * reach)
    return height, steps


def share_above(height: FloatArray, steps: FloatArray, level: float) -> FloatArray:
    """The share of each cell in which a linear function is at least the level.

    With steps a ≥ b ≥ c across the cell it is the probability that the value in the middle exceeds the level by
    −(aU + bV + cW), with U, V, W uniform on [−½, ½].
    """
    over = height - level
    share = np.where(over >= 0, 1.0, 0.0)
    cut = np.abs(over) < 0.5 * steps.sum(axis=0)
    share[cut] = _uniform_sum(over[cut], -np.sort(-steps[:, cut], axis=0))
    return share


def _uniform_sum(excess: FloatArray, steps: FloatArray) -> FloatArray:
    """P(aU + bV + … ≥ −excess) for U, V, … uniform on [−½, ½]; steps a ≥ b ≥ … of shape (1 to 3, n)."""
    a = steps[0]
    # repeated antiderivatives of the ramp of one variable, differenced; a step of a hundredth is as good as none
    others = [np.maximum(step, 0.01 * a) for step in steps[1:]]
    signed = [(1.0, excess)]
    for step in others:
        signed = [(sign * side, t + 0.5 * side * step) for sign, t in signed for side in (1, -1)]
    total = np.zeros(excess.shape)
    for sign, t in signed:
        low = np.clip(t / a + 0.5, 0.0, 1.0)
        if not others:
            term = low
        elif len(others) == 1:
            term = a * (0.5 * low**2) + np.maximum(t - 0.5 * a, 0.0)
        else:
            above = np.maximum(t - 0.5 * a, 0.0)
            term = a**2 * low**3 / 6 + 0.5 * a * above + 0.5 * above**2
        total += sign * term
    for step in others:
        total /= step
    return np.clip(total, 0.0, 1.0)
