"""Checks of the papers' figures: committed numbers, drawn points, units."""

from __future__ import annotations

import csv
import re

import numpy as np
from matplotlib.colorbar import Colorbar

from tests.helpers.running import ROOT

UNIT = re.compile(
    r"[ \n]\((input units|pixels in \[0, 1\]|cells|fraction|ratio|share|factor|count|probability|name|method)\)$"
)
# committed as soon as they are measured
OPTIONAL = {"docs/results/cifar10_grid.csv"}

DATA = "paper_figs/data/"
CERTIFIED = "certified_accuracy"


def raw(path):
    """Rows of a CSV file as they stand there, without pandas."""
    with (ROOT / path).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def check_units(name, figure):
    """Every label of an axis or a colour bar ends with its unit, and nothing is drawn from NaN alone."""
    for axes in figure.axes:
        bar = isinstance(getattr(axes, "_colorbar", None), Colorbar)
        labels = [text for text in (axes.get_xlabel(), axes.get_ylabel()) if text]
        assert labels or not (bar or axes.get_subplotspec().is_last_row() or axes.get_subplotspec().is_first_col())
        for text in labels:
            assert UNIT.search(text), f"{name}: {text!r} has no unit"
        for line in axes.lines:
            values = np.asarray(line.get_ydata(orig=False), dtype=float)
            assert not len(values) or np.isfinite(values).any(), f"{name}: a line of NaN"


def points(figure, hollow):
    """Every point of a line with a hollow (or a filled) marker, rounded."""
    found = set()
    for axes in figure.axes:
        for line in axes.lines:
            if (line.get_markerfacecolor() == "white") == hollow and line.get_marker() not in {"None", "", None}:
                pairs = zip(line.get_xdata(), line.get_ydata(), strict=True)
                found |= {(round(float(x), 9), round(float(y), 9)) for x, y in pairs}
    return found
