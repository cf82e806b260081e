"""Logs lose no outcome and count none twice, whatever happens to their writer."""

from __future__ import annotations

import json
import os
import signal
import warnings
from fractions import Fraction

import msgspec
import numpy as np
import pandas as pd
import pytest

import noiseaug
from noiseaug.errors import InvalidInputError
from noiseaug.records import ABSTAIN, Outcome, RunLog, logfile, merge_logs, outcomes_frame, read_log
from noiseaug.runs import locks
from tests.helpers.logs import RUN, outcome, write
from tests.helpers.running import start


def test_an_outcome_takes_numpy_and_keeps_plain_numbers():
    counts = np.array([[1, 8, 1], [1, 60, 39]])
    changes = {"index": np.int64(0), "radius": np.float64(0.25)}
    made = msgspec.structs.replace(outcome(0), **changes, selection=np.array([1, 8, 1]), counts=counts)
    assert made == outcome(0, radius=0.25)
    assert made.counts == ((1, 8, 1), (1, 60, 39))
    assert type(made.counts[0][0]) is int
    assert (made.n, made.correct, outcome(1).correct) == (100, False, True)
    # without a label an abstention is not correct
    assert not outcome(0, prediction=ABSTAIN, label=-1, radius=0.0).correct


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"radius": float("nan")}, "radius is nan"),
        ({"radius": -0.1}, "radius is -0.1"),
        ({"prediction": ABSTAIN}, "although the prediction abstains"),
        ({"prediction": 3}, "none of the 3 classes"),
        ({"prediction": -2}, "expected an index"),
        ({"seconds": float("inf")}, "seconds is inf"),
        ({"looks": (10,)}, "1 looks but 2 rows"),
        ({"looks": (100, 10), "counts": ((1, 60, 39), (1, 8, 1))}, "increasing"),
        ({"counts": ((1, 8, 1), (1, 60, 38))}, "no cumulative counts of 100 votes"),
        ({"counts": ((1, 8, 1), (0, 60, 40))}, "no cumulative counts"),
        ({"counts": ((1, 9), (1, 99))}, "no cumulative counts"),
        ({"selection": (-1, 8, 1)}, "negative"),
    ],
)
def test_contradictions_are_refused(changes, fault):
    with pytest.raises(InvalidInputError, match=rf"^input 0: .*{fault}"):
        outcome(0, **changes)


def test_a_log_keeps_everything(tmp_path):
    with RunLog.open(tmp_path / "new" / "run.log", RUN) as log:
        for index in (5, 2, 9):
            log.append(outcome(index))
        assert log.finished == {2, 5, 9}
        frame = log.frame()
    description, read = read_log(tmp_path / "new" / "run.log")
    assert description == RUN
    pd.testing.assert_frame_equal(read, frame)
    pd.testing.assert_frame_equal(read, outcomes_frame(map(outcome, (2, 5, 9))))
    assert list(read.columns) == [
        *("index", "label", "prediction", "radius", "correct", "n", "seconds", "selection", "looks", "counts")
    ]
    assert read["correct"].tolist() == [False, False, False]
    again = [Outcome(**row) for row in read.drop(columns=["correct", "n"]).to_dict("records")]
    assert again == [outcome(2), outcome(5), outcome(9)]


def test_the_file_states_no_radius_above_the_outcome(tmp_path):
    path = write(tmp_path / "run.log", range(20))
    for line in path.read_text().splitlines()[1:]:
        entry = json.loads(line, parse_float=Fraction)
        assert entry["radius"] <= Fraction(outcome(entry["index"]).radius)


def test_empty_log(tmp_path):
    with RunLog.open(tmp_path / "run.log", RUN) as log:
        assert log.frame().empty
        _, frame = read_log(tmp_path / "run.log")
        assert frame.dtypes["radius"] == "float64"
    # a run that could not begin leaves nothing
    assert not (tmp_path / "run.log").exists()
    # but what was there stays
    (tmp_path / "run.log").write_text(logfile.header_line(RUN))
    RunLog.open(tmp_path / "run.log", RUN, resume=True).close()
    assert read_log(tmp_path / "run.log")[0] == RUN


def test_cut_anywhere_a_log_is_taken_up_again(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # a thousand of them take their time
    path = write(tmp_path / "run.log", [0, 1, 2])
    whole = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        kept = max(sum(end <= size for end in ends) - 1, 0)
        with RunLog.open(path, RUN, resume=True) as log:
            assert log.finished == set(range(kept)), size
            for index in range(kept, 3):
                log.append(outcome(index))
        assert path.read_bytes() == whole, size


def test_reading_leaves_out_a_cut_off_line_and_says_so(tmp_path):
    path = write(tmp_path / "run.log", [0, 1, 2])
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])  # all but the line's end: not yet an outcome
    with pytest.warns(UserWarning, match=r"run\.log, line 4 is cut off"):
        _, frame = read_log(path)
    assert frame["index"].tolist() == [0, 1]
    assert path.read_bytes() == whole[:-1]
    path.write_bytes(whole[:50])
    with pytest.raises(InvalidInputError, match="ends in its first line"):
        read_log(path)


WRITER = """
import sys
from pathlib import Path
from noiseaug.records import Outcome, RunLog
K = 4000  # long lines, so that some are cut off
counts = ((1,) * K,)
with RunLog.open(Path(sys.argv[1]), {"num_classes": K, "seed": 3}, resume=True) as log:
    for i in range(int(sys.argv[2])):
        if i not in log.finished:
            log.append(Outcome(i, 0, 0, 0.25, counts[0], (K,), counts, 0.0))
            print(i, flush=True)
"""


def test_a_killed_writer_loses_nothing(tmp_path):
    path, script, total = tmp_path / "run.log", tmp_path / "writer.py", 150
    script.write_text(WRITER)
    promised: list[int] = []
    for patience in (1, 12, 30):
        with start(script, path, total) as writer:
            for _ in range(patience):
                promised.append(int(writer.stdout.readline()))
            writer.send_signal(signal.SIGKILL)
            # appended before the kill, though after the last line read
            promised += [int(line) for line in writer.stdout.read().split("\n")[:-1]]
            assert writer.wait() == -signal.SIGKILL
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert set(promised) <= set(read_log(path)[1]["index"])
        with path.open("ab") as stream:
            stream.write(b'{"index":149,"label":0,')  # as if killed in a line
    assert len(promised) == len(set(promised)) >= 43
    with start(script, path, total) as writer:
        rest = [int(line) for line in writer.stdout]
        assert writer.wait() == 0, writer.stderr.read()
    assert not set(rest) & set(promised)
    assert read_log(path)[1]["index"].tolist() == list(range(total))


def test_a_second_writer_is_refused(tmp_path):
    path = tmp_path / "run.log"
    with RunLog.open(path, RUN) as log:
        log.append(outcome(0))
        before = path.read_bytes()
        for resume in (True, False):
            with pytest.raises(InvalidInputError, match="another process is writing"):
                RunLog.open(path, RUN, resume=resume)
        with pytest.raises(InvalidInputError, match="another process is writing"):
            merge_logs([path], tmp_path / "merged.log")
        assert path.read_bytes() == before
        assert len(read_log(path)[1]) == 1  # reading is free
    RunLog.open(path, RUN, resume=True).close()


def test_a_log_removed_between_opening_and_locking_is_not_written_to(tmp_path, monkeypatch):
    path, lock = tmp_path / "run.log", locks.lock_file

    def late(handle, where, *, shared):
        monkeypatch.setattr(locks, "lock_file", lock)
        path.unlink()  # another writer closes its empty log
        lock(handle, where, shared=shared)

    monkeypatch.setattr(locks, "lock_file", late)
    write(path, [0])
    assert len(read_log(path)[1]) == 1


def test_a_write_that_fails_leaves_the_log_as_before(tmp_path, monkeypatch):
    path, plain_write = tmp_path / "run.log", os.write

    def full(handle, data):
        if len(data) < 60:
            raise OSError(28, "No space left on device")
        return plain_write(handle, data[:-50])

    with RunLog.open(path, RUN) as log:
        log.append(outcome(0))
        before = path.read_bytes()
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            log.append(outcome(1))
        monkeypatch.undo()
        assert path.read_bytes() == before
        assert log.finished == {0}
        log.append(outcome(1))
    assert len(read_log(path)[1]) == 2


def test_an_input_is_logged_once(tmp_path):
    path = tmp_path / "run.log"
    with RunLog.open(path, RUN) as log:
        log.append(outcome(7))
        with pytest.raises(InvalidInputError, match="input 7 already"):
            log.append(outcome(7))
    with RunLog.open(path, RUN, resume=True) as log, pytest.raises(InvalidInputError, match="input 7 already"):
        log.append(outcome(7))
    assert len(read_log(path)[1]) == 1
    # nor does a file by another hand count it twice
    path.write_bytes(path.read_bytes() + (outcome(7).line() + "\n").encode())
    with pytest.raises(InvalidInputError, match="line 3: input 7 stands in an earlier line"):
        read_log(path)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"seed": 2}, "its seed is 1, not 2"),
        ({"shard": "1/2"}, "its shard is None, not '1/2'"),
        ({"classifier": {"name": "linear", "depth": 2}}, r"its classifier\.depth is 1, not 2"),
        ({"data": "mnist", "seed": 2}, "its data is 'digits', not 'mnist'"),
        ({"extra": 1}, "its extra is nothing, not 1"),
    ],
)
def test_another_description_is_refused(tmp_path, changes, complaint):
    path = write(tmp_path / "run.log", [0])
    before = path.read_bytes()
    with pytest.raises(InvalidInputError, match=f"{complaint}; choose another file") as caught:
        RunLog.open(path, {**RUN, **changes}, resume=True)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


def test_what_is_there_is_not_overwritten(tmp_path, monkeypatch):
    path = write(tmp_path / "run.log", [0])
    other = tmp_path / "notes.txt"
    torn = tmp_path / "torn.txt"
    other.write_text("my notes\n")
    torn.write_text('{"form')
    before = {file: file.read_bytes() for file in (path, other, torn)}
    for file in (path, other, torn):
        with pytest.raises(InvalidInputError, match="exists; resume"):
            RunLog.open(file, RUN)
    with pytest.raises(InvalidInputError, match="is no log"):
        RunLog.open(other, RUN, resume=True)
    with pytest.raises(InvalidInputError, match="is a directory"):
        RunLog.open(tmp_path, RUN)
    monkeypatch.setattr(noiseaug, "__version__", "99.0")
    with pytest.raises(InvalidInputError, match=r"begun by noiseaug .*, this is 99\.0"):
        RunLog.open(path, RUN, resume=True)
    assert before == {file: file.read_bytes() for file in before}
    # half of something else is not taken for half a header
    other.write_text('{"former": 1')
    with pytest.raises(InvalidInputError, match="is no log"):
        RunLog.open(other, RUN, resume=True)


def test_descriptions_and_outcomes_that_do_not_fit(tmp_path):
    for bad in ({"seed": np.int64(1)}, {"seed": float("nan")}, [1]):
        with pytest.raises(InvalidInputError, match="the run's description"):
            RunLog.open(tmp_path / "run.log", bad)
    assert not (tmp_path / "run.log").exists()
    with (
        RunLog.open(tmp_path / "run.log", {**RUN, "num_classes": 4}) as log,
        pytest.raises(InvalidInputError, match="3 classes; the run has 4"),
    ):
        log.append(outcome(0))


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("n0", "10", r"expected int \| null, got str"),
        ("n0", [10], r"expected int \| null, got array"),
        ("n0", 10.5, r"expected int \| null, got float"),
        ("n", 2**63, "expected int <= 9223372036854775807"),
        ("failure_prob", "0.1", r"expected float \| null, got str"),
        ("failure_prob", 1, "expected float < 1"),
        ("smooth_sigma", -0.5, "expected float >= 0"),
        ("certificate", {"name": 3}, "expected str, got int"),
        ("seed", -1, "expected int >= 0"),
    ],
)
def test_known_keys_of_a_description_have_a_type(tmp_path, key, value, complaint):
    path = tmp_path / "run.log"
    with pytest.raises(InvalidInputError, match=rf"the run's description: {key}[.a-z]*: {complaint}"):
        RunLog.open(path, {**RUN, key: value})
    path.write_text(logfile.header_line({**RUN, key: value}))
    with pytest.raises(InvalidInputError, match=rf"run\.log, line 1: description: {key}[.a-z]*: {complaint}"):
        read_log(path)


def test_a_description_holds_what_else_a_user_likes(tmp_path):
    description = {"seed": 2**70, "note": {"any": [1, "two", None]}, "certificate": {"name": "own", "weight": 2}}
    write(tmp_path / "run.log", [0], **description)
    assert read_log(tmp_path / "run.log")[0] == {**RUN, **description}
