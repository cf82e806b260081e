"""Salman et al. 2019: what the copies m, the attack steps T and the attack radius ε of SmoothAdv do, on MNIST.

Draws docs/results/mnist_smoothadv.csv, made by ``sh docs/results/mnist_smoothadv.sh FOLDER`` (some quarter of an hour);
``--fast`` draws the same table. One seed and 100 images: differences of a few points are within chance.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from noiseaug.errors import InvalidInputError
from paper_figs import look
from paper_figs.tables import OURS, report_rows

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TITLE = "SmoothAdv on MNIST: effect of copies m, attack steps T and attack radius ε"
SOURCE = "Salman et al. 2019, effect of m, T and ε; numbers ours"
COMMITTED = ("docs/results/mnist_smoothadv.csv",)

_PANELS = {"copies": "copies m", "steps": "attack steps T", "attack_radius": "attack radius ε"}


def compute(fast: bool) -> pd.DataFrame:
    """Certified accuracy and ACR of every run; Gaussian training has no steps and no attack radius."""
    import pandas as pd

    rows = []
    for name, row in report_rows(COMMITTED[0]):
        found = re.fullmatch(r"(\w+)-m(\d+)(?:-T(\d+)-e([0-9.]+))?", name)
        if found is None:
            raise InvalidInputError(f"{COMMITTED[0]} has a run {name!r}; expected NAME-mCOPIES-TSTEPS-eRADIUS.jsonl")
        attack = {"steps": float(found[3] or "nan"), "attack_radius": float(found[4] or "nan")}
        rows.append({"objective": found[1], "copies": float(found[2])} | attack | row)
    return pd.DataFrame(rows).assign(origin=OURS)


def draw(table: pd.DataFrame) -> Figure:
    """Certified accuracy over r, a panel for each parameter, the others as in the run that all panels share."""
    from noiseaug import plotting

    figure, axes = look.new_figure(1, 3, width=2.8, height=2.8)
    rows = table[table["quantity"] == "certified_accuracy"]
    plain, attacked = rows[rows["objective"] == "gaussian"], rows[rows["objective"] == "smoothadv"]
    shared = attacked[list(_PANELS)].mode().iloc[0]
    for axis, (name, label) in zip(axes[0], _PANELS.items(), strict=True):
        others = [other for other in _PANELS if other != name]
        here = attacked[(attacked[others] == shared[others]).all(axis=1)]
        levels = sorted(here[name].unique())
        axis.plot(plain["radius"], plain["value"], color="0.45", ls=":", marker=".", lw=1.2, label="Gaussian")
        for colour, level in zip(plotting.colours("run", len(levels)), levels, strict=True):
            line = here[here[name] == level].sort_values("radius")
            axis.plot(line["radius"], line["value"], color=colour, marker="o", ms=3.5, lw=1.3, label=f"{level:g}")
        axis.set(xlabel=look.label("radius", look.PIXELS), ylim=(0, 1.02))
        axis.set_ylabel(look.label("certified_accuracy", look.FRACTION))
        axis.legend(fontsize=6.5, frameon=False, loc="lower left")
        fixed = {"copies": "m", "steps": "T", "attack_radius": "ε"}
        look.panel_title(axis, f"{label} ({', '.join(f'{fixed[other]} = {shared[other]:g}' for other in others)})")
    first = rows.iloc[0]
    return look.finish(
        figure,
        "SmoothAdv on MNIST: certified accuracy by copies, attack steps and attack radius",
        [
            f"LeNet, α = β = {first['smooth_sigma']:g}, 3 epochs, one seed, {int(first['images'])} test images, "
            f"{int(first['votes']):,} votes: at .9 the 95% interval of a single value is some ± .06",
        ],
    )
