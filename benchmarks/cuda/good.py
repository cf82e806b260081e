"""Stage "good": the networks that five minutes buy, trained with noise; Gaussian first, then a better objective.

The schedule is one-cycle over as many epochs as fit, by the measured time of a step. Loss and accuracy under noise go
into the table after every epoch (on test images that are not certified; nothing is chosen by them), weights into a file
every now and then, so that a training that is cut leaves a network.
"""

from __future__ import annotations

import copy
import io
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.cuda.stages import Context, Table, kind_and_line
from noiseaug.data import LabelledSet, load_images
from noiseaug.errors import InvalidInputError
from noiseaug.runs import write_atomically
from noiseaug.vision.device import as_device
from noiseaug.vision.models import build_model, read_metadata, save_checkpoint
from noiseaug.vision.objectives import Objective, make_objective
from noiseaug.vision.training import Recipe, TimeBudget, Trainer, TrainingSet, accuracy, default_recipe, key_of

_SAVING = 15.0  # seconds between two saves of an unfinished network
_GAUSSIAN = 0.25  # share of the time
# of the objectives that may be asked for; what a step costs is why copies and steps are few
SETTINGS: dict[str, dict[str, Any]] = {
    "consistency": {"copies": 2, "weight": 10.0, "entropy_weight": 0.5},
    "smoothadv": {"copies": 2, "steps": 2, "radius": 1.0, "warm_up": 5},
}


@dataclass(frozen=True)
class Setting:
    """What is trained on what: CIFAR-10, or in small made-up images.

    Attributes:
        data: name of the data set.
        arch: of the network: nine layers and 6.6 million weights, which train in few epochs.
        batch: divides the 50 000 images, so that every step has the same shape and is compiled once.
        learning_rate: largest, of the one-cycle schedule.
        sigma: of training and smoothing.
        every: which test images are certified.
        n: votes for each.
        longest: seconds of one training at most.
        compiled: whether a network goes through torch.compile, on another device than a CPU.
    """

    data: str = "cifar10"
    arch: str = "resnet"
    batch: int = 500
    learning_rate: float = 0.3
    sigma: float = 0.5
    every: int = 20
    n: int = 100_000
    longest: float = float("inf")
    compiled: bool = True

    @classmethod
    def of(cls, context: Context) -> Setting:
        """The one that a context asks for."""
        return cls(made_up(context.work), "mlp", 64, 0.05, 0.25, 20, 1000, 2.0) if context.small else cls()

    def images(self, context: Context, split: str) -> LabelledSet:
        """A split, from what is there."""
        return load_images(self.data, split, root=context.data, download=False)


def run(context: Context) -> str:
    """Gaussian, then the other one in what time is left."""
    setting, table, device = Setting.of(context), context.table("good"), as_device(context.device)
    if context.objective not in SETTINGS:
        raise InvalidInputError(f"objective is {context.objective!r}; expected one of {', '.join(SETTINGS)}")
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True  # every step has the same shape
    train, test = (setting.images(context, split) for split in ("train", "test"))
    watched = test.take(slice(1, None, setting.every))
    wanted = {
        "gaussian": (make_objective("gaussian", setting.sigma), _GAUSSIAN),
        context.objective: (make_objective(context.objective, setting.sigma, **SETTINGS[context.objective]), 1.0),
    }
    for name, (objective, share) in wanted.items():
        if finished(weights(context, name)):
            continue
        # another number of copies is another shape, which would be compiled for all shapes at once
        torch.compiler.reset()
        one_network(name, objective, share * context.left, setting, context, table, train, watched)
    return ""


def made_up(work: Path) -> str:
    """A data set for trying the command out, which needs neither files nor scikit-learn: noisy patterns of 8 × 8."""
    path, draw = work / "made_up.npz", np.random.default_rng(0)
    if not path.exists():
        patterns, arrays = draw.random((10, 1, 8, 8)), {}
        for prefix, count in (("train_", 600), ("", 200)):
            y = np.arange(count) % 10
            x = np.clip(patterns[y] + 0.2 * draw.standard_normal((count, 1, 8, 8)), 0, 1)
            arrays |= {f"{prefix}x": (255 * x).astype(np.uint8), f"{prefix}y": y}
        content = io.BytesIO()
        np.savez(content, **arrays)
        write_atomically(path, content.getvalue())
    return str(path)


def weights(context: Context, name: str) -> Path:
    """Where a network is saved."""
    return context.work / f"{name}.safetensors"


def finished(path: Path) -> bool:
    """Whether a network is there whose training came to its end."""
    return path.exists() and bool(read_metadata(path).get("finished"))


def one_network(
    name: str,
    objective: Objective,
    seconds: float,
    setting: Setting,
    context: Context,
    table: Table,
    train: LabelledSet,
    watched: LabelledSet,
) -> None:
    """Trains for a time; without torch.compile where that fails."""
    end = time.monotonic() + min(seconds, setting.longest)
    device = as_device(context.device)
    recipe = default_recipe(
        setting.arch, train.shape, objective,
        batch=setting.batch, learning_rate=setting.learning_rate, precision="bfloat16", clip=1.0,
    )  # fmt: skip
    data = TrainingSet(*(torch.from_numpy(each).to(device) for each in (train.inputs, train.labels)), len(train))
    for compiled in (True, False) if device.type == "cuda" and setting.compiled else (False,):
        table.drop(network=name)
        run = _Run(name, replace(recipe, compiled=compiled), context, setting, table, watched)
        try:
            run.train(data, train, end - time.monotonic())
            return
        except Exception as error:  # a compiler has many ways to fail
            if not compiled or (run.trainer is not None and run.trainer.epoch):
                raise
            print(f"{name}: not compiled ({kind_and_line(error)})", flush=True)


class _Run:
    """One training, its rows and its weights."""

    def __init__(
        self, name: str, recipe: Recipe, context: Context, setting: Setting, table: Table, watched: LabelledSet
    ) -> None:
        self.name, self.recipe, self.context, self.setting, self.table = name, recipe, context, setting, table
        self.device = as_device(context.device)
        self.watched = tuple(torch.from_numpy(each).to(self.device) for each in (watched.inputs, watched.labels))
        self.saved = time.monotonic()
        self.trainer: Trainer | None = None

    def train(self, data: TrainingSet, images: LabelledSet, seconds: float) -> None:
        """To the end, which comes in time."""
        budget = TimeBudget(seconds)
        torch.manual_seed(key_of("weights", self.recipe.seed))
        model = build_model(self.recipe.arch, images.shape, images.num_classes)
        self.trainer = Trainer(self.recipe, data, model.to(self.device))

        def after_epoch(trainer: Trainer) -> None:
            budget.after_epoch(trainer)
            self.record(trainer)
            if trainer.epoch < trainer.recipe.epochs and time.monotonic() - self.saved > _SAVING:
                self.save(trainer, False)

        self.trainer.run(budget.after_step, after_epoch)
        self.save(self.trainer, True)

    def record(self, trainer: Trainer) -> None:
        """A row of the table."""
        row: dict[str, Any] = dict(trainer.rows[-1])
        noisy = accuracy(trainer.result, *self.watched, self.recipe.objective.train_sigma)
        self.table.add(
            network=self.name,
            **{key: row[key] for key in ("epoch", "learning_rate", "loss", "train_accuracy", "seconds")},
            planned_epochs=trainer.recipe.epochs,
            noisy_accuracy=noisy,
            compiled=self.recipe.compiled,
        )

    def save(self, trainer: Trainer, done: bool) -> None:
        """The network in float16, which halves the file; a certificate is of these weights."""
        path = weights(self.context, self.name)
        metadata = {
            **trainer.recipe.description(),
            "data": self.setting.data,
            "finished": done,
            "epochs_done": trainer.epoch,
            "seconds": round(trainer.seconds, 1),
        }
        model = copy.deepcopy(trainer.result).half()
        try:
            save_checkpoint(path, model, metadata)
        except InvalidInputError:  # beyond what float16 holds
            save_checkpoint(path, trainer.result, metadata)
        self.saved = time.monotonic()
        if done and self.name == self.context.objective:
            write_atomically(self.context.out / path.name, path.read_bytes())
