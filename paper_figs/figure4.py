"""Pal & Sulam 2023, Figure 4 in a fair version: a torus, symmetric discs, more draws, each at every β, no filter.

The preset ``discs-fair`` of ``noiseaug.synthetic``; ``--fast`` has a fifth of the draws and of the levels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from noiseaug.synthetic.presets import find
from noiseaug.tasks import LatticeTask, disagreement_curves
from paper_figs import look
from paper_figs.tables import OURS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Figure 4 asked fairly: a torus, more draws, standard errors, no filter"
SOURCE = "Pal & Sulam 2023, Figure 4; ours"

_FAST_DRAWS, _FAST_STEP = 8, 2


def compute(fast: bool) -> pd.DataFrame:
    """Δ for each (β, ζ, draw, α), of the preset's tasks at the preset's levels."""
    (part,) = find("discs-fair").build(False).parts
    alphas, betas = part.grid.train_sigma[:: _FAST_STEP if fast else 1], part.grid.smooth_sigma
    settings = [(setting, task) for setting, task in part.tasks() if isinstance(task, LatticeTask)]
    if fast:
        settings = [(setting, task) for setting, task in settings if setting["draw"] < _FAST_DRAWS]
    curves = disagreement_curves([task for _, task in settings], alphas, betas, part.grid.rule[0])
    rows = [
        {"task_separation": setting["separation"], "task_draw": setting["draw"], "smooth_sigma": beta}
        | {"train_sigma": alpha, "quantity": "disagreement", "value": value, "lower": value, "upper": value}
        for (setting, _), by_beta in zip(settings, curves, strict=True)
        for beta, curve in zip(betas, by_beta, strict=True)
        for alpha, value in zip(alphas, curve.tolist(), strict=True)
    ]
    return pd.DataFrame(rows).assign(method="exact", origin=OURS)


def draw(table: pd.DataFrame) -> Figure:
    """Mean benefit over α with two standard errors, a panel for each β."""
    (figure,) = find("discs-fair").draw(table).values()
    return look.add_units(figure, look.CELLS)
