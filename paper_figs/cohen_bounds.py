"""Cohen et al. 2019: what the number of votes n and the failure probability do to a certificate (docs/math.md 4.2).

Left and middle are their CERTIFY on expected counts. Right: their CIFAR-10 model at σ = .5 as published (n = 100 000),
and what a run with n votes would report on average for inputs whose true certified accuracy is that curve
(docs/math.md 1.5). ``--fast`` has fewer points.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from noiseaug.certificates import CertificationSetting, Cohen
from noiseaug.risk import VoteBudget, finite_sample_curve
from paper_figs import look
from paper_figs.tables import COHEN, OURS, committed

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TITLE = "certified radius against votes and failure probability"
SOURCE = "Cohen et al. 2019, CERTIFY; numbers ours, certified accuracy on CIFAR-10 theirs"
COMMITTED = ("paper_figs/data/cohen_2019_cifar10.csv",)

_SIGMA = 0.5
_SHARES = (0.6, 0.8, 0.95, 0.99, 1.0)
_STANDARD_N, _STANDARD_A = 100_000, 1e-3
_RUNS = (100, 1_000, 10_000, 100_000)


def compute(fast: bool) -> pd.DataFrame:
    """R/σ over n and over the failure probability for each share of votes; certified accuracy over r for each n."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    votes = np.unique(np.geomspace(20, 1e6, 16 if fast else 60).round().astype(int)).tolist()
    for share in _SHARES:
        rows += [_radius("votes", share, n, _STANDARD_A) for n in votes]
        levels = np.geomspace(1e-9, 0.1, 9 if fast else 33)
        rows += [_radius("failure_prob", share, _STANDARD_N, float(f"{level:.6g}")) for level in levels]
    published = committed(COMMITTED[0])
    same = (published["train_sigma"] == _SIGMA) & (published["smooth_sigma"] == _SIGMA)
    same &= (published["images"] == 10_000) & (published["quantity"] == "certified_accuracy")
    published = published.loc[same, ["quantity", "radius", "value"]].sort_values("radius")
    margins, share = _margins(published, 300 if fast else 3000)
    radii = np.linspace(0, 1.9, 20 if fast else 77).round(9)
    for n in _RUNS:
        curve = share * finite_sample_curve(margins, _SIGMA, radii, VoteBudget(n, _STANDARD_A))
        common = {"panel": "accuracy", "votes": n, "failure_prob": _STANDARD_A, "quantity": "certified_accuracy"}
        rows += [common | {"radius": float(r), "value": float(v)} for r, v in zip(radii, curve, strict=True)]
    published = published.assign(panel="accuracy", votes=_STANDARD_N, failure_prob=_STANDARD_A, origin=COHEN)
    return pd.concat([pd.DataFrame(rows).assign(origin=OURS), published], ignore_index=True)


def _radius(panel: str, share: float, votes: int, failure_prob: float) -> dict[str, Any]:
    """One certificate on the expected count, in units of σ."""
    run = CertificationSetting(1.0, VoteBudget(votes, failure_prob))
    count = int(np.floor(share * votes + 1e-9))
    counts = np.array([[count, votes - count]])
    radius = Cohen().decide(run, 0, np.array([1, 0]), counts).radius
    common = {"panel": panel, "share": share, "votes": votes, "failure_prob": failure_prob}
    return common | {"quantity": "radius_over_sigma", "value": radius}


def _margins(curve: pd.DataFrame, size: int) -> tuple[np.ndarray, float]:
    """Φ⁻¹ of the votes for the true class of ``size`` inputs with this certified accuracy, and the share they make up.

    The rest is classified wrong. Nothing is certified beyond 1.9, the most that the published number of votes reaches.
    """
    radii, values = np.append(curve["radius"], 1.9), np.append(curve["value"], 0.0)
    rank = values[0] * (np.arange(size) + 0.5) / size
    return np.interp(rank, values[::-1], radii[::-1]) / _SIGMA, float(values[0])


def draw(table: pd.DataFrame) -> Figure:
    """Radius over n, radius over the failure probability, certified accuracy over the radius."""
    from noiseaug import plotting

    figure, axes = look.new_figure(1, 3, width=2.9, height=2.9)
    tints = plotting.colours("share", len(_SHARES))
    labels = {"votes": "votes n (count)", "failure_prob": "failure probability of a certificate (probability)"}
    for axis, panel in zip(axes[0], labels, strict=False):
        for colour, share in zip(tints, _SHARES, strict=True):
            line = table[(table["panel"] == panel) & (table["share"] == share)].sort_values(panel)
            axis.plot(line[panel], line["value"], color=colour, lw=1.4, label=f"{100 * share:g}%")
            if share < 1:
                axis.axhline(float(special.ndtri(share)), color=colour, lw=0.8, ls=":")
        axis.set(xscale="log", xlabel=labels[panel], ylim=(-0.1, 5.9))
    axes[0][0].set_ylabel("certified radius over σ (ratio)")
    axes[0][0].legend(
        fontsize=6.5, frameon=False, title="votes for the class", title_fontsize=6.5, ncols=3, loc="upper left"
    )
    look.panel_title(axes[0][0], f"failure probability {_STANDARD_A:g}")
    look.panel_title(axes[0][1], f"n = {_STANDARD_N:,}")
    right = axes[0][2]
    accuracy = table[table["panel"] == "accuracy"]
    runs = sorted(accuracy["votes"].unique())
    for colour, n in zip(plotting.colours("radius", len(runs)), runs, strict=True):
        line = accuracy[(accuracy["votes"] == n) & (accuracy["origin"] == OURS)].sort_values("radius")
        right.plot(line["radius"], line["value"], color=colour, lw=1.4, label=f"n = {n:,}")
    told = accuracy[accuracy["origin"] == COHEN].sort_values("radius")
    right.plot(told["radius"], told["value"], color="black", label="published, n = 100,000", **look.line_style(COHEN))
    right.set(xlabel=look.label("radius", look.PIXELS), ylabel=look.label("certified_accuracy", look.FRACTION))
    right.set_ylim(-0.02, 0.8)
    right.legend(fontsize=6.5, frameon=False)
    look.panel_title(right, f"CIFAR-10, σ = {_SIGMA:g} (Cohen et al.)")
    return look.finish(
        figure,
        "More votes reach further; the failure probability costs little",
        [
            "dotted: the limit Φ⁻¹ of the share, for endless votes; right: what fewer votes would report on "
            "average, the published curve taken for the truth"
        ],
    )
