"""Names of data in their parts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noiseaug.data import FORMATS, DataName, named
from tests.helpers.errors import complaint


@pytest.mark.parametrize(
    ("name", "base", "options", "picks"),
    [
        ("mnist", "mnist", {}, None),
        ("mnist:3,8", "mnist", {}, "3,8"),
        ("a/b:c.npz", "a/b:c.npz", {}, None),
        ("a/b:c?d.npz:0,1", "a/b:c?d.npz", {}, "0,1"),
        ("a.csv?label=kind", "a.csv", {"label": "kind"}, None),
        (
            "a.csv?label=kind%3Aof%2Cbird&scale=standard:x,y",
            "a.csv",
            {"label": "kind:of,bird", "scale": "standard"},
            "x,y",
        ),
        ("nothing?label=kind:3", "nothing?label=kind:3", {}, None),
    ],
)
def test_parts(name, base, options, picks):
    found = DataName.parse(name)
    assert (found.base, dict(found.options), found.picks) == (base, options, picks)
    assert str(found) == name


@given(st.text(max_size=8), st.text(max_size=8))
def test_any_option_survives_the_name(label, scale):
    name = named("a.csv:0,1", {"label": label, "scale": scale, "centre_crop": None})
    assert dict(DataName.parse(name).options) == {"label": label, "scale": scale}
    assert DataName.parse(name).picks == "0,1"


def test_paths_move_and_published_names_stay():
    assert str(DataName.parse("a.npz?x=b:0,1").inside(Path("c"))) == "c/a.npz?x=b:0,1"
    assert str(DataName.parse("mnist:3,8").inside(Path("c"))) == "mnist:3,8"
    assert str(DataName.parse("/a.npz").inside(Path("c"))) == "/a.npz"
    assert "mnist is a published set, which takes no label" in complaint(lambda: named("mnist:3,8", {"label": "x"}))


def test_every_format_can_be_loaded():
    for name in FORMATS:
        assert callable(FORMATS.load(name).read)
