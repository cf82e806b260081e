"""Feng et al. 2020: ADRE against Gaussian training at equal budgets, on MNIST.

Draws docs/results/mnist_objectives.csv, made by ``sh docs/results/mnist_objectives.sh FOLDER`` (some half an hour);
``--fast`` draws the same table. Feng et al.'s printed numbers were not to be had, so none are drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from paper_figs import look
from paper_figs.objective_curves import NAMES, objective_curves, run_note
from paper_figs.tables import objectives

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TITLE = "ADRE against Gaussian training on MNIST"
SOURCE = "Feng et al. 2020, ADRE; numbers ours"
COMMITTED = ("docs/results/mnist_objectives.csv",)

_CURVES, _BARS = ("gaussian", "adre"), ("clean", "gaussian", "adre", "consistency", "smoothadv")


def compute(fast: bool) -> pd.DataFrame:
    """Certified accuracy and ACR of every objective and seed."""
    return objectives()


def draw(table: pd.DataFrame) -> Figure:
    """Certified accuracy of the two, and the ACR of all objectives."""
    figure, axes = look.new_figure(1, 2, width=3.1, height=2.8)
    left, right = axes[0]
    objective_curves(left, table, _CURVES)
    left.legend(fontsize=7, frameon=False, loc="lower left")
    acr = table[table["quantity"] == "acr"]
    names = [name for name in _BARS if name in set(acr["objective"])]
    for place, name in enumerate(names):
        values = acr.loc[acr["objective"] == name, "value"]
        colour, marker = look.STYLES[name]
        right.plot([place] * len(values), values, ls="none", marker=marker, ms=4, color=colour, alpha=0.45, mew=0)
        right.plot([place - 0.25, place + 0.25], [values.mean()] * 2, color=colour, lw=1.8)
    right.set_xticks(range(len(names)), [NAMES[name].split(" ")[0] for name in names], fontsize=6.5, rotation=20)
    right.set(xlabel="training objective (name)", ylabel=look.label("acr", look.PIXELS))
    return look.finish(
        figure,
        "ADRE against Gaussian training on MNIST",
        [
            run_note(table) + ", bars: mean over seeds",
            "ADRE's loss has no lower bound, which keeps its weight small here: docs/math.md, section 5",
        ],
    )
