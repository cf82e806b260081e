"""Feng et al. 2020: T-CERTIFY, which bounds the runner-up too, against Cohen et al.'s bound (docs/math.md 4.2, 4.3).

Both certificates of noiseaug.certificates on the same expected counts, and Feng et al.'s own way of choosing the split
after the votes. Their printed numbers were not to be had, so none are drawn. ``--fast`` computes fewer shares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from noiseaug.certificates import Certificate, CertificationSetting, Cohen, TCertify, TCertifyPostHoc, VoteBudget
from paper_figs import look
from paper_figs.tables import OURS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TITLE = "T-CERTIFY against Cohen et al.'s bound on the same votes"
SOURCE = "Feng et al. 2020, T-CERTIFY; numbers ours"

_VOTES, _SELECTION, _LEVEL, _CLASSES = 100_000, 100, 0.001, 10
_SPREADS = {"evenly": "wrong votes spread over nine classes", "one class": "wrong votes all in one class"}
_RULES: tuple[tuple[Certificate, dict[str, Any]], ...] = (
    (Cohen(), {"color": "0.25", "ls": "-", "label": "Cohen et al.: top class only"}),
    (TCertify(), {"color": "#0072B2", "ls": "-", "label": "T-CERTIFY, split chosen beforehand"}),
    (TCertifyPostHoc(), {"color": "#D55E00", "ls": ":", "label": "T-CERTIFY as published, post hoc"}),
)


def compute(fast: bool) -> pd.DataFrame:
    """R/σ for each share of votes for the top class, spread of the others and rule, at expected counts."""
    import pandas as pd

    run = CertificationSetting(1.0, VoteBudget(_VOTES, _LEVEL), _CLASSES)
    shares = np.unique(np.append(np.linspace(0.12, 0.99, 30 if fast else 88), (0.6, 0.95, 0.995, 0.999))).round(6)
    rows = []
    for spread in _SPREADS:
        for share in shares.tolist():
            counts, selection = _counts(share, spread, _VOTES), _counts(share, spread, _SELECTION)
            if counts.argmax() != 0:
                continue  # another class would have been picked
            for rule, _ in _RULES:
                radius = rule.decide(run, 0, selection, counts[None]).radius
                rows.append({"spread": spread, "share": share, "certificate": rule.name, "radius_over_sigma": radius})
    return pd.DataFrame(rows).assign(votes=_VOTES, failure_prob=_LEVEL, classes=_CLASSES, origin=OURS)


def _counts(share: float, spread: str, votes: int) -> np.ndarray:
    """Votes of each class, summing to ``votes``."""
    counts = np.zeros(_CLASSES, dtype=int)
    counts[0] = round(share * votes)
    wrong = votes - counts[0]
    if spread == "evenly":
        counts[1:] = wrong // (_CLASSES - 1)
        counts[1 : 1 + wrong % (_CLASSES - 1)] += 1
    else:
        counts[1] = wrong
    return counts


def draw(table: pd.DataFrame) -> Figure:
    """R/σ over the share of votes, a panel for each spread."""
    figure, axes = look.new_figure(1, 2, width=3.1, height=2.8)
    for axis, (spread, title) in zip(axes[0], _SPREADS.items(), strict=True):
        here = table[table["spread"] == spread]
        for rule, style in _RULES:
            line = here[here["certificate"] == rule.name].sort_values("share")
            axis.plot(line["share"], line["radius_over_sigma"], lw=1.5, **style)
        axis.set(xlabel="votes for the top class (share)", xlim=(0, 1), ylim=(-0.05, 3.2))
        axis.axvline(0.5, color="0.6", lw=0.7, ls="--")
        look.panel_title(axis, title)
    axes[0][0].set_ylabel("certified radius over σ (ratio)")
    axes[0][0].legend(fontsize=6.5, frameon=False, loc="upper left")
    return look.finish(
        figure,
        "Bounding the runner-up too certifies where no class has half of the votes",
        [
            f"{_CLASSES} classes, n = {_VOTES:,} votes, failure probability {_LEVEL:g}; the published split is chosen "
            "on the votes it is used on, which no union bound covers"
        ],
    )
