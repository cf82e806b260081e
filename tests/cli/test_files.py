"""No output of a command is one of its inputs or of its other outputs, by whatever name; and outputs are files."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import WITHOUT_TORCH
from tests.helpers.running import call_root, content

SMOOTH = ["--smooth-sigma", 0.5]
# of names of files; where the locale is C, a file system of Python takes ASCII alone
LETTERS = "abc é-" if sys.getfilesystemencoding() == "utf-8" else "abc -"
# Commands with the place of an input or of a first output, {in}, and of the output that may not be the same, {out}.
CLASHES = [
    ["certify", *SMOOTH, "--data", "{in.npz}", "--out", "{out}"],
    ["certify", *SMOOTH, "--data", "{in.npz}:0,1", "--out", "{out}"],
    ["certify", *SMOOTH, "--data", "{in.npz}", "--out", "new", "--tsv", "{out}"],
    ["certify", *SMOOTH, "--classifier", "{in.joblib}", "--out", "new", "--tsv", "{out}"],
    ["certify", *SMOOTH, "--classifier", "{in.safetensors}", "--out", "new", "--tsv", "{out}"],
    ["certify", *SMOOTH, "--resume", "--out", "{in.jsonl}", "--tsv", "{out}"],
    ["predict", *SMOOTH, "--data", "{in.npz}", "--out", "{out}"],
    ["predict", *SMOOTH, "--classifier", "{in.pth.tar}", "--out", "{out}"],
    ["recertify", "{in.jsonl}", "--out", "{out}"],
    ["merge", "other", "{in.jsonl}", "--out", "{out}"],
    ["bridge", "--out", "new", "--grid", "{in.csv}", "--model", "m", "--record", "{out}"],
    ["bridge", "--out", "new", "--log", "{in.jsonl}", "--grid", "g", "--model", "m", "--record", "{out}"],
    ["advise", *SMOOTH, "--data", "{in.npz}", "--out", "{out}"],
    ["advise", *SMOOTH, "--record", "{in.csv}", "--out", "{out}"],
]
INTO_FOLDERS = [
    (["report", "{in}", "--plots", "{folder}"], "certified_accuracy.png"),
    (["report", "{in}", "--plots", "{folder}"], "p_lower.png"),
    (["bridge", "--grid", "{in}", "--out", "{folder}"], "gap.csv"),
    (["bridge", "--log", "{in}", "--out", "{folder}"], "runs.png"),
    (["bridge", "--out", "{folder}", "--grid", "g", "--model", "m", "--record", "{in}"], "best.csv"),
    (["interference", "--data", "{in}", "--out", "{folder}"], "pairs.csv"),
    (["synthetic", "run", "{in}", "--out", "{folder}"], "table.csv"),
]
if not WITHOUT_TORCH:
    CLASHES += [
        ["attack", "{in.safetensors}", *SMOOTH, "--out", "{out}"],
        ["attack", "run", *SMOOTH, "--data", "{in.npz}", "--out", "{out}"],
        ["attack", "run", *SMOOTH, "--log", "{in.jsonl}", "--out", "{out}"],
    ]
    INTO_FOLDERS += [
        (["train", "--init-from", "{in}", "--out", "{folder}"], "model.safetensors"),
        (["train", "--teacher", "{in}", "--out", "{folder}"], "model.safetensors"),
        (["train", "--unlabelled", "{in}", "--out", "{folder}"], "metrics.csv"),
        (["grid", "--train-sigma", 0, *SMOOTH, "--reference", "{in}", "--out", "{folder}"], "table.csv"),
        (["grid", "--train-sigma", 0, *SMOOTH, "--data", "{in}", "--out", "{folder}"], "optimum.csv"),
    ]

STUDY = """[[part]]
task = "ConcentricGaussians"
fixed = {dim = 2, std_1 = 0.3, std_0 = 0.4}
grid = {train_sigma = [0], smooth_sigma = [1]}
"""

ALIASES = ["itself", "dotted", "through a folder", "absolute", "link", "link to a link", "hard link", "linked folder"]


def alias(path: Path, kind: str) -> Path:
    """Another name of a file in the current folder."""
    other = path.with_name("alias-" + path.name)
    if kind == "link to a link":
        other.with_name("between").symlink_to(path.name)
        other.symlink_to("between")
    elif kind == "link":
        other.symlink_to(path.name)
    elif kind == "hard link":
        os.link(path, other)
    elif kind == "linked folder":
        Path("also").symlink_to(path.absolute().parent)
        return Path("also") / path.name
    else:
        return {
            "itself": path,
            "dotted": Path(os.path.join(".", ".", path)),
            "absolute": path.absolute(),
            "through a folder": Path(os.path.join("..", path.absolute().parent.name, path)),
        }[kind]
    return other


@contextlib.contextmanager
def fresh_folder():
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        yield Path(folder)


def refused(arguments, word):
    before = content(Path())
    done = call_root(*arguments)
    assert (done.status, done.out) == (2, ""), (arguments, done)
    assert word in done.complaint, (arguments, done.complaint)
    assert content(Path()) == before


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(CLASHES),
    st.sampled_from(ALIASES),
    st.booleans(),
    st.text(LETTERS, min_size=1, max_size=6).filter(lambda name: not name.startswith("-")),
)
def test_an_output_is_no_input_and_no_other_output(command, kind, swapped, name):
    with fresh_folder():
        given = next(str(part) for part in command if "{in" in str(part))
        suffix = given[given.index("{in") + 3 : given.index("}")]
        one = Path(f"x{name}{suffix}")
        one.write_bytes(b"precious")
        other = alias(one, kind)
        if swapped and other.suffix == one.suffix:  # which of the two names comes first does not matter
            one, other = other, one
        filled = [str(part).replace(f"{{in{suffix}}}", str(one)).replace("{out}", str(other)) for part in command]
        refused(filled, "choose another --")


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(INTO_FOLDERS), st.sampled_from(["itself", "link", "hard link"]))
def test_nor_is_a_file_that_goes_into_a_folder(case, kind):
    command, name = case
    with fresh_folder() as here:
        Path("folder").mkdir()
        target = Path("folder", name)
        target.write_text(STUDY)
        own = here / ("x.toml" if command[0] == "synthetic" else "x.npz")
        if kind == "link":
            own.symlink_to(target)
        elif kind == "hard link":
            os.link(target, own)
        else:
            own = target
            if command[0] == "synthetic":
                return  # a file of another kind is a preset's name
        filled = [str(part).replace("{in}", str(own)).replace("{folder}", "folder") for part in command]
        refused(filled, "choose another --")


@pytest.mark.parametrize("kind", ["pipe", "device", "link to a device"])
@pytest.mark.parametrize("command", CLASHES, ids=lambda command: f"{command[0]}-{command[-1]}")
def test_an_output_is_a_file(command, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "place"
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "device":
        place = Path("/dev/full")
    else:
        place.symlink_to("/dev/null")
    before = sorted(os.listdir(tmp_path)), place.stat().st_mode
    filled = [str(part).replace("{out}", str(place)) for part in command]
    done = call_root(*filled)
    assert done.status == 2
    assert "is no regular file" in done.complaint
    assert (sorted(os.listdir(tmp_path)), place.stat().st_mode) == before


def test_the_module_of_a_classifier_is_an_input(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text("def f(x): ...")
    refused(["predict", *SMOOTH, "--classifier", "mine:f", "--out", "mine.py"], "--classifier reads")


def test_a_run_may_be_reported_into_its_own_folder(tmp_path, monkeypatch):
    # what a run's folder holds besides its own files is free
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    Path("run").mkdir()
    done = call_root("predict", *SMOOTH, "--classifier", "run", "--out", "run/labels.csv")
    assert "run holds no model.safetensors" in done.complaint
