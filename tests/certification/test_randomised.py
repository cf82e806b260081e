"""How a run draws U of randomised bounds, logs it, and is certified anew."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from noiseaug.certificates import CertificationSetting, Cohen, MultiLook, TCertify, VoteBudget
from noiseaug.certification import SmoothedClassifier, certify, recertify, recertify_log
from noiseaug.errors import InvalidInputError
from noiseaug.records import merge_logs, read_log
from noiseaug.report import summarise
from noiseaug.votes import bound_uniform
from tests.helpers.statistics import FALSE_ALARM

X = np.array([[-1.0], [-0.5], [0.0], [0.1], [0.4], [2.0]])
OPTIONS = {"smooth_sigma": 0.5, "n": 1000, "num_classes": 3, "seed": 3}
RULES = [Cohen(), TCertify(), MultiLook((0.2, 0.6))]


def label(x):
    return np.digitize(x[:, 0], [-0.5, 0.5])


def test_u_is_a_function_of_the_stream_and_uniform():
    assert bound_uniform("gaussian", 0.5, 0, 0) == 0.7390293136793601  # as in logs that exist
    drawn = np.array([bound_uniform("gaussian", 0.5, seed, index) for seed in range(2) for index in range(2000)])
    assert stats.kstest(drawn, "uniform").pvalue > FALSE_ALARM
    others = [bound_uniform("discrete", 0.5, 0, 0), bound_uniform("gaussian", 0.25, 0, 0)]
    assert len({*drawn.tolist(), *others}) == len(drawn) + 2


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_votes_stay_and_radii_grow(rule):
    plain, random = (certify(label, X, certificate=rule, randomised=each, **OPTIONS) for each in (False, True))
    assert "uniform" not in plain
    assert random["uniform"].tolist() == [bound_uniform("gaussian", 0.5, 3, i) for i in range(len(X))]
    both = plain["n"] == random["n"]
    assert plain["counts"][both].equals(random["counts"][both])
    gain = random["radius"] - plain["radius"]
    assert (gain[both] >= 0).all()
    assert (gain[both] > 0).any()
    # a frame with its column of U is certified anew with them
    setting = CertificationSetting(0.5, VoteBudget(1000, 1e-3), 3)
    assert recertify(random, setting, rule)["radius"].equals(random["radius"])
    assert recertify(random.drop(columns="uniform"), setting, rule)["radius"].le(random["radius"]).all()


def test_a_log_carries_u_and_any_log_can_be_certified_anew(tmp_path):
    for name, randomised in (("plain", False), ("random", True)):
        certify(label, X, log=tmp_path / f"{name}.jsonl", randomised=randomised, **OPTIONS)
    lines = (tmp_path / "random.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["description"]["randomised"] is True
    assert all("uniform" in json.loads(line) for line in lines[1:])
    assert "uniform" not in (tmp_path / "plain.jsonl").read_text()
    assert "randomised" not in (tmp_path / "plain.jsonl").read_text()

    def anew(name: str, out: str, randomised: bool | None) -> tuple[dict, str]:
        recertify_log(tmp_path / f"{name}.jsonl", tmp_path / f"{out}.jsonl", Cohen(), randomised=randomised)
        description, frame = read_log(tmp_path / f"{out}.jsonl")
        return description, frame.drop(columns="seconds").to_json()

    assert anew("plain", "1", True) == anew("random", "2", None) == anew("random", "3", True)
    assert anew("random", "4", False) == anew("plain", "5", None)
    assert anew("1", "6", None) != anew("plain", "7", None)


def test_a_changed_u_is_refused(tmp_path):
    log = tmp_path / "run.jsonl"
    certify(label, X, log=log, randomised=True, **OPTIONS)
    first, line, *rest = log.read_text().splitlines(keepends=True)
    for change in ({"uniform": 0.999}, {"uniform": 1.5}, {"uniform": None}):
        log.write_text("".join([first, json.dumps({**json.loads(line), **change}) + "\n", *rest]))
        with pytest.raises(InvalidInputError, match="uniform"):
            read_log(log)


def test_shards_are_merged_and_resumed(tmp_path):
    whole = certify(label, X, randomised=True, **OPTIONS)
    for part in range(2):
        rows = np.arange(len(X))[part::2]
        log = tmp_path / f"{part}.jsonl"
        notes = {"shard": f"{part}/2", "inputs": len(rows)}
        for resume in (False, True):
            certify(label, X[rows], indices=rows, log=log, randomised=True, resume=resume, description=notes, **OPTIONS)
        with pytest.raises(InvalidInputError, match="randomised"):
            certify(label, X[rows], indices=rows, log=log, resume=True, description=notes, **OPTIONS)
    merge_logs([tmp_path / "0.jsonl", tmp_path / "1.jsonl"], tmp_path / "all.jsonl")
    description, frame = read_log(tmp_path / "all.jsonl")
    assert frame.drop(columns=["seconds", "label", "correct"]).equals(
        whole.drop(columns=["seconds", "label", "correct"])
    )
    labelled = frame.assign(label=1)
    assert summarise({"run": (description, labelled)}, [0.25])["certificate"].tolist() == ["cohen, randomised"]


def test_the_estimator_takes_it():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(-1, 1, (50, 2)), rng.normal(1, 1, (50, 2))])
    model = SmoothedClassifier(smooth_sigma=0.5).fit(x, np.repeat([0, 1], 50))
    plain, random = (model.certify(x[:5], n=200, randomised=each) for each in (False, True))
    assert (random["radius"] >= plain["radius"]).all()
    assert random["radius"].sum() > plain["radius"].sum()
