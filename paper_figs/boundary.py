"""Ours: the sharp boundary of the band of good (α, β) in high dimension, and how fast it sharpens (docs/math.md 2.10).

Left: the preset ``boundary`` of ``noiseaug.synthetic``. Right: at one α, half the distance between the β where a class
is right with probability Φ(1) and Φ(−1), from the closed form, beside the limit's. ``--fast`` computes fewer levels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import optimize, special

from noiseaug.synthetic.presets import find
from noiseaug.synthetic.presets.phase import STDS
from noiseaug.tasks import ConcentricGaussians, ConcentricLimit
from paper_figs import look
from paper_figs.tables import OURS, run_study

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "the band of good (α, β) closes on its limit, with edges of width d^(−1/2)"
SOURCE = "ours"

_TRAIN_SIGMA = 0.5
_DIMS = (10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000)
_EDGES = {"lower": "0", "upper": "1"}  # the class that is lost beyond
_MEASURED, _LIMIT = "edge_width", "edge_width_limit"


def compute(fast: bool) -> pd.DataFrame:
    """The risk over (α, β, d), and the width of both edges over d, measured and in the limit."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    limits = dict(zip(_EDGES, ConcentricLimit(**STDS).widths(_TRAIN_SIGMA), strict=True))
    for dim in _DIMS[::2] if fast else _DIMS:
        for edge, label in _EDGES.items():
            common = {"task_dim": dim, "train_sigma": _TRAIN_SIGMA, "edge": edge, "origin": OURS}
            rows.append({**common, "quantity": _MEASURED, "value": _width(dim, int(label))})
            rows.append({**common, "quantity": _LIMIT, "value": float(limits[edge]) / np.sqrt(dim)})
    return pd.concat([run_study(find("boundary").build(fast), fast), pd.DataFrame(rows)], ignore_index=True)


def _width(dim: int, label: int) -> float:
    """Half the distance in β between accuracies Φ(1) and Φ(−1) of a class."""
    task = ConcentricGaussians(dim, **STDS)
    base = task.augmented_region(_TRAIN_SIGMA)

    def accuracy(beta: float) -> float:
        region = base.smoothed(beta)
        return float(task.class_mass(label, [region if label else region.complement()])[0])

    ends = [optimize.brentq(lambda b, q=q: accuracy(b) - special.ndtr(q), 1e-3, 1.5, xtol=1e-10) for q in (1.0, -1.0)]
    return 0.5 * abs(ends[1] - ends[0])


def draw(table: pd.DataFrame) -> Figure:
    """A map for each dimension, and the widths over the dimension on logarithmic axes."""
    from noiseaug.synthetic.presets.boundary import maps

    dims = table[table["quantity"] == "risk"]["task_dim"].nunique()
    figure, axes = look.new_figure(1, dims + 1, width=2.2, height=2.5)
    mesh = maps(list(axes[0][:-1]), table)
    figure.colorbar(mesh, ax=axes[0][:-1], label="risk", location="right")
    _widths(axes[0][-1], table)
    return look.add_units(
        look.finish(
            figure,
            "Concentric Gaussians (0.3 against 0.4): the band of good (α, β) closes on its limit",
            [
                "line: the boundary in the limit of large d, inside which the risk tends to 0; dashed: α = β",
                f"right, at α = {_TRAIN_SIGMA:g}: width of the edges, exact (dots) and as the limit has it (lines)",
            ],
        ),
        look.INPUT,
    )


def _widths(axes: Axes, table: pd.DataFrame) -> None:
    from noiseaug import plotting

    for colour, edge in zip(plotting.colours("smooth_sigma", 2), _EDGES, strict=True):
        here = table[table["edge"] == edge].sort_values("task_dim")
        measured, limit = (here[here["quantity"] == name] for name in (_MEASURED, _LIMIT))
        slope = np.polyfit(np.log(measured["task_dim"].astype(float)), np.log(measured["value"]), 1)[0]
        axes.plot(limit["task_dim"], limit["value"], color=colour, lw=1.2)
        axes.plot(
            measured["task_dim"], measured["value"], "o", color=colour, ms=3.5, label=f"{edge} edge, slope {slope:.3f}"
        )
    axes.set(xscale="log", yscale="log", xlabel="dimension d (count)", ylabel=f"width in β ({look.INPUT})")
    axes.set_ylim(bottom=0.15 * float(table.loc[table["quantity"] == _MEASURED, "value"].min()))
    axes.legend(fontsize=7, frameon=False, loc="lower left")
