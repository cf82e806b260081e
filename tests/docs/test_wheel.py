"""An installed package makes figures: the wheel holds them, and every table that they read."""

from __future__ import annotations

import importlib.util
import tomllib
import zipfile
from pathlib import Path

import pytest

from paper_figs import FIGURES, find
from tests.helpers.running import ROOT, python

READ = sorted({path for name in FIGURES for path in find(name).committed})


def test_the_wheel_is_told_of_every_table():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == ["noiseaug", "paper_figs"]
    moved = {path: f"paper_figs/data/{Path(path).name}" for path in READ if not path.startswith("paper_figs/")}
    assert wheel["force-include"] == moved
    for path, place in moved.items():
        assert (ROOT / path).is_file()
        assert not (ROOT / place).exists()


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("hatchling") is None, reason="needs hatchling to build a wheel")
def test_an_installed_package_makes_figures(tmp_path):
    built = python("-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, cwd=ROOT)
    assert built.status == 0, built.err
    (wheel,) = tmp_path.glob("*.whl")
    folder = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    assert (folder / "noiseaug" / "bridge" / "track_record.csv").is_file()
    assert (folder / "noiseaug" / "literature" / "published_runs.csv.gz").is_file()
    # the wheel in place of the checkout
    code = (
        f"import sys; sys.path[:] = [{str(folder)!r}, *(each for each in sys.path if each != {str(ROOT)!r})]\n"
        "import paper_figs; print(paper_figs.__file__); from noiseaug.cli import main; main()"
    )
    listed = python("-c", code, "figures", "list", cwd=tmp_path)
    assert (listed.status, listed.err) == (0, "")
    place, *lines = listed.out.splitlines()
    assert Path(place).is_relative_to(folder)
    assert [line.split()[0] for line in lines[: len(FIGURES)]] == list(FIGURES)
    runs = python("-c", code, "published", "--data", "cifar10", "--top", "1", "--format", "csv", cwd=tmp_path)
    assert runs.status == 0, runs.err
    assert runs.out.splitlines()[1].startswith("acr,")
    made = python("-c", code, "figures", "mnist_risk", "--out", tmp_path / "out", cwd=tmp_path)
    assert made.status == 0, made.err
    assert "drawn without" not in made.out
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".csv", ".pdf", ".png"}
