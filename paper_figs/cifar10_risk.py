"""Pal & Sulam 2023: risk of the smoothed classifier over α for each β on CIFAR-10.

Ours: docs/results/cifar10_grid.csv, made by ``noiseaug grid --data cifar10`` (the command stands in
docs/results/cifar10_grid.md); without that table the released risks are drawn alone. ``--fast`` draws the same, as
training takes longer than a minute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from paper_figs.risks import compute_risks, draw_risks, our_notes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TITLE = "CIFAR-10: risk of the smoothed classifier over α, for each β"
SOURCE = "Pal & Sulam 2023, CIFAR-10 risks"
COMMITTED = ("docs/results/cifar10_grid.csv", "paper_figs/data/pal_sulam_2023_cifar10_risk.csv")


def compute(fast: bool) -> pd.DataFrame:
    """Measured risks, where there are any, and the released ones."""
    return compute_risks(*COMMITTED)


def draw(table: pd.DataFrame) -> Figure:
    """Risk over α."""
    notes = ["released: 400 test images, 200 votes (standard error about .02)", *our_notes(table)]
    return draw_risks(table, "CIFAR-10: risk of the smoothed classifier over training noise", notes)
