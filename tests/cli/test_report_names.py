"""Runs are named by as little of their paths as tells them apart, or as one says."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noiseaug.cli.report import _names
from tests.helpers.running import call_root

PART = st.sampled_from(["a", "b", "sigma_0.50", "n"])
PATHS = st.lists(st.lists(PART, min_size=1, max_size=4).map(lambda parts: "/".join(parts)), min_size=1, unique=True)


@given(PATHS)
def test_names_are_the_shortest_that_differ(texts):
    paths = [Path("/r", text) for text in texts]
    names = _names(paths, None)
    assert len(set(names)) == len(names)
    for path, name in zip(paths, names, strict=True):
        parts = Path(name).parts
        assert path.parts[-len(parts) :] == parts
        shorter = parts[1:]
        # with a folder less it would be the end of another path as well
        ends = [other for other in paths if shorter and other.parts[-len(shorter) :] == shorter]
        assert not shorter or len(ends) > 1


LINES = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n0\t3\t3\t0.5\t1\t0:00:14.1\n"


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Five logs of one file name, as they are published."""
    monkeypatch.chdir(tmp_path)
    paths = [Path(f"noise_{level}", "sigma_0.50") for level in range(5)]
    for path in paths:
        path.parent.mkdir()
        path.write_text(LINES)
    return paths


def test_the_report_tells_runs_apart(runs):
    done = call_root("report", *runs, "--format", "csv")
    assert [line.split(",")[0] for line in done.out.splitlines()[1:]] == [str(path) for path in runs]
    named = call_root("report", *runs[:2], "--name", "first", "--name", "second", "--format", "csv")
    assert [line.split(",")[0] for line in named.out.splitlines()[1:]] == ["first", "second"]


@pytest.mark.parametrize("names", [["one"], ["one", "one"], ["one", "two", "three"]])
def test_each_run_has_a_name_of_its_own(runs, names):
    options = [part for name in names for part in ("--name", name)]
    assert "--name is given" in call_root("report", *runs[:2], *options).complaint
    Path("link").symlink_to(runs[0])
    assert "the same log is given twice" in call_root("report", runs[0], "link").complaint
