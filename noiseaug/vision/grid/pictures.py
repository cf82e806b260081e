"""Pictures of an (α, β) grid; published values to lay over them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from noiseaug import plotting
from noiseaug.errors import InvalidInputError, first_line
from noiseaug.runs import read_file
from noiseaug.vision.grid.tables import GridVotes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["draw", "read_reference"]

_REFERENCE_COLUMNS = ("train_sigma", "smooth_sigma", "risk")


def read_reference(path: Path | str) -> pd.DataFrame:
    """Published risks, columns train_sigma, smooth_sigma and risk.

    Raises:
        InvalidInputError: for a file that is not there or has not these columns of numbers.
    """
    import pandas as pd

    try:
        table = pd.read_csv(io.BytesIO(read_file(Path(path))))
    except FileNotFoundError:
        raise InvalidInputError(f"no file {path}") from None
    except (ValueError, OSError) as error:  # pandas' own errors are ValueErrors
        raise InvalidInputError(f"{path} is not readable as CSV: {first_line(error)}") from None
    missing = [column for column in _REFERENCE_COLUMNS if column not in table]
    if missing:
        raise InvalidInputError(f"{path} lacks {', '.join(missing)}; expected {', '.join(_REFERENCE_COLUMNS)}")
    table = table[list(_REFERENCE_COLUMNS)].apply(pd.to_numeric, errors="coerce")
    if table.empty or table.isna().to_numpy().any():
        raise InvalidInputError(f"{path} holds something else than numbers in {', '.join(_REFERENCE_COLUMNS)}")
    return table


@plotting.style()
def draw(
    votes: GridVotes, curves: pd.DataFrame, optimum: pd.DataFrame, reference: tuple[str, pd.DataFrame] | None = None
) -> dict[str, Figure]:
    """The pictures of a grid by name, from its tables.

    Args:
        votes: the grid, for its name and sizes.
        curves: from :func:`~noiseaug.vision.grid.curve_table`, of the test images.
        optimum: from :func:`~noiseaug.vision.grid.optimum_table`.
        reference: a name and published risks.

    Returns:
        ``risk``, ``certified_accuracy`` where there are radii, ``best_train_sigma`` where there is smoothing too, and
        ``benefit`` where there are an α = 0 and more than one level of either noise.
    """
    images = int(optimum["images"].iloc[0])
    seeds = int(optimum["seeds"].iloc[0])
    models = f"{seeds} models" if seeds > 1 else "one model"
    chosen = f"chosen on {int(optimum['validation_images'].iloc[0])} validation images"
    what = f"{votes.task}, {votes.model}: {images} test images, {votes.budget.votes} votes, {models} for each α"
    notes = [f"{what}; bars: one standard error; stars: α {chosen}"]
    figures = {"risk": _risk(curves, optimum, reference, notes)}
    accuracies = curves[curves["quantity"] == "certified_accuracy"]
    if len(accuracies):
        figures["certified_accuracy"] = _certified(accuracies, optimum, notes)
    best = optimum[(optimum["quantity"] == "certified_accuracy") & (optimum["smooth_sigma"] > 0)]
    if len(best):
        white = "; white: nothing certified" if best["best_train_sigma"].isna().any() else ""
        figures["best_train_sigma"] = _best(best, [f"{what}; α {chosen}{white}"])
    gains = _mappable(curves)
    if gains:
        figures["benefit"] = _benefit(gains, [f"{what}; the gain is that of the same images"])
    return figures


def _stars(optimum: pd.DataFrame) -> pd.DataFrame:
    return optimum.rename(columns={"best_train_sigma": "train_sigma"})


def _risk(
    curves: pd.DataFrame, optimum: pd.DataFrame, reference: tuple[str, pd.DataFrame] | None, notes: Sequence[str]
) -> Figure:
    figure, axes = plotting.new_figure(width=5.2, height=3.6)
    panel, rows = axes[0][0], curves[curves["quantity"] == "risk"]
    stars = _stars(optimum[optimum["quantity"] == "risk"])
    plotting.measured_curves(panel, rows, "train_sigma", "smooth_sigma", symbol="β", chosen=stars)
    if reference is not None:
        name, published = reference
        levels = rows["smooth_sigma"].unique().tolist()
        plotting.reference_points(panel, published, "train_sigma", "risk", "smooth_sigma", levels=levels, name=name)
    if (rows["value"] > 0).all():
        panel.set_yscale("log")
    panel.set_ylabel(plotting.LABELS["risk"])
    panel.legend(fontsize=6, ncols=2, frameon=False)
    return plotting.finish(figure, "Risk over training noise; β = 0: the base classifier, unsmoothed", notes)


def _panels(count: int) -> tuple[Figure, list[Any]]:
    columns = min(count, 3)
    figure, axes = plotting.new_figure(-(-count // columns), columns, width=2.9, height=2.6)
    for panel in axes.ravel()[count:]:
        panel.set_axis_off()
    return figure, list(axes.ravel()[:count])


def _certified(curves: pd.DataFrame, optimum: pd.DataFrame, notes: Sequence[str]) -> Figure:
    radii = sorted(curves["radius"].unique())
    levels = sorted(curves["smooth_sigma"].unique())
    figure, panels = _panels(len(radii))
    for panel, radius in zip(panels, radii, strict=True):
        chosen = optimum[(optimum["quantity"] == "certified_accuracy") & (optimum["radius"] == radius)]
        rows = curves[curves["radius"] == radius]
        # every panel gives a level the same colour, whether or not it has a line there
        absent = [level for level in levels if level not in set(rows["smooth_sigma"])]
        rows = _with_empty(rows, absent)
        plotting.measured_curves(panel, rows, "train_sigma", "smooth_sigma", symbol="β", chosen=_stars(chosen))
        panel.set_title(f"r = {radius:g}", fontsize=8)
        panel.set_ylabel(plotting.LABELS["certified_accuracy"])
        panel.set_ylim(0, 1)
    panels[0].legend(fontsize=5.5, ncols=2, frameon=False)
    return plotting.finish(figure, "Certified accuracy over training noise", notes)


def _with_empty(rows: pd.DataFrame, levels: Sequence[float]) -> pd.DataFrame:
    """Rows with a line of NaN for each level that has none."""
    import pandas as pd

    if not levels:
        return rows
    first = rows.iloc[[0]]
    empty = [first.assign(smooth_sigma=level, value=np.nan, lower=np.nan, upper=np.nan) for level in levels]
    return pd.concat([rows, *empty], ignore_index=True)


def _best(best: pd.DataFrame, notes: Sequence[str]) -> Figure:
    figure, axes = plotting.new_figure(
        width=max(4.6, 0.5 * best["smooth_sigma"].nunique() + 2), height=max(2.7, 0.35 * best["radius"].nunique() + 1.5)
    )
    image = plotting.level_map(axes[0][0], best, "smooth_sigma", "radius", "best_train_sigma")
    figure.colorbar(image, ax=axes[0][0], label="best training noise α*")
    return plotting.finish(figure, "The training noise that certifies most images: α*(β, r)", notes)


def _mappable(curves: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """A name and rows for every measure whose benefit is a surface over (α, β)."""
    found = []
    for (quantity, radius), rows in curves.groupby(["quantity", "radius"], sort=False, dropna=False):
        flat = min(rows["train_sigma"].nunique(), rows["smooth_sigma"].nunique()) < 2
        if quantity == "acr" or flat or rows["benefit"].isna().any():
            continue
        name = "fall in risk" if quantity == "risk" else f"gain in certified accuracy, r = {radius:g}"
        found.append((name, rows))
    return found


def _benefit(gains: Sequence[tuple[str, pd.DataFrame]], notes: Sequence[str]) -> Figure:
    figure, panels = _panels(len(gains))
    limit = max(0.01, *(float(rows["benefit"].abs().max()) for _, rows in gains))
    for panel, (name, rows) in zip(panels, gains, strict=True):
        mesh = plotting.benefit_map(panel, rows, "train_sigma", "smooth_sigma", limit=limit)
        top = min(float(rows["train_sigma"].max()), float(rows["smooth_sigma"].max()))
        plotting.diagonal(panel, 0.0, top)
        panel.set_title(name, fontsize=8)
    figure.colorbar(mesh, ax=panels, label="benefit over α = 0")
    return plotting.finish(figure, "What training noise gains over none", notes)
