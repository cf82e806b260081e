"""What a training run refuses or stops at: bad recipes and jobs, too little memory, damaged states."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from noiseaug.errors import InvalidInputError
from noiseaug.vision.objectives import make_objective
from noiseaug.vision.training import Job, Recipe, out_of_memory, run_job
from noiseaug.vision.training.directory import TrainingDirectory
from tests.helpers.running import content
from tests.helpers.training import GAUSSIAN, RECIPES, Stop, colourful


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"epochs": 0}, "epochs is 0; expected an integer of at least 1"),
        ({"batch": 2.5}, "batch is 2.5"),
        ({"learning_rate": -1.0}, "learning_rate is -1"),
        ({"momentum": 1.0}, r"momentum is 1; expected a number in \[0, 1\)"),
        ({"optimiser": "lion"}, "optimiser is 'lion'; expected one of sgd, adam, adadelta"),
        ({"schedule": "cosine"}, "schedule is 'cosine'; expected one of one-cycle, step, constant"),
        ({"precision": "int8"}, "precision is 'int8'"),
        ({"seed": -1}, "seed is -1"),
        ({"crop": -1}, "crop is -1"),
    ],
)
def test_bad_recipes(changes, complaint):
    with pytest.raises(InvalidInputError, match=complaint):
        Recipe("mlp", GAUSSIAN, **changes)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"validation": 60}, "validation is 60 of 60 images"),
        ({"labelled": 60, "teacher": "x"}, "labelled is 60, but there are only 60 images"),
        ({"labelled": 2, "teacher": "x"}, "labelled is 2; expected an integer of at least 3"),
        ({"unlabelled": colourful()}, "images without labels need a teacher"),
        ({"teacher": "x"}, "a teacher labels images without labels"),
        ({"pseudo_weight": 0}, "pseudo_weight is 0"),
    ],
)
def test_bad_jobs(changes, complaint):
    with pytest.raises(InvalidInputError, match=complaint):
        Job(RECIPES["gaussian, sgd"], colourful(), **changes)


def test_a_run_of_another_description_is_left_alone(tmp_path):
    job = Job(RECIPES["gaussian, sgd"], colourful())
    run_job(job, tmp_path / "run")
    before = content(tmp_path / "run")
    others = [
        replace(job, recipe=replace(job.recipe, seed=1)),
        replace(job, recipe=replace(job.recipe, objective=make_objective("gaussian", 0.5))),
        replace(job, data=colourful(seed=1)),
        replace(job, validation=5),
    ]
    for other in others:
        for resume in (False, True):
            with pytest.raises(InvalidInputError, match="a run of another description"):
                run_job(other, tmp_path / "run", resume=resume)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.txt").write_text("mine")
    with pytest.raises(InvalidInputError, match="exists and holds no run"):
        run_job(job, tmp_path / "foreign")
    assert content(tmp_path / "run") == before
    assert (tmp_path / "foreign" / "thesis.txt").read_text() == "mine"


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    job = Job(Recipe("mlp", GAUSSIAN, epochs=5, batch=16, learning_rate=1e30, schedule="constant"), colourful())
    with pytest.raises(
        InvalidInputError, match=r"no longer finite in epoch \d, step \d+; try a lower learning_rate than 1e\+30"
    ):
        run_job(job, tmp_path / "run")
    assert not (tmp_path / "run" / "model.safetensors").exists()


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("x"), MemoryError(), RuntimeError("can't allocate memory: y")]
)
def test_too_little_memory(error):
    with pytest.raises(InvalidInputError, match="out of memory with batches of 64; try --batch 32"), out_of_memory(64):
        raise error
    with pytest.raises(InvalidInputError, match="batch of 1"), out_of_memory(1):
        raise error
    with pytest.raises(RuntimeError, match="something else"), out_of_memory(64):
        raise RuntimeError("something else")


def test_a_batch_that_does_not_fit(tmp_path):
    # for real: some hundred terabytes
    job = Job(Recipe("linear", make_objective("gaussian", 0.1, copies=10**9), epochs=1, batch=32), colourful())
    with pytest.raises(InvalidInputError, match="out of memory with batches of 32; try --batch 16"):
        run_job(job, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_asked_for_where_there_is_none(tmp_path):
    with pytest.raises(InvalidInputError, match="no CUDA device; leave out --device or use cpu"):
        run_job(Job(RECIPES["gaussian, sgd"], colourful()), tmp_path / "run", device="cuda")
    with pytest.raises(InvalidInputError, match="device is 'abacus'; expected cpu"):
        run_job(Job(RECIPES["gaussian, sgd"], colourful()), tmp_path / "run", device="abacus")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("damage", ["empty", "half", "other"])
def test_a_damaged_state(damage, tmp_path, monkeypatch):
    job = Job(RECIPES["gaussian, sgd"], colourful())
    monkeypatch.setattr(TrainingDirectory, "write_metrics", lambda *_: (_ for _ in ()).throw(Stop))
    with pytest.raises(Stop):
        run_job(job, tmp_path / "run")
    monkeypatch.undo()
    state = tmp_path / "run" / "state.pt"
    whole = state.read_bytes()
    if damage == "other":
        torch.save({"epoch": 1}, state)
    else:
        state.write_bytes(b"" if damage == "empty" else whole[: len(whole) // 2])
    with pytest.raises(InvalidInputError, match=r"state.pt is damaged .*train again"):
        run_job(job, tmp_path / "run", resume=True)
    state.write_bytes(whole)
    run_job(job, tmp_path / "run", resume=True)


def test_starting_from_another_architecture(tmp_path):
    run_job(Job(Recipe("linear", make_objective("clean", 0), epochs=1, batch=16), colourful()), tmp_path / "linear")
    job = Job(RECIPES["gaussian, sgd"], colourful(), init_from=tmp_path / "linear")
    with pytest.raises(InvalidInputError, match=r"is a linear for images of shape .* trains a mlp"):
        run_job(job, tmp_path / "run")
    with pytest.raises(InvalidInputError, match=r"nothing"):
        run_job(replace(job, init_from=tmp_path / "nothing"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
