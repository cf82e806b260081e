"""Pictures of a bridge: measured solid with its band, predicted dashed or dotted on top."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from noiseaug import plotting
from noiseaug.bridge.surrogate import ACTUAL, LINEAR, PREDICTED

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from noiseaug.bridge.advice import Advice
    from noiseaug.bridge.record import Band

__all__ = ["draw_advice", "draw_overlay", "draw_pair", "draw_predicted", "draw_runs"]

_MOST_COLUMNS = 3
_STYLES = {"convolutional": "--", "quadratic": "-.", "kernel": ":"}  # of lines by rule


def _panels(count: int) -> tuple[Any, list[Any]]:
    """A figure with that many panels in use."""
    columns = min(count, _MOST_COLUMNS)
    figure, axes = plotting.new_figure(math.ceil(count / columns), columns)
    flat = list(axes.ravel())
    for spare in flat[count:]:
        spare.set_visible(False)
    return figure, flat[:count]


def _curves(table: pd.DataFrame) -> list[tuple[tuple[str, float], pd.DataFrame]]:
    """Risk and the certified accuracies at radii above 0, in this order, by radius."""
    certified = (table["quantity"] == "certified_accuracy") & (table["radius"] > 0)
    asked = table[(table["quantity"] == "risk") | certified]
    parts: Any = asked.groupby(["quantity", "radius"], dropna=False)
    return sorted(parts, key=lambda item: (item[0][0] != "risk", item[0][1]))


def _title(quantity: str, radius: float) -> str:
    return "risk" if quantity == "risk" else f"certified accuracy at r = {radius:g}"


@plotting.style()
def draw_overlay(compared: pd.DataFrame, title: str, notes: Sequence[str] = ()) -> Figure:
    """Predicted over measured: a panel for each quantity and radius, a colour for each β, a line style for each rule.

    Args:
        compared: rows of the rules to be drawn, from ``overlay``.
        title: of the figure.
        notes: lines below it.
    """
    parts = _curves(compared)
    figure, panels = _panels(len(parts))
    levels = sorted(compared["smooth_sigma"].unique())
    rules = [rule for rule in _STYLES if rule in set(compared["predictor"])]
    tints = dict(zip(levels, plotting.colours("smooth_sigma", len(levels)), strict=True))
    for axes, ((quantity, radius), part) in zip(panels, parts, strict=True):
        for (level, rule), line in part.groupby(["smooth_sigma", "predictor"]):
            line = line.sort_values("train_sigma")
            tint = tints[level]
            axes.plot(line["train_sigma"], line["predicted"], color=tint, lw=1.2, ls=_STYLES[str(rule)])
            if rule == rules[0]:  # the measurement is the same for all
                axes.plot(line["train_sigma"], line["measured"], color=tint, lw=1.4, label=f"β = {level:g}")
                axes.fill_between(
                    line["train_sigma"], line["measured_lower"], line["measured_upper"], color=tint, alpha=0.2, lw=0
                )
        axes.set_xlabel(plotting.LABELS["train_sigma"])
        axes.set_title(_title(quantity, radius), fontsize=8)
    _legend(figure, panels[0], rules)
    return plotting.finish(figure, title, ["band: 95% interval of the measurement, over inputs", *notes])


def _legend(figure: Figure, panel: Any, rules: Sequence[str]) -> None:
    """One legend for all panels, beside them: colours are levels, line styles say what is drawn."""
    from matplotlib.lines import Line2D

    handles = panel.get_legend_handles_labels()[0]
    handles.append(Line2D([], [], color="0.4", lw=1.4, label="measured"))
    handles += [
        Line2D([], [], color="0.4", lw=1.2, ls=_STYLES[rule], label=f"predicted, {rule} rule") for rule in rules
    ]
    figure.legend(handles=handles, loc="outside right center", frameon=False, fontsize=7)


@plotting.style()
def draw_advice(advice: Advice, band: Band | None) -> Figure:
    """The predicted curve of every β that was asked, the recommended levels, and the band there.

    Args:
        advice: from :func:`~noiseaug.bridge.advice.advise`.
        band: from :func:`~noiseaug.bridge.record.band`, or None.
    """
    figure, axes = plotting.new_figure(width=4.8, height=3.4)
    panel = axes[0][0]
    groups = list(advice.curves.groupby("smooth_sigma"))
    for tint, (level, line) in zip(plotting.colours("smooth_sigma", len(groups)), groups, strict=True):
        panel.plot(line["train_sigma"], line["value"], color=tint, lw=1.4, ls="--", label=f"β = {level:g}")
        if level == advice.smooth_sigma:
            panel.fill_between(line["train_sigma"], line["lower"], line["upper"], color=tint, alpha=0.2, lw=0)
    panel.plot([advice.train_sigma], [advice.value], "o", color="0.1", ms=5, label="recommended")
    notes = [f"predicted by the {advice.predictor} rule; shaded: 95% interval over inputs"]
    if band is not None:
        ends = [[advice.value - band.lower], [band.upper - advice.value]]
        panel.errorbar([advice.train_sigma], [advice.value], yerr=np.maximum(ends, 0), color="0.1", capsize=3, lw=1)
        notes.append(f"bar: {100 * band.share:g}% of {band.cases} earlier cases on {', '.join(band.sets)}")
    panel.set_xlabel(plotting.LABELS["train_sigma"])
    panel.set_ylabel(f"certified accuracy at r = {advice.radius:g}" if advice.radius else "accuracy")
    panel.legend(frameon=False, fontsize=7)
    return plotting.finish(figure, f"{advice.data}: how much training noise", notes)


@plotting.style()
def draw_predicted(predicted: pd.DataFrame, title: str, notes: Sequence[str] = ()) -> Figure:
    """One rule alone: a panel for each quantity and radius, a line for each β.

    Args:
        predicted: rows of the rule from ``rule_table``.
        title: of the figure.
        notes: lines below it.
    """
    parts = _curves(predicted)
    figure, panels = _panels(len(parts))
    for axes, ((quantity, radius), part) in zip(panels, parts, strict=True):
        plotting.curves(axes, part, "train_sigma", "smooth_sigma", symbol="β")
        axes.set_title(_title(quantity, radius), fontsize=8)
    panels[0].legend(frameon=False, fontsize=7)
    return plotting.finish(figure, title, ["band: 95% over inputs", *notes])


@plotting.style()
def draw_pair(table: pd.DataFrame, best: pd.DataFrame, title: str, notes: Sequence[str] = ()) -> Figure:
    """Half-spaces: certified accuracy over α at each radius, closed form, count and trained linear model.

    Args:
        table: from ``pair_table`` and ``linear_table``.
        best: from ``best_levels``.
        title: of the figure.
        notes: lines below it.
    """
    figure, axes = plotting.new_figure(width=4.6, height=3.6)
    panel = axes[0][0]
    accuracies = table[table["quantity"] == "certified_accuracy"]
    radii = sorted(accuracies["radius"].unique())
    styles: dict[str, dict[str, Any]] = {
        PREDICTED: {"ls": "--", "lw": 1.3},
        ACTUAL: {"ls": "-", "lw": 1.3},
        LINEAR: {"ls": "none", "marker": "x", "ms": 4},
    }
    for tint, radius in zip(plotting.colours("radius", len(radii)), radii, strict=True):
        for rule, style in styles.items():
            line = accuracies[(accuracies["radius"] == radius) & (accuracies["predictor"] == rule)].sort_values(
                "train_sigma"
            )
            label = f"r = {radius:g}" if rule == ACTUAL else None
            panel.plot(line["train_sigma"], line["value"], color=tint, label=label, **style)
        level = float(best.loc[best["radius"] == radius, "optimal_train_sigma"].iloc[0])
        if level <= accuracies["train_sigma"].max():
            panel.plot([level], [-0.02], marker="^", ms=5, color=tint, clip_on=False, ls="none")
    panel.set_xlabel(plotting.LABELS["train_sigma"])
    panel.set_ylabel(plotting.LABELS["certified_accuracy"])
    panel.set_ylim(-0.02, 1.02)
    panel.legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    told = "dashed: closed form; solid: the same rule on test inputs; ×: logistic regression; ▲: the closed form's α(r)"
    return plotting.finish(figure, title, [told, *notes])


@plotting.style()
def draw_runs(tables: Mapping[str, pd.DataFrame], title: str) -> Figure:
    """Measured curves of runs with what other votes predict.

    Args:
        tables: from ``log_overlays``.
        title: of the figure.
    """
    from matplotlib.lines import Line2D

    figure, axes = plotting.new_figure(width=5.4, height=3.2)
    panel = axes[0][0]
    plotting.plot_certified_accuracy(panel, {Path(name).stem: table for name, table in tables.items()})
    for table in tables.values():
        panel.plot(table["radius"], table["predicted"], color="0.15", lw=1, ls="--")
    # beside the curves, which fill the panel
    panel.get_legend().remove()
    handles = [*panel.get_legend_handles_labels()[0], Line2D([], [], color="0.15", lw=1, ls="--", label="predicted")]
    figure.legend(handles=handles, loc="outside right center", frameon=False, fontsize=7)
    return plotting.finish(figure, title, ["band: 95% over inputs; predicted from votes that the run did not see"])
