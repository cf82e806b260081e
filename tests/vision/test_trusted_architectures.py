"""A checkpoint does not choose what code runs: only what its user has named."""

from __future__ import annotations

import importlib
import json
import sys

import pytest
import safetensors.torch as safetensors_torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from noiseaug.vision.models import checkpoints, load_checkpoint, read_metadata
from noiseaug.vision.training import Job, Recipe, run_job
from tests.helpers.checkpoints import trained
from tests.helpers.errors import complaint
from tests.helpers.running import call_root
from tests.helpers.training import GAUSSIAN, colourful

SOURCE = """
from pathlib import Path
from torch import nn

Path("ran").touch()

def net(shape, num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], num_classes))
"""


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """A module in the current folder that leaves a mark when it is imported."""
    (tmp_path / "planted.py").write_text(SOURCE)
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    importlib.invalidate_caches()
    yield tmp_path
    for name in ("planted", "pack"):
        sys.modules.pop(name, None)


def checkpoint(path, arch, shape=(1, 4, 4), num_classes=3, **more):
    """A checkpoint with right checksums that asks for an architecture."""
    state = trained("linear", shape, num_classes).state_dict()
    about = {"arch": arch, "shape": list(shape), "num_classes": num_classes, **more}
    weights = checkpoints._digest(state)
    checksum = checkpoints._checksum(json.dumps(about, sort_keys=True), weights)
    entry = json.dumps({"metadata": about, "weights": weights, "checksum": checksum})
    safetensors_torch.save_file(state, path, {"noiseaug": entry})
    return path


NAMES = st.sampled_from(["planted", "pack", "os", "builtins", "planted.more", ".planted", "", "linear"])
ATTRIBUTES = st.sampled_from(["net", "system", "exec", "__import__", "", "a.b"])


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(st.builds("{}:{}".format, NAMES, ATTRIBUTES), st.text(max_size=8)),
    st.lists(st.sampled_from(["pack:other", "planted", "planted:", "linear"]), max_size=2),
)
def test_only_trusted_code_is_imported(planted, arch, trusted):
    if arch in trusted or arch == "linear":
        return
    path = checkpoint(planted / "model.safetensors", arch)
    assert read_metadata(path)["arch"] == arch
    complaint(load_checkpoint, path, trusted=trusted)
    assert not (planted / "ran").exists()


def test_what_is_trusted_is_imported(planted):
    path = checkpoint(planted / "model.safetensors", "planted:net")
    assert "name it as trusted (--trust-arch planted:net)" in complaint(load_checkpoint, path)
    assert not (planted / "ran").exists()
    assert load_checkpoint(path, trusted=["planted:net"])[0].arch == "planted:net"
    assert (planted / "ran").exists()


COMMANDS = [
    ["certify", "--classifier", "model.safetensors", "--smooth-sigma", 0.5, "--n", 20, "--every", 300, "--out", "log"],
    ["predict", "--classifier", "model.safetensors", "--smooth-sigma", 0.5, "--n", 20, "--every", 300],
    ["attack", "model.safetensors", "--smooth-sigma", 0.5, "--n", 20, "--every", 450, "--steps", 1, "--samples", 2],
    ["train", "--init-from", "model.safetensors", "--model", "linear", "--train-sigma", 0.5, "--out", "run"],
    [
        "train",
        "--teacher",
        "model.safetensors",
        "--labelled",
        50,
        "--model",
        "linear",
        "--train-sigma",
        1,
        "--out",
        "r",
    ],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(map(str, command[:2])))
def test_commands(planted, command):
    checkpoint(planted / "model.safetensors", "planted:net", (1, 8, 8), 10, data="digits")
    done = call_root(*command)
    assert done.status == 2
    assert "--trust-arch planted:net" in done.complaint
    assert not (planted / "ran").exists()
    if command[0] != "train":
        trusting = call_root(*command, "--trust-arch", "planted:net")
        assert trusting.status == 0, trusting.err
        assert (planted / "ran").exists()


def test_the_architecture_that_a_run_trains_is_named_already(planted):
    recipe = Recipe("planted:net", GAUSSIAN, epochs=1, batch=20)
    run_job(Job(recipe, colourful()), planted / "one")
    (planted / "ran").unlink()
    sys.modules.pop("planted")
    run_job(Job(recipe, colourful(), init_from=planted / "one"), planted / "two")
    assert load_checkpoint(planted / "two", trusted=["planted:net"])[0].arch == "planted:net"
