"""Cohen et al. 2019: certified accuracy over the radius for each σ, trained and smoothed with the same noise.

Ours: the diagonal α = β of docs/results/mnist_grid.csv and docs/results/cifar10_grid.csv (``noiseaug grid``; the
commands are in mnist_grid.md and cifar10_grid.md there). Theirs: CIFAR-10, paper_figs/data/cohen_2019_cifar10.csv.
``--fast`` draws the same tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from paper_figs import look
from paper_figs.tables import COHEN, OURS, committed, measured_grid, reach, there, within_reach

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TITLE = "certified accuracy by σ (α = β): MNIST (ours), CIFAR-10 (ours and published)"
SOURCE = "Cohen et al. 2019, CIFAR-10 by σ; ours on MNIST and CIFAR-10"
COMMITTED = (
    "docs/results/mnist_grid.csv",
    "docs/results/cifar10_grid.csv",
    "paper_figs/data/cohen_2019_cifar10.csv",
)

_GRIDS = {"MNIST": COMMITTED[0], "CIFAR-10": COMMITTED[1]}


def compute(fast: bool) -> pd.DataFrame:
    """Certified accuracy at α = β of every grid there is, then the published ones."""
    import pandas as pd

    parts = []
    for data, path in _GRIDS.items():
        if there(path) or data == "MNIST":
            grid = measured_grid(path, ["certified_accuracy"])
            same = (grid["train_sigma"] - grid["smooth_sigma"]).abs() < 1e-9
            parts.append(grid[same & (grid["smooth_sigma"] > 0)].assign(data=data))
    published = committed(COMMITTED[2])
    same = (published["train_sigma"] == published["smooth_sigma"]) & (published["images"] == 10_000)
    published = published[same & (published["quantity"] == "certified_accuracy")]
    return pd.concat([*parts, published.assign(origin=COHEN, data="CIFAR-10")], ignore_index=True)


def draw(table: pd.DataFrame) -> Figure:
    """Certified accuracy over the radius, a panel for each data set, a line for each σ."""
    figure, axes = look.new_figure(1, 2, width=3.1, height=2.8)
    for axis, data in zip(axes[0], _GRIDS, strict=True):
        here = within_reach(table[table["data"] == data])
        look.radius_curves(axis, here[here["origin"] == OURS], "smooth_sigma", "σ", 4)
        look.radius_curves(axis, here[here["origin"] != OURS], "smooth_sigma", "σ", 4)
        names = [("ours", False)] if (here["origin"] == OURS).any() else []
        names += [(COHEN, True)] if (here["origin"] == COHEN).any() else []
        low = data == "MNIST"  # its curves stay high
        axis.legend(fontsize=6.5, frameon=False, loc="lower left" if low else "upper right")
        look.name_origins(axis, names, loc="lower right" if low else "lower left")
        axis.set(xlabel=look.label("radius", look.PIXELS), ylim=(0, 1.02))
        axis.set_ylabel(look.label("certified_accuracy", look.FRACTION))
    look.panel_title(axes[0][0], "MNIST, small CNN")
    look.panel_title(axes[0][1], "CIFAR-10, ResNet-110 (published), small CNN")
    sizes = []
    for name, part in table[table["origin"] == OURS].groupby("data", sort=False):
        votes, level = int(part["votes"].max()), float(part["vote_failure_prob"].max())
        far = f"none above {reach(votes, level):.2f}σ certified"
        sizes.append(f"{name}, {int(part['images'].max()):,} images, {votes:,} votes, {far}")
    return look.finish(
        figure,
        "Certified accuracy by σ = α = β: more noise reaches further and costs accuracy",
        [
            f"ours: {'; '.join(sizes)}; band: 95% over images",
            "published: 10,000 images, 100,000 votes",
        ],
    )
