"""Counts of many classes are kept without their zeros, and logs with all of them stay readable."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noiseaug.certificates import Cohen, MultiLook, TCertify
from noiseaug.certification import certify, recertify_log
from noiseaug.errors import InvalidInputError
from noiseaug.records import Outcome, RunLog, merge_logs, read_log
from noiseaug.records.tally import Tally, tallies, tallies_of
from noiseaug.report import p_lower

OLD = Path(__file__).parent / "files" / "hundred_classes_format_1.jsonl"
X = np.array([[0.35], [4.52], [9.0]])
RUN = {"smooth_sigma": 0.03, "labels": [3, 45, 90], "n": 2000}
PLAIN = ["index", "label", "prediction", "radius", "correct", "n"]


def ladder(classes):
    """Steps of a tenth, each a class of its own."""
    return lambda x: np.clip(np.floor(10 * x[:, 0]), 0, classes - 1).astype(int)


def test_a_log_of_the_first_format_is_read_as_it_was_written():
    description, frame = read_log(OLD)
    entries = [json.loads(line) for line in OLD.read_text().splitlines()]
    assert entries[0]["format"].endswith("log 1")
    assert description == entries[0]["description"]
    for row, entry in zip(frame.to_dict("records"), entries[1:], strict=True):
        assert [list(counts) for counts in row["counts"]] == entry["counts"]
        assert list(row["selection"]) == entry["selection"]
        assert (row["prediction"], row["radius"]) == (entry["prediction"], entry["radius"])
    assert frame["prediction"].tolist() == [3, 45, -1]


@pytest.mark.parametrize("rule", [TCertify(), MultiLook((0.01,))], ids=["t-certify", "multi-look"])
def test_an_old_log_is_certified_anew_and_merged_into_a_short_one(rule, tmp_path):
    """The votes of the old log are those of a run of today, so the rule decides the same; looks come in between."""
    again = recertify_log(OLD, tmp_path / "again.jsonl", rule)
    assert (again["prediction"] >= 0).any()
    pd.testing.assert_frame_equal(read_log(tmp_path / "again.jsonl")[1], again)
    merge_logs([OLD], tmp_path / "merged.jsonl")
    assert (tmp_path / "merged.jsonl").stat().st_size < OLD.stat().st_size / 3
    assert read_log(tmp_path / "merged.jsonl")[1][PLAIN].equals(read_log(OLD)[1][PLAIN])


def test_what_is_certified_with_many_classes_is_what_is_certified_with_few(tmp_path):
    few = certify(ladder(60), X[:2], num_classes=60, **{**RUN, "labels": [3, 45]})
    path = tmp_path / "run.jsonl"
    many = certify(ladder(1000), X[:2], num_classes=1000, log=path, **{**RUN, "labels": [3, 45]})
    assert many[PLAIN].equals(few[PLAIN])
    assert isinstance(many["selection"][0], Tally)
    assert type(few["selection"][0]) is tuple
    for column in ("selection", "counts"):
        for long, short in zip(many[column], few[column], strict=True):
            assert np.array_equal(np.asarray(long)[..., :60], np.asarray(short))
            assert np.asarray(long).shape[-1] == 1000
    description, read = read_log(path)
    pd.testing.assert_frame_equal(read, many)
    known = {"failure_prob": 1e-3, "n": 2000, "certificate": {"name": "cohen"}}
    assert p_lower(description, many).tolist() == p_lower(known, few).tolist()
    header, *lines = path.read_text().splitlines()
    assert json.loads(header)["format"].endswith("log 2")
    assert max(map(len, lines)) < 600


def test_a_tally_reads_like_a_tuple():
    rows = [[0] * 100 for _ in range(3)]
    rows[0][7], rows[1][7], rows[2][7], rows[2][99] = 3, 5, 6, 1
    selection, first, last = tallies_of(rows)
    assert [tuple(each) for each in (selection, first, last)] == [tuple(row) for row in rows]
    assert (len(last), sum(last), max(last), last.index(6), last[99], last[-1], last[98], last[5:8]) == (
        *(100, 7, 6, 7, 1, 1, 0),
        (0, 0, 6),
    )
    with pytest.raises(IndexError):
        last[100]
    assert np.array([first, last]).tolist() == rows[1:]
    assert last == tallies(100, [99, 7], [[1, 6]])[0]
    assert hash(last) == hash(tallies(100, [99, 7], [[1, 6]])[0])
    assert last != first
    assert last != tallies(101, [99, 7], [[1, 6]])[0]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_counts_come_back(data):
    classes = data.draw(st.integers(65, 300))
    rows = np.zeros((data.draw(st.integers(2, 5)), classes), dtype=int)
    for row in rows:
        places = data.draw(st.lists(st.integers(0, classes - 1), min_size=1, max_size=6))
        np.add.at(row, places, data.draw(st.integers(1, 2**40)))
    rows[1:] = np.cumsum(rows[1:], axis=0)
    made = Outcome(0, 1, -1, 0.0, rows[0], tuple(rows[1:].sum(axis=1).tolist()), tuple(rows[1:]), 0.5)
    again = Outcome.from_line(made.line(), "here")
    assert again == made
    assert np.array_equal(np.array([again.selection, *again.counts]), rows)
    assert again.line() == made.line()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"order": [7, 7]}, "names no different classes"),
        ({"order": [7, 100]}, "names no different classes"),
        ({"order": [7, -1]}, "names no different classes"),
        ({"order": [7]}, "2 counts of 1 classes"),
        ({"num_classes": 0}, "num_classes"),
        ({"num_classes": 10**9}, "num_classes"),
        ({"counts": [[9], [90, 9]]}, "no cumulative counts of 10 votes in 100 classes"),
        ({"counts": [[10], [9, 91]]}, "no cumulative counts of 100 votes"),
        ({"counts": [[10], [110, -10]]}, "no cumulative counts of 100 votes"),
        ({"looks": [100, 100], "counts": [[100], [100]]}, "increasing"),
        ({"selection": [-1, 11]}, "negative"),
        ({"prediction": 100}, "none of the 100 classes"),
        ({"more": 1}, "not a known key"),
    ],
)
def test_a_damaged_line_is_refused(change, complaint):
    line = {"index": 0, "label": 7, "prediction": 7, "radius": 0.1, "num_classes": 100, "order": [7, 20]}
    line |= {"selection": [10], "looks": [10, 100], "counts": [[10], [90, 10]], "seconds": 0.5}
    assert Outcome.from_line(json.dumps(line), "here").counts[1][20] == 10
    with pytest.raises(InvalidInputError, match=rf"^(here|input 0).*{complaint}"):
        Outcome.from_line(json.dumps(line | change), "here")


def test_a_number_of_classes_that_is_not_the_run_s_is_refused(tmp_path):
    path = tmp_path / "run.jsonl"
    certify(ladder(100), X, num_classes=100, log=path, **RUN)
    path.write_text(path.read_text().replace('"num_classes":100,"order"', '"num_classes":99,"order"'))
    with pytest.raises(InvalidInputError, match="counts of 99 classes; the run has 100"):
        read_log(path)


def test_an_old_log_is_taken_up(tmp_path):
    """By the version that began it; new lines are short, old ones stay."""
    path = tmp_path / "run.jsonl"
    path.write_bytes(OLD.read_bytes())
    description = read_log(OLD)[0]
    with RunLog.open(path, description, resume=True) as log:
        assert log.finished == {0, 1, 2}
    assert path.read_bytes() == OLD.read_bytes()
    recertify_log(path, tmp_path / "again.jsonl", Cohen())
    assert read_log(tmp_path / "again.jsonl")[1][PLAIN].equals(read_log(OLD)[1][PLAIN])
