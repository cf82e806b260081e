"""What a preset is, and numbers for its grids."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from noiseaug.synthetic.study import Study

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Preset", "levels"]


@dataclass(frozen=True)
class Preset:
    """A study with its pictures and its summary.

    Attributes:
        name: short name for the command line.
        title: one line that says what it shows.
        build: makes the study; True asks for a small version of it.
        draw: figures of the table, by file name.
        summarise: the table's answer, with the columns of ``noiseaug.synthetic.benefit.SUMMARY_COLUMNS``.
        default: whether it belongs to the default study.
    """

    name: str
    title: str
    build: Callable[[bool], Study]
    draw: Callable[[pd.DataFrame], Mapping[str, Figure]]
    summarise: Callable[[pd.DataFrame], pd.DataFrame]
    default: bool = True


def levels(start: float, stop: float, num: int) -> tuple[float, ...]:
    """Equally spaced levels, rounded so that tables and file names read well."""
    return tuple(float(round(value, 10)) for value in np.linspace(start, stop, num))
