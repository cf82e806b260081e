"""Where noise helps: concentric Gaussians over (α, β) in d = 2, 10, 100, 784 (docs/math.md 2.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from noiseaug import plotting
from noiseaug.sweeps import Grid
from noiseaug.synthetic.benefit import best_levels, summary, with_benefit
from noiseaug.synthetic.presets.preset import Preset, levels
from noiseaug.synthetic.study import Part, Study
from noiseaug.tasks import ConcentricLimit

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PRESET", "STDS", "diagram", "limit_boundary"]

STDS: dict[str, Any] = {"std_1": 0.3, "std_0": 0.4}
"""Standard deviations of the two classes."""

_NAME, _TITLE = "phase", "concentric Gaussians: benefit of training noise over (α, β) in d = 2, 10, 100, 784"


def build(fast: bool) -> Study:
    """The study; 31 levels each way, 13 in the small version."""
    grid = levels(0, 0.6, 13 if fast else 31)
    return Study(
        _NAME,
        _TITLE,
        (
            Part(
                "ConcentricGaussians",
                STDS,
                {"dim": (2, 10, 100, 784), "prior": (0.5,)},
                Grid(grid, grid, radii=(0.0, 0.2, 0.4), quantities=("risk", "certified_accuracy")),
            ),
        ),
    )


def draw(table: pd.DataFrame) -> Mapping[str, Figure]:
    """The phase diagram for each radius and dimension, and sections at three smoothing levels."""
    return {"phase_diagram": diagram(table), "sections": _sections(table)}


@plotting.style()
def diagram(table: pd.DataFrame) -> Figure:
    """Gain in certified accuracy over (α, β), a row for each radius, a column for each dimension."""
    accuracy = table[table["quantity"] == "certified_accuracy"]
    gains = with_benefit(accuracy)
    radii, dims = sorted(accuracy["radius"].unique()), sorted(accuracy["task_dim"].unique())
    figure, axes = plotting.new_figure(len(radii), len(dims), width=2.3, height=2.1)
    mesh = None
    for row, radius in zip(axes, radii, strict=True):
        for panel, dim in zip(row, dims, strict=True):
            here = gains[(gains["radius"] == radius) & (gains["task_dim"] == dim)]
            mesh = plotting.benefit_map(panel, here, "smooth_sigma", "train_sigma", limit=0.5)
            top = float(here["smooth_sigma"].max())
            plotting.diagonal(panel, 0, top)
            plotting.hatch_where(panel, here, "smooth_sigma", "train_sigma", here["value"] <= 0.5 + 1e-9)
            best = best_levels(accuracy[(accuracy["radius"] == radius) & (accuracy["task_dim"] == dim)])
            best = best[best["benefit"] > 1e-3].sort_values("smooth_sigma")
            panel.plot(best["smooth_sigma"], best["train_sigma"], ".", color="black", ms=3)
            limit_boundary(panel, float(dim), float(radius), top, float(here["train_sigma"].max()))
            panel.set_title(f"d = {dim:g}, r = {radius:g}", fontsize=8)
            panel.label_outer()
    if mesh is not None:
        bar = figure.colorbar(mesh, ax=axes, shrink=0.7, aspect=40, ticks=[-0.5, -0.2, -0.05, 0, 0.05, 0.2, 0.5])
        bar.set_label("gain in certified accuracy over α = 0")
    return plotting.finish(
        figure,
        "Concentric Gaussians (0.3 against 0.4): what training noise gains grows with the dimension",
        [
            "dots: best α for each β, where it gains more than 0.001; dashed: α = β",
            "hatched: no better than a constant answer; line: boundary in the limit of large d, where both classes are "
            "certified at r/√d",
        ],
    )


def limit_boundary(axes: Axes, dim: float, radius: float, most_smooth: float, most_train: float) -> None:
    """The line within which both classes are certified in the limit of large d (docs/math.md 2.10); none where none is.

    Args:
        axes: a map with β across and α up.
        dim: dimension d.
        radius: r; in the limit r/√d counts.
        most_smooth: largest β shown.
        most_train: largest α shown.
    """
    beta, alpha = np.linspace(0, most_smooth, 301), np.linspace(0, most_train, 301)
    both = np.minimum(*ConcentricLimit(**STDS).radii(alpha[:, None], beta))
    level = radius / np.sqrt(dim)
    if both.min() < level < both.max():
        axes.contour(beta, alpha, both, levels=[level], colors="#D55E00", linewidths=1.1)


@plotting.style()
def _sections(table: pd.DataFrame) -> Figure:
    risk = table[table["quantity"] == "risk"]
    available = sorted(level for level in risk["smooth_sigma"].unique() if level > 0)
    shown = [available[round(q * (len(available) - 1))] for q in (0.15, 0.4, 0.8)] if available else []
    dims = sorted(risk["task_dim"].unique())
    figure, axes = plotting.new_figure(1, len(dims), width=2.3, height=2.3)
    for panel, dim in zip(axes[0], dims, strict=True):
        here = risk[(risk["task_dim"] == dim) & risk["smooth_sigma"].isin(shown)]
        plotting.curves(panel, here, "train_sigma", "smooth_sigma", symbol="β", mark="min")
        panel.set(title=f"d = {dim:g}", ylim=(-0.02, 0.55))
        panel.label_outer()
    axes[0][0].set_ylabel(plotting.LABELS["risk"])
    if shown:
        axes[0][0].legend(fontsize=7)
    return plotting.finish(figure, "Risk against training noise at three smoothing levels (dot: minimum)")


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Best noise at one smoothing level for each dimension and radius."""
    accuracy = table[table["quantity"] == "certified_accuracy"]
    middle = min(accuracy["smooth_sigma"].unique(), key=lambda level: abs(level - 0.25))
    return summary(accuracy[accuracy["smooth_sigma"] == middle], ["task_dim"], "concentric Gaussians")


PRESET = Preset(_NAME, _TITLE, build, draw, summarise, redraws=("train_sigma", "smooth_sigma", "radii", "dim"))
