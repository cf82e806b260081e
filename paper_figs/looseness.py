"""Ours: what a certificate gives away: certified accuracy CA(r) under the true adversarial accuracy AA(r), exact.

Closed forms of docs/math.md 2.2 and 2.3 at α = β; ``--fast`` computes fewer radii.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from noiseaug.sweeps import Grid
from noiseaug.synthetic.presets.preset import levels
from noiseaug.synthetic.study import Part, Study
from paper_figs import look
from paper_figs.tables import run_study

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TITLE = "looseness of certificates: certified accuracy under the true adversarial accuracy"
SOURCE = "ours"

_PAIR: dict[str, Any] = {
    "mean_1": (1.0, 0.5, 0.25, 0.1),
    "mean_0": (-1.0, -0.5, -0.25, -0.1),
    "covariance": (1.0, 0.2, 0.05, 0.01),
}
_LEVELS = (0.1, 0.25, 0.4)
_QUANTITIES = ("certified_accuracy", "adversarial_accuracy")


def compute(fast: bool) -> pd.DataFrame:
    """CA and AA over the radius at α = β, for a half-space and for balls in three dimensions."""
    count = 13 if fast else 49
    parts = []
    for level in _LEVELS:
        parts.append(Part("GaussianPair", _PAIR, {"prior": (0.5,)}, _grid(level, 1.2, count)))
        balls = {"dim": (2, 10, 100), "prior": (0.5,)}
        parts.append(Part("ConcentricGaussians", {"std_1": 0.3, "std_0": 0.4}, balls, _grid(level, 0.9, count)))
    return run_study(Study("looseness", TITLE, tuple(parts)), fast)


def _grid(level: float, top: float, count: int) -> Grid:
    return Grid((level,), (level,), levels(0, top, count), _QUANTITIES)


def draw(table: pd.DataFrame) -> Figure:
    """CA and AA over r, the gap shaded, a panel for each task."""
    from noiseaug import plotting

    flat = table["task"].str.startswith("GaussianPair")
    panels = [("Gaussians, common covariance", table[flat])]
    dims = sorted(table.loc[~flat, "task_dim"].unique())
    panels += [(f"concentric Gaussians, d = {dim:g}", table[~flat & (table["task_dim"] == dim)]) for dim in dims]
    figure, axes = look.new_figure(1, len(panels), width=2.45, height=2.6)
    betas = sorted(table["smooth_sigma"].unique())
    for axis, (title, part) in zip(axes[0], panels, strict=True):
        for colour, beta in zip(plotting.colours("smooth_sigma", len(betas)), betas, strict=True):
            rows = part[part["smooth_sigma"] == beta].pivot(index="radius", columns="quantity", values="value")
            axis.plot(rows.index, rows["certified_accuracy"], color=colour, lw=1.5, label=f"β = {beta:g}")
            axis.plot(rows.index, rows["adversarial_accuracy"], color=colour, lw=1.1, ls="--")
            axis.fill_between(
                rows.index, rows["certified_accuracy"], rows["adversarial_accuracy"], color=colour, alpha=0.2, lw=0
            )
        axis.set_xlabel(look.label("radius", look.INPUT))
        axis.set_ylim(-0.02, 1.02)
        look.panel_title(axis, title)
    axes[0][0].set_ylabel("share of inputs (fraction)")
    axes[0][0].legend(fontsize=7, frameon=False)
    return look.finish(
        figure,
        "What the certificate gives away: nothing for half-spaces, for balls the more the larger β",
        ["solid: certified accuracy; dashed: true adversarial accuracy; α = β; shaded: what is given away; all exact"],
    )
