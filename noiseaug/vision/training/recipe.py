"""What determines a trained model, besides its data: architecture, objective, and how long and how fast it learns."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from noiseaug import validation
from noiseaug.errors import InvalidInputError
from noiseaug.vision.device import PRECISIONS
from noiseaug.vision.objectives import Objective, describe

__all__ = ["OPTIMISERS", "SCHEDULES", "Recipe", "default_recipe"]

OPTIMISERS = ("sgd", "adam", "adadelta")
_RATES = {"adam": 2e-3, "adadelta": 1.0}  # learning rates by default
_RISE = 0.2  # share of a one-cycle schedule in which the learning rate grows


@dataclass(frozen=True)
class Recipe:
    """How a model is trained. Equal recipes, data and starting weights give equal models, bit for bit on one CPU.

    Attributes:
        arch: name of the architecture, or ``module:attribute``.
        objective: the loss, with the training noise α in it.
        epochs: passes over the training set.
        batch: images a step; the objective may make several noisy copies of each.
        optimiser: ``sgd`` (Nesterov), ``adam`` (decoupled weight decay) or ``adadelta``.
        learning_rate: its largest value.
        momentum: of ``sgd``.
        weight_decay: of weights with two axes or more; biases and batch-norm have none.
        schedule: ``one-cycle`` (up over the first fifth, then linearly to 0), ``step``, or ``constant``.
        step_epochs: epochs between two steps of the ``step`` schedule.
        step_factor: what a step multiplies the learning rate by.
        clip: largest norm of the gradient, to which longer ones are cut; 0: no limit.
        ema: decay a step of the exponential moving average of the weights that is kept as the model; 0: none.
        crop: pixels by which training images are shifted at random, both ways; 0: none.
        flip: whether training images are mirrored at random.
        precision: ``float32``, or ``bfloat16``/``float16`` for mixed precision.
        compiled: whether the network runs through ``torch.compile``.
        seed: non-negative integer; of the first weights, the order of images, augmentation and noise.

    Raises:
        InvalidInputError: for values out of range.
    """

    arch: str
    objective: Objective
    epochs: int = 10
    batch: int = 256
    optimiser: str = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: str = "one-cycle"
    step_epochs: int = 50
    step_factor: float = 0.1
    clip: float = 0.0
    ema: float = 0.0
    crop: int = 0
    flip: bool = False
    precision: str = "float32"
    compiled: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "step_epochs"):
            validation.integer(name, getattr(self, name))
        for name in ("crop", "seed"):
            validation.integer(name, getattr(self, name), at_least=0)
        for name in ("learning_rate", "step_factor"):
            validation.positive(name, getattr(self, name))
        for name in ("momentum", "weight_decay", "clip", "ema"):
            validation.nonnegative(name, getattr(self, name))
        for name in ("momentum", "ema"):
            if getattr(self, name) >= 1:
                raise InvalidInputError(f"{name} is {getattr(self, name):g}; expected a number in [0, 1)")
        validation.choice("optimiser", self.optimiser, OPTIMISERS)
        validation.choice("schedule", self.schedule, tuple(SCHEDULES))
        validation.choice("precision", self.precision, tuple(PRECISIONS))

    def rate(self, epoch: float) -> float:
        """The learning rate at a time in epochs, which need not be whole."""
        return self.learning_rate * SCHEDULES[self.schedule](self, epoch)

    def description(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {**asdict(self), "objective": describe(self.objective)}


def _one_cycle(recipe: Recipe, epoch: float) -> float:
    share = epoch / recipe.epochs
    return max(share / _RISE, 0.01) if share < _RISE else (1 - share) / (1 - _RISE)


def _step(recipe: Recipe, epoch: float) -> float:
    return recipe.step_factor ** math.floor(epoch / recipe.step_epochs)


def _constant(recipe: Recipe, epoch: float) -> float:
    return 1.0


SCHEDULES: dict[str, Callable[[Recipe, float], float]] = {
    "one-cycle": _one_cycle,
    "step": _step,
    "constant": _constant,
}
"""Factor of the learning rate by time in epochs."""


def default_recipe(arch: str, shape: tuple[int, ...], objective: Objective, **changes: Any) -> Recipe:
    """A recipe that does well on images of a shape, with each optimiser's own learning rate.

    Args:
        arch: name of the architecture, or ``module:attribute``.
        shape: channels, height, width of an image.
        objective: the loss.
        **changes: fields of :class:`Recipe` that are to be otherwise; None leaves the default.
    """
    settled: dict[str, Any] = {"arch": arch, "objective": objective}
    if min(shape[1:]) < 16:  # the bundled digits: 899 images
        settled.update(epochs=100, batch=64, learning_rate=0.05)
    elif shape[0] == 1:
        settled.update(epochs=10, batch=128, learning_rate=0.05)
    else:
        settled.update(epochs=30, batch=256, learning_rate=0.2, crop=4, flip=True)
    if changes.get("optimiser") in _RATES:
        settled["learning_rate"] = _RATES[changes["optimiser"]]
    settled.update({key: value for key, value in changes.items() if value is not None})
    return Recipe(**settled)
