"""What adre and smoothadv share: certified accuracy over the radius, a line for each objective, a dot for each seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from paper_figs import look

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["NAMES", "objective_curves", "run_note"]

NAMES = {
    "clean": "clean (α = 0)",
    "gaussian": "Gaussian",
    "adre": "ADRE",
    "smoothadv": "SmoothAdv",
    "consistency": "Consistency",
}


def objective_curves(axes: Axes, table: pd.DataFrame, objectives: Sequence[str]) -> None:
    """Mean over seeds over the radius; every seed as a faint dot."""
    rows = table[table["quantity"] == "certified_accuracy"]
    for name in objectives:
        here = rows[rows["objective"] == name]
        if here.empty:
            continue
        colour, marker = look.STYLES[name]
        mean = here.groupby("radius")["value"].mean()
        axes.plot(here["radius"], here["value"], ls="none", marker=marker, ms=2.5, color=colour, alpha=0.35, mew=0)
        axes.plot(mean.index, mean, color=colour, marker=marker, ms=4, lw=1.4, label=NAMES[name])
    axes.set(xlabel=look.label("radius", look.PIXELS), ylim=(0, 1.02))
    axes.set_ylabel(look.label("certified_accuracy", look.FRACTION))


def run_note(table: pd.DataFrame) -> str:
    """How the runs were made, in a line."""
    first, seeds = table.iloc[0], table["seed"].nunique()
    return (
        f"MNIST, LeNet, α = β = {first['smooth_sigma']:g}, equal budgets: {seeds} seeds, "
        f"{int(first['images'])} test images, {int(first['votes']):,} votes; line: mean, small dots: each seed"
    )
