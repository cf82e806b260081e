"""The sharp boundary: in high dimension the band of good (α, β) closes on its limit (docs/math.md 2.10)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from noiseaug import plotting
from noiseaug.sweeps import Grid
from noiseaug.synthetic.benefit import summary
from noiseaug.synthetic.presets.phase import STDS, limit_boundary
from noiseaug.synthetic.presets.preset import Preset, levels
from noiseaug.synthetic.study import Part, Study
from noiseaug.tasks import ConcentricLimit

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PRESET", "maps"]

_NAME, _TITLE = "boundary", "concentric Gaussians in d = 10 to 10 000: the band of good (α, β) closes on its limit"


def build(fast: bool) -> Study:
    """The study; 61 levels each way, 13 in the small version."""
    grid = levels(0, 0.6, 13 if fast else 61)
    part = Part("ConcentricGaussians", STDS, {"dim": (10, 100, 1000, 10_000)}, Grid(grid, grid, quantities=("risk",)))
    return Study(_NAME, _TITLE, (part,))


def draw(table: pd.DataFrame) -> Mapping[str, Figure]:
    """Risk over (α, β) in each dimension with the limit, and a section at one training noise level."""
    return {"boundary": _picture(table), "boundary_section": _section(table)}


@plotting.style()
def _picture(table: pd.DataFrame) -> Figure:
    dims = sorted(table["task_dim"].unique())
    figure, axes = plotting.new_figure(1, len(dims), width=2.3, height=2.3)
    mesh = maps(list(axes[0]), table)
    figure.colorbar(mesh, ax=axes, label="risk")
    return plotting.finish(
        figure,
        "Concentric Gaussians (0.3 against 0.4): the band of good (α, β) closes on its limit",
        ["line: the boundary in the limit of large d, inside which the risk tends to 0; dashed: α = β"],
    )


def maps(panels: list[Axes], table: pd.DataFrame) -> Any:
    """The risk over (α, β), a panel for each dimension, with the limit; returns the mappable of the last."""
    mesh: Any = None
    risk = table[table["quantity"] == "risk"]
    for panel, dim in zip(panels, sorted(risk["task_dim"].unique()), strict=True):
        grid = risk[risk["task_dim"] == dim].pivot(index="train_sigma", columns="smooth_sigma", values="value")
        mesh = panel.pcolormesh(
            grid.columns, grid.index, grid.to_numpy(), cmap="Greys", shading="nearest", vmin=0, vmax=0.5
        )
        plotting.diagonal(panel, 0, float(min(grid.columns.max(), grid.index.max())))
        limit_boundary(panel, float(dim), 0.0, float(grid.columns.max()), float(grid.index.max()))
        panel.set(xlabel=plotting.LABELS["smooth_sigma"], ylabel=plotting.LABELS["train_sigma"])
        panel.set_title(f"d = {dim:g}", fontsize=8)
        panel.grid(False)
        panel.label_outer()
    return mesh


@plotting.style()
def _section(table: pd.DataFrame) -> Figure:
    """Risk over β at one α, with the limit's profile in each dimension."""
    limit = ConcentricLimit(**STDS)
    alpha = min(table["train_sigma"].unique(), key=lambda level: abs(level - 0.5))
    here = table[(table["train_sigma"] == alpha) & (table["quantity"] == "risk")]
    figure, axes = plotting.new_figure(1, 1, width=4.2, height=2.8)
    panel = axes[0, 0]
    plotting.curves(panel, here, "smooth_sigma", "task_dim", symbol="d")
    beta = np.linspace(0, float(here["smooth_sigma"].max()), 601)
    for dim in sorted(here["task_dim"].unique()):
        panel.plot(beta, limit.risk(int(dim), alpha, beta), ":", color="black", lw=0.8)
    for edge in limit.edges(alpha):
        panel.axvline(float(edge), color="#D55E00", lw=1.1)
    lower, upper = (float(edge) for edge in limit.edges(alpha))
    panel.set(ylabel="risk", ylim=(-0.02, 0.55))
    if lower < beta[-1]:
        panel.set_xlim(max(lower - 0.2, 0.0), min(upper + 0.1, beta[-1]))
    panel.legend(fontsize=7)
    return plotting.finish(
        figure,
        f"Risk over β at α = {alpha:g}: the edges sharpen like 1/√d",
        ["dotted: the limit with its edges blurred, to order 1/√d; upright lines: the edges in the limit"],
    )


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Best noise at one smoothing level for each dimension."""
    middle = min(table["smooth_sigma"].unique(), key=lambda level: abs(level - 0.25))
    return summary(table[table["smooth_sigma"] == middle], ["task_dim"], "concentric Gaussians")


PRESET = Preset(_NAME, _TITLE, build, draw, summarise, default=False, redraws=("train_sigma", "smooth_sigma", "dim"))
