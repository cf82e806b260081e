"""The exact optimal α(r): Gaussians with a common covariance (docs/math.md 2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from noiseaug import plotting
from noiseaug.sweeps import Grid
from noiseaug.synthetic.benefit import best_levels, summary
from noiseaug.synthetic.presets.preset import Preset, levels
from noiseaug.synthetic.study import Part, Study
from noiseaug.tasks import GaussianPair

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["PRESET", "example_task"]

_NAME, _TITLE = "optimal", "Gaussians with a common covariance: the exact optimal α(r) for each radius"
_FIXED: dict[str, Any] = {
    "mean_1": (1.0, 0.5, 0.25, 0.1),
    "mean_0": (-1.0, -0.5, -0.25, -0.1),
    "covariance": (1.0, 0.2, 0.05, 0.01),
}


def example_task() -> GaussianPair:
    """The worked example of the mathematics."""
    return GaussianPair(**_FIXED)


def build(fast: bool) -> Study:
    """The study: certified accuracy over α, on a grid that holds the closed-form α(r) of every radius."""
    radii = levels(0, 1.1, 12)
    closed_form = {example_task().optimal_train_sigma(radius) for radius in radii}
    grid = Grid(
        train_sigma=tuple(sorted(closed_form | set(levels(0, 4, 21 if fast else 161)))),
        smooth_sigma=(0.5,),
        radii=radii,
        quantities=("certified_accuracy", "acr"),
    )
    return Study(_NAME, _TITLE, (Part("GaussianPair", _FIXED, {}, grid),))


@plotting.style()
def draw(table: pd.DataFrame) -> Mapping[str, Figure]:
    """Certified accuracy over α with its maxima, and the maximiser over r."""
    accuracy = table[
        (table["quantity"] == "certified_accuracy") & (table["smooth_sigma"] == table["smooth_sigma"].min())
    ]
    radii = sorted(accuracy["radius"].unique())
    figure, axes = plotting.new_figure(1, 2)
    left, right = axes[0]
    plotting.curves(
        left, accuracy[accuracy["radius"].isin(radii[::2])], "train_sigma", "radius", symbol="r", mark="max"
    )
    left.set_ylabel(plotting.LABELS["certified_accuracy"])
    left.legend(fontsize=7, ncol=2)
    best = best_levels(accuracy).sort_values("radius")
    right.plot(best["radius"], best["train_sigma"], "o-", color=plotting.colours("radius", 2)[1], lw=1.2, ms=4)
    right.set(xlabel=plotting.LABELS["radius"], ylabel="best training noise α*(r)")
    return {
        "optimal_noise": plotting.finish(
            figure,
            "Training noise is a robustness dial: the best α grows with the radius, β plays no part",
            ["dots: largest value on a grid that holds the closed form α(r) for every radius; each lies at its α(r)"],
        )
    }


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Best noise for every other radius."""
    radii = sorted(table["radius"].dropna().unique())[::2]
    accuracy = table[(table["quantity"] == "certified_accuracy") & table["radius"].isin(radii)]
    return summary(accuracy, [], "Gaussians, common covariance")


PRESET = Preset(_NAME, _TITLE, build, draw, summarise, redraws=("smooth_sigma",))
