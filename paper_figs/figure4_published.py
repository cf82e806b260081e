"""Pal & Sulam 2023, Figure 4 as published: the benefit of training noise on random discs.

Computed anew, cell for cell as the released code does it (seed 246, zero padding, noise cut off at four standard
deviations, ten draws for each curve), then passed through their Savitzky–Golay filter; the same in both versions. The
numbers of paper_figs/data/pal_sulam_2023_figure4.csv are those of their code itself, before the filter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.signal import savgol_filter

from noiseaug.synthetic.presets import find
from noiseaug.tasks import LatticeTask, disagreement_curves
from paper_figs import look
from paper_figs.tables import OURS, PAL_SULAM, committed

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TITLE = "Figure 4 as published: zero padding, ten draws, Savitzky–Golay filter"
SOURCE = "Pal & Sulam 2023, Figure 4"
COMMITTED = ("paper_figs/data/pal_sulam_2023_figure4.csv",)

_WINDOW, _ORDER = 5, 3  # of the filter


def compute(fast: bool) -> pd.DataFrame:
    """Mean benefit for each (β, ζ, α) with two standard errors, computed and filtered; then the published numbers."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for part in find("discs").build(False).parts:
        tasks = [task for _, task in part.tasks() if isinstance(task, LatticeTask)]
        alphas = part.grid.train_sigma
        curves = disagreement_curves(tasks, alphas, part.grid.smooth_sigma, part.grid.rule[0])[:, 0]
        benefit = curves[:, :1] - curves
        mean, error = benefit.mean(axis=0), benefit.std(axis=0, ddof=1) / np.sqrt(len(tasks))
        filtered = savgol_filter(mean, _WINDOW, _ORDER)
        without = float(curves[:, 0].mean())
        setting = {"smooth_sigma": part.grid.smooth_sigma[0], "task_separation": part.vary["separation"][0]}
        for i, alpha in enumerate(alphas):
            common = setting | {"train_sigma": alpha, "without_noise": without, "draws": len(tasks)}
            ends = {"lower": mean[i] - 2 * error[i], "upper": mean[i] + 2 * error[i]}
            rows.append(common | {"quantity": "benefit", "value": mean[i], **ends})
            rows.append(common | {"quantity": "filtered_benefit", "value": filtered[i]})
    ours = pd.DataFrame(rows).assign(origin=OURS)
    return pd.concat([ours, committed(COMMITTED[0]).assign(origin=PAL_SULAM)], ignore_index=True)


def draw(table: pd.DataFrame) -> Figure:
    """Filtered benefit over α, a panel for each β; the band is two standard errors before the filter."""
    from noiseaug import plotting

    ours, published = table[table["origin"] == OURS], table[table["origin"] == PAL_SULAM]
    betas, separations = sorted(ours["smooth_sigma"].unique()), sorted(ours["task_separation"].unique())
    figure, axes = look.new_figure(1, len(betas), width=2.7, height=2.9)
    for axis, beta in zip(axes[0], betas, strict=True):
        for colour, separation in zip(plotting.colours("task_separation", len(separations)), separations, strict=True):
            here = ours[(ours["smooth_sigma"] == beta) & (ours["task_separation"] == separation)]
            raw, smooth = (here[here["quantity"] == name] for name in ("benefit", "filtered_benefit"))
            axis.plot(smooth["train_sigma"], smooth["value"], color=colour, lw=1.5, label=f"ζ = {separation:g}")
            axis.plot(raw["train_sigma"], raw["value"], ".", color=colour, ms=2.5)
            look.band(axis, raw, "train_sigma", colour)
        told = published[(published["smooth_sigma"] == beta) & (published["quantity"] == "largest_benefit")]
        if len(told):
            tint = plotting.colours("task_separation", len(separations))[0]
            axis.plot(told["train_sigma"], told["value"], color=tint, **(look.PUBLISHED | {"ms": 6, "ls": "none"}))
        axis.axhline(0, color="0.3", lw=0.8)
        axis.set_xlabel(look.label("train_sigma", look.CELLS))
        axis.set_ylim(-0.055, max(0.02, 1.1 * float(ours["upper"].max())))
        look.panel_title(axis, f"β = {beta:g} cells")
    axes[0][0].set_ylabel("benefit Δ(0,β) − Δ(α,β) (fraction)")
    axes[0][-1].legend(fontsize=7, frameon=False, loc="lower left")
    name = "their code: largest\nbenefit at ζ = 0"
    handles = axes[0][0].plot([], [], color="0.2", label=name, **(look.PUBLISHED | {"ms": 6, "ls": "none"}))
    axes[0][0].legend(handles=handles, fontsize=7, frameon=False, loc="lower right")
    draws = int(ours["draws"].max())
    return look.finish(
        figure,
        "Pal & Sulam's Figure 4 as published, recomputed at their seed",
        [
            f"lines: mean of {draws} draws after their Savitzky–Golay filter (5 points, order 3); dots: before it; "
            "band: two standard errors, and most benefits lie within them",
            "zero padding counts all that lies around the lattice as class 0, which changes the curves",
        ],
    )
