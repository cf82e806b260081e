"""Pal & Sulam 2023: the random discs behind their Figure 4, one draw for each separation ζ, cell for cell.

Made by noiseaug.tasks.PublishedDiscs at the seed of the released code; the same in both versions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from noiseaug.tasks import PublishedDiscs
from paper_figs import look
from paper_figs.tables import PAL_SULAM, cells_of, runs_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TITLE = "the random discs, one draw for each separation ζ"
SOURCE = "Pal & Sulam 2023, the discs of Figure 4"

_SIZE, _DISC, _WRAPPED, _CENTRE = 100, "disc", "wrapped round", "centre"


def compute(fast: bool) -> pd.DataFrame:
    """Cells of class 1 as horizontal runs (row, first, last), those that wrapped round apart; and the centres."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for separation in PublishedDiscs.separations:
        task = PublishedDiscs.figure4(PublishedDiscs.smooth_sigmas[0], separation)[0]
        covered = task.cell_regression >= 0.5
        direct = _covered(task.centres) & covered
        for kind, mask in ((_DISC, direct), (_WRAPPED, covered & ~direct)):
            rows += [
                {"task_separation": separation, "kind": kind, "row": row, "first": first, "last": last}
                for row, first, last in runs_of(mask)
            ]
        rows += [
            {"task_separation": separation, "kind": _CENTRE, "row": int(x), "first": int(y), "last": int(y)}
            for x, y in task.centres
        ]
    return pd.DataFrame(rows).assign(origin=PAL_SULAM)


def _covered(centres: np.ndarray) -> np.ndarray:
    """The cells within 10 of a centre, without wrapping."""
    rows, columns = np.indices((_SIZE, _SIZE))
    mask = np.zeros((_SIZE, _SIZE), dtype=bool)
    for x, y in centres:
        mask |= (rows - x) ** 2 + (columns - y) ** 2 <= 100
    return mask


def draw(table: pd.DataFrame) -> Figure:
    """The lattice for each ζ; cells that wrapped round in another colour."""
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    from noiseaug import plotting

    separations = sorted(table["task_separation"].unique())
    figure, axes = look.new_figure(1, len(separations), width=2.3, height=3.1)
    disc, wrapped = plotting.colours("train_sigma", 3)[1], "#E69F00"
    for axis, separation in zip(axes[0], separations, strict=True):
        here = table[table["task_separation"] == separation]
        image = np.zeros((_SIZE, _SIZE))
        image[cells_of(here[here["kind"] == _DISC], _SIZE)] = 1
        image[cells_of(here[here["kind"] == _WRAPPED], _SIZE)] = 2
        axis.imshow(image, cmap=ListedColormap(["white", disc, wrapped]), vmin=0, vmax=2, origin="lower")
        centres = here[here["kind"] == _CENTRE]
        axis.plot(centres["first"], centres["row"], "+", color="white", ms=4, mew=0.9)
        look.panel_title(axis, f"ζ = {separation:g}: {len(centres)} discs")
        axis.set_xlabel("second coordinate (cells)")
        axis.grid(False)
    axes[0][0].set_ylabel("first coordinate (cells)")
    handles = [Patch(color=disc, label="disc"), Patch(color=wrapped, label="wrapped round by the released code")]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=7)
    return look.finish(figure, "Pal & Sulam's random discs (seed 246): centres at least 2·10 + ζ apart along an axis")
