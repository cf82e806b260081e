"""Intervals on the circle, from interfering to isolated (docs/math.md 2.6, 2.9)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from noiseaug import plotting
from noiseaug.sweeps import Grid
from noiseaug.synthetic.benefit import summary, with_benefit
from noiseaug.synthetic.presets.preset import Preset, levels
from noiseaug.synthetic.study import Part, Study

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["PRESET"]

_NAME, _TITLE = "circle", "intervals on the circle: benefit over separation ζ, from interfering to isolated"


def build(fast: bool) -> Study:
    """The study: two arcs of length 2 on a circle of length 10, separated by ζ."""
    grid = Grid(
        train_sigma=levels(0, 2, 5 if fast else 41),
        smooth_sigma=(0.7, 1.0, 1.4),
        radii=(0.0, 0.5),
        quantities=("disagreement", "certified_accuracy", "adversarial_accuracy"),
        rule=("convolved",),
    )
    fixed = {"count": 2, "width": 2.0, "domain": (0.0, 10.0), "periodic": True}
    separations = (0.25, 1.0, 3.0) if fast else (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0)
    return Study(_NAME, _TITLE, (Part("Intervals.row", fixed, {"separation": separations}, grid),))


@plotting.style()
def draw(table: pd.DataFrame) -> Mapping[str, Figure]:
    """Benefit over (α, ζ) for each β, and the best benefit over ζ."""
    gains = with_benefit(table[table["quantity"] == "disagreement"])
    gains = gains.assign(order=gains["task_separation"].rank(method="dense") - 1)
    betas = sorted(gains["smooth_sigma"].unique())
    limit = 0.2
    figure, axes = plotting.new_figure(1, len(betas), width=2.4, height=2.4)
    names = [f"{value:g}" for value in sorted(gains["task_separation"].unique())]
    mesh = None
    for panel, beta in zip(axes[0], betas, strict=True):
        mesh = plotting.benefit_map(panel, gains[gains["smooth_sigma"] == beta], "train_sigma", "order", limit=limit)
        panel.set(title=f"β = {beta:g}", ylabel=plotting.LABELS["task_separation"])
        panel.set_yticks(range(len(names)), names, fontsize=6)
        panel.label_outer()
    if mesh is not None:
        ticks = [-0.2, -0.05, -0.01, 0, 0.01, 0.05, 0.2]
        bar = figure.colorbar(mesh, ax=axes, shrink=0.8, ticks=ticks, extend="both")
        bar.set_label("benefit Δ(0,β) − Δ(α,β)")
    return {
        "circle": plotting.finish(
            figure,
            "Two arcs on a circle: noise helps where they interfere, by closing the gap",
            ["arcs of length 2, circle of length 10; isolated arcs (large ζ) lose under any training noise"],
        )
    }


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Best noise for a few separations."""
    separations = sorted(table["task_separation"].unique())
    chosen = {separations[0], separations[len(separations) // 2], separations[-1]}
    widest = table["smooth_sigma"] == table["smooth_sigma"].max()
    kept = table[(table["quantity"] == "disagreement") & table["task_separation"].isin(chosen) & widest]
    return summary(kept, ["task_separation"], "intervals on the circle")


PRESET = Preset(_NAME, _TITLE, build, draw, summarise, redraws=("train_sigma", "smooth_sigma", "radii", "separation"))
