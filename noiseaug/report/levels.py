"""Runs at several smoothing levels on the same inputs: the best level of each, and what an oracle would certify."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from noiseaug import validation
from noiseaug.errors import InvalidInputError
from noiseaug.report.comparison import check_labelled, earned_radii

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["best_levels", "oracle"]

Runs = Mapping[str, tuple[Mapping[str, Any], "pd.DataFrame"]]


def best_levels(runs: Runs, radius: float | None = None) -> pd.DataFrame:
    """The level at which each input is certified for its true class with the largest radius.

    Of equal radii the smallest level is taken, so too where no level certifies the input.

    Args:
        runs: description and frame of each run by name, each at a smoothing level of its own, on the same inputs.
        radius: a target ℓ₂ radius, in input units, beyond which radii count as equal: the smallest level that certifies
            it is taken, where one does.

    Returns:
        A row for each input, sorted by index: index, level (β), place (of the level among them all, from 0) and radius
        (that of the level; 0 where its answer is wrong or missing).

    Raises:
        InvalidInputError: for fewer than two runs, levels that are missing or come twice, or runs of other inputs.
    """
    import pandas as pd

    levels, frames = _by_level(runs)
    earned = np.stack([earned_radii(frame) for frame in frames], axis=1)
    ranked = earned if radius is None else np.minimum(earned, validation.positive("radius", radius))
    place = np.argmax(ranked, axis=1)  # the first of equal ones
    rows = np.arange(len(place))
    return pd.DataFrame(
        {"index": frames[0]["index"], "level": np.array(levels)[place], "place": place, "radius": earned[rows, place]}
    )


def oracle(runs: Runs) -> pd.DataFrame:
    """The run that has the best level for each input, which takes the true label to know: no certificate, but a bound.

    No router certifies more inputs at any radius with these votes.

    Args:
        runs: as for :func:`best_levels`.

    Returns:
        A frame like that of a run, with the outcomes of each input at its best level.

    Raises:
        InvalidInputError: as there.
    """
    import pandas as pd

    _, frames = _by_level(runs)
    place = best_levels(runs)["place"].to_numpy()
    names = ("index", "label", "prediction", "radius", "correct", "n", "seconds")
    shared = [name for name in names if all(name in frame for frame in frames)]
    return pd.DataFrame({name: np.choose(place, [frame[name] for frame in frames]) for name in shared})


def _by_level(runs: Runs) -> tuple[list[float], list[pd.DataFrame]]:
    """The levels in increasing order, and their frames sorted by index."""
    if len(runs) < 2:
        raise InvalidInputError(f"{len(runs)} runs; expected at least two, each at a smoothing level of its own")
    found: dict[float, tuple[str, pd.DataFrame]] = {}
    for name, (description, frame) in runs.items():
        level = description.get("smooth_sigma")
        if level is None:
            raise InvalidInputError(f"{name} does not say its smoothing level; expected a run at one level")
        if level in found:
            raise InvalidInputError(f"{found[level][0]} and {name} both have the level {level:g}; give one for each")
        check_labelled(frame)
        found[level] = name, frame.sort_values("index", ignore_index=True)
    levels = sorted(found)
    first, reference = found[levels[0]]
    for name, frame in (found[level] for level in levels[1:]):
        for column in ("index", "label"):
            if not np.array_equal(frame[column], reference[column]):
                raise InvalidInputError(f"{first} and {name} are of different inputs; certify the same ones")
    return levels, [found[level][1] for level in levels]
