"""A router and its experts on the command line: labels, training, certification, and what is refused."""

from __future__ import annotations

import csv
import io

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from noiseaug.certification import augment
from noiseaug.data import load_data
from noiseaug.records import read_log
from noiseaug.report import best_levels, certified_accuracy
from tests.helpers.running import call_root

LEVELS = (0.3, 0.6)
DATA = ["--data", "digits:3,8"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two experts, their logs on 45 images, and a router for them."""
    path = tmp_path_factory.mktemp("routing")
    train = load_data("digits:3,8").train
    for level in LEVELS:
        expert = LogisticRegression(max_iter=1000).fit(*augment(train.rows(), train.labels, level, 5, 0))
        joblib.dump(expert, path / f"{level}.joblib")
        outcome = call_root(
            *("certify", *DATA, "--classifier", path / f"{level}.joblib", "--smooth-sigma", level),
            *("--n", 300, "--every", 4, "--out", path / f"{level}.jsonl"),
        )
        assert outcome.status == 0, outcome.err
    outcome = call_root("route-labels", *logs(path), *DATA, "--out", path / "router.npz")
    assert outcome.status == 0, outcome.err
    assert "β = 0.3: " in outcome.out
    labelled = load_data(str(path / "router.npz"))
    router = LogisticRegression(max_iter=1000).fit(labelled.train.rows(), labelled.train.labels)
    joblib.dump(router, path / "router.joblib")
    return path


def logs(path):
    return [path / f"{level}.jsonl" for level in LEVELS]


def routed(path, router="router.joblib"):
    experts = [part for level in LEVELS for part in ("--expert", f"{level}={path / f'{level}.joblib'}")]
    return ["certify", *DATA, "--router", path / router, *experts, "--smooth-sigma", 0.4, "--n", 300, "--every", 4]


def test_labels_are_the_levels_with_the_largest_right_radius(folder):
    runs = {str(path): read_log(path) for path in logs(folder)}
    labels = best_levels(runs)
    source = load_data("digits:3,8").test
    held = load_data(str(folder / "router.npz"))
    assert len(held.test) + len(held.train) == len(labels) == 45
    known = {
        image.tobytes(): place for image, place in zip(source.inputs[labels["index"]], labels["place"], strict=True)
    }
    for part in (held.test, held.train):
        assert [known[image.tobytes()] for image in part.inputs] == part.labels.tolist()


def test_a_routed_run_from_end_to_end(folder, tmp_path):
    whole = tmp_path / "run.jsonl"
    outcome = call_root(*routed(folder), "--out", whole, "--tsv", tmp_path / "run.tsv")
    assert outcome.status == 0, outcome.err
    description, frame = read_log(whole)
    assert [part["smooth_sigma"] for part in description["routing"]["experts"]] == list(LEVELS)
    assert len({part["content"] for part in description["expert_classifiers"]}) == 2
    assert frame["correct"].mean() > 0.5
    parts = [tmp_path / f"{i}.jsonl" for i in range(2)]
    for i, part in enumerate(parts):
        assert call_root(*routed(folder), "--shard", f"{i}/2", "--out", part).status == 0
    assert call_root("merge", *parts, "--out", tmp_path / "merged.jsonl").status == 0
    assert read_log(tmp_path / "merged.jsonl")[1].drop(columns="seconds").equals(frame.drop(columns="seconds"))
    lines = whole.read_bytes().splitlines(keepends=True)
    whole.write_bytes(b"".join(lines[:20]) + lines[20][:30])
    assert call_root(*routed(folder), "--out", whole, "--resume").status == 0
    assert read_log(whole)[1].drop(columns="seconds").equals(frame.drop(columns="seconds"))
    other = call_root(*routed(folder, "0.3.joblib"), "--out", whole, "--resume")
    assert other.status == 2
    assert "router_classifier" in other.err
    new = ["--out", tmp_path / "new.jsonl", "--failure-prob", 1e-4, "--router-certificate", "cohen"]
    assert call_root("recertify", whole, *new, "--certificate", "multi-look", "--radius", 0.2).status == 0
    assert read_log(tmp_path / "new.jsonl")[0]["routing"]["router"]["certificate"]["name"] == "cohen"


def test_bounds_of_router_and_experts_may_be_randomised(folder, tmp_path):
    plain, random, again = (tmp_path / f"{name}.jsonl" for name in ("plain", "random", "again"))
    assert call_root(*routed(folder), "--out", plain).status == 0
    assert call_root(*routed(folder), "--randomised", "--out", random).status == 0
    assert call_root("recertify", plain, "--randomised", "--out", again).status == 0
    (description, frame), (changed, anew) = read_log(random), read_log(again)
    assert changed == description
    assert anew.drop(columns="seconds").equals(frame.drop(columns="seconds"))
    assert frame["radius"].sum() > read_log(plain)[1]["radius"].sum()
    assert "cohen, randomised" in call_root("report", random, "--format", "csv").out


def test_an_expert_may_be_several_networks(folder, tmp_path):
    torch = pytest.importorskip("torch")
    from noiseaug.vision.models import build_model, save_checkpoint

    nets = []
    for seed in range(4):
        torch.manual_seed(seed)
        nets.append(str(tmp_path / f"{seed}.safetensors"))
        save_checkpoint(tmp_path / f"{seed}.safetensors", build_model("linear", (1, 8, 8), 2), {"data": "digits:3,8"})
    experts = ["--expert", f"0.3={nets[0]},{nets[1]}", "--expert", f"0.6={nets[2]},{nets[3]}"]
    command = ["certify", *DATA, "--router", folder / "router.joblib", "--smooth-sigma", 0.4, "--n", 50, "--every", 20]
    out = tmp_path / "run.jsonl"
    outcome = call_root(*command, *experts, "--consensus", 1, "--out", out)
    assert outcome.status == 0, outcome.err
    assert read_log(out)[0]["consensus"] == 1
    clash = call_root(*command, *experts, "--out", nets[1])
    assert clash.status == 2
    assert "--expert" in clash.err


def test_a_report_counts_all_votes_and_knows_the_oracle(folder, tmp_path):
    run = tmp_path / "run.jsonl"
    assert call_root(*routed(folder), "--router-n", 200, "--out", run).status == 0
    outcome = call_root("report", run, *logs(folder), "--oracle", "--format", "csv", "--radii", "0.1,0.2")
    assert outcome.status == 0, outcome.err
    table = {row["run"].rpartition("/")[2]: row for row in csv.DictReader(io.StringIO(outcome.out))}
    frame = read_log(run)[1]
    assert float(table["run.jsonl"]["votes"]) == pytest.approx(frame["n"].mean() + 200, abs=1)
    runs = [read_log(path)[1] for path in logs(folder)]
    for radius in (0.1, 0.2):
        best = np.mean(np.any([each["correct"] & (each["radius"] >= radius) for each in runs], axis=0))
        assert float(table["oracle"][f"ca_{radius}"]) == pytest.approx(best, abs=1e-3)
        assert certified_accuracy(frame, [radius])["value"][0] <= best


def test_a_trained_network_is_a_router(folder, tmp_path):
    pytest.importorskip("torch")
    train = [
        "train",
        "--data",
        folder / "router.npz",
        "--train-sigma",
        0.4,
        "--epochs",
        1,
        "--out",
        tmp_path / "router",
    ]
    outcome = call_root(*train)
    assert outcome.status == 0, outcome.err
    outcome = call_root(*routed(folder, tmp_path / "router"), "--out", tmp_path / "run.jsonl")
    assert outcome.status == 0, outcome.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--expert", "0.5=a"], "--expert is given without --router"),
        (["--router-n", 5], "--router-n is given without --router"),
        (["--router", "a", "--expert", "0.5=a"], "at least two"),
        (["--router", "a", "--expert", "0.5=a", "--expert", "0.50=b"], "twice"),
        (["--router", "a", "--expert", "x=a"], "expected β=CLASSIFIER"),
        (["--router", "a", "--expert", "0.5"], "expected β=CLASSIFIER"),
        (["--router", "a", "--classifier", "forest"], "not as --classifier"),
        (["--router", "logistic", "--expert", "0.3=logistic", "--expert", "0.5=logistic"], "names levels"),
    ],
)
def test_options_that_do_not_go_together(arguments, words, tmp_path):
    outcome = call_root("certify", *DATA, "--smooth-sigma", 0.5, "--out", tmp_path / "run.jsonl", *arguments)
    assert outcome.status == 2
    assert words in outcome.err
    assert not (tmp_path / "run.jsonl").exists()


def test_logs_that_are_not_of_the_same_inputs(folder, tmp_path):
    one, other = logs(folder)
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(one.read_bytes())
    for arguments, words in (
        ([one], "at least two"),
        ([one, copy], "both have the level 0.3"),
        ([one, other, "--data", "digits:1,2"], "is a run on digits:3,8"),
        ([one, other, "--out", tmp_path / "x.csv"], "ends in .npz"),
    ):
        outcome = call_root("route-labels", *DATA, "--out", tmp_path / "x.npz", *arguments)
        assert outcome.status == 2, arguments
        assert words in outcome.err
    assert call_root("report", one, "--oracle").status == 2
