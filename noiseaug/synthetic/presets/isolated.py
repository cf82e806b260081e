"""An isolated ball only ever shrinks: Pal & Sulam's building block (docs/math.md 2.5, 2.9)."""

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

_NAME, _TITLE = "isolated", "an isolated ball under a flat marginal: noise never helps, in any dimension"


def build(fast: bool) -> Study:
    """The study: disagreement over (α, β) in units where the ball just survives smoothing at β = 1."""
    grid = Grid(
        train_sigma=levels(0, 10, 11 if fast else 41),
        smooth_sigma=(1.0, 2.0, 4.0, 6.0, 8.0),
        radii=(0.0, 2.0),
        quantities=("disagreement", "certified_accuracy"),
        rule=("convolved",),
    )
    return Study(_NAME, _TITLE, (Part("IsolatedBall", {"radius": 10.0}, {"dim": (1, 2, 10)}, grid),))


@plotting.style()
def draw(table: pd.DataFrame) -> Mapping[str, Figure]:
    """Disagreement over α for each β and dimension."""
    delta = table[table["quantity"] == "disagreement"]
    dims = sorted(delta["task_dim"].unique())
    figure, axes = plotting.new_figure(1, len(dims), width=2.6, height=2.5)
    for panel, dim in zip(axes[0], dims, strict=True):
        plotting.curves(panel, delta[delta["task_dim"] == dim], "train_sigma", "smooth_sigma", symbol="β", mark="min")
        panel.set(title=f"d = {dim:g}", ylim=(-0.02, 0.55))
        panel.label_outer()
    axes[0][0].set_ylabel(plotting.LABELS["disagreement"])
    axes[0][0].legend(fontsize=7)
    return {
        "isolated": plotting.finish(
            figure, "An isolated ball of radius 10: every curve starts at its minimum (dot), α = 0"
        )
    }


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Best noise for each dimension at one smoothing level."""
    known = sorted(table["smooth_sigma"].unique())
    kept = table[(table["quantity"] == "disagreement") & (table["smooth_sigma"] == known[len(known) // 2])]
    return summary(kept, ["task_dim"], "isolated ball")


PRESET = Preset(_NAME, _TITLE, build, draw, summarise, redraws=("train_sigma", "smooth_sigma", "radii", "dim"))
