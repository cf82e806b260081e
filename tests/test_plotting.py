"""Drawing functions that no preset's picture covers."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex

from noiseaug import plotting, predictors, tasks
from tests.helpers.running import python


@pytest.fixture
def axes():
    return plotting.new_figure()[1][0][0]


def boxes(axes):
    """Corners (left, bottom, right, top) of everything that is drawn, from the bottom."""
    paths = [path.get_extents() for collection in axes.collections for path in collection.get_paths()]
    return sorted((box.y0, box.x0, box.x1, box.y1) for box in paths)


def test_intervals_are_drawn_at_their_ends_and_levels_meet_halfway(axes):
    plotting.interval_map(
        axes, {0.0: [[-1, 1]], 1.0: [[-0.5, 0], [0.25, 0.5]], 3.0: []}, "smooth_sigma", domain=(-2, 2)
    )
    assert boxes(axes) == [(0.0, -1.0, 1.0, 0.5), (0.5, -0.5, 0.0, 2.0), (0.5, 0.25, 0.5, 2.0)]
    assert axes.get_xlim() == (-2, 2)
    assert axes.get_ylim() == (0, 3)
    assert axes.get_ylabel() == plotting.LABELS["smooth_sigma"]


def test_infinite_intervals_end_with_the_domain(axes):
    plotting.interval_map(axes, {0.0: [[-np.inf, 0]], 1.0: [[5, np.inf]]}, "train_sigma", domain=(-2, 3))
    assert boxes(axes)[0] == (0.0, -2.0, 0.0, 0.5)
    assert all(left == right for _, left, right, _ in boxes(axes)[1:])  # beyond the domain there is nothing to see


def test_a_melting_region_fits_its_picture(axes):
    region = predictors.bayes(tasks.Intervals([[-1, 1]], domain=(-3, 3)))
    plotting.interval_map(
        axes, {s: region.smoothed(s).intervals for s in (0.0, 1.0, 2.0)}, "smooth_sigma", domain=(-3, 3)
    )
    assert len(boxes(axes)) == 2  # at β = 2 nothing is left
    assert boxes(axes)[1][2] == pytest.approx(0.93327, abs=1e-5)


STATE = """
import io, sys
import matplotlib as mpl
mpl.rcParams["font.size"] = 23.0
mpl.rcParams["backend"] = "svg"
before = dict(mpl.rcParams)
from noiseaug import plotting
from noiseaug.synthetic.presets import custom
from noiseaug import sweep, tasks

def unchanged():
    return dict(mpl.rcParams) == before and mpl.get_backend() == "svg"

table = sweep(tasks.ConcentricGaussians(20, 0.3, 0.4), train_sigma=[0, 1], smooth_sigma=1)
for figure in custom.PRESET.draw(table).values():
    assert unchanged()
    figure.savefig(io.BytesIO(), format="png")
    assert figure._repr_png_().startswith(b"\\x89PNG")
    assert figure.axes[0].xaxis.label.get_fontsize() < 20  # in the project's style for all that
assert unchanged()
assert "matplotlib.pyplot" not in sys.modules  # whose import takes long
plotting.use_style()
assert mpl.rcParams["font.size"] < 20 and mpl.get_backend() == "svg"
"""


def test_pictures_leave_the_users_settings_alone():
    outcome = python("-c", STATE)
    assert outcome.status == 0, outcome.err


@pytest.mark.parametrize(
    ("column", "first", "last"),
    [
        ("train_sigma", "#a5cd90", "#2c3172"),
        ("smooth_sigma", "#edb081", "#4b2362"),
        ("radius", "#0b0405", "#def5e5"),
        ("anything", "#0b0405", "#def5e5"),
    ],
)
def test_a_column_has_its_colours(column, first, last):
    colour_map = plotting.colour_map(column)
    assert [to_hex(colour_map(end)) for end in (0.0, 1.0)] == [first, last]
    three = plotting.colours(column, 3)
    # the last of four colours is left out, as it hardly differs from black or white
    assert three == [pytest.approx(colour_map(place)[:3]) for place in (0.2, 0.4, 0.6)]
    assert plotting.colours(column, 0) == []
