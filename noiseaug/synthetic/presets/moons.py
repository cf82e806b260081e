"""Data sets as tasks: the kernel rule of noised point masses, smoothed by votes (docs/math.md 2.8)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from noiseaug import plotting
from noiseaug.sweeps import Grid
from noiseaug.synthetic.benefit import summary
from noiseaug.synthetic.presets.preset import Preset, levels
from noiseaug.synthetic.study import Part, Study

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["DIGITS", "MOONS"]

_MOONS = "moons", "two moons: what noise-augmented training can reach, from the data alone (sampled)"
_DIGITS = "digits", "scikit-learn's digits: the kernel rule over (α, β) on held-out images (sampled)"


def build_moons(fast: bool) -> Study:
    """Two moons of 200 points; 500 points and 1 000 votes each."""
    grid = Grid(
        levels(0, 0.8, 5 if fast else 9),
        (0.25, 0.5),
        radii=(0.0, 0.25),
        quantities=("risk", "certified_accuracy"),
        method=("sampled",),
        n=100 if fast else 500,
        failure_prob=0.05,
        votes_per_point=200 if fast else 1_000,
    )
    return Study(*_MOONS, (Part("PointMasses.moons", {"noise": 0.1}, {"n": (200,)}, grid),))


def build_digits(fast: bool) -> Study:
    """Half of the digits as data, the other half as test points."""
    grid = Grid(
        levels(0, 2, 5 if fast else 9),
        (0.5, 1.0),
        radii=(0.0, 0.5, 1.0),
        quantities=("risk", "certified_accuracy"),
        method=("sampled",),
        n=50 if fast else 300,
        failure_prob=0.05,
        votes_per_point=100 if fast else 500,
    )
    return Study(*_DIGITS, (Part("PointMasses.digits", {}, {"test_share": (0.5,)}, grid),))


@plotting.style()
def draw(name: str, table: pd.DataFrame) -> Mapping[str, Figure]:
    """Certified accuracy over α for each β, a panel for each radius."""
    accuracy = table[table["quantity"] == "certified_accuracy"]
    radii = sorted(accuracy["radius"].unique())
    figure, axes = plotting.new_figure(1, len(radii), width=2.6, height=2.5)
    for panel, radius in zip(axes[0], radii, strict=True):
        plotting.curves(
            panel, accuracy[accuracy["radius"] == radius], "train_sigma", "smooth_sigma", symbol="β", mark="max"
        )
        panel.set(title=f"r = {radius:g}", ylim=(-0.02, 1.02))
        panel.label_outer()
    axes[0][0].set_ylabel(plotting.LABELS["certified_accuracy"])
    axes[0][0].legend(fontsize=7)
    notes = ["band: 95% interval over points and votes; the line is the share by the votes"]
    return {
        name: plotting.finish(
            figure, f"Kernel rule with training noise α, smoothed at β\n{table['task'].iloc[0]}", notes
        )
    }


def summarise(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Best noise for each smoothing level and radius."""
    return summary(table[table["quantity"] == "certified_accuracy"], [], name)


_REDRAWS = ("train_sigma", "smooth_sigma", "radii", "n", "votes_per_point")
MOONS = Preset(
    *_MOONS, build_moons, partial(draw, "moons"), partial(summarise, "two moons"), default=False, redraws=_REDRAWS
)
DIGITS = Preset(
    *_DIGITS, build_digits, partial(draw, "digits"), partial(summarise, "digits"), default=False, redraws=_REDRAWS
)
