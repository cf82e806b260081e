"""How a sweep from a file is drawn and summed up: any task, any quantity."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING

from noiseaug import plotting
from noiseaug.errors import InvalidInputError
from noiseaug.escaping import for_picture
from noiseaug.synthetic.benefit import summary
from noiseaug.synthetic.presets.preset import Preset
from noiseaug.synthetic.study import Study

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["PRESET"]

_MOST_PANELS = 8
_TITLE_WIDTH = 46  # characters over a panel


def build(fast: bool) -> Study:
    """A file describes its own study."""
    raise InvalidInputError("a sweep from a file has no preset form")


@plotting.style()
def draw(table: pd.DataFrame) -> Mapping[str, Figure]:
    """For each quantity one figure: value over α, a line for each β, a panel for each task, rule and radius.

    Sampled values are drawn where there are no others. A sweep with one α is drawn over β.
    """
    import pandas as pd

    one_level = table["train_sigma"].nunique() == 1 < table["smooth_sigma"].nunique()
    x, hue, symbol = ("smooth_sigma", "train_sigma", "α") if one_level else ("train_sigma", "smooth_sigma", "β")
    names = _names(table)
    figures = {}
    for quantity, rows in table.groupby("quantity", sort=False):
        exact = rows[rows["method"] != "sampled"]
        shown = exact if len(exact) else rows
        # single classes are drawn where the table has them, each in a panel of its own
        known_class = shown["class"] if "class" in shown else pd.Series(pd.NA, shown.index, dtype="Int64")
        keys = [shown["task"], shown["rule"], shown["radius"], known_class]
        groups = list(shown.groupby(keys, sort=False, dropna=False))
        notes = [f"{_MOST_PANELS} of {len(groups)} panels; table.csv holds all"] if len(groups) > _MOST_PANELS else []
        groups = groups[:_MOST_PANELS]
        columns = min(len(groups), 4)
        figure, axes = plotting.new_figure(-(-len(groups) // columns), columns, width=2.8, height=2.5)
        known: set[float] = set()
        for panel, ((task, rule, radius, label), part) in zip(axes.ravel(), groups, strict=False):
            plotting.curves(panel, part, x, hue, symbol=symbol)
            title = "\n".join(textwrap.wrap(for_picture(names[str(task)]), _TITLE_WIDTH))
            at = "" if radius != radius else f", r = {radius:g}"
            of = "" if label is pd.NA or label != label else f", class {label:g}"
            panel.set_title(f"{title}\n{rule}{at}{of}", fontsize=7)
            if known != set(part[hue]):
                known = set(part[hue])
                panel.legend(fontsize=6)
        for panel in axes.ravel()[len(groups) :]:
            panel.set_axis_off()
        for row in axes:
            row[0].set_ylabel(plotting.LABELS.get(str(quantity), str(quantity)))
        figures[str(quantity)] = plotting.finish(figure, str(quantity).replace("_", " "), notes)
    return figures


def _names(table: pd.DataFrame) -> dict[str, str]:
    """A short name for each task: its family and the parameters that vary; the whole text where two would share it."""
    varied = [column for column in table.columns if column.startswith("task_")]
    names = {}
    for task, row in table.drop_duplicates("task").set_index("task")[varied].iterrows():
        told = [f"{str(column).removeprefix('task_')}={value}" for column, value in row.dropna().items()]
        names[str(task)] = ", ".join([str(task).split("(")[0], *told])
    shared = [name for name in names.values() if list(names.values()).count(name) > 1]
    return {task: task if name in shared else name for task, name in names.items()}


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Best noise for each curve; empty where the sweep has no α = 0 to compare with."""
    import pandas as pd

    exact = table[table["method"] != "sampled"]
    rows, names = exact if len(exact) else table, _names(table)
    parts = [
        summary(part, [], f"{names[str(task)]}, {rule}")
        for (task, rule), part in rows.groupby(["task", "rule"], sort=False)
    ]
    told = [part for part in parts if len(part)]
    return pd.concat(told, ignore_index=True) if told else parts[0]


PRESET = Preset("custom", "a sweep from a file", build, draw, summarise, default=False)
