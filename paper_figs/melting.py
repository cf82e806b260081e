"""Ours: discs melting under training noise α and then under smoothing noise β; region pictures and an animation.

The convolved rule on a torus (noiseaug.tasks.DiscLattice, docs/math.md 2.7), drawn cell by cell; ``melting.gif`` runs
through α first and then through β, beside the same discs without training noise. ``--fast`` has fewer frames.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from noiseaug.tasks import DiscLattice
from paper_figs import look
from paper_figs.tables import OURS, cells_of, runs_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "discs melting under α and then β, with an animation"
SOURCE = "ours"

_SIZE, _SEPARATION = 100, 0
_ROWS, _COLUMNS = (0.0, 3.0, 6.0), (0.0, 6.0, 9.0, 12.0)
_LAST_ALPHA, _LAST_BETA = 6.0, 14.0
_ACROSS, _UP = "second axis (cells)", "first axis (cells)"
_SECONDS = 8  # of the animation


def _frames(fast: bool) -> list[tuple[float, float]]:
    """(α, β) along the animation: α rises, then β."""
    step = 2.0 if fast else 0.5
    rising = np.arange(0, _LAST_ALPHA + 1e-9, step)
    smoothing = np.arange(step, _LAST_BETA + 1e-9, step)
    return [(float(a), 0.0) for a in rising] + [(_LAST_ALPHA, float(b)) for b in smoothing]


def compute(fast: bool) -> pd.DataFrame:
    """Class 1 of f_{α,β} as horizontal runs of cells for every (α, β) that is shown, with Δ; ``frame`` numbers them."""
    import pandas as pd

    task = DiscLattice(separation=_SEPARATION, size=_SIZE)
    path = _frames(fast)
    order = {pair: index for index, pair in enumerate(path)}
    shown = [*path, *((0.0, beta) for _, beta in path), *((alpha, beta) for alpha in _ROWS for beta in _COLUMNS)]
    rows: list[dict[str, Any]] = []
    bases = {alpha: task.convolved_region(alpha) for alpha in sorted({alpha for alpha, _ in shown})}
    for alpha, beta in dict.fromkeys(shown):
        region = bases[alpha].smoothed(beta)
        common = {"train_sigma": alpha, "smooth_sigma": beta, "frame": order.get((alpha, beta))}
        common["disagreement"] = task.disagreement_mass(region, task.bayes_region())
        # a region without a cell has a row too, without a run
        for row, first, last in runs_of(region.mask) or [(-1, 0, -1)]:
            rows.append(common | {"row": row, "first": first, "last": last})
    return pd.DataFrame(rows).astype({"frame": "Int64"}).assign(task_separation=_SEPARATION, origin=OURS)


def _mask(table: pd.DataFrame, alpha: float, beta: float) -> tuple[np.ndarray, float]:
    """The cells of f_{α,β} and its Δ."""
    here = table[(table["train_sigma"] == alpha) & (table["smooth_sigma"] == beta)]
    return cells_of(here[here["row"] >= 0], _SIZE), float(here["disagreement"].iloc[0])


def _picture(axes: Axes, mask: np.ndarray, truth: np.ndarray) -> Any:
    """Class 1 filled, the border of the discs on top."""
    from matplotlib.colors import ListedColormap

    from noiseaug import plotting

    colour = plotting.colours("smooth_sigma", 3)[1]
    image = axes.imshow(mask, cmap=ListedColormap(["white", colour]), vmin=0, vmax=1, origin="lower")
    axes.contour(truth, levels=[0.5], colors="0.15", linewidths=0.7)
    axes.grid(False)
    return image


def draw(table: pd.DataFrame) -> Figure:
    """f_{α,β} on the lattice: α down, β across."""
    truth, _ = _mask(table, 0.0, 0.0)
    figure, axes = look.new_figure(len(_ROWS), len(_COLUMNS), width=1.75, height=1.95)
    for row, alpha in zip(axes, _ROWS, strict=True):
        for axis, beta in zip(row, _COLUMNS, strict=True):
            mask, error = _mask(table, alpha, beta)
            _picture(axis, mask, truth)
            look.panel_title(axis, f"α = {alpha:g}, β = {beta:g}: Δ = {error:.3f}")
            axis.title.set_fontsize(7)
            axis.set(xlabel=_ACROSS, ylabel=_UP)
            axis.label_outer()
    return look.finish(
        figure,
        "Discs melt under training noise α, and what is left melts under smoothing noise β",
        ["filled: where the smoothed classifier says class 1; lines: the discs; a torus; α and β in cells"],
    )


def extras(table: pd.DataFrame) -> dict[str, bytes]:
    """The animation as GIF."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    frames = table.dropna(subset=["frame"]).drop_duplicates("frame").sort_values("frame")
    truth, _ = _mask(table, 0.0, 0.0)
    figure, axes = look.new_figure(1, 2, width=2.6, height=2.9)
    images = [_picture(axis, truth, truth) for axis in axes[0]]
    for axis in axes[0]:
        axis.set(xlabel=_ACROSS, ylabel=_UP)
        look.panel_title(axis, "α = 0.0, β = 0.0: Δ = 0.000")
    look.finish(figure, "The same discs without (left) and with training noise", ["lines: the discs, on a torus"])
    canvas, pages = FigureCanvasAgg(figure), []
    for alpha, beta in frames[["train_sigma", "smooth_sigma"]].to_numpy():
        for axis, image, level in zip(axes[0], images, (0.0, alpha), strict=True):
            mask, error = _mask(table, level, beta)
            image.set_data(mask)
            axis.title.set_text(f"α = {level:.1f}, β = {beta:.1f}: Δ = {error:.3f}")
        canvas.draw()
        pages.append(Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").quantize(32))
    content = io.BytesIO()
    # the last picture stays longer
    each = 1000 * _SECONDS // len(pages)
    durations = [each] * (len(pages) - 1) + [2000]
    pages[0].save(content, "GIF", save_all=True, append_images=pages[1:], duration=durations, loop=0)
    return {"melting.gif": content.getvalue()}
