"""Salman et al. 2019: SmoothAdv against Gaussian training by radius; ours on MNIST, theirs on CIFAR-10.

Ours: docs/results/mnist_objectives.csv, made by ``sh docs/results/mnist_objectives.sh FOLDER`` (some half an hour);
theirs: paper_figs/data/salman_2019_cifar10.csv, and Cohen et al.'s model of the same σ. ``--fast`` draws the same
tables. The effects of m, T and ε are drawn by ``smoothadv_parameters``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from paper_figs import look
from paper_figs.objective_curves import objective_curves, run_note
from paper_figs.tables import COHEN, OURS, SALMAN, committed, objectives

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TITLE = "SmoothAdv against Gaussian training by radius: MNIST (ours), CIFAR-10 (published)"
SOURCE = "Salman et al. 2019, CIFAR-10 results; ours on MNIST"
COMMITTED = (
    "docs/results/mnist_objectives.csv",
    "paper_figs/data/salman_2019_cifar10.csv",
    "paper_figs/data/cohen_2019_cifar10.csv",
)

_BEST, _SINGLE = "best at each radius", "one model, σ = 0.25"


def compute(fast: bool) -> pd.DataFrame:
    """Our runs, and the published curves with a name each in ``curve``."""
    import pandas as pd

    ours = objectives()
    ours = ours[ours["objective"].isin(["gaussian", "smoothadv"])]
    salman = committed(COMMITTED[1])
    names = {"Cohen et al.": "gaussian", "SmoothAdv": "smoothadv"}
    salman = salman[salman["method"].isin(names)].assign(origin=SALMAN)
    salman = salman.assign(
        objective=salman["method"].map(names), curve=salman["choice"].map({"best": _BEST, "single model": _SINGLE})
    )
    cohen = committed(COMMITTED[2])
    same = (
        (cohen["train_sigma"] == 0.25) & (cohen["smooth_sigma"] == 0.25) & (cohen["quantity"] == "certified_accuracy")
    )
    cohen = cohen[same].assign(origin=COHEN, objective="gaussian", curve=_SINGLE)
    kept = ["objective", "curve", "smooth_sigma", "radius", "value", "origin"]
    published = pd.concat([salman[kept], cohen[kept]], ignore_index=True).assign(quantity="certified_accuracy")
    return pd.concat([ours, published], ignore_index=True)


def draw(table: pd.DataFrame) -> Figure:
    """Certified accuracy over the radius: ours, the best published models, two published models of one σ."""
    figure, axes = look.new_figure(1, 3, width=2.7, height=2.8)
    ours = table[table["origin"] == OURS]
    objective_curves(axes[0][0], ours, ("gaussian", "smoothadv"))
    axes[0][0].legend(fontsize=7, frameon=False, loc="lower left")
    look.panel_title(axes[0][0], "MNIST, LeNet (ours)")
    for axis, curve in zip(axes[0][1:], (_BEST, _SINGLE), strict=True):
        for objective, name in (("gaussian", "Gaussian"), ("smoothadv", "SmoothAdv")):
            line = table[(table["curve"] == curve) & (table["objective"] == objective)].sort_values("radius")
            colour, marker = look.STYLES[objective]
            style = look.PUBLISHED | {"marker": marker}
            told = f"{name}, {line['origin'].iloc[0]}"
            axis.plot(line["radius"], line["value"], color=colour, label=told, **style)
        axis.set(xlabel=look.label("radius", look.PIXELS), ylim=(0, 1.02))
        axis.legend(fontsize=6, frameon=False)
        look.panel_title(axis, f"CIFAR-10, {curve}")
    return look.finish(
        figure,
        "Training on attacked noisy images certifies more at large radii",
        [run_note(ours), "published: ResNet-110, 100,000 votes; hollow markers"],
    )
