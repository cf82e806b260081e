"""Two processes of torchrun train what one trains and certify what one does; when one fails or is stopped, all end.

``python -m torch.distributed.run … -m tests.vision.test_distributed FOLDER`` is what the first half of these tests
looks at: starting torch takes seconds, so that one start serves many of them.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from noiseaug.data import LabelledSet
from noiseaug.errors import InvalidInputError
from noiseaug.records import read_log, read_tsv, shards
from noiseaug.runs import torchrun
from noiseaug.vision.attacks import PGD, draw_noise
from noiseaug.vision.device import Share
from noiseaug.vision.models import build_model, load_checkpoint, save_checkpoint
from noiseaug.vision.objectives import Objective, make_objective
from noiseaug.vision.training import (
    Job,
    Recipe,
    Trainer,
    TrainingSet,
    Workers,
    augmented,
    distributed,
    epoch_batches,
    keyed_generator,
    run_job,
    workers,
)
from noiseaug.vision.training.directory import TrainingDirectory
from tests.helpers.running import PATIENCE, Outcome, call_root, start

CPU = torch.device("cpu")
GAUSSIAN = make_objective("gaussian", 0.25)
BASE = Recipe("mlp", GAUSSIAN, epochs=2, batch=8, learning_rate=0.05)


def pictures(count: int, split: str = "train") -> LabelledSet:
    """Grey images whose class is the brightest third."""
    rng = np.random.default_rng(count)
    labels = np.arange(count) % 3
    images = rng.integers(0, 150, (count, 1, 9, 9), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, 3 * label : 3 * label + 3] += 60
    return LabelledSet("pictures", split, images, labels, ("top", "middle", "bottom"))


# name: recipe, number of images, how many of them are labelled. A last batch of 5 is shared as 2 and 3, and one of 3 is
# not shared.
CASES: dict[str, tuple[Recipe, int, int]] = {
    "gaussian": (BASE, 37, 37),
    "a last batch that is too small to share": (BASE, 35, 35),
    "batches that are too small to share": (replace(BASE, batch=3), 10, 10),
    "smoothadv": (
        replace(BASE, objective=make_objective("smoothadv", 0.25, copies=2, radius=0.5, warm_up=1)),
        37,
        37,
    ),
    "smoothadv by ddn": (
        replace(BASE, objective=make_objective("smoothadv", 0.25, attack="ddn", copies=2, steps=3, warm_up=0)),
        21,
        21,
    ),
    "an attack with random starts": (
        replace(BASE, objective=Objective("attacked", 0.1, attack=PGD(0.5, 2, random_start=True))),
        37,
        37,
    ),
    "macer": (replace(BASE, objective=make_objective("macer", 0.25, copies=4)), 21, 21),
    "adam, average, clipped gradients, crop, flip": (
        replace(
            BASE,
            objective=make_objective("consistency", 0.25),
            optimiser="adam",
            learning_rate=1e-3,
            ema=0.9,
            clip=0.5,
            crop=1,
            flip=True,
        ),
        37,
        37,
    ),
    "images that a teacher labelled": (BASE, 37, 16),
}
LOOSE = {"float16": (replace(BASE, precision="float16"), 21, 21)}


def trainer(name: str, team: Workers | None = None) -> Trainer:
    recipe, count, labelled = (CASES | LOOSE)[name]
    data = pictures(count)
    images, labels = torch.from_numpy(data.inputs), torch.from_numpy(data.labels)
    return Trainer(
        recipe, TrainingSet(images, labels, labelled, 0.3), Job(recipe, data).first_model(), workers=team or Workers()
    )


def trained(name: str, team: Workers | None = None) -> dict[str, object]:
    """The weights at the end, the record without the times, and how often the network was called for its gradient."""
    ready, calls = trainer(name, team), []
    ready._wrapped.register_forward_hook(lambda *_: calls.append(1))
    ready.run(nothing, nothing)
    rows = [{key: value for key, value in row.items() if key != "seconds"} for row in ready.rows]
    recipe = ready.recipe
    steps = recipe.epochs * len(epoch_batches(ready.training, recipe.batch, recipe.seed, 0))
    return {"weights": ready.result.state_dict(), "rows": rows, "calls": len(calls), "steps": steps}


def nothing(*_: object) -> None:
    pass


class Normalised(nn.Sequential):
    """A network with a batch norm."""

    def __init__(self, shape, num_classes):
        size = int(np.prod(shape))
        super().__init__(nn.Flatten(), nn.Linear(size, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, num_classes))


class StopError(Exception):
    """Stands in for a kill."""


def stopped_job(out: Path, team: Workers | None = None) -> None:
    """A run whose process ends after its second save."""
    saves = 0
    save = TrainingDirectory.save

    def once_more(self: TrainingDirectory, ready: Trainer) -> None:
        nonlocal saves
        if saves == 2:
            raise StopError
        save(self, ready)
        saves += 1

    TrainingDirectory.save = once_more
    try:
        run_job(JOB, out, workers=team)
    except (StopError, distributed._LeaderFailedError):
        return
    finally:
        TrainingDirectory.save = save
    raise AssertionError("it was not stopped")


JOB = Job(replace(BASE, epochs=4), pictures(37), validation=6)


def program(folder: Path) -> None:
    """What both processes do; ``told-RANK.pt`` holds what each has found."""
    told: dict[str, object] = {}
    with workers("cpu") as team:
        told["team"] = (team.rank, team.count, team.device, torch.get_num_threads())
        told["lead"] = team.lead(lambda: team.rank)
        told["any"] = [team.any(flag) for flag in (False, team.rank == 1, True)]
        for name in (*CASES, *LOOSE):
            told[name] = trained(name, team)
        told["results"] = run_job(JOB, folder / "two", test=pictures(12, "test"), workers=team)
        told["again"] = run_job(JOB, folder / "two", resume=True, workers=team)
        run_job(JOB, folder / "begun-by-one", resume=True, workers=team)
        stopped_job(folder / "begun-by-two", team)
        for name, job, out in (
            ("taken", JOB, folder / "taken"),
            ("not finite", replace(JOB, recipe=replace(BASE, learning_rate=1e30)), folder / "not-finite"),
        ):
            try:
                run_job(job, out, workers=team)
            except (InvalidInputError, distributed._LeaderFailedError) as error:
                told[name] = f"{type(error).__name__}: {error}"
        # batch norm could not take a share of one image, as of the last batch of 3
        job = Job(replace(BASE, arch="tests.vision.test_distributed:Normalised", epochs=1), pictures(35))
        statistics = Trainer(job.recipe, job.training_set(CPU), job.first_model(), workers=team)
        statistics.run(nothing, nothing)
        told["weights of a network with batch norm"] = dict(statistics.model.named_parameters())
    torch.save(told, folder / f"told-{team.rank}.pt")


def together(*command: object, limit: float = 2 * PATIENCE) -> Outcome:
    """Runs a module in two processes of torchrun; a test that waits for ever fails, and leaves none of them behind.

    The two hyphens keep torchrun from taking --n for an option of its own.
    """
    with start("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2, "-m", "--", *command) as process:
        try:
            out, err = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            process.terminate()  # torchrun then ends what it has started
            process.wait(60)
            raise
    return Outcome(process.returncode, out, err)


def errors(outcome: Outcome) -> list[str]:
    """The lines that the processes have said to the user; the one traceback is torchrun's own."""
    assert outcome.err.count("Traceback") <= 1, outcome.err
    assert "ChildFailedError" in outcome.err
    return [line.removeprefix("error: ") for line in outcome.err.splitlines() if line.startswith("error: ")]


# --- training


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What each of two processes has found, and the folder they wrote to."""
    folder = tmp_path_factory.mktemp("together")
    (folder / "taken").mkdir()
    (folder / "taken" / "letter.txt").write_text("dear")
    stopped_job(folder / "begun-by-one")
    done = together("tests.vision.test_distributed", folder)
    assert done.status == 0, done.err
    return [torch.load(folder / f"told-{rank}.pt", weights_only=False) for rank in (0, 1)], folder


@pytest.mark.parametrize("name", [*CASES, *LOOSE])
def test_two_processes_train_what_one_trains(told, name):
    alone = trained(name)
    # Adam divides by the gradient's size, so rounding, which differs between processors, grows where that is small
    tolerance = {"rtol": 1e-2, "atol": 2e-3} if name in LOOSE else {"rtol": 1e-5, "atol": 1e-5}
    first = trainer(name).model.state_dict()
    assert any((value - first[key]).abs().max() > 1e-3 for key, value in alone["weights"].items())
    for one in told[0]:
        for key, value in alone["weights"].items():
            torch.testing.assert_close(one[name]["weights"][key], value, **tolerance)
        for row, expected in zip(one[name]["rows"], alone["rows"], strict=True):
            assert row == pytest.approx(expected, rel=1e-2 if name in LOOSE else 1e-5)
        # DistributedDataParallel is for one gradient a step; attacks go past it
        assert one[name]["calls"] == alone["steps"]
    # of each other they have the very weights
    assert all(torch.equal(told[0][0][name]["weights"][key], told[0][1][name]["weights"][key]) for key in first)


def test_a_team(told):
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = os.environ.get("OMP_NUM_THREADS", "1")
    expected = max(1, cores // 2) if threads == "1" else int(threads)
    for rank, one in enumerate(told[0]):
        assert one["team"] == (rank, 2, "cpu", expected)
        assert one["lead"] == 0
        assert one["any"] == [False, True, True]


def test_batch_norm_on_a_cpu_keeps_the_weights_together(told):
    one, other = (each["weights of a network with batch norm"] for each in told[0])
    assert any(key.endswith("weight") for key in one)
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_compiled_networks_are_for_one_process_on_cuda():
    data = pictures(12)
    training = TrainingSet(torch.from_numpy(data.inputs), torch.from_numpy(data.labels), 12)
    recipe = replace(BASE, compiled=True)
    with pytest.raises(InvalidInputError, match="compiled is for one process"):
        Trainer(recipe, training, Job(recipe, data).first_model(), workers=Workers(0, 2, device="cuda:0"))


def test_batch_norm_on_a_gpu_is_that_of_the_whole_batch():
    # what a GPU would get; here only its statistics at rest can be used
    job = Job(replace(BASE, arch="tests.vision.test_distributed:Normalised"), pictures(8))
    model, same = job.first_model(), job.first_model()
    Workers(0, 2, device="cuda:0").synchronised(model)
    kinds = {type(part) for part in model.modules()}
    assert nn.SyncBatchNorm in kinds
    assert nn.BatchNorm1d not in kinds
    assert list(model.state_dict()) == list(same.state_dict())
    x = torch.rand(2, 1, 9, 9)
    assert torch.equal(model.eval()(x), same.eval()(x))
    for team in (Workers(), Workers(0, 2, device="cpu"), Workers(device="cuda")):
        team.synchronised(same)
        assert not any(isinstance(part, nn.SyncBatchNorm) for part in same.modules())


def test_one_directory_whatever_the_number_of_processes(told, tmp_path):
    results, folder = [one["results"] for one in told[0]], told[1]
    alone = run_job(JOB, tmp_path / "one", test=pictures(12, "test"))
    for found in (*results, *(one["again"] for one in told[0])):
        assert found == results[0]
    assert {**results[0], "seconds": 0} == pytest.approx({**alone, "seconds": 0}, rel=1e-5)
    assert sorted(path.name for path in (folder / "two").iterdir()) == ["metrics.csv", "model.safetensors", "run.json"]
    one, two = ((each / "metrics.csv").read_text().splitlines() for each in (tmp_path / "one", folder / "two"))
    assert one[0] == two[0]
    assert one[0].endswith("validation_accuracy,noisy_validation_accuracy")
    records = [json.loads((each / "run.json").read_text()) for each in (tmp_path / "one", folder / "two")]
    assert records[0]["description"] == records[1]["description"]
    assert (records[0].get("processes"), records[1]["processes"]) == (None, 2)


@pytest.mark.parametrize("begun", ["begun-by-one", "begun-by-two"])
def test_another_number_of_processes_resumes(told, begun, tmp_path):
    out = told[1] / begun
    if begun == "begun-by-two":
        assert torch.load(out / "state.pt", weights_only=True)["epoch"] == 2
        run_job(JOB, out, resume=True)
    run_job(JOB, tmp_path / "straight")
    resumed, straight = (load_checkpoint(each)[0].state_dict() for each in (out, tmp_path / "straight"))
    for key, value in straight.items():
        torch.testing.assert_close(resumed[key], value, rtol=1e-5, atol=1e-6)
    assert len((out / "metrics.csv").read_text().splitlines()) == 5


def test_errors_reach_every_process(told):
    one, other = told[0]
    assert one["taken"].endswith("taken exists and holds no run; choose another --out")
    assert other["taken"].startswith("_LeaderFailedError")
    assert one["not finite"] == other["not finite"]
    assert "the loss is no longer finite" in one["not finite"]
    assert [path.name for path in (told[1] / "taken").iterdir()] == ["letter.txt"]


class Forgetful(nn.Module):
    """A network for which the second process has no memory."""

    def __init__(self, shape, num_classes):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape)), num_classes))

    def forward(self, x):
        if self.training and os.environ.get("RANK") == "1":
            raise MemoryError
        return self.layers(x)


@pytest.fixture
def npz(tmp_path):
    """A file of images to train on and to certify."""
    train, test = pictures(60), pictures(25, "test")
    np.savez(tmp_path / "d.npz", train_x=train.inputs, train_y=train.labels, x=test.inputs, y=test.labels)
    return tmp_path / "d.npz"


def test_a_process_that_fails_alone_ends_all(npz, tmp_path):
    done = together(
        *("noiseaug", "train", "--data", npz, "--model", f"{__name__}:Forgetful", "--train-sigma", 0.25),
        *("--batch", 8, "--out", tmp_path / "run"),
    )
    assert done.status != 0
    assert errors(done) == ["out of memory with batches of 8; try --batch 4"]
    assert re.search(r"rank +: 1 .*\n +exitcode +: 2 ", done.err)
    assert not list((tmp_path / "run").glob("*"))


def test_an_interruption_is_kept_and_resumed(npz, tmp_path):
    out = tmp_path / "run"
    train = ["train", "--data", npz, "--model", "mlp", "--train-sigma", 0.25, "--batch", 16, "--schedule", "constant"]
    arguments = [*train, "--learning-rate", 0.01, "--epochs", 5000, "--out", out]
    # a shell's background job, and what it starts, ignores interruptions
    script = "import signal, runpy; signal.signal(signal.SIGINT, signal.default_int_handler); "
    script += "runpy.run_module('torch.distributed.run', run_name='__main__')"
    with start("-c", script, "--standalone", "--nproc-per-node", 2, "-m", "noiseaug", *arguments) as process:
        limit = time.monotonic() + PATIENCE
        while not (out / "metrics.csv").exists() and time.monotonic() < limit:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        try:
            _, err = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait(60)
            raise
    assert err.count("interrupted; a command with --resume") == 1, err
    state = torch.load(out / "state.pt", weights_only=True)
    assert 0 < state["epoch"] < 5000
    # the very step: one process that goes there has these weights
    record = json.loads((out / "run.json").read_text())
    assert record["status"] == "unfinished"
    recipe = replace(BASE, batch=16, learning_rate=0.01, schedule="constant", epochs=5000)
    assert record["description"]["batch"] == 16
    job = Job(recipe, pictures(60))
    alone = Trainer(recipe, job.training_set(CPU), job.first_model())

    def stop(ready: Trainer, *_: object) -> None:
        if (ready.epoch, ready.batch) == (state["epoch"], state["batch"]):
            raise StopError

    with pytest.raises(StopError):
        alone.run(stop, stop)
    for key, value in alone.model.state_dict().items():
        torch.testing.assert_close(state["model"][key], value, rtol=1e-3, atol=1e-4)


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


# --- certification


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
    done = together("noiseaug", *command, "--out", tmp_path / "two.jsonl")
    assert done.status != 0
    assert errors(done) == [f"{tmp_path / 'two.jsonl'} exists; resume the run that it holds, or choose another file"]
    assert (tmp_path / "two.jsonl").read_bytes() == before


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
    assert set(read_log(out)[1]["index"]) == before
    assert not deal_out(out, 2)
    assert not out.exists()
    assert deal_out(whole, 2)


def test_a_shard_that_another_host_keeps_to_itself_is_named(begun, monkeypatch):
    out, *_ = begun
    monkeypatch.setattr(shards, "_SIGHT_SECONDS", 0.0)
    with pytest.raises(InvalidInputError, match="1-of-3 is not to be seen from the host of rank 0; --out must lie in"):
        shards.gather(out, list(range(0, 25, 2)), 3)


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


@pytest.mark.slow
def test_a_compiled_network_in_two_processes(monkeypatch, tmp_path):
    name, (recipe, *rest) = "compiled", CASES["smoothadv"]
    monkeypatch.setitem(CASES, name, (replace(recipe, compiled=True), *rest))
    done = together("tests.vision.test_distributed", tmp_path, "compiled", limit=280)
    assert done.status == 0, done.err
    alone = trained("smoothadv")["weights"]
    found = torch.load(tmp_path / "compiled.pt")
    for key, value in alone.items():
        torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-5)


def compiled_program(folder: Path) -> None:
    recipe, *rest = CASES["smoothadv"]
    CASES["compiled"] = (replace(recipe, compiled=True), *rest)
    with workers("cpu") as team:
        weights = trained("compiled", team)["weights"]
        if team.leads:
            torch.save(weights, folder / "compiled.pt")


if __name__ == "__main__":
    (compiled_program if "compiled" in sys.argv[2:] else program)(Path(sys.argv[1]))
