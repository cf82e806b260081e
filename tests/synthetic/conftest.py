"""A study and its runs: one that is whole, one that was interrupted."""

from __future__ import annotations

import pytest

from noiseaug.synthetic import runs
from tests.helpers.running import call
from tests.helpers.studies import failing_after, run, tiny

LEVELS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
FILE = """
name = "small"
[[part]]
task = "ConcentricGaussians"
fixed = { std_1 = 0.3, std_0 = 0.4 }
vary = { dim = [2, 3] }
[part.grid]
train_sigma = { start = 0, stop = 0.5, num = 6 }
smooth_sigma = [0.25]
quantities = ["risk", "acr"]
method = ["exact", "sampled"]
n = 100
"""


@pytest.fixture(autouse=True)
def a_piece_a_cell(monkeypatch):
    """So that interruptions are counted in cells."""
    monkeypatch.setattr(runs, "_TOGETHER", 1)


@pytest.fixture
def study():
    return tiny(train_sigma=LEVELS)


@pytest.fixture(scope="session")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "small.toml"
    path.write_text(FILE, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def whole(file, tmp_path_factory):
    """The directory of a run that nothing has interrupted."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert call("run", file, "--out", out, "--jobs", 1).status == 0
    return out


@pytest.fixture
def half(study, tmp_path, monkeypatch):
    """The directory of a run that was interrupted after two cells of six."""
    with monkeypatch.context() as patch:
        patch.setattr(runs, "run_rows", failing_after(2, KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            run(study, tmp_path / "half")
    return tmp_path / "half"
