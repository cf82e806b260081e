"""Drawing tidy tables onto axes; nothing here computes a risk.

One look for the whole project: training noise α in greens, smoothing noise β in warm colours, benefit from purple
(noise hurts) over white to green (noise helps). All three maps are safe for colour-blind readers and in grey print.
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from noiseaug.errors import InvalidInputError
from noiseaug.escaping import for_picture
from noiseaug.plotting.palettes import colour_map, colours
from noiseaug.plotting.styling import style
from noiseaug.tables import QUANTITIES

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

__all__ = [
    "LABELS",
    "benefit_map",
    "class_map",
    "curves",
    "diagonal",
    "finish",
    "hatch_where",
    "interval_map",
    "level_map",
    "measured_curves",
    "plot_certified_accuracy",
    "plot_p_lower",
    "reference_points",
    "sampled_points",
]

LABELS = {
    "train_sigma": "training noise α",
    "smooth_sigma": "smoothing noise β",
    "radius": "ℓ₂ radius r",
    **{quantity.name: quantity.label for quantity in QUANTITIES.values()},
    "task_dim": "dimension d",
    "task_separation": "separation ζ",
    "task_prior": "prior π",
}
"""Axis labels of table columns and quantities, in the papers' symbols."""


@style()
def curves(
    axes: Axes,
    table: pd.DataFrame,
    x: str,
    hue: str,
    *,
    y: str = "value",
    symbol: str = "",
    mark: str | None = None,
) -> None:
    """A line for each value of ``hue``, with its interval where the table has one.

    Args:
        axes: where to draw.
        table: tidy rows; one for each (x, hue).
        x: column of the abscissa.
        hue: column that tells the lines apart.
        y: column of the ordinate.
        symbol: symbol of the hue in the legend, as in ``"β"``.
        mark: ``"max"`` or ``"min"`` puts a dot on that point of every line.
    """
    values = sorted(table[hue].unique())
    for colour, value in zip(colours(hue, len(values)), values, strict=True):
        line = table[table[hue] == value].sort_values(x)
        label = f"{symbol} = {value:g}" if symbol else f"{value:g}"
        axes.plot(line[x], line[y], color=colour, label=label, lw=1.4, marker="o" if len(line) == 1 else None, ms=4)
        if y == "value" and "lower" in line and bool((line["upper"] - line["lower"] > 1e-6).any()):
            axes.fill_between(line[x], line["lower"], line["upper"], color=colour, alpha=0.2, lw=0)
        if mark is not None:
            height = line[y].round(9)  # of values equal up to rounding the first
            best = line.loc[height.idxmax() if mark == "max" else height.idxmin()]
            axes.plot(best[x], best[y], "o", color=colour, ms=4.5, mec="white", mew=0.6, zorder=5)
    axes.set_xlabel(LABELS.get(x, x))


@style()
def sampled_points(axes: Axes, table: pd.DataFrame, x: str, colour: Any, label: str | None = None) -> None:
    """Sampled values as dots with their intervals, to lie on the exact line of the same colour."""
    line = table.sort_values(x)
    errors = np.stack([line["value"] - line["lower"], line["upper"] - line["value"]])
    axes.errorbar(line[x], line["value"], yerr=errors, fmt="o", ms=3, lw=1, capsize=1.5, color=colour, label=label)


@style()
def measured_curves(
    axes: Axes, table: pd.DataFrame, x: str, hue: str, *, symbol: str = "", chosen: pd.DataFrame | None = None
) -> None:
    """A line for each value of ``hue`` through measured values, each with its error bar.

    Args:
        axes: where to draw.
        table: tidy rows with value, lower and upper; one for each (x, hue).
        x: column of the abscissa.
        hue: column that tells the lines apart.
        symbol: symbol of the hue in the legend, as in ``"β"``.
        chosen: rows with the columns x, hue and value where a star goes; those with NaN get none.
    """
    values = sorted(table[hue].unique())
    for colour, value in zip(colours(hue, len(values)), values, strict=True):
        line = table[table[hue] == value].sort_values(x)
        errors = np.nan_to_num(np.stack([line["value"] - line["lower"], line["upper"] - line["value"]]))
        label = f"{symbol} = {value:g}" if symbol else f"{value:g}"
        axes.errorbar(
            line[x], line["value"], yerr=errors, color=colour, label=label, lw=1.2, elinewidth=0.7, capsize=1.2
        )
        if chosen is not None:
            stars = chosen[(chosen[hue] == value) & chosen[x].notna()]
            axes.plot(stars[x], stars["value"], "*", color=colour, ms=9, mec="0.15", mew=0.6, zorder=5)
    axes.set_xlabel(LABELS.get(x, x))


@style()
def reference_points(
    axes: Axes, table: pd.DataFrame, x: str, y: str, hue: str, *, levels: Sequence[float], name: str
) -> None:
    """Published values as hollow markers, in the colours that lines for these levels of ``hue`` have.

    Args:
        axes: where to draw.
        table: rows with the columns x, y and hue; those of other levels are left out.
        x: column of the abscissa.
        y: column of the ordinate.
        hue: column of the colour.
        levels: levels of ``hue`` that there are lines for.
        name: for the legend.
    """
    levels = sorted(levels)
    for colour, level in zip(colours(hue, len(levels)), levels, strict=True):
        rows = table[np.isclose(table[hue], level, rtol=0, atol=1e-9)]
        axes.plot(rows[x], rows[y], "o", ms=3.2, mfc="none", mec=colour, mew=0.8, zorder=4)
    axes.plot([], [], "o", ms=3.2, mfc="none", mec="0.35", mew=0.8, label=for_picture(name))


@style()
def level_map(axes: Axes, table: pd.DataFrame, x: str, y: str, value: str) -> Any:
    """A table of noise levels in colour, the number in each cell; cells without one stay white.

    Args:
        axes: where to draw.
        table: one row for each (x, y).
        x: column of the abscissa; its values are set at equal distances.
        y: column of the ordinate; likewise.
        value: column of the level.

    Returns:
        The mappable, for a colour bar.
    """
    grid = table.pivot(index=y, columns=x, values=value)
    found = grid.to_numpy(float)[grid.notna().to_numpy()]
    low, high = (found.min(), found.max()) if len(found) else (0.0, 1.0)
    palette = colour_map("train_sigma")
    image = axes.imshow(grid.to_numpy(float), cmap=palette, origin="lower", aspect="auto", vmin=low, vmax=high)
    for (row, column), level in np.ndenumerate(grid.to_numpy(float)):
        if not np.isnan(level):
            axes.text(
                column,
                row,
                f"{level:g}",
                ha="center",
                va="center",
                fontsize=7,
                color="0.1" if level <= (low + high) / 2 else "1",
            )
    axes.set_xticks(range(len(grid.columns)), [f"{level:g}" for level in grid.columns])
    axes.set_yticks(range(len(grid.index)), [f"{level:g}" for level in grid.index])
    axes.set_xlabel(LABELS.get(x, x))
    axes.set_ylabel(LABELS.get(y, y))
    axes.grid(False)
    return image


@style()
def benefit_map(axes: Axes, table: pd.DataFrame, x: str, y: str, *, value: str = "benefit", limit: float = 1.0) -> Any:
    """A heat map of benefit over two columns; green where noise helps, purple where it hurts, white where neither.

    Args:
        axes: where to draw.
        table: one row for each (x, y).
        x: column of the abscissa.
        y: column of the ordinate.
        value: column of the colour.
        limit: the colour scale runs from −limit to limit, with square-root spacing so that small effects show.

    Returns:
        The mappable, for a colour bar.
    """
    from matplotlib.colors import FuncNorm

    grid = table.pivot(index=y, columns=x, values=value)

    def squeeze(v: Any) -> Any:
        return np.sign(v) * np.sqrt(np.abs(v) / limit)

    def stretch(v: Any) -> Any:
        return np.sign(v) * limit * np.square(v)

    norm = FuncNorm((squeeze, stretch), vmin=-limit, vmax=limit)
    mesh = axes.pcolormesh(grid.columns, grid.index, grid.to_numpy(), cmap="PRGn", norm=norm, shading="nearest")
    axes.set_xlabel(LABELS.get(x, x))
    axes.set_ylabel(LABELS.get(y, y))
    axes.grid(False)
    return mesh


@style()
def hatch_where(axes: Axes, table: pd.DataFrame, x: str, y: str, where: pd.Series) -> None:
    """Hatches the cells of a heat map over (x, y) where the condition on the table's rows holds."""
    grid = table.assign(where=where.astype(float)).pivot(index=y, columns=x, values="where")
    if min(grid.shape) > 1 and grid.to_numpy().any():
        import matplotlib as mpl

        with mpl.rc_context({"hatch.linewidth": 0.4, "hatch.color": "0.6"}):
            axes.contourf(grid.columns, grid.index, grid.to_numpy(), levels=[0.5, 1.5], colors="none", hatches=["////"])


@style()
def interval_map(axes: Axes, pieces: Mapping[float, ArrayLike], level: str, *, domain: tuple[float, float]) -> None:
    """Unions of intervals, one above the other over a noise level: how pieces shrink, merge and vanish.

    Args:
        axes: where to draw.
        pieces: the intervals at each level, such as ``region.intervals`` of :class:`noiseaug.regions.IntervalUnion`;
            shape (k, 2), k ≥ 0. Infinite ends are drawn up to the end of the domain.
        level: column that the levels are of, for colour and label.
        domain: ends of the part of the line that is shown.
    """
    levels = sorted(pieces)
    heights = np.array(levels, dtype=float)
    ends = np.concatenate([heights[:1], 0.5 * (heights[1:] + heights[:-1]), heights[-1:]])
    colour = colours(level, 3)[1]
    for height, bottom, top in zip(levels, ends[:-1], ends[1:], strict=True):
        bounds = np.clip(np.asarray(pieces[height], dtype=float).reshape(-1, 2), *domain)
        spans = [(low, high - low) for low, high in bounds]
        axes.broken_barh(spans, (bottom, top - bottom), facecolors=colour, lw=0.3, edgecolor=colour)
    axes.set_xlim(*domain)
    axes.set_ylim(ends[0], ends[-1])
    axes.set_xlabel("x")
    axes.set_ylabel(LABELS.get(level, level))


@style()
def class_map(axes: Axes, places: Sequence[ArrayLike], labels: ArrayLike, outline: ArrayLike | None = None) -> None:
    """A map of the plane with a colour for each class.

    Args:
        axes: where to draw.
        places: the coordinates of the cells along both axes, shapes (m,) and (n,).
        labels: the class of each cell, shape (m, n).
        outline: further labels, whose borders are drawn as lines; shape (m, n).
    """
    from matplotlib.colors import ListedColormap

    across, up = (np.asarray(each, dtype=float) for each in places)
    shown, lines = np.asarray(labels).T, None if outline is None else np.asarray(outline).T
    count = 1 + int(max(shown.max(), 0 if lines is None else lines.max()))
    palette = ListedColormap(colour_map("train_sigma")(np.linspace(0, 1, count + 2)[1:-1]))
    axes.pcolormesh(across, up, shown, cmap=palette, vmin=-0.5, vmax=count - 0.5, shading="nearest", alpha=0.55)
    if lines is not None:
        for label in range(count):
            if 0 < np.count_nonzero(lines == label) < lines.size:
                axes.contour(across, up, lines == label, levels=[0.5], colors="0.1", linewidths=0.9)
    axes.set_aspect("equal")
    axes.grid(False)


@style()
def diagonal(axes: Axes, low: float, high: float) -> None:
    """The line α = β."""
    axes.plot([low, high], [low, high], ls="--", lw=0.9, color="0.35", zorder=3)


@style()
def finish(figure: Figure, title: str, notes: Sequence[str] = ()) -> Figure:
    """A title above the panels and, below them, what a reader must know; long lines are broken."""
    figure.suptitle(_broken(for_picture(title), figure, 10), fontsize=10)
    if notes:
        figure.supxlabel("\n".join(_broken(for_picture(note), figure, 7) for note in notes), fontsize=7, color="0.35")
    return figure


def _broken(text: str, figure: Figure, fontsize: float) -> str:
    """Text in lines that fit the figure's width."""
    most = int(figure.get_size_inches()[0] / (0.56 * fontsize / 72))  # a letter is some 0.56 of its height wide
    return "\n".join(part for line in text.splitlines() for part in textwrap.wrap(line, most))


@style()
def plot_certified_accuracy(
    axes: Axes,
    runs: Mapping[str, pd.DataFrame],
    radii: ArrayLike | None = None,
    reference: Mapping[str, pd.DataFrame] | None = None,
) -> None:
    """Certified accuracy over the radius, a curve with its band for each run.

    Args:
        axes: where to draw.
        runs: the table of :func:`~noiseaug.report.certified_accuracy` by name.
        radii: draw only the rows at these radii; all by default.
        reference: tables with columns radius and value to lay over the curves, by name.

    Raises:
        InvalidInputError: where a table has none of the radii.
    """
    for colour, (name, table) in zip(colours("run", len(runs)), runs.items(), strict=True):
        line = table if radii is None else table[table["radius"].isin(np.atleast_1d(np.asarray(radii, dtype=float)))]
        if line.empty:
            raise InvalidInputError(f"{name}: the table has no row at the radii to draw")
        line = line.sort_values("radius")
        marker = "o" if len(line) == 1 else None
        axes.plot(line["radius"], line["value"], color=colour, lw=1.4, label=for_picture(name), marker=marker, ms=4)
        axes.fill_between(line["radius"], line["lower"], line["upper"], color=colour, alpha=0.2, lw=0)
    for dashes, (name, table) in zip(itertools.cycle(("--", ":", "-.")), (reference or {}).items(), strict=False):
        line = table.sort_values("radius")
        marker = "o" if len(line) == 1 else None
        axes.plot(
            line["radius"], line["value"], color="0.15", lw=1, label=for_picture(name), ls=dashes, marker=marker, ms=4
        )
    axes.set_xlabel(LABELS["radius"])
    axes.set_ylabel(LABELS["certified_accuracy"])
    axes.set_xlim(left=0)
    axes.set_ylim(0, 1)
    axes.legend(frameon=False)


@style()
def plot_p_lower(axes: Axes, runs: Mapping[str, ArrayLike]) -> None:
    """How the lower bound on p_A is spread over the inputs of each run.

    Args:
        axes: where to draw.
        runs: the bounds of :func:`~noiseaug.report.p_lower` by name, each of shape (inputs,).
    """
    for colour, (name, bounds) in zip(colours("run", len(runs)), runs.items(), strict=True):
        axes.ecdf(np.asarray(bounds, dtype=float), color=colour, lw=1.4, label=for_picture(name))
    axes.axvline(0.5, color="0.35", lw=0.9, ls="--")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel("lower bound on p_A")
    axes.set_ylabel("share of the inputs")
    axes.legend(frameon=False)
