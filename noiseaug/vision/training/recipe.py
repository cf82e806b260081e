"""What determines a trained model, besides its data: architecture, objective, and how long and how fast it learns."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from noiseaug import validation
from noiseaug.errors import InvalidInputError
from noiseaug.vision.device import PRECISIONS
from noiseaug.vision.objectives import describe
from noiseaug.vision.training.registry import OPTIMISERS, SCHEDULES

if TYPE_CHECKING:
    from noiseaug.vision.objectives import Objective

__all__ = ["DEFAULTS", "Recipe", "default_recipe"]

DEFAULTS: dict[str, dict[str, Any]] = {
    "below 16×16 pixels": {"epochs": 100, "batch": 64, "learning_rate": 0.05},  # the bundled digits: 899 images
    "for grey images": {"epochs": 10, "batch": 128, "learning_rate": 0.05},
    "for colour images": {"epochs": 30, "batch": 256, "learning_rate": 0.2, "crop": 4, "flip": True},
}
"""Fields of a recipe that depend on the images, by the kind of image."""
_MOST_EPOCHS, _MOST = 10**6, 2**31 - 1


@dataclass(frozen=True)
class Recipe:
    """How a model is trained. Equal recipes, data and starting weights give equal models, bit for bit on one CPU.

    The lines on the attributes are also the help texts of the command line.

    Attributes:
        arch: name of the architecture, or ``module:attribute``.
        objective: the loss, with the training noise α in it.
        epochs: passes over the training set.
        batch: images in a training step; the objective may make several noisy copies of each.
        optimiser: optimiser.
        learning_rate: peak learning rate.
        momentum: momentum of ``sgd``.
        weight_decay: weight decay of weights with two axes or more; biases and batch norm have none.
        schedule: course of the learning rate over training.
        step_epochs: epochs between two steps of the ``step`` schedule.
        step_factor: factor by which the ``step`` schedule changes the learning rate.
        clip: largest norm of the gradient; longer ones are cut to it, 0 for no limit.
        ema: decay per step of a moving average of the weights, which becomes the model; 0 for none.
        crop: pixels by which training images are shifted at random; 0 for none.
        flip: mirror training images at random.
        precision: floating-point type of training; the 16-bit ones mean mixed precision.
        compiled: train through ``torch.compile``.
        seed: seed of the first weights, the order of images, augmentation and noise.

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
        validation.affordable("epochs", self.epochs, _MOST_EPOCHS, 1, "epochs")
        for name in ("batch", "step_epochs"):
            validation.integer(name, getattr(self, name), at_most=_MOST)
        validation.integer("crop", self.crop, at_least=0, at_most=_MOST)
        validation.integer("seed", self.seed, at_least=0)
        for name in ("learning_rate", "step_factor"):
            validation.positive(name, getattr(self, name))
        for name in ("momentum", "weight_decay", "clip", "ema"):
            validation.nonnegative(name, getattr(self, name))
        for name in ("momentum", "ema"):
            if getattr(self, name) >= 1:
                raise InvalidInputError(f"{name} is {getattr(self, name):g}; expected a number in [0, 1)")
        OPTIMISERS.entry(self.optimiser)
        SCHEDULES.entry(self.schedule)
        validation.choice("precision", self.precision, PRECISIONS)

    def rate(self, epoch: float) -> float:
        """The learning rate at a time in epochs, which need not be whole."""
        return self.learning_rate * SCHEDULES.load(self.schedule)(self, epoch)

    def description(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {**asdict(self), "objective": describe(self.objective)}


def default_recipe(arch: str, shape: tuple[int, ...], objective: Objective, **changes: Any) -> Recipe:
    """A recipe that does well on images of a shape, with each optimiser's own learning rate.

    Args:
        arch: name of the architecture, or ``module:attribute``.
        shape: channels, height, width of an image.
        objective: the loss.
        **changes: fields of :class:`Recipe` that are to be otherwise; None leaves the default.
    """
    small, grey, colour = DEFAULTS.values()
    settled: dict[str, Any] = {"arch": arch, "objective": objective}
    settled |= small if min(shape[1:]) < 16 else grey if shape[0] == 1 else colour
    if (optimiser := changes.get("optimiser")) is not None:
        settled |= OPTIMISERS.settings(optimiser, {})
    settled.update({key: value for key, value in changes.items() if value is not None})
    return Recipe(**settled)
