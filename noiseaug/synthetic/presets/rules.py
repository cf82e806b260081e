"""The two idealised results of training with noise, side by side: augmented and convolved."""

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

_NAME, _TITLE = (
    "rules",
    "augmented against convolved: two readings of training with noise that disagree off flat marginals",
)
_RULES = ("augmented", "convolved")


def build(fast: bool) -> Study:
    """The study: three families where the two rules differ."""
    count = 7 if fast else 16

    def grid(top: float, smooth_sigma: float) -> Grid:
        return Grid(levels(0, top, count), (smooth_sigma,), quantities=("risk", "disagreement"), rule=_RULES)

    mixture = {
        "components_1": ((0.5, -2.0, 0.3), (0.5, 2.0, 0.5)),
        "components_0": ((1.0, 0.0, 1.0),),
    }
    return Study(
        _NAME,
        _TITLE,
        (
            Part("ConcentricGaussians", {"std_1": 0.3, "std_0": 0.4}, {"dim": (50,)}, grid(0.5, 0.25)),
            Part("MixtureOnLine", mixture, {"prior": (0.4,)}, grid(1.5, 0.5)),
            Part(
                "Intervals.row",
                {"width": 3.0, "separation": 1.0, "domain": (0.0, 20.0), "periodic": False},
                {"count": (5,)},
                grid(3.0, 1.0),
            ),
        ),
    )


@plotting.style()
def draw(table: pd.DataFrame) -> Mapping[str, Figure]:
    """Risk over α under both rules, a panel for each task."""
    risk = table[table["quantity"] == "risk"]
    tasks = list(dict.fromkeys(risk["task"]))
    figure, axes = plotting.new_figure(1, len(tasks), width=2.6, height=2.4)
    for panel, task in zip(axes[0], tasks, strict=True):
        here = risk[
            (risk["task"] == task) & (risk["smooth_sigma"] == risk.loc[risk["task"] == task, "smooth_sigma"].min())
        ]
        for rule, style, colour in zip(_RULES, ("-", "--"), plotting.colours("train_sigma", 2), strict=True):
            line = here[here["rule"] == rule].sort_values("train_sigma")
            panel.plot(line["train_sigma"], line["value"], style, color=colour, label=rule, lw=1.5)
        panel.set(
            title=f"{task.split('(')[0]}, β = {here['smooth_sigma'].iloc[0]:g}", xlabel=plotting.LABELS["train_sigma"]
        )
    axes[0][0].set_ylabel(plotting.LABELS["risk"])
    axes[0][0].legend(fontsize=7)
    return {
        "rules": plotting.finish(
            figure, "Augmented (Bayes rule of the noised law) and convolved (h ∗ p_α ≥ ½) are different rules"
        )
    }


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Best noise for each task and rule."""
    import pandas as pd

    risk = table[table["quantity"] == "risk"]
    groups = risk.groupby(["task", "rule"], sort=False)
    parts = [summary(rows, [], f"{str(task).split('(')[0]}, {rule}") for (task, rule), rows in groups]
    return pd.concat(parts, ignore_index=True)


PRESET = Preset(_NAME, _TITLE, build, draw, summarise, default=False, redraws=("train_sigma", "dim", "prior", "count"))
