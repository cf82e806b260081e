"""A training run from data to a directory: what it learns from and starts from, its files, how it is taken up again.

The directory holds ``run.json`` (what the run is), ``metrics.csv`` (a row an epoch), ``model.safetensors`` at the end,
and ``state.pt`` while the run is under way.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from noiseaug import validation as checks
from noiseaug.data import LabelledSet
from noiseaug.errors import InvalidInputError
from noiseaug.runs import check_wanted
from noiseaug.runs.progress import progress_bar
from noiseaug.vision.device import as_device
from noiseaug.vision.models import (
    Classifier,
    build_model,
    load_checkpoint,
    read_metadata,
    replace_last_layer,
    weights_digest,
)
from noiseaug.vision.training.batches import TrainingSet, key_of, to_floats
from noiseaug.vision.training.directory import TrainingDirectory
from noiseaug.vision.training.distributed import Workers
from noiseaug.vision.training.recipe import Recipe
from noiseaug.vision.training.trainer import Trainer, accuracy, out_of_memory

__all__ = ["Job", "run_job"]

_SAVE_SECONDS = 30.0  # between two saves in an epoch; what a kill may cost, with the steps until the next look
_LOOK_STEPS = 16  # between two looks at the loss; each waits for the device


@dataclass(frozen=True, eq=False)
class Job:
    """One model to train.

    Attributes:
        recipe: how.
        data: images to learn from.
        validation: how many of them, the last ones, are held out; their accuracy is in the record of each epoch.
        labelled: how many keep their labels (drawn by the recipe's seed, balanced over the classes); None: all. Without
            a teacher the others are left out.
        unlabelled: more images, whose labels are not looked at.
        teacher: checkpoint that labels images without labels.
        pseudo_weight: weight of their loss.
        init_from: checkpoint that training starts from; its last layer is replaced where the classes differ, or where
            ``fresh_head`` is set.
        fresh_head: replace the last layer in any case.
        trusted: architectures of your own, ``module:attribute``, that these checkpoints may ask for; as may the recipe.

    Raises:
        InvalidInputError: for counts out of range, unlabelled images and no teacher, or a teacher and nothing for it to
            label.
    """

    recipe: Recipe
    data: LabelledSet
    validation: int = 0
    labelled: int | None = None
    unlabelled: LabelledSet | None = None
    teacher: Path | None = None
    pseudo_weight: float = 1.0
    init_from: Path | None = None
    fresh_head: bool = False
    trusted: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        held_out = checks.integer("validation", self.validation, at_least=0)
        left = len(self.data.inputs) - held_out
        if left < 2:
            raise InvalidInputError(
                f"validation is {held_out} of {len(self.data.inputs)} images; leave some to train on"
            )
        if self.labelled is not None:
            wanted = checks.integer("labelled", self.labelled, at_least=self.data.num_classes)
            if wanted >= left:
                raise InvalidInputError(f"labelled is {wanted}, but there are only {left} images to train on")
        checks.positive("pseudo_weight", self.pseudo_weight)
        if self.fresh_head and self.init_from is None:
            raise InvalidInputError("a fresh head replaces the last layer of a checkpoint; give one to start from")
        if self.pseudo_weight != 1 and self.teacher is None:
            raise InvalidInputError("pseudo_weight is for images that a teacher labels; there is no teacher")
        if self.unlabelled is not None and self.unlabelled.shape != self.data.shape:
            raise InvalidInputError(
                f"{self.unlabelled.name} has images of shape {self.unlabelled.shape}; {self.data.name} of "
                f"{self.data.shape}"
            )
        if self.unlabelled is not None and self.teacher is None:
            raise InvalidInputError("images without labels need a teacher; give the run that is to label them")
        if self.teacher is not None and self.labelled is None and self.unlabelled is None:
            raise InvalidInputError("a teacher labels images without labels; say how many are labelled, or add images")

    def description(self) -> dict[str, Any]:
        """What determines the model, as plain values; checkpoints and data by their content."""
        return {
            "kind": "training",
            "data": self.data.name,
            "data_digest": self.data.digest,
            "shape": list(self.data.shape),
            "num_classes": self.data.num_classes,
            **self.recipe.description(),
            "validation": self.validation,
            "labelled": self.labelled,
            "unlabelled": None if self.unlabelled is None else [self.unlabelled.name, self.unlabelled.digest],
            "teacher": self._fingerprint(self.teacher),
            "pseudo_weight": self.pseudo_weight,
            "init_from": self._fingerprint(self.init_from),
            "fresh_head": self.fresh_head,
        }

    def first_model(self) -> Classifier:
        """The model before its first step."""
        recipe = self.recipe
        torch.manual_seed(key_of("weights", recipe.seed))
        if self.init_from is None:
            return build_model(recipe.arch, self.data.shape, self.data.num_classes)
        model = self._loaded(self.init_from).float()
        if model.arch != recipe.arch or model.shape != self.data.shape:
            raise InvalidInputError(
                f"{self.init_from} is a {model.arch} for images of shape {model.shape}; this run trains a "
                f"{recipe.arch} for {self.data.shape}"
            )
        if self.fresh_head or model.num_classes != self.data.num_classes:
            replace_last_layer(model, self.data.num_classes)
        return model

    def training_set(self, device: torch.device) -> TrainingSet:
        """What the model learns from, labelled images first."""
        count = len(self.data.inputs) - self.validation
        images, labels = self.data.inputs[:count], self.data.labels[:count]
        order = np.arange(count) if self.labelled is None else _balanced(labels, self.recipe.seed)
        labelled = count if self.labelled is None else self.labelled
        others = images[order[labelled:] if self.teacher is not None else order[:0]]
        if self.unlabelled is not None:
            others = np.concatenate([others.astype(images.dtype, copy=False), _like(self.unlabelled.inputs, images)])
        own = torch.from_numpy(images[order[:labelled]]), torch.from_numpy(labels[order[:labelled]])
        if self.teacher is None:
            return TrainingSet(own[0].to(device), own[1].to(device), labelled)
        pseudo = self._labels_of(self.teacher, torch.from_numpy(others), device)
        return TrainingSet(
            torch.cat([own[0], torch.from_numpy(others)]).to(device),
            torch.cat([own[1].to(device), pseudo]),
            labelled,
            self.pseudo_weight,
        )

    def _loaded(self, path: Path, device: str = "cpu") -> Classifier:
        return load_checkpoint(path, device=device, trusted=(self.recipe.arch, *self.trusted))[0]

    def _fingerprint(self, path: Path | None) -> dict[str, Any] | None:
        """A checkpoint by its content, so that the same path with other weights is another run."""
        if path is None:
            return None
        model = self._loaded(path)
        return {"arch": model.arch, "weights": weights_digest(model)[:16]}

    def _labels_of(self, teacher: Path, images: torch.Tensor, device: torch.device) -> torch.Tensor:
        """The teacher's most likely class of each clean image."""
        model, data = self._loaded(teacher, str(device)).float(), self.data
        if model.shape != data.shape or model.num_classes != data.num_classes:
            raise InvalidInputError(
                f"{teacher} has {model.num_classes} classes for images of shape {model.shape}; {data.name} has "
                f"{data.num_classes} and {data.shape}"
            )
        model.eval()
        with torch.inference_mode():
            parts = [model(to_floats(some.to(device))).argmax(1) for some in images.split(500)]
        return torch.cat(parts).clone()


def _balanced(labels: np.ndarray, seed: int) -> np.ndarray:
    """An order of the images whose every beginning holds about as many of one class as of another."""
    order = np.random.default_rng(key_of("labelled", seed)).permutation(len(labels))
    turn = np.empty(len(labels), dtype=int)
    for label in np.unique(labels):
        members = np.flatnonzero(labels[order] == label)
        turn[members] = np.arange(len(members))
    result: np.ndarray = order[np.argsort(turn, kind="stable")]
    return result


def _like(images: np.ndarray, model: np.ndarray) -> np.ndarray:
    if images.dtype == model.dtype:
        return images
    floats = to_floats(torch.from_numpy(images)).numpy()
    return floats if model.dtype != np.uint8 else np.rint(floats * 255).astype(np.uint8)


def run_job(
    job: Job,
    out: Path,
    *,
    test: LabelledSet | None = None,
    device: str = "cpu",
    resume: bool = False,
    progress: bool = False,
    tensorboard: bool = False,
    workers: Workers | None = None,
) -> dict[str, Any]:
    """Trains a model into a directory.

    Args:
        job: what to train.
        out: directory of the run; created, or that of the same job.
        test: images for the final accuracies; no choice is made by them.
        device: where to train.
        resume: take up an unfinished run, or take a finished one as it is.
        progress: show a bar on standard error.
        tensorboard: write TensorBoard's event files into the directory too.
        workers: the processes that train it together, each of which calls this; ``device`` is then its own. The
            directory is held, read and written by the first of them.

    Returns:
        The results: accuracies of the base classifier on clean test images and on ones with noise α.

    Raises:
        InvalidInputError: for a directory that belongs to something else, a device that is not there, a loss that is
            not finite, or too little memory.
    """
    workers, where = workers or Workers(), as_device(device)
    directory = TrainingDirectory(out, job.description())
    with ExitStack() as stack:
        state = workers.lead(lambda: stack.enter_context(directory.held(resume)))
        if state == "complete":
            return workers.lead(lambda: dict(read_metadata(out).get("results", {})))
        with out_of_memory(None):
            trainer = Trainer(job.recipe, job.training_set(where), job.first_model().to(where), workers=workers)
        if state == "unfinished":
            directory.take_up(trainer)
        _train(job, directory, trainer, progress, _writer(out) if tensorboard else None)

        def finish() -> dict[str, Any]:
            results = _results(job, trainer, test)
            directory.finish(trainer, {**job.description(), "results": results}, results)
            return results

        return workers.lead(finish)


def _train(
    job: Job,
    directory: TrainingDirectory,
    trainer: Trainer,
    progress: bool,
    writer: Callable[[dict[str, float]], None] | None,
) -> None:
    workers, images = trainer.workers, len(trainer.training.labels)
    done = trainer.epoch * images
    saved = time.monotonic()
    held_out = _held_out(job, trainer.device)
    with (
        _interruption() as interrupted,
        progress_bar(
            total=job.recipe.epochs * images,
            initial=done,
            show=progress and workers.leads,
            unit="image",
            desc="train",
        ) as bar,
    ):

        def after_step(trainer: Trainer, steps: int) -> None:
            nonlocal saved
            bar.update(images * trainer.batch // steps + trainer.epoch * images - bar.n)
            check_wanted()
            if workers.any(interrupted()):
                trainer.sums()  # nothing that is not finite is kept
                workers.lead(lambda: directory.save(trainer))
                raise KeyboardInterrupt
            if trainer.batch % _LOOK_STEPS:
                return
            sums = trainer.sums()
            bar.set_postfix_str(
                f"epoch {trainer.epoch + 1}/{job.recipe.epochs}, loss {sums.loss / sums.steps:.3f}, "
                f"accuracy {sums.right / sums.copies:.3f}",
                refresh=False,
            )
            if workers.leads and time.monotonic() - saved > _SAVE_SECONDS:
                directory.save(trainer)
                saved = time.monotonic()

        def after_epoch(trainer: Trainer) -> None:
            nonlocal saved
            bar.update(trainer.epoch * images - bar.n)
            workers.lead(lambda: record(trainer.rows[-1]))
            check_wanted()
            if workers.any(interrupted()):
                raise KeyboardInterrupt
            saved = time.monotonic()

        def record(row: dict[str, float]) -> None:
            if held_out is not None:
                sigma, seed = job.recipe.objective.train_sigma, job.recipe.seed
                row["validation_accuracy"] = accuracy(trainer.result, *held_out)
                row["noisy_validation_accuracy"] = accuracy(trainer.result, *held_out, sigma, seed=seed)
            directory.save(trainer)  # first, for it makes the directory a run's
            directory.write_metrics(trainer.rows)
            if writer is not None:
                writer(row)

        trainer.run(after_step, after_epoch)


@contextmanager
def _interruption() -> Iterator[Callable[[], bool]]:
    """Whether an interruption was asked for: it waits for the end of the step, a second one does not.

    An exception in the middle of a step could be lost in a callback, and would leave a state that cannot be kept.
    """
    asked = False

    def ask(number: int, frame: Any) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    own = threading.current_thread() is threading.main_thread()  # signals are the main thread's
    if not own or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's background job
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)


def _held_out(job: Job, device: torch.device) -> tuple[torch.Tensor, torch.Tensor] | None:
    if not job.validation:
        return None
    first = len(job.data.inputs) - job.validation
    images, labels = job.data.inputs[first:], job.data.labels[first:]
    return torch.from_numpy(images).to(device), torch.from_numpy(labels).to(device)


def _results(job: Job, trainer: Trainer, test: LabelledSet | None) -> dict[str, Any]:
    last = trainer.rows[-1]
    found: dict[str, Any] = {name: last[name] for name in ("loss", "train_accuracy")}
    found["seconds"] = round(trainer.seconds, 1)
    if test is not None:
        images, labels = (torch.from_numpy(each).to(trainer.device) for each in (test.inputs, test.labels))
        sigma = job.recipe.objective.train_sigma
        found["test_accuracy"] = accuracy(trainer.result, images, labels)
        found["noisy_test_accuracy"] = accuracy(trainer.result, images, labels, sigma, seed=job.recipe.seed)
    return found


def _writer(out: Path) -> Callable[[dict[str, float]], None]:
    """Writes a row to TensorBoard's files, which are begun with the first one: by then the directory is a run's."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise InvalidInputError(
            "TensorBoard is not installed; pip install 'noiseaug[tensorboard]', or leave out --tensorboard"
        ) from None

    def write(row: dict[str, float]) -> None:
        with SummaryWriter(str(out / "tensorboard")) as stream:
            for name, value in row.items():
                stream.add_scalar(name, value, int(row["epoch"]))

    return write
