"""Salman et al. 2019: what ε, T, m, σ, pre-training and self-training do, over the whole grid that they released.

From the logs of 1 341 SmoothAdv models on at most 500 images of CIFAR-10 (``noiseaug.published``); ``--fast`` draws
the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from paper_figs import look
from paper_figs.tables import RELEASED, SALMAN

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "effect of ε, T, m, σ, pre-training and self-training over Salman et al.'s released grid"
SOURCE = "Salman et al. 2019, released logs"

_RECIPE = ["method", "smooth_sigma", "attack_radius", "attack_steps", "copies"]
_PANELS = {
    "attack_radius": ("attack radius ε", "acr", "median over T and m"),
    "attack_steps": ("attack steps T", "acr", "m = 1, the best ε of each σ"),
    "copies": ("noisy copies m", "acr", "median over T, the best ε of each σ"),
    "pre_training": ("attack radius ε", "gain", "gain of pre-training"),
    "weight": ("weight of self-training", "gain", "gain of self-training, over T and ε"),
    "radius": ("", "certified_accuracy", "best of each σ, without extra data"),
}
"""x label, quantity and title of each panel."""


def _runs() -> pd.DataFrame:
    from noiseaug.literature import published

    runs = published(data="cifar10", split="test", paper="Salman", method="smoothadv")
    return runs[runs["images"] <= 500].fillna({"copies": 1})


def compute(fast: bool) -> pd.DataFrame:
    """Medians with quartiles for each panel, x and σ; gains are of pairs that differ in nothing else."""
    import pandas as pd

    runs = _runs()
    plain = runs[~runs["pre_training"] & ~runs["self_training"]]
    pgd = plain[(plain["method"] == "smoothadv-pgd") & plain["attack_radius"].between(0.2, 2.1)]
    medians = pgd.groupby(["smooth_sigma", "attack_radius"])["acr"].median()
    best = medians.groupby("smooth_sigma").idxmax().to_dict()
    at_best = pgd[[best[level][1] == radius for level, radius in pgd[["smooth_sigma", "attack_radius"]].to_numpy()]]
    several = at_best.loc[at_best["copies"] > 1, "attack_steps"].unique()  # with one copy there are more
    pre = runs[runs["pre_training"] & ~runs["self_training"]].merge(plain, on=_RECIPE, suffixes=("", "_plain"))
    single = plain[plain["copies"] == 1]
    own = runs[runs["self_training"] & ~runs["pre_training"]].merge(single, on=_RECIPE, suffixes=("", "_plain"))
    parts = [
        _quartiles("attack_radius", pgd, pgd["acr"], pgd["attack_radius"]),
        _quartiles("attack_steps", (rows := at_best[at_best["copies"] == 1]), rows["acr"], rows["attack_steps"]),
        _quartiles("copies", (rows := at_best[at_best["attack_steps"].isin(several)]), rows["acr"], rows["copies"]),
        _quartiles("pre_training", pre, pre["acr"] - pre["acr_plain"], pre["attack_radius"]),
        _quartiles("weight", own, own["acr"] - own["acr_plain"], own["weight"]),
        _envelope(plain),
    ]
    return pd.concat(parts, ignore_index=True).assign(origin=RELEASED)


def _quartiles(panel: str, rows: pd.DataFrame, values: pd.Series, x: pd.Series) -> pd.DataFrame:
    import pandas as pd

    groups = values.astype(float).groupby([rows["smooth_sigma"], x.astype(float).rename("x")])
    ends = {name: groups.quantile(share) for name, share in (("lower", 0.25), ("value", 0.5), ("upper", 0.75))}
    return pd.DataFrame(ends).assign(runs=groups.size(), panel=panel, quantity=_PANELS[panel][1]).reset_index()


def _envelope(plain: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    from noiseaug.literature import RADII

    rows = [
        {"smooth_sigma": level, "x": radius, "value": float(here[f"ca_{radius:g}"].max()), "runs": len(here)}
        for level, here in plain.groupby("smooth_sigma")
        for radius in RADII
    ]
    table = pd.DataFrame(rows)
    table = table[table["value"] > 0]
    return table.assign(lower=table["value"], upper=table["value"], panel="radius", quantity="certified_accuracy")


def draw(table: pd.DataFrame) -> Figure:
    """A panel for each parameter, a line for each σ; bars run from the lower to the upper quartile."""
    figure, axes = look.new_figure(2, 3, width=2.8, height=2.5)
    for axis, panel in zip(axes.flat, _PANELS, strict=True):
        _draw_panel(axis, table[table["panel"] == panel], panel)
    axes[0][0].legend(fontsize=6.5, frameon=False, loc="lower right", ncols=2)
    runs = int(table.loc[table["panel"] == "radius"].drop_duplicates("smooth_sigma")["runs"].sum())
    return look.finish(
        figure,
        "SmoothAdv on CIFAR-10: what each parameter does, over the released grid",
        [
            f"{SALMAN}, ResNet-110, the same 500 images for nearly all; {runs} models without extra data; points: "
            "median, bars: quartiles; gains: pairs of models that differ in nothing else; the flat end of σ = 1 is a "
            "constant classifier",
        ],
    )


def _draw_panel(axis: Axes, rows: pd.DataFrame, panel: str) -> None:
    from noiseaug import plotting

    x_label, quantity, title = _PANELS[panel]
    levels = sorted(rows["smooth_sigma"].unique())
    for colour, level in zip(plotting.colours("smooth_sigma", len(levels)), levels, strict=True):
        line = rows[rows["smooth_sigma"] == level].sort_values("x")
        axis.plot(line["x"], line["value"], color=colour, label=f"σ = {level:g}", marker="o", ms=3, lw=1.2)
        axis.vlines(line["x"], line["lower"], line["upper"], color=colour, lw=1.0, alpha=0.6)
    if quantity == "gain":
        axis.axhline(0, color="0.35", lw=0.8)
        axis.set_ylabel("gain in ACR (pixels in [0, 1])")
    else:
        axis.set_ylabel(look.label(quantity, look.PIXELS if quantity == "acr" else look.FRACTION))
        axis.set_ylim(bottom=0)
    unit = {"attack_radius": look.PIXELS, "pre_training": look.PIXELS, "weight": "factor"}.get(panel, "count")
    axis.set_xlabel(look.label("radius", look.PIXELS) if panel == "radius" else f"{x_label} ({unit})")
    look.panel_title(axis, title)
