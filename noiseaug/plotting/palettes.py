"""Colours of noise levels and radii: seaborn's maps crest, flare and mako, without what its import costs."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.colors import Colormap

__all__ = ["colour_map", "colours"]

# equally spaced points of each map; between them colours are linear, within 0.013 of seaborn's
_CREST = """
    a5cd90 94c591 84bd91 73b590 64ad90 57a490 4c9b90 42928f 388a8e 2f818d 25788c 1e6f8a 1c6589 1e5b86 225182 27477d
    2a3c77 2c3172
"""
_FLARE = """
    edb081 eca178 ea936f e88466 e67560 e2665c dc585c d44c60 c84465 bb3f6a ad3b6d 9f376f 913371 833070 752d6f 662a6b
    582766 4b2362
"""
_MAKO = """
    0b0405 1b0f1a 291a31 35254a 3d3164 413e7f 3e4f94 38619d 3572a1 3483a5 3493a8 36a4ab 3fb5ad 4fc5ad 70d4ad 9cdeb7
    c0e9cc def5e5
"""
_MAPS = {"train_sigma": _CREST, "smooth_sigma": _FLARE}


@cache
def colour_map(column: str) -> Colormap:
    """The map for the values of a column."""
    from matplotlib.colors import LinearSegmentedColormap

    points = [f"#{point}" for point in _MAPS.get(column, _MAKO).split()]
    return LinearSegmentedColormap.from_list(column, points)


def colours(column: str, count: int) -> list[Any]:
    """``count`` colours for the values of a column, one after the other along its map."""
    places = np.linspace(0, 1, count + 3)[1:-2]
    return [colour_map(column)(place)[:3] for place in places]
