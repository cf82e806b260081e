"""The (α, β) grid on worker processes and on a Dask cluster: the table of one process, whatever happens on the way."""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import CancelledError
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from noiseaug.errors import InvalidInputError, NoiseaugError
from noiseaug.vision.grid import Grid, GridSpec, run_grid, votes
from noiseaug.vision.grid import run as grids
from noiseaug.vision.grid import workers as grid_workers
from noiseaug.vision.grid.workers import Place, do
from noiseaug.vision.models import load_checkpoint, weights_digest
from noiseaug.vision.objectives import make_objective
from noiseaug.vision.training import default_recipe, job
from tests.helpers.running import PATIENCE, call_root, dask_cluster, start, wait_until

pytestmark = pytest.mark.usefixtures("no_pictures", "one_thread")  # more threads round otherwise in training

ALPHAS, BETAS, SEEDS = (0.3, 0.6), (0.0, 0.4), (0, 1)
MODELS = {f"a{alpha:g}-s{seed}" for alpha in ALPHAS for seed in SEEDS}


@pytest.fixture(scope="module")
def cluster():
    """Address of a Dask scheduler."""
    with dask_cluster() as (_, address):
        yield address


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A file of 120 images of 4×4 pixels in three classes, a third of them to train on."""
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 3
    pixels = np.clip(0.3 * labels[:, None, None] + 0.3 * rng.random((120, 4, 4)), 0, 1).astype(np.float32)
    path = tmp_path_factory.mktemp("data") / "images.npz"
    np.savez(path, train_x=pixels[:80], train_y=labels[:80], x=pixels[80:], y=labels[80:])
    return path


def small(images, arch="linear", **changes):
    recipe = default_recipe(arch, (1, 4, 4), make_objective("gaussian", 0.0), epochs=2)
    settled = {"radii": (0.0, 0.2), "recipe": recipe, "n": 50, "n0": 10, "images": 20}
    levels = {"train_sigma": ALPHAS, "smooth_sigma": BETAS, "seeds": SEEDS, "validation": 20, "init_from_clean": True}
    return GridSpec(str(images), **{**levels, **settled, **changes})


@pytest.fixture(scope="module")
def whole(images, tmp_path_factory):
    """The grid of one process, with one thread."""
    out, before, drawn = tmp_path_factory.mktemp("grid") / "whole", torch.get_num_threads(), grids.draw
    torch.set_num_threads(1)
    grids.draw = lambda *arguments: {}
    try:
        return out, run_grid(small(images), out)
    finally:
        torch.set_num_threads(before)
        grids.draw = drawn


def same(out, whole):
    """Whether two grids have the same tables, and the same weights in all models."""
    tables = [[(path / f"{name}.csv").read_bytes() for name in ("table", "optimum")] for path in (out, whole)]
    weights = [
        {model.name: weights_digest(load_checkpoint(model)[0]) for model in (path / "models").iterdir()}
        for path in (out, whole)
    ]
    assert set(weights[0]) == {*MODELS, "clean-s0", "clean-s1"}
    return tables[0] == tables[1] and weights[0] == weights[1]


def test_two_processes_make_the_same_table(images, whole, tmp_path):
    table = run_grid(small(images), tmp_path / "grid", jobs=2)
    pd.testing.assert_frame_equal(table, whole[1])
    assert same(tmp_path / "grid", whole[0])
    assert json.loads((tmp_path / "grid/run.json").read_text())["status"] == "complete"


@pytest.mark.slow
def test_a_cluster_makes_the_same_table_from_relative_names(images, whole, tmp_path, cluster, monkeypatch):
    """The workers were started elsewhere; and the name of the images stays what was asked for."""
    monkeypatch.chdir(images.parent)
    spec = small(images.name)
    out = Path(os.path.relpath(tmp_path / "grid"))
    run_grid(spec, out, dask=cluster)
    assert json.loads((out / "run.json").read_text())["description"]["data"] == "images.npz"
    lines = (out / "table.csv").read_text().replace("images.npz", str(images))
    assert lines == (whole[0] / "table.csv").read_text()
    # taken up again by one process, it is the same grid
    run_grid(spec, out, resume=True)


@pytest.mark.slow
def test_shards_may_be_spread(images, whole, tmp_path):
    first = run_grid(small(images), tmp_path / "grid", shard="0/2", jobs=2)
    assert set(first["seed"]) == {0}
    assert not (tmp_path / "grid/table.csv").exists()
    run_grid(small(images), tmp_path / "grid", shard="1/2", jobs=2)
    assert same(tmp_path / "grid", whole[0])


def test_a_worker_s_error_is_one_line_and_what_is_finished_stays(images, whole, tmp_path):
    out = tmp_path / "grid"
    spoilt = out / "models/a0.6-s1"
    run_grid(small(images), out, shard="0/2")
    spoilt.mkdir()
    (spoilt / "mine").write_text("not a run")
    command = ["grid", "--data", images, "--train-sigma", ".3,.6", "--smooth-sigma", "0,.4", "--radii", "0,.2"]
    command += ["--model", "linear", "--epochs", 2, "--n", 50, "--n0", 10, "--images", 20, "--validation", 20]
    command += ["--seeds", "0,1", "--init-from-clean", "--out", out, "--resume", "--jobs", 2]
    done = call_root(*command)
    assert done.status == 2
    assert done.complaint == f"{spoilt} exists and holds no run; choose another --out"
    kept = {path: path.stat().st_mtime_ns for path in (out / "models").glob("*-s0/model.safetensors")}
    assert len(kept) == 3
    (spoilt / "mine").unlink()
    done = call_root(*command)
    assert (done.status, "100%" in done.err) == (0, True), done.err
    assert same(out, whole[0])
    assert kept == {path: path.stat().st_mtime_ns for path in kept}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--jobs", 0], "jobs is 0; expected a number of processes, or -1 for one a core"),
        (["--dask", "tcp://127.0.0.1:9"], "no Dask scheduler answers at tcp://127.0.0.1:9"),
        (["--dask", "", "--jobs", 2], "the address of the Dask scheduler is empty"),
        (["--dask", None, "--device", "cuda:77"], "use cpu"),
    ],
)
def test_what_cannot_run_leaves_nothing(options, complaint, images, tmp_path, cluster, monkeypatch):
    monkeypatch.setattr("noiseaug.runs.workers._DASK_PATIENCE", 0.5)
    options = [cluster if option is None else option for option in options]
    command = ["grid", "--data", images, "--train-sigma", "0,.3", "--smooth-sigma", ".4", "--validation", 20]
    done = call_root(*command, "--out", tmp_path / "grid", *options)
    assert done.status == 2
    assert complaint in done.complaint
    assert not (tmp_path / "grid").exists()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds a worker through /proc")
@pytest.mark.slow
@pytest.mark.parametrize("end", ["worker", "Ctrl-C"])
def test_a_stopped_run_goes_on_and_ends_the_same(end, images, tmp_path, monkeypatch):
    out, hold = tmp_path / "grid", tmp_path / "hold"
    changes = {"arch": "tests.helpers.networks:Waiting", "init_from_clean": False, "train_sigma": (0.0, 0.2, 0.4, 0.6)}
    monkeypatch.setenv("WAIT_FOR", str(hold))
    command = ["grid", "--data", images, "--train-sigma", "0,.2,.4,.6", "--smooth-sigma", "0,.4", "--radii", "0,.2"]
    command += ["--model", changes["arch"], "--epochs", 2, "--n", 50, "--n0", 10, "--images", 20, "--validation", 20]
    command += ["--seeds", "0,1", "--out", out, "--jobs", 2]
    script = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); import noiseaug.cli as cli"
    with start("-c", f"{script}; cli.main()", *command, start_new_session=True) as process:
        wait_until(lambda: len(list(out.glob("votes/*test.jsonl"))) > 1)
        hold.touch()
        assert len(list(out.glob("models/*/model.safetensors"))) < 8
        if end == "worker":
            os.kill(next(worker for worker in workers(process.pid)), signal.SIGKILL)
        else:
            os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
    hold.unlink()
    told = "error: a worker process was killed" if end == "worker" else "interrupted; a command with --resume"
    assert process.returncode == (2 if end == "worker" else 130)
    assert [line.startswith(told) for line in err.splitlines()].count(True) == 1, err
    assert "Traceback" not in err
    assert not (out / "table.csv").exists()
    kept = {path: path.stat().st_mtime_ns for path in out.glob("models/*/model.safetensors")}
    assert kept
    table = run_grid(small(images, **changes), out, jobs=2, resume=True)
    assert kept == {path: path.stat().st_mtime_ns for path in kept}
    pd.testing.assert_frame_equal(table, run_grid(small(images, **changes), tmp_path / "other"))


def workers(parent):
    """Processes of joblib's pool below a process."""
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent and b"LokyProcess" in (entry / "cmdline").read_bytes():
                yield int(entry.name)
        except (OSError, IndexError):
            continue


# --- in this process


@pytest.fixture
def place(images, tmp_path):
    """Where a worker works; this process sent it."""
    grid = Grid(small(images), tmp_path / "grid")
    return Place(grid.path, Path.cwd(), None, (grid.train.digest, grid.test.digest), "cpu", None, os.getpid())


def test_a_piece_has_the_process_and_one_thread_to_itself(place, images, monkeypatch):
    found = []
    monkeypatch.setattr(
        grid_workers, "work", lambda *arguments: found.append((torch.get_num_threads(), grid_workers._ALONE.locked()))
    )
    spec = small(images)
    grid = Grid(spec, place.path)
    grid.begin()
    torch.set_num_threads(3)
    do(spec, place, (grid.models[0], True))
    assert found == [(1, True)]
    assert torch.get_num_threads() == 3
    assert not grid_workers._ALONE.locked()


def test_a_worker_without_the_directory_or_with_other_images_says_so(place, images, monkeypatch):
    monkeypatch.setattr(grid_workers, "_DIRECTORY_SECONDS", 0.1)
    spec = small(images)
    task = Grid(spec, place.path).models[0], True
    with pytest.raises(InvalidInputError, match=r"is not there on the worker .* that all workers share"):
        do(spec, place, task)
    assert not place.path.exists()
    with pytest.raises(InvalidInputError, match="holds other images than where the grid was begun"):
        do(spec, replace(place, digests=("0", "1")), task)


@pytest.mark.parametrize("module", [job, votes])
def test_a_model_that_nobody_waits_for_is_given_up(module, images, tmp_path, monkeypatch, whole):
    """As on a Dask worker whose client has left."""
    out = tmp_path / "grid"

    def withdrawn():
        raise CancelledError

    with monkeypatch.context() as patch:
        patch.setattr(module, "check_wanted", withdrawn)
        with pytest.raises(CancelledError):
            run_grid(small(images), out)
    assert json.loads((out / "run.json").read_text())["status"] == "unfinished"
    run_grid(small(images), out, resume=True)
    assert same(out, whole[0])


def test_logs_that_never_appear_are_an_error(images, tmp_path, monkeypatch):
    """As where another machine has a directory of its own under the same name."""
    monkeypatch.setattr(grids, "_LOGS_SECONDS", 0.1)
    monkeypatch.setattr(grids, "run_all", lambda function, tasks, **options: ((i, None) for i in range(len(tasks))))
    with pytest.raises(NoiseaugError, match=r"16 of 16 logs that the workers wrote do not appear in .*votes"):
        run_grid(small(images), tmp_path / "grid", jobs=2)
