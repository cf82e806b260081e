"""What mnist_risk and cifar10_risk share: risk over α, a panel for each β, ours and the released risks together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from paper_figs import look
from paper_figs.tables import OURS, PAL_SULAM, few, measured_grid, published_risks, there

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["compute_risks", "draw_risks", "our_notes"]

_PANELS = 6


def compute_risks(grid: str, released: str) -> pd.DataFrame:
    """Measured risks, where they are committed, and the released ones.

    Args:
        grid: a table of ``noiseaug grid``.
        released: a table with train_sigma, smooth_sigma and risk.
    """
    import pandas as pd

    published = published_risks(released)
    return pd.concat([measured_grid(grid, ["risk"]), published], ignore_index=True) if there(grid) else published


def our_notes(table: pd.DataFrame, what: str = "") -> list[str]:
    """What a reader must know of our numbers, where there are any.

    Args:
        table: from :func:`compute_risks`.
        what: to say first.
    """
    ours = table[table["origin"] == OURS]
    if ours.empty:
        return []
    size = f"{int(ours['images'].max()):,} test images, {int(ours['votes'].max())} votes"
    return [f"ours: {what}{size}, another training (docs/results); band: 95% over images"]


def draw_risks(table: pd.DataFrame, title: str, notes: Sequence[str]) -> Figure:
    """A panel for each of at most six β that both have, or where they have none in common that one of them has."""
    from noiseaug import plotting

    published, ours = table[table["origin"] != OURS], table[table["origin"] == OURS]
    released, measured = (set(part["smooth_sigma"].round(9)) for part in (published, ours))
    levels = released & measured or released | measured
    betas = few(sorted(level for level in levels if level > 0), _PANELS)
    columns = len(betas) if len(betas) < 4 else -(-len(betas) // 2)
    figure, axes = look.new_figure(-(-len(betas) // columns), columns, width=2.5, height=2.2)
    for spare in axes.ravel()[len(betas) :]:
        spare.remove()
    span = _span(table)
    ticks = [tick for tick in (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if span[0] <= tick <= 1]
    for index, (axis, colour, beta) in enumerate(
        zip(axes.ravel(), plotting.colours("smooth_sigma", len(betas)), betas, strict=False)
    ):
        for part in (published, ours):
            line = part[(part["smooth_sigma"] - beta).abs() < 1e-9].sort_values("train_sigma")
            if line.empty:
                continue
            origin = str(line["origin"].iloc[0])
            style = look.line_style(origin)
            axis.plot(line["train_sigma"], line["value"], color=colour, **style)
            if origin == OURS:
                look.band(axis, line, "train_sigma", colour)
        axis.axvline(beta, color="0.35", ls="--", lw=0.8)
        axis.set_yscale("log")
        look.panel_title(axis, f"β = {beta:g}")
        if index + columns >= len(betas):
            axis.set_xlabel(look.label("train_sigma", look.PIXELS))
        if index % columns == 0:
            axis.set_ylabel("risk (fraction)")
        axis.set_ylim(*span)
        axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
    names = [("ours", False)] if len(ours) else []
    look.name_origins(axes.ravel()[0], [*names, (PAL_SULAM, True)], loc="upper right")
    return look.finish(figure, title, ["dashed: α = β", *notes])


def _span(table: pd.DataFrame) -> tuple[float, float]:
    """Limits of the ordinate, the same in all panels."""
    positive = table.loc[(table["value"] > 0) & (table["smooth_sigma"] > 0), "value"]
    return 0.8 * float(positive.min()), 1.0
