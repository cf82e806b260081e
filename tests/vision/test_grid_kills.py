"""What a grid has finished stays byte for byte as it is, wherever the process dies and is resumed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from noiseaug.vision.grid import run_grid
from tests.helpers.grids import small

SPEC = {"train_sigma": (0.0, 0.3), "images": 10, "validation": 20}
WRITES = 20  # files that appear in the course of SPEC, each by one replacement


class Kill(BaseException):
    """Stands in for a kill right after a file has appeared."""


def finished(out: Path) -> dict[str, bytes]:
    """The content of every file that is done with."""
    found = {}
    for path in out.rglob("*"):
        if not path.is_file():
            continue
        record = path.parent / "run.json"
        complete = record.exists() and json.loads(record.read_text())["status"] == "complete"
        log = path.suffix == ".jsonl" and path.read_bytes().count(b"\n") == 1 + _inputs(path)
        result = path.suffix in (".safetensors", ".png") or path.name in ("table.csv", "optimum.csv")
        if complete or log or result:
            found[str(path.relative_to(out))] = path.read_bytes()
    return found


def _inputs(log: Path) -> int:
    return json.loads(log.read_text().splitlines()[0])["description"]["inputs"]


def killed_after(out: Path, writes: int, monkeypatch) -> int:
    """Runs the grid until so many files have appeared; how many there were."""
    original, seen = Path.replace, 0

    def replace(self, target):
        nonlocal seen
        result = original(self, target)
        seen += 1
        if seen == writes:
            raise Kill
        return result

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        if writes > WRITES:
            run_grid(small(**SPEC), out)
        else:
            with pytest.raises(Kill):
                run_grid(small(**SPEC), out)
    return seen


def check(out, writes, monkeypatch):
    killed_after(out, writes, monkeypatch)
    before = finished(out)
    run_grid(small(**SPEC), out, resume=True)
    after = finished(out)
    assert {name: after[name] for name in before} == before
    run_grid(small(**SPEC), out, resume=True)  # and a grid that is complete is left alone
    assert finished(out) == after


@pytest.mark.parametrize("writes", [WRITES])
def test_finished_files_stay(writes, tmp_path, monkeypatch, no_pictures):
    check(tmp_path / "grid", writes, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("writes", range(1, WRITES))
def test_finished_files_stay_wherever_it_dies(writes, tmp_path, monkeypatch, no_pictures):
    check(tmp_path / "grid", writes, monkeypatch)


@pytest.mark.slow
def test_every_write_is_a_place_to_die(tmp_path, monkeypatch, no_pictures):
    assert killed_after(tmp_path / "grid", WRITES + 1, monkeypatch) == WRITES
