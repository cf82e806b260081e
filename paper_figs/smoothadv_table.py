"""Salman et al. 2019: the table of certified accuracy on CIFAR-10 with pre-training and semi-supervision.

The paper's numbers (paper_figs/data/salman_2019_cifar10.csv), and the same computed from the logs that the authors
released (``noiseaug.published``): the best of the models that they certified on all test images, and the best of all
their models on 500 images. ``--fast`` draws the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from paper_figs import look
from paper_figs.tables import RELEASED, SALMAN, committed

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "SmoothAdv with pre-training and semi-supervision: CIFAR-10, published and from the logs"
SOURCE = "Salman et al. 2019, CIFAR-10 table"
COMMITTED = ("paper_figs/data/salman_2019_cifar10.csv",)

_EXTRAS = {
    "SmoothAdv": (False, False),
    "+ pre-training": (True, False),
    "+ semi-supervision": (False, True),
    "+ both": (True, True),
}
_ALL, _PART = 10_000, 500


def compute(fast: bool) -> pd.DataFrame:
    """A row for each method and radius: the paper's, and those of the logs by number of images; gain over Cohen's."""
    import pandas as pd

    table = committed(COMMITTED[0])
    paper = table.loc[table["choice"] == "best", ["method", "radius", "value"]].assign(origin=SALMAN, images=_ALL)
    radii = sorted(paper["radius"].unique())
    rows = []
    for images in (_ALL, _PART):
        for method, runs in _groups(images).items():
            best = {radius: runs[f"ca_{radius:g}"].max() for radius in radii}
            rows += [
                {"method": method, "radius": radius, "value": value, "images": images, "runs": len(runs)}
                for radius, value in best.items()
            ]
    found = pd.concat([paper, pd.DataFrame(rows).assign(origin=RELEASED)], ignore_index=True)
    first = found[found["method"] == "Cohen et al."].set_index(["origin", "images", "radius"])["value"]
    base = [first[tuple(key)] for key in found[["origin", "images", "radius"]].itertuples(index=False)]
    return found.assign(gain=(found["value"] - base).round(9), quantity="certified_accuracy")


def _groups(images: int) -> dict[str, pd.DataFrame]:
    """The released runs of each row of the table."""
    from noiseaug.literature import published

    cifar = published(data="cifar10", split="test", architecture="resnet110")
    gaussian = cifar[(cifar["method"] == "gaussian") & (cifar["train_sigma"] == cifar["smooth_sigma"])]
    whose = SALMAN if images == _ALL else "Cohen et al. 2019"  # who certified Cohen et al.'s models
    found = {"Cohen et al.": gaussian[(gaussian["images"] == images) & (gaussian["paper"] == whose)]}
    adversarial = cifar[cifar["method"].str.startswith("smoothadv") & (cifar["paper"] == SALMAN)]
    for method, (pre, own) in _EXTRAS.items():
        here = adversarial[(adversarial["pre_training"] == pre) & (adversarial["self_training"] == own)]
        found[method] = here[here["images"] == _ALL] if images == _ALL else here[here["images"] < _ALL]
    return found


def draw(table: pd.DataFrame) -> Figure:
    """The numbers as the table has them, coloured by the gain over Cohen et al."""
    figure, axes = look.new_figure(2, 1, width=6.6, height=2.3)
    limit = float(table["gain"].abs().max())
    paper = _pivot(table[table["origin"] == SALMAN], "value")
    titles = {
        _ALL: "best of {} models on all images; in brackets the paper, where it differs",
        _PART: "best of {} models on 500 images; small: difference to the paper",
    }
    drawn = []
    for axis, (images, title) in zip(axes[:, 0], titles.items(), strict=True):
        here = table[(table["origin"] == RELEASED) & (table["images"] == images)]
        values, gains = _pivot(here, "value"), _pivot(here, "gain")
        drawn.append(axis.imshow(gains.to_numpy(), cmap="PRGn", vmin=-limit, vmax=limit, aspect="auto"))
        _label_cells(axis, values.to_numpy(), paper.to_numpy(), gains.to_numpy() > 0.6 * limit, images == _ALL)
        axis.set_xticks(range(len(values.columns)), [f"{radius:g}" for radius in values.columns])
        axis.set_yticks(range(len(values)), list(values.index))
        axis.set_ylabel("training (method)")
        axis.grid(False)
        if images == _ALL and not any("(" in text.get_text() for text in axis.texts):
            title = "best of {} models on all images: rounded, the numbers of the paper"
        models = int(here.drop_duplicates("method")["runs"].sum())
        look.panel_title(axis, title.format(f"{models:,}"))
    axes[1][0].set_xlabel(look.label("radius", look.PIXELS))
    figure.colorbar(drawn[0], ax=axes[:, 0].tolist(), label="gain over the first row (fraction)")
    return look.finish(
        figure,
        "CIFAR-10: certified accuracy in %, best at each radius, recomputed",
        ["logs of Salman et al. 2019; ResNet-110, 100,000 votes; the rows below SmoothAdv add to it"],
    )


def _pivot(table: pd.DataFrame, column: str) -> pd.DataFrame:
    methods = ["Cohen et al.", *_EXTRAS]
    return table.pivot(index="method", columns="radius", values=column).loc[methods]


def _label_cells(axis: Axes, values: np.ndarray, paper: np.ndarray, dark: np.ndarray, whole: bool) -> None:
    """The numbers; those on all images with the paper's where it differs by a rounded point, others with the gap."""
    for (row, column), value in np.ndenumerate(values):
        theirs, colour = paper[row, column], "1" if dark[row, column] else "0.1"
        differs = abs(value - theirs) > 0.005 + 1e-9
        text = f"{100 * value:.1f}" + (f" ({100 * theirs:.0f})" if whole and differs else "")
        axis.text(column, row - (0 if whole else 0.14), text, ha="center", va="center", fontsize=8, color=colour)
        if not whole:
            gap = f"{100 * (value - theirs):+.1f}"
            axis.text(column, row + 0.27, gap, ha="center", va="center", fontsize=5.5, color=colour)
