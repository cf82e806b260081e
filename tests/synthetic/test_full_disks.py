"""Full disks and torn writes cost a run nothing that it has finished."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from pandas.testing import assert_frame_equal

from noiseaug.runs import save_figure, write_atomically
from noiseaug.synthetic import runs
from tests.helpers.errors import full_disk
from tests.helpers.running import Outcome, call, content, python
from tests.helpers.studies import CELLS, failing_after, files, run

LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
del sys.argv[1]
from noiseaug.cli.synthetic import main
main()
"""


def limited(size, *arguments) -> Outcome:
    """The command where no file may grow beyond a size, as on a disk that is nearly full."""
    pytest.importorskip("resource")
    return python("-c", LIMITED, size, *arguments)


def test_a_disk_that_fills_up_among_the_cells(file, whole, tmp_path):
    out = tmp_path / "run"
    outcome = limited(5000, "run", file, "--out", out, "--jobs", 1)
    assert outcome.status == 2
    told = f"File too large: {out / 'cells.jsonl'}; make room: what is finished is kept, --resume does the rest"
    assert outcome.complaint == told
    assert files(out) == ["cells.jsonl", "run.json"]
    kept = (out / "cells.jsonl").read_bytes().count(b"\n")
    assert 1 <= kept < CELLS
    outcome = call("run", file, "--out", out, "--jobs", 1, "--resume")
    assert f"{CELLS - kept}/{CELLS - kept}" in outcome.err
    assert (out / "table.csv").read_bytes() == (whole / "table.csv").read_bytes()


def test_a_disk_that_fills_up_among_the_pictures(file, whole, tmp_path):
    out = tmp_path / "run"
    size = (whole / "acr.png").stat().st_size
    assert size > 2 * max((whole / name).stat().st_size for name in ("table.csv", "run.json", "summary.csv"))
    outcome = limited(size // 2, "run", file, "--out", out, "--jobs", 1)
    assert outcome.status == 2
    assert f"File too large: {out}" in outcome.complaint
    assert files(out) == ["run.json", "summary.csv", "table.csv"]
    assert call("run", file, "--out", out, "--jobs", 1, "--resume").status == 0
    assert files(out) == files(whole)
    assert (out / "acr.png").read_bytes() == (whole / "acr.png").read_bytes()


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_full_disk_at_every_file(nth, study, tmp_path, monkeypatch):
    # 1: the first record, 2: the table, 3: the last record; no table.parquet
    monkeypatch.setattr(runs, "find_spec", lambda name: None)
    expected = run(study, tmp_path / "whole")
    honest, count = os.fsync, [0]

    def fsync(handle):
        count[0] += 1
        if count[0] == nth:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        honest(handle)

    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(OSError, match="No space left") as error:
            run(study, out)
    name = "table.csv" if nth == 2 else "run.json"
    assert error.value.filename == str(out / name)
    if nth == 1:
        # nothing was finished, so nothing is there
        assert files(tmp_path) == ["whole"]
    else:
        assert files(out) == ["cells.jsonl", "run.json", "table.csv"][:nth]
        monkeypatch.setattr(runs, "run_rows", failing_after(0, AssertionError("computed")))
    assert_frame_equal(run(study, out, resume=True), expected, check_exact=True)


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, "old")
    seen = []
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: seen.append(path.read_text(encoding="utf-8")))
        write_atomically(path, "newer β")
    assert seen == ["old"]
    assert path.read_text(encoding="utf-8") == "newer β"

    with full_disk(), pytest.raises(OSError, match="No space"):
        write_atomically(path, b"newest")
    assert path.read_text(encoding="utf-8") == "newer β"
    assert files(tmp_path) == ["file"]


def test_lines_end_alike_on_every_system(tmp_path):
    write_atomically(tmp_path / "file", "a\nb\r\n")
    assert (tmp_path / "file").read_bytes() == b"a\nb\r\n"


@pytest.mark.parametrize("old", [None, b"old picture"])
def test_a_picture_is_written_whole_or_not_at_all(old, tmp_path, monkeypatch):
    path = tmp_path / "picture.png"
    if old is not None:
        path.write_bytes(old)
    before = content(tmp_path)

    def savefig(self, target, **options):
        # half a picture, then the end
        if isinstance(target, str | Path):
            Path(target).write_bytes(b"\x89PNG")
        else:
            target.write(b"\x89PNG")
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(Figure, "savefig", savefig)
        with pytest.raises(MemoryError):
            save_figure(Figure(), path)
    assert content(tmp_path) == before
    save_figure(Figure(), path)
    assert path.read_bytes().startswith(b"\x89PNG\r\n")
    assert path.read_bytes().endswith(b"IEND\xaeB`\x82")


def test_figures_are_let_go(file, whole):
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    assert call("run", file, "--out", whole, "--jobs", 1, "--resume").status == 0
    assert plt.get_fignums() == before


def test_a_failure_while_drawing_keeps_the_table(file, whole, tmp_path, monkeypatch):
    def draw(*_, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "font.cache")

    with monkeypatch.context() as patch:
        patch.setattr(Figure, "savefig", draw)
        outcome = call("run", file, "--out", tmp_path / "run", "--jobs", 1)
    assert outcome.status == 2
    assert "No space left on device: font.cache" in outcome.complaint
    assert files(tmp_path / "run") == ["run.json", "summary.csv", "table.csv"]
    assert (tmp_path / "run" / "table.csv").read_bytes() == (whole / "table.csv").read_bytes()
