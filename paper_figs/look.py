"""What all figures share in looks: labels with units, and how published numbers are told from ours.

Ours are solid lines with filled markers; published numbers are hollow circles, dotted where they form a curve, and the
legend names their paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from noiseaug.plotting import LABELS
from paper_figs.tables import few

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "CELLS",
    "FRACTION",
    "INPUT",
    "PIXELS",
    "PUBLISHED",
    "STYLES",
    "add_units",
    "band",
    "finish",
    "fit_labels",
    "label",
    "line_style",
    "name_origins",
    "new_figure",
    "outside_legend",
    "panel_title",
    "radius_curves",
]

INPUT, PIXELS, CELLS, FRACTION = "input units", "pixels in [0, 1]", "cells", "fraction"
"""Units, as they stand in brackets behind a label."""

PUBLISHED: dict[str, Any] = {"marker": "o", "mfc": "white", "ms": 3.6, "mew": 0.9, "ls": ":", "lw": 0.9, "zorder": 3}
"""Looks of published numbers, besides their colour."""
_MEASURED: dict[str, Any] = {"marker": "o", "ms": 2.8, "ls": "-", "lw": 1.4, "zorder": 4}

_SMALLEST = 7.0  # points, of an axis label
_NUMBERLESS = ("dimension d", "prior π")
_LENGTHS = ("train_sigma", "smooth_sigma", "radius", "acr", "task_separation")

STYLES: dict[str, tuple[str, str]] = {
    "clean": ("0.45", "s"),
    "gaussian": ("#0072B2", "o"),
    "adre": ("#D55E00", "^"),
    "smoothadv": ("#009E73", "D"),
    "consistency": ("#CC79A7", "v"),
}
"""Colour (safe for colour-blind readers) and marker of each training objective."""


def label(column: str, unit: str) -> str:
    """An axis label with its unit: the papers' symbol of a column of tables."""
    return f"{LABELS.get(column, column)} ({unit})"


def add_units(figure: Figure, unit: str) -> Figure:
    """Puts units behind labels of a figure that was drawn without.

    Args:
        figure: any.
        unit: of noise levels and radii; all other labels but those of pure numbers are of fractions.
    """
    lengths = [LABELS[name] for name in _LENGTHS] + ["best training noise"]
    for axes in figure.axes:
        for text, put in ((axes.get_xlabel(), axes.set_xlabel), (axes.get_ylabel(), axes.set_ylabel)):
            if text and (not text.endswith(")") or text.startswith("benefit Δ")):
                pure = text in _NUMBERLESS
                put(text if pure else f"{text} ({unit if text.startswith(tuple(lengths)) else FRACTION})")
    return fit_labels(figure)


def fit_labels(figure: Figure) -> Figure:
    """Sets axis labels that are longer than their axis smaller, and in two lines where that is not enough."""
    figure.draw_without_rendering()
    for axes in figure.axes:
        if not axes.get_visible():
            continue
        box = axes.get_window_extent()
        for text, room, side in (
            (axes.xaxis.label, box.width, "width"),
            (axes.yaxis.label, box.height, "height"),
        ):
            size = getattr(text.get_window_extent(), side)
            if not text.get_text() or size <= room:
                continue
            points = float(text.get_fontsize())
            smaller = max(_SMALLEST, points * room / size)
            if size * smaller / points > 1.02 * room:
                text.set_text("\n(".join(text.get_text().rsplit(" (", 1)))
            text.set_fontsize(smaller)
    return figure


def finish(figure: Figure, title: str, notes: Sequence[str] = ()) -> Figure:
    """A title, what a reader must know, and labels that fit."""
    from noiseaug import plotting

    return fit_labels(plotting.finish(figure, title, notes))


def new_figure(rows: int = 1, columns: int = 1, *, width: float = 2.9, height: float = 2.6) -> tuple[Figure, Any]:
    """A figure in the project's style and its axes, an array of shape (rows, columns)."""
    from noiseaug import plotting

    figure, axes = plotting.new_figure(rows, columns, width=width, height=height)
    return figure, axes


def line_style(origin: str) -> dict[str, Any]:
    """Looks of a curve by whose numbers they are."""
    return dict(_MEASURED if origin == "ours" else PUBLISHED)


def band(axes: Axes, line: pd.DataFrame, x: str, colour: Any) -> None:
    """The interval of a curve, where it has one."""
    if line["lower"].notna().all() and line["upper"].notna().all():
        axes.fill_between(line[x], line["lower"], line["upper"], color=colour, alpha=0.18, lw=0)


def radius_curves(axes: Axes, table: pd.DataFrame, column: str, symbol: str, most: int) -> None:
    """Certified accuracy over the radius, a line for each of at most so many levels, with its interval.

    Args:
        axes: where.
        table: rows of one origin.
        column: ``train_sigma`` or ``smooth_sigma``, which tells the lines apart.
        symbol: its name in the legend.
        most: lines.
    """
    from noiseaug import plotting

    levels = few(table[column].unique().tolist(), most)
    for colour, level in zip(plotting.colours(column, len(levels)), levels, strict=True):
        line = table[table[column] == level].sort_values("radius")
        style = line_style(line["origin"].iloc[0])
        axes.plot(line["radius"], line["value"], color=colour, label=f"{symbol} = {level:g}", **style)
        band(axes, line, "radius", colour)


def name_origins(axes: Axes, names: Sequence[tuple[str, bool]], **options: Any) -> None:
    """A legend that says whose numbers are which, in neutral grey.

    Args:
        axes: where.
        names: text, and whether it is published.
        options: of ``Axes.legend``.
    """
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color="0.3", label=text, **line_style("" if out else "ours")) for text, out in names]
    other = axes.get_legend()
    axes.legend(handles=handles, frameon=False, fontsize=7, **options)
    if other is not None:
        axes.add_artist(other)


def panel_title(axes: Axes, text: str) -> None:
    """The title of a panel."""
    axes.set_title(text, fontsize=8)


def outside_legend(axes: Axes, title: str | None = None, **options: Any) -> None:
    """A legend right of the panel, where it hides no line."""
    axes.legend(
        frameon=False,
        fontsize=7,
        title=title,
        title_fontsize=7,
        loc="upper left",
        bbox_to_anchor=(1.0, 1.02),
        **options,
    )
