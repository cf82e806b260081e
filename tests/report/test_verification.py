"""Logs without votes: what cannot be true is found, and what a run can print is let through."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noiseaug.certificates import CertificationSetting, Cohen, VoteBudget
from noiseaug.report import verify
from tests.helpers.running import call_root

SETTING = CertificationSetting(0.5, VoteBudget(1000, 0.001))


def radius_of(wins: int) -> float:
    return Cohen().decide(SETTING, 0, np.array([1, 0]), np.array([[wins, 1000 - wins]])).radius


@st.composite
def runs(draw):
    """What a run may print: every k-th input, radii as they come, or rounded in either way to some digits."""
    wins = np.array(draw(st.lists(st.integers(400, 1000), min_size=3, max_size=12)))
    step, first = draw(st.integers(1, 50)), draw(st.integers(0, 5))
    radii = np.array([radius_of(int(k)) for k in wins])
    digits = draw(st.sampled_from([None, 2, 3, 6]))
    if digits is not None:
        down = draw(st.booleans())
        radii = np.floor(radii * 10**digits) / 10**digits if down and digits == 6 else radii.round(digits)
    certified = radii > 0
    labels = np.array(draw(st.lists(st.integers(0, 2), min_size=len(wins), max_size=len(wins))))
    frame = pd.DataFrame(
        {
            "index": first + step * np.arange(len(wins)),
            "label": labels,
            "prediction": np.where(certified, labels, -1),
            "radius": radii,
            "correct": certified,
            "seconds": 1.5,
        }
    )
    return frame.sample(frac=1, random_state=draw(st.integers(0, 9)), ignore_index=True)


@settings(max_examples=25, deadline=None)
@given(runs())
def test_what_a_run_prints_is_let_through(frame):
    assert verify(frame, SETTING) == []
    assert verify(frame) == []


def changed(frame, row, column, value):
    frame = frame.copy()
    frame.loc[row, column] = value
    return frame


FAULTS = {
    "stands more than once": lambda frame, row: pd.concat([frame, frame.iloc[[row]]], ignore_index=True),
    "correct is not": lambda frame, row: changed(frame, row, "correct", not frame["correct"][row]),
    "time is negative": lambda frame, row: changed(frame, row, "seconds", -1.0),
    "no number of at least 0": lambda frame, row: changed(frame, row, "radius", -0.25),
    "although the prediction abstains": lambda frame, row: changed(
        changed(changed(frame, row, "radius", 0.25), row, "prediction", -1), row, "correct", False
    ),
    "the largest at n = 1000": lambda frame, row: changed(frame, row, "radius", radius_of(1000) + 0.01),
}


@settings(max_examples=30, deadline=None)
@given(runs(), st.sampled_from(sorted(FAULTS)), st.integers(0, 2))
def test_what_cannot_be_is_found(frame, fault, row):
    assert any(fault in line for line in verify(FAULTS[fault](frame, row), SETTING))


def test_gaps_are_found():
    frame = pd.DataFrame({"index": [0, 20, 60, 80, 95, 100], "label": 0, "prediction": 0, "radius": 0.0})
    found = verify(frame)
    assert found == ["input 40: missing from every 20th input", "input 95: none of every 20th input"]


def test_indices_may_span_more_than_memory_holds():
    frame = pd.DataFrame({"index": [0, 1, 2, 2**62], "label": 0, "prediction": 0, "radius": 0.0})
    assert verify(frame) == [f"input 3 and {2**62 - 4} more: missing from every 1th input"]


def test_a_radius_that_no_votes_give():
    between = (radius_of(999) + radius_of(1000)) / 2
    frame = pd.DataFrame({"index": [0, 1], "label": 0, "prediction": 0, "radius": [between, radius_of(990)]})
    assert verify(frame, SETTING) == [
        "input 0: no number of votes gives the radius at n = 1000, failure probability 0.001 and σ = 0.5"
    ]


LINES = ["idx\tlabel\tpredict\tradius\tcorrect\ttime", "0\t3\t3\t0.51\t1\t0:00:14.1", "20\t5\t-1\t0.0\t0\t0:00:13"]


def test_the_command(tmp_path):
    path = tmp_path / "run.tsv"
    path.write_text("\n".join(LINES) + "\n")
    done = call_root("report", path, "--verify", "--smooth-sigma", 0.25)
    assert (done.status, done.err) == (0, "run.tsv: 2 inputs; checked: radii\n")
    assert "need --smooth-sigma" in call_root("report", path, "--verify").err
    path.write_text("\n".join(LINES).replace("0.51", "5.1") + "\n")
    assert call_root("report", path).status == 0
    done = call_root("report", path, "--verify", "--smooth-sigma", 0.25)
    assert done.status == 2
    assert "run.tsv: input 0: the radius is above 0.9" in done.complaint
    assert done.out == ""


@pytest.mark.parametrize("given", [["--n", 0], ["--failure-prob", 2], ["--smooth-sigma", -1]])
def test_numbers_out_of_range(given, tmp_path):
    path = tmp_path / "run.tsv"
    path.write_text("\n".join(LINES) + "\n")
    assert call_root("report", path, "--verify", "--smooth-sigma", 0.25, *given).status == 2
