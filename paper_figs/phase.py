"""Ours: what training noise gains over (α, β, d), concentric Gaussians, exact (docs/math.md 2.3).

The preset ``phase`` of ``noiseaug.synthetic``; ``--fast`` computes fewer levels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from noiseaug.synthetic.presets import find
from paper_figs import look
from paper_figs.tables import run_study

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TITLE = "phase diagram: what training noise gains over (α, β) in d = 2, 10, 100, 784"
SOURCE = "ours"


def compute(fast: bool) -> pd.DataFrame:
    """Certified accuracy over (α, β, d, r)."""
    table = run_study(find("phase").build(fast), fast)
    return table[table["quantity"] == "certified_accuracy"].reset_index(drop=True)


def draw(table: pd.DataFrame) -> Figure:
    """Gain over α = 0: a row for each radius, a column for each dimension."""
    from noiseaug.synthetic.presets.phase import diagram

    return look.add_units(diagram(table), look.INPUT)
