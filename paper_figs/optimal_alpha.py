"""Ours: the best training noise α*(β, r), in closed form and measured.

Left and middle are exact (docs/math.md 2.2 and 2.3). The right panel reads docs/results/mnist_grid_optimum.csv, which
``noiseaug grid`` makes (command in docs/results/mnist_grid.md), and, at r = 0, the best α of each β among the
risks that Pal & Sulam released. ``--fast`` computes fewer levels of the closed forms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import optimize

from noiseaug import risk
from noiseaug.predictors import smoothed
from noiseaug.synthetic.presets.optimal import example_task
from noiseaug.tasks import ConcentricGaussians
from paper_figs import look
from paper_figs.tables import OURS, PAL_SULAM, committed, few, published_risks

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "the best training noise α*(β, r): closed forms, MNIST, and the published risks"
SOURCE = "ours"
COMMITTED = ("docs/results/mnist_grid_optimum.csv", "paper_figs/data/pal_sulam_2023_mnist_risk.csv")

_PAIR, _CONCENTRIC, _MNIST = "Gaussians, common covariance", "concentric Gaussians, d = 100", "MNIST, CNN"
_RADII = (0.0, 0.2, 0.4)
_WORTH_IT = 1e-3  # gains below count as none: there no α is best


def compute(fast: bool) -> pd.DataFrame:
    """A row for each (setting, β, r): the best α, with the range that the data do not tell from it where measured."""
    import pandas as pd

    rows = [
        {"setting": _PAIR, "radius": float(radius), "train_sigma": example_task().optimal_train_sigma(float(radius))}
        for radius in np.linspace(0, 1.1, 12 if fast else 45).round(3)
    ]
    rows += _concentric(5 if fast else 19)
    ours = pd.DataFrame(rows).assign(origin=OURS)
    return pd.concat([ours, _measured(), _published()], ignore_index=True)


def _concentric(levels: int) -> list[dict[str, Any]]:
    """The maximiser of the closed form over α, where noise gains anything and beats a constant answer."""
    task = ConcentricGaussians(100, 0.3, 0.4)
    rows: list[dict[str, Any]] = []
    for beta in np.linspace(0.05, 0.5, levels).round(4):
        for radius in _RADII:

            def loss(alpha: float, beta: float = float(beta), radius: float = radius) -> float:
                model = smoothed(task.augmented_region(float(alpha)), beta)
                return -risk.certified_accuracy(task, model, radius=radius).value

            grid = np.linspace(0, 0.8, 41)
            values = [loss(alpha) for alpha in grid]
            at = int(np.argmin(values))
            if -values[at] < max(-values[0], 0.5) + _WORTH_IT:
                continue
            inner = optimize.minimize_scalar(
                loss, bounds=(grid[max(at - 1, 0)], grid[min(at + 1, 40)]), method="bounded", options={"xatol": 1e-6}
            )
            rows.append(
                {"setting": _CONCENTRIC, "smooth_sigma": float(beta), "radius": radius, "train_sigma": float(inner.x)}
            )
    return rows


def _measured() -> pd.DataFrame:
    table = committed(COMMITTED[0])
    kept = table[(table["quantity"] == "certified_accuracy") & (table["smooth_sigma"] > 0)]
    kept = kept[kept["best_train_sigma"].notna()]
    return kept[["smooth_sigma", "radius"]].assign(
        setting=_MNIST,
        train_sigma=kept["best_train_sigma"],
        lower=kept["interval_lower"],
        upper=kept["interval_upper"],
        origin=OURS,
    )


def _published() -> pd.DataFrame:
    table = published_risks(COMMITTED[1])
    # of equal risks the smallest noise
    best = table[table["smooth_sigma"] > 0].sort_values(["value", "train_sigma"]).drop_duplicates("smooth_sigma")
    return best[["smooth_sigma", "train_sigma"]].assign(
        setting=_MNIST, radius=0.0, risk=best["value"], origin=PAL_SULAM
    )


def draw(table: pd.DataFrame) -> Figure:
    """α over r, then α over β twice, one line for each radius."""
    figure, axes = look.new_figure(1, 3, width=3.0, height=2.9)
    left, middle, right = axes[0]
    pair = table[table["setting"] == _PAIR].sort_values("radius")
    left.plot(pair["radius"], pair["train_sigma"], color="0.2", **look.line_style(OURS))
    left.set(xlabel=look.label("radius", look.INPUT), ylabel="best training noise α* (input units)")
    look.panel_title(left, f"{_PAIR}: for every β")
    _panel(middle, table[table["setting"] == _CONCENTRIC], look.INPUT)
    look.panel_title(middle, _CONCENTRIC)
    _panel(right, table[table["setting"] == _MNIST], look.PIXELS)
    look.panel_title(right, _MNIST)
    look.name_origins(right, [("measured", False), (f"{PAL_SULAM}, r = 0", True)], loc="upper left")
    return look.finish(
        figure,
        "The best training noise grows with the radius",
        [
            "dashed: α = β; no point where no α gains more than .001 over α = 0 and over a constant answer",
            "MNIST: bars hold the levels of the grid that the data do not tell from the best",
        ],
    )


def _panel(axes: Axes, table: pd.DataFrame, unit: str) -> None:
    from noiseaug import plotting

    measured = "lower" in table and table["lower"].notna().any()
    ours = table[table["origin"] == OURS]
    radii = few(ours["radius"].unique().tolist(), 3)
    for shift, colour, radius in zip((-0.008, 0.0, 0.008), plotting.colours("radius", len(radii)), radii, strict=False):
        line = ours[ours["radius"] == radius].sort_values("smooth_sigma")
        x = line["smooth_sigma"] + (shift if measured else 0.0)  # bars side by side
        axes.plot(x, line["train_sigma"], color=colour, label=f"r = {radius:g}", **look.line_style(OURS))
        if measured:
            errors = np.stack([line["train_sigma"] - line["lower"], line["upper"] - line["train_sigma"]])
            axes.errorbar(x, line["train_sigma"], yerr=errors, fmt="none", ecolor=colour, elinewidth=0.8, alpha=0.6)
    published = table[table["origin"] != OURS].sort_values("smooth_sigma")
    if len(published):
        axes.plot(published["smooth_sigma"], published["train_sigma"], color="black", **look.line_style(PAL_SULAM))
    plotting.diagonal(axes, 0, float(table["smooth_sigma"].max()))
    axes.set(xlabel=look.label("smooth_sigma", unit), ylabel=f"best training noise α* ({unit})")
    axes.set_ylim(bottom=-0.02, top=1.35 * float(max(table["train_sigma"].max(), table["smooth_sigma"].max())))
    axes.legend(fontsize=7, frameon=False, loc="lower right")
