"""Concentric spheres in d = 500: each smoothing level wants its own training noise (docs/math.md 2.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from noiseaug import plotting
from noiseaug.sweeps import Grid
from noiseaug.synthetic.benefit import summary
from noiseaug.synthetic.presets.preset import Preset, levels
from noiseaug.synthetic.study import Part, Study

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["PRESET"]

_NAME, _TITLE = "spheres", "concentric spheres of radius 1 and 1.3 in d = 500: α has to follow β"


def build(fast: bool) -> Study:
    """The study: risk and ACR over (α, β)."""
    grid = levels(0, 0.15, 7 if fast else 61)
    quantities = ("risk", "acr")
    part = Part(
        "ConcentricSpheres",
        {"radius_1": 1.0, "radius_0": 1.3},
        {"dim": (500,)},
        Grid(grid, grid, quantities=quantities),
    )
    return Study(_NAME, _TITLE, (part,))


@plotting.style()
def draw(table: pd.DataFrame) -> Mapping[str, Figure]:
    """Risk and average certified radius over (α, β), for the first dimension of the table."""
    here = table[table["task_dim"] == table["task_dim"].min()]
    figure, axes = plotting.new_figure(1, 2)
    maps = "Greys", plotting.colour_map("train_sigma").reversed()
    for panel, quantity, colour in zip(axes[0], ("risk", "acr"), maps, strict=True):
        grid = here[here["quantity"] == quantity].pivot(index="train_sigma", columns="smooth_sigma", values="value")
        mesh = panel.pcolormesh(grid.columns, grid.index, grid.to_numpy(), cmap=colour, shading="nearest", vmin=0)
        figure.colorbar(mesh, ax=panel, label=plotting.LABELS[quantity])
        plotting.diagonal(panel, 0, float(grid.columns.max()))
        panel.set(xlabel=plotting.LABELS["smooth_sigma"], ylabel=plotting.LABELS["train_sigma"])
        panel.grid(False)
    return {
        "spheres": plotting.finish(
            figure,
            f"Concentric spheres in d = {here['task_dim'].iloc[0]:g}: right only in a band around α = β (dashed)",
            ["risk takes the values 0, ½ and 1 here: each sphere is right or wrong as a whole"],
        )
    }


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Best noise for a few smoothing levels."""
    chosen = [min(table["smooth_sigma"].unique(), key=lambda level: abs(level - want)) for want in (0.02, 0.05, 0.1)]
    return summary(table[table["smooth_sigma"].isin(chosen)], ["task_dim"], "concentric spheres")


PRESET = Preset(_NAME, _TITLE, build, draw, summarise, redraws=("train_sigma", "smooth_sigma"))
