"""A run into one log as a library function: resumed from the shards of several processes, and as a TSV file."""

from __future__ import annotations

import numpy as np
import pytest

from noiseaug.certificates import Cohen
from noiseaug.certification import Certifier, certify, certify_run, recertify_log
from noiseaug.errors import InvalidInputError
from noiseaug.records import read_log, read_tsv
from noiseaug.records.shards import shard_file
from noiseaug.regions import Ball
from tests.helpers.errors import full_disk

X = np.random.default_rng(0).normal(size=(7, 2))
REGION = Ball(2, 1.2)
LABELS = REGION.contains(X).astype(int)
OPTIONS = {"smooth_sigma": 0.5, "n": 300, "num_classes": 2}


def label(x):
    return REGION.contains(x).astype(int)


def run(out, base=label, options=OPTIONS, **more):
    return certify_run(Certifier.make(base, dim=2, **options), X, out, labels=LABELS, **more)


def test_a_run_is_what_certify_does(tmp_path):
    frame = run(tmp_path / "run.log", description={"data": "balls"}, tsv=tmp_path / "run.tsv")
    whole = certify(label, X, labels=LABELS, **OPTIONS)
    assert frame.drop(columns="seconds").equals(whole.drop(columns="seconds"))
    description, read = read_log(tmp_path / "run.log")
    assert read.equals(frame)
    assert (description["data"], description["shard"]) == ("balls", None)
    assert read_tsv(tmp_path / "run.tsv")["radius"].equals(frame["radius"])


def two_shards(out, **changes):
    """What two processes had finished when they were stopped: of the first two inputs, of the second one."""
    for number, indices in ((0, [0, 2]), (1, [3])):
        certify(
            label, X[indices], labels=LABELS[indices], indices=indices, log=shard_file(out, number, 2),
            description={"data": "balls", "shard": f"{number}/2"}, **{**OPTIONS, **changes},
        )  # fmt: skip


def test_one_process_resumes_what_two_began(tmp_path):
    out, drawn = tmp_path / "run.log", []

    def counting(x):
        drawn.append(len(x))
        return label(x)

    two_shards(out)
    with pytest.raises(InvalidInputError, match="is of an unfinished run"):
        run(out, description={"data": "balls"})
    frame = run(out, counting, description={"data": "balls"}, resume=True)
    assert sum(drawn) == 4 * (300 + 100)
    whole = certify(label, X, labels=LABELS, **OPTIONS)
    assert frame.sort_values("index").drop(columns="seconds").equals(whole.drop(columns="seconds"))
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(
    ("changes", "complaint"), [({"seed": 1}, "its seed is 1, not 0"), ({"n": 299}, "its n is 299, not 300")]
)
def test_shards_of_another_run_are_left_alone(tmp_path, changes, complaint):
    out = tmp_path / "run.log"
    two_shards(out, **changes)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InvalidInputError, match=complaint):
        run(out, description={"data": "balls"}, resume=True)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_log_is_certified_anew_whole_or_not_at_all(tmp_path):
    log, out = tmp_path / "run.log", tmp_path / "again.log"
    run(log)

    with full_disk(), pytest.raises(OSError, match="No space"):
        recertify_log(log, out, Cohen(), 0.05)
    assert list(tmp_path.iterdir()) == [log]
    frame = recertify_log(log, out, Cohen(), 0.05)
    assert (frame["radius"] >= read_log(log)[1]["radius"]).all()
    description, read = read_log(out)
    assert read.equals(frame)
    assert (description["failure_prob"], description["inputs"]) == (0.05, 7)
    with pytest.raises(InvalidInputError, match="exists; choose another file"):
        recertify_log(log, out, Cohen(), 0.01)


def test_the_log_and_the_tsv_are_two_files(tmp_path):
    (tmp_path / "link.tsv").symlink_to("run.log")
    for tsv in (tmp_path / "run.log", tmp_path / "link.tsv"):
        with pytest.raises(InvalidInputError, match="tsv and out would both write"):
            run(tmp_path / "run.log", tsv=tsv)
    assert [path.name for path in tmp_path.iterdir()] == ["link.tsv"]
