"""Salman et al. 2019: the table of certified accuracy on CIFAR-10 with pre-training and semi-supervision.

Published rows only (paper_figs/data/salman_2019_cifar10.csv); ours are of a small network and of Gaussian training, and
stand in docs/results. ``--fast`` draws the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from paper_figs import look
from paper_figs.tables import SALMAN, committed

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TITLE = "SmoothAdv with pre-training and semi-supervision: certified accuracy on CIFAR-10 (published)"
SOURCE = "Salman et al. 2019, CIFAR-10 table"
COMMITTED = ("paper_figs/data/salman_2019_cifar10.csv",)


def compute(fast: bool) -> pd.DataFrame:
    """A row for each method and radius, and what it gains over the first method."""
    table = committed(COMMITTED[0])
    table = table[table["choice"] == "best"].reset_index(drop=True)
    first = table[table["method"] == table["method"].iloc[0]].set_index("radius")["value"]
    gain = (table["value"] - table["radius"].map(first)).round(9)
    return table[["method", "radius", "value"]].assign(gain=gain, quantity="certified_accuracy", origin=SALMAN)


def draw(table: pd.DataFrame) -> Figure:
    """The numbers as the table has them, coloured by the gain over Cohen et al."""
    methods = list(dict.fromkeys(table["method"]))
    values, gains = (
        table.pivot(index="method", columns="radius", values=name).loc[methods] for name in ("value", "gain")
    )
    figure, axes = look.new_figure(1, 1, width=5.6, height=2.5)
    axis = axes[0][0]
    limit = float(np.abs(gains.to_numpy()).max())
    image = axis.imshow(gains.to_numpy(), cmap="PRGn", vmin=-limit, vmax=limit, aspect="auto")
    for (row, column), value in np.ndenumerate(values.to_numpy()):
        dark = gains.to_numpy()[row, column] > 0.6 * limit
        axis.text(column, row, f"{100 * value:.0f}", ha="center", va="center", fontsize=8, color="1" if dark else "0.1")
    axis.set_xticks(range(len(values.columns)), [f"{radius:g}" for radius in values.columns])
    axis.set_yticks(range(len(methods)), methods)
    axis.set(xlabel=look.label("radius", look.PIXELS), ylabel="training (method)")
    axis.grid(False)
    figure.colorbar(image, ax=axis, label="gain over the first row (fraction)")
    return look.finish(
        figure,
        "CIFAR-10: certified accuracy in %, best at each radius",
        ["published numbers (Salman et al. 2019); the rows below SmoothAdv add to it"],
    )
