"""Pal & Sulam 2023: risk of the smoothed classifier over α for each β on MNIST, theirs and ours in the same axes.

Ours: docs/results/mnist_grid.csv, made by ``noiseaug grid`` (command and time in docs/results/mnist_grid.md).
``--fast`` draws the same table, as training takes longer than a minute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from paper_figs.risks import compute_risks, draw_risks, our_notes
from paper_figs.tables import OURS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TITLE = "MNIST: risk of the smoothed classifier over α, for each β"
SOURCE = "Pal & Sulam 2023, MNIST risks"
COMMITTED = ("docs/results/mnist_grid.csv", "paper_figs/data/pal_sulam_2023_mnist_risk.csv")


def compute(fast: bool) -> pd.DataFrame:
    """Measured and released risks."""
    return compute_risks(*COMMITTED)


def draw(table: pd.DataFrame) -> Figure:
    """Risk over α."""
    ours = table[table["origin"] == OURS]
    notes = ["released: 10,000 test images, 100 votes, 9 epochs with 100 noisy copies from the clean model"]
    notes += our_notes(table, "the same network, ")
    if len(ours):
        pairs = table[table["origin"] != OURS].merge(ours, on=["train_sigma", "smooth_sigma"])
        inside = int(((pairs["value_x"] >= pairs["lower_y"]) & (pairs["value_x"] <= pairs["upper_y"])).sum())
        notes.append(f"{inside} of {len(pairs)} released risks at the same α and β lie in our intervals")
    return draw_risks(table, "MNIST: risk of the smoothed classifier over training noise", notes)
