"""Pictures of tidy tables in one style; nothing here computes a risk.

Imports only ``tables`` and ``errors``, and matplotlib when something is drawn.
"""

from noiseaug.plotting.drawing import (
    LABELS,
    benefit_map,
    class_map,
    curves,
    diagonal,
    finish,
    hatch_where,
    interval_map,
    level_map,
    measured_curves,
    plot_certified_accuracy,
    plot_p_lower,
    reference_points,
    sampled_points,
)
from noiseaug.plotting.palettes import colour_map, colours
from noiseaug.plotting.released import METHODS, plot_field
from noiseaug.plotting.styling import new_figure, style, use_style

__all__ = [
    "LABELS",
    "METHODS",
    "benefit_map",
    "class_map",
    "colour_map",
    "colours",
    "curves",
    "diagonal",
    "finish",
    "hatch_where",
    "interval_map",
    "level_map",
    "measured_curves",
    "new_figure",
    "plot_certified_accuracy",
    "plot_field",
    "plot_p_lower",
    "reference_points",
    "sampled_points",
    "style",
    "use_style",
]
