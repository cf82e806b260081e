"""Cohen et al. 2019: training noise that is not the smoothing noise, α ≠ β.

Ours: docs/results/mnist_grid.csv at the β next to .5, and docs/results/cifar10_grid.csv (``noiseaug grid``; the
commands are in mnist_grid.md and cifar10_grid.md there). Theirs: CIFAR-10 at β = .5, 500 images,
paper_figs/data/cohen_2019_cifar10.csv. ``--fast`` draws the same tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from paper_figs import look
from paper_figs.tables import COHEN, OURS, committed, measured_grid, there, within_reach

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TITLE = "training noise unlike the smoothing noise: MNIST (ours), CIFAR-10 (ours and published)"
SOURCE = "Cohen et al. 2019, CIFAR-10 with α ≠ β; ours on MNIST and CIFAR-10"
COMMITTED = (
    "docs/results/mnist_grid.csv",
    "docs/results/cifar10_grid.csv",
    "paper_figs/data/cohen_2019_cifar10.csv",
)

_BETA, _IMAGES = 0.5, 500


def compute(fast: bool) -> pd.DataFrame:
    """Certified accuracy and ACR over α at one β: of every grid there is, and the published ones."""
    import pandas as pd

    parts = []
    for data, path in (("MNIST", COMMITTED[0]), ("CIFAR-10", COMMITTED[1])):
        if there(path) or data == "MNIST":
            grid = measured_grid(path, ["certified_accuracy", "acr"])
            levels = grid.loc[grid["smooth_sigma"] > 0, "smooth_sigma"].unique()
            nearest = min(levels, key=lambda level: abs(level - _BETA))
            parts.append(grid[grid["smooth_sigma"] == nearest].assign(data=data))
    published = committed(COMMITTED[2])
    published = published[(published["images"] == _IMAGES) & (published["smooth_sigma"] == _BETA)]
    return pd.concat([*parts, published.assign(origin=COHEN, data="CIFAR-10")], ignore_index=True)


def draw(table: pd.DataFrame) -> Figure:
    """Certified accuracy over r for each α on MNIST and CIFAR-10, and ACR over α."""
    from noiseaug import plotting

    figure, axes = look.new_figure(1, 3, width=2.8, height=2.8)
    accuracy = table[table["quantity"] == "certified_accuracy"]
    for axis, data in zip(axes[0], ("MNIST", "CIFAR-10"), strict=False):
        here = within_reach(accuracy[accuracy["data"] == data])
        for origin in (OURS, COHEN):
            look.radius_curves(axis, here[here["origin"] == origin], "train_sigma", "α", 5)
        beta = here["smooth_sigma"].iloc[0]
        axis.set(xlabel=look.label("radius", look.PIXELS))
        axis.set_ylabel(look.label("certified_accuracy", look.FRACTION))
        axis.set_ylim(bottom=0)
        if data == "CIFAR-10":  # room above the curves for both origins
            axis.set_ylim(0, 1.7 * float(here["value"].max()))
            axis.legend(fontsize=6.5, frameon=False, loc="upper center", ncols=2)
        else:
            axis.legend(fontsize=6.5, frameon=False, loc="lower left")
        published = "" if (here["origin"] == OURS).any() else " (published)"
        look.panel_title(axis, f"{data}{published}, β = {beta:g}")
    right, acr = axes[0][2], table[table["quantity"] == "acr"]
    tints = plotting.colours("train_sigma", 3)
    for (shown, whose), line in acr.groupby(["data", "origin"], sort=False):
        line = line.sort_values("train_sigma")
        colour = tints[2] if shown == "MNIST" else "black"
        name = f"{shown}, {whose}"
        right.plot(line["train_sigma"], line["value"], color=colour, label=name, **look.line_style(str(whose)))
    right.axvline(_BETA, color="0.35", ls="--", lw=0.8)
    right.set(xlabel=look.label("train_sigma", look.PIXELS), ylabel=look.label("acr", look.PIXELS))
    right.set_ylim(0, 1.45 * float(acr["value"].max()))
    right.legend(fontsize=6.5, frameon=False, loc="upper left")
    look.panel_title(right, "average certified radius")
    sizes = "; ".join(
        f"{name}, {int(part['images'].max()):,} images, {int(part['votes'].max()):,} votes"
        for name, part in acr[acr["origin"] == OURS].groupby("data", sort=False)
    )
    return look.finish(
        figure,
        "Training noise that is not the smoothing noise",
        [
            f"ours: {sizes}; published: {_IMAGES} images, 100,000 votes; ACR grows with the votes, so compare it along "
            "a curve only; dashed: α = β"
        ],
    )
