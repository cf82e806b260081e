"""How a sweep from a file is drawn and summed up: any task, any quantity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from noiseaug import plotting
from noiseaug.errors import InvalidInputError
from noiseaug.synthetic.benefit import SUMMARY_COLUMNS, summary
from noiseaug.synthetic.presets._preset import Preset
from noiseaug.synthetic.study import Study

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["PRESET"]

_MOST_PANELS = 8


def build(fast: bool) -> Study:
    """A file describes its own study."""
    raise InvalidInputError("a sweep from a file has no preset form")


def draw(table: pd.DataFrame) -> Mapping[str, Figure]:
    """For each quantity one figure: value over α, a line for each β, a panel for each task, rule and radius."""
    figures = {}
    for quantity, rows in table.groupby("quantity", sort=False):
        exact = rows[rows["method"] != "sampled"]
        shown = exact if len(exact) else rows
        groups = list(shown.groupby(["task", "rule", "radius"], sort=False, dropna=False))[:_MOST_PANELS]
        columns = min(len(groups), 4)
        figure, axes = plotting.new_figure(-(-len(groups) // columns), columns, width=2.8, height=2.5)
        for panel, ((task, rule, radius), part) in zip(axes.ravel(), groups, strict=False):
            plotting.curves(panel, part, "train_sigma", "smooth_sigma", symbol="β")
            panel.set_title(f"{_short(str(task))}\n{rule}{'' if radius != radius else f', r = {radius:g}'}", fontsize=7)
        for panel in axes.ravel()[len(groups) :]:
            panel.set_axis_off()
        axes[0][0].set_ylabel(plotting.LABELS.get(str(quantity), str(quantity)))
        axes[0][0].legend(fontsize=6)
        figures[str(quantity)] = plotting.finish(figure, str(quantity).replace("_", " "))
    return figures


def _short(task: str, most: int = 46) -> str:
    return task if len(task) <= most else task[: most - 1] + "…"


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Best noise for each curve; empty where the sweep has no α = 0 to compare with."""
    import pandas as pd

    if not (table["train_sigma"] == 0).any():
        return pd.DataFrame(columns=list(SUMMARY_COLUMNS))
    exact = table[table["method"] != "sampled"]
    rows = exact if len(exact) else table
    parts = [
        summary(part, [], f"{_short(str(task))}, {rule}")
        for (task, rule), part in rows.groupby(["task", "rule"], sort=False)
    ]
    return pd.concat(parts, ignore_index=True)


PRESET = Preset("custom", "a sweep from a file", build, draw, summarise, default=False)
