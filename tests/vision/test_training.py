"""Training runs: exact resumption, reproducibility, what they learn from and what they start from."""

from __future__ import annotations

import contextlib
import io
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from noiseaug.data import LabelledSet, load_images
from noiseaug.errors import InvalidInputError
from noiseaug.vision.models import load_checkpoint, read_metadata, weights_digest
from noiseaug.vision.objectives import make_objective
from noiseaug.vision.training import (
    Job,
    Recipe,
    Trainer,
    TrainingSet,
    accuracy,
    augmented,
    default_recipe,
    epoch_batches,
    keyed_generator,
    run_job,
)
from noiseaug.vision.training.directory import TrainingDirectory
from tests.helpers.running import content
from tests.helpers.training import GAUSSIAN, RECIPES, Stop, colourful


@pytest.fixture(scope="module")
def digits() -> tuple[LabelledSet, LabelledSet]:
    return load_images("digits", "train"), load_images("digits", "test")


def weights_of(path) -> dict[str, torch.Tensor]:
    return load_checkpoint(path)[0].state_dict()


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("name", RECIPES)
def test_a_killed_run_goes_on_exactly(name, tmp_path, monkeypatch):
    # killed in the middle of the second epoch, right after its state was saved, and one step later
    recipe = RECIPES[name]
    job = Job(recipe, colourful(50 if recipe.arch != "resnet" else 40))
    run_job(job, tmp_path / "straight")
    monkeypatch.setattr("noiseaug.vision.training.job._SAVE_SECONDS", 0.0)
    monkeypatch.setattr("noiseaug.vision.training.job._LOOK_STEPS", 1)
    saves = 0

    def save(self, trainer, write=TrainingDirectory.save):
        nonlocal saves
        if saves == 3:
            raise Stop
        write(self, trainer)
        saves += 1

    monkeypatch.setattr(TrainingDirectory, "save", save)
    with pytest.raises(Stop):
        run_job(job, tmp_path / "killed")
    monkeypatch.undo()
    assert not (tmp_path / "killed" / "model.safetensors").exists()
    with pytest.raises(InvalidInputError, match="unfinished run; add --resume"):
        run_job(job, tmp_path / "killed")
    run_job(job, tmp_path / "killed", resume=True)
    assert same(weights_of(tmp_path / "straight"), weights_of(tmp_path / "killed"))
    straight, killed = ((tmp_path / which / "metrics.csv").read_text().splitlines() for which in ("straight", "killed"))
    assert [line.rsplit(",", 1)[0] for line in straight] == [line.rsplit(",", 1)[0] for line in killed]
    assert sorted(path.name for path in (tmp_path / "killed").iterdir()) == [
        "metrics.csv",
        "model.safetensors",
        "run.json",
    ]


def test_a_state_is_the_whole_state():
    # going on from a state equals never having stopped, at every step
    recipe = replace(RECIPES["moving average, adam"], epochs=1)
    job, device = Job(recipe, colourful(48)), torch.device("cpu")

    def trainer() -> Trainer:
        return Trainer(recipe, job.training_set(device), job.first_model())

    straight = trainer()
    straight.run(lambda *_: None, lambda *_: None)
    pieces = trainer()
    for _ in range(3):

        def stop(*_: object) -> None:
            raise Stop

        with contextlib.suppress(Stop):
            pieces.run(stop, lambda *_: None)
        state, pieces = through_a_file(pieces.state()), trainer()
        pieces.restore(state)
    assert pieces.epoch == 1
    assert same(pieces.result.state_dict(), straight.result.state_dict())


def through_a_file(state):
    """The state as a file would give it back."""
    stream = io.BytesIO()
    torch.save(state, stream)
    stream.seek(0)
    return torch.load(stream, weights_only=True)


def test_seeds_reproduce(tmp_path):
    job = Job(RECIPES["gaussian, sgd"], colourful())
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run_job(replace(job, recipe=replace(job.recipe, seed=seed)), tmp_path / name)
    a, b, c = (weights_of(tmp_path / name) for name in "abc")
    assert same(a, b)
    assert not same(a, c)


def test_what_ran_before_does_not_matter(tmp_path):
    job = Job(RECIPES["gaussian, sgd"], colourful())
    run_job(job, tmp_path / "a")
    torch.manual_seed(5)
    torch.randn(7)
    run_job(job, tmp_path / "b")
    assert same(weights_of(tmp_path / "a"), weights_of(tmp_path / "b"))


def test_digits_are_learned(digits, tmp_path):
    train, test = digits
    recipe = default_recipe("mlp", train.shape, make_objective("gaussian", 0.1), epochs=20)
    results = run_job(Job(recipe, train, validation=100), tmp_path / "run", test=test)
    assert results["test_accuracy"] > 0.93
    assert results["noisy_test_accuracy"] > 0.9
    model, metadata = load_checkpoint(tmp_path / "run")
    truth = torch.from_numpy(test.labels)
    assert accuracy(model, torch.from_numpy(test.inputs), truth) == results["test_accuracy"]
    assert metadata["results"] == results
    assert (metadata["data"], metadata["objective"]["train_sigma"]) == ("digits", 0.1)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["status"] == "complete"
    assert record["description"]["validation"] == 100
    header, *rows = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    assert header == "epoch,learning_rate,loss,train_accuracy,seconds,validation_accuracy,noisy_validation_accuracy"
    assert len(rows) == 20
    # a finished run is taken as it is
    before = content(tmp_path / "run")
    assert run_job(Job(recipe, train, validation=100), tmp_path / "run", resume=True) == results
    assert content(tmp_path / "run") == before


def test_held_out_images_are_not_learned_from():
    data = colourful(40)
    training = Job(RECIPES["gaussian, sgd"], data, validation=10).training_set(torch.device("cpu"))
    assert torch.equal(training.images, torch.from_numpy(data.inputs[:30]))
    assert training.labelled == 30


@pytest.mark.parametrize("count", [1, 2, 5, 17, 32, 33, 64])
def test_an_epoch_sees_every_image_once(count):
    training = TrainingSet(torch.zeros(count, 1, 2, 2), torch.zeros(count, dtype=torch.long), count)
    epochs = [[indices for indices, weight in epoch_batches(training, 16, 0, epoch)] for epoch in (0, 1)]
    for batches in epochs:
        assert sorted(torch.cat(batches).tolist()) == list(range(count))
        assert count == 1 or min(map(len, batches)) > 1  # batch-norm cannot take one
        assert max(map(len, batches)) <= 17
    if count > 5:
        assert torch.cat(epochs[0]).tolist() != torch.cat(epochs[1]).tolist()


@pytest.mark.parametrize("labelled", [10, 45])
def test_batches_without_labels_alternate_with_labelled_ones(labelled):
    training = TrainingSet(torch.zeros(50, 1, 2, 2), torch.zeros(50, dtype=torch.long), labelled, pseudo_weight=0.5)
    batches = epoch_batches(training, 8, 0, 0)
    own = torch.cat([indices for indices, weight in batches if weight == 1]).tolist()
    others = torch.cat([indices for indices, weight in batches if weight != 1]).tolist()
    # the larger part once, the smaller one as often as it takes, shuffled anew
    assert [weight for _, weight in batches] == [1.0, 0.5] * (5 if labelled == 10 else 6)
    assert set(own) == set(range(labelled))
    assert set(others) == set(range(labelled, 50))
    larger, smaller = (others, own) if labelled == 10 else (own, others)
    assert len(larger) == len(set(larger))
    size = len(set(smaller))
    assert len(smaller) > 2 * size
    assert sorted(smaller[:size]) == sorted(smaller[size : 2 * size])
    assert smaller[:size] != smaller[size : 2 * size]


def test_self_training(digits, tmp_path):
    train, test = digits
    teacher = default_recipe("mlp", train.shape, make_objective("clean", 0), epochs=30)
    few = Job(teacher, train.take(np.arange(200)))
    run_job(few, tmp_path / "teacher")
    recipe = default_recipe("mlp", train.shape, make_objective("gaussian", 0.1), epochs=5, seed=3)
    job = Job(recipe, train, labelled=100, teacher=tmp_path / "teacher", pseudo_weight=0.5)
    training = job.training_set(torch.device("cpu"))
    assert (training.labelled, len(training.labels), training.pseudo_weight) == (100, len(train.labels), 0.5)
    # the labelled ones are balanced and have their own labels, the others the teacher's
    assert np.ptp(np.bincount(training.labels[:100].numpy())) <= 1
    found = {image.tobytes(): int(label) for image, label in zip(train.inputs, train.labels, strict=True)}
    own = [found[image.numpy().tobytes()] for image in training.images]
    assert training.labels[:100].tolist() == own[:100]
    model, _ = load_checkpoint(tmp_path / "teacher")
    with torch.inference_mode():
        assert torch.equal(training.labels[100:], model(training.images[100:]).argmax(1))
    agreement = np.mean(training.labels[100:].numpy() == own[100:])
    assert 0.8 < agreement < 1
    assert run_job(job, tmp_path / "student", test=test)["test_accuracy"] > 0.8


def test_more_images_without_labels(digits, tmp_path):
    train, _ = digits
    half = train.take(np.arange(300))
    run_job(
        Job(default_recipe("linear", train.shape, make_objective("clean", 0), epochs=2), half), tmp_path / "teacher"
    )
    job = Job(RECIPES["gaussian, sgd"], half, unlabelled=train.take(np.arange(300, 500)), teacher=tmp_path / "teacher")
    training = job.training_set(torch.device("cpu"))
    assert (training.labelled, len(training.images)) == (300, 500)
    assert torch.equal(training.images[300:], torch.from_numpy(train.inputs[300:500]))


def test_pre_training(tmp_path):
    clean = Job(Recipe("mlp", make_objective("clean", 0), epochs=2, batch=16), colourful(classes=3))
    run_job(clean, tmp_path / "first")
    first = weights_of(tmp_path / "first")
    # the same classes: everything is taken over
    again = Job(RECIPES["gaussian, sgd"], colourful(classes=3), init_from=tmp_path / "first")
    assert same(again.first_model().state_dict(), first)
    # another number of classes, or a fresh head: all but the last layer
    for job in (replace(again, fresh_head=True), Job(again.recipe, colourful(classes=2), init_from=tmp_path / "first")):
        state = job.first_model().state_dict()
        changed = {key for key in first if not torch.equal(first[key], state[key])}
        assert changed == set(list(first)[-2:]) if job.fresh_head else len(changed) == 2
    run_job(replace(again, fresh_head=True), tmp_path / "second")
    told = weights_digest(load_checkpoint(tmp_path / "first")[0])[:16]
    assert read_metadata(tmp_path / "second")["init_from"] == {"arch": "mlp", "weights": told}


def test_other_weights_are_another_run(tmp_path):
    start = Job(Recipe("mlp", make_objective("clean", 0), epochs=1, batch=16), colourful())
    run_job(start, tmp_path / "first")
    job = Job(RECIPES["gaussian, sgd"], colourful(), init_from=tmp_path / "first")
    before = job.description()
    run_job(replace(start, recipe=replace(start.recipe, seed=1)), tmp_path / "other")
    (tmp_path / "other" / "model.safetensors").replace(tmp_path / "first" / "model.safetensors")
    assert job.description() != before


def test_tensorboard_gets_every_epoch(tmp_path):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run_job(Job(RECIPES["gaussian, sgd"], colourful(), validation=10), tmp_path / "run", tensorboard=True)
    found = reader.EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    found.Reload()
    header, *rows = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    table = [dict(zip(header.split(","), map(float, row.split(",")), strict=True)) for row in rows]
    for name in ("loss", "validation_accuracy"):
        events = found.Scalars(name)
        assert [event.step for event in events] == [1, 2, 3]
        np.testing.assert_allclose([event.value for event in events], [row[name] for row in table], rtol=1e-6)


def test_learning_rates():
    cycle = Recipe("mlp", GAUSSIAN, epochs=10, learning_rate=0.1)
    rates = [cycle.rate(epoch) for epoch in (0, 1, 2, 6, 10)]
    np.testing.assert_allclose(rates, [0.001, 0.05, 0.1, 0.05, 0.0], atol=1e-12)
    step = replace(cycle, schedule="step", step_epochs=3, step_factor=0.5)
    assert [step.rate(epoch) for epoch in (0, 2.9, 3, 6)] == [0.1, 0.1, 0.05, 0.025]
    assert replace(cycle, schedule="constant").rate(7.3) == 0.1


def test_the_first_step_by_hand():
    # one step of plain gradient descent on a linear model, without noise
    data = colourful(6)
    recipe = Recipe(
        "linear",
        make_objective("clean", 0),
        epochs=1,
        batch=6,
        learning_rate=0.3,
        momentum=0.0,
        weight_decay=0.01,
        schedule="constant",
    )
    job = Job(recipe, data)
    trainer = Trainer(recipe, job.training_set(torch.device("cpu")), job.first_model())
    start = {key: value.clone() for key, value in trainer.model.state_dict().items()}
    trainer.run(lambda *_: None, lambda *_: None)
    weight, bias = (key for key in start if key.startswith("network"))
    x = (torch.from_numpy(data.inputs).double() / 255 - start["mean"].double()) / start["std"].double()
    x = x.reshape(6, -1)
    error = (x @ start[weight].double().T + start[bias].double()).softmax(1)
    error[torch.arange(6), torch.from_numpy(data.labels)] -= 1
    moved = start[weight] - 0.3 * (error.T @ x / 6 + 0.01 * start[weight])
    torch.testing.assert_close(trainer.model.state_dict()[weight].double(), moved, rtol=1e-4, atol=1e-5)
    # biases do not decay
    torch.testing.assert_close(
        trainer.model.state_dict()[bias].double(), start[bias] - 0.3 * error.mean(0), rtol=1e-4, atol=1e-5
    )


def test_the_moving_average():
    recipe = Recipe("linear", GAUSSIAN, epochs=1, batch=16, ema=0.75)
    job = Job(recipe, colourful(48))
    trainer = Trainer(recipe, job.training_set(torch.device("cpu")), job.first_model())
    expected = {key: value.clone() for key, value in trainer.model.state_dict().items()}

    def follow(now: Trainer, *_: object) -> None:
        for key, value in now.model.state_dict().items():
            expected[key] = 0.75 * expected[key] + 0.25 * value

    trainer.run(follow, follow)
    for key, value in trainer.result.state_dict().items():
        torch.testing.assert_close(value, expected[key])
    assert trainer.result is not trainer.model


def test_augmentation():
    images = torch.arange(2 * 3 * 5 * 6, dtype=torch.float32).reshape(2, 3, 5, 6) + 1
    many = images[:1].expand(400, -1, -1, -1)
    shifted = augmented(many, 2, False, keyed_generator(torch.device("cpu"), 0))
    padded = torch.nn.functional.pad(images[:1], (2, 2, 2, 2))
    windows = {padded[0, :, i : i + 5, j : j + 6].numpy().tobytes() for i in range(5) for j in range(5)}
    # all 25 shifts occur among 400 with probability 1 - 25 (24/25)^400 > 1 - 3e-6, and nothing else does
    assert {each.contiguous().numpy().tobytes() for each in shifted} == windows
    mirrored = augmented(many, 0, True, keyed_generator(torch.device("cpu"), 0))
    kinds = {images[0].numpy().tobytes(), images[0].flip(-1).contiguous().numpy().tobytes()}
    assert {each.contiguous().numpy().tobytes() for each in mirrored} == kinds
    assert torch.equal(augmented(images, 0, False, keyed_generator(torch.device("cpu"), 0)), images)


@pytest.mark.slow
def test_cifar_shaped_images_are_learned(tmp_path):
    recipe = default_recipe("resnet", (3, 32, 32), GAUSSIAN, epochs=4, batch=20, learning_rate=0.02)
    assert (recipe.crop, recipe.flip) == (4, True)
    results = run_job(Job(recipe, colourful(60)), tmp_path / "run", test=colourful(30, seed=1))
    assert results["test_accuracy"] > 0.9


def test_recipes_are_described_whole():
    # every field of a recipe is in its description, so that no two recipes share a directory
    recipe = RECIPES["smoothadv, adadelta, steps"]
    told = recipe.description()
    assert set(told) == set(vars(recipe))
    assert json.loads(json.dumps(told)) == told
    assert all(not isinstance(value, float) or math.isfinite(value) for value in told.values())
