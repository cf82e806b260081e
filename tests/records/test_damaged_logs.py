"""Damage to a log is reported with its line."""

from __future__ import annotations

import json

import pytest

from noiseaug.errors import InvalidInputError
from noiseaug.records import RunLog, logfile, merge_logs, read_log
from tests.helpers.logs import RUN, outcome, write


def damaged(field, text):
    """A line with another text in one of its fields."""
    entry = json.loads(outcome(1).line())
    return (json.dumps({**entry, field: "@"}).replace('"@"', text) + "\n").encode()


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"{}\n", "line 3: index: missing"),
        (b"[1]\n", "line 3: Expected object, got array"),
        (b"\n", "line 3: not readable as JSON"),
        (b'{"index":1\n', "line 3: not readable as JSON"),
        (b"\xff\xfe\n", "line 3: not readable as JSON"),
        (damaged("seconds", "NaN"), "line 3: not readable as JSON"),
        (damaged("seconds", "-1"), "line 3: input 1: seconds is -1.0"),
        (damaged("radius", "1e999"), "line 3: radius: number out of range"),
        (damaged("index", "1.5"), "line 3: index: expected int, got float"),
        (damaged("index", "9223372036854775808"), "line 3: index: expected int <= 9223372036854775807"),
        (damaged("label", "1" + "0" * 100_000), "line 3: label: integer value out of range"),
        (damaged("counts", "3"), "line 3: counts: expected array, got int"),
        (damaged("counts", "[[1,8,1],[1,true,38]]"), r"line 3: counts\[1\]\[1\]: expected int, got bool"),
        (damaged("selection", "[" * 100_000), r"line 3: selection\[0\]: expected int, got array"),
        (b'{"more":1,' + damaged("label", "1")[1:], "line 3: more: not a known key"),
        (logfile.header_line(RUN).encode(), "line 3: a second log begins"),
    ],
)
def test_damage_is_reported_with_its_line(tmp_path, line, complaint):
    path = write(tmp_path / "run.log", [0])
    path.write_bytes(path.read_bytes() + line + outcome(2).line().encode() + b"\n")
    before = path.read_bytes()
    for use in (read_log, lambda file: RunLog.open(file, RUN, resume=True)):
        with pytest.raises(InvalidInputError, match=complaint) as caught:
            use(path)
        assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


VERSION = logfile.START.decode() + '1", "noiseaug": "0.1"'


@pytest.mark.parametrize(
    ("header", "complaint"),
    [
        ('{"format": "noiseaug certification log 3"}', "reads noiseaug certification log 1 and"),
        (logfile.START.decode() + '1", "x', "line 1: not readable as JSON"),
        (logfile.START.decode() + '1"}', "line 1: noiseaug: missing"),
        (VERSION + "}", "line 1: description: missing"),
        (VERSION + ', "description": [1]}', "line 1: description: expected object, got array"),
        (VERSION + ', "description": ' + "[" * 100_000, "line 1: nested too deeply"),
        (VERSION + ', "description": {"x": ' + "[" * 100_000, "line 1: nested too deeply"),
    ],
)
def test_bad_headers(tmp_path, header, complaint):
    path = tmp_path / "run.log"
    path.write_text(header + "\n")
    for use in (read_log, lambda file: RunLog.open(file, RUN, resume=True), lambda file: merge_logs([file], "out")):
        with pytest.raises(InvalidInputError, match=complaint) as caught:
            use(path)
        assert "\n" not in str(caught.value)
    assert path.read_text() == header + "\n"
