"""Two processes of torchrun certify what one does, and any number of them takes up the shards of another."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from noiseaug.errors import InvalidInputError
from noiseaug.records import read_log, read_tsv, shards
from noiseaug.vision.models import build_model, save_checkpoint
from tests.helpers.distributed import errors, together
from tests.helpers.running import call_root

CERTIFY = ["--smooth-sigma", 0.25, "--n", 300, "--every", 2]


def same_table(one: Path, other: Path) -> None:
    """Two logs that differ in seconds alone."""
    (told, frame), (expected, table) = read_log(one), read_log(other)
    assert told == expected
    assert frame.drop(columns="seconds").equals(table.drop(columns="seconds"))


def test_two_processes_certify_what_one_certifies(npz, tmp_path):
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "model.safetensors", build_model("mlp", (1, 9, 9), 3), {"data": str(npz)})
    command = ["certify", "--classifier", tmp_path / "model.safetensors", *CERTIFY]
    assert call_root(*command, "--out", tmp_path / "one.jsonl").status == 0
    done = together("noiseaug", *command, "--out", tmp_path / "two.jsonl", "--tsv", tmp_path / "two.tsv")
    assert done.status == 0, done.err
    assert done.out.count("inputs, ") == 1
    assert "13 inputs, " in done.out
    same_table(tmp_path / "two.jsonl", tmp_path / "one.jsonl")
    assert read_tsv(tmp_path / "two.tsv")["index"].tolist() == list(range(0, 25, 2))
    assert {path.name for path in tmp_path.iterdir()} == {
        *("d.npz", "model.safetensors", "one.jsonl", "two.jsonl", "two.tsv")
    }
    # a finished log is known, and is not begun anew
    before = (tmp_path / "two.jsonl").read_bytes()
    assert call_root(*command, "--out", tmp_path / "two.jsonl", "--resume").status == 0
    assert (tmp_path / "two.jsonl").read_bytes() == before


@pytest.mark.slow
def test_two_processes_refuse_a_log_that_is_there(npz, tmp_path):
    command, out = ["certify", "--data", npz, "--train-sigma", 0.25, "--copies", 2, *CERTIFY], tmp_path / "run.jsonl"
    assert call_root(*command, "--out", out).status == 0
    before = out.read_bytes()
    done = together("noiseaug", *command, "--out", out)
    assert done.status != 0
    assert errors(done) == [f"{out} exists; resume the run that it holds, or choose another file"]
    assert out.read_bytes() == before


@pytest.fixture
def begun(npz, tmp_path):
    """A run of three processes, one of which had not begun; how to go on, and what it is to come to."""
    out, command = tmp_path / "run.jsonl", ["certify", "--data", npz, "--train-sigma", 0.25, "--copies", 2, *CERTIFY]
    for number in (0, 2):
        part = shards.shard_file(out, number, 3)
        assert call_root(*command, "--shard", f"{number}/3", "--out", part).status == 0
    assert call_root(*command, "--out", tmp_path / "whole.jsonl").status == 0
    return out, command, tmp_path / "whole.jsonl"


@pytest.mark.slow
def test_two_processes_take_up_the_shards_of_three(begun):
    # a classifier of scikit-learn, which each process trains
    out, command, whole = begun
    done = together("noiseaug", *command, "--out", out, "--resume")
    assert done.status == 0, done.err
    same_table(out, whole)
    assert shards.shard_files(out) == []


def test_one_process_takes_up_the_shards_of_three(begun):
    out, command, whole = begun
    refused = call_root(*command, "--out", out)
    assert refused.complaint.endswith(f"is of an unfinished run into {out}; add --resume, or choose another --out")
    kept = {path: path.read_bytes() for path in shards.shard_files(out)}
    refused = call_root(*command, "--n", 200, "--out", out, "--resume")
    assert "holds a run of another description: its n is 300, not 200" in refused.complaint
    assert {path: path.read_bytes() for path in shards.shard_files(out)} == kept
    assert not out.exists()
    votes = {line for content in kept.values() for line in content.splitlines()[1:]}
    assert call_root(*command, "--out", out, "--resume").status == 0
    same_table(out, whole)
    assert shards.shard_files(out) == []
    # what was finished was not done again: seconds and all
    assert votes <= set(out.read_bytes().splitlines())


def test_what_was_finished_is_dealt_out(begun):
    out, _, whole = begun
    indices = read_log(whole)[1]["index"].tolist()
    run = {key: value for key, value in read_log(whole)[0].items() if key != "shard"}

    def deal_out(path: Path, count: int) -> bool:
        return shards.redistribute(path, indices, count, lambda: run)

    before = {index for path in shards.shard_files(out) for index in read_log(path)[1]["index"]}
    # the logs of another run stay as they are
    for name, value in (("seed", 9), ("smooth_sigma", 0.9)):
        kept = {path: path.read_bytes() for path in shards.shard_files(out)}
        with pytest.raises(InvalidInputError, match=f"another description: its {name} is"):
            shards.redistribute(out, indices, 2, lambda name=name, value=value: {**run, name: value})
        assert {path: path.read_bytes() for path in shards.shard_files(out)} == kept
    assert not deal_out(out, 2)
    found = shards.shard_files(out)
    assert [path.name for path in found] == ["run.jsonl.0-of-2", "run.jsonl.1-of-2"]
    for number, path in enumerate(found):
        with pytest.warns(UserWarning, match=rf"holds \d of {len(indices[number::2])} inputs"):
            told, frame = read_log(path)
        assert told["shard"] == f"{number}/2"
        assert frame["index"].tolist() == sorted(before & set(indices[number::2]))
    # the same number goes on as it is
    kept = [path.read_bytes() for path in found]
    assert not deal_out(out, 2)
    assert [path.read_bytes() for path in found] == kept
    with pytest.raises(InvalidInputError, match=r"hold \d+ of 13 inputs"):
        shards.gather(out, indices, 2)
    # the log of one process, which was stopped, is dealt out as well; a finished one is known
    assert not deal_out(out, 1)
    with pytest.warns(UserWarning, match="holds 9 of 13 inputs"):
        assert set(read_log(out)[1]["index"]) == before
    assert not deal_out(out, 2)
    assert not out.exists()
    assert deal_out(whole, 2)


def test_a_shard_that_another_host_keeps_to_itself_is_named(begun, monkeypatch):
    out, *_ = begun
    monkeypatch.setattr(shards, "_SIGHT_SECONDS", 0.0)
    with pytest.raises(InvalidInputError, match="1-of-3 is not to be seen from the host of rank 0; --out must lie in"):
        shards.gather(out, list(range(0, 25, 2)), 3)
