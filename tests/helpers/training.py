"""Small images and recipes to train with, and a stand-in for a kill."""

from __future__ import annotations

import numpy as np

from noiseaug.data import LabelledSet
from noiseaug.vision.objectives import make_objective
from noiseaug.vision.training import Recipe

GAUSSIAN = make_objective("gaussian", 0.25)


def colourful(count: int = 60, classes: int = 3, shape=(3, 32, 32), seed: int = 0) -> LabelledSet:
    """Images of CIFAR-10's shape whose class is the brightest channel."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    images = rng.integers(0, 120, (count, *shape), dtype=np.uint8)
    images[np.arange(count), labels % shape[0]] += 100
    return LabelledSet("colours", "train", images, labels, tuple(map(str, range(classes))))


class Stop(Exception):
    """Stands in for a kill."""


RECIPES = {
    "gaussian, sgd": Recipe("mlp", GAUSSIAN, epochs=3, batch=16),
    "moving average, adam": Recipe("mlp", GAUSSIAN, epochs=3, batch=16, optimiser="adam", learning_rate=1e-3, ema=0.9),
    "batch-norm, crop, flip": Recipe("resnet", GAUSSIAN, epochs=2, batch=20, learning_rate=0.01, crop=2, flip=True),
    "smoothadv, adadelta, steps": Recipe(
        "linear",
        make_objective("smoothadv", 0.25, copies=2, radius=0.5, warm_up=2),
        epochs=3,
        batch=16,
        optimiser="adadelta",
        learning_rate=1.0,
        schedule="step",
        step_epochs=1,
        step_factor=0.7,
    ),
    "consistency, bfloat16": Recipe(
        "mlp", make_objective("consistency", 0.25), epochs=2, batch=16, precision="bfloat16"
    ),
}
