"""The discs of Pal & Sulam's Figure 4: as published, and the same question asked fairly."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from noiseaug import plotting
from noiseaug.sweeps import Grid
from noiseaug.synthetic.benefit import NOTICEABLE, SUMMARY_COLUMNS, with_benefit
from noiseaug.synthetic.presets.preset import Preset
from noiseaug.synthetic.study import Part, Study

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["FAIR", "PUBLISHED"]

_PUBLISHED = "discs", "random discs, Pal & Sulam's Figure 4 cell for cell (seed 246, zero padding, 10 draws)"
_FAIR = "discs-fair", "the same discs fairly: a periodic domain, 40 draws, standard errors, up to isolated discs"
_LEVELS = tuple(float(level) for level in range(21))
_SMOOTH, _SEPARATIONS, _DRAWS = (8.0, 11.0, 14.0), (0, 1, 2, 3), 10


def build_published(fast: bool) -> Study:
    """The published sweep; its loops run over β, ζ and draws, which numbers the draws of one random stream."""
    draws = 3 if fast else _DRAWS
    parts = []
    for i, smooth_sigma in enumerate(_SMOOTH):
        grid = Grid(_LEVELS[:: 4 if fast else 1], (smooth_sigma,), quantities=("disagreement",), rule=("convolved",))
        for j, separation in enumerate(_SEPARATIONS):
            first = (i * len(_SEPARATIONS) + j) * _DRAWS
            vary = {"separation": (separation,), "draw": tuple(range(first, first + draws))}
            parts.append(Part("PublishedDiscs", {"seed": 246}, vary, grid))
    return Study(*_PUBLISHED, tuple(parts))


def build_fair(fast: bool) -> Study:
    """Periodic lattices, each draw used at every β."""
    grid = Grid(_LEVELS[:: 4 if fast else 1], _SMOOTH, quantities=("disagreement",), rule=("convolved",))
    vary = {"separation": (0, 1, 2, 3, 10), "draw": tuple(range(4 if fast else 40))}
    return Study(*_FAIR, (Part("DiscLattice", {"seed": 0, "periodic": True}, vary, grid),))


def _mean_benefit(table: pd.DataFrame) -> pd.DataFrame:
    """Mean benefit over draws with its standard error, a row for each (β, ζ, α)."""
    gains = with_benefit(table)
    groups = gains.groupby(["smooth_sigma", "task_separation", "train_sigma"], as_index=False)
    means = groups.agg(value=("benefit", "mean"), error=("benefit", "sem"), without_noise=("without_noise", "mean"))
    return means.fillna({"error": 0.0})


@plotting.style()
def draw(name: str, title: str, notes: tuple[str, ...], table: pd.DataFrame) -> Mapping[str, Figure]:
    """Benefit over α for each ζ with two standard errors, a panel for each β."""
    means = _mean_benefit(table)
    means = means.assign(lower=means["value"] - 2 * means["error"], upper=means["value"] + 2 * means["error"])
    betas = sorted(means["smooth_sigma"].unique())
    top = max(float(means["upper"].max()), 0.0)
    draws = int(table.groupby(["smooth_sigma", "task_separation"])["task_draw"].nunique().max())
    figure, axes = plotting.new_figure(1, len(betas), width=2.7, height=2.7)
    for panel, beta in zip(axes[0], betas, strict=True):
        here = means[means["smooth_sigma"] == beta]
        plotting.curves(panel, here, "train_sigma", "task_separation", symbol="ζ")
        panel.axhline(0, color="0.3", lw=0.8)
        panel.set(title=f"β = {beta:g}", ylim=(-0.06, 1.1 * top + 0.005))
        panel.label_outer()
    axes[0][0].set_ylabel("benefit Δ(0,β) − Δ(α,β)")
    axes[0][-1].legend(fontsize=7, loc="lower left")
    return {name: plotting.finish(figure, title, [note.format(draws=draws) for note in notes])}


def summarise(label: str, table: pd.DataFrame) -> pd.DataFrame:
    """Best noise for the mean over draws; a gain within two standard errors of that mean is unclear."""
    import pandas as pd

    gains = _mean_benefit(table)
    lines = []
    for (beta, separation), curve in gains.groupby(["smooth_sigma", "task_separation"], sort=False):
        best = curve.nlargest(1, "value").iloc[0]
        gain, unsure = float(best["value"]), float(2 * best["error"])
        loss = -float((curve["value"] + 2 * curve["error"]).min())
        lost = "hurts" if loss > NOTICEABLE else "no effect"
        lines.append(
            {
                "setting": f"{label}, separation={separation:g}",
                "quantity": "disagreement",
                "smooth_sigma": beta,
                "radius": float("nan"),
                "without_noise": best["without_noise"],
                "with_best_noise": best["without_noise"] - gain,
                "best_train_sigma": best["train_sigma"],
                "gain": gain,
                "noise": "helps"
                if gain - unsure > NOTICEABLE
                else "unclear, within 2 s.e."
                if gain > NOTICEABLE
                else lost,
            }
        )
    return pd.DataFrame(lines, columns=list(SUMMARY_COLUMNS))


PUBLISHED = Preset(
    *_PUBLISHED,
    build_published,
    partial(
        draw,
        "discs",
        "Pal & Sulam's Figure 4 recomputed (seed 246), before their Savitzky–Golay filter",
        (
            "band: two standard errors over {draws} draws; most benefits lie within it",
            "zero padding counts all that lies around the lattice as class 0, which changes the curves",
        ),
    ),
    partial(summarise, "discs as published"),
)
FAIR = Preset(
    *_FAIR,
    build_fair,
    partial(
        draw,
        "discs_fair",
        "The same discs on a torus",
        (
            "band: two standard errors over {draws} draws",
            "where β melts every disc (flat lines) nothing is left to gain",
        ),
    ),
    partial(summarise, "discs on a torus"),
    redraws=("train_sigma", "smooth_sigma", "separation", "draw"),
)
