"""Two processes of torchrun train what one trains; when one fails or is stopped, all end.

``python -m torch.distributed.run … -m tests.vision.test_distributed FOLDER`` is what most of these tests look at:
starting torch takes seconds, so that one start serves many of them.
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

from noiseaug.errors import InvalidInputError
from noiseaug.vision.attacks import PGD
from noiseaug.vision.models import load_checkpoint
from noiseaug.vision.objectives import Objective, make_objective
from noiseaug.vision.training import (
    Job,
    Recipe,
    Trainer,
    TrainingSet,
    Workers,
    distributed,
    epoch_batches,
    run_job,
    workers,
)
from noiseaug.vision.training.directory import TrainingDirectory
from tests.helpers.distributed import errors, pictures, together
from tests.helpers.running import PATIENCE, start

CPU = torch.device("cpu")
GAUSSIAN = make_objective("gaussian", 0.25)
BASE = Recipe("mlp", GAUSSIAN, epochs=2, batch=8, learning_rate=0.05)


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
