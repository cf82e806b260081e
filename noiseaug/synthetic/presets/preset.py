"""What a preset is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from noiseaug.synthetic.study import Study
from noiseaug.tables import steps

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
        redraws: keys whose values the pictures and the summary take as they come; after a change of any other key the
            table is shown as that of a sweep from a file is.
    """

    name: str
    title: str
    build: Callable[[bool], Study]
    draw: Callable[[pd.DataFrame], Mapping[str, Figure]]
    summarise: Callable[[pd.DataFrame], pd.DataFrame]
    default: bool = True
    redraws: tuple[str, ...] = ()

    def shows(self, settings: Mapping[str, Sequence[Any]]) -> bool:
        """Whether the pictures and the summary still tell the truth after these changes of the study."""
        return all(key in self.redraws for key in settings) and 0 in settings.get("train_sigma", (0,))


def levels(start: float, stop: float, num: int) -> tuple[float, ...]:
    """Equally spaced noise levels or radii."""
    return steps("levels", start, stop, num)
