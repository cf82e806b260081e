"""Presets with other values run to their end, and redraw what they say they can."""

from __future__ import annotations

import pytest

from noiseaug.cli.synthetic import _parse_setting
from noiseaug.sweeps import run_cell
from noiseaug.synthetic.presets import PRESETS
from noiseaug.tables import to_frame
from tests.helpers.figures import canvas  # noqa: F401  (a fixture that all tests here use)
from tests.helpers.running import call

ANY = {
    "train_sigma": ["0", "0,0.1", "0:0.5:4"],
    "smooth_sigma": ["0", "0.1", "0.1,0.25"],
    "radii": ["0", "0.1", "0,0.1,0.2,0.3"],
    "dim": ["3", "2,3"],
    "prior": ["0.2", "0.2,0.5"],
    "count": ["2", "2,3"],
    "separation": ["1", "1,2"],
    "n": ["30"],
    "votes_per_point": ["30"],
    "draw": ["0,1"],
}


@pytest.mark.parametrize(
    ("name", "key", "values"),
    [(name, key, values) for name, preset in PRESETS.items() for key in preset.redraws for values in ANY[key]],
)
def test_presets_redraw_what_they_promise(name, key, values):
    preset = PRESETS[name]
    settings = dict([_parse_setting(f"{key}={values}")])
    assert preset.shows(settings)
    study = preset.build(True)
    # small in every other direction
    grid, parameters = study.parts[0].grid, {name for part in study.parts for name in part.vary}
    few = {"n": [20], "votes_per_point": [20] if grid.votes_per_point else [], "draw": [0, 1], "dim": [2]}
    for other, small in few.items():
        if small and other != key and (hasattr(grid, other) or other in parameters):
            study = study.with_settings({other: small})
    if key != "train_sigma":
        study = study.with_settings({"train_sigma": [0.0, 0.2]})
    study = study.with_settings(settings)
    table = to_frame({**row, **columns} for columns, cell in study.cells() for row in run_cell(cell))
    for file, figure in preset.draw(table).items():
        check_figure_loosely(file, figure)
    assert len(preset.summarise(table))


def check_figure_loosely(name, figure):
    """A figure of unforeseen values: it can be drawn and nothing is cut off."""
    figure.canvas.draw()
    width, height = figure.get_size_inches()
    box = figure.get_tightbbox(figure.canvas.get_renderer())
    assert min(box.x0, box.y0, width - box.x1, height - box.y1) >= -1 / figure.dpi, name


def test_other_changes_are_shown_plainly():
    phase = PRESETS["phase"]
    assert phase.shows({})
    assert not phase.shows({"std_1": [0.2]})
    assert not phase.shows({"dim": [2], "rule": ["convolved"]})
    # without a value at 0 there is no benefit to draw
    assert not phase.shows({"train_sigma": [0.1, 0.2]})
    assert phase.shows({"train_sigma": [0, 0.2]})


@pytest.mark.parametrize(
    ("name", "settings", "pictures"),
    [
        ("phase", ["std_1=0.1,0.2", "smooth_sigma=0.25", "train_sigma=0,0.2"], ["certified_accuracy.png", "risk.png"]),
        ("phase", ["quantities=risk", "smooth_sigma=0.25", "train_sigma=0,0.2"], ["risk.png"]),
        ("spheres", ["method=exact,sampled", "n=50", "smooth_sigma=0.1", "train_sigma=0,0.1"], ["acr.png", "risk.png"]),
        ("rules", ["rule=augmented", "train_sigma=0.2", "smooth_sigma=0.1,0.2"], ["disagreement.png", "risk.png"]),
        ("moons", ["task.n=40,60", "n=20", "train_sigma=0,0.2"], ["certified_accuracy.png", "risk.png"]),
        ("minority", ["train_sigma=0,1", "prior=0.1", "smooth_sigma=0.25,0.5"], None),
    ],
)
def test_changed_presets_run_to_their_end(name, settings, pictures, tmp_path):
    arguments = [word for setting in settings for word in ("--set", setting)]
    outcome = call("run", name, "--fast", "--jobs", 1, "--out", tmp_path / "out", *arguments)
    assert outcome.status == 0, outcome.err
    found = sorted(path.name for path in (tmp_path / "out").glob("*.png"))
    assert found == (pictures or ["certified_accuracy.png", "excess_risk.png", "risk.png"])
