"""The benchmark command; the benchmarks themselves are no tests."""

from __future__ import annotations

from benchmarks import BENCHMARKS, Row, load
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
