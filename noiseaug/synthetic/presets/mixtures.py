"""XOR, rings and moons as Gaussian mixtures: what noise does to regions of several classes (docs/math.md 2.14)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from noiseaug import plotting
from noiseaug.risk.lattice import decisions_on_lattice
from noiseaug.sweeps import Grid
from noiseaug.synthetic.benefit import summary
from noiseaug.synthetic.presets.preset import Preset, levels
from noiseaug.synthetic.study import Part, Study
from noiseaug.tasks import GaussianMixtures

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["PRESET"]

_NAME, _TITLE = "mixtures", "XOR, three rings and two moons as Gaussian mixtures: regions and accuracy under noise"
_MIXTURES = {"xor": {"prior": 0.3}, "rings": {}, "moons": {}}  # factories of GaussianMixtures with their parameters
_SHOWN_ALPHAS, _SHOWN_BETA = (0.0, 0.4, 0.8), 0.5


def build(fast: bool) -> Study:
    """Seven training levels and three smoothing levels each; three and one in the small version."""
    grid = Grid(
        levels(0, 0.8, 3) if fast else levels(0, 1.2, 7),
        (_SHOWN_BETA,) if fast else (0.25, _SHOWN_BETA, 0.75),
        radii=(0.25,),
        quantities=("risk", "certified_accuracy"),
    )
    return Study(
        _NAME, _TITLE, tuple(Part(f"GaussianMixtures.{name}", fixed, {}, grid) for name, fixed in _MIXTURES.items())
    )


def draw(table: pd.DataFrame) -> Mapping[str, Figure]:
    """Accuracy over α, and the regions at one β."""
    return {"mixtures": _curves(table), "regions": _regions()}


@plotting.style()
def _curves(table: pd.DataFrame) -> Figure:
    """Certified accuracy over α for each β, a panel for each mixture."""
    accuracy = table[table["quantity"] == "certified_accuracy"]
    tasks = list(accuracy["task"].unique())
    figure, axes = plotting.new_figure(1, len(tasks), width=2.6, height=2.5)
    for panel, task in zip(axes[0], tasks, strict=True):
        here = accuracy[accuracy["task"] == task]
        plotting.curves(panel, here, "train_sigma", "smooth_sigma", symbol="β", mark="max")
        panel.set(title=_short(task), ylim=(-0.02, 1.02))
        panel.label_outer()
    axes[0][0].set_ylabel(f"certified accuracy, r = {accuracy['radius'].iloc[0]:g}")
    axes[0][0].legend(fontsize=7)
    return plotting.finish(figure, "Gaussian mixtures with training noise α, smoothed at β (dot: the best α)")


@plotting.style()
def _regions() -> Figure:
    """Base and smoothed regions, a row for each mixture, a column for each α."""
    mixtures = {name: getattr(GaussianMixtures, name)(**fixed) for name, fixed in _MIXTURES.items()}
    figure, axes = plotting.new_figure(len(mixtures), len(_SHOWN_ALPHAS), width=2.2, height=2.1)
    for row, (name, task) in zip(axes, mixtures.items(), strict=True):
        for panel, alpha in zip(row, _SHOWN_ALPHAS, strict=True):
            places, base, smoothed = decisions_on_lattice(task, task.augmented_rule(alpha), _SHOWN_BETA)
            plotting.class_map(panel, places, base, smoothed)
            panel.set(xlabel="$x_1$", ylabel="$x_2$")
            panel.set_title(f"{name}, α = {alpha:g}", fontsize=8)
            panel.label_outer()
    notes = [f"colour: classes of the base classifier; line: borders after smoothing with β = {_SHOWN_BETA:g}"]
    return plotting.finish(figure, "Training noise moves the borders that smoothing moves once more", notes)


def _short(task: str) -> str:
    return task.split("(")[1] if "(" in task else task


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Best noise for each mixture and smoothing level."""
    import pandas as pd

    accuracy = table[table["quantity"] == "certified_accuracy"]
    parts = [summary(part, [], f"mixture {_short(str(task))}") for task, part in accuracy.groupby("task", sort=False)]
    return pd.concat(parts, ignore_index=True)


PRESET = Preset(_NAME, _TITLE, build, draw, summarise, default=False, redraws=("train_sigma", "smooth_sigma", "radii"))
