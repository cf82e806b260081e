"""``noiseaug certify``, ``predict``, ``recertify``, ``merge`` and ``report``, on real and on bad input."""

from __future__ import annotations

import contextlib
import json
import signal
import time

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from noiseaug.data import load_data
from noiseaug.records import read_log
from noiseaug.subjects import load_classifier
from tests.helpers.running import Outcome, call_root, start

PROGRAM = "from noiseaug.cli import main; main()"


def run_noiseaug(*arguments: object, cwd=".") -> Outcome:
    """The command in this process, in a directory."""
    with contextlib.chdir(cwd):
        return call_root(*arguments)


SMALL = ["--data", "digits:3,8", "--smooth-sigma", 0.5, "--n", 500, "--every", 8]


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A finished run of 23 images."""
    path = tmp_path_factory.mktemp("certify") / "run.jsonl"
    done = run_noiseaug("certify", *SMALL, "--train-sigma", 0.5, "--out", path)
    assert done.status == 0, done.err
    return path


def test_certify_writes_a_log(log):
    description, frame = read_log(log)
    assert len(frame) == 23
    assert description["train_sigma"] == 0.5
    assert description["n"] == 500
    assert frame["correct"].mean() > 0.8
    assert frame["index"].tolist() == list(range(0, 178, 8))


def test_shards_merge_to_the_whole(log, tmp_path):
    parts = [tmp_path / f"part{i}.jsonl" for i in range(3)]
    for i, part in enumerate(parts):
        assert run_noiseaug("certify", *SMALL, "--train-sigma", 0.5, "--shard", f"{i}/3", "--out", part).status == 0
    assert run_noiseaug("merge", *parts, "--out", tmp_path / "whole.jsonl").status == 0
    _, merged = read_log(tmp_path / "whole.jsonl")
    _, whole = read_log(log)
    assert merged.drop(columns="seconds").equals(whole.drop(columns="seconds"))


def test_a_killed_run_is_resumed(tmp_path):
    out, full = tmp_path / "killed.jsonl", tmp_path / "full.jsonl"
    arguments = ["certify", "--data", "digits:3,8", "--smooth-sigma", 0.5, "--n", 20_000, "--every", 4]
    process = start("-c", PROGRAM, *arguments, "--out", out)
    for _ in range(1200):
        if out.exists() and len(out.read_bytes().splitlines()) > 5:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    begun = len(read_log_lines(out))
    assert 1 < begun < 45
    assert run_noiseaug(*arguments, "--out", out).status == 2
    assert run_noiseaug(*arguments, "--out", out, "--resume").status == 0
    assert run_noiseaug(*arguments, "--out", full).status == 0
    one, other = (read_log(path)[1].drop(columns="seconds") for path in (out, full))
    assert one.equals(other)


def read_log_lines(path):
    return [line for line in path.read_bytes().split(b"\n")[:-1] if line.startswith(b'{"index"')]


def test_recertify_and_report(log, tmp_path):
    out = tmp_path / "again.jsonl"
    assert run_noiseaug("recertify", log, "--out", out, "--failure-prob", 0.05).status == 0
    assert (read_log(out)[1]["radius"] >= read_log(log)[1]["radius"]).all()
    for style, mark in (("text", "ACR"), ("csv", "run,"), ("markdown", "|"), ("latex", "tabular")):
        done = run_noiseaug("report", log, out, "--radii", "0.25,0.5", "--format", style)
        assert done.status == 0
        assert mark in done.out
    compared = run_noiseaug("report", log, out, "--compare", 0.25, "--plots", tmp_path / "pics")
    assert "McNemar" in compared.out
    for name in ("certified_accuracy.png", "p_lower.png"):
        assert (tmp_path / "pics" / name).stat().st_size > 10_000


def test_published_format_goes_through(log, tmp_path):
    tsv = tmp_path / "run.tsv"
    tsv.write_text(
        "idx\tlabel\tpredict\tradius\tcorrect\ttime\n0\t3\t3\t0.51\t1\t0:00:14.1\n20\t5\t-1\t0.0\t0\t0:00:13\n"
    )
    done = run_noiseaug("report", tsv, "--radii", "0.5", "--format", "csv")
    assert done.status == 0
    assert "50.0" in done.out or "0.5" in done.out


def test_predict(tmp_path):
    out = tmp_path / "labels.csv"
    options = ["--data", "digits:3,8", "--smooth-sigma", 0.25, "--n", 100, "--every", 16, "--out", out]
    assert run_noiseaug("predict", *options).status == 0
    frame = pd.read_csv(out)
    assert frame.columns.tolist() == ["index", "label", "prediction", "p_value"]
    assert (frame["prediction"] == frame["label"]).mean() > 0.7


def test_classifiers_of_ones_own(tmp_path):
    data = load_data("digits:3,8")
    model = LogisticRegression(max_iter=5000).fit(data.train.rows(), data.train.labels)
    joblib.dump(model, tmp_path / "mine.joblib")
    np.savez(tmp_path / "mine.npz", x=data.test.inputs[:6], y=data.test.labels[:6])
    (tmp_path / "mine.py").write_text("import numpy as np\ndef ones(x):\n    return np.ones(len(x), int)\n")
    for classifier, more in (("mine.joblib", []), ("mine:ones", ["--classes", 2])):
        done = run_noiseaug(
            "certify", "--classifier", classifier, "--data", "mine.npz", "--smooth-sigma", 0.5, "--n", 200, *more,
            "--out", f"{classifier[-4:]}.jsonl", cwd=tmp_path,
        )  # fmt: skip
        assert done.status == 0, done.err
    description = json.loads((tmp_path / "ones.jsonl").read_text().splitlines()[0])["description"]
    assert description["classifier"] == "mine:ones"


def test_discrete_noise_on_bytes(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (4, 5, 5), dtype=np.uint8)
    np.savez(tmp_path / "bytes.npz", x=x, y=(x.mean(axis=(1, 2)) > 127).astype(int))
    (tmp_path / "bright.py").write_text("def label(x):\n    return (x.mean(axis=(1, 2, 3)) > 0.5).astype(int)\n")
    done = run_noiseaug(
        "certify", "--classifier", "bright:label", "--classes", 2, "--data", "bytes.npz", "--noise", "discrete",
        "--smooth-sigma", 0.25, "--n", 300, "--out", "d.jsonl", cwd=tmp_path,
    )  # fmt: skip
    assert done.status == 0, done.err
    description, frame = read_log(tmp_path / "d.jsonl")
    assert 0 < description["noise_error"] < 1e-12
    assert len(frame) == 4


BAD = [
    (["certify", *SMALL, "--out", "x", "--certificate", "luck"], "certificate"),
    (["certify", *SMALL, "--out", "x", "--certificate", "confidence-sequence"], "needs radius"),
    (["certify", *SMALL, "--out", "x", "--certificate", "full-radius", "--set", "tolerance=-1"], "tolerance"),
    (["certify", *SMALL, "--out", "x", "--certificate", "full-radius", "--set", "patience=1"], "tolerance (0.05)"),
    (["certify", *SMALL, "--out", "x", "--certificate", "multi-look"], "radii"),
    (["certify", *SMALL, "--out", "x", "--radius", 0.5], "--radius"),
    (["certify", *SMALL, "--out", "x", "--shard", "3/3"], "shard"),
    (["certify", *SMALL, "--out", "x", "--classifier", "nothing"], "classifier"),
    (["certify", *SMALL, "--out", "x", "--classifier", "no_such_module:f"], "import"),
    (["certify", *SMALL, "--out", "x", "--classifier", "numpy:nothing"], "has no"),
    (["certify", *SMALL, "--out", "x", "--classifier", "none.joblib"], "no file"),
    (["certify", "--data", "none.npz", "--smooth-sigma", 0.5, "--out", "x"], "no file"),
    (["certify", "--data", "digits:3,3", "--smooth-sigma", 0.5, "--out", "x"], "digits"),
    (["certify", "--data", "moon", "--smooth-sigma", 0.5, "--out", "x"], "data"),
    (["certify", "--data", "digits", "--smooth-sigma", 0, "--out", "x"], "--smooth-sigma is 0"),
    (["certify", "--data", "digits", "--smooth-sigma", 0.5, "--n", 3, "--out", "x"], "10 votes"),
    (["certify", "--data", "digits", "--smooth-sigma", 0.5, "--train-sigma", -1, "--out", "x"], "--train-sigma is -1"),
    (["predict", "--smooth-sigma", 0.5, "--every", 0], "every"),
    (["report", "none.jsonl"], "none.jsonl"),
    (["recertify", "none.jsonl", "--out", "x"], "none.jsonl"),
    (["merge", "none.jsonl", "--out", "x"], "none.jsonl"),
]


@pytest.mark.parametrize(("arguments", "word"), BAD, ids=[f"{a[0]}-{w}" for a, w in BAD])
def test_bad_input(arguments, word, tmp_path):
    done = run_noiseaug(*arguments, cwd=tmp_path)
    assert done.status == 2
    lines = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert word in lines[0]
    assert list(tmp_path.iterdir()) == []


def test_reports_refuse_what_they_cannot_read(log, tmp_path):
    odd = tmp_path / "odd.txt"
    odd.write_text("hello\n")
    for more in ([odd], [log, log], [log, "--compare", 0.5], [log, "--radii", "a"]):
        done = run_noiseaug("report", *more)
        assert done.status == 2
        assert done.err.count("error: ") == 1


def test_sources():
    data = load_data("digits")
    assert data.test.inputs.dtype == np.float32
    assert (data.test.inputs.min(), data.test.inputs.max()) == (0, 1)
    assert len(data.test) + len(data.train) == 1797
    first, again, other = (load_classifier("logistic", data, 0.3, 2, seed).coef_ for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
