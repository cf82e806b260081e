"""Ours: the bridge, what the training data alone predict over what was measured.

Left and middle: a linear model on MNIST 3 against 8, docs/results/mnist_3_8_linear.csv; ``--fast`` computes the same
for the digits 3 and 8. Right: Pal & Sulam's CNN on MNIST, docs/results/mnist_grid.csv, under the predictions in
paper_figs/data/mnist_prediction.csv (``noiseaug bridge``; the command stands in paper_figs/data/README.md); both
versions draw the committed tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from noiseaug.bridge.surrogate import ACTUAL, LINEAR, PREDICTED
from paper_figs import look
from paper_figs.tables import OURS, committed, few, measured_grid

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "the bridge: what the data alone predict, over what was measured"
SOURCE = "ours"
COMMITTED = (
    "docs/results/mnist_3_8_linear.csv",
    "docs/results/mnist_grid.csv",
    "paper_figs/data/mnist_prediction.csv",
)

_CNN, _CLOSED, _MEASURED = "mnist, CNN", "closed form", "measured"
_DASHES = {"quadratic": "--", "kernel": ":"}  # of predictions, by rule
_STYLES: dict[str, dict[str, Any]] = {
    PREDICTED: {"ls": "--", "marker": "o", "color": "#0072B2", "label": "predicted: Gaussian surrogate"},
    ACTUAL: {"ls": "-", "marker": "s", "color": "#009E73", "label": "the same rule on test images"},
    LINEAR: {"ls": "-", "marker": "x", "color": "#D55E00", "label": "trained logistic regression"},
}


def compute(fast: bool) -> pd.DataFrame:
    """Best α and certified accuracy there for each radius of the linear model; risk over α of the CNN."""
    import pandas as pd

    name, best = ("digits 3 against 8", _digits()) if fast else ("MNIST 3 against 8", committed(COMMITTED[0]))
    rows: list[dict[str, Any]] = []
    for line in best.to_dict("records"):
        common = {"setting": name, "radius": line["radius"]}
        level = line["optimal_train_sigma"]
        if np.isfinite(level):
            rows.append(common | {"predictor": _CLOSED, "quantity": "best_train_sigma", "value": level})
        for rule in _STYLES:
            rows.append(common | {"predictor": rule, "quantity": "best_train_sigma", "value": line[f"{rule}, best α"]})
            accuracy = line[f"{rule}, certified accuracy there"]
            rows.append(common | {"predictor": rule, "quantity": "certified_accuracy", "value": accuracy})
    predicted = committed(COMMITTED[2])
    predicted = predicted[predicted["quantity"] == "risk"].assign(setting=_CNN)
    measured = measured_grid(COMMITTED[1], ["risk"])
    levels = set(predicted["smooth_sigma"].round(9))
    measured = measured[measured["smooth_sigma"].round(9).isin(levels)].assign(predictor=_MEASURED, setting=_CNN)
    table = pd.concat([pd.DataFrame(rows), predicted, measured], ignore_index=True).assign(origin=OURS)
    kept = [
        "setting",
        "predictor",
        "quantity",
        "radius",
        "train_sigma",
        "smooth_sigma",
        "value",
        "lower",
        "upper",
        "origin",
    ]
    return table[kept]


def _digits() -> pd.DataFrame:
    """The columns of the committed table, for the bundled digits."""
    import pandas as pd

    from noiseaug.bridge import best_levels, fit_surrogate, linear_table, pair_table
    from noiseaug.data import load_data

    data = load_data("digits:3,8")
    assert data.train is not None
    surrogate = fit_surrogate(data.train.inputs, data.train.labels)
    alphas, radii = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0), (0.0, 0.25, 0.5, 0.75, 1.0)
    table = pd.concat(
        [
            pair_table(surrogate, data.test.inputs, data.test.labels, train_sigma=alphas, radii=radii, task=data.name),
            linear_table(data, train_sigma=alphas, radii=radii, copies=5),
        ],
        ignore_index=True,
    )
    return best_levels(surrogate, table, radii)


def draw(table: pd.DataFrame) -> Figure:
    """Best α over r, certified accuracy over r, the CNN's risk over α."""
    figure, axes = look.new_figure(1, 3, width=3.0, height=3.0)
    left, middle, right = axes[0]
    linear = table[table["setting"] != _CNN]
    name = str(linear["setting"].iloc[0])
    closed = linear[linear["predictor"] == _CLOSED].sort_values("radius")
    left.plot(closed["radius"], closed["value"], color="0.15", lw=1.1, label="closed form α(r)")
    for axis, quantity in ((left, "best_train_sigma"), (middle, "certified_accuracy")):
        for rule, style in _STYLES.items():
            line = linear[(linear["predictor"] == rule) & (linear["quantity"] == quantity)].sort_values("radius")
            shown = style | ({"ls": "none"} if axis is left else {})
            axis.plot(line["radius"], line["value"], lw=1.2, ms=4.5, mfc="none", **shown)
        axis.set_xlabel(look.label("radius", look.PIXELS))
        look.panel_title(axis, f"linear model, {name}")
    points = linear[linear["predictor"].isin(list(_STYLES)) & (linear["quantity"] == "best_train_sigma")]
    top = float(points["value"].max())
    left.set(ylabel=f"best training noise α* ({look.PIXELS})", ylim=(-0.05, 1.25 * top))
    middle.set(ylabel=f"certified accuracy at α* ({look.FRACTION})", ylim=(None, 1.02))
    left.legend(handles=left.lines[:1], fontsize=6.5, frameon=False, loc="upper left")
    middle.legend(fontsize=6.5, frameon=False, loc="lower left")
    _network(right, table[table["setting"] == _CNN])
    return look.finish(
        figure,
        "The bridge: what the data alone predict, over what was measured",
        [
            "linear: two Gaussians with the pooled covariance of the training images; points: best of a coarse grid",
            "network: Gaussian classes (quadratic rule) feel α as the network does, at another level; the kernel rule "
            "of the training images hardly does; band: 95% over images",
        ],
    )


def _network(axes: Axes, table: pd.DataFrame) -> None:
    from noiseaug import plotting

    levels = few(table["smooth_sigma"].unique().tolist(), 3)
    rules = [rule for rule in _DASHES if rule in set(table["predictor"])]
    for colour, beta in zip(plotting.colours("smooth_sigma", len(levels)), levels, strict=True):
        here = table[table["smooth_sigma"] == beta].sort_values("train_sigma")
        measured = here[here["predictor"] == _MEASURED]
        style = look.line_style(OURS)
        axes.plot(measured["train_sigma"], measured["value"], color=colour, label=f"β = {beta:g}", **style)
        look.band(axes, measured, "train_sigma", colour)
        for rule in rules:
            line = here[here["predictor"] == rule]
            axes.plot(line["train_sigma"], line["value"], color=colour, ls=_DASHES[rule], lw=1.2)
    for rule in rules:
        axes.plot([], [], color="0.3", ls=_DASHES[rule], lw=1.2, label=f"predicted: {rule} rule")
    axes.set(xlabel=look.label("train_sigma", look.PIXELS), ylabel="risk (fraction)", yscale="log")
    axes.set_ylim(top=8)  # room for the legend
    ticks = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    look.panel_title(axes, "CNN on MNIST: risk")
    axes.legend(fontsize=6.5, frameon=False, loc="upper right", ncols=2)
