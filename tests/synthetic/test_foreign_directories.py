"""Runs touch no directory that is not theirs."""

from __future__ import annotations

import json
import os

import pytest

from noiseaug import InvalidInputError
from noiseaug.synthetic import runs
from tests.helpers.running import call, content
from tests.helpers.studies import counted, failing_after, files, run


def change_record(path, **changes):
    record = json.loads((path / "run.json").read_text(encoding="utf-8"))
    (path / "run.json").write_text(json.dumps({**record, **changes}), encoding="utf-8")


def record(text):
    return lambda path: (path / "run.json").write_text(text, encoding="utf-8")


FOREIGN = {
    "foreign files": (lambda path: (path / "thesis.tex").write_text("x"), "exists and holds no run"),
    "a folder": (lambda path: (path / "photos").mkdir(), "exists and holds no run"),
    "a table alone": (lambda path: (path / "table.csv").write_text("x"), "exists and holds no run"),
    "torn record": (record('{"a"'), "run.json: not readable as JSON; choose another --out"),
    "bytes": (lambda path: (path / "run.json").write_bytes(b"\xff\xfe"), "run.json: not readable as JSON"),
    "a list": (record("[]"), "run.json: Expected object, got array"),
    "empty record": (record("{}"), "run.json: status: missing; choose another --out"),
    "another status": (record('{"status": "done"}'), "run.json: status: invalid enum value 'done'"),
    "a number": (record('{"status": "complete", "description": 3}'), "run.json: description: expected object, got int"),
    "a deep record": (record("[" * 100_000), "run.json: nested too deeply"),
    "a folder as record": (lambda path: (path / "run.json").mkdir(), "run.json"),
}


@pytest.mark.parametrize("resume", [[], ["--resume"]])
@pytest.mark.parametrize("name", FOREIGN)
def test_a_directory_of_something_else(name, resume, file, tmp_path):
    fill, message = FOREIGN[name]
    fill(tmp_path)
    before = content(tmp_path)
    outcome = call("run", file, "--out", tmp_path, "--jobs", 1, *resume)
    assert outcome.status == 2
    assert message in outcome.complaint
    assert content(tmp_path) == before


@pytest.mark.parametrize("resume", [[], ["--resume"]])
@pytest.mark.parametrize("change", [["--seed", 1], ["--set", "n=101"], ["--set", "dim=2"]])
def test_a_directory_of_another_description(change, resume, file, whole):
    before = content(whole)
    outcome = call("run", file, "--out", whole, "--jobs", 1, *change, *resume)
    assert outcome.status == 2
    assert "holds a run of another description; choose another --out" in outcome.complaint
    assert content(whole) == before


def test_an_unfinished_run_is_not_begun_again(study, half):
    before = content(half)
    with pytest.raises(InvalidInputError, match="holds an unfinished run; add --resume, or choose another --out"):
        run(study, half)
    assert content(half) == before


OTHER_VERSION = "was begun by another version of noiseaug"


@pytest.mark.parametrize(
    ("versions", "fault"),
    [
        ({"noiseaug": "0.0.0"}, OTHER_VERSION),
        ({}, OTHER_VERSION),
        (None, "versions: expected object, got null"),
        ("0.1.0", "versions: expected object, got str"),
    ],
)
def test_an_unfinished_run_of_another_version(study, half, versions, fault):
    change_record(half, versions=versions)
    before = content(half)
    with pytest.raises(InvalidInputError, match=f"{fault}; choose another --out"):
        run(study, half, resume=True)
    assert content(half) == before


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (b"{\n", "not readable as JSON"),
        (b"[]\n", "Expected object, got array"),
        (b'{"key": 3}\n', "key: expected str, got int"),
        (b'{"key": "3"}\n', "rows: missing"),
        (b'{"key": "3", "rows": [3]}\n', r"rows\[0\]: expected object, got int"),
        (b"\x00\x00\n", "not readable as JSON"),
        (b"[" * 100_000 + b"\n", "nested too deeply"),
        (b'{"key": "3", "rows": 1' + b"0" * 100_000 + b"}\n", "not readable as JSON"),
    ],
)
def test_a_damaged_cell_in_the_middle(study, half, damage, fault):
    cells = half / "cells.jsonl"
    first, second = cells.read_bytes().splitlines(keepends=True)
    cells.write_bytes(first + damage + second)
    before = content(half)
    with pytest.raises(InvalidInputError, match=rf"cells\.jsonl, line 2: {fault}; choose another --out"):
        run(study, half, resume=True)
    assert content(half) == before


@pytest.mark.parametrize("inside", [False, True])
def test_a_file_in_the_way(inside, file, tmp_path):
    # a directory below a file cannot be made, whoever asks
    (tmp_path / "file").write_text("x", encoding="utf-8")
    out = tmp_path / "file" / "run" if inside else tmp_path / "file"
    outcome = call("run", file, "--out", out, "--jobs", 1)
    assert outcome.status == 2
    assert str(tmp_path / "file") in outcome.complaint
    assert (tmp_path / "file").read_text(encoding="utf-8") == "x"
    assert files(tmp_path) == ["file"]


@pytest.mark.skipif(os.name != "posix", reason="needs advisory locks")
@pytest.mark.parametrize("done", [0, 2])
@pytest.mark.parametrize("resume", [[], ["--resume"]])
def test_two_processes_do_not_share_a_directory(done, resume, file, tmp_path):
    out = tmp_path / "run"
    with counted(tmp_path / "log", done, "run", file, "--out", out, "--jobs", 1) as process:
        assert process.stdout.readline() == "waiting\n"
        before = content(out)
        outcome = call("run", file, "--out", out, "--jobs", 1, *resume)
        assert outcome.status == 2
        assert outcome.complaint == f"another process is running into {out}; choose another --out"
        assert content(out) == before
        process.kill()
    # its end gives the directory free
    assert call("run", file, "--out", out, "--jobs", 1, "--resume").status == 0


def test_a_default_study_looks_at_all_its_directories_first(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "run_rows", failing_after(0, AssertionError("computed")))
    (tmp_path / "agreement").mkdir()
    (tmp_path / "agreement" / "thesis.tex").touch()
    before = content(tmp_path)
    outcome = call("--fast", "--jobs", 1, "--out", tmp_path)
    assert outcome.status == 2
    assert "agreement exists and holds no run" in outcome.complaint
    assert content(tmp_path) == before


def test_a_default_study_does_not_write_over_a_foreign_summary(tmp_path):
    (tmp_path / "summary.csv").write_text("mine", encoding="utf-8")
    outcome = call("--fast", "--jobs", 1, "--out", tmp_path)
    assert outcome.status == 2
    assert "holds a summary.csv that is no study's; choose another --out" in outcome.complaint
    assert files(tmp_path) == ["summary.csv"]
