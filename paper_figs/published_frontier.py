"""Average certified radius against clean accuracy: every run on all test images of CIFAR-10 that papers have released.

From the released logs of six papers (``noiseaug.published``). ``--fast`` draws the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paper_figs import look
from paper_figs.tables import RELEASED

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TITLE = "the frontier: ACR against clean accuracy of everything published on CIFAR-10"
SOURCE = "Salman et al. 2019, and five other papers, released logs"

_LEVELS = (0.25, 0.5, 1.0)


def compute(fast: bool) -> pd.DataFrame:
    """A row for each run, with its level's frontier in ``on_frontier``; ``value`` is the ACR."""
    import pandas as pd

    from noiseaug.literature import frontier, published

    runs = published(data="cifar10", split="test", images=10_000)
    parts = []
    for level in _LEVELS:
        here = runs[runs["smooth_sigma"] == level]
        best = frontier(here)
        parts.append(here.assign(on_frontier=here["log"].isin(best["log"])))
    kept = ["paper", "log", "architecture", "method", "pre_training", "self_training", "smooth_sigma", "ca_0", "acr"]
    table = pd.concat(parts, ignore_index=True)[[*kept, "on_frontier"]]
    return table.assign(quantity="acr", value=table["acr"], origin=RELEASED)


def draw(table: pd.DataFrame) -> Figure:
    """A panel for each σ, a marker for each kind of training."""
    from noiseaug.plotting import METHODS, plot_field

    figure, axes = look.new_figure(1, len(_LEVELS), width=2.9, height=3.2)
    for axis, level in zip(axes[0], _LEVELS, strict=True):
        here = table[table["smooth_sigma"] == level]
        plot_field(axis, here, here[here["on_frontier"]].sort_values("ca_0"))
        axis.get_legend().remove()
        axis.set_xlabel("clean certified accuracy CA(0) (fraction)")
        axis.set_ylabel(look.label("acr", look.PIXELS))
        look.panel_title(axis, f"σ = {level:g}, {len(here)} runs")
    handles: dict[str, Any] = {}
    for axis in axes[0]:
        handles |= dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    shown = [name for name in METHODS if name in handles]
    first = axes[0][0]
    first.legend([handles[name] for name in shown], shown, frameon=False, fontsize=6, loc="lower left")
    low, high = first.get_ylim()
    first.set_ylim(low - 0.8 * (high - low), high)
    return look.finish(
        figure,
        "CIFAR-10: ACR against clean accuracy of every released run on 10,000 images",
        ["line: runs that no other one beats in both; extra data: ImageNet, unlabelled images, or both"],
    )
