"""What 500 images hide: models that Salman et al. 2019 certified on every 20th test image and on all of them.

From the released logs (``noiseaug.published``). ``--fast`` draws the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from paper_figs import look
from paper_figs.tables import RELEASED, SALMAN

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TITLE = "what 500 images hide: ACR of the same models on 500 and on all test images of CIFAR-10"
SOURCE = "Salman et al. 2019, released logs"

_Z = 1.96
_KEY = [
    *("method", "train_sigma", "smooth_sigma", "attack_radius", "attack_steps", "copies", "weight"),
    *("pre_training", "self_training"),
]


def compute(fast: bool) -> pd.DataFrame:
    """A row for each model with both logs: ACR on all images (``value``), on 500, and the latter's standard error."""
    from noiseaug.literature import acr_error, published

    runs = published(data="cifar10", split="test", paper="Salman", method="smoothadv")
    runs = runs.fillna({"copies": 1, "weight": 0.0, "attack_radius": 0.0})
    runs["error"] = acr_error(runs)
    few = runs.loc[runs["images"] == 500, [*_KEY, "acr", "error"]].rename(columns={"acr": "acr_500"})
    pairs = few.merge(runs.loc[runs["images"] == 10_000, [*_KEY, "acr"]], on=_KEY, validate="one_to_one")
    pairs = pairs.sort_values(["smooth_sigma", "acr"], ignore_index=True)
    shift = pairs["acr_500"] - pairs["acr"]
    return pairs.rename(columns={"acr": "value"}).assign(shift=shift.round(9), quantity="acr", origin=RELEASED)


def draw(table: pd.DataFrame) -> Figure:
    """The difference over the ACR on all images; and by σ, with what 500 images leave open."""
    from noiseaug import plotting

    figure, axes = look.new_figure(1, 2, width=3.4, height=3.0)
    left, right = axes[0]
    levels = sorted(table["smooth_sigma"].unique())
    for place, (colour, level) in enumerate(zip(plotting.colours("smooth_sigma", len(levels)), levels, strict=True)):
        here = table[table["smooth_sigma"] == level]
        label = f"σ = {level:g} ({len(here)} models)"
        left.plot(here["value"], here["shift"], "o", ms=3.4, color=colour, label=label, zorder=3)
        right.plot([place] * len(here), here["shift"], "o", ms=3.4, color=colour, alpha=0.7, zorder=3)
        reach = _Z * float(here["error"].mean())
        right.bar(place, 2 * reach, bottom=-reach, width=0.7, color=colour, alpha=0.18, lw=0, zorder=1)
    for axis in (left, right):
        axis.axhline(0, color="0.35", lw=0.8)
    left.set(xlabel="ACR on all 10,000 images (pixels in [0, 1])", ylabel="ACR on 500 images − all (pixels in [0, 1])")
    left.legend(fontsize=6.5, frameon=False, loc="upper left")
    right.set_xticks(range(len(levels)), [f"{level:g}" for level in levels])
    right.set_xlabel(look.label("smooth_sigma", look.PIXELS))
    look.panel_title(left, "each model on 500 images and on all")
    look.panel_title(right, "bars: ± 1.96 standard errors of 500 images")
    level = max(levels)
    shifts = table.loc[table["smooth_sigma"] == level, "shift"]
    return look.finish(
        figure,
        "The usual 500 images of CIFAR-10 are easier at large radii than the test set",
        [
            f"{SALMAN}, {len(table)} SmoothAdv models with logs of both; at σ = {level:g} the difference is "
            f"{shifts.mean():+.3f} on average, and {shifts.std():.3f} its standard deviation: all share most of it"
        ],
    )
