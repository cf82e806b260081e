"""What a process of torchrun takes of a batch, which device it gets, and what only the first one says."""

from __future__ import annotations

import pytest
import torch

from noiseaug.errors import InvalidInputError
from noiseaug.runs import torchrun
from noiseaug.vision.attacks import draw_noise
from noiseaug.vision.device import Share
from noiseaug.vision.training import Workers, augmented, distributed, keyed_generator, workers
from tests.helpers.running import call_root

CPU = torch.device("cpu")


# --- shares


def test_shares_make_up_the_batch():
    for count in (4, 5, 8, 11, 17):
        shares = [Workers(rank, 2).share(count) for rank in (0, 1)]
        assert [index for each in shares for index in range(count)[each.images]] == list(range(count))
        assert sum(each.part for each in shares) == 1
    assert [Workers(rank, 3).share(5) for rank in range(3)] == [None] * 3  # batch norm cannot take one image
    assert Workers().share(8) is None


def test_a_share_gets_the_random_numbers_of_the_batch():
    x = torch.rand(7, 3, 8, 8)
    shares = [Share(0, 3, 7), Share(3, 7, 7)]
    whole = draw_noise(x, 2, 0.5, keyed_generator(CPU, 1))
    parts = [draw_noise(x[each.images], 2, 0.5, keyed_generator(CPU, 1), each) for each in shares]
    assert torch.equal(torch.cat(parts, 1), whole)
    whole = augmented(x, 2, True, keyed_generator(CPU, 1))
    parts = [augmented(x[each.images], 2, True, keyed_generator(CPU, 1), each) for each in shares]
    assert torch.equal(torch.cat(parts), whole)


# --- what torchrun says


@pytest.fixture
def second_of_two(monkeypatch):
    """This process as torchrun would start it; a function that makes it the first one."""
    values = {"TORCHELASTIC_RUN_ID": "x", "RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torchrun, "GRACE_SECONDS", 0.0)
    return lambda: monkeypatch.setenv("RANK", "0")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ["report", "x.jsonl"],
            "noiseaug report would run 2 times over; start it without torchrun, which is for train",
        ),
        (["attack", "x", "--smooth-sigma", 1], "noiseaug attack would run 2 times over"),
        (["grid", "--out", "x"], "noiseaug grid would run 2 times over"),
        (["predict", "--smooth-sigma", 1], "noiseaug predict would run 2 times over"),
        (["certify", "--out", "x.jsonl"], "Missing option '--smooth-sigma'"),
    ],
)
def test_the_first_process_alone_refuses(arguments, complaint, second_of_two):
    silent = call_root(*arguments)
    assert (silent.status, silent.out, silent.err) == (2, "", "")
    second_of_two()
    assert call_root(*arguments).complaint.startswith(complaint)


@pytest.mark.usefixtures("second_of_two")
def test_devices_of_processes(monkeypatch):
    place = torchrun.place()
    assert place == torchrun.Place(1, 2, 1, 2)
    assert distributed._own_device("cpu", place) == "cpu"
    with pytest.raises(
        InvalidInputError, match="device is 'cuda:1', and torchrun started 2 processes; expected cpu, or"
    ):
        distributed._own_device("cuda:1", place)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InvalidInputError, match="no CUDA device; leave out --device or use cpu"):
        distributed._own_device("cuda", place)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InvalidInputError, match=r"2 processes on a host with 1 CUDA devices; .* --nproc-per-node 1"):
        distributed._own_device("cuda", place)
    chosen = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    assert distributed._own_device("cuda", place) == "cuda:1"
    assert chosen == [1]


def test_one_process_is_no_team(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "8")  # a scheduler's
    monkeypatch.setenv("RANK", "3")
    assert torchrun.place() is None
    with workers("cuda:1") as team:
        assert (team.rank, team.count, team.device, team.leads) == (0, 1, "cuda:1", True)
        assert team.any(True)
        assert team.lead(lambda: 5) == 5
    assert not torch.distributed.is_initialized()
