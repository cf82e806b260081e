"""Checks of drawn figures."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colorbar import Colorbar


@pytest.fixture(autouse=True)
def canvas():
    """Figures are drawn without a display and closed."""
    mpl.use("Agg")
    yield
    plt.close("all")


def label_of(axes):
    return axes.get_xlabel(), axes.get_ylabel()


def check_figure(name, figure):
    """Nothing is empty, unnamed or cut off."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    width, height = figure.get_size_inches()
    box = figure.get_tightbbox(renderer)
    slack = 1 / figure.dpi
    assert box.x0 >= -slack, f"{name} is cut off on the left"
    assert box.y0 >= -slack, f"{name} is cut off at the bottom"
    assert box.x1 <= width + slack, f"{name} is cut off on the right"
    assert box.y1 <= height + slack, f"{name} is cut off at the top"
    assert figure.get_suptitle()
    panels = [axes for axes in figure.axes if axes.axison]
    assert panels
    bars = [axes for axes in panels if isinstance(getattr(axes, "_colorbar", None), Colorbar)]
    for axes in bars:
        assert any(label_of(axes)), f"{name}: a colour bar without a label"
    for axes in set(panels) - set(bars):
        assert axes.has_data(), f"{name}: an empty panel"
        drawn = [line for line in axes.lines if np.isfinite(line.get_ydata(orig=False).astype(float)).any()]
        assert drawn or axes.collections or axes.images, f"{name}: a panel without a value"
        place = axes.get_subplotspec()
        if place.is_last_row():
            assert axes.get_xlabel(), f"{name}: no label below"
        if place.is_first_col():
            assert axes.get_ylabel(), f"{name}: no label on the left"
    # neighbouring titles do not run into each other
    titles = [axes.title.get_window_extent(renderer) for axes in set(panels) - set(bars) if axes.get_title()]
    for i, one in enumerate(titles):
        assert not any(one.overlaps(other) for other in titles[:i]), f"{name}: titles overlap"
    for axes in panels:
        legend = axes.get_legend()
        if legend is not None:
            assert legend.get_texts(), f"{name}: an empty legend"
