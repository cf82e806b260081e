"""What a log claims is computed again from its votes when it is read, and refused where it does not follow."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noiseaug.certificates import make_certificate
from noiseaug.certification import certify
from noiseaug.errors import InvalidInputError
from noiseaug.records import RunLog, merge_logs, read_log
from noiseaug.records.logfile import parse

RULES = {
    "cohen": {},
    "t-certify": {},
    "t-certify-post-hoc": {},
    "class-partition": {},
    "runner-up": {},
    "multi-look": {"radii": (0.2, 0.6)},
    "confidence-sequence": {"radius": 0.2},
    "full-radius": {},
    "optimal-stopping": {"radius": 0.2},
}
X = np.array([[-1.0], [-0.5], [0.0], [0.1], [0.4], [2.0]])
MADE: dict[str, bytes] = {}


def label(x):
    return np.digitize(x[:, 0], [-0.5, 0.5])


@pytest.fixture(scope="module", autouse=True)
def logs(tmp_path_factory):
    """A log of every rule."""
    for name, parameters in RULES.items():
        path = tmp_path_factory.mktemp("claims") / "run.jsonl"
        rule = make_certificate(name, **parameters)
        certify(
            label, X, labels=[0, 1, 1, 1, 1, 2], smooth_sigma=0.5, n=1000, num_classes=3, certificate=rule, log=path
        )
        MADE[name] = path.read_bytes()


@cache
def entries(name: str) -> list[dict]:
    return [json.loads(line) for line in MADE[name].splitlines()]


def as_log(rows: list[dict]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@pytest.mark.parametrize("name", RULES)
def test_what_was_certified_is_read(name, tmp_path):
    path = tmp_path / "run.jsonl"
    path.write_bytes(MADE[name])
    description, frame = read_log(path)
    assert description["certificate"]["name"] == name
    assert (frame["prediction"] >= 0).any()
    assert (frame["prediction"] < 0).any()


class Changed:
    """A field of an outcome with another value."""

    @staticmethod
    def radius(row, draw):
        if row["prediction"] < 0:
            return None
        return row["radius"] * draw(st.floats(1.001, 1e6)) + draw(st.floats(1e-3, 10))

    @staticmethod
    def prediction(row, draw):
        others = [-1, 0, 1, 2] if row["radius"] == 0 else [0, 1, 2]
        return draw(st.sampled_from([value for value in others if value != row["prediction"]]))

    @staticmethod
    def selection(row, draw):
        # another class was picked, or another number of votes
        counts = draw(st.permutations(row["selection"]))
        picked = np.argmax(counts) != np.argmax(row["selection"])
        if picked and row["prediction"] >= 0:
            return counts
        return [*row["selection"][:-1], row["selection"][-1] + draw(st.integers(1, 50))]

    @staticmethod
    def looks(row, draw):
        # votes that the rule did not stop at
        return [*row["looks"][:-1], row["looks"][-1] + 3]


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(list(RULES)),
    st.integers(1, len(X)),
    st.sampled_from(["radius", "prediction", "selection", "looks"]),
    st.data(),
)
def test_an_edited_outcome_is_refused_with_its_line(name, number, field, data):
    rows = [dict(row) for row in entries(name)]
    value = getattr(Changed, field)(rows[number], data.draw)
    if value is None:
        return
    rows[number][field] = value
    if field == "looks":
        counts = [list(row) for row in rows[number]["counts"]]
        counts[-1][0] += 3
        rows[number]["counts"] = counts
    with pytest.raises(InvalidInputError, match=rf"^run, line {number + 1}: .*input {number - 1}: ") as caught:
        parse(Path("run"), as_log(rows))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", [{"failure_prob": 0.4}, {"smooth_sigma": 1.0}, {"n": 900}, {"num_classes": 4}])
@pytest.mark.parametrize("name", ["cohen", "full-radius"])
def test_an_edited_header_is_refused(name, change, tmp_path):
    rows = entries(name)
    header = {**rows[0], "description": {**rows[0]["description"], **change}}
    path = tmp_path / "run.jsonl"
    path.write_bytes(as_log([header, *rows[1:]]))
    uses = [
        lambda: read_log(path),
        lambda: RunLog.open(path, header["description"], resume=True),
        lambda: merge_logs([path], tmp_path / "merged.jsonl"),
    ]
    for use in uses:
        with pytest.raises(InvalidInputError, match=r"run\.jsonl, line [2-7]: input"):
            use()
    assert not (tmp_path / "merged.jsonl").exists()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"certificate": {"name": "cohen", "patience": 3}}, "patience"),
        ({"certificate": {"name": "multi-look", "radii": "far"}}, "no run is certified so"),
        ({"certificate": {"name": "full-radius", "votes": 3}}, "no run is certified so"),
        ({"noise_error": 0.5}, "failure_prob"),
        ({"n": 5}, "n is 5"),
        ({"num_classes": 1}, "num_classes is 1"),
    ],
)
def test_a_header_of_no_run_is_refused(change, complaint, tmp_path):
    rows = entries("cohen")
    path = tmp_path / "run.jsonl"
    path.write_bytes(as_log([{**rows[0], "description": {**rows[0]["description"], **change}}]))
    with pytest.raises(InvalidInputError, match=rf"line 1: description: .*{complaint}"):
        read_log(path)


def test_rules_of_ones_own_and_logs_that_do_not_say_are_let_through(tmp_path):
    rows = [dict(row) for row in entries("cohen")]
    rows[1] = {**rows[1], "radius": 100.0}
    path = tmp_path / "run.jsonl"
    for change in ({"certificate": {"name": "mine"}}, {"certificate": "cohen"}, {"noise_error": None}):
        path.write_bytes(as_log([{**rows[0], "description": {**rows[0]["description"], **change}}, *rows[1:]]))
        assert read_log(path)[1]["radius"].max() == 100
