"""A log knows how many inputs its run has, so that what is missing is never passed over."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noiseaug.certification import Certifier, certify_run
from noiseaug.errors import InvalidInputError
from noiseaug.records import merge_logs, read_log
from noiseaug.report import render, summarise
from tests.helpers.logs import write
from tests.helpers.running import call_root

X = np.linspace(-1, 1, 5)[:, None]


def label(x):
    return (x[:, 0] > 0).astype(int)


def run(out, x=X, labels=None, indices=None, **more):
    made = Certifier.make(label, dim=1, smooth_sigma=0.5, n=50, num_classes=2)
    return certify_run(made, x, out, labels=label(x) if labels is None else labels, indices=indices, **more)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(4, 9), st.data())
def test_merging_says_what_a_shard_lacks(count, size, data):
    with tempfile.TemporaryDirectory() as folder:
        paths, held = [], 0
        for number in range(count):
            share = list(range(size))[number::count]
            kept = data.draw(st.integers(1, len(share)))
            held += kept
            shard = f"{number}/{count}"
            paths.append(write(Path(folder, f"{number}.log"), share[:kept], shard=shard, inputs=len(share)))
        out = Path(folder, "all.log")
        if held < size:
            with pytest.raises(InvalidInputError, match=r"log holds \d of \d inputs; finish it"):
                merge_logs(paths, out)
            assert not out.exists()
        merge_logs(paths, out, partial=True)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            description, frame = read_log(out)
        assert (description["inputs"], len(frame)) == (size, held)
        told = [str(warning.message) for warning in caught]
        assert told == ([f"{out} holds {held} of {size} inputs; the run is not finished"] if held < size else [])
        text = render(summarise({"run": (description, frame)}, [0.25]))
        assert (f"run: {held} of {size} inputs; the run is not finished." in text) == (held < size)


def test_where_a_shard_is_missing_the_whole_is_not_known(tmp_path):
    one = write(tmp_path / "0.log", [0, 2], shard="0/2", inputs=2)
    merge_logs([one], tmp_path / "part.log", partial=True)
    assert "inputs" not in read_log(tmp_path / "part.log")[0]


def test_more_outcomes_than_inputs_are_refused(tmp_path):
    path = write(tmp_path / "run.log", [0, 1, 2], inputs=2)
    with pytest.raises(InvalidInputError, match="holds 3 outcomes; its run has 2 inputs"):
        read_log(path)


def test_a_run_states_its_inputs_and_old_logs_are_resumed(tmp_path):
    out = tmp_path / "run.log"
    whole = run(out)
    assert read_log(out)[0]["inputs"] == 5
    # as an earlier version left it, and cut short
    lines = out.read_bytes().replace(b'"inputs": 5, ', b"").splitlines(keepends=True)
    out.write_bytes(b"".join(lines[:3]))
    assert len(read_log(out)[1]) == 2
    again = run(out, resume=True)
    assert again.drop(columns="seconds").equals(whole.drop(columns="seconds"))
    with pytest.raises(InvalidInputError, match="holds input 3, which is none of the inputs of this run"):
        run(out, X[:3], resume=True)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 4), st.one_of(st.integers(5, 10**6), st.sampled_from(["label"])))
def test_resume_refuses_inputs_and_labels_that_the_data_do_not_have(row, change):
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "run.log")
        run(out)
        lines = out.read_text().splitlines(keepends=True)
        if change == "label":
            value = label(X)[row]
            lines[1 + row] = lines[1 + row].replace(f'"label":{value}', f'"label":{1 - value}')
            complaint = f"input {row} has label {1 - value}; in the data it has {value}"
        else:
            lines[1 + row] = lines[1 + row].replace(f'"index":{row}', f'"index":{change}')
            complaint = f"holds input {change}, which is none"
        out.write_text("".join(lines))
        with pytest.raises(InvalidInputError, match=complaint):
            run(out, resume=True)
        assert out.read_text() == "".join(lines)


def test_the_command_line_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ["--data", "digits:3,8", "--smooth-sigma", 0.5, "--n", 20, "--every", 20]
    for part in range(2):
        assert call_root("certify", *options, "--shard", f"{part}/2", "--out", f"{part}.log").status == 0
    lines = Path("1.log").read_bytes().splitlines(keepends=True)
    Path("1.log").write_bytes(b"".join(lines[:-1]))
    done = call_root("merge", "0.log", "1.log", "--out", "all.log")
    assert (done.status, Path("all.log").exists()) == (2, False)
    assert "1.log holds 3 of 4 inputs; finish it with certify --resume, or add --partial" in done.complaint
    assert call_root("merge", "0.log", "1.log", "--out", "all.log", "--partial").status == 0
    told = call_root("report", "all.log")
    assert told.status == 0
    assert "warning: all.log holds 8 of 9 inputs" in told.err
    assert "all.log: 8 of 9 inputs; the run is not finished." in told.out
    again = call_root("recertify", "all.log", "--out", "again.log")
    assert "warning: all.log holds 8 of 9 inputs" in again.err
    compared = call_root("report", "all.log", "0.log", "--compare", 0.25)
    assert "8 of 9 inputs" in compared.err
    assert "different images" in compared.complaint
