"""What a run leaves, and what is kept of it when it is interrupted."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import noiseaug
from noiseaug import InvalidInputError
from noiseaug.synthetic import runs
from noiseaug.synthetic.runs import RunDirectory
from tests.helpers.running import PATIENCE, call, content, start, wait_until
from tests.helpers.studies import CELLS, counted, failing_after, files, run, tiny

# ---- what a run leaves


def test_files_of_a_run(whole):
    assert files(whole) == ["acr.png", "risk.png", "run.json", "summary.csv", "table.csv"]
    for name in ("acr.png", "risk.png"):
        assert (whole / name).read_bytes().startswith(b"\x89PNG\r\n")
    summary = pd.read_csv(whole / "summary.csv")
    assert len(summary) == 4


def test_the_record_of_a_run(study, tmp_path):
    run(study, tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert record["status"] == "complete"
    assert record["description"] == json.loads(json.dumps(study.describe()))
    assert record["description"]["seed"] == 0
    assert record["versions"]["noiseaug"] == noiseaug.__version__
    assert {"python", "numpy", "scipy", "pandas", "matplotlib"} <= set(record["versions"])
    assert record["seconds"] >= 0
    assert record["written"].endswith("+00:00")
    assert record["platform"]


def test_the_table_is_read_back_number_for_number(tmp_path):
    study = tiny(
        train_sigma=(0.0, 0.1, 1 / 3),
        radii=(0.1,),
        quantities=("risk", "acr", "finite_sample_certified_accuracy"),
        method=("exact", "sampled"),
        n=300,
        votes=50,
    )
    table = run(study, tmp_path / "run")
    assert_frame_equal(noiseaug.tables.read_table(tmp_path / "run" / "table.csv"), table, check_exact=True)
    # which is what a complete run is taken for
    assert_frame_equal(run(study, tmp_path / "run", resume=True), table, check_exact=True)


def test_parquet_beside_the_table(tmp_path):
    pytest.importorskip("pyarrow", reason="needs noiseaug[parquet]")
    study = tiny(radii=(0.1,), quantities=("risk", "finite_sample_certified_accuracy"), votes=50)
    table = run(study, tmp_path / "run")
    assert_frame_equal(pd.read_parquet(tmp_path / "run" / "table.parquet"), table, check_exact=True)


def test_without_pyarrow_no_parquet_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "find_spec", lambda name: None)
    run(tiny(), tmp_path / "run")
    assert not (tmp_path / "run" / "table.parquet").exists()
    # nor one of an earlier run, which may hold other numbers
    (tmp_path / "run" / "table.parquet").write_bytes(b"old")
    run(tiny(), tmp_path / "run")
    assert not (tmp_path / "run" / "table.parquet").exists()


def test_a_seed_is_part_of_the_run(file, whole, tmp_path):
    assert call("run", file, "--out", tmp_path / "run", "--jobs", 1, "--seed", 5).status == 0
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert record["description"]["seed"] == 5
    one, two = (noiseaug.tables.read_table(path / "table.csv") for path in (tmp_path / "run", whole))
    assert set(one["seed"].dropna()) == {5}
    exact = one["method"] != "sampled"
    assert_frame_equal(one[exact], two[exact], check_exact=True)
    assert not one["value"].equals(two["value"])


# ---- interruptions


@pytest.mark.skipif(os.name != "posix", reason="kills a process")
def test_a_killed_run_is_resumed(file, whole, tmp_path):
    out, log = tmp_path / "run", tmp_path / "log"
    with counted(log, 5, "run", file, "--out", out, "--jobs", 1) as process:
        assert process.stdout.readline() == "waiting\n"
        process.kill()
    assert files(out) == ["cells.jsonl", "run.json"]
    kept = (out / "cells.jsonl").read_bytes()
    assert kept.count(b"\n") == 5
    assert json.loads((out / "run.json").read_text(encoding="utf-8"))["status"] == "unfinished"
    # a write that the kill has torn
    (out / "cells.jsonl").write_bytes(kept + b'{"key": "5|Conc')
    with counted(log, 3, "run", file, "--out", out, "--jobs", 1, "--resume") as process:
        assert process.stdout.readline() == "waiting\n"
        process.kill()
    lines = (out / "cells.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["key"].split("|")[0] for line in lines] == [str(index) for index in range(8)]
    with counted(log, CELLS, "run", file, "--out", out, "--jobs", 1, "--resume") as process:
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert "4/4" in err
    # no cell twice, none forgotten
    assert set(Counter(log.read_text(encoding="utf-8").splitlines()).values()) == {1}
    assert len(log.read_text(encoding="utf-8").splitlines()) == CELLS
    assert files(out) == files(whole)
    for name in ("table.csv", "summary.csv", "acr.png"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize("torn", [b"{", b'{"key": "2|Conc', b'{"key": "2|x", "rows": []}', b"\xff", b" "])
def test_a_torn_last_line_is_dropped(torn, study, half, tmp_path, monkeypatch):
    cells = half / "cells.jsonl"
    kept = cells.read_bytes()
    cells.write_bytes(kept + torn)
    with monkeypatch.context() as patch:
        patch.setattr(runs, "run_rows", failing_after(1, KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            run(study, half, resume=True)
    # the next cell begins a line of its own
    assert cells.read_bytes().startswith(kept)
    assert [json.loads(line)["key"][0] for line in cells.read_bytes().splitlines()] == ["0", "1", "2"]
    assert_frame_equal(run(study, half, resume=True), run(study, tmp_path / "whole"), check_exact=True)


@pytest.mark.skipif(os.name != "posix", reason="kills a process")
def test_a_killed_run_with_workers_is_resumed(tmp_path):
    # slow enough that the kill comes in the middle
    settings = ["--set", "train_sigma=0:0.6:12", "--set", "method=sampled", "--set", "n=20000", "--set", "dim=20"]
    command = ["run", "phase", "--set", "smooth_sigma=0.25", *settings, "--jobs", 2]
    out, cells = tmp_path / "run", tmp_path / "run" / "cells.jsonl"
    with start("-m", "noiseaug.synthetic", *command, "--out", out) as process:
        wait_until(lambda: cells.exists() and cells.read_bytes().count(b"\n") >= 2)
        process.kill()
    kept = cells.read_bytes().count(b"\n")
    assert 2 <= kept < 12
    assert not (out / "table.csv").exists()
    outcome = call(*command, "--out", out, "--resume")
    assert outcome.status == 0, outcome.err
    assert f"{12 - kept}/{12 - kept}" in outcome.err
    assert call(*command, "--out", tmp_path / "whole").status == 0
    assert (out / "table.csv").read_bytes() == (tmp_path / "whole" / "table.csv").read_bytes()


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_ctrl_c_ends_with_one_line(file, tmp_path):
    out = tmp_path / "run"
    with counted(tmp_path / "log", 2, "run", file, "--out", out, "--jobs", 1) as process:
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        rest, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert rest == ""
    said = [line for line in err.splitlines() if line and "|" not in line]  # all but the progress bar
    assert said == ["interrupted; a command with --resume keeps what is finished and then does the rest"]
    assert (out / "cells.jsonl").read_bytes().count(b"\n") == 2


def test_an_interruption_before_the_first_cell_leaves_nothing(study, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "run_rows", failing_after(0, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        run(study, tmp_path / "run")
    assert files(tmp_path) == []
    # a directory that was there stays there
    (tmp_path / "mine").mkdir()
    with pytest.raises(KeyboardInterrupt):
        run(study, tmp_path / "mine")
    assert files(tmp_path) == ["mine"]
    assert files(tmp_path / "mine") == []


def test_resuming_a_complete_run_computes_nothing(file, whole, monkeypatch):
    before = content(whole)
    monkeypatch.setattr(runs, "run_rows", failing_after(0, AssertionError("computed")))
    outcome = call("run", file, "--out", whole, "--jobs", 1, "--resume")
    assert outcome.status == 0, outcome.err
    assert content(whole) == before


def test_cells_run_together_are_resumed_and_give_the_same_table(study, tmp_path, monkeypatch):
    alone = run(study, tmp_path / "alone")
    with monkeypatch.context() as patch:
        patch.setattr(runs, "_TOGETHER", 4)
        patch.setattr(runs, "run_rows", failing_after(1, KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            run(study, tmp_path / "run")
    assert (tmp_path / "run" / "cells.jsonl").read_bytes().count(b"\n") == 4
    monkeypatch.setattr(runs, "_TOGETHER", 3)
    assert_frame_equal(run(study, tmp_path / "run", resume=True), alone, check_exact=True)


def test_resuming_nothing_is_a_new_run(study, tmp_path):
    one = run(study, tmp_path / "one", resume=True)
    assert_frame_equal(one, run(study, tmp_path / "two"), check_exact=True)


def test_a_complete_run_can_be_repeated(study, tmp_path, monkeypatch):
    table = run(study, tmp_path / "run")
    before = (tmp_path / "run" / "table.csv").read_bytes()
    # while the repetition is under way the old table stays
    with monkeypatch.context() as patch:
        patch.setattr(runs, "run_rows", failing_after(3, KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            run(study, tmp_path / "run")
    assert files(tmp_path / "run") == ["cells.jsonl", "run.json", "table.csv"]
    assert (tmp_path / "run" / "table.csv").read_bytes() == before
    assert_frame_equal(run(study, tmp_path / "run", resume=True), table, check_exact=True)
    assert (tmp_path / "run" / "table.csv").read_bytes() == before


def test_a_repetition_that_cannot_begin_changes_nothing(study, tmp_path, monkeypatch):
    run(study, tmp_path / "run")
    before = content(tmp_path / "run")
    monkeypatch.setattr(runs, "run_rows", failing_after(0, InvalidInputError("no")))
    with pytest.raises(InvalidInputError):
        run(study, tmp_path / "run")
    assert content(tmp_path / "run") == before


def test_a_run_killed_between_table_and_record_is_finished_by_resume(study, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(RunDirectory, "write_record", failing_record := FailingRecord(RunDirectory.write_record))
        with pytest.raises(KeyboardInterrupt):
            run(study, tmp_path / "run")
    assert failing_record.statuses == ["unfinished", "complete"]
    table = (tmp_path / "run" / "table.csv").read_bytes()
    monkeypatch.setattr(runs, "run_rows", failing_after(0, AssertionError("computed")))
    run(study, tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "table.csv").read_bytes() == table
    assert files(tmp_path / "run") == ["run.json", "table.csv"]


class FailingRecord:
    """Stands for ``write_record`` and is interrupted at the second call."""

    def __init__(self, honest):
        self.honest, self.statuses = honest, []

    def __get__(self, directory, _):
        def write(status):
            self.statuses.append(status)
            if len(self.statuses) > 1:
                raise KeyboardInterrupt
            self.honest(directory, status)

        return write


def test_what_a_kill_leaves_of_a_write_is_swept_up(study, half):
    for name in (".run.json.1.part", ".table.csv.1.part"):
        (half / name).write_text("torn", encoding="utf-8")
    run(study, half, resume=True)
    assert files(half) == ["run.json", "table.csv"]
    # and does not make a directory a foreign one
    new = half.parent / "new"
    new.mkdir()
    (new / ".run.json.1.part").write_text("torn", encoding="utf-8")
    run(study, new)
    assert files(new) == ["run.json", "table.csv"]
