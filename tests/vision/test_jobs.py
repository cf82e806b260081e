"""What a step of training is made of, what a run's record tells, and what a log says of the network it certified."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from noiseaug.certification import certify
from noiseaug.data import DataSource, LabelledSet, load_data, load_images
from noiseaug.errors import InvalidInputError
from noiseaug.subjects import attack_model, load_classifier, load_subject
from noiseaug.vision.engine import load_network
from noiseaug.vision.models import build_model, load_checkpoint, save_checkpoint
from noiseaug.vision.objectives import make_objective
from noiseaug.vision.training import Job, Recipe, Sums, Trainer, TrainingSet, accuracy, augmented, run_job, to_floats

CPU = torch.device("cpu")
CLEAN = make_objective("clean", 0)
PLAIN = Recipe("linear", CLEAN, epochs=1, batch=8, momentum=0.0, weight_decay=0.0, schedule="constant")


def pictures(count: int = 24, shape=(1, 8, 8), classes: int = 3, seed: int = 0, name: str = "pictures") -> LabelledSet:
    """Grey noise whose labels go round."""
    images = np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)
    return LabelledSet(name, "train", images, np.arange(count) % classes, tuple(map(str, range(classes))))


def nothing(*_: object) -> None:
    pass


def trained(recipe: Recipe, data: LabelledSet) -> tuple[dict[str, torch.Tensor], Trainer]:
    """The first state of the model, and the trainer at the end."""
    job = Job(recipe, data)
    trainer = Trainer(recipe, job.training_set(CPU), job.first_model())
    start = {key: value.clone() for key, value in trainer.model.state_dict().items()}
    trainer.run(nothing, nothing)
    return start, trainer


def moved(start: dict[str, torch.Tensor], trainer: Trainer) -> torch.Tensor:
    """How far the weights are from the first ones, as one vector."""
    state = trainer.model.state_dict()
    return torch.cat([(state[key] - start[key]).flatten() for key in start if key.startswith("network")])


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_long_gradients_are_cut(precision):
    recipe = replace(PLAIN, batch=24, learning_rate=0.5, precision=precision)
    free, short, long = (moved(*trained(replace(recipe, clip=clip), pictures())) for clip in (0.0, 1e-3, 1e6))
    # the norm is that of the gradient, not of the scaled one; float16's are some 1e-3 off
    torch.testing.assert_close(short.norm(), torch.tensor(0.5e-3), rtol=1e-2, atol=0)
    torch.testing.assert_close(short / short.norm(), free / free.norm(), rtol=0, atol=1e-2)
    torch.testing.assert_close(long, free)


def test_images_with_a_teachers_label_count_by_their_weight():
    # one labelled batch and one other, whose loss weighs 1e-6: nothing is left of its step
    data = pictures(16)
    images, labels = torch.from_numpy(data.inputs), torch.from_numpy(data.labels)

    def after(weight: float) -> tuple[torch.Tensor, torch.Tensor]:
        trainer = Trainer(PLAIN, TrainingSet(images, labels, 8, weight), Job(PLAIN, data).first_model())
        states = []
        trainer.run(lambda now, _: states.append(weights(now.model)), nothing)
        return states[0], weights(trainer.model)

    labelled, light = after(1e-6)
    same, heavy = after(0.5)
    assert torch.equal(labelled, same)
    torch.testing.assert_close(light, labelled)
    _, full = after(1.0)
    torch.testing.assert_close(full - labelled, 2 * (heavy - labelled), rtol=1e-3, atol=1e-6)


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([each.detach().flatten() for each in model.parameters()]).clone()


def test_training_sees_augmented_images(monkeypatch):
    seen = []

    def keep(x, *rest):
        seen.extend([x, augmented(x, *rest)])
        return seen[-1]

    monkeypatch.setattr("noiseaug.vision.training.trainer.augmented", keep)
    recipe = replace(PLAIN, batch=24, crop=2, flip=True)
    start, trainer = trained(recipe, pictures())
    plain, x = seen
    assert not torch.equal(x, plain)
    label = {
        image.numpy().tobytes(): int(truth)
        for image, truth in zip(to_floats(trainer.training.images), trainer.training.labels, strict=True)
    }
    # the gradient by hand, of the augmented images
    error = (x.flatten(1) @ start["network.1.weight"].T + start["network.1.bias"]).softmax(1)
    error[torch.arange(24), [label[image.numpy().tobytes()] for image in plain]] -= 1
    expected = start["network.1.bias"] - recipe.learning_rate * error.mean(0)
    torch.testing.assert_close(trainer.model.state_dict()["network.1.bias"], expected)


def test_the_average_has_the_statistics_of_the_batch_norms():
    recipe = replace(PLAIN, arch="resnet20", learning_rate=1e-3, batch=12, ema=0.99)
    start, trainer = trained(recipe, pictures(shape=(1, 16, 16)))
    buffers = dict(trainer.model.named_buffers())
    running = [key for key in buffers if "running" in key]
    assert running
    for key, value in trainer.result.named_buffers():
        assert torch.equal(value, buffers[key]), key
    assert all(not torch.equal(buffers[key], start[key]) for key in running)


def test_the_scale_of_float16_is_resumed():
    recipe = replace(PLAIN, precision="float16")
    job = Job(recipe, pictures())
    first, second = (Trainer(recipe, job.training_set(CPU), job.first_model()) for _ in range(2))
    first.run(nothing, nothing)
    first._scaler.update(1024.0)
    second.restore(first.state())
    assert second._scaler.get_scale() == 1024.0


class Dropping(nn.Module):
    """A network with dropout, as a user may bring."""

    def __init__(self, shape, num_classes):
        super().__init__()
        size = int(np.prod(shape))
        self.layers = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(size, num_classes))

    def forward(self, x):
        return self.layers(x)


def test_dropout_is_keyed_by_seed_and_step():
    recipe = replace(PLAIN, arch=f"{__name__}:Dropping")
    data = pictures()
    plain = weights(trained(recipe, data)[1].model)
    job = Job(recipe, data)
    trainer = Trainer(recipe, job.training_set(CPU), job.first_model())
    trainer.run(lambda *_: torch.manual_seed(7), nothing)  # as if another process went on from here
    assert torch.equal(weights(trainer.model), plain)


def test_each_epoch_has_a_record_of_its_own():
    recipe = replace(PLAIN, epochs=3)
    job = Job(recipe, pictures())
    trainer = Trainer(recipe, job.training_set(CPU), job.first_model())
    counted = []
    trainer.run(lambda now, _: counted.append((now.epoch, now.sums().steps)), lambda now: counted.append(now.sums()))
    assert counted == [each for epoch in range(3) for each in ((epoch, 1), (epoch, 2), Sums(0.0, 0, 0, 0))]
    assert [row["epoch"] for row in trainer.rows] == [1, 2, 3]


def test_momentum_is_that_of_nesterov():
    # whose first step is 1 + momentum times the plain one
    plain, nesterov = (moved(*trained(replace(PLAIN, batch=24, momentum=each), pictures())) for each in (0.0, 0.9))
    torch.testing.assert_close(nesterov, 1.9 * plain, rtol=1e-4, atol=1e-6)


def test_accuracy_is_that_of_the_model_in_use():
    # eval mode while it counts: dropout would be seen in 300 answers; afterwards as before
    model = build_model(f"{__name__}:Dropping", (1, 8, 8), 3)
    data = pictures(300)
    images, labels = torch.from_numpy(data.inputs), torch.from_numpy(data.labels)
    model.eval()
    right = float((model(to_floats(images)).argmax(1) == labels).float().mean())
    model.train()
    assert accuracy(model, images, labels, batch=70) == pytest.approx(right, abs=1e-6)
    assert model.training


@pytest.mark.parametrize(("precision", "kept"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_the_network_runs_in_the_precision_of_its_recipe(precision, kept):
    recipe = replace(PLAIN, precision=precision)
    job = Job(recipe, pictures())
    model, seen = job.first_model(), set()
    model.network[-1].register_forward_hook(lambda part, inputs, output: seen.add(output.dtype))
    trainer = Trainer(recipe, job.training_set(CPU), model)
    trainer.run(nothing, nothing)
    assert seen == {kept}
    assert all(each.dtype == torch.float32 for each in trainer.result.parameters())


def saved(path, shape=(1, 8, 8), classes: int = 3, seed: int = 0, **metadata):
    """A checkpoint of a linear classifier with random weights."""
    torch.manual_seed(seed)
    save_checkpoint(path, build_model("linear", shape, classes), metadata)
    return path


def test_a_run_is_that_of_its_teacher_and_of_its_images(tmp_path):
    teacher = saved(tmp_path / "teacher.safetensors")
    job = Job(PLAIN, pictures(), unlabelled=pictures(seed=1), teacher=teacher)
    before = job.description()
    assert json.loads(json.dumps(before)) == before
    assert replace(job, unlabelled=pictures(seed=2)).description() != before
    assert replace(job, unlabelled=pictures(seed=1)).description() == before
    saved(teacher, seed=1)
    assert job.description() != before


def test_without_a_teacher_only_labelled_images_are_learned_from(tmp_path):
    # those, and in the order, that keep their labels beside a teacher of the same seed
    alone = Job(PLAIN, pictures(), labelled=9).training_set(CPU)
    beside = Job(PLAIN, pictures(), labelled=9, teacher=saved(tmp_path / "teacher.safetensors")).training_set(CPU)
    assert len(alone.labels) == alone.labelled == beside.labelled == 9
    assert len(beside.labels) == 24
    assert torch.equal(alone.images, beside.images[:9])
    assert torch.equal(alone.labels, beside.labels[:9])


def test_images_of_another_type_are_converted(tmp_path):
    teacher = saved(tmp_path / "teacher.safetensors")
    bytes_ = pictures(seed=1)
    floats = replace(bytes_, inputs=bytes_.floats())
    for own, others in ((bytes_, floats), (floats, bytes_)):
        training = Job(PLAIN, own, unlabelled=others, teacher=teacher).training_set(CPU)
        assert training.images.dtype == torch.from_numpy(own.inputs).dtype
        assert torch.equal(training.images[:24], training.images[24:])


def test_a_teacher_or_images_that_do_not_fit(tmp_path):
    job = Job(PLAIN, pictures(), labelled=6, teacher=saved(tmp_path / "other.safetensors", classes=4))
    with pytest.raises(InvalidInputError, match=r"has 4 classes for images of shape \(1, 8, 8\); pictures has 3"):
        job.training_set(CPU)
    with pytest.raises(InvalidInputError, match=r"large has images of shape \(1, 9, 9\); pictures of \(1, 8, 8\)"):
        Job(PLAIN, pictures(), unlabelled=pictures(shape=(1, 9, 9), name="large"), teacher=tmp_path / "x")
    with pytest.raises(InvalidInputError, match=r"ema is 1; expected a number in \[0, 1\)"):
        replace(PLAIN, ema=1.0)


def test_accuracies_in_the_record(tmp_path):
    # of the averaged model, on the images that were held out and on those for testing, with and without noise
    recipe = replace(PLAIN, objective=make_objective("gaussian", 0.5), epochs=2, ema=0.9, learning_rate=0.3, seed=3)
    data, test = pictures(120), pictures(60, seed=1)
    results = run_job(Job(recipe, data, validation=40), tmp_path / "run", test=test)
    model, _ = load_checkpoint(tmp_path / "run")
    rows = [line.split(",") for line in (tmp_path / "run" / "metrics.csv").read_text().splitlines()]
    last = dict(zip(rows[0], map(float, rows[-1]), strict=True))

    def share(images, labels, sigma=0.0):
        return accuracy(model, torch.from_numpy(images), torch.from_numpy(labels), sigma, seed=3)

    assert last["validation_accuracy"] == share(data.inputs[80:], data.labels[80:])
    assert last["noisy_validation_accuracy"] == share(data.inputs[80:], data.labels[80:], 0.5)
    assert results["test_accuracy"] == share(test.inputs, test.labels)
    assert results["noisy_test_accuracy"] == share(test.inputs, test.labels, 0.5)
    # noise of this level is seen, so that none of these is the other
    assert last["noisy_validation_accuracy"] != last["validation_accuracy"]


def test_tensorboard_gets_every_epoch(tmp_path, monkeypatch):
    written = []

    class Stream:
        def __init__(self, path):
            self.path = path

        def __enter__(self):
            return self

        def __exit__(self, *reason):
            pass

        def add_scalar(self, name, value, step):
            written.append((self.path, name, step))

    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Stream
    monkeypatch.setitem(sys.modules, module.__name__, module)
    run_job(Job(replace(PLAIN, epochs=2), pictures()), tmp_path / "run", tensorboard=True)
    folder = str(tmp_path / "run" / "tensorboard")
    assert [(path, step) for path, name, step in written if name == "loss"] == [(folder, 1), (folder, 2)]


# --- certification and attacks ---------------------------------------------------------------------------------------


@pytest.fixture
def network(tmp_path):
    """A classifier of the bundled digits."""
    return saved(tmp_path / "network.safetensors", classes=10, data="digits")


def logged(path, classifier, indices, failure_prob: float = 1e-3):
    """A log of some certificates."""
    subject = load_subject(str(classifier))
    certify(
        subject.base,
        subject.data.inputs[indices],
        labels=subject.data.labels[indices],
        smooth_sigma=0.25,
        n=50,
        failure_prob=failure_prob,
        indices=indices,
        log=path,
        description=subject.description,
    )
    return path


def attacked(classifier, log, data=None, **more):
    settings = {"smooth_sigma": 0.25, "radii": [0.1], "steps": 1, "samples": 2, "n": 20, "log": log, **more}
    return attack_model(classifier, data, **settings)


def test_the_images_of_a_log_are_attacked(network, tmp_path):
    log = logged(tmp_path / "log.jsonl", network, [0, 3, 6, 9, 12], failure_prob=0.02)
    frame, summary = attacked(network, log)
    assert frame["index"].tolist() == [0, 3, 6, 9, 12]
    # what the log was granted, and what the attack is
    assert summary["violations_expected"].tolist() == pytest.approx([5 * (0.02 + 0.001)])
    frame, _ = attacked(network, log, every=6)
    assert frame["index"].tolist() == [0, 6, 12]
    labels = load_data("digits").test.labels
    assert frame["label"].tolist() == labels[[0, 6, 12]].tolist()


def test_the_log_of_other_weights_or_data_is_refused(network, tmp_path):
    log = logged(tmp_path / "log.jsonl", network, [0, 3])
    other = saved(tmp_path / "other.safetensors", classes=10, seed=1, data="digits")
    with pytest.raises(InvalidInputError, match="of another smoothed classifier: its weights is"):
        attacked(other, log)
    digits = load_images("digits", "test")
    np.savez(tmp_path / "mine.npz", x=digits.inputs[:, 0], y=digits.labels)
    with pytest.raises(InvalidInputError, match="of another smoothed classifier: its data"):
        attacked(network, log, str(tmp_path / "mine.npz"))


def test_a_network_is_told_by_its_content(network, tmp_path):
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(network.read_bytes())
    other = saved(tmp_path / "other.safetensors", classes=10, seed=1, data="digits")
    told = [load_network(path, "cpu", "float32")[2]["weights"] for path in (network, copy, other)]
    assert told[0] == told[1]
    assert told[2] != told[0]


def test_the_normalisation_of_a_published_checkpoint_is_recorded(tmp_path):
    # Salman et al.'s files hold none: it is asked for, applied, and part of what is certified
    state = {
        f"module.1.{key}": value for key, value in build_model("resnet20", (3, 32, 32), 10).network.state_dict().items()
    }
    path = tmp_path / "checkpoint.pth.tar"
    torch.save({"epoch": 1, "arch": "cifar_resnet20", "state_dict": state, "optimizer": {}}, path)
    for normalisation, std in (("standardised", 0.2023), ("centred", 1.0)):
        base, _, told = load_network(path, "cpu", "float32", normalisation)
        assert told["normalisation"] == normalisation
        assert float(base.model.std[0]) == pytest.approx(std)
    with pytest.raises(InvalidInputError, match="normalisation is 'none'; expected standardised or centred"):
        load_network(path, "cpu", "float32", "none")


def test_image_sets_are_read_from_the_root(tmp_path, monkeypatch):
    def load(name, split, *, root):
        assert (name, root) == ("mnist", tmp_path)
        return pictures(seed=("test", "train").index(split), name=name)

    monkeypatch.setattr("noiseaug.subjects.classifiers.load_images", load)
    classifier = saved(tmp_path / "network.safetensors", data="mnist")
    data = load_subject(str(classifier), root=tmp_path).data
    assert np.array_equal(data.inputs, pictures(seed=0).inputs)


def test_bytes_train_the_same_as_floats():
    digits = load_images("digits", "train")
    floats = digits.floats()
    bytes_ = np.rint(floats * 255).astype(np.uint8)
    models = [
        load_classifier("neighbours", DataSource.from_arrays("x", x, digits.labels, x, digits.labels), 0.1, 1, 0)
        for x in (bytes_, np.divide(bytes_, 255, dtype=np.float32))
    ]
    assert np.array_equal(*(model.predict(floats[:50].reshape(50, -1)) for model in models))
