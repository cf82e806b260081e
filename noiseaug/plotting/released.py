"""Drawing the runs that papers have released."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from noiseaug.escaping import for_picture
from noiseaug.plotting.drawing import LABELS
from noiseaug.plotting.styling import style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["METHODS", "plot_field"]

METHODS: Mapping[str, tuple[str, str]] = {
    "gaussian": ("#0072B2", "o"),
    "smoothadv": ("#009E73", "D"),
    "smoothadv, extra data": ("#56B4E9", "d"),
    "consistency": ("#CC79A7", "v"),
    "smoothmix": ("#E69F00", "s"),
    "cat-rs": ("#D55E00", "P"),
    "sun-2025": ("black", "*"),
    "other": ("0.6", "x"),
}
"""Colour and marker of each kind of training."""


def kinds(table: pd.DataFrame) -> pd.Series:
    """What :data:`METHODS` calls each run."""
    found = table["method"].str.replace(r"^smoothadv-.*", "smoothadv", regex=True)
    found = found.where(found.isin(list(METHODS)), "other")
    extra = (table["pre_training"] | table["self_training"]) & (found == "smoothadv")
    return found.mask(extra, "smoothadv, extra data")


@style()
def plot_field(
    axes: Axes,
    table: pd.DataFrame,
    frontier: pd.DataFrame | None = None,
    own: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """ACR against clean accuracy, a marker for each run.

    Args:
        axes: where to draw.
        table: rows of :func:`~noiseaug.literature.published`.
        frontier: runs to join by a line.
        own: further runs by name, each with ``ca_0`` and ``acr``, and ``_lower`` and ``_upper`` of both.
    """
    named = kinds(table)
    for kind, (colour, marker) in METHODS.items():
        here = table[named == kind]
        if len(here):
            size = 60 if marker == "*" else 22
            bare = marker == "x"
            axes.scatter(
                here["ca_0"],
                here["acr"],
                s=size,
                marker=marker,
                color=colour,
                alpha=0.75,
                lw=0.8 if bare else 0,
                label=kind,
                zorder=4 if kind in {"cat-rs", "sun-2025"} else 3,
            )
    if frontier is not None and len(frontier):
        axes.plot(frontier["ca_0"], frontier["acr"], color="0.3", lw=0.9, zorder=2)
    for name, run in (own or {}).items():
        ends = [[[run[x] - run[f"{x}_lower"]], [run[f"{x}_upper"] - run[x]]] for x in ("ca_0", "acr")]
        looks: dict[str, Any] = {"fmt": "o", "ms": 6, "mfc": "white", "color": "#b2182b", "zorder": 5}
        axes.errorbar(run["ca_0"], run["acr"], xerr=ends[0], yerr=ends[1], label=for_picture(name), **looks)
    axes.set_xlabel("clean certified accuracy CA(0) (fraction)")
    axes.set_ylabel(f"{LABELS['acr']} (input units)")
    axes.legend(frameon=False, fontsize=7)
