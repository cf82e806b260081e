"""Closed form, sampling and the finite-sample prediction over each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from noiseaug import plotting
from noiseaug.sweeps import Grid
from noiseaug.synthetic.benefit import summary
from noiseaug.synthetic.presets.optimal import _FIXED
from noiseaug.synthetic.presets.preset import Preset, levels
from noiseaug.synthetic.study import Part, Study

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["PRESET"]

_NAME, _TITLE = (
    "agreement",
    "certified, adversarial and finite-sample accuracy over r: closed form and sampling in one plot",
)
_QUANTITIES = ("certified_accuracy", "adversarial_accuracy", "finite_sample_certified_accuracy")


def build(fast: bool) -> Study:
    """The study: three geometries, exact and sampled, 1 000 votes."""

    def grid(train_sigma: float, smooth_sigma: float, top: float) -> Grid:
        return Grid(
            (0.0, train_sigma),
            (smooth_sigma,),
            levels(0, top, 6 if fast else 21),
            _QUANTITIES,
            method=("exact", "sampled"),
            n=500 if fast else 20_000,
            votes=1_000,
        )

    return Study(
        _NAME,
        _TITLE,
        (
            Part("GaussianPair", _FIXED, {"prior": (0.5,)}, grid(0.5, 0.5, 2.0)),
            Part("ConcentricGaussians", {"std_1": 0.3, "std_0": 0.4}, {"dim": (100,)}, grid(0.25, 0.25, 1.0)),
            Part(
                "Intervals.row",
                {"width": 4.0, "separation": 2.0, "domain": (0.0, 30.0)},
                {"count": (4,)},
                grid(0.5, 1.0, 4.0),
            ),
        ),
    )


@plotting.style()
def draw(table: pd.DataFrame) -> Mapping[str, Figure]:
    """Each quantity over r with training noise, lines exact, dots sampled."""
    tasks = list(dict.fromkeys(table["task"]))
    figure, axes = plotting.new_figure(1, len(tasks), width=2.7, height=2.6)
    styles = zip(
        _QUANTITIES,
        plotting.colours("radius", 3),
        ("certified, n → ∞", "adversarial (true)", "certified, 1 000 votes"),
        strict=True,
    )
    for quantity, colour, label in list(styles):
        for panel, task in zip(axes[0], tasks, strict=True):
            here = table[(table["task"] == task) & (table["quantity"] == quantity)]
            here = here[here["train_sigma"] == here["train_sigma"].max()]
            exact = here[here["method"] != "sampled"].sort_values("radius")
            panel.plot(exact["radius"], exact["value"], color=colour, lw=1.4, label=label)
            plotting.sampled_points(panel, here[here["method"] == "sampled"], "radius", colour)
            level = f"α = {here['train_sigma'].iloc[0]:g}, β = {here['smooth_sigma'].iloc[0]:g}"
            panel.set(title=f"{task.split('(')[0]}\n{level}", xlabel=plotting.LABELS["radius"], ylim=(-0.02, 1.02))
    axes[0][0].set_ylabel("accuracy")
    axes[0][-1].legend(fontsize=7)
    return {"agreement": plotting.finish(figure, "Closed forms (lines) and samples with 99.9% intervals (dots)")}


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Gain of the one training noise at three radii, from the closed forms."""
    import pandas as pd

    exact = table[(table["method"] != "sampled") & (table["quantity"] == "certified_accuracy")]
    parts = []
    for task, rows in exact.groupby("task", sort=False):
        radii = sorted(rows["radius"].unique())
        kept = rows[rows["radius"].isin([radii[0], radii[len(radii) // 4], radii[len(radii) // 2]])]
        parts.append(summary(kept, [], str(task).split("(")[0]))
    return pd.concat(parts, ignore_index=True)


PRESET = Preset(_NAME, _TITLE, build, draw, summarise, redraws=("radii", "n"))
