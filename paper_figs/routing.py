"""Ours: a smoothing level for each input, exactly (docs/math.md 4.10): what an oracle gains, and what a router keeps.

On the line, stretches of fine stripes, which a large β melts, take turns with stretches of one class full of specks,
which a large β ignores; a router names the stretch. In 20 dimensions, concentric Gaussians with a router that knows the
distance from the centre. Votes are 100 000 at a failure probability of 0.001: no level certifies more than 3.8 β.
``--fast`` computes fewer radii.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from noiseaug.confidence import VoteBudget
from noiseaug.predictors import SmoothedRegion, augmented, smoothed
from noiseaug.regions import Ball, IntervalUnion
from noiseaug.risk.routed import RoutedPredictor, best_certified_accuracy, routed_certified_accuracy
from noiseaug.tasks import ConcentricGaussians, Intervals
from noiseaug.tasks.base import ProfileTask
from paper_figs import look
from paper_figs.tables import OURS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "a smoothing level for each input: what an oracle gains, and what a router keeps of it"
SOURCE = "ours"

_BUDGET = VoteBudget(100_000, 1e-3)
_LENGTH, _SPECK = 24.0, 0.1
_PATCHES = (1, 2, 3, 6)  # stretches of each kind
_FINE, _COARSE, _ROUTER = 0.12, 1.0, 0.5
_BALLS = (0.12, 0.5, 0.25)  # the two levels and the router's
_THRESHOLDS = (1.2, 1.4, 1.6, 1.8, 2.0)


def stretches(patches: int) -> tuple[Intervals, IntervalUnion]:
    """The task with so many stretches of each kind, and where the specked ones lie."""
    width = _LENGTH / (2 * patches)
    class_1: list[tuple[float, float]] = []
    specked = []
    for start in 2 * width * np.arange(patches):
        stripes = start + np.arange(int(width // 2)) * 2
        class_1 += [(left + 0.5, left + 1.5) for left in stripes]
        ends = [start + width, *(start + width + 0.5 + np.arange(int(width))), start + 2 * width]
        half = 0.5 * _SPECK
        inner = [(left + half, right - half) for left, right in itertools.pairwise(ends)]
        inner[0], inner[-1] = (ends[0], inner[0][1]), (inner[-1][0], ends[-1])
        class_1 += inner
        specked.append((start + width, start + 2 * width))
    specked[-1] = (specked[-1][0], np.inf)  # nothing lies beyond, where the router may say what it likes
    return Intervals(np.array(class_1), (0.0, _LENGTH)), IntervalUnion(np.array(specked))


def compute(fast: bool) -> pd.DataFrame:
    """Certified accuracy of each level, of the oracle and of the router, for each task and radius."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for patches in _PATCHES:
        task, specked = stretches(patches)
        experts = tuple(smoothed(augmented(task, 0.0), level) for level in (_FINE, _COARSE))  # type: ignore[arg-type]
        predictor = RoutedPredictor((specked.complement(), specked), _ROUTER, experts)
        radii = np.linspace(0, 0.6, 7 if fast else 25)
        for row in _rows(task, experts, [predictor], radii):
            rows.append({"task": "line", "patch": _LENGTH / (2 * patches)} | row)
    balls = ConcentricGaussians(20, 0.3, 0.5)
    experts = tuple(smoothed(augmented(balls, level), level) for level in _BALLS[:2])  # type: ignore[arg-type]
    inner = [Ball(20, threshold, outside) for threshold in _THRESHOLDS for outside in (False, True)]
    routers = [RoutedPredictor((ball, ball.complement()), _BALLS[2], experts) for ball in inner]
    for row in _rows(balls, experts, routers, np.linspace(0, 0.6, 4 if fast else 13)):
        rows.append({"task": "balls", "patch": np.nan} | row)
    return pd.DataFrame(rows).assign(origin=OURS)


def _rows(
    task: ProfileTask, experts: Sequence[SmoothedRegion], routers: Sequence[RoutedPredictor], radii: np.ndarray
) -> Iterator[dict[str, Any]]:
    """Each curve; of several routers the best at each radius."""
    curves = {f"β = {each.smooth_sigma:g}": best_certified_accuracy(task, [each], radii, _BUDGET) for each in experts}
    curves["oracle"] = best_certified_accuracy(task, experts, radii, _BUDGET)
    curves["router"] = np.max([routed_certified_accuracy(task, each, radii, _BUDGET) for each in routers], axis=0)
    for name, values in curves.items():
        for radius, value in zip(radii.tolist(), values.tolist(), strict=True):
            yield {"curve": name, "radius": radius, "value": value}


def draw(table: pd.DataFrame) -> Figure:
    """Certified accuracy on the line and for balls, and between them the gain over the length of a stretch."""
    figure, axes = look.new_figure(1, 3, width=2.8, height=2.7)
    line = table[table["task"] == "line"]
    longest = line["patch"].max()
    _curves(axes[0][0], line[line["patch"] == longest], f"line, stretches of {longest:g}")
    _gains(axes[0][1], line)
    _curves(axes[0][2], table[table["task"] == "balls"], "concentric Gaussians, d = 20")
    return look.finish(
        figure,
        "A level for each input pays where scales differ from place to place, over stretches long beside r",
        [
            "oracle: best level of each input and class; router: the smaller of its own radius and the expert's",
            "all exact, 100 000 votes at failure probability 0.001; balls: best of ten routers at each radius",
        ],
    )


_STYLES = {"oracle": ("--", "0.35"), "router": ("-", "tab:blue")}


def _curves(axis: Axes, table: pd.DataFrame, title: str) -> None:
    from noiseaug import plotting

    single = [name for name in table["curve"].unique() if name not in _STYLES]
    colours = dict(zip(single, plotting.colours("smooth_sigma", len(single)), strict=True))
    for name, rows in table.groupby("curve", sort=False):
        style, colour = _STYLES.get(str(name), ("-", colours.get(name)))
        axis.plot(rows["radius"], rows["value"], style, color=colour, lw=1.4, label=name)
    axis.set_xlabel(look.label("radius", look.INPUT))
    axis.set_ylabel("certified accuracy (fraction)")
    axis.set_ylim(-0.02, 1.02)
    axis.legend(fontsize=7, frameon=False)
    look.panel_title(axis, title)


def gains(line: pd.DataFrame, radius: float) -> pd.DataFrame:
    """What oracle and router certify above the best single level at a radius, by length of a stretch."""
    here = line[np.isclose(line["radius"], radius)].pivot(index="patch", columns="curve", values="value")
    best = here.drop(columns=["oracle", "router"]).max(axis=1)
    return here[["oracle", "router"]].sub(best, axis=0)


def _gains(axis: Axes, line: pd.DataFrame) -> None:
    for radius, marker in ((0.1, "o"), (0.3, "s")):
        found = gains(line, radius)
        for name, (style, colour) in _STYLES.items():
            axis.plot(
                found.index,
                found[name],
                style,
                marker=marker,
                ms=3,
                color=colour,
                lw=1.2,
                label=f"{name}, r = {radius:g}",
            )
    axis.axhline(0, color="0.3", lw=0.8)
    axis.set_xlabel("length of a stretch (input units)")
    axis.set_ylabel("gain over the best β (fraction)")
    axis.legend(fontsize=7, frameon=False)
    look.panel_title(axis, "what survives")
