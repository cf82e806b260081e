"""``noiseaug train``, ``attack`` and ``data``, and certification of what was trained; on real and on bad input."""

from __future__ import annotations

import json
import signal
import time

import numpy as np
import pandas as pd
import pytest
import torch

from noiseaug.records import read_log
from noiseaug.vision.models import build_model, load_checkpoint, save_checkpoint
from tests.helpers.running import call_root, content, start

PROGRAM = "from noiseaug.cli import main; main()"
TRAIN = ["train", "--train-sigma", 0.25, "--epochs", 20]
LOG = ["--smooth-sigma", 0.25, "--n", 2000, "--every", 20]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small network, trained on the bundled digits with noise."""
    out = tmp_path_factory.mktemp("train") / "run"
    done = call_root(*TRAIN, "--out", out)
    assert done.status == 0, done.err
    return out


@pytest.fixture(scope="module")
def log(run):
    """Its certificates for 45 images."""
    path = run.parent / "log.jsonl"
    done = call_root("certify", "--classifier", run, *LOG, "--out", path)
    assert done.status == 0, done.err
    return path


def colours(path, count=60):
    """A file of images of CIFAR-10's shape whose class is the brightest channel."""
    rng = np.random.default_rng(0)
    y = np.arange(count) % 3
    x = rng.integers(0, 120, (count, 3, 32, 32), dtype=np.uint8)
    x[np.arange(count), y] += 100
    np.savez(path, x=x[::2], y=y[::2], train_x=x[1::2], train_y=y[1::2])
    return path


def test_train_says_what_it_does(run):
    record = json.loads((run / "run.json").read_text())
    assert record["status"] == "complete"
    assert record["description"]["objective"] == {"name": "gaussian", "train_sigma": 0.25, "copies": 1}
    assert record["results"]["test_accuracy"] > 0.9
    assert record["versions"]["torch"] == torch.__version__.split("+")[0] or record["versions"]["torch"]
    assert len((run / "metrics.csv").read_text().splitlines()) == 21
    assert {path.name for path in run.iterdir()} == {"run.json", "metrics.csv", "model.safetensors"}


def test_certify_what_was_trained(run, log):
    description, frame = read_log(log)
    # the data set is known from the run
    assert description["data"] == "digits"
    assert description["classifier"] == "mlp"
    assert description["objective"]["train_sigma"] == 0.25
    assert len(description["weights"]) == 16
    assert len(frame) == 45
    assert frame["correct"].mean() > 0.8
    done = call_root("report", log)
    assert done.status == 0
    assert "log.jsonl" in done.out


def test_other_weights_do_not_resume_a_log(run, log, tmp_path):
    copy = tmp_path / "log.jsonl"
    copy.write_bytes(log.read_bytes())
    other = tmp_path / "run"
    assert call_root(*TRAIN, "--seed", 1, "--out", other).status == 0
    done = call_root("certify", "--classifier", other, *LOG, "--out", copy, "--resume")
    assert done.status == 2
    assert "holds a run of another description" in done.complaint
    done = call_root("certify", "--classifier", run, *LOG, "--precision", "bfloat16", "--out", copy, "--resume")
    assert done.status == 2
    assert "precision" in done.complaint
    assert copy.read_bytes() == log.read_bytes()


def test_predict_with_what_was_trained(run):
    done = call_root("predict", "--classifier", run, "--smooth-sigma", 0.25, "--every", 50, "--n", 200)
    assert done.status == 0
    header, *rows = done.out.splitlines()
    assert header == "index,label,prediction,p_value"
    right = [row.split(",")[1] == row.split(",")[2] for row in rows]
    assert len(rows) == 18
    assert sum(right) >= 14


def test_a_killed_training_goes_on_exactly(run, tmp_path):
    out = tmp_path / "run"
    with start("-c", PROGRAM, *TRAIN, "--out", out) as process:
        limit = time.monotonic() + 100
        while not (out / "metrics.csv").exists() and time.monotonic() < limit:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (out / "model.safetensors").exists()
    refused = call_root(*TRAIN, "--out", out)
    assert refused.status == 2
    assert "--resume" in refused.complaint
    assert call_root(*TRAIN, "--out", out, "--resume").status == 0
    ours, theirs = (load_checkpoint(each)[0].state_dict() for each in (out, run))
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_an_interrupted_training_says_how_to_go_on(tmp_path):
    out = tmp_path / "run"
    # a shell's background job, and what it starts, ignores interruptions
    program = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler); {PROGRAM}"
    with start("-c", program, *TRAIN, "--epochs", 2000, "--out", out) as process:
        limit = time.monotonic() + 100
        while not (out / "metrics.csv").exists() and time.monotonic() < limit:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=100)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "--resume" in err.splitlines()[-1]
    # the state is that of the interruption, not of the last save
    assert torch.load(out / "state.pt", weights_only=True)["epoch"] >= 1


def test_attack_beside_the_log(run, log, tmp_path):
    rows = tmp_path / "attack.csv"
    done = call_root(
        *("attack", run, "--smooth-sigma", 0.25, "--log", log, "--radius", 0.1, "--radius", 1.5, "--every", 60),
        *("--steps", 5, "--samples", 16, "--n", 500, "--out", rows),
    )
    assert done.status == 0, done.err
    frame = pd.read_csv(rows)
    assert len(frame) == 2 * 15
    _, certified = read_log(log)
    kept = certified.set_index("index")["radius"]
    assert frame["certified_radius"].tolist() == kept[frame["index"]].tolist()
    assert not frame["violation"].any()
    summary = [line.split() for line in done.out.splitlines()]
    near, far = (dict(zip(summary[0], map(float, line), strict=True)) for line in summary[1:])
    assert near["accuracy_under_attack"] >= near["certified_accuracy"] > 0.5
    # an image of norm some 4 does not stand a change of 1.5
    assert far["accuracy_under_attack"] < 0.2
    assert near["violations"] == far["violations"] == 0


def test_attack_refuses_the_log_of_another_classifier(run, log, tmp_path):
    done = call_root("attack", run, "--smooth-sigma", 0.5, "--log", log)
    assert done.status == 2
    assert "of another smoothed classifier: its smooth_sigma is 0.25, not 0.5" in done.complaint
    done = call_root("attack", run, "--smooth-sigma", 0.25, "--log", log, "--precision", "bfloat16")
    assert "its precision is 'float32', not 'bfloat16'" in done.complaint


@pytest.mark.slow
def test_from_colour_images_to_a_table(tmp_path):
    # CIFAR-10's path: train, certify, attack, report
    data, out, log = colours(tmp_path / "colours.npz"), tmp_path / "run", tmp_path / "log.jsonl"
    small = ["--epochs", 1, "--batch", 10, "--learning-rate", 0.02]
    done = call_root("train", "--data", data, "--train-sigma", 0.1, *small, "--out", out)
    assert done.status == 0, done.err
    assert json.loads((out / "run.json").read_text())["description"]["arch"] == "resnet"
    done = call_root("certify", "--classifier", out, "--smooth-sigma", 0.1, "--n", 100, "--every", 10, "--out", log)
    assert done.status == 0, done.err
    done = call_root(
        *("attack", out, "--smooth-sigma", 0.1, "--log", log, "--radius", 0.05, "--attack", "ddn"),
        *("--steps", 2, "--samples", 4, "--n", 50),
    )
    assert done.status == 0, done.err
    done = call_root("report", log, "--format", "csv")
    assert done.status == 0
    assert len(done.out.splitlines()) == 2


def test_a_published_checkpoint_is_certified(tmp_path):
    # ResNet-20 in the layout of Cohen et al.'s release, on images of its shape
    model = build_model("resnet20", (3, 32, 32), 10)
    state = {f"1.module.{key}": value for key, value in model.network.state_dict().items()}
    state |= {"0.means": model.mean.flatten(), "0.sds": model.std.flatten()}
    torch.save({"epoch": 90, "arch": "cifar_resnet20", "state_dict": state, "optimizer": {}}, tmp_path / "c.pth.tar")
    data = colours(tmp_path / "colours.npz", 20)
    command = ["certify", "--classifier", tmp_path / "c.pth.tar", "--smooth-sigma", 0.25, "--n", 100, "--every", 5]
    done = call_root(*command, "--out", tmp_path / "log.jsonl")
    assert done.status == 2
    assert "give --data" in done.complaint
    done = call_root(*command, "--data", data, "--out", tmp_path / "log.jsonl")
    assert done.status == 0, done.err
    assert read_log(tmp_path / "log.jsonl")[0]["classifier"] == "resnet20"


def test_list_the_data_sets(tmp_path):
    done = call_root("data", "--root", tmp_path)
    assert done.status == 0
    for name in ("digits", "mnist", "fashion_mnist", "cifar10"):
        assert name in done.out
    assert str(tmp_path) in done.out


def test_digits_need_no_files():
    done = call_root("data", "digits")
    assert done.status == 0
    assert "digits" in done.out


def test_a_file_is_described(tmp_path):
    file = tmp_path / "iris.csv"
    file.write_text("length,kind\n1,rose\n2,rose\n3,fern\n")
    done = call_root("data", f"{file}?label=kind", "digits")
    assert done.status == 0, done.err
    assert done.out.splitlines()[0] == (
        f"{file}?label=kind, test: 3 inputs of shape (1,) (float32), 2 classes: fern (1), rose (2)"
    )
    named = colours(tmp_path / "colours.npz", 20)
    lines = call_root("data", named).out.splitlines()
    assert [line.split(", ")[1].split(":")[0] for line in lines] == ["train", "test"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["train"], "Missing option '--out'"),
        (["train", "--out", "x"], "gaussian trains with noise; give its level α as --train-sigma"),
        (["train", "--out", "x", "--train-sigma", 0.5, "--model", "transformer"], "transformer"),
        (["train", "--out", "x", "--train-sigma", 0.5, "--objective", "hope"], "objective is 'hope'; expected one of"),
        (["train", "--out", "x", "--train-sigma", 0.5, "--data", "imagenet"], "digits, mnist"),
        (["train", "--out", "x", "--train-sigma", 0.5, "--data", "nothing.npz"], "nothing.npz"),
        (["train", "--out", "x", "--train-sigma", 0.5, "--set", "copies"], "expected name=value"),
        (["train", "--out", "x", "--train-sigma", 0.5, "--set", "copies=2", "--set", "copies=3"], "copies twice"),
        (["train", "--out", "x", "--train-sigma", 0.5, "--step-epochs", 3], "belong to --schedule step"),
        (["train", "--out", "x", "--train-sigma", 0.5, "--fresh-head"], "a fresh head replaces the last layer"),
        (["train", "--out", "x", "--train-sigma", 0.5, "--pseudo-weight", 2], "there is no teacher"),
        (["train", "--out", "x", "--train-sigma", 0.5, "--device", "meta"], "device meta cannot be used"),
        (["attack", "logistic", "--smooth-sigma", 1], "logistic is no network"),
        (["certify", "--smooth-sigma", 1, "--out", "x", "--shard", "²/3"], "shard is"),
        (
            ["certify", "--smooth-sigma", 1, "--out", "x", "--normalisation", "centred"],
            "leave out --device, --precision",
        ),
        (["certify", "--smooth-sigma", 1, "--out", "x", "--tsv", "no/x.tsv"], "no folder no for x.tsv"),
        (["predict", "--smooth-sigma", 1, "--out", "no/x.csv"], "no folder no for x.csv"),
        (["train", "--out", "x", "--train-sigma", 0.5, "--set", "copy=3"], "gaussian has no parameter copy; it takes"),
        (["train", "--out", "x", "--train-sigma", 0.5, "--set", "copies=x"], "copies is 'x'"),
        (["train", "--out", "x", "--train-sigma", -1], "--train-sigma is -1"),
        (["train", "--out", "x", "--train-sigma", 0.5, "--objective", "clean"], "clean takes 0 alone"),
        (["train", "--out", "x", "--train-sigma", 0.5, "--teacher", "no"], "a teacher labels images without labels"),
        (["train", "--out", "x", "--train-sigma", 0.5, "--init-from", "no"], "no file no"),
        (["certify", "--classifier", "no.safetensors", "--smooth-sigma", 1, "--out", "x"], "no.safetensors"),
        (["certify", "--classifier", ".", "--smooth-sigma", 1, "--out", "x"], "model.safetensors"),
        (["certify", "--classifier", "logistic", "--smooth-sigma", 1, "--out", "x", "--device", "cuda"], "--device"),
        (["attack", "no.safetensors", "--smooth-sigma", 1], "no.safetensors"),
        (["data", "imagenet"], "imagenet"),
    ],
)
def test_bad_input_gets_one_line(arguments, complaint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = call_root(*arguments)
    assert done.status == 2
    assert complaint in done.complaint
    assert not (tmp_path / "x").exists()


def test_a_network_for_other_images_or_classes(run, tmp_path):
    data = colours(tmp_path / "colours.npz", 20)
    done = call_root("certify", "--classifier", run, "--data", data, "--smooth-sigma", 1, "--out", tmp_path / "x")
    assert done.status == 2
    assert "takes images of shape (1, 8, 8)" in done.complaint
    done = call_root(
        "certify", "--classifier", run, "--data", "digits:3,8", "--smooth-sigma", 1, "--out", tmp_path / "x"
    )
    assert done.status == 2
    assert "was trained on digits, not on digits:3,8; leave out --data" in done.complaint
    save_checkpoint(tmp_path / "two.safetensors", build_model("linear", (1, 8, 8), 2), {})
    done = call_root(
        "certify",
        "--classifier",
        tmp_path / "two.safetensors",
        "--data",
        "digits",
        "--smooth-sigma",
        1,
        "--out",
        tmp_path / "x",
    )
    assert done.status == 2
    assert "has 2 classes; digits has label 9" in done.complaint


@pytest.mark.parametrize("keep", [0, 7, 100, 0.5, 0.999])
def test_a_truncated_checkpoint(keep, run, tmp_path):
    whole = (run / "model.safetensors").read_bytes()
    part = tmp_path / "part.safetensors"
    part.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    done = call_root("certify", "--classifier", part, "--smooth-sigma", 1, "--out", tmp_path / "x")
    assert done.status == 2
    assert "part.safetensors" in done.complaint


def test_other_images_under_the_same_name_do_not_resume_a_log(tmp_path):
    data, out, log = colours(tmp_path / "c.npz", 20), tmp_path / "run", tmp_path / "log.jsonl"
    small = ["--epochs", 1, "--batch", 10, "--model", "linear"]
    assert call_root("train", "--data", data, "--train-sigma", 0.1, *small, "--out", out).status == 0
    command = ["certify", "--classifier", out, "--smooth-sigma", 0.1, "--n", 20, "--out", log]
    assert call_root(*command).status == 0
    arrays = dict(np.load(data))
    arrays["x"] = arrays["x"][::-1]
    np.savez(data, **arrays)
    done = call_root(*command, "--resume")
    assert done.status == 2
    assert "its data_digest is" in done.complaint
    done = call_root("attack", out, "--smooth-sigma", 0.1, "--log", log)
    assert done.status == 2
    assert "its data_digest is" in done.complaint


def test_images_with_channels_last_are_certified_as_they_were_trained(tmp_path):
    data, out, log = colours(tmp_path / "c.npz"), tmp_path / "run", tmp_path / "log.jsonl"
    arrays = dict(np.load(data))
    for key in ("x", "train_x"):
        arrays[key] = arrays[key].transpose(0, 2, 3, 1)
    np.savez(data, **arrays)
    small = ["--epochs", 5, "--batch", 10, "--model", "linear", "--learning-rate", 0.01]
    assert call_root("train", "--data", data, "--train-sigma", 0.1, *small, "--out", out).status == 0
    assert json.loads((out / "run.json").read_text())["results"]["test_accuracy"] > 0.9
    assert call_root("certify", "--classifier", out, "--smooth-sigma", 0.1, "--n", 50, "--out", log).status == 0
    assert read_log(log)[1]["correct"].mean() > 0.9


def test_a_log_is_not_overwritten_by_a_table(run, log, tmp_path):
    copy = tmp_path / "log.jsonl"
    copy.write_bytes(log.read_bytes())
    for command in (["predict", "--classifier", run], ["attack", run]):
        done = call_root(*command, "--smooth-sigma", 0.25, "--every", 100, "--out", copy)
        assert done.status == 2
        assert "holds the log of a certification" in done.complaint
    assert copy.read_bytes() == log.read_bytes()


def test_predictions_depend_on_the_index_alone(run):
    rows = []
    for every in (200, 100):
        done = call_root("predict", "--classifier", run, "--smooth-sigma", 0.5, "--every", every, "--n", 100)
        rows.append({line.split(",")[0]: line for line in done.out.splitlines()[1:]})
    assert all(rows[1][index] == line for index, line in rows[0].items())


def test_a_run_directory_of_another_description_is_left_alone(run):
    before = content(run)
    for more in ([], ["--resume"]):
        done = call_root("train", "--train-sigma", 0.5, "--epochs", 20, "--out", run, *more)
        assert done.status == 2
        assert "holds a run of another description" in done.complaint
        assert "its objective.train_sigma is 0.25, not 0.5" in done.complaint
    # a finished run is not done again, and kept with --resume
    done = call_root(*TRAIN, "--out", run)
    assert done.status == 2
    assert "holds the finished run" in done.complaint
    assert content(run) == before
    done = call_root(*TRAIN, "--out", run, "--resume")
    assert done.status == 0
    assert content(run) == before
