"""What can be checked of a log that holds no votes, such as the published ones: whether its lines can be true."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from noiseaug.certificates import CertificationSetting, largest_radius
from noiseaug.confidence import binomial_lower
from noiseaug.validation import FloatArray

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["verify"]

_MOST_DIGITS = 6  # with more, radii are taken to be printed in full
_SLACK = 1e-9


def verify(frame: pd.DataFrame, setting: CertificationSetting | None = None) -> list[str]:
    """What is wrong with a run, a line for each kind of fault; empty where nothing contradicts it.

    Whatever the run is: indices that stand twice or are missing from an even sequence, negative radii, radii of
    abstentions, ``correct`` beside label and prediction, and negative times. With a setting also, by the rule of Cohen
    et al. 2019: radii above the largest that its votes can certify, and radii that no number of votes gives. Radii that
    are printed with a few digits may be rounded to nearest.

    Args:
        frame: a run as :func:`noiseaug.records.read_any` gives it; columns that it lacks are not looked at.
        setting: smoothing level, votes and failure probability of the run.
    """
    index = frame["index"].to_numpy()
    abstained = (frame["prediction"] < 0).to_numpy()
    found = [*_repeated(index), *_missing(np.unique(index))]
    if "correct" in frame:
        right = (frame["prediction"] == frame["label"]).to_numpy() & ~abstained
        found += _some(
            index, frame["correct"].to_numpy(bool) != right, "correct is not whether label and predict agree"
        )
    if "seconds" in frame:
        found += _some(index, frame["seconds"].to_numpy(float) < 0, "the time is negative")
    if "radius" not in frame:
        return found
    radii = frame["radius"].to_numpy(float)
    found += _some(index, ~(radii >= 0) | np.isinf(radii), "the radius is no number of at least 0")
    found += _some(index, abstained & (radii > 0), "the radius is above 0 although the prediction abstains")
    if setting is not None:
        found += _beyond(index, radii, setting)
    return found


def _some(index: np.ndarray, wrong: np.ndarray, what: str) -> list[str]:
    """One line where any input is wrong."""
    return _line(index[wrong][0], int(wrong.sum()), what) if wrong.any() else []


def _line(first: int, count: int, what: str) -> list[str]:
    """One line about so many inputs, of which the first is named; none about none."""
    return [f"input {first}{f' and {count - 1} more' if count > 1 else ''}: {what}"] if count else []


def _repeated(index: np.ndarray) -> list[str]:
    values, counts = np.unique(index, return_counts=True)
    return _some(values, counts > 1, "stands more than once")


def _missing(index: np.ndarray) -> list[str]:
    """Gaps in a sequence of every k-th input, where k is the commonest step."""
    if len(index) < 3:
        return []
    steps, counts = np.unique(np.diff(index), return_counts=True)
    step = int(steps[counts.argmax()])
    # by arithmetic: the indices of a damaged log may span more than memory holds
    on = (index - index[0]) % step == 0
    held = index[on]
    gaps = np.flatnonzero(np.diff(held) > step)
    first = held[gaps[0] if len(gaps) else -1] + step
    lacking = int((index[-1] - index[0]) // step) + 1 - len(held)
    return [
        *_line(first, lacking, f"missing from every {step}th input"),
        *_some(index, ~on, f"none of every {step}th input"),
    ]


def _beyond(index: np.ndarray, radii: FloatArray, setting: CertificationSetting) -> list[str]:
    run = f"n = {setting.votes}, failure probability {setting.failure_prob:g} and σ = {setting.smooth_sigma:g}"
    most, unit = largest_radius(setting), _unit(radii)
    above = radii > most + 0.5 * unit + _SLACK
    found = _some(index, above, f"the radius is above {most:.6g}, the largest at {run}")
    possible = _possible(setting)
    place = np.clip(np.searchsorted(possible, radii), 1, len(possible) - 1)
    distance = np.minimum(np.abs(radii - possible[place - 1]), np.abs(possible[place] - radii))
    return found + _some(index, ~above & (distance > unit + _SLACK), f"no number of votes gives the radius at {run}")


def _unit(radii: FloatArray) -> float:
    """The last place to which radii are printed; they may have been rounded to nearest, or down."""
    for digits in range(1, _MOST_DIGITS + 1):
        if np.allclose(radii, radii.round(digits), rtol=0, atol=1e-12):
            return float(10.0**-digits)
    return 0.0


def _possible(setting: CertificationSetting) -> FloatArray:
    """The radii that Cohen et al.'s rule can give, increasing, with 0."""
    wins: Any = np.arange(setting.votes // 2, setting.votes + 1)
    lower = binomial_lower(wins, setting.votes, setting.failure_prob)
    # as in certified_radius; −Φ⁻¹(1 − p) keeps its digits where p is close to 1
    reached = -setting.smooth_sigma * special.ndtri(1 - lower[lower > 0.5])
    return np.concatenate([[0.0], reached])
