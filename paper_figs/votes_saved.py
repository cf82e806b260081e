"""Ours: votes that each stopping rule saves against a fixed number, and what it certifies (docs/math.md 4.4).

A population whose certified accuracy is that of Cohen et al.'s CIFAR-10 model at σ = .5, the same votes for every rule,
``--fast`` takes fewer inputs. ``python -m benchmarks savings`` has the same exactly, on populations of several runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from noiseaug.certificates import (
    Certificate,
    CertificationSetting,
    Cohen,
    ConfidenceSequence,
    FullRadius,
    MultiLook,
    VoteBudget,
)
from paper_figs import look
from paper_figs.savings import LEVEL, SIGMA, VOTES, path, played, population
from paper_figs.tables import OURS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TITLE = "votes saved by each stopping rule at equal failure probability"
SOURCE = "ours"

_RADII = (0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
_LOOKS = {"multi-look": ("#0072B2", "o"), "confidence-sequence": ("#D55E00", "D"), "full-radius": ("#009E73", None)}


def compute(fast: bool) -> pd.DataFrame:
    """A row for each rule and target radius: mean votes, the factor saved, and how many inputs are certified."""
    import pandas as pd

    run = CertificationSetting(SIGMA, VoteBudget(VOTES, LEVEL))
    rules: list[tuple[Certificate, float]] = [(FullRadius(), np.nan)]
    for radius in _RADII[:: 2 if fast else 1]:
        rules += [(MultiLook((radius,)), radius), (ConfidenceSequence(radius), radius)]
    looks = np.array(sorted({look for rule in (Cohen(), *(r for r, _ in rules)) for look in rule.looks(run)}))
    inputs = population(400 if fast else 3000)
    paths = [path(p, looks, np.random.default_rng([1, i])) for i, p in enumerate(inputs)]
    fixed = np.array([played(Cohen(), run, looks, hits)[0] for hits in paths])
    rows: list[dict[str, Any]] = []
    for rule, radius in rules:
        radii, votes = map(np.array, zip(*(played(rule, run, looks, hits) for hits in paths), strict=True))
        target = 0.0 if np.isnan(radius) else radius
        rows.append(
            {
                "certificate": rule.name,
                "radius": radius,
                "votes": float(votes.mean()),
                "saved": VOTES / float(votes.mean()),
                "certified": int((radii >= target).sum()),
                "certified_fixed": int((fixed >= target).sum()),
                "acr": float(np.maximum(radii, 0).mean()) if np.isnan(radius) else np.nan,
                "acr_fixed": float(np.maximum(fixed, 0).mean()) if np.isnan(radius) else np.nan,
                "inputs": len(inputs),
            }
        )
    return pd.DataFrame(rows).assign(n=VOTES, failure_prob=LEVEL, smooth_sigma=SIGMA, origin=OURS)


def draw(table: pd.DataFrame) -> Figure:
    """The factor saved over the target radius, and the share of the certificates that is kept."""
    figure, axes = look.new_figure(1, 2, width=3.1, height=2.8)
    left, right = axes[0]
    for name, (colour, marker) in _LOOKS.items():
        rows = table[table["certificate"] == name].sort_values("radius")
        if marker is None:
            saved = float(rows["saved"].iloc[0])
            left.axhline(saved, color=colour, ls="--", lw=1.2, label=f"{name} (no target)")
            continue
        left.plot(rows["radius"], rows["saved"], color=colour, marker=marker, ms=4, lw=1.3, label=name)
        kept = rows["certified"] / rows["certified_fixed"]
        right.plot(rows["radius"], kept, color=colour, marker=marker, ms=4, lw=1.3, label=name)
    full = table[table["certificate"] == "full-radius"]
    kept_acr = float((full["acr"] / full["acr_fixed"]).iloc[0])
    right.axhline(kept_acr, color=_LOOKS["full-radius"][0], ls="--", lw=1.2, label="full-radius: ACR")
    left.set(
        xlabel=f"target {look.label('radius', look.PIXELS)}",
        ylabel="votes saved (factor)",
        yscale="log",
    )
    left.set_yticks([2, 5, 10, 20, 50, 100], ["2", "5", "10", "20", "50", "100"])
    left.minorticks_off()
    right.set(
        xlabel=f"target {look.label('radius', look.PIXELS)}",
        ylabel="certificates kept (fraction)",
        ylim=(min(0.94, float((table["certified"] / table["certified_fixed"]).min()) - 0.01), 1.005),
    )
    left.legend(fontsize=7, frameon=False)
    right.legend(fontsize=7, frameon=False, loc="lower left")
    first = table.iloc[0]
    return look.finish(
        figure,
        "Stopping early saves most votes and keeps nearly all certificates",
        [
            f"against n = {int(first['n']):,} votes at failure probability {first['failure_prob']:g}, β = "
            f"{first['smooth_sigma']:g}; {int(first['inputs'])} inputs whose certified accuracy is that of Cohen et "
            "al.'s CIFAR-10 model"
        ],
    )
