"""The benchmark command; the benchmarks themselves are no tests."""

from __future__ import annotations

import pandas as pd
import pytest

from benchmarks import BENCHMARKS, Row, load, scaling
from benchmarks.__main__ import line, machine, main


def test_benchmarks_register_themselves_and_unknown_names_are_refused(capsys):
    load()
    assert "figure4" in BENCHMARKS
    assert main(["nope"]) == 2
    assert "figure4" in capsys.readouterr().err
    assert "numpy" in machine()


def test_a_row_shows_its_ratio():
    text = line("name", Row("what", 0.5, 10.0, "15x", True))
    assert "20.0x" in text
    assert "met" in text
    assert "MISSED" in line("name", Row("what", 2.0, None, "under 1 s", False))


def test_only_a_failure_is_a_failure(monkeypatch, capsys):
    def broken(repeats):
        raise AssertionError("they differ")

    monkeypatch.setitem(BENCHMARKS, "slow", lambda repeats: [Row("what", 2.0, None, "under 1 s", False)])
    assert main(["slow"]) == 0
    assert "MISSED" in capsys.readouterr().out
    monkeypatch.setitem(BENCHMARKS, "broken", broken)
    assert main(["broken", "slow"]) == 1
    told = capsys.readouterr()
    assert "broken       FAILED" in told.out
    assert "MISSED" in told.out
    assert "they differ" in told.err


def test_scaling_takes_up_its_table(tmp_path, capsys, monkeypatch):
    """What the file holds is not measured again, and a curve ends before a point that takes too long."""
    made = []
    short = [
        scaling.Curve("rows", "straight", "a limit", (10, 100, 1000), made.append),
        scaling.Curve("draws", "long", "another", (10, 100), made.append),
    ]
    monkeypatch.setattr(scaling, "curves", lambda: short)
    out, picture = tmp_path / "scaling.csv", tmp_path / "scaling.png"
    out.write_text(
        "# a machine\nagainst,curve,size,seconds\nrows,straight,10,0.02\nrows,straight,100,0.2\ndraws,long,10,9\n"
    )
    assert scaling.main(["--out", str(out), "--picture", str(picture), "--seconds", "10"]) == 0
    assert set(made) == {1000}
    table = pd.read_csv(out, comment="#")
    assert table[["against", "size"]].values.tolist() == [["rows", 10], ["rows", 100], ["draws", 10], ["rows", 1000]]
    assert scaling.slopes(table.iloc[:2])["slope"].tolist() == [pytest.approx(1)]
    assert "| rows | straight |" in capsys.readouterr().out
    assert picture.exists()
