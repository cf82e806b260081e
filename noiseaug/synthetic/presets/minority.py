"""The minority class that noise erases (docs/math.md 2.2, isotropic Gaussians with unequal priors)."""

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

_NAME, _TITLE = "minority", "isotropic Gaussians with a rare class: training noise erases the minority"


def build(fast: bool) -> Study:
    """The study: risk over α for four priors, means 3 apart, unit variance."""
    grid = Grid(
        train_sigma=levels(0, 4, 17 if fast else 81),
        smooth_sigma=(0.5,),
        radii=(0.0, 0.5, 1.0),
        quantities=("risk", "excess_risk", "certified_accuracy"),
    )
    fixed = {"mean_1": (1.5, 0.0), "mean_0": (-1.5, 0.0), "covariance": 1.0}
    return Study(_NAME, _TITLE, (Part("GaussianPair", fixed, {"prior": (0.02, 0.1, 0.3, 0.5)}, grid),))


@plotting.style()
def draw(table: pd.DataFrame) -> Mapping[str, Figure]:
    """Risk, and certified accuracy at radius 1, over α for each prior."""
    figure, axes = plotting.new_figure(1, 2)
    left, right = axes[0]
    risk = table[table["quantity"] == "risk"]
    plotting.curves(left, risk, "train_sigma", "task_prior", symbol="π", mark="min")
    for prior in sorted(risk["task_prior"].unique()):
        # predicting the majority everywhere errs exactly on the minority
        left.axhline(min(prior, 1 - prior), color="0.6", lw=0.6, ls=":", zorder=0)
    left.set_ylabel(plotting.LABELS["risk"])
    left.legend(fontsize=7)
    far = table[(table["quantity"] == "certified_accuracy") & (table["radius"] == table["radius"].max())]
    plotting.curves(right, far, "train_sigma", "task_prior", symbol="π", mark="max")
    right.set_ylabel(f"certified accuracy at r = {far['radius'].max():g}")
    return {
        "minority": plotting.finish(
            figure,
            "With unequal priors noise moves the threshold into the rare class",
            [
                "dotted: risk of always predicting the majority; dots: best α",
                "certified accuracy may still rise: the majority gains room",
            ],
        )
    }


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Best noise for each prior."""
    return summary(table[table["quantity"] == "risk"], ["task_prior"], "rare class")


PRESET = Preset(_NAME, _TITLE, build, draw, summarise, redraws=("train_sigma", "radii", "prior"))
